"""Texts that lie in another database: the store knows of a trajectory all that is counted, and its texts on demand.

What is fetched goes through a store in memory with the same masker, so that what a reader gets is masked and put
together by the same code, to the letter, as if it had been taken in here.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from analyzer.errors import NotFoundError, SourceError
from analyzer.stores import summaries
from analyzer.types.report import Gap
from analyzer.types.trace import Span

if TYPE_CHECKING:
    from analyzer.stores.trajectories import SqliteTrajectories

_WHOLE_ID = re.compile(r"[0-9a-f]{32}")
_SPANS_MAX = 20_000
"""Spans in memory before all are dropped: with packed texts some 20 MB."""
_AT_ONCE = 500
"""Trajectories of one question: whoever asks for many bounds their spans. Another question reads the same part of a
table again, whose order is not by trajectory."""
HINT = "`analyzer doctor` checks the connection; what is counted is in the store, and went into this run"


class SpanSource(Protocol):
    """Where the texts lie. Spans come as they are there: unmasked."""

    def spans_of(self, trace_ids: Sequence[str]) -> Iterable[Span]:
        """Return the spans of some trajectories. Raises SourceError."""

    def counted_of(self, trace_id: str) -> Iterable[Span]:
        """Return those spans of a trajectory that are counted when they are followed. Raises SourceError."""

    def holding(self, text: str) -> Iterator[str]:
        """Yield the trajectories that may hold a text, the latest first. Raises SourceError."""


class Elsewhere:
    """Fetches what lies in another database. Threads take turns."""

    def __init__(self, source: Callable[[], SpanSource]) -> None:
        """`source` is made when it is first needed: most commands read no text."""
        self._make = source
        self._source: SpanSource | None = None
        self._lock = threading.RLock()
        self._held: SqliteTrajectories | None = None
        self._known: dict[str, int] = {}
        self._spans = 0
        self.on_unread: Callable[[Gap], None] | None = None
        """Told of what could not be fetched, which is then left out; None: whoever asks gets the error."""

    def close(self) -> None:
        """Drop what was fetched."""
        with self._lock:
            self._drop()

    @contextmanager
    def fetched(
        self, sizes: Mapping[str, int], make: Callable[[], SqliteTrajectories]
    ) -> Iterator[SqliteTrajectories | None]:
        """Give a store that holds those of the trajectories that are still there; `make` makes an empty one in memory.

        `sizes` says by trace id how many spans are counted here: what has grown since it was fetched is fetched anew.
        None where the database did not answer and `on_unread` was told. Raises SourceError.
        """
        with self._lock:
            try:
                self._fetch(sizes, make)
            except SourceError as error:
                self._leave_out(error)
                yield None
                return
            yield self._held

    def counted_of(self, trace_id: str) -> list[Span]:
        """See `SpanSource.counted_of`; without a source, none."""
        with self._lock:
            return list(self._asked().counted_of(trace_id)) if self._make is not unset else []

    def holding(self, text: str) -> Iterator[str]:
        """See `SpanSource.holding`; without a source, none, and none that could not be asked for."""
        if self._make is unset:
            return
        try:
            yield from self._asked().holding(text)
        except SourceError as error:
            self._leave_out(error)

    def _leave_out(self, error: SourceError) -> None:
        """Tell of what could not be read. Raises the error where nobody listens."""
        if self.on_unread is None:
            raise error
        self.on_unread(Gap("texts of trajectories", str(error), HINT))

    def _fetch(self, sizes: Mapping[str, int], make: Callable[[], SqliteTrajectories]) -> None:
        wanted = [trace_id for trace_id, size in sizes.items() if self._known.get(trace_id) != size]
        if self._held is None or (wanted and self._spans > _SPANS_MAX):
            self._drop()
            self._held, wanted = make(), list(sizes)
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            spans = list(self._asked().spans_of(some))
            self._held.add(spans)
            self._spans += len(spans)
            self._known.update((trace_id, sizes[trace_id]) for trace_id in some)

    def _asked(self) -> SpanSource:
        if self._source is None:
            self._source = self._make()
        return self._source

    def _drop(self) -> None:
        if self._held is not None:
            self._held.close()
        self._held, self._spans = None, 0
        self._known.clear()


def unset() -> SpanSource:
    """Say that nobody told where the texts lie. Raises SourceError."""
    raise SourceError("the texts lie in ClickHouse, and ANALYZER_CLICKHOUSE_URL does not say where; set it")


def resolved(store: SqliteTrajectories, prefix: str) -> str:
    """Return the full id for a prefix, as `summaries.resolve`; a whole one that is not here is sought elsewhere.

    What is found is counted here like what is followed, so that every question about it has its answer.
    Raises NotFoundError, SourceError, StoreError.
    """
    wanted = prefix.strip().lower()
    try:
        with store.connection.reading() as raw:
            return summaries.resolve(raw, prefix)
    except NotFoundError:
        spans = store.elsewhere.counted_of(wanted) if _WHOLE_ID.fullmatch(wanted) else []
        if not spans:
            raise
    if not store.connection.is_writable:
        raise NotFoundError(
            f"{wanted} lies in ClickHouse and is not read yet: `analyzer traces show {wanted}` reads it"
        )
    store.add_light(spans)
    return wanted


def lies_elsewhere(raw: sqlite3.Connection, owner: int) -> bool:
    """Tell whether the texts of a trajectory, or of a part of it, are not here."""
    return bool(
        raw.execute("SELECT 1 FROM spans WHERE trajectory = ? AND resource IS NULL LIMIT 1", (owner,)).fetchone()
    )


def among(raw: sqlite3.Connection, trace_ids: Sequence[str]) -> dict[str, int]:
    """Return those of some hundred trajectories whose texts are not here, each with its number of spans."""
    marks = ",".join("?" * len(trace_ids))
    query = (
        f"SELECT trace_id, spans FROM trajectories t WHERE trace_id IN ({marks})"  # noqa: S608 - question marks
        " AND EXISTS (SELECT 1 FROM spans WHERE trajectory = t.id AND resource IS NULL)"
    )
    return dict(raw.execute(query, list(trace_ids)).fetchall())
