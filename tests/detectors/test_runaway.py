"""Single trajectories far beyond anything usual are found; tails that were always there are not."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from detectors.fleets import DAY, HOUR, START_S, time_of

from analyzer.detectors.configure import configured
from analyzer.detectors.runaway import RunawayDetector
from analyzer.types.metric import BIN_WIDTH, OpenTrajectory, Series, Signal, Usual, Window
from analyzer.types.reading import Gate, deciding
from analyzer.types.report import Kind, Subject
from analyzer.types.trajectory import summarise

DETECTOR = RunawayDetector()
DAYS = 15
NOW = DAYS * DAY
USUAL = Usual(
    agent="a",
    trajectories=5_000,
    steps_p50=12,
    steps_p99=40,
    tokens_p50=10_000,
    tokens_p99=90_000,
    cost_p50=0.05,
    cost_p99=0.45,
    duration_p50_s=30,
    duration_p99_s=300,
    gap_p99_s=40,
)


def steps(*, tail=0.0, seed=1, per_hour=20.0, late=0, late_value=200):
    """Return steps per trajectory: about 12, a share of `tail` ten times that, and `late` more on the last day."""
    rng = np.random.default_rng(seed)
    sketches, counts, totals = [], [], []
    for tick in range(NOW):
        n = int(rng.poisson(per_hour / HOUR))
        values = np.exp(rng.normal(math.log(12), 0.4, n)) * np.where(rng.random(n) < tail, 10, 1)
        if tick >= NOW - DAY and late:
            values = np.append(values, [late_value] * (tick % (DAY // late) == 0))
        sketches.append(dict(Counter(np.floor(np.log(values) / BIN_WIDTH).astype(int).tolist())))
        counts.append(float(len(values)))
        totals.append(float(values.sum()))
    return Series(Signal.STEPS, Subject(agent="a"), "steps", "store", "", START_S, counts, totals, tuple(sketches))


def one(trace_id, *, agent="a", began=NOW - 2, **fields):
    """Return the summary of a trajectory that began at a tick."""
    start = (START_S + began * 900) * 10**9
    usual = {"steps": 12, "input_tokens": 9_000, "output_tokens": 1_000, "cost_usd": 0.05, "start_ns": start}
    usual["end_ns"] = start + 30 * 10**9
    return replace(summarise(trace_id, ()), agent=agent, **(usual | fields))


def window(series=(), *, running=(), finished=(), usual=USUAL):
    """Return what a run at the end of the fifteen days sees."""
    open_ = tuple(OpenTrajectory(summary, (START_S + NOW * 900) * 10**9 - quiet * 10**9) for summary, quiet in running)
    return Window(
        start=time_of(NOW - DAY),
        end=time_of(NOW),
        series=tuple(series),
        summaries={summary.trace_id: summary for summary in finished},
        running=open_,
        usual={usual.agent: usual},
    )


def test_a_run_in_flight_beyond_all_that_ever_ended_is_found() -> None:
    """While it still runs: value against the 99th percentile, the trajectory, and what it has cost."""
    wild = one("w" * 32, steps=900, cost_usd=3.05, began=NOW - 8)
    (found,) = DETECTOR.detect(window([steps()], running=[(one("f" * 32), 1), (wild, 1)]))
    assert (found.kind, found.subject) == (Kind.RUNAWAY, Subject("a"))
    assert (found.value, found.baseline, found.unit) == (900.0, 40.0, "steps")
    assert (found.score, found.threshold) == (22.5, 3.0)
    assert found.trace_ids == ("w" * 32,)
    assert found.affected == 1
    assert found.excess_usd == pytest.approx(3.0)
    assert found.onset == time_of(NOW - 8)
    assert found.note.startswith("900 steps, still running, where 99 % of its trajectories end below 40; the most that")


def test_a_finished_one_beyond_all_that_ever_ended_is_found() -> None:
    """A record by far is reported after its end, too."""
    (found,) = DETECTOR.detect(window([steps(late=1, late_value=900)], finished=[one("w" * 32, steps=900)]))
    assert "900 steps, ended, where" in found.note


def test_after_few_trajectories_a_record_is_no_proof() -> None:
    """Of 700 that ended none may have been tenfold by chance: six times their record is news only after many more."""
    far = one("w" * 32, steps=300)
    assert DETECTOR.detect(window([steps(per_hour=2.0)], finished=[far])) == ()
    (found,) = DETECTOR.detect(window([steps(per_hour=200.0)], finished=[far]))
    assert found.trace_ids == (far.trace_id,)
    (found,) = DETECTOR.detect(window([steps(per_hour=2.0)], finished=[one("w" * 32, steps=900)]))
    assert found.value == 900.0


def test_more_than_there_always_were_is_found() -> None:
    """A dozen beyond the limit in a day, where there were three in a fortnight: each alone would be no news."""
    far = [one(f"{number:032}", steps=200) for number in range(12)]
    assert DETECTOR.detect(window([steps(tail=0.0005, late=1)], finished=far[:1])) == ()
    (found,) = DETECTOR.detect(window([steps(tail=0.0005, late=12)], finished=far))
    assert found.affected in {12, 13}
    assert "are that far in the last day, more than this agent always has" in found.note


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("per_hour", [5, 200])
def test_heavy_tails_that_were_always_there_are_normal(per_hour: float, seed: int) -> None:
    """Seven in a thousand take ten times as many steps, for ever: nothing is said, in flight or finished."""
    tail = one("t" * 32, steps=260)
    assert (
        DETECTOR.detect(
            window(
                [steps(tail=0.007, per_hour=per_hour, seed=seed)],
                running=[(tail, 1)],
                finished=[one("u" * 32, steps=200)],
            )
        )
        == ()
    )


def test_real_money_is_reported_whatever_was_usual() -> None:
    """A trajectory beyond the cap in USD is reported; a dear agent's usual one is not."""
    dear = one("d" * 32, cost_usd=26.0, began=NOW - 1)
    (found,) = DETECTOR.detect(window(running=[(dear, 1)]))
    assert (found.value, found.unit) == (26.0, "USD")
    assert "it costs more than 25 USD" in found.note
    assert DETECTOR.detect(window(running=[(dear, 1)], usual=replace(USUAL, cost_p50=20.0, cost_p99=30.0))) == ()


def test_with_few_finished_the_median_is_the_measure() -> None:
    """From 50 trajectories on six times the median counts; below, nothing is said."""
    dear = one("d" * 32, cost_usd=26.0)
    (found,) = DETECTOR.detect(window(running=[(dear, 1)], usual=replace(USUAL, trajectories=60)))
    assert (found.baseline, found.threshold) == (0.05, 6.0)
    assert "where half of its trajectories end below 0.05" in found.note
    assert DETECTOR.detect(window(running=[(dear, 1)], usual=replace(USUAL, trajectories=49))) == ()


def test_runs_that_all_fell_silent_hang() -> None:
    """Most of the running trajectories without a step for three times the usual pauses: one finding."""
    running = [(one(f"{number:032}"), 600 + number) for number in range(4)] + [(one("f" * 32), 5)]
    (found,) = DETECTOR.detect(window(running=running))
    assert (found.affected, found.of, found.unit) == (4, 5, "s")
    assert found.value == pytest.approx(603)
    assert found.note.endswith("where 99 % of the pauses are below 40 s: something hangs.")
    assert DETECTOR.detect(window(running=running[2:])) == ()


def test_agents_are_judged_apart() -> None:
    """What one agent's tail is says nothing about another, and each has one finding."""
    wild = one("w" * 32, agent="b", steps=900)
    both = window([steps()], running=[(wild, 1)], finished=[one("v" * 32, steps=900)])
    assert [found.trace_ids for found in DETECTOR.detect(both)] == [("v" * 32,)]


def test_agents_with_settings_of_their_own_are_judged_by_their_largest_too() -> None:
    """Settings for one agent by name change nothing for another: its finished trajectories are looked at as ever."""
    [named] = configured([DETECTOR], {"runaway": {"agents": {"b": {"usd_cap": 1e6}}}})
    seen = window([steps()], finished=[one("t1", steps=9_000)])
    found = DETECTOR.detect(seen)
    assert [finding.trace_ids for finding in found] == [("t1",)]
    assert named.detect(seen) == found


def test_silence_is_explained() -> None:
    """Why-not says, by measure, how far the farthest is and from where on a single one is reported."""
    tail = one("t" * 32, steps=150)
    series = steps(tail=0.007)
    readings = {reading.unit: reading for reading in DETECTOR.explain(window([series], running=[(tail, 1)]), "a")}
    assert set(readings) == {"USD", "tokens", "steps", "s"}
    assert (readings["steps"].gate, readings["steps"].value, readings["steps"].score) == (Gate.SCORE, 150.0, 3.75)
    assert readings["steps"].why == "1 beyond 120 steps, as there always are"
    assert readings["steps"].detectable.startswith("A single trajectory is reported beyond ")
    assert readings["tokens"].gate is Gate.EFFECT
    assert DETECTOR.explain(window(), "b")[0].gate is Gate.NO_SERIES
    assert DETECTOR.explain(window(usual=replace(USUAL, trajectories=9)), "a")[0].gate is Gate.UNITS
    wild = window([series], running=[(one("w" * 32, steps=9_000), 1)])
    assert Gate.FOUND in {reading.gate for reading in DETECTOR.explain(wild, "a")}


def test_runs_that_hang_have_a_reading_of_their_own() -> None:
    """Why-not shows a finding about hanging runs with its own figures, and no measure that nothing is wrong with."""
    running = [(one(f"{number:032}"), 600 + number) for number in range(4)] + [(one("f" * 32), 5)]
    seen = window([steps()], running=running)
    (shown,) = deciding(DETECTOR.explain(seen, "a"), DETECTOR.detect(seen))
    assert (shown.gate, shown.unit, shown.baseline) == (Gate.FOUND, "s", 40)
    assert (shown.value, shown.score) == (pytest.approx(603), pytest.approx(603 / 40))
    assert shown.why == "4 of 5 running trajectories have not ended a step for 120 s"
    few = DETECTOR.explain(window([steps()], running=running[2:]), "a")[-1]
    assert (few.gate, few.value, few.score, few.threshold) == (Gate.SCORE, pytest.approx(603), 2, 3)
    assert few.why == "2 of 3 running trajectories have not ended a step for 120 s, 3 are needed"
    calm = DETECTOR.explain(window([steps()], running=running[4:]), "a")[-1]
    assert calm.gate is Gate.EFFECT
    assert calm.why == "every running trajectory has ended a step in the last 120 s"
    timeless = DETECTOR.explain(window([steps()], running=running, usual=replace(USUAL, gap_p99_s=0.0)), "a")
    assert {one.kernel for one in timeless} == {"p99"}, "of runs without a known pause nothing can be said"
    lost = replace(USUAL, lost_share=0.5)
    hidden = DETECTOR.explain(window([steps()], running=running, usual=lost), "a")[-1]
    assert (hidden.gate, hidden.score) == (Gate.MASK, None)
    assert hidden.why == "50 % of its trajectories never end here: those that run may have"


def test_a_short_history_does_not_know_its_tail() -> None:
    """After three days one of six times the 99th percentile may be the tail; one of thirty times it is not."""
    few = steps(per_hour=8.0)
    short = replace(few, start_s=few.start_s, count=[0.0] * (NOW - 4 * DAY) + list(few.count[NOW - 4 * DAY :]))
    sketches = tuple({} if tick < NOW - 4 * DAY else sketch for tick, sketch in enumerate(few.sketches))
    short = replace(short, sketches=sketches)
    wild = one("w" * 32, steps=250)
    assert DETECTOR.detect(window([short], finished=[wild])) == ()
    (found,) = DETECTOR.detect(window([short], finished=[replace(wild, steps=1_300)]))
    assert found.value == 1_300


def test_what_is_always_lost_does_not_hang() -> None:
    """Runs whose process died stay open for a day: as many as there always are say nothing, many more do."""
    volume = Series(Signal.VOLUME, Subject("a"), "", "store", "", START_S, [5.0] * NOW, [5.0] * NOW)
    silent = [(one(f"{number:032}", began=NOW - 30), 8_000) for number in range(9)]
    usual = replace(USUAL, lost_share=0.01)
    assert DETECTOR.detect(window([volume], running=silent, usual=usual)) == ()
    more = [(one(f"{number:032}", began=NOW - 30), 8_000) for number in range(40)]
    (found,) = DETECTOR.detect(window([volume], running=more, usual=usual))
    assert found.unit == "s"
    assert DETECTOR.detect(window([volume], running=more, usual=replace(USUAL, lost_share=1.0))) == ()
