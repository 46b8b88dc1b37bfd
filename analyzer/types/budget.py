"""Budgets of agents: what a day and what one trajectory may take, as people set them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from analyzer.errors import UsageError

EVERY = "*"
"""The name under which a budget holds for every agent that has not set its own."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one agent; None where there is none. A day is a day of UTC."""

    usd_per_day: float | None = None
    tokens_per_day: float | None = None
    """Input and output tokens."""
    usd_per_trajectory: float | None = None
    steps_per_trajectory: float | None = None


def budget_of(budgets: Mapping[str, Budget], agent: str) -> Budget:
    """Return an agent's budget: its own limits, and for what it has not set those of every agent."""
    own, every = budgets.get(agent, Budget()), budgets.get(EVERY, Budget())
    limits = {spec.name: getattr(own, spec.name) for spec in fields(Budget)}
    return Budget(**{name: getattr(every, name) if limit is None else limit for name, limit in limits.items()})


def read_budgets(table: Mapping[str, Any], place: str) -> dict[str, Budget]:
    """Return the budgets of `[budgets.<agent>]` tables. Raises UsageError that names the place of a fault."""
    known = {spec.name for spec in fields(Budget)}
    budgets = {}
    for agent, entry in table.items():
        if not isinstance(entry, Mapping):
            hint = f"[budgets.{agent}]" if agent not in known else '[budgets."*"] or [budgets.<agent>]'
            raise UsageError(f"{place}: '{agent}' stands outside an agent's table: write it under {hint}")
        for name, limit in entry.items():
            where = f"{place}.{agent}.{name}"
            if name not in known:
                close = difflib.get_close_matches(name, sorted(known), n=1)
                hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))}"
                raise UsageError(f"{where}: there is no such budget; {hint}")
            number = isinstance(limit, int | float) and not isinstance(limit, bool)
            if not number or not math.isfinite(limit) or limit <= 0:
                raise UsageError(f"{where}: expected a number above 0, not {limit!r}")
        budgets[agent] = Budget(**{name: float(limit) for name, limit in entry.items()})
    return budgets
