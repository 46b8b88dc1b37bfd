"""Why a detector is silent: what it measures, what it compares that with, what holds it back, what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from analyzer.types.report import Finding, Gap, Incident, Kind, Subject


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
    OFF = "off"
    """The detector is switched off for this agent in the settings."""
    FAILED = "failed"
    """The detector itself failed."""
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


UNMEASURED = frozenset({Gate.NO_SERIES, Gate.OFF, Gate.FAILED})
"""Where there is no figure to compare."""


def deciding(readings: Iterable[Reading], findings: Iterable[Finding] = ()) -> tuple[Reading, ...]:
    """Return one reading for each detector and subject, in their order: the one that decided.

    Some detectors measure a trajectory in several ways and speak of the worst. That is the one of the finding where
    there is one, else the one nearest to its threshold.
    """
    units = {(one.detector, one.subject, one.unit) for one in findings if one.recovered is None}
    chosen: dict[tuple[str, Subject], tuple[tuple[bool, bool, float], Reading]] = {}
    for one in readings:
        is_found = one.gate is Gate.FOUND
        met = one.score / one.threshold if one.score is not None and one.threshold else 0.0
        said = is_found and (one.detector, one.subject, one.unit) in units
        rank = (said, is_found, met)
        key = one.detector, one.subject
        if key not in chosen or rank > chosen[key][0]:
            chosen[key] = rank, one
    return tuple(one for _, one in chosen.values())


class Fate(StrEnum):
    """What a run makes of a finding."""

    INCIDENT = "incident"
    """It is an incident."""
    PART = "part"
    """It belongs to the incident of another finding: one cause is told once."""
    SINGLE = "single"
    """It comes from too few trajectories to say anything of the tool."""
    DISMISSED = "dismissed"
    """A human has dismissed its incident, and it has not become clearly worse."""
    KNOWN = "known"
    """It is what a resolved incident was about, and no return of it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A reading, and what a run at that moment makes of its finding where there is one."""

    reading: Reading
    finding: Finding | None = None
    fate: Fate | None = None
    incident: Incident | None = None
    said: str = ""
    """The fate in words; empty where nothing was found."""


@dataclass(frozen=True, slots=True)
class WhyNot:
    """Where every detector stands with one agent at a moment."""

    agent: str
    at: datetime
    last_seen: datetime | None
    """When its latest trajectory ended by then; None where none had."""
    standings: tuple[Standing, ...]
    gaps: tuple[Gap, ...]
