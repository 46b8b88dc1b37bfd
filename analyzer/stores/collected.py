"""The Collector's tables as the place where texts lie."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from analyzer.stores.clickhouse import NS, ClickHouse, Row
from analyzer.types.trace import Span

_WORD = re.compile(r"\w+")
_DAY_NS = 86_400 * NS
TRIED_MAX = 500
"""Trajectories read in full in one search: some seconds."""


class CollectedSpans:
    """A `SpanSource` over ClickHouse."""

    def __init__(
        self, source: ClickHouse, translate: Callable[[Row], Span], history: timedelta, now: Callable[[], datetime]
    ) -> None:
        """`translate` refuses a row with a ValueError; a search looks back `history` from `now`."""
        self._source, self._translate, self._history, self._now = source, translate, history, now

    def spans_of(self, trace_ids: Sequence[str]) -> Iterable[Span]:
        """See `SpanSource.spans_of`."""
        return self._read(self._source.of_trajectories(trace_ids))

    def followed_of(self, trace_ids: Sequence[str]) -> Iterable[Span]:
        """See `SpanSource.followed_of`."""
        return self._read(self._source.of_trajectories(trace_ids, cut=True))

    def counted_of(self, trace_id: str) -> Iterable[Span]:
        """See `SpanSource.counted_of`: spans of the services that are followed."""
        return self._read(self._source.of_trajectories([trace_id], of_services=True))

    def _read(self, rows: Iterable[Row]) -> Iterator[Span]:
        for row in rows:
            try:
                yield self._translate(row)
            except ValueError:
                # Said when it was followed.
                continue

    def holding(self, text: str) -> Iterator[str]:
        """See `SpanSource.holding`: a day at a time, so that what is found early is read early.

        The longest word of the text is looked for, because quotation marks and escapes stand in JSON in several ways.
        """
        word = max(_WORD.findall(text), key=len, default=text)
        until_ns = int(self._now().timestamp()) * NS
        first_ns = until_ns - int(self._history.total_seconds()) * NS
        seen: set[str] = set()
        while until_ns > first_ns and len(seen) < TRIED_MAX:
            start_ns = max(first_ns, until_ns - _DAY_NS)
            for trace_id in self._source.holding(word, start_ns, until_ns, TRIED_MAX):
                if trace_id not in seen:
                    seen.add(trace_id)
                    yield trace_id
            until_ns = start_ns
