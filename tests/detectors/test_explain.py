from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from detectors.fleets import DAY, HOUR, arrivals, costs, failures, flat, step, time_of, window
from detectors.loop_cases import NEGATIVE, Tape
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.detectors import DETECTORS
from analyzer.detectors.cost import CostDetector
from analyzer.detectors.errors import ErrorsDetector
from analyzer.detectors.loop import LoopDetector, LoopSettings
from analyzer.detectors.silence import SilenceDetector
from analyzer.detectors.tool_errors import ToolErrorsDetector
from analyzer.types.metric import Signal, Window
from analyzer.types.reading import Gate
from analyzer.types.report import Subject
from analyzer.types.trajectory import summarise

ONSET = 15 * DAY + 10 * HOUR


def gate_of(detector, *series, end=None, agent="a"):
    """Return the gate and its words of the only reading."""
    (one,) = detector.explain(window(*series, end=end), agent)
    return one.gate, one.why


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda one: one.name)
def test_an_agent_nobody_knows(detector):
    """Every detector says that it has nothing to look at, under its own name and kind, about the agent asked for."""
    (one,) = detector.explain(window(costs(flat(1.0), days=1)), "stranger")
    assert (one.detector, one.kind, one.subject) == (detector.name, detector.kind, Subject(agent="stranger"))
    assert one.gate is Gate.NO_SERIES
    assert one.value is None


def test_too_few_days():
    """Before the fourth day the days that are there are told."""
    for detector, series in (
        (CostDetector(), costs(flat(1.0))),
        (ErrorsDetector(), failures(flat(0.1))),
        (SilenceDetector(), arrivals(flat(20.0))),
    ):
        found = gate_of(detector, series, end=DAY + 10 * HOUR)
        assert found == (Gate.HISTORY, "3 days of history needed, 1.4 there")


def test_too_few_units():
    """An agent that hardly runs is told how many runs a baseline needs."""
    rare = costs(flat(1.0), per_hour=0.05)
    units = sum(rare.count[3 * DAY : 16 * DAY])
    want = (Gate.UNITS, f"50 units needed in the baseline (14 days without the last), {units:.0f} there")
    assert gate_of(CostDetector(), rare, end=18 * DAY) == want
    unpriced = replace(rare, count=[2 * units for units in rare.count])
    assert gate_of(CostDetector(), unpriced, end=18 * DAY) == want, "what has no cost tells nothing of what is usual"
    once = arrivals(lambda ticks: (ticks < HOUR) * 50.0)
    assert gate_of(SilenceDetector(), once, end=12 * DAY) == (
        Gate.UNITS,
        "arrivals on 3 days needed before more are expected",
    )


def test_too_little_evidence():
    """A rise that is large and young is told its score, the rule that is nearest, and how long it takes."""
    (one,) = CostDetector().explain(window(costs(step(ONSET, 1.0, 2.0), per_hour=5.0), end=ONSET + 3 * HOUR), "a")
    assert one.gate is Gate.SCORE
    assert 0 < one.score < one.threshold
    assert one.why.startswith(f"score {one.score:.1f} of 12.8; ")
    assert "times as much, 1.60 needed" in one.why
    assert one.value > one.baseline
    assert (one.unit, one.kernel) == ("USD", "A")
    assert one.detectable.startswith("At 4.81 units an hour a doubling takes about 8")
    assert one.detectable.endswith("h to confirm.")


def test_too_small_an_effect():
    """A rise that is certain and small is held back by its size."""
    gate, why = gate_of(CostDetector(), costs(step(ONSET, 1.0, 1.45), per_hour=400), end=ONSET + 2 * DAY)
    assert gate is Gate.EFFECT
    assert "times as much, 1.60 needed; score " in why
    gate, why = gate_of(ErrorsDetector(), failures(step(ONSET, 0.002, 0.015), per_hour=900), end=ONSET + 2 * DAY)
    assert gate is Gate.EFFECT
    assert "2 times, 3 points more and 5 needed" in why


def test_an_open_episode():
    """Where there is a finding, the reading says so, with the finding's figures."""
    for detector, series in (
        (CostDetector(), costs(step(ONSET, 1.0, 2.0))),
        (ErrorsDetector(), failures(step(ONSET, 0.02, 0.3))),
        (SilenceDetector(), arrivals(step(ONSET, 20.0, 0.0))),
    ):
        at = window(series, end=ONSET + DAY)
        (found,), (one,) = detector.detect(at), detector.explain(at, "a")
        assert one.gate is Gate.FOUND
        assert one.why == f"an episode is open since {found.onset:%Y-%m-%d %H:%M} UTC"
        assert (one.score, one.threshold, one.unit) == (found.score, found.threshold, found.unit)
        assert one.value == pytest.approx(found.value, rel=0.05)
        assert one.baseline == pytest.approx(found.baseline, rel=0.05)


@pytest.mark.parametrize("silent", [HOUR, 2 * DAY])
def test_nothing_ran(silent):
    """Of an agent that stopped a day ago no figure is shown or compared: $0.00 and 0 % would be those of a run."""
    for detector, series in ((CostDetector(), costs(flat(1.0))), (ErrorsDetector(), failures(flat(0.02)))):
        empty = [0.0] * silent
        ended = replace(series, count=series.count[:ONSET] + empty, total=series.total[:ONSET] + empty)
        if series.sketches is not None:
            ended = replace(ended, sketches=(*series.sketches[:ONSET], *({} for _ in empty)))
        (one,) = detector.explain(window(ended, end=ONSET + silent), "a")
        if silent < DAY:
            assert one.value > 0, "the day has runs in it"
            continue
        since = f"{time_of(ONSET + silent - DAY):%Y-%m-%d %H:%M} UTC"
        assert (one.gate, one.value) == (Gate.SCORE, None)
        assert one.why.endswith(f" of {one.threshold:.1f}; nothing ran since {since}")
        assert one.baseline > 0, "what is usual stays to be seen"
    (one,) = SilenceDetector().explain(window(arrivals(step(ONSET, 1.0, 0.0)), end=ONSET + HOUR), "a")
    assert one.value == 0.0, "of arrivals none is what is observed"


def test_an_episode_that_has_ended():
    """After an episode the reading tells what is hidden by it, and what is seen since then."""
    series = costs(step(ONSET, 1.0, 2.5, ONSET + 10 * HOUR))
    gate, why = gate_of(CostDetector(), series, end=ONSET + DAY)
    assert gate is Gate.MASK
    assert why.startswith("an episode from 2026-")
    assert " is over; what lies in it counts as unseen. Since then: score " in why


def test_the_fleet_is_silent():
    """While the whole fleet is silent, that is why no agent is said to be."""
    fleet = [arrivals(step(ONSET, 20.0, 0.0), agent=name, seed=seed) for seed, name in enumerate("abc")]
    gate, why = gate_of(SilenceDetector(), *fleet, end=ONSET + 6 * HOUR, agent="b")
    assert (gate, why) == (Gate.MASK, f"the whole fleet is silent since {time_of(ONSET):%Y-%m-%d %H:%M} UTC")


def test_one_reading_a_tool():
    """Each tool of the agent has its own reading, and those of other agents have none."""
    series = [
        failures(flat(0.02), signal=Signal.TOOL_ERRORS, subject=Subject(agent=agent, tool=tool))
        for agent, tool in (("a", "run_sql"), ("a", "search"), ("b", "search"))
    ]
    found = ToolErrorsDetector().explain(window(*series), "a")
    assert [one.subject for one in found] == [Subject(agent="a", tool="run_sql"), Subject(agent="a", tool="search")]


def test_no_suspects():
    """An agent of which no trajectory repeats anything is told so."""
    gate, why = gate_of(LoopDetector(), costs(flat(1.0), days=1))
    assert (gate, why) == (Gate.NO_SERIES, "no trajectory of the window repeats a call or a reply three times")


def test_a_loop_and_what_is_none():
    """Of suspects the surest loop is told, found or not sure enough; work that repeats itself is told as such."""
    work = Window(start=time_of(0), end=time_of(96), suspects={"t": NEGATIVE["N06"]}, summaries=whose("t"))
    (one,) = LoopDetector().explain(work, "a")
    assert (one.gate, one.why) == (
        Gate.SCORE,
        "of 1 trajectories that repeat themselves none does so without getting anywhere",
    )
    tape = Tape()
    for _ in range(6):
        tape.turn("get_order", {"id": 7}, "status: shipped")
    loop = replace(work, suspects={"t": tuple(tape.steps)})
    (one,) = LoopDetector().explain(loop, "a")
    assert (one.gate, one.value, one.baseline, one.unit) == (Gate.FOUND, 6.0, 4.0, "repeats")
    (one,) = LoopDetector(LoopSettings(confidence_min=0.99)).explain(loop, "a")
    assert (one.gate, one.score, one.threshold) == (Gate.SCORE, 0.9375, 0.99)
    assert one.why.endswith("6 times; confidence 0.94, 0.99 needed")


def test_what_is_taken_for_polling_is_told():
    """Equal calls that ask whether something is done are no loop before the thirtieth: a reader is told how near."""
    tape = Tape()
    for _ in range(20):
        tape.turn("lookup_invoice", {"id": 7}, '{"status": "pending, ask again"}')
    polls = Window(start=time_of(0), end=time_of(96), suspects={"t": tuple(tape.steps)}, summaries=whose("t"))
    (one,) = LoopDetector().explain(polls, "a")
    assert one.gate is Gate.SCORE
    assert one.why == (
        "of 1 trajectories that repeat themselves none does so without getting anywhere;"
        " taken for polling: 1 of them, up to 20 equal answers, a loop from 30 on"
    )


def whose(trace_id):
    """Return the summary of a trajectory of agent `a`."""
    return {trace_id: replace(summarise(trace_id, ()), agent="a")}


@settings(max_examples=20, deadline=None)
@given(
    end=st.integers(1, 18 * DAY), factor=st.sampled_from([1.0, 1.5, 2.0, 4.0]), per_hour=st.sampled_from([0.1, 5, 60])
)
def test_reading_and_finding_agree(end, factor, per_hour):
    """A reading is at `found` if and only if there is an open finding, whenever one asks."""
    at = window(costs(step(9 * DAY, 1.0, factor), per_hour=per_hour), end=end)
    is_open = any(found.recovered is None for found in CostDetector().detect(at))
    (one,) = CostDetector().explain(at, "a")
    assert (one.gate is Gate.FOUND) == is_open


@settings(max_examples=20, deadline=None)
@given(end=st.integers(1, 18 * DAY), per_hour=st.sampled_from([0.5, 20.0]))
def test_reading_and_finding_agree_on_silence(end, per_hour):
    """The same of silences, whenever they begin and end."""
    series = arrivals(lambda t: np.where((t > 8 * DAY) & (t < 10 * DAY) | (t > 15 * DAY), 0.0, per_hour))
    at = window(series, end=end)
    is_open = any(found.recovered is None for found in SilenceDetector().detect(at))
    (one,) = SilenceDetector().explain(at, "a")
    assert (one.gate is Gate.FOUND) == is_open


def test_the_tick_of_the_first_trajectory_after_a_silence():
    """In the very tick in which a silence ends there is a reading, too."""
    series = arrivals(step(ONSET, 20.0, 0.0, ONSET + DAY))
    first = next(tick for tick in range(ONSET + DAY, 18 * DAY) if series.count[tick])
    gate, why = gate_of(SilenceDetector(), series, end=first + 1)
    assert gate is Gate.MASK
    assert why.endswith("Since then: score 0.0 of 11.5; nothing began for 0 h, 1 h needed")


def test_series_that_end_before_the_window():
    """A series without a single unit is no reason to fail."""
    empty = replace(costs(flat(1.0)), count=(), total=(), sketches=())
    at = replace(window(costs(flat(1.0))), series=(empty,))
    (one,) = CostDetector().explain(at, "a")
    assert one.gate is Gate.NO_SERIES
    assert at.end - at.start == timedelta(hours=24)
