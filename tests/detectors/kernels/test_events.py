from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analyzer.detectors.kernels.events import Events, EventSettings, log_tail
from analyzer.detectors.kernels.grid import Grid
from analyzer.detectors.kernels.model import Masks
from analyzer.detectors.kernels.proportion import overdispersion
from analyzer.detectors.kernels.walk import Walk


@settings(max_examples=200, deadline=None)
@given(n=st.integers(1, 400), share=st.floats(0, 1), rate=st.floats(0.001, 0.5), tau2=st.floats(0.0001, 1.0))
def test_tail_is_that_of_the_beta_binomial(n, share, rate, tau2):
    """The upper tail agrees with scipy's beta-binomial of the same mean and variance."""
    y = round(share * n)
    total = max((1 - rate) / (rate * tau2) - 1, 1.0)
    expected = stats.betabinom.pmf(np.arange(y, n + 1), n, rate * total, (1 - rate) * total).sum()
    assert math.exp(log_tail(y, n, rate, tau2)) == pytest.approx(float(expected), rel=1e-6, abs=1e-100)


def test_more_events_than_units_are_impossible():
    """The tail of what cannot be is nothing, of no events everything."""
    assert log_tail(11, 10, 0.1, 0.1) == -math.inf
    assert log_tail(0, 10, 0.1, 0.1) == 0.0


def test_large_counts():
    """A hundred thousand units are no problem and give a tail that falls with the number of events."""
    tails = [log_tail(y, 120_000, 0.02, 0.1) for y in (3000, 5000, 9000, 20_000)]
    assert tails == sorted(tails, reverse=True)
    assert all(math.isfinite(tail) for tail in tails)


def _score() -> float:
    """Return the highest score of kernel D on a day of 5 events in 80 units, after 192 units without one."""
    day, units = 96, np.ones(6 * 96)
    events = np.zeros(6 * 96)
    units[2 * day :] = np.where(np.arange(4 * day) % 6 < 5, 1.0, 0.0)
    events[5 * day : 5 * day + 60 : 12] = 1.0
    grid = Grid(0, 0, len(units), units, events, None, np.empty(0))
    model = Events(grid, EventSettings())
    base = model.baseline(3, np.zeros(len(units), dtype=np.bool_))
    assert base is not None
    masks = Masks(*(np.zeros(len(units), dtype=np.bool_) for _ in range(2)))
    view = model.view(base, 5 * day, 6 * day, masks)
    return max(float(block.score.max()) for block in view.blocks() if block.kernel == "D")


def test_a_rate_of_which_little_was_seen_is_not_taken_for_certain():
    """Five events in a day are no alarm where none was seen in two days: the rate may be many times the estimate."""
    assert 0 < _score() < -math.log(24e-5)


@pytest.mark.parametrize(("day", "known", "wider"), [(3, 2, 1.5), (9, 8, 1.125), (14, 13, 1.0), (18, 13, 1.0)])
def test_what_is_expected_of_an_hour_is_a_mean_of_as_few_days(day, known, wider):
    """In an agent's first fortnight the drift of its rate counts for more; from a whole baseline on as it is."""
    ticks = 19 * 96
    units, first = np.full(ticks, 50.0), (day - 1 - known) * 96
    failed = np.random.default_rng(5).binomial(50, 0.05, ticks).astype(float)
    grid = Grid(start_s=0, first=0, stop=ticks, n=units, total=failed, hist=None, x=np.empty(0))
    baseline = Events(grid, EventSettings()).baseline(day, np.zeros(ticks, dtype=bool))
    assert baseline is not None
    learnt = slice(first, (day - 1) * 96)
    hourly = np.tile(np.repeat(baseline.hourly, 4), known)
    assert baseline.tau2 == pytest.approx(wider * overdispersion(failed[learnt], units[learnt], hourly))


def _days_with(bursts: list[tuple[int, int, int]]) -> Events:
    """Return eight days of three units a tick in which nothing happens but some (tick, units, events)."""
    ticks = 8 * 96
    units, events = np.full(ticks, 3.0), np.zeros(ticks)
    for tick, more, failed in bursts:
        units[tick], events[tick] = max(more, failed), failed
    return Events(Grid(0, 0, ticks, units, events, None, np.empty(0)), EventSettings())


@settings(max_examples=100, deadline=None)
@given(bursts=st.lists(st.tuples(st.integers(0, 8 * 96 - 1), st.integers(1, 12), st.integers(1, 9)), max_size=8))
def test_a_walk_over_a_quiet_series_finds_nothing(bursts):
    """Where no day holds the events that every rule wants, the series need not be walked."""
    model = _days_with(bursts)
    if model.is_quiet():
        assert not Walk(model).run().episodes


def test_as_many_events_as_a_rule_wants_are_not_quiet():
    """Five events within a day are looked at, and four are not; nine failures of ten are found."""
    four = [(500 + 20 * at, 3, 1) for at in range(4)]
    assert _days_with(four).is_quiet()
    assert not _days_with([*four, (596, 3, 1)]).is_quiet()
    assert Walk(_days_with([(600, 10, 9)])).run().episodes
