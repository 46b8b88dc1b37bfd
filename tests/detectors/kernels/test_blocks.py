"""Kernel B's shortcuts lose nothing."""

from __future__ import annotations

import math
import statistics

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.detectors.kernels.blocks import BLOCK_UNITS_MIN, BLOCKS_MIN, Sums, block_scores
from analyzer.detectors.kernels.grid import TICKS_PER_DAY, TICKS_PER_HOUR, by_hour

RATIO_MIN, UNITS_MIN = 1.6, 20


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 1.5))
@settings(max_examples=12, deadline=None)
def test_exactly_the_windows_above_the_median_of_the_days_before_are_scored(seed: int, spread: float) -> None:
    """A window is scored where it lies above the median of the same hour of earlier days by the ratio, only there."""
    drawn = np.random.default_rng(seed)
    n = drawn.poisson(8.0, 7 * TICKS_PER_DAY).astype(float)
    w = n * drawn.lognormal(0.0, spread, len(n))
    start = 6 * TICKS_PER_DAY
    sums = Sums.of(n, w)

    scores = block_scores(sums, sums, start, 1, UNITS_MIN, 1.0, 1.0, RATIO_MIN)

    units, values = sums.over(TICKS_PER_HOUR)
    for tick, score in enumerate(scores, start=start):
        # Windows a week ago do not exist yet, so that none can be a weekly job.
        earlier = range(tick - TICKS_PER_DAY, TICKS_PER_HOUR - 2, -TICKS_PER_DAY)
        usable = [past for past in earlier if units[past] >= max(BLOCK_UNITS_MIN, units[tick] / 4) and values[past] > 0]
        enough = units[tick] >= UNITS_MIN and len(usable) >= BLOCKS_MIN
        usual = statistics.median(math.log(values[past] / units[past]) for past in usable) if usable else math.inf
        rise = math.log(values[tick] / units[tick]) - usual if values[tick] > 0 else -math.inf
        if abs(rise - math.log(RATIO_MIN)) > 1e-6:
            assert (score != -1.0) == (enough and rise > math.log(RATIO_MIN))


@given(st.lists(st.floats(0, 1e6), min_size=24 * TICKS_PER_HOUR, max_size=24 * TICKS_PER_HOUR))
@settings(max_examples=12, deadline=None)
def test_an_hour_is_the_sum_of_its_ticks(values: list[float]) -> None:
    """The sums of hours are those of their four ticks, added from the first to the last."""
    hours = by_hour(np.array(values))

    assert hours.tolist() == [sum(values[at : at + 4]) for at in range(0, len(values), 4)]
