"""Healthy peers of trajectories at fault: runs that did well with the same kind of task, for comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import chain, zip_longest

from analyzer.accounting.periods import DAYS_BEFORE
from analyzer.errors import NotFoundError
from analyzer.stores.base import TrajectoryStore
from analyzer.types.report import Finding
from analyzer.types.trace import Outcome
from analyzer.types.trajectory import TrajectorySummary

HEALTHY = 3
LOOKED_AT = 300
"""Trajectories that peers are chosen from, the latest ones before the onset."""
COMPARED = 3
"""Trajectories at fault that peers are chosen for, the worst ones: a comparison begins with the first."""
UNUSUAL = 2.0
"""How many times the tokens of most on the same kind of task make a run no example of it, in either direction: one that
ran away and succeeded in the end did not do well."""


def healthy_before(
    store: TrajectoryStore, finding: Finding, agent: str, worst: Sequence[str], end: datetime, history_start: datetime
) -> tuple[str, ...]:
    """Return peers of the worst trajectories from before the onset, at most HEALTHY of them; see `alike`."""
    start = max(history_start, finding.onset_low - timedelta(days=DAYS_BEFORE))
    before = store.summaries(agent=agent, start=start, end=finding.onset_low, limit=LOOKED_AT)
    if not before:
        return ()
    return alike(_summaries(store, agent, worst[:COMPARED], finding.onset, end), before)


def peers_of(store: TrajectoryStore, summary: TrajectorySummary) -> tuple[str, ...]:
    """Return recent trajectories of the same agent that did well, for comparison with one."""
    peers = store.summaries(agent=summary.agent, limit=LOOKED_AT)
    return alike([summary], [peer for peer in peers if peer.trace_id != summary.trace_id])


def alike(worst: Sequence[TrajectorySummary], peers: Sequence[TrajectorySummary]) -> tuple[str, ...]:
    """Return peers that did well for comparison, in the order in which they are to be held beside the worst.

    They succeeded without an error, on the same kind of task (`choices.task_of`): another kind takes other steps, and a
    text that it is sent or a tool that it calls is no difference that says anything. Each kind among the worst has its
    peers, in turn, so that the first peer goes with the first of the worst. Of a kind those come first that ran on the
    worst one's version, if any did, then the latest: what was around them is most like what is around the worst. Where
    no peer had any of these tasks, or none is known, all that did well are candidates.
    """
    good = [peer for peer in peers if peer.outcome is Outcome.SUCCESS and not peer.errors]
    kinds = {one.task: one.version for one in reversed(worst) if one.task}
    ordered = dict.fromkeys(one.task for one in worst if one.task)
    chosen = [_of_kind([peer for peer in good if peer.task == task], kinds[task]) for task in ordered]
    if not any(chosen):
        chosen = [_of_kind(good, next((one.version for one in worst), None))]
    in_turn = [one for one in chain.from_iterable(zip_longest(*chosen)) if one is not None]
    return tuple(dict.fromkeys(in_turn))[:HEALTHY]


def _of_kind(good: Sequence[TrajectorySummary], version: str | None) -> list[str]:
    """Return peers of one kind: those that took about what most did, of the version first, then the latest first."""
    if not good:
        return []
    usual = sorted(peer.tokens for peer in good)[len(good) // 2]
    near = [one for one in good if abs(math.log((one.tokens + 1) / (usual + 1))) <= math.log(UNUSUAL)]
    near.sort(key=lambda one: (one.version != version, -(one.end_ns or 0), one.trace_id))
    return [one.trace_id for one in near]


def _summaries(
    store: TrajectoryStore, agent: str, trace_ids: Sequence[str], start: datetime, end: datetime
) -> list[TrajectorySummary]:
    """Return the summaries of trajectories: from one list of the latest as far as they are in it."""
    if not trace_ids:
        return []
    latest = {one.trace_id: one for one in store.summaries(agent=agent, start=start, end=end, limit=LOOKED_AT)}
    found = []
    for trace_id in trace_ids:
        try:
            found.append(latest.get(trace_id) or store.summary(trace_id))
        except NotFoundError:  # it was deleted meanwhile
            continue
    return found
