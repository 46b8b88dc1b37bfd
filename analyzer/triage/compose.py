"""One group of findings as one incident, new or carried on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from analyzer.triage.dated import best_dated, changes_near, since
from analyzer.triage.evidence import numbered
from analyzer.triage.groups import Group
from analyzer.triage.rules import EVENTS, Rules, cause_rank, fingerprint, incident_id, is_retry_of, is_turn_of, key_of
from analyzer.triage.title import title
from analyzer.types.report import (
    CALLS,
    OF_CALLS,
    Affected,
    Change,
    Examined,
    Finding,
    Incident,
    Kind,
    Severity,
    State,
    Subject,
)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Course:
    """Where the life of an incident stands after this run."""

    state: State
    last_seen_at: datetime
    resolved_at: datetime | None
    keep: bool
    """Whether it goes on from its last form: its diagnosis and its unseen findings stay. False where it began anew."""
    may_rise: bool = True
    """Whether its severity may rise. Not while its agent cannot be seen: what is not there is no worse fault."""


Judge = Callable[[Finding, Severity | None], Severity]
"""Says how bad a finding is, given the severity that its incident had before this run; None where it is new."""


def finding_rank(finding: Finding, others: Iterable[Finding] = ()) -> tuple[bool, int, bool, float, str]:
    """Return what findings of one incident are sorted by: cause first, what goes on first, strongest first.

    Among `others`, a loop that only tries again what fails for everybody comes after the failure, and one over a tool
    that was newly chosen after the choice.
    """
    echo = any(is_retry_of(finding, other) or is_turn_of(finding, other) for other in others)
    return (echo, cause_rank(finding.kind), finding.recovered is not None, -finding.score, key_of(finding))


def compose(
    group: Group,
    base: Incident | None,
    course: Course,
    at: datetime,
    severity: Judge,
    rules: Rules,
) -> Incident:
    """Return the incident of a group; `base` is its last form: its id, its opening, and what this run did not see.

    What a model said of it is kept. What rules said of the figures of an earlier run is not: it can be said anew.
    """
    members = sorted(group.members, key=_rank)
    keep = course.keep and base is not None
    seen = {key_of(entry.finding) for entry in members}
    retained = [finding for finding in base.findings if key_of(finding) not in seen] if keep and base else []
    diagnosis = base.diagnosis if keep and base and base.diagnosis and not base.diagnosis.by_rules else None
    fresh, evidence = numbered(members, retained, base, diagnosis, limit=rules.evidence_max)
    mark = base.fingerprint if keep and base else ""
    # Among equals the finding it was opened for stays the foremost, so that an incident does not change its subject.
    together = [*fresh, *retained]
    findings = sorted(
        together, key=lambda f: (finding_rank(f, together)[:2], key_of(f) != mark, finding_rank(f, together))
    )
    lead = findings[0]
    sources = _sources(members)
    dated = best_dated(lead, findings)
    changes = changes_near(dated, sources) or (base.changes if keep and base else ())
    named = next((entry.named for entry in sources if entry.named != Subject()), Subject())
    subject = _subject(lead, named, changes, base if keep else None)
    mark = fingerprint(lead.kind, lead.subject)
    excess_usd = max((f.excess_usd for f in findings if f.excess_usd is not None), default=None)
    # What is found in single trajectories is only looked for in the window: it began when an earlier run first saw it,
    # or where the history shows it first.
    remembered = base is not None and keep and lead.kind in EVENTS and base.kind is lead.kind
    first = lead.began or dated.onset
    onset = min(base.onset, first) if base is not None and remembered else first
    last = base.severity if base is not None and keep else None
    grade = max((severity(finding, last) for finding in findings), key=lambda one: one.rank)
    return Incident(
        id=base.id if base is not None else incident_id(mark, lead.onset),
        fingerprint=mark,
        state=course.state,
        severity=grade if course.may_rise or last is None else min(grade, last, key=lambda one: one.rank),
        kind=lead.kind,
        title=title(since(lead, onset), subject, excess_usd, at, began=onset),
        subject=subject,
        onset=onset,
        opened_at=base.opened_at if base is not None else at,
        last_seen_at=course.last_seen_at,
        observed=lead.value,
        expected=lead.baseline,
        ratio=lead.value / lead.baseline if lead.baseline > 0 else None,
        unit=lead.unit,
        affected=_affected(lead, members, base if keep else None),
        excess_usd=excess_usd,
        findings=tuple(findings),
        account=_first(entry.account for entry in sources) or (base.account if keep and base else ()),
        changes=changes,
        places=_first(entry.places for entry in sources) or (base.places if keep and base else ()),
        trace_ids=_trace_ids(members, rules) or (base.trace_ids if keep and base else ()),
        healthy_trace_ids=_first(e.healthy_trace_ids for e in sources)
        or (base.healthy_trace_ids if keep and base else ()),
        diagnosis=diagnosis,
        evidence=evidence,
        resolved_at=course.resolved_at,
    )


def dismissed(base: Incident, course: Course) -> Incident:
    """Return a dismissed incident that was seen again: what the human saw stays, for "worse" is measured from there."""
    return replace(base, last_seen_at=course.last_seen_at)


def _rank(entry: Examined) -> tuple[bool, int, bool, float, str]:
    return finding_rank(entry.finding)


def _sources(members: Sequence[Examined]) -> list[Examined]:
    """Return the members in the order in which their account is believed: cost is what the account is of."""
    return sorted(members, key=lambda entry: entry.finding.kind is not Kind.COST)


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


def _affected(lead: Finding, members: Sequence[Examined], base: Incident | None) -> Affected:
    """Count trajectories as they were counted for the foremost finding; a number of calls never stands in for them."""
    key = key_of(lead)
    counted = next((entry.affected for entry in members if key_of(entry.finding) == key), None)
    if counted is not None:
        return counted
    if base is not None and base.fingerprint == key and all(key_of(entry.finding) != key for entry in members):
        return base.affected
    of_calls = lead.unit == CALLS or lead.kind in OF_CALLS
    return Affected(0, 0) if of_calls else Affected(lead.affected, lead.of)


def _trace_ids(members: Sequence[Examined], rules: Rules) -> tuple[str, ...]:
    """Return the trajectories at fault, the foremost finding's first, each finding's worst first."""
    ids = dict.fromkeys(trace_id for entry in members for trace_id in (*entry.finding.trace_ids, *entry.trace_ids))
    return tuple(ids)[: rules.trace_ids_max]
