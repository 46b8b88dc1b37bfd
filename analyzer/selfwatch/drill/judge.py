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
    """The incident that tells of it; None where none does."""
    unseen: tuple[str, ...] = ()
    """The detectors that had to see it, and did not."""

    @property
    def is_found(self) -> bool:
        """Whether an incident tells of it, and every detector that had to see it has."""
        return self.incident is not None and not self.unseen

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
    incidents: Sequence[Incident],
    planted: Sequence[Planted],
    known: Collection[str],
    findings: Collection[Finding] = (),
    *,
    is_alone: bool = False,
) -> Judged:
    """Match incidents with faults, and what each detector found with what it had to see.

    An incident tells of a fault where it concerns the agent, holds a finding of the fault's own kind and dates it
    right, whatever leads it. Findings of single runs name only those of the last day, and then the incident has the
    date. Who explains the fault by something else has still seen it.

    `findings` are those of all runs, before any were put together: an incident keeps one of the findings that say the
    same, and a detector that is blind could hide behind the other. `known` are the fingerprints of incidents that are
    there without any fault. Where the shadow has one agent (`is_alone`), its silence is the fleet's.
    """
    taken: set[str] = set()
    verdicts = []
    for one in planted:
        fitting = [incident for incident in incidents if incident.id not in taken and _finds(incident, one, is_alone)]
        best = min(fitting, key=lambda incident: (incident.kind is not one.kind, incident.opened_at), default=None)
        if best is not None:
            taken.add(best.id)
        held = best.findings if best is not None else ()
        seen = {found.detector for found in held if best is not None and _tells(found, best, one)}
        seen |= {found.detector for found in findings if _sees(found, one, is_alone)}
        verdicts.append(Verdict(one, best, tuple(name for name in one.witnesses if name not in seen)))
    rest = [one for one in incidents if one.id not in taken and one.fingerprint not in known]
    false = tuple(one for one in rest if not any(_follows(one, fault, is_alone) for fault in planted))
    return Judged(tuple(verdicts), false)


def _concerns(incident: Incident, planted: Planted, is_alone: bool) -> bool:
    return planted.agent in incident.concerned or (is_alone and not incident.concerned)


def _finds(incident: Incident, planted: Planted, is_alone: bool) -> bool:
    return _concerns(incident, planted, is_alone) and any(
        found.kind is planted.kind and _tells(found, incident, planted) for found in incident.findings
    )


def _tells(found: Finding, incident: Incident, planted: Planted) -> bool:
    """Say whether a finding of an incident about a fault's agent is about it: by its own date, or the incident's."""
    is_dated = _dated(found, planted) or abs(incident.onset - planted.onset) <= ONSET_TOLERANCE
    return found.subject.agent in (planted.agent, None) and is_dated


def _sees(found: Finding, planted: Planted, is_alone: bool) -> bool:
    agent = found.subject.agent
    return (agent == planted.agent or (is_alone and agent is None)) and _dated(found, planted)


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
