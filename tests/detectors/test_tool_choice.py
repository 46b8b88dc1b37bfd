"""Another choice than usual is found, dated and named; what looks like one and is none stays silent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from detectors.choosing import DAY_H, WEEK_H, Fault, choices, over_all, time_at, window
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.detectors.tool_choice import ToolChoiceDetector
from analyzer.types.choices import Shifted
from analyzer.types.reading import Gate
from analyzer.types.report import Kind, Subject

DETECTOR = ToolChoiceDetector()
BEGAN = 15 * DAY_H + 9
SWITCH = Fault("orders", "orders_archive", BEGAN)
MIX = {"orders": 0.97, "customers": 0.03}
AGENT = Subject("a")


def tools(mix, **more):
    """Return the choice among tools."""
    return choices(mix, subject=AGENT, what="tool", **more)


def test_a_wrong_table_is_found_within_the_hour_named_and_dated() -> None:
    """Yesterday's table gives way to one never read: a finding with both names, shares, counts and onset."""
    (found,) = DETECTOR.detect(window(choices(MIX, faults=(SWITCH,)), end_h=BEGAN + 12))
    assert (found.kind, found.subject) == (Kind.TOOL_CHOICE, Subject("a", tool="run_sql"))
    assert found.shifted == Shifted("tables", "orders", "orders_archive", task=None, worse=False)
    assert abs((found.onset - time_at(BEGAN)).total_seconds()) <= 3600
    assert found.onset_low <= found.onset <= found.onset_high
    assert found.value > 0.9
    assert found.baseline == 0.0
    assert found.affected == pytest.approx(found.value * found.of, abs=1)
    assert found.score >= found.threshold > 0
    assert found.note.startswith("Picks the table orders_archive instead of orders in ")
    assert found.recovered is None


@pytest.mark.parametrize("seed", range(8))
def test_of_several_usual_choices_the_one_that_lost_most_is_named(seed: int) -> None:
    """Everything goes to a new table: what is missing is the commonest, whatever chance did just before the onset."""
    mix = {"orders": 0.6, "sessions": 0.25, "revenue": 0.15}
    faults = tuple(replace(SWITCH, usual=table) for table in mix)
    (found,) = DETECTOR.detect(window(choices(mix, per_hour=4, seed=seed, faults=faults), end_h=BEGAN + 12))
    assert found.shifted is not None
    assert (found.shifted.usual, found.shifted.picked) == ("orders", "orders_archive")


@pytest.mark.parametrize(("per_hour", "share", "within_h"), [(1, 1.0, 24), (3, 1.0, 8), (20, 0.3, 12), (500, 0.3, 4)])
def test_it_is_found_at_low_and_high_volume_whole_and_in_part(per_hour: float, share: float, within_h: int) -> None:
    """One trajectory an hour or five hundred, all of them or three in ten."""
    fault = replace(SWITCH, share=share)
    assert DETECTOR.detect(window(choices(MIX, per_hour=per_hour, faults=(fault,)), end_h=BEGAN + within_h))


def test_a_shift_to_a_table_known_from_elsewhere_is_found_on_its_kind_of_task() -> None:
    """What is right for one kind of task is wrong for another: the kinds are judged apart, and the kind is named."""
    revenue = choices(
        {"orders": 1.0}, task="revenue per country", per_hour=4, faults=(Fault("orders", "returns", BEGAN),)
    )
    returned = choices({"returns": 1.0}, task="how many were returned", per_hour=40, seed=2)
    found = DETECTOR.detect(window(revenue, returned, over_all((revenue, returned)), end_h=BEGAN + 12))
    assert [one.shifted for one in found] == [Shifted("tables", "orders", "returns", task="revenue per country")]


def test_failing_runs_are_said_to_fail() -> None:
    """Where runs with the new choice fail more often, the finding says so: severity follows from it."""
    found = DETECTOR.detect(window(choices(MIX, faults=(replace(SWITCH, fails=0.6),)), end_h=BEGAN + 12))
    assert [one.shifted.worse for one in found] == [True]


def test_what_came_back_is_reported_with_its_end_and_then_no_more() -> None:
    """After the fault the finding has its end, dated to the hour, and leaves with the window."""
    fault = replace(SWITCH, end=BEGAN + 12)
    series = choices(MIX, faults=(fault,))
    (found,) = DETECTOR.detect(window(series, end_h=BEGAN + 24))
    assert abs((found.recovered - time_at(fault.end)).total_seconds()) <= 3600
    assert DETECTOR.detect(window(series, end_h=BEGAN + 60)) == ()


def test_a_run_on_history_gives_what_a_run_gave_then() -> None:
    """What comes later changes nothing about what was found."""
    long = choices(MIX, faults=(SWITCH,))
    short = replace(
        long,
        of=long.of[: BEGAN + 12],
        picked={value: row[: BEGAN + 12] for value, row in long.picked.items()},
        failed={value: row[: BEGAN + 12] for value, row in long.failed.items()},
    )
    assert DETECTOR.detect(window(long, end_h=BEGAN + 12)) == DETECTOR.detect(window(short, end_h=BEGAN + 12))


def test_a_new_choice_that_lasts_is_the_usual_one_after_a_fortnight() -> None:
    """An episode ends with a note when it has lasted as long as a baseline."""
    series = choices(MIX, days=35, faults=(SWITCH,))
    (found,) = DETECTOR.detect(window(series, end_h=BEGAN + 14 * DAY_H + 6))
    assert "After 14 days the new choice counts as usual." in found.note
    assert DETECTOR.detect(window(series, end_h=35 * DAY_H)) == ()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("per_hour", [3, 100, 3000])
def test_nothing_is_said_of_a_steady_fleet(per_hour: float, seed: int) -> None:
    """Shares that wobble from day to day are no anomaly, at any volume."""
    wobbling = choices({"orders": 0.9, "customers": 0.07, "returns": 0.03}, per_hour=per_hour, seed=seed)
    mixed = tools({"run_sql": 0.5, "describe_table": 0.3, "plot": 0.2}, per_hour=per_hour, seed=seed)
    assert DETECTOR.detect(window(wobbling, mixed, end_h=21 * DAY_H, lookback_h=17 * DAY_H)) == ()


def test_a_new_kind_of_task_is_no_shift() -> None:
    """A launch brings its own table; the others choose as before."""
    old = choices(MIX, task="old", per_hour=20)
    new = choices({"loans": 1.0}, task="new", per_hour=np.where(np.arange(21 * DAY_H) >= BEGAN, 80.0, 0.0))
    assert DETECTOR.detect(window(old, new, over_all((old, new)), end_h=BEGAN + 48, lookback_h=48)) == ()


def test_what_is_added_without_a_kind_of_task_is_no_shift() -> None:
    """Where kinds of task are not known, more of something else takes nothing from the usual choice."""
    old = choices(MIX, per_hour=20)
    new = choices({"loans": 1.0}, per_hour=np.where(np.arange(21 * DAY_H) >= BEGAN, 20.0, 0.0), seed=3)
    assert DETECTOR.detect(window(over_all((old, new)), end_h=BEGAN + 48, lookback_h=48)) == ()


def test_weekends_and_nights_with_tables_of_their_own_are_no_shift() -> None:
    """A weekly and a nightly shape are known after they were seen."""
    hours = np.arange(28 * DAY_H)
    special = (hours // DAY_H % 7 >= 5) | (hours % DAY_H < 4)
    usual = choices(MIX, per_hour=np.where(special, 0.0, 30.0), days=28)
    other = choices({"events": 1.0}, per_hour=np.where(special, 30.0, 0.0), days=28, seed=4)
    both = over_all((usual, other))
    assert DETECTOR.detect(window(both, end_h=28 * DAY_H, lookback_h=2 * WEEK_H)) == ()


@pytest.mark.parametrize("task", [None, "t"])
@pytest.mark.parametrize("per_hour", [2, 20, 500])
def test_a_renamed_tool_is_no_shift_while_its_runs_end_as_before(per_hour: float, task: str | None) -> None:
    """A deploy that gives a tool another name is harmless, from the first hour to the fortnight's end."""
    mix = {"search": 0.9, "answer": 0.1}
    called = tools(mix, per_hour=per_hour, task=task, days=35, faults=(Fault("search", "search_v2", BEGAN),))
    renamed = replace(called, offered_s={"search": 0.0, "search_v2": time_at(BEGAN).timestamp()})
    assert DETECTOR.detect(window(renamed, end_h=35 * DAY_H, lookback_h=34 * DAY_H)) == ()


@pytest.mark.parametrize("offered", [{}, {"search": 0.0, "search_v2": 0.0}])
def test_a_tool_that_was_offered_all_the_time_is_no_new_name(offered: dict[str, float]) -> None:
    """An agent that calls what it never called, though it could have, made another choice; so where nobody can say."""
    called = tools({"search": 0.9, "answer": 0.1}, faults=(Fault("search", "search_v2", BEGAN),))
    (found,) = DETECTOR.detect(window(replace(called, offered_s=offered), end_h=BEGAN + 12))
    assert (found.shifted.usual, found.shifted.picked, found.shifted.worse) == ("search", "search_v2", False)


def test_a_renamed_tool_whose_runs_fail_is_a_shift() -> None:
    """The outcome decides whether a new name is harmless."""
    mix = {"search": 0.9, "answer": 0.1}
    called = tools(mix, faults=(Fault("search", "search_v2", BEGAN, fails=0.5),))
    renamed = replace(called, offered_s={"search_v2": time_at(BEGAN).timestamp()})
    (found,) = DETECTOR.detect(window(renamed, end_h=BEGAN + 12))
    assert (found.subject.tool, found.shifted.worse) == ("search_v2", True)


def test_a_tool_known_before_in_the_place_of_another_is_a_shift() -> None:
    """An agent that asks the web where it asked the knowledge base is reported, whichever way its runs end."""
    mix = {"search_kb": 0.8, "search_web": 0.05, "answer": 0.15}
    (found,) = DETECTOR.detect(window(tools(mix, faults=(Fault("search_kb", "search_web", BEGAN),)), end_h=BEGAN + 24))
    assert found.shifted == Shifted("tool", "search_kb", "search_web")


def test_a_drift_of_the_mix_without_a_dominant_tool_is_found() -> None:
    """Four tools of a quarter each, of which one takes most of another's part (kernel E)."""
    mix = {"a": 0.25, "b": 0.25, "c": 0.25, "d": 0.25}
    (found,) = DETECTOR.detect(window(tools(mix, faults=(Fault("a", "b", BEGAN, share=0.9),)), end_h=BEGAN + 30))
    assert (found.shifted.usual, found.shifted.picked) == ("a", "b")
    assert "the mix of tools has drifted" in found.note


def test_a_tool_called_beside_the_usual_ones_takes_no_place() -> None:
    """An agent that does more work calls more tools beside the one it always calls: steps have risen, no choice has."""
    usual = tools({"lookup": 1.0}, days=21, wobble=1e6)
    of = np.asarray(usual.of)
    hours = np.arange(len(of))
    searched = np.random.default_rng(1).binomial(of.astype(int), np.where(hours >= BEGAN, 0.95, 0.15)).astype(float)
    more = replace(
        usual,
        picked={**usual.picked, "search": searched},
        failed={**usual.failed, "search": np.zeros(len(of))},
    )
    assert DETECTOR.detect(window(more, end_h=BEGAN + 30)) == ()


def test_values_that_are_new_every_day_mean_nothing() -> None:
    """An argument that always brings new names is no choice."""
    parts = [
        choices({f"customer_{day}": 1.0}, per_hour=np.where(np.arange(21 * DAY_H) // DAY_H == day, 6.0, 0.0), seed=day)
        for day in range(21)
    ]
    series = over_all((choices({"all": 1.0}, per_hour=20), *parts))
    assert DETECTOR.detect(window(series, end_h=21 * DAY_H, lookback_h=17 * DAY_H)) == ()


def test_nothing_is_said_without_history() -> None:
    """Three days must have shown what is usual."""
    early = replace(SWITCH, begin=2 * DAY_H)
    assert DETECTOR.detect(window(choices(MIX, task="t", faults=(early,)), end_h=3 * DAY_H)) == ()


def test_silence_is_explained() -> None:
    """Why-not says what is usual, what is picked now, the gate, and how long a change would take to be certain."""
    series = choices(MIX, faults=(SWITCH,))
    (before,) = DETECTOR.explain(window(series, end_h=BEGAN), "a")
    assert (before.gate, before.kernel, before.unit) == (Gate.EFFECT, "fallen", "share")
    assert before.value == pytest.approx(before.baseline, abs=0.1)
    assert before.detectable.startswith("A complete change takes ")
    assert [one.gate for one in DETECTOR.explain(window(series, end_h=BEGAN + 12), "a")] == [Gate.FOUND]
    assert [one.gate for one in DETECTOR.explain(window(series, end_h=3 * DAY_H), "a")] == [Gate.HISTORY]
    assert [one.gate for one in DETECTOR.explain(window(series, end_h=BEGAN), "b")] == [Gate.NO_SERIES]


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(3)), st.integers(1, 5))
def test_order_and_whole_weeks_do_not_matter(order: list[int], weeks: int) -> None:
    """Reordered input gives the same findings; a clock shifted by whole weeks shifts them with it."""
    parts = (choices(MIX, task="x", faults=(SWITCH,)), choices(MIX, task="y", seed=2), tools({"a": 1.0}, seed=3))
    found = DETECTOR.detect(window(*parts, end_h=BEGAN + 12))
    assert DETECTOR.detect(window(*(parts[at] for at in order), end_h=BEGAN + 12)) == found
    shift_s = weeks * WEEK_H * 3600
    moved = window(
        *(replace(part, start_s=part.start_s + shift_s) for part in parts), end_h=BEGAN + 12 + weeks * WEEK_H
    )
    assert [(one.onset.timestamp() - shift_s, one.value, one.score) for one in DETECTOR.detect(moved)] == [
        (one.onset.timestamp(), one.value, one.score) for one in found
    ]
