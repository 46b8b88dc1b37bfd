"""What lies beyond a limit is counted as if every tick had been laid out."""

from __future__ import annotations

import math
from array import array
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.detectors.kernels.proportion import overdispersion
from analyzer.detectors.kernels.tail import Tail
from analyzer.types.metric import BIN_WIDTH, TICK_S, FlatSketches, Series, Signal, bin_value
from analyzer.types.report import Subject

HOUR = 4
_SKETCHES = st.lists(
    st.dictionaries(st.integers(-40, 40), st.integers(1, 9), max_size=4), min_size=1, max_size=12 * HOUR
)


def series(sketches: list[dict[int, int]], *, packed: bool) -> Series:
    """Return a series with these sketches, as lists or as a store packs them."""
    count = [float(sum(sketch.values())) for sketch in sketches]
    flat = FlatSketches.of(sketches)
    if packed:
        parts = (array(code, part) for code, part in zip("ihI", (flat.ticks, flat.bins, flat.units), strict=True))
        flat = FlatSketches(flat.length, *parts)
    counted = array("d", count) if packed else count
    return Series(Signal.STEPS, Subject("a"), "steps", "store", "", 0, counted, counted, flat)


def time_of(tick: int) -> datetime:
    """Return when a tick begins."""
    return datetime.fromtimestamp(tick * TICK_S, tz=UTC)


@given(_SKETCHES, st.booleans(), st.integers(-45, 45), st.data())
def test_counts_are_those_of_all_ticks(sketches, packed, bin_, data) -> None:
    """Units, those beyond the limit, the highest bin and the drift of any ticks, as of any moment."""
    stop = data.draw(st.integers(0, len(sketches)), "stop")
    first = data.draw(st.integers(0, stop), "first")
    limit = bin_value(bin_)
    units = np.array([float(sum(sketch.values())) for sketch in sketches])
    beyond = np.array([float(sum(n for at, n in sketch.items() if at > bin_)) for sketch in sketches])

    tail = Tail.of(series(sketches, packed=packed), time_of(stop), limit)

    assert tail.stop == stop
    assert (tail.seen(first, stop), tail.beyond(first, stop)) == (units[first:stop].sum(), beyond[first:stop].sum())
    assert tail.highest(first) == max((bin_ for sketch in sketches[:first] for bin_ in sketch), default=None)
    hours = first // HOUR * HOUR
    plain = overdispersion(beyond[:hours], units[:hours], np.full(hours, 0.25))
    assert tail.drift(hours, 0.25) == plain


def test_a_bin_counts_that_is_wholly_beyond() -> None:
    """The bin in which the limit lies holds units on both sides of it, and is not beyond."""
    one = series([{9: 1, 10: 2, 11: 4}], packed=False)
    assert Tail.of(one, time_of(1), math.exp(10 * BIN_WIDTH) * 1.001).beyond(0, 1) == 4
    assert Tail.of(one, time_of(1), math.exp(10 * BIN_WIDTH) * 0.999).beyond(0, 1) == 6
    with pytest.raises(ValueError, match=r"math domain error|positive"):
        Tail.of(one, time_of(1), 0.0)
