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


@pytest.mark.parametrize("seed", range(6))
def test_an_outage_of_a_slow_tool_is_dated_by_itself_and_ends_the_same_day(seed):
    """Two chance failures at 02:00, six calls in ten from 04:00 to 09:00: by 18:00 it is over since 09:00.

    The alarm comes within the first quarters, when the chance failures still look like a part of it.
    """
    begin, end, stop = (17 * DAY + hour * HOUR for hour in (4, 9, 18))
    series = failures(
        step(begin, 0.01, 0.6, end),
        seed=seed,
        per_hour=10.0,
        signal=Signal.TOOL_ERRORS,
        subject=Subject(agent="a", tool="get_order"),
    )
    count, total = list(series.count), list(series.total)
    chance = 17 * DAY + 2 * HOUR
    # What is usual for nine hours: the test is not about a chance failure after the end.
    total[chance:begin] = [0.0] * (begin - chance)
    total[end:stop] = [0.0] * (stop - end)
    count[chance], total[chance] = 8.0, 2.0
    series = replace(series, count=count, total=total)
    (found,) = ToolErrorsDetector().detect(window(series, end=stop))
    assert abs(found.onset - time_of(begin)) <= timedelta(minutes=15)
    assert found.recovered is not None
    assert abs(found.recovered - time_of(end)) <= timedelta(minutes=30)


def test_chance_failures_before_an_outage_do_not_pull_back_its_beginning():
    """Two failures by chance at 02:00 explain an outage from 04:00 when its alarm comes; by 18:00 they do not."""
    day = [
        *[(1, 0), (1, 0), (3, 0), (2, 1), (5, 0), (0, 0), (1, 0), (2, 0), (8, 2), (1, 0), (3, 0), (0, 0)],
        *[(2, 0), (2, 0), (3, 0), (2, 0), (4, 3), (2, 0), (2, 1), (2, 2), (1, 0), (3, 2), (1, 1), (1, 1)],
        *[(0, 0), (0, 0), (1, 1), (4, 1), (1, 1), (4, 2), (1, 0), (1, 0), (0, 0), (1, 1), (4, 2), (2, 1)],
        *[(5, 0), (2, 0), (3, 0), (8, 0), (1, 0), (2, 0), (1, 0), (4, 0), (1, 0), (6, 0), (1, 0), (0, 0)],
        *[(1, 0), (1, 0), (0, 0), (2, 0), (5, 0), (1, 0), (2, 0), (4, 1), (2, 0), (8, 0), (7, 0), (2, 0)],
        *[(6, 0), (3, 0), (1, 0), (3, 0), (4, 0), (1, 0), (4, 0), (2, 0), (3, 0), (5, 0), (3, 0), (3, 0)],
    ]
    subject = Subject(agent="a", tool="get_order")
    before = failures(flat(0.01), days=17, per_hour=10.0, signal=Signal.TOOL_ERRORS, subject=subject)
    series = replace(
        before,
        count=[*before.count, *(float(calls) for calls, _ in day)],
        total=[*before.total, *(float(failed) for _, failed in day)],
    )
    (found,) = ToolErrorsDetector().detect(window(series))
    assert abs(found.onset - time_of(17 * DAY + 4 * HOUR)) <= timedelta(minutes=15)
    assert found.recovered is not None
    assert abs(found.recovered - time_of(17 * DAY + 9 * HOUR)) <= timedelta(minutes=30)
