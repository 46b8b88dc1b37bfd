from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from detectors.fleets import DAY, HOUR, costs, flat, step, time_of, window

from analyzer.detectors.latency import LatencyDetector
from analyzer.types.metric import Signal
from analyzer.types.report import Kind, Subject

DETECTOR = LatencyDetector()
ONSET = 15 * DAY + 10 * HOUR


def seconds(level, **of):
    """Return seconds per trajectory, with a heavy tail."""
    series = costs(level, **{"sigma": 1.0, **of})
    return replace(series, signal=Signal.LATENCY, unit="s", subject=Subject(agent="a"))


def test_half_as_long_again():
    """A rise by half is found within hours, and is not called money."""
    (found,) = DETECTOR.detect(window(seconds(step(ONSET, 1.0, 1.5))))
    assert (found.kind, found.unit, found.excess_usd) == (Kind.LATENCY, "s", None)
    assert abs(found.onset - time_of(ONSET)) <= timedelta(hours=2)
    assert found.value / found.baseline == pytest.approx(1.5, rel=0.15)
    assert "a rise to 1.5 times as much takes about" in found.note


def test_a_quarter_more_is_within_drift():
    """A rise by a quarter is not reported, however long it lasts."""
    assert DETECTOR.detect(window(seconds(step(ONSET, 1.0, 1.25), per_hour=400))) == ()


@pytest.mark.parametrize("seed", range(4))
def test_quiet_on_clean_agents(seed):
    """Durations with a heavy tail raise nothing: the tail was always there."""
    assert DETECTOR.detect(window(seconds(flat(1.0), seed=seed, sigma=1.5), hours=15 * 24)) == ()


def test_one_hung_trajectory_is_no_shift():
    """A single trajectory that hung for an hour is no rise of the agent's latency."""
    series = seconds(flat(1.0))
    total = list(series.total)
    total[17 * DAY] += 3600.0
    sketches = [dict(one) for one in series.sketches]
    sketches[17 * DAY][163] = sketches[17 * DAY].get(163, 0) + 1
    count = list(series.count)
    count[17 * DAY] += 1
    assert DETECTOR.detect(window(replace(series, total=total, sketches=tuple(sketches), count=count))) == ()
