"""Trajectories of a range by everything they were made with: what a search for the place of a change is made of.

One pass over the narrow rows of trajectories, added up here: SQLite would sort the texts that they agree in, which
takes three times as long. Only where there are more cohorts than memory should hold it does. No tenant is stored as
such: users stand for it.
"""

from __future__ import annotations

import sqlite3
from array import array
from datetime import datetime

from analyzer.stores.base import Cohort, Measure
from analyzer.stores.summaries import OWN_AGENT, nanoseconds

MEASURES: dict[Measure, str] = {
    "cost": "cost_usd",
    "tokens": "input_tokens + output_tokens",
    "steps": "steps",
    "latency": "(end_ns - start_ns) / 1e9",
    "errors": "outcome = 'error'",
    "failures": "outcome = 'failure'",
    "retries": "retries",
    "truncated": "truncated > 0",
}
COHORTS_MAX = 20_000
"""The largest are kept; each is one combination of values, so that a user in every run is what makes many."""


HELD_MAX = 100_000
"""Cohorts that are added up in memory, some 35 MB of it."""


def cohorts(
    raw: sqlite3.Connection,
    agent: str | None,
    start: datetime,
    end: datetime,
    measure: Measure,
    capped_at: float | None,
    *,
    held_max: int = HELD_MAX,
) -> list[Cohort]:
    """Return counts and sums by agent, version, model, prompt, task and user. See `TrajectoryStore.cohorts`."""
    rows = (
        f"SELECT agent, version, model, prompt, task, user_id, MIN({MEASURES[measure]}, ?) AS x FROM trajectories"  # noqa: S608 - own text
        f" WHERE agent {'=' if agent else '<>'} ? AND end_ns >= ? AND end_ns < ?"
    )
    most = 1e300 if capped_at is None else capped_at
    bounds = (most, agent or OWN_AGENT, nanoseconds(start), nanoseconds(end))
    sums: dict[tuple[str | None, ...], list[float]] = {}
    for row in raw.execute(rows, bounds):
        amount = row[6]
        if amount is not None:
            known = sums.setdefault(row[:6], [0, 0.0, 0.0])
            known[0] += 1
            known[1] += amount
            known[2] += amount * amount
            if len(sums) > held_max:
                return _sorted_on_disk(raw, rows, bounds)
    ranked = sorted(sums.items(), key=lambda entry: (-entry[1][0], order_of(entry[0])))
    return [Cohort(values, int(of), total, squares) for values, (of, total, squares) in ranked[:COHORTS_MAX]]


def _sorted_on_disk(raw: sqlite3.Connection, rows: str, bounds: tuple[float | str, ...]) -> list[Cohort]:
    query = (
        "SELECT agent, version, model, prompt, task, user_id, COUNT(*), TOTAL(x), TOTAL(x * x)"  # noqa: S608 - own text
        f" FROM ({rows}) WHERE x IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 7 DESC, 1, 2, 3, 4, 5, 6 LIMIT ?"
    )
    return [Cohort(tuple(row[:6]), *row[6:]) for row in raw.execute(query, (*bounds, COHORTS_MAX))]


def order_of(values: tuple[str | None, ...]) -> str:
    """Return what cohorts of as many trajectories are put in order by."""
    return "\0".join([name or "" for name in values])


def percentile(
    raw: sqlite3.Connection, agent: str | None, start: datetime, end: datetime, measure: Measure, share: float
) -> float | None:
    """Return the value below which a share of the trajectories of a range lies; None without any."""
    # Read once and put in order here: SQLite would read the rows twice, to count them first.
    query = (
        f"SELECT {MEASURES[measure]} AS x FROM trajectories WHERE agent {'=' if agent else '<>'} ?"  # noqa: S608 - own text
        " AND end_ns >= ? AND end_ns < ? AND x IS NOT NULL"
    )
    found = raw.execute(query, (agent or OWN_AGENT, nanoseconds(start), nanoseconds(end)))
    amounts = sorted(array("d", (amount for (amount,) in found)))
    return amounts[int(share * (len(amounts) - 1))] if amounts else None
