from __future__ import annotations

from datetime import timedelta

import pytest
from detectors.fleets import DAY, HOUR, failures, flat, step, time_of, window

from analyzer.detectors.success import SuccessDetector
from analyzer.types.metric import Signal
from analyzer.types.report import Kind

DETECTOR = SuccessDetector()
ONSET = 15 * DAY + 10 * HOUR


def missed(rate, **of):
    """Return trajectories that missed their goal among trajectories."""
    return failures(rate, signal=Signal.SUCCESS, **of)


def test_a_rise():
    """An agent that missed three goals of ten and now misses five is found."""
    (found,) = DETECTOR.detect(window(missed(step(ONSET, 0.3, 0.5))))
    assert found.kind is Kind.SUCCESS
    assert abs(found.onset - time_of(ONSET)) <= timedelta(hours=2)
    assert found.value == pytest.approx(0.5, abs=0.04)
    assert found.affected / found.of == pytest.approx(found.value, abs=1e-3)
    assert "missed their goal where" in found.note


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.6])
@pytest.mark.parametrize("seed", range(3))
def test_quiet_on_clean_agents(seed, rate):
    """An agent that misses its goals as often as it always did raises nothing, however often that is."""
    assert DETECTOR.detect(window(missed(flat(rate), seed=seed), hours=15 * 24)) == ()


def test_four_points_more_are_within_drift():
    """A rise from 30 % to 34 % is not reported."""
    assert DETECTOR.detect(window(missed(step(ONSET, 0.3, 0.34), per_hour=400))) == ()
