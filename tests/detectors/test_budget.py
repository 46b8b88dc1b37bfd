"""Budgets: exceeded is exceeded, to the tick and the cent; everything else is silence."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from detectors.fleets import DAY, HOUR, START_S, time_of
from hypothesis import given
from hypothesis import strategies as st

from analyzer.detectors import DETECTORS
from analyzer.detectors.budget import BudgetDetector, budgeted
from analyzer.types.budget import Budget
from analyzer.types.metric import OpenTrajectory, Series, Signal, Window
from analyzer.types.reading import Gate
from analyzer.types.report import Kind, Subject
from analyzer.types.trajectory import summarise


def series(totals, signal=Signal.COST, agent="a"):
    """Return what was spent in each tick, from a midnight on."""
    unit = "USD" if signal is Signal.COST else "tokens"
    return Series(signal, Subject(agent=agent), unit, "store", "", START_S, [1.0] * len(totals), list(totals))


def window(*parts, end, running=(), finished=(), lookback=DAY):
    """Return what a run at a tick sees."""
    return Window(
        start=time_of(end - lookback),
        end=time_of(end),
        series=parts,
        summaries={one.trace_id: one for one in finished},
        running=tuple(OpenTrajectory(one, 0) for one in running),
    )


def detect(seen, agent="a", **limits):
    """Judge by the budget of one agent."""
    return BudgetDetector({agent: Budget(**limits)}).detect(seen)


def one(trace_id, **fields):
    """Return the summary of a trajectory."""
    return replace(summarise(trace_id, ()), agent="a", start_ns=START_S * 10**9, **fields)


def test_a_day_over_budget_is_found_at_the_tick_that_passed_it() -> None:
    """A dollar an hour passes 10 USD after ten hours and a quarter; the finding grows until midnight."""
    day = series([0.25] * DAY)
    assert detect(window(day, end=10 * HOUR), usd_per_day=10) == ()
    (found,) = detect(window(day, end=12 * HOUR), usd_per_day=10)
    assert (found.kind, found.subject, found.unit) == (Kind.BUDGET, Subject("a"), "USD")
    assert (found.value, found.baseline, found.threshold) == (12.0, 10.0, 10.0)
    assert found.onset == time_of(10 * HOUR + 1)
    assert found.excess_usd == pytest.approx(2.0)
    assert found.note == "12 USD on 2026-01-05 (UTC) of 10 a day, passed at 10:15."
    assert found.recovered is None


def test_days_in_a_row_are_one_episode_that_ends_after_a_whole_day_below() -> None:
    """A budget passed every noon is no new incident every noon, and a quiet morning ends nothing."""
    totals = [0.25] * (2 * DAY) + [0.01] * (2 * DAY)
    (found,) = detect(window(series(totals), end=2 * DAY + HOUR), usd_per_day=20)
    assert (found.value, found.recovered) == (24.0, None)
    assert found.onset == time_of(20 * HOUR + 1)
    assert found.excess_usd == pytest.approx(8.0)
    assert found.note.endswith("the 2nd day in a row.")
    (over,) = detect(window(series(totals), end=3 * DAY), usd_per_day=20)
    assert over.recovered == time_of(2 * DAY)
    assert detect(window(series(totals), end=4 * DAY), usd_per_day=20) == ()


def test_what_still_runs_counts_today() -> None:
    """Money is spent before a trajectory ends."""
    day = series([0.25] * DAY)
    running = [one("r" * 32, cost_usd=3.0)]
    (found,) = detect(window(day, end=8 * HOUR, running=running), usd_per_day=10)
    assert (found.value, found.onset) == (11.0, time_of(8 * HOUR))


def test_tokens_have_a_budget_too() -> None:
    """Where nothing has a price, tokens can be limited."""
    day = series([1000.0] * DAY, Signal.TOKENS)
    (found,) = detect(window(day, end=DAY - 1), tokens_per_day=50_000)
    assert (found.value, found.unit, found.excess_usd) == (95_000.0, "tokens", None)


def test_single_trajectories_have_budgets() -> None:
    """Finished or running, the worst first, with how many; exactly the budget is within it."""
    finished = [one("a" * 32, steps=120, cost_usd=1.0), one("b" * 32, steps=50, cost_usd=7.5)]
    running = [one("c" * 32, steps=90, cost_usd=5.0)]
    seen = window(end=DAY, finished=finished, running=running)
    (found,) = detect(seen, steps_per_trajectory=50)
    assert (found.value, found.baseline, found.affected, found.unit) == (120.0, 50.0, 2, "steps a trajectory")
    assert found.trace_ids == ("a" * 32, "c" * 32)
    assert found.note == "2 trajectories took more than 50 steps, the worst 120. 1 of them still runs."
    (found,) = detect(seen, usd_per_trajectory=5, steps_per_trajectory=50)
    assert (found.value, found.unit, found.excess_usd) == (7.5, "USD a trajectory", 2.5)
    assert found.trace_ids == ("b" * 32, "a" * 32, "c" * 32)


def test_an_agents_own_limit_goes_over_that_of_every_agent() -> None:
    """`*` holds for all agents, limit by limit, unless they have their own."""
    budgets = {"*": Budget(usd_per_day=5, steps_per_trajectory=9), "b": Budget(usd_per_day=100)}
    seen = window(
        series([0.25] * DAY), series([0.25] * DAY, agent="b"), end=DAY - 1, finished=[one("x" * 32, steps=10)]
    )
    assert [found.subject.agent for found in BudgetDetector(budgets).detect(seen)] == ["a"]


def test_without_budgets_nothing_is_said_and_budgets_reach_the_catalogue() -> None:
    """The detector of the catalogue knows no limits until it is given some."""
    seen = window(series([1e9] * DAY), end=DAY - 1)
    assert BudgetDetector().detect(seen) == ()
    limited = budgeted(DETECTORS, {"*": Budget(usd_per_day=1)})
    assert [found.kind for detector in limited for found in detector.detect(seen)] == [Kind.BUDGET]


def test_silence_is_explained_with_a_forecast() -> None:
    """Why-not says what was spent of what, and when it would be gone at today's rate."""
    detector = BudgetDetector({"a": Budget(usd_per_day=20, steps_per_trajectory=50)})
    seen = window(series([0.25] * DAY), end=12 * HOUR, finished=[one("x" * 32, steps=30)])
    day, single = detector.explain(seen, "a")
    assert (day.gate, day.value, day.baseline, day.unit) == (Gate.SCORE, 12.0, 20.0, "USD")
    assert day.why == "12 of 20 USD since midnight (UTC)"
    assert day.detectable == "At the rate since midnight it is gone at 20:00 UTC."
    assert (single.gate, single.value, single.unit) == (Gate.SCORE, 30.0, "steps a trajectory")
    assert detector.explain(window(series([0.25] * DAY), end=22 * HOUR), "a")[0].gate is Gate.FOUND
    (nothing,) = detector.explain(seen, "b")
    assert nothing.why == 'no budget is set: [budgets.b] or [budgets."*"] in analyzer.toml'


@given(st.lists(st.floats(0, 5), min_size=1, max_size=3 * DAY), st.floats(1, 300))
def test_today_is_reported_exactly_when_it_is_over(totals: list[float], budget: float) -> None:
    """Whatever was spent when: a finding about today stands for a sum above the budget, and says that sum."""
    end = len(totals)
    today = sum(totals[(end // DAY) * DAY :])
    found = detect(window(series(totals), end=end), usd_per_day=budget)
    over = [one for one in found if f"on {time_of(end):%Y-%m-%d} " in one.note]
    assert bool(over) == (today > budget)
    assert all(one.value == pytest.approx(today) for one in over)
    assert all(one.onset <= time_of(end) and one.onset_low == one.onset - timedelta(minutes=15) for one in over)
