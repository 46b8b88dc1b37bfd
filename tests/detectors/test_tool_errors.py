from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from detectors.fleets import DAY, HOUR, costs, failures, flat, step, time_of, window

from analyzer.detectors.tool_errors import ToolErrorsDetector
from analyzer.types.metric import Signal
from analyzer.types.report import Kind, Subject

ONSET = 15 * DAY + 10 * HOUR


def test_the_tool_that_fails_is_named():
    """Of two tools of one agent only the failing one is found, by its name."""
    bad = failures(step(ONSET, 0.01, 0.5), signal=Signal.TOOL_ERRORS, subject=Subject(agent="a", tool="run_sql"))
    good = failures(flat(0.01), signal=Signal.TOOL_ERRORS, subject=Subject(agent="a", tool="get_order"))
    (found,) = ToolErrorsDetector().detect(window(good, bad))
    assert found.kind is Kind.TOOL_ERRORS
    assert (found.subject.agent, found.subject.tool) == ("a", "run_sql")
    assert abs(found.onset - time_of(ONSET)) <= timedelta(hours=1)


def test_trajectories_are_counted_where_a_part_of_their_calls_failed():
    """The rate is the failed share of the calls; who was hit are all trajectories in which any call failed."""
    bad = failures(step(ONSET, 0.01, 0.5), signal=Signal.TOOL_ERRORS, subject=Subject(agent="a", tool="run_sql"))
    halves = replace(bad, total=[value / 2 for value in bad.total], hit=bad.total)
    (found,) = ToolErrorsDetector().detect(window(halves))
    assert found.value == pytest.approx(0.25, abs=0.05)
    assert found.affected / found.of == pytest.approx(0.5, abs=0.05)
    assert found.unit == "trajectories"


def test_other_signals_are_none_of_its_business():
    """Costs and trajectory errors are left to their own detectors."""
    others = (costs(step(ONSET, 1.0, 3.0)), failures(step(ONSET, 0.01, 0.5)))
    assert ToolErrorsDetector().detect(window(*others)) == ()
