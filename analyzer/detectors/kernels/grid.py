"""A series as arrays, padded to whole UTC days so that hours of the day line up in a reshape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from analyzer.types.metric import BIN_WIDTH, TICK_S, FlatSketches, Series

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.intp]

DAY_S = 86_400
TICKS_PER_HOUR = 3600 // TICK_S
TICKS_PER_DAY = DAY_S // TICK_S
BINS_MAX = 1024
"""Width limit of the dense histogram: 1,024 bins are 22 decades, more than costs or tokens span. What lies below is
counted in the lowest bin: a location statistic clips it anyway."""
COUNT_MIN, COUNT_MAX, TOTAL_MAX = 1e-6, 1e12, 1e15
"""What a quarter of an hour can hold: no fleet ends a thousand million runs a second, and extrapolated counters have no
smaller fractions than a millionth. Beyond that sums and squares overflow."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A series on whole UTC days. Arrays have one entry per tick; padding has no units.

    Values that cannot be (NaN, infinite, negative: counters read across a reset; see `possible`) are taken as "no units
    seen".
    """

    start_s: int
    """Unix seconds of tick 0; a multiple of a day plus the series' own offset within a tick."""
    first: int
    """The tick at which the series has its first units; equal to `stop` where it has none."""
    stop: int
    """One past the last tick that had ended at the window's end."""
    n: Floats
    """Units per tick, shape (ticks,)."""
    total: Floats
    """Sum of the values, or number of events, shape (ticks,)."""
    hist: Floats | None
    """Units per tick and bin, shape (ticks, bins), or None where the source has no distribution."""
    x: Floats
    """ln(value) in the middle of each bin, shape (bins,)."""

    @property
    def days(self) -> int:
        """How many whole days the grid spans."""
        return len(self.n) // TICKS_PER_DAY

    def time(self, tick: int) -> datetime:
        """Return when a tick begins."""
        return datetime.fromtimestamp(self.start_s + tick * TICK_S, tz=UTC)

    def tick(self, at_s: float) -> int:
        """Return the tick that holds a time in Unix seconds."""
        return math.floor((at_s - self.start_s) / TICK_S)


def ticks_ended(series: Series, end: datetime) -> int:
    """Return how many ticks of a series had ended by a moment."""
    return max(min(len(series.count), math.floor((end.timestamp() - series.start_s) / TICK_S)), 0)


def grid_of(series: Series, end: datetime | None = None) -> Grid:
    """Lay a series on the grid, as it was known at `end`: a tick that had not ended by then is left out."""
    ended = len(series.count) if end is None else ticks_ended(series, end)
    offset = (series.start_s % DAY_S) // TICK_S
    ticks = math.ceil((offset + ended) / TICKS_PER_DAY) * TICKS_PER_DAY
    count, total = _array(series.count, ended), _array(series.total, ended)
    sound = possible(count, total)
    n, amount = np.zeros(ticks), np.zeros(ticks)
    n[offset : offset + ended] = np.where(sound, count, 0.0)
    amount[offset : offset + ended] = np.where(sound, total, 0.0)
    hist, x = None, np.empty(0)
    if series.sketches is not None:
        flat = series.sketches if isinstance(series.sketches, FlatSketches) else FlatSketches.of(series.sketches)
        hist, x = _dense(flat.until(ended), offset, ticks)
        hist[offset : offset + ended][~sound] = 0.0
    seen = np.flatnonzero(n)
    return Grid(
        start_s=series.start_s - offset * TICK_S,
        first=int(seen[0]) if len(seen) else offset + ended,
        stop=offset + ended,
        n=n,
        total=amount,
        hist=hist,
        x=x,
    )


def possible(count: Floats, total: Floats) -> Bools:
    """Tell which ticks hold values that can be: a number of units, and an amount or number of events of them."""
    return np.asarray((count >= COUNT_MIN) & (count <= COUNT_MAX) & (total >= 0) & (total <= TOTAL_MAX))


def _array(values: Sequence[float], stop: int) -> Floats:
    return np.asarray(values[:stop], dtype=np.float64)


def _dense(sketches: FlatSketches, offset: int, ticks: int) -> tuple[Floats, Floats]:
    """Return the histogram of each tick over the bins in use, and ln(value) of each bin."""
    if not len(sketches.bins):
        return np.zeros((ticks, 1)), np.zeros(1)
    bins = np.asarray(sketches.bins, dtype=np.int64)
    high = int(bins.max())
    low = max(int(bins.min()), high - BINS_MAX + 1)
    used, column = np.unique(np.maximum(bins, low), return_inverse=True)
    rows = np.asarray(sketches.ticks, dtype=np.int64) + offset
    counts = np.asarray(sketches.units, dtype=np.float64)
    flat = np.bincount(rows * len(used) + column, weights=counts, minlength=ticks * len(used))
    return flat.astype(np.float64).reshape(ticks, len(used)), (used + 0.5) * BIN_WIDTH


def weighted_quantile(values: Floats, weights: Floats, share: float) -> float:
    """Return the smallest value below or at which at least `share` of the weight lies. Raises nothing; 0 if empty."""
    return weighted_quantiles(values, weights, (share,))[0]


def weighted_quantiles(values: Floats, weights: Floats, shares: Sequence[float]) -> list[float]:
    """Return the same for several shares, each above 0: most of it is the sorting."""
    held = weights > 0
    values, weights = values[held], weights[held]
    if not len(values):
        return [0.0] * len(shares)
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(weights[order])
    found = np.minimum(np.searchsorted(cumulated, np.asarray(shares) * cumulated[-1]), len(order) - 1)
    return [float(value) for value in values[order[found]]]


def binned_quantile(x: Floats, weights: Floats, share: float) -> float:
    """Return the same of a histogram with bins at `x`, ascending: nothing is to be sorted. There is some weight."""
    cumulated = np.cumsum(weights)
    return float(x[np.searchsorted(cumulated, share * cumulated[-1])])


def running_sum(values: Floats, width: int) -> Floats:
    """Return the sum over the `width` ticks that end with each tick (fewer at the beginning), along the last axis."""
    return windowed(np.cumsum(values, axis=-1), width)


def windowed(cumulated: Floats, width: int) -> Floats:
    """Return the same as `running_sum` of what `cumulated` is the cumulated sum of: several widths share one sum."""
    sums = np.empty_like(cumulated)
    sums[..., :width] = cumulated[..., :width]
    np.subtract(cumulated[..., width:], cumulated[..., :-width], out=sums[..., width:])
    return sums


def by_hour(values: Floats) -> Floats:
    """Return the sums of whole hours: four columns are added up in a third of the time of a sum along four entries."""
    quarters = values.reshape(-1, TICKS_PER_HOUR)
    sums = quarters[:, 0]
    for quarter in range(1, TICKS_PER_HOUR):
        sums = sums + quarters[:, quarter]
    return sums


def settled_ticks(units: Floats, last: int) -> slice:
    """Return the ticks up to `last` that "the last hours" are: six hours, or more where they hold too few units.

    No more than it takes: whole hours added to make sixty would reach back into what has just ended.
    """
    first = max(last + 1 - SETTLED_TICKS_MAX, 0)
    held = np.cumsum(units[first : last + 1][::-1])
    width = max(int(np.searchsorted(held, SETTLED_UNITS_MIN)) + 1, SETTLED_TICKS)
    return slice(max(last + 1 - width, first), last + 1)


SETTLED_TICKS, SETTLED_TICKS_MAX, SETTLED_UNITS_MIN = 6 * TICKS_PER_HOUR, TICKS_PER_DAY, 60
"""What "the last hours" are: six, or as many as hold sixty units, at most a day."""
