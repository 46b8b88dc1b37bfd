"""Counts that no healthy fleet has: the kernels take them without a warning, for numpy's go to standard error."""

from __future__ import annotations

import math

import pytest
from detectors.fleets import DAY, failures, flat, time_of
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.detectors.kernels.amounts import AmountSettings
from analyzer.detectors.kernels.events import EventSettings
from analyzer.detectors.kernels.findings import amount_episodes, event_episodes
from analyzer.types.metric import Series, Signal
from analyzer.types.report import Subject

AMOUNTS = st.one_of(
    st.sampled_from([0.0, 1.0, 1e9, 1e18, 1e-9, 5e-324, 1e155, 1.7e308, math.inf, math.nan, -1.0]), st.floats(0, 1e6)
)
STRETCHES = st.lists(st.tuples(AMOUNTS, AMOUNTS, st.integers(1, 300)), min_size=1, max_size=6)


def _series(stretches: list[tuple[float, float, int]], days: int = 12) -> Series:
    """Return a series in which each stretch of (count, total, ticks) follows the one before, over and over."""
    pairs = [(count, total) for count, total, ticks in stretches for _ in range(ticks)]
    pairs = (pairs * (days * DAY // len(pairs) + 1))[: days * DAY]
    counts, totals = zip(*pairs, strict=True)
    return Series(Signal.ERRORS, Subject(agent="a"), "units", "prometheus", "q", 1_767_571_200, counts, totals)


@settings(max_examples=60, deadline=None)
@given(stretches=STRETCHES)
def test_no_counts_make_a_rate_warn(stretches):
    """Whatever counters give, the walk over a rate ends without a warning, and its scores are numbers."""
    series = _series(stretches)
    found = event_episodes(series, time_of(12 * DAY, series.start_s), EventSettings())
    assert all(math.isfinite(episode.score) for episode in found)


@settings(max_examples=60, deadline=None)
@given(stretches=STRETCHES)
def test_no_amounts_warn(stretches):
    """Whatever counters give, the walk over an amount ends without a warning, and its scores are numbers."""
    series = _series(stretches)
    found = amount_episodes(series, time_of(12 * DAY, series.start_s), AmountSettings())
    assert all(math.isfinite(episode.score) for episode in found)


@pytest.mark.parametrize("rate", [0.9, 0.97, 1.0])
def test_an_agent_that_nearly_always_fails_is_judged_in_silence(rate):
    """Where the usual rate is near one there is hardly anything above it: no warning, and no alarm."""
    assert event_episodes(failures(flat(rate)), time_of(18 * DAY), EventSettings()) == []
