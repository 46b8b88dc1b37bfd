from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from detectors.fleets import DAY, HOUR, costs, flat, step, time_of, window

from analyzer.detectors.steps import StepsDetector
from analyzer.types.metric import Signal
from analyzer.types.report import Kind, Subject

DETECTOR = StepsDetector()
ONSET = 15 * DAY + 10 * HOUR


def steps(level, **of):
    """Return steps per trajectory."""
    series = costs(level, **{"sigma": 0.5, **of})
    return replace(series, signal=Signal.STEPS, unit="steps", subject=Subject(agent="a"))


def test_half_as_many_more():
    """A rise by half is found within hours, and is not called money."""
    (found,) = DETECTOR.detect(window(steps(step(ONSET, 1.0, 1.5))))
    assert (found.kind, found.unit, found.excess_usd) == (Kind.STEPS, "steps", None)
    assert abs(found.onset - time_of(ONSET)) <= timedelta(hours=2)
    assert found.value / found.baseline == pytest.approx(1.5, rel=0.15)
    assert "a rise to 1.5 times as much takes about" in found.note


def test_a_quarter_more_is_within_drift():
    """A rise by a quarter is not reported, however long it lasts."""
    assert DETECTOR.detect(window(steps(step(ONSET, 1.0, 1.25), per_hour=400))) == ()


@pytest.mark.parametrize("seed", range(4))
def test_quiet_on_clean_agents(seed):
    """A healthy agent raises nothing in eighteen days."""
    assert DETECTOR.detect(window(steps(flat(1.0), seed=seed), hours=15 * 24)) == ()
