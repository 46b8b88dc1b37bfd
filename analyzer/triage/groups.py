"""Which findings of one run belong to one incident."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from analyzer.triage.explaining import beginning, is_retry_of, is_way_of
from analyzer.triage.rules import EVENTS, FAILURES, FELT, SYMPTOMS, Rules, cause_rank, key_of, keys_of
from analyzer.types.report import ACTIVE, Examined, Finding, Incident, Kind, State
from analyzer.types.shared import Cause


@dataclass(frozen=True, slots=True)
class Group:
    """Findings with one cause, and the incident they continue, if there is one."""

    members: tuple[Examined, ...]
    home: Incident | None = None


def latest_episodes(examined: Sequence[Examined]) -> list[Examined]:
    """Return one finding per anomaly: the one still going on, else the one that began last.

    A detector reports every episode that touches its window. Earlier episodes of the same anomaly are part of the
    same incident's past. Where two detectors see one anomaly go on, the cost of the runs and the price of their tokens,
    the one that says how much it is in all is told.
    """
    latest: dict[str, Examined] = {}
    for entry in examined:
        key = key_of(entry.finding)
        if key not in latest or _episode_order(entry) > _episode_order(latest[key]):
            latest[key] = entry
    return list(latest.values())


def grouped(examined: Sequence[Examined], known: Sequence[Incident], run_start: datetime, rules: Rules) -> list[Group]:
    """Return the findings in groups; each finding is in exactly one.

    A finding first goes to the unresolved incident that already covers it, so that what was one incident stays one
    and what were two stay two. Findings that no incident covers join the foremost one their cause leads to; never a
    dismissed one, for a human dismissed what was known then.
    """
    homes = [_home(entry, known) for entry in examined]
    by_home: dict[str, list[Examined]] = {}
    fresh: list[Group] = []
    for component in _components(examined, run_start, rules):
        homeless = []
        for entry, home in _adopted([(examined[index], homes[index]) for index in component]):
            if home is None:
                homeless.append(entry)
            else:
                by_home.setdefault(home.id, []).append(entry)
        if homeless:
            fresh.append(Group(tuple(homeless)))
    incidents = {incident.id: incident for incident in known}
    return [Group(tuple(members), incidents[name]) for name, members in by_home.items()] + fresh


def _adopted(component: Sequence[tuple[Examined, Incident | None]]) -> list[tuple[Examined, Incident | None]]:
    """Return the findings of a component with the incidents they go to, also those that no incident covers yet.

    What is the matter with one agent is no reason to put another one into its incident; only what they share is. So
    the findings with one cause go together: to the incident that holds the cause, or else to one of their own agents
    that holds no other. All others go where their own agent is.
    """
    open_homes = {home.id: home for _, home in component if home is not None and home.state is not State.DISMISSED}
    covered = [(entry, home.id) for entry, home in component if home is not None and home.id in open_homes]
    held = {name: {entry.cause for entry, own in covered if own == name} - {None} for name in open_homes}
    agents = {name: {entry.finding.subject.agent for entry, own in covered if own == name} for name in open_homes}
    homeless: dict[Cause, set[str | None]] = {}
    for entry, home in component:
        if home is None and entry.cause is not None:
            homeless.setdefault(entry.cause, set()).add(entry.finding.subject.agent)
    by_cause: dict[Cause, Incident] = {}
    for cause, hit in homeless.items():
        holding = [home for name, home in open_homes.items() if cause in held[name] or _is_shared_by(home, cause)]
        free = [home for name, home in open_homes.items() if not home.agents and not held[name] and agents[name] & hit]
        if adopter := min(holding or free, key=_adopting, default=None):
            by_cause[cause] = adopter
            held[adopter.id].add(cause)
            agents[adopter.id] |= hit

    def adopter_of(entry: Examined) -> Incident | None:
        if entry.cause is not None:
            return by_cause.get(entry.cause)
        own = [home for name, home in open_homes.items() if entry.finding.subject.agent in agents[name]]
        return min(own, key=_adopting, default=None)

    return [(entry, home or adopter_of(entry)) for entry, home in component]


def _is_shared_by(home: Incident, cause: Cause) -> bool:
    return bool(home.agents) and getattr(home.subject, cause.shared.what) == cause.shared.name


def _adopting(home: Incident) -> tuple[bool, int, datetime, str]:
    """Return the order in which incidents take in what none covers: what several agents share, then the foremost."""
    return (not home.agents, cause_rank(home.kind), home.opened_at, home.id)


def one_cause(left: Examined, right: Examined, run_start: datetime, rules: Rules) -> bool:
    """Say whether two findings of a run have one cause: same agent, same beginning, and a reason to think so.

    Runaways begin with the first trajectory that went far, which may be hours into a rise that made it: there it is
    enough that they began while it lasted.

    The reasons: both are symptoms of one level (cost, tokens, steps, latency); both are failures (tool errors,
    errors, retries); one is what the other is felt as; they name the same trajectories; or one explains the other's
    excess cost. A loop over a tool that fails for everybody belongs to the failure, whenever it began, and so do two
    findings of single trajectories that are the same ones. So does a rise that is dated hours after the loop it is felt
    from, as one is that takes that long to stand out.
    """
    a, b = left.finding, right.finding
    if is_retry_of(a, b) or is_retry_of(b, a):
        return True
    if a.subject.agent != b.subject.agent or (a.kind is Kind.INJECTION) != (b.kind is Kind.INJECTION):
        # Somebody wrote the text of an injection: it must not decide what another incident is called, or who is told.
        return False
    if a.kind in EVENTS and b.kind in EVENTS and _same_trajectories(left, right, rules):
        return True
    if _is_felt_later(left, right, rules) or _is_felt_later(right, left, rules):
        return True
    together = _began_together(left, right, run_start, rules) or _goes_on(a, b) or _goes_on(b, a)
    return together and (
        _of_one_story(a, b)
        or _same_trajectories(left, right, rules)
        or _explains(left, right, rules)
        or _explains(right, left, rules)
    )


def _of_one_story(a: Finding, b: Finding) -> bool:
    """Say whether two kinds that begin together in one agent are known to come from each other."""
    if {a.kind, b.kind} in _OVER_ONE_TOOL and a.subject.tool == b.subject.tool:
        return True
    if a.kind is b.kind is Kind.LOOP and None in {a.subject.tool, b.subject.tool}:
        # The agent says the same as long as it calls the same, and a row of replies outlasts one of equal results.
        return True
    symptoms = a.kind in SYMPTOMS and b.kind in SYMPTOMS
    failures = a.kind is not b.kind and a.kind in FAILURES and b.kind in FAILURES
    return symptoms or failures or b.kind in FELT.get(a.kind, ()) or a.kind in FELT.get(b.kind, ())


_OVER_ONE_TOOL = ({Kind.LOOP, Kind.TOOL_ERRORS}, {Kind.LOOP, Kind.TOOL_CHOICE})
"""A loop makes its tool be called more often, and fail more often; a new or a failing tool is gone round in."""


def _episode_order(entry: Examined) -> tuple[bool, float, datetime]:
    finding = entry.finding
    goes_on = finding.recovered is None
    return goes_on, (finding.excess_usd or 0.0) if goes_on else 0.0, finding.onset


def _home(entry: Examined, known: Sequence[Incident]) -> Incident | None:
    key = key_of(entry.finding)
    homes = [
        incident
        for incident in known
        if (incident.state in ACTIVE or incident.state is State.DISMISSED) and key in keys_of(incident)
    ]
    # The newest first among equals: it is the one that was last spoken of.
    return max(homes, key=lambda home: (home.fingerprint == key, home.opened_at, home.id), default=None)


def _components(examined: Sequence[Examined], run_start: datetime, rules: Rules) -> list[list[int]]:
    """Return the connected components of "have one cause", as indexes.

    Findings of one agent are compared; those of several have one cause where accounting found that they share it.
    """
    parent = list(range(len(examined)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    by_agent: dict[str | None, list[int]] = {}
    by_cause: dict[Cause, int] = {}
    for index, entry in enumerate(examined):
        if entry.cause is not None:
            parent[root(index)] = root(by_cause.setdefault(entry.cause, index))
        for other in by_agent.setdefault(entry.finding.subject.agent, []):
            if one_cause(examined[other], entry, run_start, rules):
                parent[root(index)] = root(other)
        by_agent[entry.finding.subject.agent].append(index)
    components: dict[int, list[int]] = {}
    for index in range(len(examined)):
        components.setdefault(root(index), []).append(index)
    return list(components.values())


def _began_together(left: Examined, right: Examined, run_start: datetime, rules: Rules) -> bool:
    a, b = left.finding, right.finding
    slack = timedelta(seconds=rules.onset_slack_s)
    (a_low, a_high), (b_low, b_high) = _beginning(a), _beginning(b)
    if max(a_low, b_low) <= min(a_high, b_high) + slack:
        return True
    # Single trajectories are only looked at from run_start on: what is there from the first hour may be older, unless
    # the history before was looked through.
    return any(
        event.kind in EVENTS and event.began is None and event.onset <= run_start + slack and other.onset <= event.onset
        for event, other in ((a, b), (b, a))
    )


def _beginning(finding: Finding) -> tuple[datetime, datetime]:
    """Return the interval in which a finding began: what the history shows earlier than the window is no estimate."""
    return (finding.began, finding.began) if finding.began is not None else (finding.onset_low, finding.onset_high)


def _goes_on(event: Finding, cause: Finding) -> bool:
    """Say whether single trajectories are a part of what lasts: loops of a failing tool, runaways of a risen level."""
    during = cause.onset_low <= beginning(event) and (cause.recovered is None or event.onset < cause.recovered)
    return during and (is_way_of(event, cause) or _is_tail_of(event, cause))


def _is_felt_later(cause: Examined, level: Examined, rules: Rules) -> bool:
    """Say whether a level rose by loops that were there before: the dearest trajectories loop, and that is the money.

    Either alone is not enough. Of whatever rose for another reason the few that loop are always the dearest; and two
    amounts may be alike by chance.
    """
    if cause.finding.kind is not Kind.LOOP or beginning(cause.finding) > level.finding.onset_high:
        return False
    return _same_trajectories(cause, level, rules) and _explains(cause, level, rules)


def _is_tail_of(runaway: Finding, level: Finding) -> bool:
    """Say whether single trajectories that went far are the tail of a level that rose for all of their agent's."""
    if runaway.kind is not Kind.RUNAWAY or level.kind in EVENTS:
        return False
    return level.kind in SYMPTOMS or level.kind is Kind.TOOL_LATENCY


def _same_trajectories(left: Examined, right: Examined, rules: Rules) -> bool:
    a = {*left.finding.trace_ids, *left.trace_ids}
    b = {*right.finding.trace_ids, *right.trace_ids}
    smaller = min(len(a), len(b))
    return smaller > 0 and len(a & b) >= rules.same_cause_share * smaller


def _explains(cause: Examined, symptom: Examined, rules: Rules) -> bool:
    if symptom.finding.kind not in SYMPTOMS or cause.finding.kind in SYMPTOMS:
        return False
    explained, excess = cause.finding.excess_usd, symptom.finding.excess_usd
    if explained is None or excess is None or excess <= 0:
        return False
    return explained >= rules.same_cause_share * excess
