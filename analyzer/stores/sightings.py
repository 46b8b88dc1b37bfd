"""When an agent was first seen with a version, a model, a prompt, tools: what a change is read from.

Kept per day and agent beside the rollups and counted anew with them, so that asking what is new does not read the
whole history of an agent.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import orjson

from analyzer.stores.rollups import HOUR_NS, NS, unsettled
from analyzer.stores.summaries import OWN_AGENT, nanoseconds
from analyzer.types.report import Change

WATCHED = (
    ("version", "version"),
    ("model", "model"),
    ("prompt", "prompt"),
    ("tools", "tools"),
    ("parameters", "parameters"),
    ("sdk", "sdk"),
)
"""What a change is called, and the column of `trajectories` that tells it."""
VALUES_MAX = 200
"""Different values of one thing on one day and agent; a "version" that is new in every run is no version."""
FRESH_A_DAY_MAX = 12
"""New values of one thing a day, on average: a deploy every two hours. What is new more often marks no change, such as
a limit of tokens that is computed for every call."""

Sighting = tuple[int, str, str, int]
"""Hour since 1970, what, value, Unix nanoseconds of the first trajectory of that hour."""


def sighted(raw: sqlite3.Connection, hour: int) -> dict[str, list[Sighting]]:
    """Return by agent what its trajectories that ended in an hour were made with."""
    found: dict[str, list[Sighting]] = defaultdict(list)
    bounds = (OWN_AGENT, hour * HOUR_NS, (hour + 1) * HOUR_NS)
    for what, column in WATCHED:
        query = (
            f"SELECT agent, {column}, MIN(COALESCE(start_ns, end_ns)) FROM trajectories"  # noqa: S608 - own names
            f" WHERE agent <> ? AND end_ns >= ? AND end_ns < ? AND {column} IS NOT NULL GROUP BY 1, 2 ORDER BY 3"
        )
        for agent, value, first_ns in raw.execute(query, bounds):
            found[agent].append((hour, what, str(value), int(first_ns)))
    return found


def recount(raw: sqlite3.Connection, day: int, hours: Iterable[int]) -> None:
    """Count some hours of a day anew. Needs the write lock."""
    again = set(hours)
    kept: dict[str, list[Sighting]] = defaultdict(list)
    for agent, body in raw.execute("SELECT agent, body FROM sightings WHERE day = ?", (day,)):
        kept[agent] = [tuple(one) for one in orjson.loads(body) if one[0] not in again]
    for hour in sorted(again):
        for agent, seen in sighted(raw, hour).items():
            kept[agent] += seen
    raw.execute("DELETE FROM sightings WHERE day = ?", (day,))
    raw.executemany(
        "INSERT INTO sightings VALUES (?, ?, ?)",
        [(day, agent, orjson.dumps(_bounded(seen))) for agent, seen in sorted(kept.items()) if seen],
    )


def _bounded(seen: list[Sighting]) -> list[Sighting]:
    values: dict[str, set[str]] = defaultdict(set)
    kept = []
    for one in sorted(seen):
        known = values[one[1]]
        if one[2] in known or len(known) < VALUES_MAX:
            known.add(one[2])
            kept.append(one)
    return kept


def _read(raw: sqlite3.Connection, agent: str, start: datetime, end: datetime, *, marked: bool) -> Iterator[Sighting]:
    start_s, stop_s = int(start.timestamp()), int(end.timestamp()) + 1
    now = unsettled(raw, start_s, stop_s, nanoseconds(end)) if marked else frozenset()
    query = "SELECT body FROM sightings WHERE agent = ? AND day >= ? AND day <= ?"
    for (body,) in raw.execute(query, (agent, start_s // 86_400, stop_s // 86_400)):
        yield from (tuple(one) for one in orjson.loads(body) if one[0] not in now)
    for hour in sorted(now):
        yield from sighted(raw, hour).get(agent, ())


def first_sent(
    raw: sqlite3.Connection, start: datetime, end: datetime, *, marked: bool = True
) -> dict[str, dict[str, int]]:
    """Return by agent and hash of tool definitions when they were first sent in a range, in Unix nanoseconds."""
    start_s, stop_s = int(start.timestamp()), int(end.timestamp()) + 1
    now = unsettled(raw, start_s, stop_s, nanoseconds(end)) if marked else frozenset()
    found: dict[str, dict[str, int]] = defaultdict(dict)

    def see(agent: str, seen: Iterable[Sighting]) -> None:
        for _, what, value, first_ns in seen:
            if what == "tools":
                found[agent][value] = min(first_ns, found[agent].get(value, first_ns))

    query = "SELECT agent, body FROM sightings WHERE day >= ? AND day <= ?"
    for agent, body in raw.execute(query, (start_s // 86_400, stop_s // 86_400)):
        see(agent, (one for one in orjson.loads(body) if one[0] not in now))
    for hour in sorted(now):
        for agent, seen in sighted(raw, hour).items():
            see(agent, seen)
    return found


def changes(
    raw: sqlite3.Connection, agent: str, start: datetime, end: datetime, *, marked: bool = True
) -> list[Change]:
    """Return first sights in the range, oldest first. See `TrajectoryStore.changes`."""
    first: dict[tuple[str, str], int] = {}
    for _, what, value, at_ns in _read(raw, agent, start, end, marked=marked):
        first[what, value] = min(at_ns, first.get((what, value), at_ns))
    found: list[Change] = []
    days = max(1.0, (end - start).total_seconds() / 86_400)
    for what, column in WATCHED:
        seen = sorted((at_ns, value) for (name, value), at_ns in first.items() if name == what)
        if len(seen) > FRESH_A_DAY_MAX * days:
            continue
        # The value that the history begins with is no change, nor is one that was there before the range.
        found += [
            Change(what, before(raw, agent, column, at_ns), value, datetime.fromtimestamp(at_ns / NS, UTC))
            for at_ns, value in seen[1:]
            if nanoseconds(start) <= at_ns < nanoseconds(end)
        ]
    return sorted(found, key=lambda change: (change.at, change.what))


def before(raw: sqlite3.Connection, agent: str, column: str, first_ns: int) -> str | None:
    """Return the commonest value among the last trajectories before a moment: what the new value replaced."""
    row = raw.execute(
        f"SELECT value FROM (SELECT {column} AS value FROM trajectories"  # noqa: S608 - own names
        f" WHERE agent = ? AND end_ns < ? AND {column} IS NOT NULL ORDER BY end_ns DESC LIMIT 50)"
        " GROUP BY value ORDER BY COUNT(*) DESC, value LIMIT 1",
        (agent, first_ns),
    ).fetchone()
    return str(row[0]) if row is not None else None
