"""When agents last ran: a loss has gone on until then, and not while nothing ran. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from analyzer.types.metric import TICK_S, Window
from analyzer.types.report import Finding, Kind

OF_ABSENCE = frozenset({Kind.SILENCE, Kind.VOLUME})
"""Kinds that are about what does not run: they go on until now."""
_DAY = timedelta(days=1)


def last_runs(window: Window, agents: Iterable[str]) -> dict[str, datetime]:
    """Return when each of these agents last began or ended a trajectory, to the end of that tick, at most the window's.

    One that a trajectory of is still open ran when that was last heard of. An agent that the window shows nothing of
    is left out.
    """
    found = dict.fromkeys(agents, 0.0)
    for series in window.series:
        agent = series.subject.agent
        if agent is None or agent not in found:
            continue
        # Only what is later than another of its series shows is looked at: a few ticks, of a month of them.
        for tick in range(len(series.count) - 1, -1, -1):
            end_s = series.start_s + (tick + 1) * TICK_S
            if end_s <= found[agent]:
                break
            if 0 < series.count[tick] < math.inf:
                found[agent] = end_s
                break
    for one in window.running:
        if one.summary.agent in found:
            found[one.summary.agent] = max(found[one.summary.agent], one.seen_ns / 1e9)
    return {agent: min(datetime.fromtimestamp(at_s, UTC), window.end) for agent, at_s in found.items() if at_s}


def hours_of(finding: Finding, at: datetime, ran: Mapping[str, datetime]) -> float:
    """Return how many hours it has gone on, or went on: until it recovered, or until its agent last `ran` before `at`.

    A loss must not shrink while nothing runs. On the first day all hours count: what runs for one hour a night must not
    be taken for what runs all day.
    """
    if finding.recovered is not None:
        return (finding.recovered - finding.onset) / timedelta(hours=1)
    last = at if finding.kind in OF_ABSENCE else ran.get(finding.subject.agent or "", at)
    until = max(min(last, at), min(at, finding.onset + _DAY))
    return (until - finding.onset) / timedelta(hours=1)
