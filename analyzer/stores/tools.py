"""What tools were used for and what they cost, per agent."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Literal

from analyzer.stores.summaries import OWN_AGENT, nanoseconds
from analyzer.types.trajectory import ToolUse

_QUERY = (
    "SELECT t.agent, COALESCE(s.tool, s.name), COUNT(*), SUM((s.end_ns - s.start_ns) / 1e9), SUM(s.cost_usd)"
    " FROM trajectories t JOIN spans s ON s.trajectory = t.id"
    " WHERE t.end_ns >= ? AND t.end_ns < ? AND s.operation = 'execute_tool' AND s.repeated = 0 AND "
)


def uses(raw: sqlite3.Connection, start: datetime, end: datetime, agent: str | None) -> list[ToolUse]:
    """Return calls, seconds and cost per agent and tool; see `TrajectoryStore.tool_uses`."""
    of_agent = "t.agent <> ?" if agent is None else "t.agent = ?"
    bounds = (nanoseconds(start), nanoseconds(end), OWN_AGENT if agent is None else agent)
    found = [ToolUse(*row) for row in raw.execute(f"{_QUERY}{of_agent} GROUP BY 1, 2", bounds)]
    return sorted(found, key=lambda use: (-(use.cost_usd or 0), -(use.seconds or 0), use.agent, use.tool))


CALLS_OF_ONE = (
    " FROM trajectories t JOIN spans s ON s.trajectory = t.id WHERE t.agent = ? AND t.end_ns >= ?"
    " AND s.operation = 'execute_tool' AND s.repeated = 0 AND s.tool = ? AND s.end_ns >= ? AND s.end_ns < ?"
)
"""An agent's calls of one tool that ended in a range. None ended after its trajectory: what was over before the range
is not looked into."""


def calls_of_one(agent: str, tool: str, start: datetime, end: datetime) -> tuple[str, int, str, int, int]:
    """Return the values of `CALLS_OF_ONE`."""
    start_ns = nanoseconds(start)
    return agent, start_ns, tool, start_ns, nanoseconds(end)


_MEASURES = {"seconds": "s.end_ns - s.start_ns", "cost": "s.cost_usd"}


def worst_callers(
    raw: sqlite3.Connection,
    agent: str,
    tool: str,
    start: datetime,
    end: datetime,
    *,
    by: Literal["seconds", "cost"],
    limit: int,
) -> list[str]:
    """Return trace ids by their longest or dearest call of a tool; see `TrajectoryStore.worst_callers`."""
    worst = f" GROUP BY t.id ORDER BY MAX({_MEASURES[by]}) DESC, t.trace_id LIMIT ?"
    found = raw.execute(f"SELECT t.trace_id{CALLS_OF_ONE}{worst}", (*calls_of_one(agent, tool, start, end), limit))
    return [str(row[0]) for row in found]
