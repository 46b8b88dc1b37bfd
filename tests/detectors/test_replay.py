"""A detector over a whole stretch of time says of each moment what it says when it is asked at that moment."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass, replace
from datetime import datetime

import numpy as np
import pytest
from detectors.choosing import Fault, choices, over_all, passing, stored
from detectors.fleets import DAY, HOUR, arrivals, costs, counters_only, failures, flat, step, time_of
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.detectors import DETECTORS
from analyzer.detectors.base import replay_of
from analyzer.stores.choices import TRAJECTORIES_MIN as CHOICES_MIN
from analyzer.types.choices import TOOL
from analyzer.types.metric import Signal, Window
from analyzer.types.report import Subject


def close(left: object, right: object) -> bool:
    """Compare values, numbers to nine digits: sums over longer series are rounded in another order."""
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12) or (math.isnan(left) and math.isnan(right))
    if is_dataclass(left) and is_dataclass(right):
        same = all(close(getattr(left, one.name), getattr(right, one.name)) for one in fields(left))
        return type(left) is type(right) and same
    if isinstance(left, tuple) and isinstance(right, tuple):
        return len(left) == len(right) and all(map(close, left, right))
    return left == right


def cut(whole: Window, end: datetime, hours: float = 24.0) -> Window:
    """Return the window of a run at a moment, as a store would give it."""
    end_s = end.timestamp()
    series = [one.until(end_s) for one in whole.series]
    start = datetime.fromtimestamp(end_s - hours * 3600, tz=end.tzinfo)
    return replace(
        whole,
        start=start,
        end=end,
        series=tuple(one for one in series if any(one.count)),
        choices=tuple(one for part in whole.choices if sum((one := part.until(end_s)).of) >= CHOICES_MIN),
    )


def agree(detector: object, whole: Window, ticks: list[int]) -> int:
    """Assert that a detector and its replay say the same at each tick; return how many findings there were."""
    replay = replay_of(detector, whole)
    found = 0
    for tick in (one for one in ticks if one <= 18 * DAY):
        at = cut(whole, time_of(tick))
        asked, replayed = detector.detect(at), replay.detect(at)
        assert close(asked, replayed), (tick, asked, replayed)
        found += len(asked)
    return found


TICKS = st.lists(st.integers(1, 18 * DAY), min_size=1, max_size=5)
EDGES = [15 * DAY + tick for tick in (0, 1, 4 * HOUR, 12 * HOUR, 20 * HOUR, 23 * HOUR + 3)]


def of(name: str):
    """Return the detector of a name."""
    return next(one for one in DETECTORS if one.name == name)


@settings(max_examples=12, deadline=None)
@given(
    ticks=TICKS,
    onset=st.integers(4 * DAY, 17 * DAY),
    hours=st.sampled_from([3, 12, 40, 400]),
    factor=st.sampled_from([1.0, 1.5, 2.5, 6.0]),
    per_hour=st.sampled_from([1.0, 12.0, 80.0]),
    metered=st.booleans(),
)
def test_amounts(ticks, onset, hours, factor, per_hour, metered):
    """Cost, with and without a distribution, before, in and after an episode."""
    series = costs(step(onset, 1.0, factor, onset + hours * HOUR), per_hour=per_hour)
    series = counters_only(series) if metered else series
    agree(of("cost"), Window(time_of(0), time_of(18 * DAY), series=(series,)), [*ticks, onset + 2 * HOUR])


@settings(max_examples=12, deadline=None)
@given(
    ticks=TICKS,
    onset=st.integers(4 * DAY, 17 * DAY),
    hours=st.sampled_from([1, 6, 40, 400]),
    rate=st.sampled_from([0.02, 0.06, 0.3, 0.9]),
)
def test_events(ticks, onset, hours, rate):
    """Errors, from a burst to a fault that lasts."""
    series = failures(step(onset, 0.02, rate, onset + hours * HOUR))
    agree(of("errors"), Window(time_of(0), time_of(18 * DAY), series=(series,)), [*ticks, onset + 2 * HOUR])


@settings(max_examples=10, deadline=None)
@given(
    ticks=TICKS,
    onsets=st.lists(st.integers(4 * DAY, 17 * DAY), min_size=3, max_size=3),
    hours=st.sampled_from([2, 8, 60]),
    late=st.integers(0, 16 * DAY),
)
def test_silences(ticks, onsets, hours, late):
    """Agents that fall silent one by one or together, and one that is new."""
    fleet = [
        arrivals(step(onset, 20.0, 0.0, onset + hours * HOUR), agent=name, seed=seed)
        for seed, (name, onset) in enumerate(zip("abc", [onsets[0], onsets[0], onsets[2]], strict=True))
    ]
    fleet.append(arrivals(step(late, 0.0, 10.0), agent="new", seed=9))
    whole = Window(time_of(0), time_of(18 * DAY), series=tuple(fleet))
    agree(of("silence"), whole, [*ticks, onsets[0] + 2 * HOUR, onsets[0] + hours * HOUR])


@settings(max_examples=8, deadline=None)
@given(
    ticks=TICKS,
    begin=st.integers(5 * 24, 17 * 24),
    hours=st.sampled_from([4, 30, 400]),
    share=st.sampled_from([0.0, 0.4, 1.0]),
    late=st.integers(2 * 24, 16 * 24),
)
def test_choices(ticks, begin, hours, share, late):
    """Tables that change hands, beside a kind of task that is new and a value that never was."""
    faults = (Fault("orders", "orders_old", begin, begin + hours, share),)
    usual = {"orders": 0.8, "users": 0.2}
    listed = choices(usual, task="refund", days=18, faults=faults, per_hour=12)
    new = choices({"orders": 1.0}, task="new", days=18, seed=2, per_hour=(np.arange(18 * 24) >= late) * 4.0)
    parts = (over_all((listed, new)), listed, new)
    whole = Window(time_of(0), time_of(18 * DAY), choices=parts)
    agree(of("tool-choice"), whole, [*ticks, (begin + 6) * HOUR, (begin + hours) * HOUR])


@settings(max_examples=12, deadline=None)
@given(
    first=st.integers(5 * 24, 15 * 24),
    begin=st.integers(5 * 24, 17 * 24),
    share=st.sampled_from([0.0, 0.4, 1.0]),
    usual=st.sampled_from([0.1, 0.5, 0.9]),
    life=st.sampled_from([1, 2, 5]),
    per_hour=st.sampled_from([2, 12]),
    late=st.sampled_from([0, 11 * 24]),
    what=st.sampled_from(["tables", TOOL]),
)
def test_choices_of_ids(first, begin, share, usual, life, per_hour, late, what):
    """The commonest of too many values are others every hour; what is found is the same to the last digit."""
    faults = (Fault("orders", "orders_old", begin, share=share),)
    mix = {"orders": usual, "id": 1 - usual}
    listed = choices(mix, task="refund", days=18, faults=faults, per_hour=per_hour, what=what)
    new = choices(mix, task="new", days=18, seed=2, per_hour=(np.arange(18 * 24) >= late) * 4.0, what=what)
    listed, new = passing(listed, "id", life), passing(new, "id", life + 1)
    parts = tuple(map(stored, (over_all((listed, new)), listed, new)))
    whole = Window(time_of(0), time_of(18 * DAY), choices=parts)
    replay = replay_of(of("tool-choice"), whole)
    for hour in [*range(first, first + 12), *range(max(first, begin) + 12, 18 * 24, 24)]:
        at = cut(whole, time_of(hour * HOUR))
        assert replay.detect(at) == of("tool-choice").detect(at)


def test_something_is_found():
    """The moments that are compared hold findings, open ones and ones that have ended."""
    burst = step(15 * DAY, 1.0, 5.0, 15 * DAY + 10 * HOUR)
    whole = Window(
        time_of(0),
        time_of(18 * DAY),
        series=(costs(burst), arrivals(step(15 * DAY, 20.0, 0.0), seed=1), arrivals(flat(20.0), agent="b", seed=2)),
    )
    assert agree(of("cost"), whole, EDGES) >= 4
    assert agree(of("silence"), whole, EDGES) >= 4
    moved = choices({"orders": 0.8, "users": 0.2}, days=18, faults=(Fault("orders", "orders_old", 15 * 24),))
    assert agree(of("tool-choice"), Window(time_of(0), time_of(18 * DAY), choices=(moved,)), EDGES) >= 2


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda one: one.name)
def test_no_detector_sees_into_the_future(detector):
    """Whatever comes later, a replay finds what was found then: for every detector of the catalogue."""
    signals = [one for one in Signal if one.value == detector.name]
    made = [replace(costs(step(15 * DAY, 1.0, 4.0)), signal=signal, subject=Subject("a")) for signal in signals]
    made += [failures(step(15 * DAY, 0.02, 0.5), signal=signal) for signal in signals]
    agree(detector, Window(time_of(0), time_of(18 * DAY), series=tuple(made[:1])), EDGES)
    agree(detector, Window(time_of(0), time_of(18 * DAY), series=tuple(made[1:])), EDGES)
