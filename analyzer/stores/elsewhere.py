"""Texts that lie in another database: the store knows of a trajectory all that is counted, and its texts on demand.

What a reader is shown goes through a store in memory with the same masker, so that it is masked and put together by
the same code, to the letter, as if it had been taken in here. Steps alone are made of spans as they come (`unkept`).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from analyzer.errors import NotFoundError, SourceError, SourceRefusedError
from analyzer.stores import summaries
from analyzer.types.report import Gap
from analyzer.types.trace import Span

if TYPE_CHECKING:
    from analyzer.stores.trajectories import SqliteTrajectories

INGESTED, FOLLOWED = "`analyzer ingest PATH`", "`analyzer store follow`"
"""The two ways in, as a person is told them."""
_WHOLE_ID = re.compile(r"[0-9a-f]{32}")
_SPANS_MAX = 20_000
"""Spans in memory before all are dropped: with packed texts some 20 MB."""
_AT_ONCE = 500
"""Trajectories of one question: whoever asks for many bounds their spans. Another question reads the same part of a
table again, whose order is not by trajectory."""
_SINGLY_MAX = 20
"""Trajectories that are asked for one by one where they are too much for a server together."""
HINT = "`analyzer doctor` checks the connection; what is counted is in the store"


class SpanSource(Protocol):
    """Where the texts lie. Spans come as they are there: unmasked."""

    def spans_of(self, trace_ids: Sequence[str]) -> Iterable[Span]:
        """Return the spans of some trajectories. Raises SourceError."""

    def followed_of(self, trace_ids: Sequence[str]) -> Iterable[Span]:
        """Return the same as where they are followed: conversations without their middle. Raises SourceError."""

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
        """By trace id the form of what was fetched."""
        self._spans = 0
        self._unread: list[Gap] | None = None

    def heard(self) -> list[Gap]:
        """Return a list that is told of what could not be fetched from now on, each once; it is then left out.

        Where nobody listens, whoever asks gets the error.
        """
        self._unread = []
        return self._unread

    @property
    def filled_by(self) -> str:
        """The command that brings trajectories in, as a person is told it."""
        return INGESTED if self._make is unset else FOLLOWED

    def close(self) -> None:
        """Drop what was fetched."""
        with self._lock:
            self._drop()

    @contextmanager
    def fetched(
        self, wanted: Mapping[str, Mapping[str, int]], make: Callable[[], SqliteTrajectories]
    ) -> Iterator[SqliteTrajectories | None]:
        """Give a store that holds those of the trajectories that are still there; `make` makes an empty one in memory.

        `wanted` are the spans without texts by trajectory, each with a number of its form: a trajectory of which a span
        came, or came in a newer form, since it was fetched is fetched anew.
        None where the database did not answer and somebody listens (`heard`); a trajectory that was too much for it is
        not there (`has`). Raises SourceError.
        """
        with self._lock:
            try:
                self._fetch({trace_id: hash(frozenset(away.items())) for trace_id, away in wanted.items()}, make)
            except SourceError as error:
                self._leave_out(error)
                yield None
                return
            yield self._held

    def has(self, trace_id: str) -> bool:
        """Whether a trajectory was fetched, were it that nothing is left of it there."""
        return trace_id in self._known

    def read(self, trace_ids: Sequence[str]) -> list[Span] | None:
        """See `SpanSource.followed_of`, for some hundred trajectories; nothing of them is remembered.

        None where the database did not answer and somebody listens (`heard`). Raises SourceError.
        """
        with self._lock:
            try:
                return list(self._asked().followed_of(trace_ids))
            except SourceError as error:
                self._leave_out(error)
                return None

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
        if self._unread is None:
            raise error
        gap = Gap("texts of trajectories", str(error), HINT)
        if gap not in self._unread:
            self._unread.append(gap)

    def _fetch(self, forms: Mapping[str, int], make: Callable[[], SqliteTrajectories]) -> None:
        wanted = [trace_id for trace_id, form in forms.items() if self._known.get(trace_id) != form]
        if self._held is None or (wanted and self._spans > _SPANS_MAX):
            self._drop()
            self._held, wanted = make(), list(forms)
        for start in range(0, len(wanted), _AT_ONCE):
            self._take(self._held, wanted[start : start + _AT_ONCE], forms)

    def _take(self, held: SqliteTrajectories, some: Sequence[str], forms: Mapping[str, int]) -> None:
        """Fetch some trajectories; where together they are too much for the server, each by itself."""
        try:
            spans = list(self._asked().spans_of(some))
        except SourceRefusedError as error:
            if not error.is_too_much or len(some) > _SINGLY_MAX:
                raise
            if len(some) > 1:
                for trace_id in some:
                    self._take(held, [trace_id], forms)
                return
            self._known.pop(some[0], None)
            self._leave_out(error)
            return
        held.add(spans)
        self._spans += len(spans)
        self._known.update((trace_id, forms[trace_id]) for trace_id in some)

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
            return summaries.resolve(raw, prefix, store.elsewhere.filled_by)
    except NotFoundError:
        spans = store.elsewhere.counted_of(wanted) if _WHOLE_ID.fullmatch(wanted) else []
        if not spans:
            raise
    if not store.connection.is_writable:
        raise NotFoundError(
            f"{wanted} lies in ClickHouse and is not read yet: `analyzer traces show {wanted}` reads it"
        )
    store.add_light(spans, of_all=False)
    return wanted
