"""One group of findings as one incident, new or carried on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from analyzer.accounting.running import OF_ABSENCE
from analyzer.triage.drawn import curve_of, strip_of
from analyzer.triage.evidence import numbered
from analyzer.triage.explaining import is_way_of
from analyzer.triage.fleetwide import of_several, shared_by
from analyzer.triage.groups import Group
from analyzer.triage.rules import EVENTS, Rules, cause_rank, incident_id, key_of
from analyzer.triage.title import title
from analyzer.triage.told import of_one
from analyzer.types.diagnosis import Diagnosis
from analyzer.types.report import Examined, Finding, Incident, Severity, State, Subject
from analyzer.types.word import Episode

PAST_MAX = 20
"""Earlier lives kept of an incident: one that comes back every night is known by then."""


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
    last_ran_at: datetime | None = None
    """When the agents concerned last ran, as far as this run knows."""


Judge = Callable[[Finding, Severity | None], Severity]
"""Says how bad a finding is, given the severity that its incident had before this run; None where it is new."""


def finding_rank(finding: Finding, others: Iterable[Finding] = ()) -> tuple[bool, int, bool, float, str]:
    """Return what findings of one incident are sorted by: cause first, what goes on first, strongest first.

    Among `others`, a loop that is only how one of them goes on comes after it (`explaining`).
    """
    echo = any(is_way_of(finding, other) for other in others)
    return (echo, cause_rank(finding.kind), finding.recovered is not None, -finding.score, key_of(finding))


def compose(
    group: Group, base: Incident | None, course: Course, at: datetime, severity: Judge, rules: Rules
) -> Incident:
    """Return the incident of a group; `base` is its last form: its id, its opening, and what this run did not see.

    What a model said of it is kept. What rules said of the figures of an earlier run is not: it can be said anew.
    """
    members = sorted(group.members, key=_rank)
    keep = course.keep and base is not None
    seen = {key_of(entry.finding) for entry in members}
    retained = [finding for finding in base.findings if key_of(finding) not in seen] if keep and base else []
    last_form = base if keep else None
    shared = shared_by(group, last_form)
    diagnosis = _kept(last_form, shared)
    fresh, evidence = numbered(members, retained, base, diagnosis, limit=rules.evidence_max)
    mark = base.fingerprint if keep and base else ""
    # Among equals the finding it was opened for stays the foremost, so that an incident does not change its subject.
    together = [*fresh, *retained]
    findings = sorted(
        together, key=lambda f: (finding_rank(f, together)[:2], key_of(f) != mark, finding_rank(f, together))
    )
    told = of_one(members, findings, last_form) if shared is None else of_several(shared, members, findings, last_form)
    lead = told.lead
    # What is found in single trajectories is only looked for in the window: it began when an earlier run first saw it,
    # or where the history shows it first.
    remembered = base is not None and keep and lead.kind in EVENTS and base.kind is lead.kind
    onset = min(base.onset, told.onset) if base is not None and remembered else told.onset
    last = base.severity if base is not None and keep else None
    ran = None if lead.kind in OF_ABSENCE else course.last_ran_at
    grade = max((severity(finding, last) for finding in dict.fromkeys((lead, *findings))), key=lambda one: one.rank)
    return Incident(
        id=base.id if base is not None else incident_id(told.mark, lead.onset),
        fingerprint=told.mark,
        state=course.state,
        severity=grade if course.may_rise or last is None else min(grade, last, key=lambda one: one.rank),
        kind=lead.kind,
        title=title(told, onset, ran or at),
        subject=told.subject,
        onset=onset,
        opened_at=base.opened_at if base is not None else at,
        last_seen_at=course.last_seen_at,
        last_ran_at=ran,
        observed=lead.value,
        expected=lead.baseline,
        ratio=lead.value / lead.baseline if lead.baseline > 0 else None,
        unit=lead.unit,
        affected=told.affected,
        excess_usd=told.excess_usd,
        findings=tuple(findings),
        account=told.account,
        changes=told.changes,
        places=told.places,
        trace_ids=told.trace_ids[: rules.trace_ids_max],
        healthy_trace_ids=told.healthy_trace_ids[: rules.trace_ids_max],
        diagnosis=diagnosis,
        evidence=evidence,
        resolved_at=course.resolved_at,
        word=base.word if base and (keep or base.state is State.DISMISSED) else None,
        muted_until=base.muted_until if keep and base and grade.rank <= base.severity.rank else None,
        past=_past(base),
        heard=base.heard if base else 0,
        agents=told.agents,
        curve=curve_of(lead, findings, members, last_form),
        strip=strip_of(findings, members, last_form),
        alerts=base.alerts if keep and base else (),
    )


def _past(base: Incident | None) -> tuple[Episode, ...]:
    """Return the earlier lives of an incident, with the one that a resolution ended."""
    if base is None or base.state is not State.RESOLVED:
        return base.past if base is not None else ()
    return (*base.past, Episode(base.onset, base.resolved_at or base.last_seen_at, base.observed))[-PAST_MAX:]


def _kept(base: Incident | None, shared: Subject | None) -> Diagnosis | None:
    """Return what a model said of an incident. It goes when others turn out to share the cause: it was said of one."""
    if base is None or base.diagnosis is None or base.diagnosis.by_rules:
        return None
    return None if shared is not None and not base.agents else base.diagnosis


def dismissed(base: Incident, course: Course) -> Incident:
    """Return a dismissed incident that was seen again: what the human saw stays, for "worse" is measured from there."""
    return replace(base, last_seen_at=course.last_seen_at)


def _rank(entry: Examined) -> tuple[bool, int, bool, float, str]:
    return finding_rank(entry.finding)
