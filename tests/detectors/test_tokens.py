from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from detectors.fleets import DAY, HOUR, costs, step, time_of, window

from analyzer.detectors.tokens import TokensDetector
from analyzer.types.metric import Signal
from analyzer.types.report import Kind, Subject

DETECTOR = TokensDetector()
ONSET = 15 * DAY + 10 * HOUR


def tokens(level, **of):
    """Return tokens per trajectory."""
    series = costs(level, **{"sigma": 0.8, **of})
    return replace(series, signal=Signal.TOKENS, unit="tokens", subject=Subject(agent="a"))


def test_doubling():
    """A doubling is found within the hour, in tokens, and is not called money."""
    (found,) = DETECTOR.detect(window(tokens(step(ONSET, 1.0, 2.0))))
    assert (found.kind, found.unit, found.excess_usd) == (Kind.TOKENS, "tokens", None)
    assert abs(found.onset - time_of(ONSET)) <= timedelta(hours=1)
    assert found.value / found.baseline == pytest.approx(2.0, rel=0.15)
    assert "a doubling takes about" in found.note


def test_a_third_more_is_within_drift():
    """A rise by a third is not reported: tokens drift as much between healthy weeks."""
    assert DETECTOR.detect(window(tokens(step(ONSET, 1.0, 1.33)))) == ()


def test_costs_are_none_of_its_business():
    """A series of another signal is left to its own detector."""
    assert DETECTOR.detect(window(costs(step(ONSET, 1.0, 3.0)))) == ()
