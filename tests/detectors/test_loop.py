from __future__ import annotations

from dataclasses import replace

import pytest
from detectors.fleets import failures, flat, time_of
from detectors.loop_cases import NEGATIVE, POSITIVE, START_NS, Tape

from analyzer.detectors.loop import LoopDetector, dated
from analyzer.types.metric import Window
from analyzer.types.reading import Gate
from analyzer.types.report import Kind, Subject
from analyzer.types.trace import Status
from analyzer.types.trajectory import summarise

DETECTOR = LoopDetector()


def _window(**suspects):
    summaries = {trace_id: replace(summarise(trace_id, ()), agent="billing") for trace_id in suspects}
    return Window(start=time_of(0), end=time_of(96), suspects=suspects, summaries=summaries)


def _repeating(times):
    tape = Tape()
    for i in range(times):
        tape.turn("get_order", {"id": 7}, f"status: shipped\nrequest_id=req_{i}ab\ntotal 12")
    return tuple(tape.steps)


def test_one_finding_per_agent_and_tool():
    """Looping trajectories of one agent and tool make one finding, worst first, with their number and money."""
    (found,) = DETECTOR.detect(_window(t1=_repeating(6), t2=_repeating(30), t3=NEGATIVE["N06"]))
    assert found.kind is Kind.LOOP
    assert (found.subject.agent, found.subject.tool) == ("billing", "get_order")
    assert found.trace_ids == ("t2", "t1")
    assert (found.value, found.baseline, found.unit) == (30.0, 4.0, "repeats")
    assert (found.affected, found.of) == (2, 3)
    assert found.excess_usd == pytest.approx(0.01 * (26 + 2))
    assert found.onset.timestamp() == pytest.approx(START_NS / 1e9, abs=10)
    assert "repeat_same_call" in found.note


def test_up_to_holds_for_every_trajectory_of_the_finding():
    """The dearest loop comes first and is described; the repeats are those of the longest, which may be another."""
    dear = tuple(replace(step, cost_usd=1.0) for step in _repeating(6))
    (found,) = DETECTOR.detect(_window(t1=dear, t2=_repeating(30)))
    assert found.trace_ids == ("t1", "t2")
    assert (found.value, found.baseline, found.score) == (30.0, 4.0, 30.0)
    assert found.note.startswith("In the worst, steps ")


def test_quotes_stand_in_the_spans():
    """Every quote is a verbatim single line of the field it names, of at most 160 characters."""
    steps = _repeating(6)
    by_id = {step.span_id: step for step in steps}
    (found,) = DETECTOR.detect(_window(t1=steps))
    assert {evidence.field for evidence in found.evidence} == {"input", "output"}
    for evidence in found.evidence:
        assert evidence.quote in getattr(by_id[evidence.span_id], evidence.field)
        assert "\n" not in evidence.quote
        assert 0 < len(evidence.quote) <= 160


def test_an_error_without_output_is_quoted_from_its_status():
    """Where a failed call returned nothing, the status message is the quote."""
    tape = Tape()
    for _ in range(4):
        tape.turn("get_order", {"id": 7}, status=Status.ERROR, status_message="OrderNotFound: no order 7")
    (found,) = DETECTOR.detect(_window(t1=tuple(tape.steps)))
    assert ("status_message", "OrderNotFound: no order 7") in {(e.field, e.quote) for e in found.evidence}


def test_loops_of_different_tools_are_different_findings():
    """Each repeating tool has a finding of its own; a loop in the model's own words has none."""
    found = DETECTOR.detect(_window(t1=POSITIVE["P01"], t2=POSITIVE["P21"], t3=POSITIVE["P13"]))
    assert {one.subject.tool for one in found} == {"get_order", "lookup_everything", None}


def test_silence():
    """No suspects, and suspects that only look alike, give nothing."""
    assert DETECTOR.detect(_window()) == ()
    assert DETECTOR.detect(_window(**NEGATIVE)) == ()


def test_one_of_a_hundred_that_stops_at_the_limit_is_an_anecdote():
    """One run of a hundred that repeats itself and lets it be as soon as that is plain has lost nothing.

    A step more, a second run that does so, or fewer runs to hold it against: then it is told.
    """
    barely = _repeating(4)

    def affected(runs, **suspects):
        counted = failures(flat(0.0), days=1, subject=Subject(agent="billing"))
        there = replace(_window(**suspects), series=(replace(counted, count=[float(runs), *[0.0] * 95]),))
        found = DETECTOR.detect(there)
        (reading,) = DETECTOR.explain(there, "billing")
        assert (reading.gate is Gate.FOUND) == bool(found), reading.why
        return [one.affected for one in found]

    assert affected(100, t1=barely) == []
    assert affected(99, t1=barely) == [1]
    assert affected(100, t1=_repeating(5)) == [1]
    assert affected(100, t1=barely, t2=barely) == [2]


@pytest.mark.parametrize(("hours", "before_h"), [((0, 1, 2, 4), 4.0), ((0, 9), 0.0), ((0, 9, 18), 12.0)])
def test_a_loop_may_have_been_there_before_it_showed(hours, before_h):
    """Where trajectories loop an hour or two apart, three such gaps may have passed before the first that did."""
    late = {
        f"t{hour}": tuple(
            replace(step, start_ns=step.start_ns + hour * 3600 * 10**9, end_ns=step.end_ns + hour * 3600 * 10**9)
            for step in _repeating(6)
        )
        for hour in hours
    }
    (found,) = DETECTOR.detect(_window(**late))
    assert found.onset.timestamp() == pytest.approx(START_NS / 1e9, abs=10)
    assert (found.onset - found.onset_low).total_seconds() / 3600 == pytest.approx(before_h, abs=0.01)
    assert found.onset_high == found.onset


def test_order_of_suspects_does_not_matter():
    """The same suspects in another order give the same findings."""
    there = _window(t1=_repeating(6), t2=_repeating(9), t3=POSITIVE["P05"])
    back = replace(there, suspects=dict(reversed(there.suspects.items())))
    assert DETECTOR.detect(there) == DETECTOR.detect(back)


def test_without_summary():
    """A suspect without a summary belongs to the agent its steps name."""
    window = replace(_window(t1=_repeating(5)), summaries={})
    assert DETECTOR.detect(window)[0].subject.agent == "worker"


def test_a_loop_that_is_older_than_the_window_keeps_its_figures_and_gets_its_beginning():
    """Its figures count from the window on; when the history shows it first is said beside them."""
    old = replace(_window(t0=_repeating(5)), start=time_of(-960), end=time_of(0))
    earlier = [replace(one, onset=time_of(-900), onset_low=time_of(-908)) for one in DETECTOR.detect(old)]
    now = DETECTOR.detect(_window(t1=_repeating(6)))
    (found,) = dated(now, earlier)
    assert (found.began, found.onset, found.affected) == (time_of(-900), now[0].onset, 1)
    assert found.onset_low == time_of(-908)
    assert "It began before the window" in found.note
    assert dated(now, [replace(earlier[0], subject=replace(earlier[0].subject, tool="other"))]) == list(now)
