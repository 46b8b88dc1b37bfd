"""Who gets which fault: nobody one that could not be seen, and all of them as soon as may be."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.selfwatch.drill.cast import (
    ROUNDS_MAX,
    Missed,
    Planted,
    Profile,
    draw,
    needed,
    shortfall,
    tool_for,
    witnesses,
)
from analyzer.selfwatch.drill.faults import FAULTS
from analyzer.types.report import Kind

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
BUSY = Profile(
    agent="busy",
    trajectories=2000,
    days=14.0,
    zone=400,
    zone_h=33.0,
    spread={Kind.COST: 0.6, Kind.TOKENS: 0.6, Kind.STEPS: 0.4, Kind.LATENCY: 0.5},
    judged=1.0,
    tools={"search": 1.0},
    largest_tokens=9000,
    largest_usd=0.2,
)


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.value)
def test_a_busy_agent_can_show_everything(kind) -> None:
    """Of an agent with volume, history, tools, prices and evaluations every fault can be found."""
    assert shortfall(kind, BUSY) is None


@pytest.mark.parametrize(
    ("kind", "changes", "why", "is_volume"),
    [
        (Kind.COST, {"spread": {}}, "no price is known", False),
        (Kind.COST, {"days": 2.0}, "3 days of history are needed, there are 2.0", True),
        (Kind.COST, {"zone": 20}, "about 38 trajectories are needed in 33 h, there are 20", True),
        (Kind.STEPS, {"tools": {"search": 0.5}}, "no tool is called in 80 % of the trajectories", False),
        (Kind.STEPS, {"spread": {}}, "no steps is known", False),
        (Kind.ERRORS, {"trajectories": 90}, "100 trajectories are needed to learn from, there are 90", True),
        (Kind.LOOP, {"tools": {}}, "no tool is called", False),
        (
            Kind.LOOP,
            {"tools": {"search": 0.3}, "zone": 12},
            "about 20 trajectories are needed in 33 h, there are 12",
            True,
        ),
        (Kind.LOOP, {"tools": {"poll_job": 1.0}}, "no tool is called", False),
        (Kind.TOOL_CHOICE, {"tools": {"search": 0.5}}, "no tool is called in 80 % of the trajectories", False),
        (Kind.SUCCESS, {"judged": 0.0}, "trajectories do not say whether the goal was reached", False),
        (Kind.SILENCE, {"hours_of_day": 2}, "the agent does not run around the clock", False),
        (Kind.SILENCE, {"zone": 10}, "1 trajectory an hour is needed, there are 0.3", True),
        (Kind.RUNAWAY, {"trajectories": 150}, "200 trajectories are needed to learn from, there are 150", True),
    ],
)
def test_what_cannot_be_shown_says_why(kind, changes, why, is_volume) -> None:
    """An agent that lacks something is told apart from one that is only too quiet."""
    assert shortfall(kind, replace(BUSY, **changes)) == (why, is_volume)


@pytest.mark.parametrize(
    ("kind", "spread", "seen_by"),
    [
        (Kind.COST, {}, ("price", "cost")),
        (Kind.TOKENS, {}, ("tokens", "cost")),
        (Kind.TOKENS, {Kind.COST: 3.0}, ("tokens",)),
        (Kind.STEPS, {}, ("steps", "tokens", "cost")),
        (Kind.STEPS, {Kind.TOKENS: 3.0}, ("steps", "cost")),
        (Kind.ERRORS, {}, ("errors",)),
    ],
)
def test_a_detector_must_see_what_its_volume_lets_it_see(kind, spread, seen_by) -> None:
    """Costs that scatter too much for a doubling at this volume are no fault of the detector of costs."""
    assert witnesses(kind, replace(BUSY, spread={**BUSY.spread, **spread})) == seen_by


def test_a_second_try_goes_to_an_agent_that_the_blind_detector_could_see_it_in() -> None:
    """What a detector missed is drawn once more where that detector must see it, or the second try would be none."""
    wild = [replace(BUSY, agent=f"wild-{n}", spread={**BUSY.spread, Kind.COST: 3.0}) for n in range(5)]
    missed = {Kind.TOKENS: Missed(planted_in("wild-1", AT, Kind.TOKENS), frozenset({"cost"}))}
    for seed in range(20):
        rng = random.Random(seed)  # noqa: S311 - no secret
        planted, _ = draw([Kind.TOKENS], [*wild, BUSY], rng, AT, timedelta(0), missed=missed)
        assert [one.agent for one in planted] == ["busy"]


@given(seed=st.integers(0, 1000), others=st.integers(0, 3), minutes=st.integers(0, 400))
def test_a_second_try_is_never_in_the_place_of_the_first(seed, others, minutes) -> None:
    """It strikes another agent where one can show it, else it begins after the first run that showed it."""
    shown = AT + timedelta(minutes=minutes)
    missed = {Kind.ERRORS: Missed(planted_in("busy", shown, Kind.ERRORS), frozenset({"errors"}))}
    cast = [BUSY, *(replace(BUSY, agent=f"a{number}") for number in range(others))]
    rng = random.Random(seed)  # noqa: S311 - no secret
    [again], _ = draw([Kind.ERRORS], cast, rng, AT, timedelta(hours=3), missed=missed)
    assert again.again
    assert (again.agent != "busy") if others else (again.onset > shown)
    assert again.onset <= max(AT + timedelta(hours=3), shown + timedelta(hours=1))


def planted_in(agent: str, onset: datetime, kind: Kind) -> Planted:
    """Return a fault of a first try."""
    return Planted(kind, agent, None, onset, 0, witnesses(kind, BUSY))


def test_retries_are_of_the_model_where_no_tool_is_called_in_most_runs() -> None:
    """A tool that few runs call would show few retries, and every run asks the model."""
    assert tool_for(Kind.RETRIES, replace(BUSY, tools={"search": 0.3})) is None
    assert tool_for(Kind.RETRIES, BUSY) == "search"


def test_a_doubling_needs_what_the_documentation_says() -> None:
    """At a spread of 1.1 it is twice the 65 trajectories of docs/detectors/README.md."""
    assert needed(1.1, 2.0) == pytest.approx(2 * 64.5, rel=0.01)


@given(seed=st.integers(0, 1000), agents=st.integers(1, 6), dull=st.integers(0, 3))
def test_no_agent_has_two_faults_in_a_round(seed, agents, dull) -> None:
    """Each kind is planted once or left out, in no more rounds than are allowed, for agents that can show it."""
    cast = [replace(BUSY, agent=f"a{number}") for number in range(agents)]
    cast += [replace(BUSY, agent=f"d{number}", zone=1, trajectories=30) for number in range(dull)]
    planted, left_out = draw(FAULTS, cast, random.Random(seed), AT, timedelta(hours=3))  # noqa: S311 - no secret
    assert sorted([one.kind for one in planted] + [one.kind for one in left_out]) == sorted(FAULTS)
    assert len({(one.round, one.agent) for one in planted}) == len(planted)
    assert all(one.round < ROUNDS_MAX and AT <= one.onset <= AT + timedelta(hours=3) for one in planted)
    assert all(one.agent.startswith("a") for one in planted)


def test_without_any_agent_everything_is_left_out() -> None:
    """A fleet without healthy history has no drill, and says so for each kind."""
    planted, left_out = draw(FAULTS, (), random.Random(1), AT, timedelta(hours=3))  # noqa: S311 - no secret
    assert planted == ()
    assert {one.why for one in left_out} == {"no agent has enough healthy history"}
