"""What of a drill was found: incidents against the faults that were planted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from analyzer.selfwatch.drill.cast import Planted
from analyzer.types.report import Finding, Incident

ONSET_TOLERANCE = timedelta(hours=2)
"""Off the interval that the finding itself gives; as `simulation/evaluate.py` judges."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A planted fault and what became of it."""

    planted: Planted
    incident: Incident | None
    """The incident that found it; None where it was missed."""

    @property
    def delay(self) -> timedelta | None:
        """From the onset until the incident was opened."""
        return None if self.incident is None else self.incident.opened_at - self.planted.onset


@dataclass(frozen=True, slots=True)
class Judged:
    """How one round came out."""

    verdicts: tuple[Verdict, ...]
    false: tuple[Incident, ...]
    """Neither planted, nor a consequence of what was, nor there without it."""


def judge(
    incidents: Sequence[Incident], planted: Sequence[Planted], known: Collection[str], *, is_alone: bool = False
) -> Judged:
    """Match incidents with faults.

    An incident finds a fault where it concerns the agent, holds a finding of the fault's own kind and dates it right,
    whatever leads it. Findings of single runs name only those of the last day, and then the incident has the date. Who
    explains the fault by something else has still seen it, and a detector that is blind can
    hide behind no other. `known` are the fingerprints of incidents that are there without any fault. Where the shadow
    has one agent (`is_alone`), its silence is the fleet's.
    """
    taken: set[str] = set()
    verdicts = []
    for one in planted:
        fitting = [incident for incident in incidents if incident.id not in taken and _finds(incident, one, is_alone)]
        best = min(fitting, key=lambda incident: (incident.kind is not one.kind, incident.opened_at), default=None)
        if best is not None:
            taken.add(best.id)
        verdicts.append(Verdict(one, best))
    rest = [one for one in incidents if one.id not in taken and one.fingerprint not in known]
    false = tuple(one for one in rest if not any(_follows(one, fault, is_alone) for fault in planted))
    return Judged(tuple(verdicts), false)


def _concerns(incident: Incident, planted: Planted, is_alone: bool) -> bool:
    return planted.agent in incident.concerned or (is_alone and not incident.concerned)


def _finds(incident: Incident, planted: Planted, is_alone: bool) -> bool:
    return _concerns(incident, planted, is_alone) and any(
        found.kind is planted.kind
        and found.subject.agent in (planted.agent, None)
        and (_dated(found, planted) or abs(incident.onset - planted.onset) <= ONSET_TOLERANCE)
        for found in incident.findings
    )


def _dated(found: Finding, planted: Planted) -> bool:
    low, high = min(found.onset_low, found.onset), max(found.onset_high, found.onset)
    return low - ONSET_TOLERANCE <= planted.onset <= high + ONSET_TOLERANCE


def _follows(incident: Incident, planted: Planted, is_alone: bool) -> bool:
    """Say whether an incident is a double or a consequence: same agent, later, of a kind that the fault moves."""
    return (
        _concerns(incident, planted, is_alone)
        and incident.kind in planted.fault.moves | {planted.kind}
        and incident.onset >= planted.onset - ONSET_TOLERANCE
    )
