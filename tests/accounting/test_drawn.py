from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.incidents import finding

from analyzer.accounting.drawn import curve_of, strip_of
from analyzer.types.choices import Shifted
from analyzer.types.drawn import SLOTS_MAX, STEPS_MAX
from analyzer.types.metric import TICK_S, Choices, Series, Signal, Window
from analyzer.types.report import Kind, SpanEvidence, Subject
from analyzer.types.steps import Step
from analyzer.types.trace import Operation, Status

END = datetime(2026, 11, 23, tzinfo=UTC)
DAY = timedelta(days=1)
AGENT = Subject(agent="shop")


def window(signal: Signal, count, total, *, source: str = "store", tool: str | None = None) -> Window:
    """Return a window with one series that ends now."""
    start_s = int(END.timestamp()) - len(count) * TICK_S
    series = Series(signal, replace(AGENT, tool=tool), "USD", source, "q[$range]", start_s, count, total)
    return Window(END - DAY, END, series=(series,))


def rising(days: float = 10, since_h: float = 5, units: float = 3.0) -> tuple[list[float], list[float]]:
    """Return ticks of ten cents a unit that become thirty for the last hours."""
    ticks = int(days * 96)
    risen = int(since_h * 4)
    return [units] * ticks, [0.1 * units] * (ticks - risen) + [0.3 * units] * risen


def of_cost(since_h: float = 5, **fields):
    """Return a finding of cost that began so many hours ago."""
    onset = END - timedelta(hours=since_h)
    return finding(Kind.COST, "shop", **{"onset": onset, "onset_low": onset, "onset_high": onset, **fields})


@pytest.mark.parametrize("source", ["store", "prometheus"])
def test_the_curve_shows_the_rise_beside_what_was_usual(source: str) -> None:
    """Two days before and the time since, the onset on the edge of a slot, the band from before it alone."""
    curve = curve_of(of_cost(), window(Signal.COST, *rising(), source=source))
    assert curve is not None
    onset = END - timedelta(hours=5)
    before = [value for slot, value in enumerate(curve.values) if curve.time(slot) < onset]
    since = [value for slot, value in enumerate(curve.values) if curve.time(slot) >= onset]
    assert any(curve.time(slot) == onset for slot in range(len(curve.values)))
    assert (set(before), set(since)) == ({0.1}, {0.3})
    assert set(curve.usual) == set(curve.low) == set(curve.high) == {0.1}
    assert curve.start == onset - 2 * DAY
    assert (curve.end, curve.kind, curve.agent, curve.unit) == (END, "cost", "shop", "USD")


def test_the_rise_is_no_part_of_what_is_usual_even_where_the_onset_is_uncertain() -> None:
    """What may belong to the rise already is left out of the band."""
    unsure = of_cost(since_h=2, onset_low=END - timedelta(hours=30))
    curve = curve_of(unsure, window(Signal.COST, *rising(days=4, since_h=30)))
    assert curve is not None
    assert max(curve.high) == 0.1


def test_an_agent_with_few_runs_gets_longer_slots_and_an_hour_without_any_is_a_hole() -> None:
    """A mean over one unit is noise; nothing measured is not zero."""
    count = [1.0 if tick % 8 == 0 else 0.0 for tick in range(960)]
    curve = curve_of(of_cost(since_h=24), window(Signal.COST, count, [0.1 * one for one in count]))
    assert curve is not None
    assert curve.step_s > 3600
    silent = [1.0] * 940 + [0.0] * 8 + [1.0] * 12
    curve = curve_of(of_cost(), window(Signal.COST, silent, [0.1 * one for one in silent]))
    assert curve is not None
    assert None in curve.values
    assert 0.0 not in curve.values


def test_volume_is_trajectories_an_hour_and_silence_is_drawn_as_zero() -> None:
    """Two a tick are eight an hour; where nobody looked there is a hole, where nothing began a zero."""
    count = [2.0] * 940 + [math.nan] * 8 + [0.0] * 12
    silence = replace(of_cost(since_h=3), kind=Kind.SILENCE)
    curve = curve_of(silence, window(Signal.VOLUME, count, count))
    assert curve is not None
    assert {value for value in curve.values if value is not None} == {8.0, 0.0}
    assert (curve.values[-1], None in curve.values, curve.unit) == (0.0, True, "trajectories per hour")


def test_another_tool_or_a_kind_without_a_metric_has_no_curve() -> None:
    """A curve of something else would be worse than none."""
    assert curve_of(of_cost(), window(Signal.COST, *rising(), tool="search")) is None
    assert curve_of(replace(of_cost(), kind=Kind.INJECTION), window(Signal.COST, *rising())) is None
    assert curve_of(of_cost(since_h=24 * 30), window(Signal.COST, *rising())) is None


def test_of_a_new_choice_the_share_is_drawn() -> None:
    """Hour by hour, which part of the trajectories chose it."""
    hours = 10 * 24
    picked = {"new": [0.0] * (hours - 6) + [8.0] * 6}
    start_s = int(END.timestamp()) - hours * 3600
    chosen = Choices(AGENT, "tool", None, start_s, picked, [10.0] * hours)
    shifted = replace(of_cost(since_h=6), kind=Kind.TOOL_CHOICE, shifted=Shifted("tool", "old", "new"))
    curve = curve_of(shifted, Window(END - DAY, END, choices=(chosen,)))
    assert curve is not None
    assert set(curve.values) == {0.0, 0.8}
    assert curve.unit == "trajectories that chose new"


@settings(max_examples=60, deadline=None)
@given(
    days=st.integers(1, 40),
    onset_h=st.floats(0.3, 24 * 39),
    seed=st.integers(0, 2**16),
    units=st.sampled_from([0.0, 0.05, 1.0, 50.0]),
)
def test_a_curve_is_bounded_whole_and_finite(days: int, onset_h: float, seed: int, units: float) -> None:
    """Whatever the history: at most so many slots, all sequences of one length, the onset a slot's edge."""
    draw = np.random.default_rng(seed)
    count = draw.poisson(units, days * 96).astype(float)
    total = count * draw.lognormal(0, 1, len(count))
    onset = END - timedelta(seconds=round(onset_h * 4) * TICK_S)
    curve = curve_of(of_cost(onset=onset, onset_low=onset), window(Signal.COST, count.tolist(), total.tolist()))
    if curve is None:
        return
    assert 2 <= len(curve.values) <= SLOTS_MAX
    assert {len(curve.usual), len(curve.low), len(curve.high)} <= {0, len(curve.values)}
    assert (onset - curve.start).total_seconds() % curve.step_s == 0
    known = [one for one in (*curve.values, *curve.usual, *curve.low, *curve.high) if one is not None]
    assert all(math.isfinite(one) and one >= 0 for one in known)
    assert all(a is None or b is None or a <= b for a, b in zip(curve.low, curve.high, strict=True))


def steps(total: int) -> tuple[Step, ...]:
    """Return a run that asks two things and then the second again and again."""
    found = []
    for number in range(1, total + 1):
        is_tool = number % 2 == 0
        asked = f'{{"id": {min(number, 40)}}}' if is_tool else f"history {number}"
        operation, name = (Operation.TOOL, "get") if is_tool else (Operation.CHAT, "m")
        status = Status.ERROR if number == total else Status.OK
        found.append(Step(number, f"{number:016x}", None, operation, name, "shop", asked, "out", status, "", None, None, None, 0, None))  # fmt: skip  # noqa: E501
    return tuple(found)


def test_the_strip_begins_shortly_before_what_is_quoted_and_marks_what_was_asked_before() -> None:
    """Equal arguments make a call a repeat; what a model is sent never does."""
    quoted = SpanEvidence("", "a" * 32, f"{42:016x}", "input", "x")
    loop = replace(of_cost(), kind=Kind.LOOP, trace_ids=("a" * 32,), evidence=(quoted,))
    strip = strip_of(loop, Window(END - DAY, END, suspects={"a" * 32: steps(400)}))
    assert strip is not None
    assert (strip.of, len(strip.steps), strip.steps[0].number) == (400, STEPS_MAX, 38)
    by_number = {one.number: one for one in strip.steps}
    assert [by_number[number].again for number in (38, 40, 41, 42, 43, 44)] == [False, False, False, True, False, True]
    assert strip_of(replace(loop, kind=Kind.COST), Window(END - DAY, END, suspects={"a" * 32: steps(9)})) is None
    assert strip_of(loop, Window(END - DAY, END)) is None
