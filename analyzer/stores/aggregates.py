"""What is added up over many trajectories: series, usage, changes. Only numbers and names are read, no payloads."""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from analyzer.stores.base import UnpricedUse, Usage
from analyzer.stores.summaries import OWN_AGENT, nanoseconds
from analyzer.types.metric import TICK_S, Series, Signal, Sketch, Unpriced
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

_UNPRICED = "s.input_tokens IS NOT NULL AND s.cost_usd IS NULL"
"""An inference whose tokens are known and whose price is not."""
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


class _Costs:
    """The costs of one agent, tick by tick, while they are read."""

    def __init__(self, ticks: int) -> None:
        self.count, self.total = [0.0] * ticks, [0.0] * ticks
        self.sketches: list[dict[int, int]] = [{} for _ in range(ticks)]
        self.unknown, self.calls, self.inferences = [0.0] * ticks, [0.0] * ticks, [0.0] * ticks

    def add(self, tick: int, cost_bin: int | None, units: int, priced: int, total: float) -> None:
        """Take the trajectories of one tick and bin; those of no known cost are counted apart."""
        self.count[tick] += priced
        self.unknown[tick] += units - priced
        self.total[tick] += total
        if cost_bin is not None:
            self.sketches[tick][cost_bin] = priced

    def series(self, agent: str, start_s: int) -> Series:
        """Return what was read."""
        subject = Subject(agent=agent)
        series = _series(Signal.COST, subject, "USD", COST_QUERY, start_s, self.count, self.total, self.sketches)
        if not any(self.calls):
            return series
        return replace(series, unpriced=Unpriced(self.unknown, self.calls, self.inferences))


def _cost(raw: sqlite3.Connection, bounds: tuple[Any, ...], start_s: int, ticks: int) -> list[Series]:
    """Return the known costs of each agent that has any, and beside them how much is not known.

    A trajectory with no priced inference has an unknown cost, not one of 0: it is no unit of the series. Of one with
    some, the known part counts.
    """
    found: dict[str, _Costs] = {}
    query = (
        f"SELECT agent, (end_ns / {_NS} - {start_s}) / {TICK_S}, cost_bin, COUNT(*), COUNT(cost_usd), TOTAL(cost_usd),"  # noqa: S608 - numbers and own text
        f" SUM(unpriced), SUM(inferences) FROM trajectories WHERE {_FINISHED}"
        " AND (cost_usd IS NOT NULL OR unpriced > 0) GROUP BY 1, 2, 3"
    )
    for agent, tick, cost_bin, units, priced, total, calls, inferences in raw.execute(query, bounds):
        if agent not in found:
            found[agent] = _Costs(ticks)
        costs = found[agent]
        costs.add(tick, cost_bin, units, priced, total)
        costs.calls[tick] += calls
        costs.inferences[tick] += inferences
    return [found[agent].series(agent, start_s) for agent in sorted(found) if any(found[agent].count)]


def _errors(raw: sqlite3.Connection, bounds: tuple[Any, ...], start_s: int, ticks: int) -> list[Series]:
    query = (
        f"SELECT agent, NULL, (end_ns / {_NS} - {start_s}) / {TICK_S}, COUNT(*),"  # noqa: S608 - numbers and own text
        f" SUM(outcome = 'error'), SUM(outcome = 'error') FROM trajectories WHERE {_FINISHED} GROUP BY 1, 3"
    )
    found = raw.execute(query, bounds)
    return _events(found, Signal.ERRORS, ERRORS_QUERY, start_s, ticks)


def _tool_errors(raw: sqlite3.Connection, bounds: tuple[Any, ...], start_s: int, ticks: int) -> list[Series]:
    """Return the failed share of the calls, of each trajectory that called a tool, in the tick of its last call.

    Ten failures of one trajectory say something about that run and not ten times as much about the tool
    (docs/detectors/tool_errors.md).
    """
    query = (
        f"SELECT t.agent, used.tool, (used.last_ns / {_NS} - {start_s}) / {TICK_S},"  # noqa: S608 - numbers and own text
        " COUNT(*), SUM(used.failed * 1.0 / used.calls), SUM(used.failed > 0)"
        " FROM (SELECT trajectory, tool, MAX(end_ns) AS last_ns, COUNT(*) AS calls, SUM(status = 'error') AS failed"
        " FROM spans WHERE operation = 'execute_tool' AND repeated = 0 AND tool IS NOT NULL"
        " AND end_ns >= ? AND end_ns < ? GROUP BY trajectory, tool) AS used"
        " JOIN trajectories t ON t.id = used.trajectory WHERE t.agent <> ? GROUP BY 1, 2, 3"
    )
    own, start_ns, end_ns, _ = bounds
    found = raw.execute(query, (start_ns, end_ns, own))
    return _events(found, Signal.TOOL_ERRORS, TOOL_ERRORS_QUERY, start_s, ticks)


def _events(found: sqlite3.Cursor, signal: Signal, query: str, start_s: int, ticks: int) -> list[Series]:
    """Return series from rows of agent, tool, tick, trajectories, events and trajectories with any event."""
    sums: dict[Subject, tuple[list[float], list[float], list[float]]] = {}
    for agent, tool, tick, *row in found:
        subject = Subject(agent=agent, tool=tool)
        own = sums.setdefault(subject, ([0.0] * ticks, [0.0] * ticks, [0.0] * ticks))
        for values, value in zip(own, row, strict=True):
            values[tick] += value
    series = []
    for subject in sorted(sums, key=lambda subject: (subject.agent or "", subject.tool or "")):
        count, total, hit = sums[subject]
        one = _series(signal, subject, "trajectories", query, start_s, count, total, None)
        series.append(replace(one, hit=hit) if hit != total else one)
    return series


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
