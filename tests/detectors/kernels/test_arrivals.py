from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.detectors.kernels.arrivals import (
    RESTING_WAIT_MAX,
    SIZE_MAX,
    UNSEEN_WEEKEND_SHARE,
    Arrivals,
    by_hour_of_week,
    by_kind,
    days_off,
    empty_days,
    empty_ticks_of_hour,
    hours_of_week,
    learn,
    own,
    since,
)

MONDAY_S = 4 * 86_400
TICKS = 14 * 96
HOURS = hours_of_week(MONDAY_S, TICKS)
ALL = np.ones(TICKS, dtype=np.bool_)


def test_the_week_begins_on_monday():
    """Hour 0 is Monday midnight in UTC: the epoch was a Thursday."""
    assert (HOURS[0], HOURS[4], HOURS[-1]) == (0, 1, 167)
    assert hours_of_week(0, 1)[0] == 72


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.data())
def test_sums_since_the_last_arrival(spoken, data):
    """What is gathered since the last arrival is what a loop over the ticks would gather."""
    steps = data.draw(st.lists(st.integers(0, 9), min_size=len(spoken), max_size=len(spoken)))
    level, expected = 0.0, []
    for is_spoken, step in zip(spoken, steps, strict=True):
        level = 0.0 if is_spoken else level + step
        expected.append(level)
    assert since(np.array(spoken), np.array(steps, dtype=float)).tolist() == expected


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_empty_ticks_of_the_hour(spoken):
    """Ticks after the last arrival are counted, at most those of the hour so far."""
    run, expected = 0, []
    for tick, is_spoken in enumerate(spoken):
        run = 0 if is_spoken else run + 1
        expected.append(min(run, tick % 4 + 1))
    assert empty_ticks_of_hour(np.array(spoken)).tolist() == expected


@given(st.floats(0.01, 1e4), st.floats(0.5, 10))
def test_surprise_grows_with_traffic_and_time(mean, size):
    """An empty hour is the more improbable the more was expected, and each tick of it adds to that."""
    arrivals = Arrivals(np.zeros(168), ALL[:168], size, None)
    ticks = arrivals.surprise(np.array([mean, mean, 2 * mean]), np.array([1.0, 4.0, 4.0])).tolist()
    assert 0 < ticks[0] < ticks[1] < ticks[2]


def test_hours_that_were_never_seen():
    """A working day stands in for another; a first weekend is a guess, and unknown of an agent that sleeps at night."""
    seen = by_hour_of_week((HOURS < 72).astype(float), HOURS)
    busy = by_hour_of_week(np.where(HOURS < 72, 5.0, 0.0), HOURS)
    kinds, known = by_kind(busy, seen)
    usual = own(busy, seen, kinds)
    assert usual[:120] == pytest.approx(20.0)
    assert usual[120:] == pytest.approx(20.0 * UNSEEN_WEEKEND_SHARE)
    assert known.all()
    asleep = by_hour_of_week(np.where((HOURS < 72) & (HOURS % 24 >= 8) & (HOURS % 24 < 18), 5.0, 0.0), HOURS)
    kinds, known = by_kind(asleep, seen)
    assert kinds[120:].tolist() == [0.0] * 48
    assert (known[:120].all(), known[120:].any()) == (True, False)


def test_scatter_is_learnt():
    """Steady traffic has the widest bound for r, crowds a small one: an empty hour of theirs says less."""
    rng = np.random.default_rng(3)
    steady = learn(rng.poisson(5.0, TICKS).astype(float), ALL, HOURS)
    crowds = learn((rng.poisson(0.1, TICKS) * 50.0), ALL, HOURS)
    assert steady.size == SIZE_MAX
    assert crowds.size < 3


def test_schedules_are_told_from_chance():
    """Regular waits make an interval, with the longest of them; waits by chance make none, however rare."""
    ticks = np.arange(TICKS)
    daily = learn((ticks % 96 == 3).astype(float), ALL, HOURS).interval
    assert daily is not None
    assert (daily.usual, daily.longest) == (96.0, 96.0)
    rested = learn(((ticks % 96 == 3) & (HOURS < 120)).astype(float), ALL, HOURS).interval
    assert rested is not None
    assert (rested.usual, rested.longest) == (96.0, 3 * 96.0)
    for rate in (0.02, 0.1, 0.4, 2.0):
        assert learn(np.random.default_rng(1).poisson(rate, TICKS).astype(float), ALL, HOURS).interval is None


def test_hours_are_those_of_clocks_that_are_half_an_hour_off() -> None:
    """In India Monday begins at 18:30 UTC on Sunday, and with it an hour of which no tick is empty yet."""
    hours = hours_of_week(MONDAY_S, 96, 22)
    assert (hours[72:78].tolist(), hours[0]) == ([23, 23, 24, 24, 24, 24], 5)
    assert empty_ticks_of_hour(np.array([True] + [False] * 6), 22).tolist() == [0, 1, 1, 2, 3, 4, 1]


def test_a_schedule_that_rests_runs_often_enough_for_an_empty_day_to_show_it():
    """Up to 18 hours a run is due on every day; beyond, a wait over an empty day is as long as it is."""
    for wait, rests in ((int(RESTING_WAIT_MAX), [5, 6]), (int(RESTING_WAIT_MAX) + 1, [])):
        runs = np.zeros(TICKS)
        runs[::wait] = 1.0
        runs[np.isin(HOURS // 24, (5, 6))] = 0.0
        interval = learn(runs, ALL, HOURS).interval
        assert interval is not None
        assert np.flatnonzero(interval.rests).tolist() == rests
        assert (interval.longest > 2 * 96) == (not rests)


WEEKS = hours_of_week(MONDAY_S, 3 * 7 * 96)


@given(st.lists(st.sampled_from([True, False, None]), min_size=21, max_size=21))
def test_days_off_are_what_a_loop_over_the_days_finds(empty):
    """One or two empty days between days at work; the last two known of a name, of a whole weekend's one alone."""
    n, looked = np.ones(len(WEEKS)), np.ones(len(WEEKS), dtype=np.bool_)
    for day, one in enumerate(empty):
        n[day * 96 : (day + 1) * 96] = 0.0 if one else 1.0
        looked[day * 96] = one is not None
    told = {name: [] for name in range(7)}
    weekends = dict.fromkeys(range(7), 0)
    for day, one in enumerate(empty):
        first, last = day, day
        while one and first > 0 and empty[first - 1] is True:
            first -= 1
        while one and last < 20 and empty[last + 1] is True:
            last += 1
        if one is False:
            told[day % 7].append(False)
        elif one and first > 0 and last < 20 and empty[first - 1] is False and empty[last + 1] is False:
            told[day % 7].append(last - first < 2)
            weekends[day % 7] += (first % 7, last - first) == (5, 1)
    expected = [all(told[name][-2:]) and len(told[name]) >= (1 if weekends[name] else 2) for name in range(7)]
    assert days_off(n, looked, WEEKS).tolist() == expected


@pytest.mark.parametrize("ahead", [0, 22])
def test_an_empty_day_is_one_of_peoples_clocks(ahead):
    """From midnight to midnight there, but for what came within two hours of either: a neighbour's run."""
    hours = hours_of_week(MONDAY_S, 3 * 96, ahead)
    midnight = 96 - ahead
    for tick, empty in ((midnight, True), (midnight + 8, False), (midnight + 87, False), (midnight + 88, True)):
        n = np.ones(len(hours))
        n[midnight : midnight + 96] = 0.0
        n[tick] = 1.0
        assert np.flatnonzero(empty_days(n, hours)).tolist() == [*range(midnight, midnight + 96)] * empty
