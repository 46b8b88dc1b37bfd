"""The life of incidents from run to run: open, ongoing, resolved, regressed, dismissed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime, timedelta

from analyzer.triage.compose import Course, Judge, compose, dismissed, finding_rank
from analyzer.triage.fleetwide import mark_of
from analyzer.triage.groups import Group, grouped, latest_episodes
from analyzer.triage.rules import (
    EVENTS,
    Rules,
    incident_id,
    key_of,
    keys_of,
    nothing_new,
)
from analyzer.triage.trust import lowered
from analyzer.types.report import ACTIVE, Examined, Finding, Incident, Kind, State
from analyzer.types.word import Said
from analyzer.types.worse import clearly_worse

_DEFAULT_RULES = Rules()
_NOT_KNOWN: Mapping[str, datetime] = {}


def triage(
    examined: Sequence[Examined],
    previous: Sequence[Incident],
    at: datetime,
    *,
    run_start: datetime,
    severity: Judge,
    blind: AbstractSet[str] = frozenset(),
    demoted: AbstractSet[str] = frozenset(),
    ran: Mapping[str, datetime] = _NOT_KNOWN,
    rules: Rules = _DEFAULT_RULES,
) -> tuple[Incident, ...]:
    """Return the incidents as this run leaves them, worst first.

    `examined` are this run's findings, `previous` every incident of earlier runs in its latest form, `at` the run's
    now, `run_start` the beginning of the part of the window that is judged, `blind` the agents that could not be
    seen: nothing of theirs is resolved, for not being able to see is no recovery, and nothing becomes more severe.
    While the whole fleet is silent no agent's does either: the silence is the news. Incidents that a finding of a
    `demoted` detector leads count one severity less. `ran` says when agents last ran, as far as is known.

    Returned are the incidents of this run's findings, the unresolved ones of earlier runs, and those this run
    resolved. A resolved or dismissed incident that no finding touches is left out: nothing about it changed.
    """
    known = as_of(previous, at)
    closed = [incident for incident in known if incident.state is State.RESOLVED]
    unresolved = [incident for incident in known if incident.state is not State.RESOLVED]
    fresh = [
        entry
        for entry in latest_episodes(examined)
        if not _is_past(entry.finding, unresolved, run_start)
        and not _is_echo(entry.finding, unresolved, closed, at, rules)
    ]
    silent = any(_is_fleet_silence(entry.finding) for entry in fresh)
    incidents: list[Incident] = []
    touched = set()
    for group in grouped(fresh, unresolved, run_start, rules):
        base = group.home or _returned(group, closed)
        judge = lowered(severity) if _leads(group, base).detector in demoted else severity
        agents = _agents(entry.finding for entry in group.members)
        course = replace(
            _course(group, base, at, blind, rules),
            may_rise=not agents or not (silent or agents & blind),
            last_ran_at=max((ran[agent] for agent in agents if agent in ran), default=None),
        )
        incident = _next_form(group, base, course, at, judge, rules)
        if base is None and incident.id in {other.id for other in (*known, *incidents)}:
            # The id of an incident that has since become another one's: rare, and both must be kept.
            incident = replace(incident, id=incident_id(f"{incident.fingerprint}/{len(known)}", incident.onset))
        touched.add(incident.id)
        incidents.append(incident)
    incidents += [
        _carried(incident, at, blind, rules)
        for incident in unresolved
        if incident.id not in touched and incident.state in ACTIVE
    ]
    return tuple(sorted(incidents, key=_rank))


def newest_first(incidents: Iterable[Incident]) -> list[Incident]:
    """Return incidents as people list them: those opened last first, of one run the worst first."""
    return sorted(sorted(incidents, key=_rank), key=lambda incident: incident.opened_at, reverse=True)


def _rank(incident: Incident) -> tuple[int, float, datetime, str]:
    return (-incident.severity.rank, -(incident.excess_usd or 0.0), incident.onset, incident.id)


def as_of(incidents: Sequence[Incident], at: datetime) -> list[Incident]:
    """Return the incidents that were known at `at`, as they stood then, as far as their latest form tells.

    A run repeated on history knows neither what was opened later nor a later resolution or explanation.
    """
    return [_as_of(incident, at) for incident in incidents if incident.opened_at <= at]


def _as_of(incident: Incident, at: datetime) -> Incident:
    if incident.state is State.RESOLVED and _resolved_at(incident) > at:
        incident = replace(incident, state=State.ONGOING, resolved_at=None)
    if incident.word is not None and incident.word.at > at:
        unsaid = State.ONGOING if incident.state is State.DISMISSED else incident.state
        # Whoever keeps this form has not heard the word: it is heard again by the next who reads the incident.
        incident = replace(incident, word=None, state=unsaid, heard=min(incident.heard, incident.word.number - 1))
    explained_at = incident.diagnosis.as_of if incident.diagnosis is not None else None
    if explained_at is not None and explained_at > at:
        incident = replace(incident, diagnosis=None)
    return replace(incident, last_seen_at=min(incident.last_seen_at, at))


def _is_fleet_silence(finding: Finding) -> bool:
    return finding.kind is Kind.SILENCE and finding.subject.agent is None and finding.recovered is None


def _is_past(finding: Finding, unresolved: Sequence[Incident], run_start: datetime) -> bool:
    """Say whether a finding was over before the judged part began and concerns nothing that still runs."""
    if finding.recovered is None or finding.recovered >= run_start:
        return False
    return not any(key_of(finding) in keys_of(incident) for incident in unresolved)


def _is_echo(
    finding: Finding, unresolved: Sequence[Incident], closed: Sequence[Incident], at: datetime, rules: Rules
) -> bool:
    """Say whether a finding is still the one that a resolved incident was about, and no return of it.

    The window still shows what was resolved a while ago. It has returned where it began after the resolution, where
    it names new trajectories, or where it simply went on for `recovered_hold_s` after somebody declared it resolved.
    What is clearly worse than it was then is no echo, and without anything new there is nothing but the echo.
    """
    key = key_of(finding)
    if any(key in keys_of(incident) for incident in unresolved):
        return False
    owners = [incident for incident in closed if key in keys_of(incident)]
    if not owners:
        return False
    last = max(owners, key=lambda incident: (_resolved_at(incident), incident.id))
    return nothing_new(finding, last) if finding.kind in EVENTS else _is_as_it_was(finding, last, at, rules)


def _is_as_it_was(finding: Finding, last: Incident, at: datetime, rules: Rules) -> bool:
    """Say whether a level is still the one of a resolved incident."""
    resolved_at = _resolved_at(last)
    known = next((old for old in last.findings if key_of(old) == key_of(finding)), None)
    then = last.observed if known is None else known.value
    if finding.recovered is not None:
        return finding.onset <= resolved_at
    if clearly_worse(finding.kind, then, finding.value):
        return False
    # Where nothing has run since, what is old does not return by itself.
    nothing_ran = known is not None and finding.onset <= resolved_at and 0 < finding.of <= known.of
    held = timedelta(seconds=rules.recovered_hold_s)
    return nothing_ran or (finding.onset_low < resolved_at and at - resolved_at < held)


def _resolved_at(incident: Incident) -> datetime:
    return incident.resolved_at or incident.last_seen_at


def _returned(group: Group, closed: Sequence[Incident]) -> Incident | None:
    """Return the resolved incident that a group brings back: the one that its foremost finding is or once opened."""
    findings = [entry.finding for entry in group.members]
    lead = min(findings, key=lambda finding: finding_rank(finding, findings))
    mark = mark_of(group, lead)
    opened_as = incident_id(mark, lead.onset)
    same = [incident for incident in closed if incident.fingerprint == mark or incident.id == opened_as]
    return max(same, key=lambda incident: (_resolved_at(incident), incident.id), default=None)


def _next_form(
    group: Group, base: Incident | None, course: Course, at: datetime, severity: Judge, rules: Rules
) -> Incident:
    if base is not None and base.state is State.DISMISSED:
        grades = [severity(one.finding, base.severity) for one in group.members if one.finding.recovered is None]
        rose = course.may_rise and any(grade.rank > base.severity.rank for grade in grades)
        if not rose and not _is_worse(group, base):
            return dismissed(base, course)
    return compose(group, base, course, at, severity, rules)


def _leads(group: Group, base: Incident | None) -> Finding:
    """Return the foremost finding of a group and of what its incident holds already."""
    known = base.findings if base is not None and base.state is not State.RESOLVED else ()
    findings = [*(entry.finding for entry in group.members), *known]
    return min(findings, key=lambda finding: finding_rank(finding, findings))


def _is_worse(group: Group, base: Incident) -> bool:
    """Say whether what a human dismissed is clearly worse now: any of its findings, in any agent that shares it."""
    before = {part.agent: part.observed for part in base.agents if part.kind == base.kind.value}
    known = {key_of(old): old.value for old in base.findings}

    def then(one: Finding) -> float | None:
        """Return what was observed of a finding when it was dismissed; None where it was not part of it."""
        if key_of(one) == base.fingerprint:
            return base.observed
        if base.agents and one.kind is base.kind:
            return before.get(one.subject.agent or "", base.observed)
        return known.get(key_of(one))

    return any(
        one.recovered is None and (old := then(one)) is not None and clearly_worse(one.kind, old, one.value)
        for one in (entry.finding for entry in group.members)
    )


def _agents(findings: Iterable[Finding]) -> frozenset[str]:
    return frozenset(one.subject.agent for one in findings if one.subject.agent is not None)


def _course(group: Group, base: Incident | None, at: datetime, blind: AbstractSet[str], rules: Rules) -> Course:
    """Decide state and times from what this run saw of an incident."""
    findings = [entry.finding for entry in group.members]
    returned = base is not None and base.state is State.RESOLVED
    active = any(
        finding.recovered is None and (base is None or returned or not nothing_new(finding, base))
        for finding in findings
    )
    before = [base.last_seen_at] if base is not None and not returned else []
    ends = [finding.recovered for finding in findings if finding.recovered is not None]
    last_seen_at = at if active else min(max([*ends, *before]), at)
    resolved = (
        not active
        and _over(findings, group, last_seen_at, at, rules)
        and not _is_blind(group, blind)
        and not _is_reopened(base, at, rules)
    )
    if resolved:
        state = State.RESOLVED
    elif returned:
        state = State.REGRESSED
    else:
        state = State.ONGOING if base is not None else State.OPEN
    # An incident that came back, or that a human had dismissed in a milder form, is explained afresh.
    keep = base is not None and base.state in ACTIVE
    return Course(state, last_seen_at, at if resolved else None, keep)


def _is_reopened(incident: Incident | None, at: datetime, rules: Rules) -> bool:
    """Say whether a human took a resolution back a short while ago: what made a run resolve it is known to them."""
    if incident is None or incident.word is None or incident.word.said is not Said.REOPENED:
        return False
    return at - incident.word.at < timedelta(seconds=rules.quiet_s)


def _over(findings: Sequence[Finding], group: Group, last_seen_at: datetime, at: datetime, rules: Rules) -> bool:
    """Say whether everything is over: recoveries have held, and what cannot recover has been quiet long enough."""
    seen = {key_of(finding) for finding in findings}
    unseen = group.home is not None and any(
        old.recovered is None and key_of(old) not in seen for old in group.home.findings
    )
    if unseen or any(finding.recovered is None for finding in findings):
        return at - last_seen_at >= timedelta(seconds=rules.quiet_s)
    hold = timedelta(seconds=rules.recovered_hold_s)
    return all(finding.recovered is not None and at - finding.recovered >= hold for finding in findings)


def _is_blind(group: Group, blind: AbstractSet[str]) -> bool:
    findings = [entry.finding for entry in group.members]
    return _unseen([*findings, *(group.home.findings if group.home is not None else ())], blind)


def _unseen(findings: Iterable[Finding], blind: AbstractSet[str]) -> bool:
    """Say whether any agent that findings are about cannot be seen; of the whole fleet, whether any agent cannot."""
    agents = _agents(findings)
    return bool(agents & blind) if agents else bool(blind)


def _carried(incident: Incident, at: datetime, blind: AbstractSet[str], rules: Rules) -> Incident:
    """Return an incident that this run saw nothing of: ongoing until it was quiet for long enough while visible."""
    quiet = at - incident.last_seen_at >= timedelta(seconds=rules.quiet_s)
    if quiet and not _unseen(incident.findings, blind) and not _is_reopened(incident, at, rules):
        return replace(incident, state=State.RESOLVED, resolved_at=at)
    return replace(incident, state=State.ONGOING)
