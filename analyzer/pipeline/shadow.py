"""The shadow of a fleet: what of it a drill copies, and copies of healthy days in the place of what is to come.

The shadow's clock goes on where the history ends: each agent repeats its own healthy days, at the same hours, so that
its baseline stays its own and what is wrong with it now is not in the way.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from analyzer.pipeline.app import App
from analyzer.pipeline.phases import collected, detected
from analyzer.selfwatch.drill.cast import Profile
from analyzer.selfwatch.drill.timeline import moved, new_id
from analyzer.selfwatch.recorder import AGENT
from analyzer.stores.base import TrajectoryStore
from analyzer.types.report import Kind
from analyzer.types.trace import Span
from analyzer.types.trajectory import TrajectorySummary

REACH = timedelta(days=15)
"""Of history that is copied: baselines are learnt from fourteen days without the last one."""
AGENTS_MAX = 8
STEPS_MAX = 100_000
"""Steps that the shadow's history holds at most: some 150 MB, and half a minute to write."""
TRAJECTORIES_MIN = 20
"""Of an agent's healthy history: with fewer there is nothing to copy from."""
BEFORE_TROUBLE = timedelta(hours=1)
"""An onset may lie a little before what is said of it."""
DAYS_BACK_MAX = 15
BATCH_SPANS = 1_000
_RECENT = timedelta(days=2)
_TOOLS_MAX = 8
_DAY, _WEEK = timedelta(days=1), timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Source:
    """One agent's healthy history."""

    agent: str
    first: datetime
    healthy_until: datetime
    one_in: int
    kept: tuple[TrajectorySummary, ...]
    """Oldest first; all have both times."""

    def days_back(self, moment: datetime) -> int | None:
        """Return from how many days before the trajectories at a moment are copied; None where there is no such day.

        A week before where that was a healthy time, because weekends differ; else the last healthy day.
        """
        if self.first <= moment - _WEEK < self.healthy_until:
            return 7
        back = max(math.floor((moment - self.healthy_until) / _DAY) + 1, 1)
        return back if moment - back * _DAY >= self.first else None


@dataclass(frozen=True, slots=True)
class Copy:
    """One trajectory of the shadow: of which one it is a copy, and by how many days it is moved."""

    trace_id: str
    days: int
    begins: datetime
    agent: str


def start_of(summary: TrajectorySummary) -> datetime:
    """Return when a trajectory with times began."""
    return datetime.fromtimestamp((summary.start_ns or 0) / 1e9, UTC)


def sources(app: App, at: datetime, rng: random.Random) -> tuple[tuple[Source, ...], int]:
    """Return the agents that the shadow holds, with their healthy history, and how many it has no room for.

    Raises StoreError.
    """
    begins = at - min(app.history, REACH)
    volumes = {one.value: one for one in app.trajectories.totals("agent", begins, at) if one.value not in (None, AGENT)}
    names = [str(name) for name, one in volumes.items() if one.trajectories >= TRAJECTORIES_MIN]
    # The busiest show the most; among the others chance decides, so that other seeds see others.
    busiest = sorted(names, key=lambda name: -volumes[name].trajectories)[: AGENTS_MAX // 2]
    rest = sorted(set(names) - set(busiest))
    chosen = [*busiest, *rng.sample(rest, min(len(rest), AGENTS_MAX - len(busiest)))]
    ends = _healthy_until(app, at, chosen)
    room = STEPS_MAX / max(len(chosen), 1)
    found = []
    for name in sorted(chosen):
        one_in = max(math.ceil(volumes[name].calls / room), 1)
        kept = tuple(_kept(app.trajectories, name, begins, ends[name], one_in))
        if len(kept) >= TRAJECTORIES_MIN // 2:
            found.append(Source(name, start_of(kept[0]), ends[name], one_in, kept))
    return tuple(found), len(volumes) - len(found)


def _healthy_until(app: App, at: datetime, agents: Sequence[str]) -> dict[str, datetime]:
    """Return by agent when the first thing began that is wrong with it now; the end of the history where nothing is."""
    ends = dict.fromkeys(agents, at)
    findings, _ = detected(app, collected(app, at))
    troubles = [(found.subject.agent, min(found.onset_low, found.began or found.onset_low)) for found in findings]
    troubles += [(name, one.onset) for one in app.incidents.incidents(active_only=True) for name in one.concerned]
    for agent, onset in troubles:
        if agent in ends:
            ends[agent] = min(ends[agent], onset - BEFORE_TROUBLE)
    return ends


def _kept(
    store: TrajectoryStore, agent: str, begins: datetime, ends: datetime, one_in: int
) -> Iterator[TrajectorySummary]:
    """Yield finished trajectories of an agent, day by day: an agent may have a million."""
    while begins < ends:
        until = min(begins + _DAY / 4, ends)
        for summary in store.summaries(agent=agent, start=begins, end=until, order="oldest", limit=STEPS_MAX):
            is_whole = summary.complete and summary.start_ns is not None and summary.end_ns is not None
            if is_whole and int(new_id(summary.trace_id, digits=8), 16) % one_in == 0:
                yield summary
        begins = until


def history(source: Source, at: datetime) -> list[Copy]:
    """Return an agent's history up to a moment: itself, and copies of earlier days since something went wrong."""
    own = [Copy(one.trace_id, 0, start_of(one), source.agent) for one in source.kept]
    return own + copies(source, source.healthy_until, at)


def copies(source: Source, begins: datetime, ends: datetime) -> list[Copy]:
    """Return copies of an agent's healthy trajectories that begin in [begins, ends), in order."""
    found = []
    for summary in source.kept:
        start = start_of(summary)
        for days in range(max(math.ceil((begins - start) / _DAY), 1), DAYS_BACK_MAX):
            moment = start + days * _DAY
            if moment >= ends:
                break
            if source.days_back(moment) == days:
                found.append(Copy(summary.trace_id, days, moment, source.agent))
    return sorted(found, key=lambda one: (one.begins, one.trace_id))


def spans_of(app: App, copy: Copy) -> tuple[Span, ...]:
    """Return the spans of a copy. Raises StoreError, NotFoundError where retention was faster."""
    spans = app.trajectories.trajectory(copy.trace_id).spans
    return (
        spans
        if copy.days == 0
        else moved(spans, round(copy.days * _DAY / timedelta(microseconds=1)) * 1000, str(copy.days))
    )


def write(store: TrajectoryStore, trajectories: Iterable[Sequence[Span]]) -> int:
    """Write trajectories as an ingest would; return how many spans they had. Raises StoreError."""
    batch: list[Span] = []
    written = 0
    for spans in trajectories:
        batch += spans
        if len(batch) >= BATCH_SPANS:
            store.add(batch)
            written, batch = written + len(batch), []
    store.add(batch)
    return written + len(batch)


def profile(app: App, source: Source, begins: datetime, ends: datetime) -> Profile:
    """Return what is known of an agent that decides which faults it could show between two moments."""
    kept = source.kept
    since = max(source.first, source.healthy_until - _RECENT)
    uses = app.trajectories.tool_uses(since, source.healthy_until, agent=source.agent)
    total = sum(1 for one in kept if start_of(one) >= since)
    tools = {}
    for use in sorted(uses, key=lambda one: -one.calls)[:_TOOLS_MAX]:
        callers = app.trajectories.callers(source.agent, use.tool, since, source.healthy_until).trajectories
        tools[use.tool] = min(callers / max(total * source.one_in, 1), 1.0)
    values: dict[Kind, list[float]] = {
        Kind.COST: [one.cost_usd for one in kept if one.cost_usd],
        Kind.TOKENS: [one.tokens for one in kept if one.tokens],
        Kind.STEPS: [one.steps for one in kept if one.steps],
        Kind.LATENCY: [one.duration_s for one in kept if one.duration_s],
    }
    return Profile(
        agent=source.agent,
        trajectories=len(history(source, begins)),
        days=(begins - source.first) / _DAY,
        zone=len(copies(source, begins, ends)),
        zone_h=(ends - begins) / timedelta(hours=1),
        hours_of_day=len(Counter(start_of(one).hour for one in kept)),
        spread={kind: _spread(found) for kind, found in values.items() if 2 * len(found) > len(kept)},
        judged=sum(one.judged for one in kept) / len(kept),
        tools=tools,
        largest_tokens=max((one.tokens for one in kept), default=0),
        largest_usd=max((one.cost_usd or 0.0 for one in kept), default=0.0),
    )


def _spread(values: Sequence[float]) -> float:
    logs = [math.log(value) for value in values]
    mean = math.fsum(logs) / len(logs)
    return math.sqrt(math.fsum((one - mean) ** 2 for one in logs) / max(len(logs) - 1, 1))
