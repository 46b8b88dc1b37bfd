"""Cells of a day: for each signal how many units each tick saw, what they add up to and how they are distributed.

A day of one subject is one blob, so that a window of weeks is read in some hundred rows. Cells are sparse: a quiet
night takes no room.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import compress

import orjson

from analyzer.types.metric import TICK_S, bin_of

DAY_S = 86_400
TICKS_PER_DAY = DAY_S // TICK_S


@dataclass(slots=True)
class Cells:
    """One signal of one subject on one day. The first three arrays have an entry per tick, the others per bin."""

    ticks: array[int] = field(default_factory=lambda: array("B"))
    """Ticks of the day that saw a unit."""
    count: array[float] = field(default_factory=lambda: array("d"))
    total: array[float] = field(default_factory=lambda: array("d"))
    at: array[int] = field(default_factory=lambda: array("B"))
    """Tick of each bin."""
    bins: array[int] = field(default_factory=lambda: array("h"))
    units: array[int] = field(default_factory=lambda: array("I"))

    def parts(self) -> tuple[array[int] | array[float], ...]:
        """Return the arrays in the order in which they are stored."""
        return (self.ticks, self.count, self.total, self.at, self.bins, self.units)

    def without(self, ticks: AbstractSet[int]) -> Cells:
        """Return the cells of all other ticks."""
        kept = Cells()
        for which, parts in ((self.ticks, slice(0, 3)), (self.at, slice(3, 6))):
            wanted = [tick not in ticks for tick in which]
            for part, own in zip(kept.parts()[parts], self.parts()[parts], strict=True):
                part.extend(compress(own, wanted))  # type: ignore[arg-type]
        return kept

    def add(self, tick: int, count: float, total: float) -> None:
        """Append a tick."""
        self.ticks.append(tick)
        self.count.append(count)
        self.total.append(total)

    def add_bin(self, tick: int, bin_: int, units: int) -> None:
        """Append a bin."""
        self.at.append(tick)
        self.bins.append(bin_)
        self.units.append(units)

    def extend(self, other: Cells) -> None:
        """Append the cells of other ticks."""
        for own, more in zip(self.parts(), other.parts(), strict=True):
            own.extend(more)  # type: ignore[arg-type]


Day = dict[str, Cells]
"""By signal, or another name under which something is counted."""


def packed(day: Mapping[str, Cells]) -> bytes:
    """Return a day as bytes: a JSON line with the lengths, then the arrays, little-endian."""
    used = {str(name): cells for name, cells in sorted(day.items()) if cells.ticks}
    head = [[name, len(cells.ticks), len(cells.at)] for name, cells in used.items()]
    return b"".join([orjson.dumps(head), b"\n", *(_bytes(part) for cells in used.values() for part in cells.parts())])


def unpacked(body: bytes) -> Day:
    """Return the day of `packed`."""
    head, _, data = body.partition(b"\n")
    day: Day = {}
    at = 0
    for name, ticks, bins in orjson.loads(head):
        cells = Cells()
        for part, length in zip(cells.parts(), (ticks,) * 3 + (bins,) * 3, strict=True):
            size = length * part.itemsize
            part.frombytes(data[at : at + size])
            if sys.byteorder == "big":
                part.byteswap()
            at += size
        day[name] = cells
    return day


def _bytes(part: array[int] | array[float]) -> bytes:
    if sys.byteorder == "big":
        part = part[:]
        part.byteswap()
    return part.tobytes()


@dataclass(slots=True)
class Tally:
    """One signal of one subject while its units are counted, by tick.

    Amounts are added up at the end, exactly: their sum is the same to its last digit in whichever order they came,
    which is another one in every store.
    """

    count: dict[int, float] = field(default_factory=dict)
    amounts: dict[int, list[float]] = field(default_factory=dict)
    """Those that are not 0."""
    bins: dict[tuple[int, int], int] = field(default_factory=dict)

    def event(self, tick: int, happened: float, units: float = 1.0) -> None:
        """Count units, `happened` of which had the event."""
        self.count[tick] = self.count.get(tick, 0.0) + units
        if happened:
            self.amounts.setdefault(tick, []).append(happened)

    def amount(self, tick: int, value: float) -> None:
        """Count a unit with a value; one of 0 is counted, but has no logarithm and so no bin."""
        self.event(tick, value)
        if value > 0:
            place = (tick, bin_of(value))
            self.bins[place] = self.bins.get(place, 0) + 1

    def cells(self) -> Cells:
        """Return the counts as cells, in order."""
        cells = Cells()
        for tick in sorted(self.count):
            cells.add(tick, self.count[tick], math.fsum(self.amounts.get(tick, ())))
        for (tick, bin_), units in sorted(self.bins.items()):
            cells.add_bin(tick, bin_, units)
        return cells


def left_of(day: Day, ticks: AbstractSet[int]) -> Day:
    """Return a day without the cells of some ticks."""
    return {name: cells.without(ticks) for name, cells in day.items()}


def lay(day: Day, fresh: Mapping[str, Tally]) -> None:
    """Append to a day what was counted of ticks that it does not have."""
    for name, tally in fresh.items():
        day.setdefault(name, Cells()).extend(tally.cells())


def ticks_of(hour: int) -> range:
    """Return the ticks of an hour of the day."""
    return range(hour * _TICKS_PER_HOUR, (hour + 1) * _TICKS_PER_HOUR)


_TICKS_PER_HOUR = 3600 // TICK_S
