from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from detectors.fleets import DAY, HOUR, failures, flat, step, time_of, window

from analyzer.detectors.truncation import TruncationDetector
from analyzer.types.metric import Signal
from analyzer.types.report import Kind

DETECTOR = TruncationDetector()
ONSET = 15 * DAY + 10 * HOUR


def cut(rate, **of):
    """Return trajectories with a cut reply among trajectories."""
    return failures(rate, signal=Signal.TRUNCATION, **of)


def test_a_rise():
    """Replies that were never cut and now are in every tenth trajectory are found."""
    (found,) = DETECTOR.detect(window(cut(step(ONSET, 0.0, 0.1))))
    assert found.kind is Kind.TRUNCATION
    assert abs(found.onset - time_of(ONSET)) <= timedelta(hours=2)
    assert found.value == pytest.approx(0.1, abs=0.04)
    assert found.affected / found.of == pytest.approx(found.value, abs=1e-3)
    assert "were cut short where" in found.note


def test_three_cut_replies_on_nothing():
    """Three cut replies of an agent that had none are remarked by nobody, even within one quarter of an hour."""
    series = cut(flat(0.0), per_hour=8)
    total = list(series.total)
    tick = next(tick for tick in range(ONSET, ONSET + DAY) if series.count[tick] >= 3)
    total[tick] = 3.0
    assert DETECTOR.detect(window(replace(series, total=total))) == ()


def test_one_in_a_hundred_is_remarked_by_nobody():
    """A rise from nothing to 1 % is certain after some days, and matters to nobody."""
    assert DETECTOR.detect(window(cut(step(ONSET, 0.0, 0.01), per_hour=400))) == ()
