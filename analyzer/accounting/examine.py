"""Everything that can be computed about a finding before anyone is asked to explain it.

A finding says that a number rose. Here it gets its account (which factor rose), what else changed near its onset,
the trajectories at fault and healthy peers, and the errors they share, word for word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from analyzer.accounting.changes import compared as compared_changes
from analyzer.accounting.changes import rank_changes, together
from analyzer.accounting.guilty import WORST, at_fault
from analyzer.accounting.peers import healthy_before
from analyzer.accounting.periods import UsageOf, account_of, compared
from analyzer.accounting.places import Searched, named, places_of, price_changes
from analyzer.accounting.suspects import suspects_of
from analyzer.stores.base import TrajectoryStore
from analyzer.types.metric import TICK_S, Signal, Window
from analyzer.types.report import CALLS, Affected, Change, Examined, Finding, Kind

TRAJECTORIES_MIN = 3
"""Independent trajectories that must fail before a tool is said to: two may be a coincidence."""
SAMPLE_MIN = 0.9
"""Share of what was counted that the store must hold to speak for all of it: its series are chosen by the same rule."""


def examine(
    store: TrajectoryStore,
    finding: Finding,
    *,
    at: datetime,
    history_start: datetime,
    builds: Sequence[Change] = (),
    exemplars: Sequence[str] = (),
    usage: UsageOf | None = None,
) -> Examined:
    """Return the finding with its account, changes, trajectories and shared errors. Reads from the store.

    `builds` are versions that metrics saw first, of the finding's agent or of all; `exemplars` the trajectories that
    metrics name as carrying it, worst first. They go before those that the store finds. `usage` stands in for the
    store's: findings of one onset compare the same periods.
    """
    agent = finding.subject.agent
    if agent is None:
        return Examined(finding)
    end = finding.recovered or at
    oldest = store.summaries(agent=agent, order="oldest", limit=1)
    known_since = _moment(oldest[0].end_ns) if oldest else at
    periods = compared(finding.onset, finding.onset_low, end, max(history_start, known_since))
    account = account_of(usage or store.usage, finding.kind, agent, periods)
    searched = places_of(store, finding, agent, periods)
    seen = together(store.changes(agent, history_start, at), builds)
    changes = near(finding, [*compared_changes(seen, searched.since), *price_changes(account, finding)], searched)
    found, evidence = at_fault(store, finding, agent, end)
    worst = tuple(dict.fromkeys((*exemplars, *found)))[:WORST] if exemplars else found
    return Examined(
        finding=finding,
        account=account.factors,
        changes=changes,
        trace_ids=worst,
        healthy_trace_ids=healthy_before(store, finding, agent, worst, end, history_start),
        evidence=evidence,
        affected=_hit(store, finding, agent, end),
        places=searched.places,
        named=named(account, searched.places, changes),
        change=account.change,
        suspects=suspects_of(store, finding, account, searched.places, worst, evidence, end),
    )


def is_single(examined: Examined) -> bool:
    """Say whether a rise of failed calls comes from too few trajectories to be one.

    The calls of one trajectory fail together: what fails in one run or two says something about those runs, nothing
    about the tool.
    """
    if examined.finding.kind is not Kind.TOOL_ERRORS:
        return False
    known = examined.affected
    return 0 < (len(examined.trace_ids) if known is None else known.trajectories) < TRAJECTORIES_MIN


def with_extent(finding: Finding, window: Window) -> Finding:
    """Return a finding from single trajectories with how many its agent had since the onset.

    Such a detector sees only the suspects; "14 of 17" would be right of those, and wrong of the agent. Where no series
    counts the agent's trajectories, the suspects stay.
    """
    if finding.kind not in {Kind.LOOP, Kind.INJECTION}:
        return finding
    onset_s = finding.onset.timestamp()
    seen = sum(
        count
        for series in window.series
        if series.signal is Signal.ERRORS and series.subject.agent == finding.subject.agent
        for tick, count in enumerate(series.count)
        if series.start_s + (tick + 1) * TICK_S > onset_s
    )
    # A looping trajectory that still runs is in no series yet.
    return replace(finding, of=max(finding.affected, round(seen)) if seen else finding.of)


def near(finding: Finding, seen: Sequence[Change], searched: Searched) -> tuple[Change, ...]:
    """Return what became different for the agent near the onset, what is borne out first, then the nearest."""
    if finding.began is not None:
        return rank_changes(seen, finding.onset_low, finding.began, finding.began, searched.places)
    return rank_changes(seen, finding.onset_low, finding.onset, finding.onset_high, searched.places)


def _moment(nanoseconds: int | None) -> datetime:
    return datetime.fromtimestamp((nanoseconds or 0) / 1e9, UTC)


def _hit(store: TrajectoryStore, finding: Finding, agent: str, end: datetime) -> Affected | None:
    """Return in how many trajectories a call of a failing tool failed, of those that called it since the onset.

    Such a finding counts calls, and the trajectories that failed are not the same: an agent may recover, or fail for
    another reason. None for every other kind, and where the store holds too few of the calls to speak for all.
    """
    tool = finding.subject.tool
    if finding.kind is not Kind.TOOL_ERRORS or tool is None:
        return None
    used = store.callers(agent, tool, finding.onset, end)
    seen = used.calls if finding.unit == CALLS else used.trajectories
    return Affected(used.failed, used.trajectories) if seen and seen >= SAMPLE_MIN * finding.of else None
