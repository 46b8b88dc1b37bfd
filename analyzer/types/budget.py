"""Budgets of agents: what a day and what one trajectory may take, as people set them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from analyzer.types.limits import EVERY, read_limits


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one agent; None where there is none. A day is a day of UTC."""

    usd_per_day: float | None = None
    tokens_per_day: float | None = None
    """Input and output tokens."""
    usd_per_trajectory: float | None = None
    steps_per_trajectory: float | None = None
    retries_per_trajectory: float | None = None


def budget_of(budgets: Mapping[str, Budget], agent: str) -> Budget:
    """Return an agent's budget: its own limits, and for what it has not set those of every agent."""
    own, every = budgets.get(agent, Budget()), budgets.get(EVERY, Budget())
    limits = {spec.name: getattr(own, spec.name) for spec in fields(Budget)}
    return Budget(**{name: getattr(every, name) if limit is None else limit for name, limit in limits.items()})


def read_budgets(table: Mapping[str, Any], place: str) -> dict[str, Budget]:
    """Return the budgets of `[budgets.<agent>]` tables. Raises UsageError that names the place of a fault."""
    known = {spec.name for spec in fields(Budget)}
    return {agent: Budget(**limits) for agent, limits in read_limits(table, place, known, "budget").items()}
