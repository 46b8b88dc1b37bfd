"""Why a detector is silent: what it measures now, what it compares that with, and what holds it back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from analyzer.types.report import Kind, Subject


class Gate(StrEnum):
    """What stands between what is measured and a finding. A detector that speaks is at `FOUND`."""

    NO_SERIES = "no-series"
    """Nothing of this kind is known of the agent."""
    HISTORY = "history"
    """Too few days to learn from."""
    UNITS = "units"
    """Too few units to learn from."""
    MASK = "mask"
    """What is happening is hidden: by an episode that has ended, or by the silence of the whole fleet."""
    EFFECT = "effect"
    """The evidence is there; the change is too small to matter."""
    SCORE = "score"
    """The evidence is not enough."""
    PERSISTENCE = "persistence"
    """Enough for the moment, but not for long enough."""
    FOUND = "found"
    """Nothing: there is a finding."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One detector on one subject at the window's end."""

    detector: str
    kind: Kind
    subject: Subject
    gate: Gate
    why: str
    """The gate in words, with its figures."""
    value: float | None = None
    """What is observed, in `unit`; None where nothing could be measured."""
    baseline: float | None = None
    """What would be expected."""
    unit: str = ""
    kernel: str = ""
    """The rule that is nearest to its threshold."""
    score: float | None = None
    """Its strength of evidence, on the scale of `threshold`."""
    threshold: float | None = None
    detectable: str = ""
    """What takes how long to be seen at this volume; what cannot be seen sooner by any method."""
