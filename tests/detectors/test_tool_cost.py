from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from detectors.fleets import DAY, HOUR, costs, step, time_of, window

from analyzer.detectors.tool_cost import ToolCostDetector
from analyzer.types.metric import Signal
from analyzer.types.report import Kind, Subject

DETECTOR = ToolCostDetector()
ONSET = 15 * DAY + 10 * HOUR


def usd(level, **of):
    """Return USD per call of one tool."""
    series = costs(level, **{"sigma": 0.4, **of})
    return replace(series, signal=Signal.TOOL_COST, unit="USD", subject=Subject(agent="a", tool="search"))


def test_a_full_scan():
    """Calls that cost eight times as much are found with the money they cost too much."""
    (found,) = DETECTOR.detect(window(usd(step(ONSET, 1.0, 8.0), per_hour=5)))
    assert (found.kind, found.subject.tool) == (Kind.TOOL_COST, "search")
    assert abs(found.onset - time_of(ONSET)) <= timedelta(hours=2)
    assert found.value / found.baseline == pytest.approx(8.0, rel=0.2)
    assert found.excess_usd == pytest.approx((found.value - found.baseline) * found.of)


def test_thirty_calls_are_enough():
    """A tool that is called four times a day is judged: its price hardly scatters."""
    rare = usd(step(ONSET, 1.0, 8.0), per_hour=0.17)
    assert 30 < sum(rare.count[: 14 * DAY]) < 70
    (found,) = DETECTOR.detect(window(rare))
    assert found.onset_low <= time_of(ONSET) <= found.onset_high
