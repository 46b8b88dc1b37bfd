"""What a loss must come to before anybody is woken by its ratio, as people set it."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from analyzer.errors import UsageError
from analyzer.types.budget import EVERY


@dataclass(frozen=True, slots=True)
class Floor:
    """Below all of these a rise of an amount is of low severity, however many times the usual it is."""

    usd_per_day: float = 1.0
    """A minute of the person who looks costs about a dollar: what loses less in a day is not worth that minute."""
    fleet_share: float = 0.001
    """Of what the whole fleet spends in a day, where that is more: a thousandth is below what its days differ by."""
    tokens_per_day: float = 250_000.0
    """Of an agent without known prices: about a dollar at 4 USD per million tokens, a price of 2026's middle models."""
    steps_per_day: float = 250.0
    """Of an agent without known prices whose steps rise: at a thousand tokens a step the same."""


def floor_of(floors: Mapping[str, Floor], agent: str | None) -> Floor:
    """Return an agent's floor: its own where it has one, else that of every agent; of several agents the latter."""
    return floors.get(agent or EVERY) or floors.get(EVERY) or Floor()


def read_floors(table: Mapping[str, Any], place: str) -> dict[str, Floor]:
    """Return the floors of `[floors.<agent>]` tables; what one leaves out is as for every agent.

    0 asks for no least loss. Raises UsageError that names the place of a fault.
    """
    known = {spec.name for spec in fields(Floor)}
    given: dict[str, dict[str, float]] = {}
    for agent, entry in table.items():
        if not isinstance(entry, Mapping):
            hint = f"[floors.{agent}]" if agent not in known else '[floors."*"] or [floors.<agent>]'
            raise UsageError(f"{place}: '{agent}' stands outside an agent's table: write it under {hint}")
        for name, limit in entry.items():
            where = f"{place}.{agent}.{name}"
            if name not in known:
                close = difflib.get_close_matches(name, sorted(known), n=1)
                hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))}"
                raise UsageError(f"{where}: there is no such floor; {hint}")
            number = isinstance(limit, int | float) and not isinstance(limit, bool)
            if not number or not math.isfinite(limit) or limit < 0:
                raise UsageError(f"{where}: expected a number of 0 or more, not {limit!r}")
        given[agent] = {name: float(limit) for name, limit in entry.items()}
    every = given.get(EVERY, {})
    return {agent: Floor(**{**every, **own}) for agent, own in given.items()}
