"""What the charts of an incident are drawn from: kept with it, so that it can be drawn again when the traces are gone.

All of it is bounded: a chart has as many points as an eye can tell apart, and a document stays small.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

SLOTS_MAX = 120
"""A point needs some pixels of its own: more in the width of a report are a smear."""
STEPS_MAX = 120
NAME_CHARACTERS_MAX = 80


@dataclass(frozen=True, slots=True)
class Curve:
    """A metric around the onset, in slots of equal length, beside what was usual; all sequences have one length.

    Slot i covers [start + i * step_s, start + (i + 1) * step_s); the onset is the beginning of one.
    """

    kind: str
    """A `report.Kind`: what is measured."""
    agent: str | None
    tool: str | None
    unit: str
    start: datetime
    step_s: int
    values: tuple[float | None, ...]
    """What the metric was; None where there was nothing to measure."""
    usual: tuple[float | None, ...] = ()
    """The median of the same hours before the onset; empty where there was too little before it."""
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    """Eight of ten of the same hours before the onset lay between `low` and `high`."""

    def time(self, slot: int) -> datetime:
        """Return when a slot begins."""
        return self.start + timedelta(seconds=slot * self.step_s)

    @property
    def end(self) -> datetime:
        """When the last slot ends."""
        return self.time(len(self.values))


@dataclass(frozen=True, slots=True)
class Drawn:
    """One step of a trajectory, as a strip shows it."""

    number: int
    """Its position in the trajectory, from 1."""
    name: str
    """The tool's or the model's, cut to `NAME_CHARACTERS_MAX`."""
    is_tool: bool
    failed: bool
    again: bool
    """Whether a step before it asked the same thing, word for word."""


@dataclass(frozen=True, slots=True)
class Strip:
    """A stretch of the worst trajectory, step by step."""

    trace_id: str
    of: int
    """Steps of the whole trajectory."""
    steps: tuple[Drawn, ...]
