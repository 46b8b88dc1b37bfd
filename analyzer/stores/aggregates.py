"""What is added up over many trajectories: series, usage, changes. Only numbers and names are read, no payloads."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Any

from analyzer.stores.base import Usage
from analyzer.stores.summaries import OWN_AGENT, nanoseconds
from analyzer.types.metric import TICK_S, Series, Signal, Sketch
from analyzer.types.report import Change, Subject

_NS = 1_000_000_000
SETTLED_S = 3600
"""A trajectory whose root never arrives counts as finished after this long without a span: the root may belong to a
web framework that exports elsewhere, or was sampled away. Long enough for a slow tool call."""

COST_QUERY = (
    "sum(increase(agent_cost_usd_total{{agent={agent}}}[$range]))"
    " / sum(increase(agent_trajectories_total{{agent={agent}}}[$range]))"
)
ERRORS_QUERY = (
    'sum(increase(agent_trajectories_total{{agent={agent}, outcome="error"}}[$range]))'
    " / sum(increase(agent_trajectories_total{{agent={agent}}}[$range]))"
)
TOOL_ERRORS_QUERY = (
    'sum(increase(agent_tool_calls_total{{agent={agent}, tool={tool}, outcome="error"}}[$range]))'
    " / sum(increase(agent_tool_calls_total{{agent={agent}, tool={tool}}}[$range]))"
)

_FINISHED = "agent <> ? AND end_ns >= ? AND end_ns < ? AND (complete OR end_ns < ?)"


def agents(raw: sqlite3.Connection, start: datetime, end: datetime) -> list[str]:
    """Return the names of agents with a trajectory that ended in the range."""
    query = "SELECT DISTINCT agent FROM trajectories WHERE end_ns >= ? AND end_ns < ? AND agent <> ? ORDER BY agent"
    return [row[0] for row in raw.execute(query, (nanoseconds(start), nanoseconds(end), OWN_AGENT))]


def count(raw: sqlite3.Connection, start: datetime, end: datetime) -> tuple[int, int]:
    """Return the numbers of trajectories and of their spans."""
    query = "SELECT COUNT(*), COALESCE(SUM(spans), 0) FROM trajectories WHERE end_ns >= ? AND end_ns < ? AND agent <> ?"
    row = raw.execute(query, (nanoseconds(start), nanoseconds(end), OWN_AGENT)).fetchone()
    return int(row[0]), int(row[1])


def series(raw: sqlite3.Connection, start: datetime, end: datetime) -> list[Series]:
    """Return cost and errors per agent, and tool errors per agent and tool, on the tick grid.

    The grid begins with the tick that holds `start`; the last tick is the last whole one before `end`.
    """
    start_s = int(start.timestamp()) // TICK_S * TICK_S
    ticks = max(0, int(end.timestamp() - start_s) // TICK_S)
    end_ns = (start_s + ticks * TICK_S) * _NS
    bounds = (OWN_AGENT, start_s * _NS, end_ns, nanoseconds(end) - SETTLED_S * _NS)
    return [
        *_cost(raw, bounds, start_s, ticks),
        *_errors(raw, bounds, start_s, ticks),
        *_tool_errors(raw, bounds, start_s, ticks),
    ]


def _cost(raw: sqlite3.Connection, bounds: tuple[Any, ...], start_s: int, ticks: int) -> list[Series]:
    counts: dict[str, list[float]] = {}
    totals: dict[str, list[float]] = {}
    sketches: dict[str, list[dict[int, int]]] = {}
    query = (
        f"SELECT agent, (end_ns / {_NS} - {start_s}) / {TICK_S}, cost_bin, COUNT(*), SUM(cost_usd) FROM trajectories"  # noqa: S608 - numbers and own text
        f" WHERE {_FINISHED} AND cost_usd IS NOT NULL GROUP BY 1, 2, 3"
    )
    for agent, tick, cost_bin, units, total in raw.execute(query, bounds):
        if agent not in counts:
            counts[agent], totals[agent] = [0.0] * ticks, [0.0] * ticks
            sketches[agent] = [{} for _ in range(ticks)]
        counts[agent][tick] += units
        totals[agent][tick] += total
        if cost_bin is not None:
            sketches[agent][tick][cost_bin] = units
    return [
        _series(
            Signal.COST, Subject(agent=agent), "USD", COST_QUERY, start_s, counts[agent], totals[agent], sketches[agent]
        )
        for agent in sorted(counts)
    ]


def _errors(raw: sqlite3.Connection, bounds: tuple[Any, ...], start_s: int, ticks: int) -> list[Series]:
    query = (
        f"SELECT agent, NULL, (end_ns / {_NS} - {start_s}) / {TICK_S}, COUNT(*), SUM(outcome = 'error')"  # noqa: S608 - numbers and own text
        f" FROM trajectories WHERE {_FINISHED} GROUP BY 1, 3"
    )
    found = raw.execute(query, bounds)
    return _events(found, Signal.ERRORS, "trajectories", ERRORS_QUERY, start_s, ticks)


def _tool_errors(raw: sqlite3.Connection, bounds: tuple[Any, ...], start_s: int, ticks: int) -> list[Series]:
    query = (
        f"SELECT t.agent, s.tool, (s.end_ns / {_NS} - {start_s}) / {TICK_S}, COUNT(*), SUM(s.status = 'error')"  # noqa: S608 - numbers and own text
        " FROM spans s JOIN trajectories t ON t.id = s.trajectory"
        " WHERE s.operation = 'execute_tool' AND s.repeated = 0 AND s.tool IS NOT NULL"
        " AND t.agent <> ? AND s.end_ns >= ? AND s.end_ns < ? GROUP BY 1, 2, 3"
    )
    found = raw.execute(query, bounds[:3])
    return _events(found, Signal.TOOL_ERRORS, "calls", TOOL_ERRORS_QUERY, start_s, ticks)


def _events(found: sqlite3.Cursor, signal: Signal, unit: str, query: str, start_s: int, ticks: int) -> list[Series]:
    counts: dict[Subject, tuple[list[float], list[float]]] = {}
    for agent, tool, tick, units, events in found:
        subject = Subject(agent=agent, tool=tool)
        count_of, event_of = counts.setdefault(subject, ([0.0] * ticks, [0.0] * ticks))
        count_of[tick] += units
        event_of[tick] += events
    ordered = sorted(counts, key=lambda subject: (subject.agent or "", subject.tool or ""))
    return [_series(signal, subject, unit, query, start_s, *counts[subject], None) for subject in ordered]


def _series(
    signal: Signal,
    subject: Subject,
    unit: str,
    query: str,
    start_s: int,
    counts: list[float],
    totals: list[float],
    sketches: list[dict[int, int]] | None,
) -> Series:
    filled: list[Sketch] | None = list(sketches) if sketches is not None else None
    return Series(
        signal=signal,
        subject=subject,
        unit=unit,
        source="store",
        query=query.format(agent=quoted(subject.agent or ""), tool=quoted(subject.tool or "")),
        start_s=start_s,
        count=counts,
        total=totals,
        sketches=filled,
    )


def quoted(label: str) -> str:
    """Return a label value as a PromQL string: an agent's name may hold quotes."""
    escaped = label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


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
            " SUM(s.cache_write_tokens), TOTAL(s.cost_usd), SUM(s.input_tokens IS NOT NULL AND s.cost_usd IS NULL)"
            f" FROM trajectories t JOIN spans s ON s.trajectory = t.id WHERE {in_range}"
            " AND s.operation IN ('chat', 'embeddings') AND s.repeated = 0 GROUP BY 1, 2",
            bounds,
        )
    }
    keys = sorted(runs.keys() | spent.keys(), key=lambda key: (key[0] or "", key[1] or ""))
    nothing = (0, 0, 0, 0, 0, 0.0, 0)
    return [
        Usage(agent, *key, *runs.get(key, (0, 0)), *(value or 0 for value in spent.get(key, nothing))) for key in keys
    ]


def changes(raw: sqlite3.Connection, agent: str, start: datetime, end: datetime) -> list[Change]:
    """Return first sights in the range, oldest first. See `TrajectoryStore.changes`."""
    found: list[Change] = []
    for what, column in (("version", "version"), ("model", "model"), ("prompt", "prompt"), ("tools", "tools")):
        rows = raw.execute(
            f"SELECT {column}, MIN(start_ns) FROM trajectories WHERE agent = ? AND start_ns >= ? AND start_ns < ?"  # noqa: S608 - own names
            f" AND {column} IS NOT NULL GROUP BY 1 ORDER BY 2",
            (agent, nanoseconds(start), nanoseconds(end)),
        ).fetchall()
        # The value that the history begins with is no change.
        found += [
            Change(what, _before(raw, agent, column, first_ns), str(value), datetime.fromtimestamp(first_ns / _NS, UTC))
            for value, first_ns in rows[1:]
        ]
    return sorted(found, key=lambda change: (change.at, change.what))


def _before(raw: sqlite3.Connection, agent: str, column: str, first_ns: int) -> str | None:
    """Return the commonest value among the last trajectories before a moment: what the new value replaced."""
    row = raw.execute(
        f"SELECT value FROM (SELECT {column} AS value FROM trajectories"  # noqa: S608 - own names
        f" WHERE agent = ? AND end_ns < ? AND {column} IS NOT NULL ORDER BY end_ns DESC LIMIT 50)"
        " GROUP BY value ORDER BY COUNT(*) DESC, value LIMIT 1",
        (agent, first_ns),
    ).fetchone()
    return str(row[0]) if row is not None else None


def unpriced_models(raw: sqlite3.Connection) -> list[tuple[str, int]]:
    """Return models whose inferences have tokens but no cost, with their number of calls."""
    return [
        (str(model), int(calls))
        for model, calls in raw.execute(
            "SELECT COALESCE(s.model, '(no model named)'), COUNT(*)"
            " FROM trajectories t JOIN spans s ON s.trajectory = t.id WHERE t.unpriced > 0 AND t.agent <> ?"
            " AND s.operation IN ('chat', 'embeddings') AND s.repeated = 0"
            " AND s.input_tokens IS NOT NULL AND s.cost_usd IS NULL GROUP BY 1 ORDER BY 2 DESC, 1",
            (OWN_AGENT,),
        )
    ]


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
