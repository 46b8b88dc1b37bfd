"""The tool that finds healthy runs of the same kind of task, to compare with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from analyzer.agent.desk import Desk, ToolError
from analyzer.agent.model import ToolSpec
from analyzer.agent.tables import runs_table
from analyzer.agent.tools.base import CITABLE, TRACE, Arguments, Tool, closed_schema
from analyzer.types.table import Table
from analyzer.types.trace import Outcome
from analyzer.types.trajectory import TrajectorySummary

PEERS = 6
LOOKED_AT = 400
"""Runs before and after the one in question among which peers are looked for: near in time, so the same load."""


def peers(desk: Desk, arguments: Arguments) -> Table:
    """Return runs of the same agent that did well, of the same kind of task where there are any, nearest in time."""
    one = desk.opened(desk.named(arguments.get("trace_id", ""), "trace_id"))[0].summary
    at = _ended(one)
    if at is None:
        raise ToolError("this trajectory has no times, so nothing is near it; compare it with one of the case file")
    with desk.reading() as store:
        earlier = store.summaries(agent=one.agent, start=desk.start, end=at, order="recent", limit=LOOKED_AT)
        later = store.summaries(agent=one.agent, start=at, end=desk.end, order="oldest", limit=LOOKED_AT)
    good = [
        peer
        for peer in (*earlier, *later)
        if peer.outcome is Outcome.SUCCESS and not peer.errors and peer.trace_id != one.trace_id
    ]
    same = [peer for peer in good if peer.task is not None and peer.task == one.task]
    found = _nearest(same or good, one)
    desk.admit([peer.trace_id for peer in found])
    kind = "of the same kind of task" if same else "of any kind of task: none of the same kind did well"
    note = "" if found else f"Of {len(earlier) + len(later)} runs near it none did well."
    return runs_table(f"Healthy runs like {one.trace_id}, {kind}", found, desk.start, desk.end, "cost", note)


def _nearest(good: Sequence[TrajectorySummary], one: TrajectorySummary) -> list[TrajectorySummary]:
    """Return the nearest in time; those of unusual size are no measure and come last."""
    if not good:
        return []
    usual = sorted(peer.tokens for peer in good)[len(good) // 2]

    def distance(peer: TrajectorySummary) -> tuple[bool, int, str]:
        odd = abs(math.log((peer.tokens + 1) / (usual + 1))) > math.log(2)
        return odd, abs((peer.end_ns or 0) - (one.end_ns or 0)), peer.trace_id

    return sorted(good, key=distance)[:PEERS]


def _ended(one: TrajectorySummary) -> datetime | None:
    try:
        return None if one.end_ns is None else datetime.fromtimestamp(one.end_ns / 1e9, UTC)
    except (OverflowError, OSError, ValueError):
        return None


PEERS_TOOL = Tool(
    ToolSpec(
        "peers",
        "Runs of the same agent and kind of task that did well, nearest in time; they may be opened afterwards."
        + CITABLE,
        closed_schema(trace_id=TRACE),
    ),
    peers,
)
