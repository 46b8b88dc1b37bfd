"""Collect: everything one run looks at, loaded into a Window; what could not be loaded is a Gap."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from analyzer.metrics.base import MetricSource
from analyzer.metrics.loaded import Loaded, load
from analyzer.metrics.series import chosen
from analyzer.metrics.suspects import suspects_of, unseen_loops
from analyzer.metrics.usual import usual_of
from analyzer.stores.base import Order, TrajectoryStore, UnpricedUse
from analyzer.stores.summaries import OWN_AGENT
from analyzer.stores.verdicts import REPEATS_MIN, SUSPECTS_MAX
from analyzer.types.metric import TICK_S, Series, Signal, Window
from analyzer.types.percents import percent
from analyzer.types.report import Gap
from analyzer.types.trajectory import TrajectorySummary

HISTORY_MIN_S = 3 * 86_400
"""History a detector of rises needs (the catalogue's minimum, docs/detectors)."""
STEERED_MAX = 200
"""Trajectories with an order in them that are looked at in one run: more tell no more."""
EARLIER_MAX = 200
"""Trajectories of one agent looked through for the beginning of a loop: those that repeat most, as loops do."""
LARGEST = 200
"""Trajectories of the last day that are looked at for each measure of size."""
_MEASURES: tuple[Order, ...] = ("cost", "tokens", "steps", "duration")
PRICED_SHARE_MIN = 0.05
"""From here on the detector of costs takes note (docs/detectors/cost.md)."""
COMPARED_TICKS = 15 * 86_400 // TICK_S
"""What the detectors' baselines reach back, and the day that they leave out."""
WEEK_S, MONDAY_S = 7 * 86_400, 4 * 86_400
"""Weeks begin on Mondays; 1970 began on a Thursday."""
NAMED_MAX = 5
"""Models and agents named in one Gap before the rest is only counted."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a run looks."""

    at: datetime
    lookback: timedelta
    history: timedelta
    filled_by: str = "`analyzer ingest PATH`"
    """The command that brings trajectories in, as a person is told it."""


def history_start(reach: Reach) -> datetime:
    """Return when the history of a run begins: at least as long ago as it should, at the beginning of a week.

    All runs of a week learn from the same beginning, and so agree to the digit about what they have all seen.
    """
    start_s = (reach.at - max(reach.history, reach.lookback)).timestamp()
    return datetime.fromtimestamp((start_s - MONDAY_S) // WEEK_S * WEEK_S + MONDAY_S, UTC)


def collect(
    store: TrajectoryStore, source: MetricSource | None, queries: Mapping[str, Sequence[str]], reach: Reach
) -> Window:
    """Load the window. Raises StoreError; a dead Prometheus is a Gap and the store's own series take its place."""
    return window_of(store, load(store, source, queries, history_start(reach), reach.at), reach)


def window_of(store: TrajectoryStore, loaded: Loaded, reach: Reach) -> Window:
    """Return the window of a run from what was known at its moment, and load its single trajectories."""
    start = reach.at - reach.lookback
    series = chosen(loaded.stored, loaded.metered)
    gaps = [*loaded.gaps, *_unseen(store, series, start, reach.filled_by)]
    gaps += unpriced_gaps(store.unpriced(start, reach.at), series, start)
    gaps += price_change_gaps(series, start)
    listed = store.summaries(
        start=start, end=reach.at, order="repeats", repeats_min=REPEATS_MIN, limit=SUSPECTS_MAX + 1
    )
    summaries = listed[:SUSPECTS_MAX]
    suspects = suspects_of(store, summaries)
    known = {one.trace_id: one for one in summaries if one.trace_id in suspects.steps}
    gaps += unseen_loops(len(summaries), suspects, is_all=len(listed) == len(summaries))
    return Window(
        start=start,
        end=reach.at,
        series=tuple(series),
        stored=tuple(loaded.stored) if loaded.metered else (),
        metered=tuple(loaded.metered),
        suspects=suspects.steps,
        looked=suspects.looked,
        steered=store.steps(store.steered(start, reach.at, limit=STEERED_MAX)),
        summaries=_largest(store, reach.at) | known,
        choices=tuple(loaded.choices),
        running=tuple(store.running(reach.at)),
        usual=usual_of(loaded.stored, reach.at, store.lost(history_start(reach), reach.at)),
        builds=loaded.builds,
        gaps=tuple(gaps),
    )


def _unseen(store: TrajectoryStore, series: Sequence[Series], start: datetime, filled_by: str) -> list[Gap]:
    """Return a Gap where nothing at all ended in the window: a dead exporter must not look like a quiet day."""
    start_s = start.timestamp()
    for one in series:
        judged = max(0, int((start_s - one.start_s) // TICK_S))
        if any(one.count[judged:]):
            return []
    latest = store.summaries(limit=1)
    if not latest or latest[0].end_ns is None:
        return [Gap("the fleet", "no trajectory has ever been stored", f"{filled_by} puts some in")]
    ended = _moment(latest[0].end_ns)
    why = f"nothing ended since {start:%Y-%m-%d %H:%M} UTC; the latest trajectory ended at {ended:%Y-%m-%d %H:%M} UTC"
    hint = (
        f"check what writes the traces, or repeat history with --at {ended + timedelta(minutes=15):%Y-%m-%dT%H:%M:%SZ}"
    )
    return [Gap("the fleet", why, hint)]


def unpriced_gaps(uses: Sequence[UnpricedUse], series: Sequence[Series], start: datetime) -> list[Gap]:
    """Return a Gap where models without a known price were at work: what they cost can rise without anyone seeing it.

    `uses` are those since `start`. Said in every run, for as long as it is so: nothing else would show that the cost of
    an agent is not judged.
    """
    if not uses:
        return []
    by_model: dict[str, list[UnpricedUse]] = {}
    for use in uses:
        by_model.setdefault(use.model, []).append(use)
    ranked = sorted(by_model.items(), key=lambda entry: (-sum(use.calls for use in entry[1]), entry[0]))
    models = [_unpriced_model(model, found) for model, found in ranked]
    agents = sorted({use.agent for use in uses})
    known = [_known_share(agent, series, start) for agent in agents]
    why = f"no price is known for {_named(models)}. Costs are judged without it: {_named(known)}"
    hint = (
        "set the price under [prices] in analyzer.toml (docs/prices.md), 0 where nothing is paid; it holds from then on"
    )
    return [Gap("cost", why, hint)]


def price_change_gaps(series: Sequence[Series], start: datetime) -> list[Gap]:
    """Return a Gap where calls that had no price have one since `start`: their cost came in, it did not rise."""
    changed = []
    for one in series:
        if one.unpriced is None:
            continue
        first = max(0, int((start.timestamp() - one.start_s) // TICK_S))
        calls, inferences = one.unpriced.calls, one.unpriced.inferences
        cuts = slice(max(first - COMPARED_TICKS, 0), first), slice(first, None)
        before, after = (math.fsum(calls[cut]) / max(math.fsum(inferences[cut]), 1.0) for cut in cuts)
        if before - after > PRICED_SHARE_MIN and any(inferences[first:]):
            changed.append(f"{one.subject.agent} ({percent(before)} of its calls before, {percent(after)} now)")
    if not changed:
        return []
    why = f"fewer calls than before have no known price: {_named(changed)}. A rise that may only be that is not told"
    return [Gap("cost", why, "nothing to do: the history of known costs grows, and the gap closes within two weeks")]


def _unpriced_model(model: str, uses: Sequence[UnpricedUse]) -> str:
    calls = sum(use.calls for use in uses)
    agents = ", ".join(f"{use.agent} in {use.trajectories:,}" for use in uses[:NAMED_MAX])
    more = f" and {len(uses) - NAMED_MAX} more agents" if len(uses) > NAMED_MAX else ""
    return f"{model} ({calls:,} calls: {agents}{more} trajectories)"


def _known_share(agent: str, series: Sequence[Series], start: datetime) -> str:
    """Say of how many trajectories of an agent since `start` a cost is known, wholly or in part."""
    own = next((one for one in series if one.signal is Signal.COST and one.subject.agent == agent), None)
    if own is None:
        return f"{agent} has no known cost at all"
    if own.unpriced is None:
        return f"{agent} by its metered cost"
    first = max(0, int((start.timestamp() - own.start_s) // TICK_S))
    seen, unseen = sum(own.count[first:]), sum(own.unpriced.trajectories[first:])
    if not seen:
        return f"{agent} has no known cost at all"
    return f"{agent} by {seen:,.0f} of {seen + unseen:,.0f} trajectories"


def _named(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - NAMED_MAX} more" if len(texts) > NAMED_MAX else ""
    return "; ".join(texts[:NAMED_MAX]) + more


def learning_agents(window: Window) -> list[str]:
    """Return the agents that were seen in the window but not for long enough to know what is usual for them."""
    learning = set()
    for one in window.series:
        agent = one.subject.agent
        first = next((tick for tick, count in enumerate(one.count) if count), None)
        if agent is None or first is None or one.signal is not Signal.ERRORS:
            continue
        if window.end.timestamp() - (one.start_s + first * TICK_S) < HISTORY_MIN_S:
            learning.add(agent)
    return sorted(learning)


def of_one(store: TrajectoryStore, summary: TrajectorySummary) -> Window:
    """Return the window of a single trajectory: its steps, judged whatever its age."""
    steps = store.steps([summary.trace_id])
    start, end = _moment(summary.start_ns), _moment(summary.end_ns) + timedelta(seconds=1)
    return Window(start=min(start, end), end=end, suspects=steps, steered=steps, summaries={summary.trace_id: summary})


def before(store: TrajectoryStore, agents: Iterable[str], reach: Reach) -> Window:
    """Return the history before the window of these agents: their most repetitive trajectories, and nothing else.

    What is looked for in single trajectories is only looked for in the window. Where something is found there, its
    beginning may be older: this is where to look for it, bounded in trajectories and text.
    """
    return _repetitive(store, agents, reach.at - max(reach.history, reach.lookback), reach.at - reach.lookback)


def own(store: TrajectoryStore, reach: Reach) -> Window:
    """Return the window of the analyst's own runs: their series, the most repetitive ones and the largest.

    They are in no window of the fleet, whose figures they must not move. What they choose and what their tools return
    is the fleet's, and is not in it; the run that is under way is none yet.
    """
    repetitive = _repetitive(store, [OWN_AGENT], reach.at - reach.lookback, reach.at)
    series = store.series(history_start(reach), reach.at, agent=OWN_AGENT)
    return replace(
        repetitive,
        series=tuple(series),
        summaries=_largest(store, reach.at, OWN_AGENT) | dict(repetitive.summaries),
        usual=usual_of(series, reach.at, {}),
    )


def _repetitive(store: TrajectoryStore, agents: Iterable[str], start: datetime, end: datetime) -> Window:
    """Return the most repetitive trajectories of agents that ended in [start, end)."""
    summaries = [
        summary
        for agent in sorted(agents)
        for summary in store.summaries(
            agent=agent, start=start, end=end, order="repeats", repeats_min=REPEATS_MIN, limit=EARLIER_MAX
        )
    ]
    suspects = suspects_of(store, summaries)
    known = {summary.trace_id: summary for summary in summaries if summary.trace_id in suspects.steps}
    return Window(start=start, end=end, suspects=suspects.steps, looked=suspects.looked, summaries=known)


def _moment(nanoseconds: int | None) -> datetime:
    return datetime.fromtimestamp((nanoseconds or 0) // 1_000_000_000, UTC)


def _largest(store: TrajectoryStore, end: datetime, agent: str | None = None) -> dict[str, TrajectorySummary]:
    """Return the largest trajectories of the last day by each measure: whatever runs away is among them."""
    start = end - timedelta(days=1)
    found = (store.summaries(agent=agent, start=start, end=end, order=order, limit=LARGEST) for order in _MEASURES)
    return {one.trace_id: one for summaries in found for one in summaries}
