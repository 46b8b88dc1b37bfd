"""Which findings of several agents have one cause."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.incidents import NOW, ONSET, finding

from analyzer.accounting.fleetwide import with_causes
from analyzer.types.metric import TICK_S, Series, Signal, Window
from analyzer.types.report import Change, Examined, Kind, Subject
from analyzer.types.shared import Cause, Shared

HOUR = timedelta(hours=1)
OPUS = Shared("model", "opus")
DOWN = Shared("provider", "anthropic", "overloaded")
FETCH = Shared("tool", "fetch", "timed out")
EMPTY = Window(NOW - 24 * HOUR, NOW)


def hit(agent: str, *suspects: Shared, at_h: float = 0, give_or_take_h: float = 0.5, **fields: Any) -> Examined:
    """Return a finding of an agent with what it may come from, so many hours after ONSET."""
    kind, changes = fields.pop("kind", Kind.COST), fields.pop("changes", ())
    at = ONSET + at_h * HOUR
    found = finding(kind, agent, onset=at, **fields)
    spread = give_or_take_h * HOUR
    return Examined(replace(found, onset_low=at - spread, onset_high=at + spread), suspects=suspects, changes=changes)


def causes(*known: Examined, window: Window = EMPTY) -> list[Cause | None]:
    """Return the causes of findings, in their order."""
    return [one.cause for one in with_causes(known, window)]


def test_agents_that_began_together_by_one_thing_have_one_cause() -> None:
    """The price of a model rose for two agents; the third, hit in another way, has no part in it."""
    one = Cause(OPUS, ONSET)
    found = causes(hit("a", OPUS), hit("b", OPUS, at_h=0.5), hit("c"), hit("d", Shared("model", "haiku")))
    assert found == [one, one, None, None]


@given(st.lists(st.sampled_from([OPUS, DOWN, FETCH]), unique=True), st.lists(st.floats(-5, 5), min_size=1, max_size=5))
def test_an_agent_alone_never_has_a_shared_cause(suspects: list[Shared], onsets: list[float]) -> None:
    """However many findings one agent has, and whatever they come from: nobody shares it."""
    kinds = [Kind.COST, Kind.ERRORS, Kind.RETRIES, Kind.LATENCY, Kind.TOOL_ERRORS]
    found = [hit("a", *suspects, at_h=at, kind=kind) for at, kind in zip(onsets, kinds, strict=False)]
    assert set(causes(*found)) == {None}


_hits = st.builds(
    hit,
    st.sampled_from("abcdef"),
    st.sampled_from([OPUS, DOWN, FETCH]),
    at_h=st.integers(-12, 12),
    give_or_take_h=st.sampled_from([0.25, 1.0, 6.0]),
)


@settings(max_examples=60)
@given(st.lists(_hits, max_size=8, unique_by=lambda one: one.finding.subject.agent), st.data())
def test_causes_do_not_depend_on_the_order_and_are_of_two_agents(known: list[Examined], data: st.DataObject) -> None:
    """Shuffled findings have the causes they had, and every cause is one of several agents."""
    found = with_causes(known, EMPTY)
    shuffled = with_causes(data.draw(st.permutations(known)), EMPTY)
    assert {one.finding.subject.agent: one.cause for one in shuffled} == {
        one.finding.subject.agent: one.cause for one in found
    }
    for cause in {one.cause for one in found if one.cause is not None}:
        assert len([one for one in found if one.cause == cause]) >= 2
        assert all(cause.shared in one.suspects for one in found if one.cause == cause)


def test_what_fails_in_other_words_or_at_another_time_is_another_fault() -> None:
    """Two tools of one name with two errors, and one error twelve hours apart, are two faults each."""
    other = replace(FETCH, said="no such table")
    assert causes(hit("a", FETCH, kind=Kind.ERRORS), hit("b", other, kind=Kind.ERRORS)) == [None, None]
    assert causes(hit("a", DOWN, kind=Kind.ERRORS), hit("b", DOWN, at_h=12, kind=Kind.ERRORS)) == [None, None]


def test_a_wide_interval_does_not_join_two_that_are_apart() -> None:
    """What may have begun at either of two times goes with the sharper one, and the two stay two."""
    early, late = hit("a", DOWN), hit("b", DOWN, at_h=12)
    wide = replace_over(hit("c", DOWN, at_h=6, give_or_take_h=7), 3)
    assert causes(replace_over(early, 1), late, wide) == [Cause(DOWN, ONSET), None, Cause(DOWN, ONSET)]


def replace_over(entry: Examined, hours: float) -> Examined:
    """Return the finding as over so long after it began."""
    return replace(entry, finding=replace(entry.finding, recovered=entry.finding.onset + hours * HOUR))


def test_what_cannot_be_dated_to_a_day_began_together_with_nothing() -> None:
    """A slow drift meets every onset of the week; that it fails in the same words makes no shared cause of it."""
    assert causes(hit("a", DOWN, give_or_take_h=13), hit("b", DOWN, at_h=10)) == [None, None]
    assert causes(hit("a", DOWN, give_or_take_h=12), hit("b", DOWN, at_h=10)) == [Cause(DOWN, ONSET)] * 2


def test_who_begins_while_several_have_it_joins_them() -> None:
    """An agent that runs at night meets the new price hours later; after the outage is over nobody joins it."""
    since = Cause(OPUS, ONSET)
    assert causes(hit("a", OPUS), hit("b", OPUS), hit("night", OPUS, at_h=8)) == [since] * 3
    over = [replace_over(hit(name, DOWN), 2) for name in "ab"]
    assert causes(*over, hit("c", DOWN, at_h=8)) == [Cause(DOWN, ONSET)] * 2 + [None]


def test_the_cause_of_most_agents_counts_and_of_as_many_the_narrowest() -> None:
    """Where two models of a provider fail it is the provider; where one of them fails it is that model."""
    model, other = Shared("model", "opus", "overloaded"), Shared("model", "haiku", "overloaded")
    two = [hit(name, model, DOWN, kind=Kind.ERRORS) for name in "ab"]
    assert causes(*two) == [Cause(model, ONSET)] * 2
    assert causes(*two, hit("c", other, DOWN, kind=Kind.ERRORS)) == [Cause(DOWN, ONSET)] * 3


def deployed(agent: str, kind: Kind = Kind.ERRORS) -> Examined:
    """Return an agent that was deployed when it was hit."""
    return hit(agent, DOWN, kind=kind, changes=(Change("version", "1", f"{agent}-2", ONSET),))


def test_two_deploys_in_one_hour_are_two_faults_until_a_third_agent_says_otherwise() -> None:
    """Each has an explanation of its own; an agent without one that fails alike shows that it is not theirs."""
    assert causes(deployed("a"), deployed("b")) == [None, None]
    third = hit("c", DOWN, kind=Kind.ERRORS)
    assert causes(deployed("a"), deployed("b"), third) == [Cause(DOWN, ONSET)] * 3
    assert causes(deployed("a", Kind.COST), deployed("b", Kind.COST)) == [Cause(DOWN, ONSET)] * 2


def calls(agent: str, an_hour: int) -> Series:
    """Return how often an agent calls the tool, around ONSET."""
    count = [an_hour / 4] * 96
    start_s = int((NOW - 24 * HOUR).timestamp()) // TICK_S * TICK_S
    return Series(Signal.TOOL_LATENCY, Subject(agent, tool="fetch"), "s", "store", "q", start_s, count, count)


@pytest.mark.parametrize(("others", "shared"), [(4, True), (40, False)])
def test_a_tool_that_is_down_is_down_for_most_of_its_calls(others: int, *, shared: bool) -> None:
    """Where agents that are well make most of the calls, tools of one name are all that those two have in common."""
    known = [hit(name, FETCH, kind=Kind.TOOL_ERRORS, tool="fetch") for name in "ab"]
    window = replace(EMPTY, series=(calls("a", 8), calls("b", 8), calls("c", others)))
    assert causes(*known, window=window) == [Cause(FETCH, ONSET) if shared else None] * 2
