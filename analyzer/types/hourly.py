"""Counts per hour of many names, most of which have few."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

_N = TypeVar("_N", int, float)
_PACKED = array, memoryview
_NAME_BITS = 32
_NAME_MASK = (1 << _NAME_BITS) - 1
"""An hour and a name as one number: a fifth of a million of them are summed and sorted in each run."""


@dataclass(frozen=True, slots=True, eq=False)
class HourlyCounts(Mapping[str, Sequence[float]]):
    """What each name has in each hour, as arrays with an entry for what there is, by hour.

    Ids make thousands of names that were met once: a list of all hours for each would be mostly noughts. Reads like a
    mapping of each name to its counts per hour. What is cut off at an hour shares its names with the whole.
    """

    length: int
    """How many hours there are."""
    rank: Mapping[str, int]
    """Names by the hour in which they first have anything: those of an earlier end are the first of them."""
    first: Sequence[int]
    """That hour, by rank; ascending. `length` for names that never have anything."""
    hours: Sequence[int]
    """Ascending. The hour of each entry."""
    ranks: Sequence[int]
    """The name of each entry, by rank."""
    counts: Sequence[float]
    known: int
    """How many of the names there are."""

    @staticmethod
    def added(entries: Iterable[tuple[int, str, float]], length: int, names: Iterable[str] = ()) -> HourlyCounts:
        """Return the sums of (hour, name, count); `names` are there even without an entry."""
        number: dict[str, int] = {}
        sums: dict[int, float] = {}
        for hour, name, count in entries:
            place = hour << _NAME_BITS | number.setdefault(name, len(number))
            sums[place] = sums.get(place, 0.0) + count
        ordered = sorted(sums)
        hours = [place >> _NAME_BITS for place in ordered]
        numbers = [place & _NAME_MASK for place in ordered]
        rank = {which: at for at, which in enumerate(dict.fromkeys(numbers))}
        first = dict(zip(reversed(numbers), reversed(hours), strict=True))
        named = list(number)
        empty = sorted(set(names) - number.keys())
        return HourlyCounts(
            length,
            {name: at for at, name in enumerate([*(named[which] for which in rank), *empty])},
            array("i", [*(first[which] for which in rank), *(length for _ in empty)]),
            array("i", hours),
            array("i", [rank[which] for which in numbers]),
            array("d", [sums[place] for place in ordered]),
            len(number) + len(empty),
        )

    @staticmethod
    def of(counts: Mapping[str, Sequence[float]], length: int) -> HourlyCounts:
        """Return a mapping of names to their counts per hour in this form."""
        if isinstance(counts, HourlyCounts):
            return counts
        entries = ((hour, name, count) for name, row in counts.items() for hour, count in enumerate(row) if count)
        return HourlyCounts.added(entries, length, counts)

    def __len__(self) -> int:
        """Return how many names there are."""
        return self.known

    def __iter__(self) -> Iterator[str]:
        """Yield the names by the hour in which they first have anything."""
        return islice(self.rank, self.known)

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a name."""
        return self.rank.get(name, self.known) < self.known  # type: ignore[call-overload,no-any-return]

    def __getitem__(self, name: str) -> Sequence[float]:
        """Return the counts of a name, one for each hour. Raises KeyError."""
        if name not in self:
            raise KeyError(name)
        row, own = array("d", bytes(8 * self.length)), self.rank[name]
        for hour, rank, count in zip(self.hours, self.ranks, self.counts, strict=True):
            if rank == own:
                row[hour] = count
        return row

    def until(self, hour: int) -> HourlyCounts:
        """Return what there was before an hour, and the names that had anything by then."""
        if hour >= self.length:
            return self
        stop, known = bisect_left(self.hours, hour), bisect_left(self.first, hour, hi=self.known)
        hours, ranks = beginning(self.hours, stop), beginning(self.ranks, stop)
        return HourlyCounts(hour, self.rank, self.first, hours, ranks, beginning(self.counts, stop), known)


def beginning(part: Sequence[_N], stop: int) -> Sequence[_N]:
    """Return the first entries, without a copy where that can be: a backtest cuts everything at every run.

    A view is shared by all who look at it, and nobody can write into it.
    """
    return memoryview(part).toreadonly()[:stop] if isinstance(part, _PACKED) else part[:stop]
