"""What is added up over the trajectories of a range when it is asked for. Only numbers and names, no payloads."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from datetime import datetime
from typing import Any

from analyzer.stores.base import Callers, UnpricedUse, Usage
from analyzer.stores.summaries import OWN_AGENT, nanoseconds
from analyzer.stores.tools import CALLS_OF_ONE, calls_of_one

_UNPRICED = "s.input_tokens IS NOT NULL AND s.cost_usd IS NULL"
"""An inference whose tokens are known and whose price is not."""
_MODELS = (
    "inferences", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cost_usd", "unpriced",
    "unpriced_tokens",
)  # fmt: skip
_AMOUNTS = ("trajectories", "steps", *_MODELS)
_PRODUCTS = ", ".join(f"TOTAL({left} * {right})" for place, left in enumerate("abcde") for right in "abcde"[place:])
"""Products of the parts of the tokens and USD. An integer too large for 64 bits becomes a float in SQLite."""
_SPENT = (
    "SELECT version, model, COUNT(*), SUM(input), SUM(output), SUM(read), SUM(write), TOTAL(e), SUM(unpriced),"  # noqa: S608 - own text
    f" SUM(CASE WHEN unpriced THEN input + COALESCE(output, 0) END), {_PRODUCTS} FROM ("
    "SELECT *, IIF(e IS NULL, NULL, MAX(input - COALESCE(read, 0) - COALESCE(write, 0), 0)) AS a,"
    " IIF(e IS NULL, NULL, COALESCE(output, 0)) AS b, IIF(e IS NULL, NULL, COALESCE(read, 0)) AS c,"
    " IIF(e IS NULL, NULL, COALESCE(write, 0)) AS d FROM ("
    "SELECT t.version, s.model, s.input_tokens AS input, s.output_tokens AS output, s.cache_read_tokens AS read,"
    f" s.cache_write_tokens AS write, s.cost_usd AS e, {_UNPRICED} AS unpriced"
    " FROM trajectories t JOIN spans s ON s.trajectory = t.id WHERE {in_range}"
    " AND s.operation IN ('chat', 'embeddings') AND s.repeated = 0)) GROUP BY 1, 2"
)


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
    found: dict[tuple[str | None, str | None], dict[str, Any]] = defaultdict(lambda: dict.fromkeys(_AMOUNTS, 0))
    for version, model, *counts in raw.execute(
        f"SELECT version, model, COUNT(*), SUM(steps), SUM(tool_calls) FROM trajectories t WHERE {in_range}"  # noqa: S608 - own text
        " GROUP BY 1, 2",
        bounds,
    ):
        found[version, model].update(zip(("trajectories", "steps", "tool_steps"), counts, strict=True))
    for version, model, *sums in raw.execute(_SPENT.format(in_range=in_range), bounds):
        amounts = [value or 0 for value in sums]
        found[version, model].update(zip(_MODELS, amounts, strict=False), squares=tuple(amounts[len(_MODELS) :]))
    for version, calls, usd in raw.execute(
        f"SELECT t.version, COUNT(*), TOTAL(s.cost_usd) FROM trajectories t JOIN spans s ON s.trajectory = t.id"  # noqa: S608 - own text
        f" WHERE {in_range} AND s.operation = 'execute_tool' AND s.cost_usd IS NOT NULL AND s.repeated = 0 GROUP BY 1",
        bounds,
    ):
        found[version, None].update(tool_calls=calls, tool_usd=usd)
    keys = sorted(found, key=lambda key: (key[0] or "", key[1] or ""))
    return [Usage(agent, *key, **found[key]) for key in keys]


def callers(raw: sqlite3.Connection, agent: str, tool: str, start: datetime, end: datetime) -> Callers:
    """Return calls and distinct trajectories of one tool. See `TrajectoryStore.callers`."""
    query = (
        "SELECT COUNT(*), COUNT(DISTINCT s.trajectory),"
        f" COUNT(DISTINCT CASE WHEN s.status = 'error' THEN s.trajectory END){CALLS_OF_ONE}"
    )
    return Callers(*raw.execute(query, calls_of_one(agent, tool, start, end)).fetchone())


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


def unpriced_tools(raw: sqlite3.Connection, start: datetime | None, end: datetime | None) -> list[tuple[str, int]]:
    """Return tools with calls that have no cost, with the number of these calls; without a range, of all times."""
    in_range = "" if start is None or end is None else " AND s.end_ns >= ? AND s.end_ns < ?"
    bounds = () if start is None or end is None else (nanoseconds(start), nanoseconds(end))
    return [
        (str(tool), int(calls))
        for tool, calls in raw.execute(
            "SELECT s.tool, COUNT(*) FROM spans s JOIN trajectories t ON t.id = s.trajectory"  # noqa: S608 - own text
            " WHERE s.operation = 'execute_tool' AND s.repeated = 0 AND s.tool IS NOT NULL AND s.cost_usd IS NULL"
            f" AND t.agent <> ?{in_range} GROUP BY 1 ORDER BY 2 DESC, 1",
            (OWN_AGENT, *bounds),
        )
    ]
