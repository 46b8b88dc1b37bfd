"""Following a database that others write: what is new there is read once, counted here, and its texts left there.

The Collector's table does not say when a row arrived. So the rows of every five minutes of their own time are counted,
which reads one column; where there are more than were seen, those five minutes are read again. A span that is known
already changes nothing, and so does one that came twice. How many were seen is noted after they are all in: whoever
is killed in between reads them again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from analyzer.errors import SourceError
from analyzer.stores.clickhouse import BUCKET_S, NS, ClickHouse, Row
from analyzer.types.report import Gap
from analyzer.types.trace import Span

if TYPE_CHECKING:
    from analyzer.stores.trajectories import SqliteTrajectories

_PORTION_ROWS = 10_000
"""Rows of one query: with their texts some hundred megabytes where they are sorted."""
_BATCH_SPANS = 1_000
AHEAD = timedelta(hours=1)
"""Clocks of the fleet may be ahead of ours."""
WHAT = "spans in ClickHouse"


@dataclass(frozen=True, slots=True)
class Followed:
    """What one pass did."""

    rows: int
    """Read, known ones among them."""
    spans_new: int
    left: int
    """Rows that wait for the next pass."""
    left_until: datetime | None
    """The end of what waits; None where nothing does."""
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a database was followed."""

    start: datetime
    end: datetime
    rows: int


@dataclass(frozen=True, slots=True)
class _Portion:
    """Neighbouring buckets that are read together."""

    counts: tuple[tuple[int, int], ...]
    """First second and rows of each."""

    @property
    def rows(self) -> int:
        return sum(rows for _, rows in self.counts)

    def slices(self) -> Iterator[tuple[int, int]]:
        """Yield the times to be read, in Unix nanoseconds; one bucket may have more rows than are read at once."""
        first, last = self.counts[0][0] * NS, (self.counts[-1][0] + BUCKET_S) * NS
        pieces = min(-(-self.rows // _PORTION_ROWS), BUCKET_S) if len(self.counts) == 1 else 1
        step = -(-(last - first) // max(pieces, 1))
        for start in range(first, last, step):
            yield start, min(start + step, last)


def follow(
    store: SqliteTrajectories,
    source: ClickHouse,
    translate: Callable[[Row], Span],
    at: datetime,
    history: timedelta,
    *,
    rows_max: int,
    on_portion: Callable[[int], None] = lambda _rows: None,
) -> Followed:
    """Read what is new up to a moment, the latest first, and `rows_max` rows at most. Raises StoreError.

    The first pass reads back `history`, later ones what grew in the last `late` and what is left of the history. A row
    that `translate` refuses with a ValueError is left out, and said. A database that does not answer is a gap.
    `on_portion` hears how many rows were read each time that some are in.
    """
    rows = new = 0
    refused: list[str] = []
    grown: dict[int, int] = {}
    try:
        grown = _grown(store, source, at, history)
        for portion in _portions(grown):
            if rows and rows + portion.rows > rows_max:
                break
            for start_ns, end_ns in portion.slices():
                for batch in _batches(_translated(source.between(start_ns, end_ns), translate, refused)):
                    new += store.add_light(batch).spans_new
            _note(store, source.place, portion.counts)
            rows += portion.rows
            for bucket, _ in portion.counts:
                del grown[bucket]
            on_portion(portion.rows)
    except SourceError as error:
        hint = "the run goes on with what the store has; the next one reads on"
        return _followed(rows, new, grown, (Gap(WHAT, str(error), hint), *_refusals(store, refused)))
    return _followed(rows, new, grown, (*_unread(grown), *_refusals(store, refused)))


def reached(store: SqliteTrajectories, place: str) -> Reached | None:
    """Return how far a database was followed, or None where it never was."""
    query = "SELECT MIN(bucket), MAX(bucket), SUM(rows) FROM followed WHERE place = ?"
    with store.connection.reading() as raw:
        first, last, rows = raw.execute(query, (place,)).fetchone()
    return None if first is None else Reached(_moment(first), _moment(last + BUCKET_S), int(rows))


def _grown(store: SqliteTrajectories, source: ClickHouse, at: datetime, history: timedelta) -> dict[int, int]:
    """Return the buckets with more rows than were seen, and how many there are. One with fewer is noted: rows age."""
    end = at + AHEAD
    with store.connection.reading() as raw:
        known = _known(raw, source.place)
    # What is older than spans may be late is looked at only where it was not read yet.
    first, late, last = _bucket(at - history), _bucket(at - source.tables.late), _bucket(at)
    start = first if any(bucket not in known for bucket in range(first, late, BUCKET_S)) else max(late, first)
    counts = source.counts(start * NS, int(end.timestamp()) * NS)
    fewer = {bucket: counts.get(bucket, 0) for bucket, rows in known.items() if counts.get(bucket, 0) < rows}
    empty = {bucket: 0 for bucket in range(start, last, BUCKET_S) if bucket not in counts and bucket not in known}
    # What is not counted whole has not aged out: it lies before the start, or after a clock that went back.
    seen = {**empty, **{bucket: rows for bucket, rows in fewer.items() if start <= bucket <= _bucket(end) - BUCKET_S}}
    _note(store, source.place, tuple(seen.items()))
    return {bucket: rows for bucket, rows in counts.items() if rows > known.get(bucket, 0)}


def _portions(grown: Mapping[int, int]) -> Iterator[_Portion]:
    """Yield the buckets, the latest first, neighbours together up to `_PORTION_ROWS` rows."""
    together: list[tuple[int, int]] = []
    for bucket in sorted(grown, reverse=True):
        apart = together and together[0][0] - BUCKET_S != bucket
        if together and (apart or sum(rows for _, rows in together) + grown[bucket] > _PORTION_ROWS):
            yield _Portion(tuple(together))
            together = []
        together.insert(0, (bucket, grown[bucket]))
    if together:
        yield _Portion(tuple(together))


def _translated(rows: Iterable[Row], translate: Callable[[Row], Span], refused: list[str]) -> Iterator[Span]:
    for row in rows:
        try:
            yield translate(row)
        except ValueError as error:
            refused.append(str(error))


def _batches(spans: Iterable[Span]) -> Iterator[list[Span]]:
    """Yield some thousand spans at a time; the spans of a trajectory, which come together, are not torn apart."""
    batch: list[Span] = []
    for span in spans:
        if len(batch) >= _BATCH_SPANS and (batch[-1].trace_id != span.trace_id or len(batch) >= 10 * _BATCH_SPANS):
            yield batch
            batch = []
        batch.append(span)
    if batch:
        yield batch


def _note(store: SqliteTrajectories, place: str, counts: Sequence[tuple[int, int]]) -> None:
    if counts:
        with store.connection.writing() as raw:
            raw.executemany(
                "INSERT OR REPLACE INTO followed VALUES (?, ?, ?)", [(place, bucket, rows) for bucket, rows in counts]
            )


def _known(raw: sqlite3.Connection, place: str) -> dict[int, int]:
    return dict(raw.execute("SELECT bucket, rows FROM followed WHERE place = ?", (place,)).fetchall())


def _followed(rows: int, new: int, grown: Mapping[int, int], gaps: tuple[Gap, ...]) -> Followed:
    until = _moment(max(grown) + BUCKET_S) if grown else None
    return Followed(rows, new, sum(grown.values()), until, gaps)


def _unread(grown: Mapping[int, int]) -> tuple[Gap, ...]:
    if not grown:
        return ()
    until = _moment(max(grown) + BUCKET_S)
    why = f"{sum(grown.values()):,} of before {until:%Y-%m-%d %H:%M} UTC are not read yet"
    return (Gap(WHAT, why, "the next runs go on; `analyzer store follow` reads them at once"),)


def _refusals(store: SqliteTrajectories, refused: Sequence[str]) -> tuple[Gap, ...]:
    if not refused:
        return ()
    why = f"{len(refused):,} could not be read, the first because it {store.masker.text(refused[0])}"
    return (Gap(WHAT, why, "they are left out; see docs/clickhouse.md"),)


def _bucket(at: datetime) -> int:
    return int(at.timestamp()) // BUCKET_S * BUCKET_S


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
