"""Following a database that others write: what is new there is read once, counted here, and its texts left there.

The Collector's table does not say when a row arrived. So the rows of every five minutes of their own time are counted
and their times summed up, which reads one column; where that is not what it was, those five minutes are read again. A
span that is known already changes nothing, and so does one that came twice. What was seen is noted after it is all in,
and forgotten before it is read again: whoever is killed or bounded in between leaves five minutes that nobody has
read, which are read by a later pass however old they are by then.

What was seen is noted by the services that were looked at together. Where more are named later, those that were known
go on as they are, and the new ones are read from the beginning of the history, as in a first pass.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from analyzer.errors import SourceError
from analyzer.stores.clickhouse import BUCKET_S, NS, ClickHouse, Count, Row
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
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a database was followed."""

    start: datetime
    end: datetime
    rows: int


@dataclass(frozen=True, slots=True)
class _Group:
    """Services that are looked at together."""

    services: tuple[str, ...]
    """Empty: all there are."""
    place: str
    """Where it is noted how far they were read."""


@dataclass(frozen=True, slots=True)
class _Portion:
    """Neighbouring buckets of a group that are read together."""

    group: _Group
    counts: tuple[tuple[int, Count], ...]
    """First second and rows of each."""

    @property
    def rows(self) -> int:
        return sum(count.rows for _, count in self.counts)

    def slices(self) -> Iterator[tuple[int, int]]:
        """Yield the times to be read, in Unix nanoseconds; one bucket may have more rows than are read at once."""
        first, last = self.counts[0][0] * NS, (self.counts[-1][0] + BUCKET_S) * NS
        pieces = min(-(-self.rows // _PORTION_ROWS), BUCKET_S) if len(self.counts) == 1 else 1
        step = -(-(last - first) // pieces)
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

    The first pass reads back `history`, later ones what changed in the last `late` and what is left of the history; of
    services that are new, all of it. A row that `translate` refuses with a ValueError is left out, and said. A database
    that does not answer is a gap. `on_portion` hears how many rows were read each time that some are in.
    """
    rows = new = 0
    refused: list[str] = []
    due: dict[_Group, dict[int, Count]] = {}
    try:
        for group in _groups(store, source):
            due[group] = _due(store, source, group, at, history)
        portions = [portion for group, counts in due.items() for portion in _portions(group, counts)]
        for portion in sorted(portions, key=lambda one: one.counts[-1][0], reverse=True):
            if rows and rows + portion.rows > rows_max:
                break
            for start_ns, end_ns in portion.slices():
                found = source.between(start_ns, end_ns, portion.group.services)
                for batch in _batches(_translated(found, translate, refused)):
                    new += store.add_light(batch, of_all=not portion.group.services).spans_new
            with store.connection.writing() as raw:
                raw.executemany(_NOTE, _notes(portion.group.place, portion.counts))
            rows += portion.rows
            for bucket, _ in portion.counts:
                del due[portion.group][bucket]
            on_portion(portion.rows)
    except SourceError as error:
        hint = "what was read before stays; the next run reads on, and so does `analyzer store follow`"
        behind: tuple[Gap, ...] = (Gap(WHAT, str(error), hint),)
    else:
        behind = _left(due.values())
    return Followed(rows, new, sum(map(_rows, due.values())), (*behind, *_refusals(store, refused)))


def reached(store: SqliteTrajectories, source: ClickHouse) -> Reached | None:
    """Return how far the services of a database were followed, or None where they never were."""
    places = [group.place for group in _groups(store, source)]
    marks = ",".join("?" * len(places))
    query = f"SELECT MIN(bucket), MAX(bucket), SUM(rows) FROM followed WHERE place IN ({marks})"  # noqa: S608 - question marks
    with store.connection.reading() as raw:
        first, last, rows = raw.execute(query, places).fetchone()
    return None if first is None else Reached(_moment(first), _moment(last + BUCKET_S), int(rows))


def unread(store: SqliteTrajectories, source: ClickHouse, at: datetime, start: datetime) -> tuple[Gap, ...]:
    """Return a gap where five minutes of [start, at) were not read yet, as far as the store knows: nothing is asked."""
    groups = _groups(store, source)
    with store.connection.reading() as raw:
        known = [_known(raw, group.place) for group in groups]
    buckets = range(_bucket(start), _bucket(at), BUCKET_S)
    missing = [bucket for bucket in buckets if not all(bucket in one for one in known)]
    if not missing:
        return ()
    why = f"those of before {_moment(max(missing) + BUCKET_S):%Y-%m-%d %H:%M} UTC are not all read yet"
    return (Gap(WHAT, why, "a run into the past reads nothing; the next run of now does, or `analyzer store follow`"),)


def _groups(store: SqliteTrajectories, source: ClickHouse) -> list[_Group]:
    """Return the services that are set as they were looked at before, and those that are new as one group more.

    Services that are named one by one were not seen apart where all were followed, and the reverse.
    """
    place, wanted = source.place, set(source.tables.services)
    if not wanted:
        return [_Group((), place)]
    head = f"{place} of "
    with store.connection.reading() as raw:
        # U+10FFFF sorts behind whatever follows the head.
        found = raw.execute(
            "SELECT DISTINCT place FROM followed WHERE place > ? AND place < ?", (head, head + chr(0x10FFFF))
        )
        known = [tuple(json.loads(one.removeprefix(head))) for (one,) in found]
    groups = []
    for services in sorted(known, key=lambda one: (-len(one), one)):
        if wanted.issuperset(services):
            groups.append(_Group(services, f"{head}{json.dumps(services)}"))
            wanted -= set(services)
    if wanted:
        rest = tuple(sorted(wanted))
        groups.append(_Group(rest, f"{head}{json.dumps(rest)}"))
    return groups


def _due(
    store: SqliteTrajectories, source: ClickHouse, group: _Group, at: datetime, history: timedelta
) -> dict[int, Count]:
    """Return the buckets to be read, and what they come to; they are no longer known from here on.

    Rows age: what is older than spans may be late is not read for having fewer, which is noted.
    """
    end = _bucket(at + AHEAD) + BUCKET_S
    with store.connection.reading() as raw:
        known = _known(raw, group.place)
    # What is older than spans may be late is looked at only where it was not read yet.
    first, late, last = _bucket(at - history), _bucket(at - source.tables.late), _bucket(at)
    start = first if any(bucket not in known for bucket in range(first, late, BUCKET_S)) else max(late, first)
    counts = source.counts(start * NS, end * NS, group.services)
    due: dict[int, Count] = {}
    seen: dict[int, Count] = {bucket: _NONE for bucket in range(start, last, BUCKET_S) if bucket not in counts}
    seen |= {bucket: _NONE for bucket in known if start <= bucket < end and bucket not in counts}
    for bucket, count in counts.items():
        was = known.get(bucket, _NONE)
        if count.rows > was.rows or (bucket >= late and _differs(count, was)):
            due[bucket] = count
        else:
            seen[bucket] = count
    with store.connection.writing() as raw:
        raw.executemany(_NOTE, _notes(group.place, ((one, seen[one]) for one in seen if known.get(one) != seen[one])))
        raw.executemany(
            "DELETE FROM followed WHERE place = ? AND bucket = ?", [(group.place, one) for one in due if one in known]
        )
    return due


_NONE = Count(0, 0)


def _differs(count: Count, was: Count) -> bool:
    return count.rows != was.rows if was.times is None else count != was


def _portions(group: _Group, due: Mapping[int, Count]) -> Iterator[_Portion]:
    """Yield the buckets of a group, the latest first, neighbours together up to `_PORTION_ROWS` rows."""
    together: list[tuple[int, Count]] = []
    for bucket in sorted(due, reverse=True):
        apart = together and together[0][0] - BUCKET_S != bucket
        if together and (apart or sum(count.rows for _, count in together) + due[bucket].rows > _PORTION_ROWS):
            yield _Portion(group, tuple(together))
            together = []
        together.insert(0, (bucket, due[bucket]))
    if together:
        yield _Portion(group, tuple(together))


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


_NOTE = "INSERT OR REPLACE INTO followed (place, bucket, rows, times) VALUES (?, ?, ?, ?)"


def _notes(place: str, counts: Iterable[tuple[int, Count]]) -> Iterator[tuple[str, int, int, int | None]]:
    return ((place, bucket, *count) for bucket, count in counts)


def _known(raw: sqlite3.Connection, place: str) -> dict[int, Count]:
    found = raw.execute("SELECT bucket, rows, times FROM followed WHERE place = ?", (place,))
    return {bucket: Count(rows, times) for bucket, rows, times in found}


def _rows(due: Mapping[int, Count]) -> int:
    return sum(count.rows for count in due.values())


def _left(due: Iterable[Mapping[int, Count]]) -> tuple[Gap, ...]:
    left = [one for one in due if one]
    if not left:
        return ()
    until = _moment(max(map(max, left)) + BUCKET_S)
    why = f"{sum(map(_rows, left)):,} of before {until:%Y-%m-%d %H:%M} UTC are not read yet"
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
