"""How much of a distribution lies beyond a limit, and how that share drifts from hour to hour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from analyzer.detectors.kernels.grid import Floats, ticks_ended
from analyzer.detectors.kernels.proportion import overdispersion
from analyzer.types.metric import BIN_WIDTH, FlatSketches, Series


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """The units of a series beyond a limit: few, so that only these are looked through, and no tick is laid out."""

    stop: int
    """How many ticks there are."""
    count: Sequence[float]
    """Units per tick: whole numbers, which add up to the same in any order. May go on after `stop`."""
    sketches: FlatSketches
    """Their distribution, up to there."""
    ticks: npt.NDArray[np.int64]
    """Ascending. The tick of each bin beyond the limit that has units, and ..."""
    units: Floats
    """... how many."""

    @staticmethod
    def of(series: Series, end: datetime, limit: float) -> Tail:
        """Return what was beyond `limit` by `end`, of a series with a distribution; a bin counts that is wholly beyond.

        Raises ValueError for a limit that is not above 0.
        """
        sketches, stop = series.sketches or (), ticks_ended(series, end)
        flat = sketches if isinstance(sketches, FlatSketches) else FlatSketches.of(sketches)
        used = flat.until(stop)
        beyond = np.flatnonzero(np.asarray(used.bins) >= math.ceil(math.log(limit) / BIN_WIDTH))
        ticks, units = np.asarray(used.ticks)[beyond], np.asarray(used.units)[beyond]
        return Tail(stop, series.count, used, ticks.astype(np.int64), units.astype(np.float64))

    def seen(self, first: int, stop: int) -> float:
        """Return how many units ticks [first, stop) hold."""
        return float(np.asarray(self.count[first:stop]).sum())

    def beyond(self, first: int, stop: int) -> float:
        """Return how many of them are beyond the limit."""
        return float(self.units[self.ticks.searchsorted(first) : self.ticks.searchsorted(stop)].sum())

    def highest(self, stop: int) -> int | None:
        """Return the highest bin of the ticks before one; None where they hold nothing."""
        earlier = self.sketches.until(stop).bins
        return int(np.asarray(earlier).max()) if len(earlier) else None

    def drift(self, stop: int, rate: float) -> float:
        """Return tau^2 of the share beyond the limit over the ticks before one, whole hours; see `overdispersion`."""
        held = slice(self.ticks.searchsorted(stop))
        beyond = np.bincount(self.ticks[held], self.units[held], minlength=stop).astype(np.float64)
        return overdispersion(beyond, np.asarray(self.count[:stop], dtype=np.float64), np.full(stop, rate))
