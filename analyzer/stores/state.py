"""What the analyst's own state asks of a database: SQLite's file has it, and so has PostgreSQL.

State is what several instances may share: incidents, words, deliveries, reports, threads, alerts, owners, spending,
the log, and the turn to run. Its queries are written once, in the SQL that both know, with `?` for values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Rows(Protocol):
    """What a query gives back."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""

    def fetchone(self) -> Any:
        """Return the next row, None after the last."""

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""

    def __iter__(self) -> Iterator[Any]:
        """Yield the rows."""


class Queries(Protocol):
    """An open transaction."""

    def execute(self, query: str, values: Sequence[Any] = ..., /) -> Rows:
        """Run a query."""

    def executemany(self, query: str, rows: Iterable[Sequence[Any]], /) -> object:
        """Run a query for each row of values."""


class StateDatabase(Protocol):
    """A database that holds the state. Several threads may share it."""

    @property
    def place(self) -> str:
        """Where it is, for people; without a password."""

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """What those who share it take turns by."""

    def reading(self) -> AbstractContextManager[Queries]:
        """Give queries that all see one moment. Raises StoreError."""

    def writing(self) -> AbstractContextManager[Queries]:
        """Give one transaction, writers taking turns: all of it is kept, or nothing. Raises StoreBusyError, StoreError.

        Within another one it is a part of that: what fails in it undoes only the part.
        """

    def close(self) -> None:
        """Close it; closing twice does no harm."""
