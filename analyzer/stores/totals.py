"""Totals of a range by one thing that trajectories or calls agree in: what computed tables are made of.

Sums and the 95th percentile come out of one pass in SQL over numbers and names; no payload is read. Models and tools
are counted by the call, everything else by the trajectory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from datetime import datetime

from analyzer.stores.base import Grouping, Totals, TotalsOrder
from analyzer.stores.summaries import OWN_AGENT, nanoseconds

TOTALS_MAX = 2_000
"""Groups that are returned: the largest. Days are fewer, hours of twelve weeks as many."""
_ORDERS: Mapping[TotalsOrder, str] = {
    "trajectories": "2",
    "calls": "3",
    "failed": "4",
    "tokens": "SUM(input) + SUM(output)",
    "cost": "7",
    "seconds": "9",
    "p95": "10",
}
_DATED: frozenset[Grouping] = frozenset({"day", "hour"})
_SECOND = "{table}.end_ns / 1000000000, 'unixepoch'"
_TRAJECTORY_KEYS: Mapping[Grouping, str] = {
    "agent": "t.agent",
    "version": "t.version",
    "prompt": "t.prompt",
    "task": "t.task",
    "user": "t.user_id",
    "outcome": "t.outcome",
    "day": f"strftime('%Y-%m-%d', {_SECOND.format(table='t')})",
    "hour": f"strftime('%Y-%m-%dT%H:00Z', {_SECOND.format(table='t')})",
}
_CALL_KEYS: Mapping[Grouping, tuple[str, str]] = {
    "model": ("s.model", "s.operation IN ('chat', 'embeddings')"),
    "tool": ("COALESCE(s.tool, s.name)", "s.operation = 'execute_tool'"),
}
CONDITIONS: Mapping[str, str] = {
    "version": "t.version",
    "model": "t.model",
    "prompt": "t.prompt",
    "task": "t.task",
    "user": "t.user_id",
    "outcome": "t.outcome",
}
"""What the trajectories may be narrowed to."""
_TRAJECTORIES = (
    "SELECT {key} AS value, t.id AS trajectory, t.steps AS calls, t.outcome IN ('error', 'failure') AS failed,"
    " t.input_tokens AS input, t.output_tokens AS output, t.unpriced AS unpriced,"
    " CASE WHEN t.cost_usd IS NULL AND t.tool_cost_usd IS NULL THEN NULL"
    " ELSE COALESCE(t.cost_usd, 0) + COALESCE(t.tool_cost_usd, 0) END AS cost,"
    " (t.end_ns - t.start_ns) / 1e9 AS seconds FROM trajectories t WHERE {where}"
)
_CALLS = (
    "SELECT {key} AS value, t.id AS trajectory, 1 AS calls, s.status = 'error' AS failed,"
    " s.input_tokens AS input, s.output_tokens AS output,"
    " s.cost_usd IS NULL AND (s.tool IS NOT NULL OR s.input_tokens IS NOT NULL) AS unpriced, s.cost_usd AS cost,"
    " (s.end_ns - s.start_ns) / 1e9 AS seconds"
    " FROM trajectories t JOIN spans s ON s.trajectory = t.id WHERE {where} AND {of} AND s.repeated = 0"
)
_SUMS = (
    "SELECT value, COUNT(DISTINCT trajectory), SUM(calls), SUM(failed), SUM(input), SUM(output), SUM(cost),"
    " SUM(unpriced), SUM(seconds), MAX(IIF(place = 1 + CAST(0.95 * (timed - 1) AS INTEGER), seconds, NULL)) FROM ("
    "SELECT *, ROW_NUMBER() OVER (PARTITION BY value ORDER BY seconds IS NULL, seconds) AS place,"
    " COUNT(seconds) OVER (PARTITION BY value) AS timed FROM ({rows}))"
    " GROUP BY 1 ORDER BY {order} LIMIT ?"
)


def totals(
    raw: sqlite3.Connection,
    by: Grouping,
    start: datetime,
    end: datetime,
    agents: Collection[str],
    where: Mapping[str, str],
    order: TotalsOrder,
) -> list[Totals]:
    """Return the sums of a range by a grouping; see `TrajectoryStore.totals`."""
    named = sorted(agents)
    conditions = [f"t.agent IN ({', '.join('?' * len(named))})" if named else "t.agent <> ?"]
    values: list[str | int] = [*(named or [OWN_AGENT]), nanoseconds(start), nanoseconds(end)]
    conditions.append("t.end_ns >= ? AND t.end_ns < ?")
    for name, value in where.items():
        conditions.append(f"{CONDITIONS[name]} = ?")
        values.append(value)
    narrowed = " AND ".join(conditions)
    if by in _CALL_KEYS:
        key, of = _CALL_KEYS[by]
        rows = _CALLS.format(key=key, where=narrowed, of=of)
    else:
        rows = _TRAJECTORIES.format(key=_TRAJECTORY_KEYS[by], where=narrowed)
    largest = "1 DESC" if by in _DATED else f"{_ORDERS[order]} DESC NULLS LAST, 2 DESC, 1"
    query = _SUMS.format(rows=rows, order=largest)
    found = [Totals(*row) for row in raw.execute(query, (*values, TOTALS_MAX))]
    return found[::-1] if by in _DATED else found
