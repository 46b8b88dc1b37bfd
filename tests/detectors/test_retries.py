from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from detectors.fleets import DAY, HOUR, failures, flat, step, time_of, window

from analyzer.detectors.retries import RetriesDetector
from analyzer.types.metric import Signal
from analyzer.types.report import Kind

DETECTOR = RetriesDetector()
ONSET = 15 * DAY + 10 * HOUR


def retried(rate, **of):
    """Return trajectories that tried again among trajectories."""
    return failures(rate, signal=Signal.RETRIES, **of)


def test_a_rise():
    """A retry storm, from 5 % to 25 % of the trajectories, is found with its rates and said in its own words."""
    (found,) = DETECTOR.detect(window(retried(step(ONSET, 0.05, 0.25))))
    assert found.kind is Kind.RETRIES
    assert abs(found.onset - time_of(ONSET)) <= timedelta(hours=2)
    assert found.value == pytest.approx(0.25, abs=0.04)
    assert found.affected / found.of == pytest.approx(found.value, abs=1e-3)
    assert "had to try again where" in found.note


def test_three_retries_of_an_agent_that_never_retried():
    """Three events on nothing are remarked by nobody."""
    series = retried(flat(0.0))
    total = list(series.total)
    total[ONSET : ONSET + 3] = [1.0, 1.0, 1.0]
    assert DETECTOR.detect(window(replace(series, total=total))) == ()


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.4])
def test_quiet_on_clean_agents(rate):
    """An agent that retries as often as it always did raises nothing."""
    assert DETECTOR.detect(window(retried(flat(rate)), hours=15 * 24)) == ()
