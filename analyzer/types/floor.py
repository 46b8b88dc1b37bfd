"""What a loss must come to before anybody is woken by its ratio, as people set it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from analyzer.types.limits import EVERY, read_limits


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
    given = read_limits(table, place, known, "floor", may_be_zero=True)
    every = given.get(EVERY, {})
    return {agent: Floor(**{**every, **own}) for agent, own in given.items()}
