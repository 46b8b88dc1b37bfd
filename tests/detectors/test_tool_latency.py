from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from detectors.fleets import DAY, HOUR, costs, flat, step, time_of, window

from analyzer.detectors.tool_latency import ToolLatencyDetector
from analyzer.types.metric import Signal
from analyzer.types.report import Kind, Subject

DETECTOR = ToolLatencyDetector()
ONSET = 15 * DAY + 10 * HOUR


def seconds(level, tool="run_sql", **of):
    """Return seconds per call of one tool."""
    series = costs(level, **{"sigma": 0.9, **of})
    return replace(series, signal=Signal.TOOL_LATENCY, unit="s", subject=Subject(agent="a", tool=tool))


def test_the_slow_tool_is_named():
    """Of two tools the one that became slower is found, by its name."""
    (found,) = DETECTOR.detect(window(seconds(flat(1.0), "get_order"), seconds(step(ONSET, 1.0, 1.8))))
    assert (found.kind, found.subject.tool, found.excess_usd) == (Kind.TOOL_LATENCY, "run_sql", None)
    assert abs(found.onset - time_of(ONSET)) <= timedelta(hours=2)
    assert found.value / found.baseline == pytest.approx(1.8, rel=0.15)


def test_a_tool_needs_a_hundred_calls():
    """A tool with some eighty calls in its baseline is not judged, however slow it has become."""
    few = seconds(step(ONSET, 1.0, 20.0), per_hour=0.25)
    assert 50 < sum(few.count[: 14 * DAY]) < 100
    assert DETECTOR.detect(window(few)) == ()
