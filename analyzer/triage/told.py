"""What an incident says of its findings: the figures of the foremost one, or those of several agents added up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from analyzer.triage.dated import best_dated, changes_near
from analyzer.triage.rules import fingerprint, key_of
from analyzer.types.place import Place
from analyzer.types.report import (
    CALLS,
    OF_CALLS,
    Affected,
    Change,
    Examined,
    Factor,
    Finding,
    Incident,
    Kind,
    Subject,
)
from analyzer.types.shared import Part

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Told:
    """The part of an incident that comes from what its findings say."""

    lead: Finding
    """The finding whose figures these are; of several agents one that has their figures together."""
    subject: Subject
    onset: datetime
    affected: Affected
    excess_usd: float | None
    account: tuple[Factor, ...]
    changes: tuple[Change, ...]
    places: tuple[Place, ...]
    trace_ids: tuple[str, ...]
    healthy_trace_ids: tuple[str, ...]
    agents: tuple[Part, ...] = ()

    @property
    def mark(self) -> str:
        """The fingerprint: kind, agent and tool, or what several agents share."""
        return fingerprint(self.lead.kind, self.lead.subject)


def of_one(members: Sequence[Examined], findings: Sequence[Finding], base: Incident | None) -> Told:
    """Return what is told of one agent. `members` are this run's, `findings` all, the foremost first.

    `base` is the last form of the incident where it goes on from there; what this run did not see comes from it.
    """
    lead, sources = findings[0], sources_of(members)
    dated = best_dated(lead, findings)
    changes = changes_near(dated, sources) or (base.changes if base else ())
    named = next((entry.named for entry in sources if entry.named != Subject()), Subject())
    return Told(
        lead=lead,
        subject=_subject(lead, named, changes, base),
        onset=lead.began or dated.onset,
        affected=affected_of(lead, members, base),
        excess_usd=_excess(lead, findings),
        account=_first(entry.account for entry in sources) or (base.account if base else ()),
        changes=changes,
        places=_first(entry.places for entry in sources) or (base.places if base else ()),
        trace_ids=ids_of(members) or (base.trace_ids if base else ()),
        healthy_trace_ids=_first(e.healthy_trace_ids for e in sources) or (base.healthy_trace_ids if base else ()),
    )


def _excess(lead: Finding, findings: Iterable[Finding]) -> float | None:
    """Return the largest excess; what went over a budget is held against no habit: it counts where it leads."""
    measured = (one for one in findings if one.kind is not Kind.BUDGET or lead.kind is Kind.BUDGET)
    return max((one.excess_usd for one in measured if one.excess_usd is not None), default=None)


def sources_of(members: Sequence[Examined]) -> list[Examined]:
    """Return the members in the order in which their account is believed: cost is what the account is of."""
    return sorted(members, key=lambda entry: entry.finding.kind is not Kind.COST)


def ids_of(members: Iterable[Examined]) -> tuple[str, ...]:
    """Return the trajectories at fault, the foremost finding's first, each finding's worst first."""
    return tuple(
        dict.fromkeys(trace_id for entry in members for trace_id in (*entry.finding.trace_ids, *entry.trace_ids))
    )


def affected_of(lead: Finding, members: Sequence[Examined], base: Incident | None) -> Affected:
    """Count trajectories as they were counted for the foremost finding; a number of calls never stands in for them."""
    key = key_of(lead)
    counted = next((entry.affected for entry in members if key_of(entry.finding) == key), None)
    if counted is not None:
        return counted
    if base is not None and base.fingerprint == key and all(key_of(entry.finding) != key for entry in members):
        return base.affected
    of_calls = lead.unit == CALLS or lead.kind in OF_CALLS
    return Affected(0, 0) if of_calls else Affected(lead.affected, lead.of)


def _first(values: Iterable[tuple[_T, ...]]) -> tuple[_T, ...]:
    return next((value for value in values if value), ())


def _subject(lead: Finding, named: Subject, changes: Sequence[Change], base: Incident | None) -> Subject:
    """Fill in version and model: what was named for a reason, else what changed, the nearest first."""
    known = base.subject if base is not None else Subject()

    def newest(what: str) -> str | None:
        return next((change.to_value for change in changes if change.what == what and change.to_value), None)

    return replace(
        lead.subject,
        version=lead.subject.version or named.version or newest("version") or known.version,
        model=lead.subject.model or named.model or newest("model") or known.model,
    )
