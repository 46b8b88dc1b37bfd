"""What is usual is read off the sketches of the days before."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.spans import EPOCH

from analyzer.metrics.usual import usual_of
from analyzer.types.metric import TICK_S, FlatSketches, Series, Signal, bin_of, bin_value
from analyzer.types.report import Subject


def series(signal: Signal, values: list[list[float]]) -> Series:
    """Return a series with these values in its ticks."""
    return Series(
        signal=signal,
        subject=Subject(agent="shop"),
        unit="",
        source="store",
        query="",
        start_s=int(EPOCH.timestamp()),
        count=[float(len(tick)) for tick in values],
        total=[sum(tick) for tick in values],
        sketches=FlatSketches.of([{bin_of(value): tick.count(value) for value in tick} for tick in values]),
    )


def test_the_last_day_is_no_measure_of_itself() -> None:
    """Quantiles are those of the days before the last, which may hold the runaways that are looked for."""
    quiet, wild = [[10.0] * 99 + [100.0]] * 96, [[5_000.0]] * 96
    end = EPOCH + timedelta(seconds=TICK_S * 192)
    found = usual_of([series(Signal.STEPS, quiet + wild), series(Signal.TOKENS, quiet + wild)], end, {"shop": 0.25})[
        "shop"
    ]
    assert found.trajectories == 9_600
    assert (found.steps_p50, found.steps_p99, found.tokens_p99) == pytest.approx((10, 10, 10), rel=0.05)
    assert (found.cost_p50, found.lost_share) == (None, 0.25)


def test_a_first_day_is_all_there_is() -> None:
    """Without an earlier day the only one counts; without steps there is nothing to say."""
    end = EPOCH + timedelta(days=1)
    assert usual_of([series(Signal.STEPS, [[7.0, 7.0, 7.0]])], end, {})["shop"].steps_p50 == pytest.approx(7, rel=0.05)
    assert usual_of([series(Signal.TOKENS, [[7.0]])], end, {}) == {}


@given(
    st.lists(st.dictionaries(st.integers(-60, 60), st.integers(1, 500), max_size=5), min_size=1, max_size=192),
    st.integers(0, 400),
)
def test_quantiles_are_those_of_all_values(sketches: list[dict[int, int]], end: int) -> None:
    """A value below which a share lies is the one that counting off bin by bin comes to, whatever is held out."""
    count = [float(sum(sketch.values())) for sketch in sketches]
    one = replace(series(Signal.STEPS, []), count=count, total=count, sketches=FlatSketches.of(sketches))
    held_out = sketches[: max(0, end - 96)]
    known: Counter[int] = Counter()
    for sketch in held_out if any(held_out) else sketches:
        known.update(sketch)

    found = usual_of([one], EPOCH + timedelta(seconds=TICK_S * end), {})["shop"]

    assert found.trajectories == known.total()
    assert (found.steps_p50, found.steps_p99) == (counted_off(known, 0.5), counted_off(known, 0.99))


def counted_off(sketch: Counter[int], share: float) -> float:
    """Return a quantile the plain way; 0 of nothing."""
    left = share * sketch.total()
    for bin_ in sorted(sketch):
        left -= sketch[bin_]
        if left <= 0:
            return bin_value(bin_)
    return 0.0
