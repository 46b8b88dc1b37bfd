"""One row a trajectory: written when spans arrive, listed, found by a prefix of its id."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from analyzer.errors import NotFoundError
from analyzer.stores.base import Order
from analyzer.types.metric import bin_of
from analyzer.types.trace import Outcome
from analyzer.types.trajectory import TrajectorySummary

OWN_AGENT = "analyzer"
"""The name under which the analyst's own runs stand in the store."""
LISTED_MAX = 100_000
_CHUNK = 500
"""Row ids in one question."""

_NAMES = tuple(spec.name for spec in fields(TrajectorySummary))
_UPDATE = f"UPDATE trajectories SET {', '.join(f'{name} = ?' for name in (*_NAMES, 'cost_bin'))} WHERE id = ?"  # noqa: S608 - own names only
_INSERT = (
    f"INSERT INTO trajectories ({', '.join((*_NAMES, 'cost_bin', 'id'))}) VALUES ({', '.join('?' * (len(_NAMES) + 2))})"  # noqa: S608 - own names only
)
_FIELDS = attrgetter(*_NAMES)
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}
_KINDS: tuple[tuple[int, Callable[[Any], Any]], ...] = tuple(
    (_NAMES.index(name), kind)
    for name, kind in (("complete", bool), ("judged", bool), ("outcome", _OUTCOMES.__getitem__))
)
"""Columns that SQLite has no type for."""
_SELECT = f"SELECT {', '.join(_NAMES)} FROM trajectories"  # noqa: S608 - own names only
SIZES: Mapping[Order, str] = {
    "cost": "COALESCE(cost_usd, -1)",
    "errors": "errors",
    "steps": "steps",
    "duration": "COALESCE(end_ns - start_ns, -1)",
    "repeats": "repeats",
    "tokens": "input_tokens + output_tokens",
    "retries": "retries",
    "truncated": "truncated",
}
"""What lists have the largest of first."""
_ORDERS: Mapping[Order, str] = {
    # NULL end times sort last: a trajectory without times cannot be called recent. SQLite takes NULL for smaller than
    # any number; written so, the index gives the order, and the latest of a million are found without sorting them.
    "recent": "end_ns DESC",
    "oldest": "end_ns ASC NULLS LAST",
    **{name: f"{size} DESC" for name, size in SIZES.items()},
}
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which summaries are asked for, and in which order; see `TrajectoryStore.summaries`."""

    agents: Sequence[str] = ()
    """Without any the fleet's: the analyst's own are left out."""
    start: datetime | None = None
    end: datetime | None = None
    order: Order = "recent"
    version: str | None = None
    errors_only: bool = False
    repeats_min: int = 0
    limit: int = 50


def nanoseconds(moment: datetime) -> int:
    """Return Unix nanoseconds, exact to the microsecond that datetimes hold."""
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1000


def write(raw: sqlite3.Connection, owner: int, summary: TrajectorySummary) -> None:
    """Write a summary into its row."""
    raw.execute(_UPDATE, _values(owner, summary))


def insert(raw: sqlite3.Connection, fresh: Sequence[tuple[int, TrajectorySummary]]) -> None:
    """Make the rows of new trajectories, from (row id, summary)."""
    raw.executemany(_INSERT, [_values(owner, summary) for owner, summary in fresh])


def _values(owner: int, summary: TrajectorySummary) -> tuple[Any, ...]:
    cost = summary.cost_usd
    cost_bin = bin_of(cost) if cost is not None and cost > 0 else None
    return (*_FIELDS(summary), cost_bin, owner)


def one(raw: sqlite3.Connection, trace_id: str) -> tuple[int, TrajectorySummary]:
    """Return the row id and summary of a trajectory. Raises NotFoundError."""
    row = raw.execute(f"SELECT id, {', '.join(_NAMES)} FROM trajectories WHERE trace_id = ?", (trace_id,)).fetchone()  # noqa: S608 - own names only
    if row is None:
        raise NotFoundError(f"no trajectory {trace_id}; `analyzer traces list` shows what is there")
    return row[0], _summary(row[1:])


def of_ids(raw: sqlite3.Connection, trace_ids: Sequence[str]) -> dict[str, TrajectorySummary]:
    """Return summaries by trace id, in the order of the question, as far as they are there."""
    found: dict[str, TrajectorySummary] = {}
    for start in range(0, len(trace_ids), _CHUNK):
        chunk = trace_ids[start : start + _CHUNK]
        query = f"{_SELECT} WHERE trace_id IN ({', '.join('?' * len(chunk))})"
        found.update((one.trace_id, one) for one in (_summary(row) for row in raw.execute(query, chunk)))
    return {trace_id: found[trace_id] for trace_id in trace_ids if trace_id in found}


def listed(raw: sqlite3.Connection, asked: Asked) -> list[TrajectorySummary]:
    """Return summaries that meet every condition given, sorted, the ids breaking ties."""
    meant, values = _meant(asked)
    return [_summary(row) for row in raw.execute(f"{_SELECT} {meant}", values)]


def row_ids(raw: sqlite3.Connection, asked: Asked) -> list[int]:
    """Return the row ids of what `listed` returns: for whoever has most of the summaries already."""
    meant, values = _meant(asked)
    return [row[0] for row in raw.execute(f"SELECT id FROM trajectories {meant}", values)]  # noqa: S608 - own text


def of_rows(raw: sqlite3.Connection, ids: Sequence[int]) -> dict[int, TrajectorySummary]:
    """Return summaries by row id, as far as they are there."""
    found: dict[int, TrajectorySummary] = {}
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        query = f"SELECT id, {', '.join(_NAMES)} FROM trajectories WHERE id IN ({', '.join('?' * len(chunk))})"  # noqa: S608 - own names only
        found.update((row[0], _summary(row[1:])) for row in raw.execute(query, chunk))
    return found


def _meant(asked: Asked) -> tuple[str, list[Any]]:
    """Return conditions, order and limit in SQL, and the values of its parameters."""
    among = f"agent IN ({', '.join('?' * len(asked.agents))})" if len(asked.agents) > 1 else "agent = ?"
    conditions: list[str] = [among if asked.agents else "agent <> ?"]
    values: list[Any] = [*asked.agents] if asked.agents else [OWN_AGENT]
    if asked.start is not None:
        conditions.append("end_ns >= ?")
        values.append(nanoseconds(asked.start))
    if asked.end is not None:
        conditions.append("end_ns < ?")
        values.append(nanoseconds(asked.end))
    if asked.version is not None:
        conditions.append("version = ?")
        values.append(asked.version)
    if asked.errors_only:
        conditions.append("(errors > 0 OR outcome IN ('error', 'failure'))")
    if asked.repeats_min:
        conditions.append("repeats >= ?")
        values.append(asked.repeats_min)
    values.append(min(asked.limit, LISTED_MAX))
    return f"WHERE {' AND '.join(conditions)} ORDER BY {_ORDERS[asked.order]}, trace_id LIMIT ?", values


def resolve(raw: sqlite3.Connection, prefix: str, filled_by: str) -> str:
    """Return the full id for a prefix, `latest` or `worst`. Raises NotFoundError.

    `filled_by` is the command that brings trajectories in.
    """
    if prefix in {"latest", "worst"}:
        found = listed(raw, Asked(order="recent" if prefix == "latest" else "cost", limit=1))
        if not found:
            raise NotFoundError(f"the store holds no trajectories yet; {filled_by} puts some in")
        return found[0].trace_id
    wanted = prefix.strip().lower()
    if not wanted or not set(wanted) <= _HEX:
        raise NotFoundError(f"'{prefix}' is no trace id: expected hex digits, `latest` or `worst`")
    rows = raw.execute(
        "SELECT trace_id FROM trajectories WHERE trace_id >= ? AND trace_id < ? ORDER BY trace_id LIMIT 3",
        (wanted, wanted + "g"),
    ).fetchall()
    if not rows:
        raise NotFoundError(f"no trajectory begins with {wanted}; `analyzer traces list` shows what is there")
    if len(rows) > 1:
        some = ", ".join(row[0][: len(wanted) + 6] for row in rows)
        raise NotFoundError(f"{wanted} is the beginning of several trajectories ({some}, ...): give more digits")
    return str(rows[0][0])


def holder(raw: sqlite3.Connection, span_id: str) -> str:
    """Return the id of the trajectory that holds a span. Raises NotFoundError where none does, or more than one.

    No index leads from spans to trajectories: it would take more room than the few look-ups by hand are worth.
    """
    query = (
        "SELECT t.trace_id FROM spans s JOIN trajectories t ON t.id = s.trajectory WHERE s.span_id = ?"
        " ORDER BY 1 LIMIT 2"
    )
    found = [str(row[0]) for row in raw.execute(query, (span_id,))]
    if not found:
        raise NotFoundError(f"no trajectory begins with {span_id} and none has a span of this id")
    if len(found) > 1:
        raise NotFoundError(f"several trajectories have a span {span_id}: write {found[0][:12]}/{span_id}")
    return found[0]


def _summary(row: Sequence[Any]) -> TrajectorySummary:
    values = list(row)
    for at, kind in _KINDS:
        values[at] = kind(values[at])
    return TrajectorySummary(*values)
