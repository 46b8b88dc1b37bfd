"""Changes that someone told us of, because no span shows them: a deploy, a flag, a new index."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime

from analyzer.errors import NotFoundError
from analyzer.masking import Masker
from analyzer.stores.database import Connection
from analyzer.stores.summaries import nanoseconds
from analyzer.types.report import Change

TEXT_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class Told:
    """A change as it was recorded."""

    id: int
    agent: str | None
    """None: it concerns every agent."""
    change: Change


class SqliteChanges:
    """Recorded changes, in the same file as the trajectories; masked as everything is."""

    def __init__(self, connection: Connection, masker: Masker) -> None:
        self._connection = connection
        self._masker = masker

    def add(self, text: str, agent: str | None, at: datetime) -> Told:
        """Record a change: the first word is what changed, the rest what it changed to. The same again changes nothing.

        Raises StoreError.
        """
        what, _, value = " ".join(self._masker.text(text).split())[:TEXT_CHARS_MAX].partition(" ")
        entry = (nanoseconds(at), agent, what, value or None)
        with self._connection.writing() as raw:
            same = "SELECT id FROM told WHERE at_ns = ? AND agent IS ? AND what = ? AND value IS ?"
            known = raw.execute(same, entry).fetchone()
            if known is None:
                query = "INSERT INTO told (at_ns, agent, what, value) VALUES (?, ?, ?, ?) RETURNING id"
                known = raw.execute(query, entry).fetchone()
        return Told(int(known[0]), agent, Change(what, None, value or None, at))

    def all(self) -> list[Told]:
        """Return every recorded change, newest first."""
        with self._connection.reading() as raw:
            rows = raw.execute("SELECT id, agent, what, value, at_ns FROM told ORDER BY at_ns DESC, id DESC").fetchall()
        return [Told(row[0], row[1], _change(*row[2:])) for row in rows]

    def remove(self, number: int) -> None:
        """Forget a change. Raises NotFoundError."""
        with self._connection.writing() as raw:
            if raw.execute("DELETE FROM told WHERE id = ?", (number,)).rowcount == 0:
                raise NotFoundError(f"no change {number}; `analyzer change list` shows what is recorded")


def changes(raw: sqlite3.Connection, agent: str, start: datetime, end: datetime) -> list[Change]:
    """Return what was recorded for an agent, or for all, in a range."""
    query = (
        "SELECT what, value, at_ns FROM told WHERE (agent IS NULL OR agent = ?) AND at_ns >= ? AND at_ns < ?"
        " ORDER BY at_ns, id"
    )
    return [_change(*row) for row in raw.execute(query, (agent, nanoseconds(start), nanoseconds(end)))]


def _change(what: str, value: str | None, at_ns: int) -> Change:
    return Change(what, None, value, datetime.fromtimestamp(at_ns / 1e9, UTC))
