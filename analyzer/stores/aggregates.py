"""What is added up over the trajectories of a range when it is asked for. Only numbers and names, no payloads."""

from __future__ import annotations

import sqlite3
from collections import Counter
from datetime import datetime

from analyzer.stores.base import Callers, UnpricedUse, Usage
from analyzer.stores.summaries import OWN_AGENT, nanoseconds

_UNPRICED = "s.input_tokens IS NOT NULL AND s.cost_usd IS NULL"
"""An inference whose tokens are known and whose price is not."""


def agents(raw: sqlite3.Connection, start: datetime, end: datetime) -> list[str]:
    """Return the names of agents with a trajectory that ended in the range."""
    query = "SELECT DISTINCT agent FROM trajectories WHERE end_ns >= ? AND end_ns < ? AND agent <> ? ORDER BY agent"
    return [row[0] for row in raw.execute(query, (nanoseconds(start), nanoseconds(end), OWN_AGENT))]


def count(raw: sqlite3.Connection, start: datetime, end: datetime) -> tuple[int, int]:
    """Return the numbers of trajectories and of their spans."""
    query = "SELECT COUNT(*), COALESCE(SUM(spans), 0) FROM trajectories WHERE end_ns >= ? AND end_ns < ? AND agent <> ?"
    row = raw.execute(query, (nanoseconds(start), nanoseconds(end), OWN_AGENT)).fetchone()
    return int(row[0]), int(row[1])


def usage(raw: sqlite3.Connection, agent: str, start: datetime, end: datetime) -> list[Usage]:
    """Return amounts by version and model. See `Usage` for what stands with which model."""
    bounds = (agent, nanoseconds(start), nanoseconds(end))
    in_range = "t.agent = ? AND t.end_ns >= ? AND t.end_ns < ?"
    runs = {
        (version, model): (trajectories, steps)
        for version, model, trajectories, steps in raw.execute(
            f"SELECT version, model, COUNT(*), SUM(steps) FROM trajectories t WHERE {in_range} GROUP BY 1, 2",  # noqa: S608 - own text
            bounds,
        )
    }
    spent = {
        (row[0], row[1]): row[2:]
        for row in raw.execute(
            "SELECT t.version, s.model, COUNT(*), SUM(s.input_tokens), SUM(s.output_tokens), SUM(s.cache_read_tokens),"  # noqa: S608 - own text
            f" SUM(s.cache_write_tokens), TOTAL(s.cost_usd), SUM({_UNPRICED}),"
            f" SUM(CASE WHEN {_UNPRICED} THEN s.input_tokens + COALESCE(s.output_tokens, 0) END)"
            f" FROM trajectories t JOIN spans s ON s.trajectory = t.id WHERE {in_range}"
            " AND s.operation IN ('chat', 'embeddings') AND s.repeated = 0 GROUP BY 1, 2",
            bounds,
        )
    }
    keys = sorted(runs.keys() | spent.keys(), key=lambda key: (key[0] or "", key[1] or ""))
    nothing = (0, 0, 0, 0, 0, 0.0, 0, 0)
    return [
        Usage(agent, *key, *runs.get(key, (0, 0)), *(value or 0 for value in spent.get(key, nothing))) for key in keys
    ]


def callers(raw: sqlite3.Connection, agent: str, tool: str, start: datetime, end: datetime) -> Callers:
    """Return calls and distinct trajectories of one tool. See `TrajectoryStore.callers`."""
    query = (
        "SELECT COUNT(*), COUNT(DISTINCT s.trajectory),"
        " COUNT(DISTINCT CASE WHEN s.status = 'error' THEN s.trajectory END)"
        " FROM spans s JOIN trajectories t ON t.id = s.trajectory WHERE s.operation = 'execute_tool'"
        " AND s.repeated = 0 AND s.tool = ? AND t.agent = ? AND s.end_ns >= ? AND s.end_ns < ?"
    )
    return Callers(*raw.execute(query, (tool, agent, nanoseconds(start), nanoseconds(end))).fetchone())


def unpriced(raw: sqlite3.Connection, start: datetime, end: datetime) -> list[UnpricedUse]:
    """Return each agent's use of models without a known price, most calls first."""
    return _unpriced(raw, " AND t.end_ns >= ? AND t.end_ns < ?", (nanoseconds(start), nanoseconds(end)))


def _unpriced(raw: sqlite3.Connection, condition: str, values: tuple[int, ...]) -> list[UnpricedUse]:
    query = (
        "SELECT t.agent, COALESCE(s.model, '(no model named)'), COUNT(*), COUNT(DISTINCT t.id)"  # noqa: S608 - own text
        f" FROM trajectories t JOIN spans s ON s.trajectory = t.id WHERE t.unpriced > 0 AND t.agent <> ?{condition}"
        f" AND s.operation IN ('chat', 'embeddings') AND s.repeated = 0 AND {_UNPRICED}"
        " GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2"
    )
    return [UnpricedUse(*row) for row in raw.execute(query, (OWN_AGENT, *values))]


def unpriced_models(raw: sqlite3.Connection) -> list[tuple[str, int]]:
    """Return models whose inferences have tokens but no cost, with their number of calls, most first."""
    calls: Counter[str] = Counter()
    for use in _unpriced(raw, "", ()):
        calls[use.model] += use.calls
    return sorted(calls.items(), key=lambda entry: (-entry[1], entry[0]))


def unpriced_tools(raw: sqlite3.Connection) -> list[tuple[str, int]]:
    """Return tools with calls that have no cost, with the number of these calls."""
    return [
        (str(tool), int(calls))
        for tool, calls in raw.execute(
            "SELECT s.tool, COUNT(*) FROM spans s JOIN trajectories t ON t.id = s.trajectory"
            " WHERE s.operation = 'execute_tool' AND s.repeated = 0 AND s.tool IS NOT NULL AND s.cost_usd IS NULL"
            " AND t.agent <> ? GROUP BY 1 ORDER BY 2 DESC, 1",
            (OWN_AGENT,),
        )
    ]
