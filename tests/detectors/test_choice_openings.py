"""Which values of a choice open a test: a look at others is left out where it would find nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from detectors.choosing import DAY_H, READER, Fault, choices, over_all, passing, stored, time_at, window
from detectors.fleets import START_S
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.detectors import tool_choice
from analyzer.detectors.choosing.likelihood import ChoiceSettings
from analyzer.detectors.choosing.openings import VALUES_USUAL_MAX, are_quiet
from analyzer.detectors.choosing.tables import VALUES_MAX, commonest, tables
from analyzer.detectors.choosing.walk import first_look, openings
from analyzer.detectors.tool_choice import ToolChoiceDetector
from analyzer.types.choices import TOOL
from analyzer.types.metric import Choices

DAYS = 18
SETTINGS = ChoiceSettings()


def ids(*, usual: float, life: int, faults: tuple[Fault, ...] = (), per_hour: float = 12.0) -> tuple[Choices, ...]:
    """Return a choice between a usual value and ids, over all tasks and for one that is listed."""
    mix = {"orders": usual, "id": 1 - usual}
    listed = passing(choices(mix, task="refund", days=DAYS, faults=faults, per_hour=per_hour), "id", life)
    rest = passing(choices(mix, task=None, days=DAYS, seed=2, per_hour=4), "id", life)
    return over_all((listed, rest)), listed


def asked(parts: tuple[Choices, ...], values: list[str]) -> dict:
    """Return the openings of some values, a few at a time."""
    found: dict = {}
    for at in range(0, len(values), 7):
        (table,) = tables(parts, time_at(DAYS * DAY_H), values[at : at + 7])
        found |= openings(table, SETTINGS)
    return found


@settings(max_examples=25, deadline=None)
@given(
    begin=st.integers(4 * DAY_H, 17 * DAY_H),
    share=st.sampled_from([0.0, 0.4, 1.0]),
    usual=st.sampled_from([0.1, 0.5, 0.85]),
    life=st.sampled_from([2, 4, 9]),
    taken=st.integers(1, 40),
    seed=st.integers(0, 100),
)
def test_a_look_at_quiet_values_finds_nothing(begin, share, usual, life, taken, seed):
    """Whichever values are looked at together; and it counts as many tests whichever they are."""
    parts = ids(usual=usual, life=life, faults=(Fault("orders", "orders_old", begin, share=share),))
    every = sorted(parts[0].picked)
    values = sorted(np.random.default_rng(seed).choice(every, min(taken, len(every)), replace=False).tolist())
    (table,) = tables(parts, time_at(DAYS * DAY_H), values)
    (other,) = tables(parts, time_at(DAYS * DAY_H), every[:1])
    looked, of_values = first_look(table, SETTINGS), asked(parts, values)

    assert not looked.candidates or not are_quiet([of_values[value] for value in values])
    assert looked.tests.tolist() == first_look(other, SETTINGS).tests.tolist()


def test_what_falls_opens_a_test_and_ids_among_many_do_not():
    """Ids are unseen every day: a test of them is opened only while few of the values are known."""
    parts = ids(usual=0.9, life=3, faults=(Fault("orders", "orders_old", 15 * DAY_H),))
    names = sorted((name for name in parts[0].picked if name.startswith("id")), key=lambda name: int(name[3:]))
    found = asked(parts, sorted(parts[0].picked))

    assert found["orders"].falls
    assert not any(found[name].falls for name in names)
    assert any(found[name].unseen is not None for name in names)
    early, late = names[:40], names[-20:]
    assert are_quiet([found[name] for name in early])
    assert not are_quiet([found[name] for name in late])
    assert are_quiet([found[name] for name in (*early, *late)])
    assert not are_quiet([found[name] for name in (*early, "orders")])


@pytest.mark.parametrize(("known", "found"), [(VALUES_USUAL_MAX, True), (VALUES_USUAL_MAX + 1, False)])
def test_what_is_new_opens_a_test_while_few_are_known(known: int, found: bool) -> None:
    """One value more, and a new one means nothing."""
    mix = {"orders": 0.5} | {f"v{at}": 0.5 / (known - 1) for at in range(known - 1)}
    moved = choices(mix, task="refund", days=DAYS, per_hour=60, faults=(Fault("orders", "orders_old", 10 * DAY_H),))
    (table,) = tables([moved], time_at(DAYS * DAY_H))

    assert bool(first_look(table, SETTINGS).candidates) == found
    assert are_quiet(openings(table, SETTINGS).values()) != found


@given(st.dictionaries(st.integers(0, 200), st.integers(0, 3), min_size=60, max_size=100))
def test_the_commonest_are_the_first_by_count_and_name(counts: dict[int, int]) -> None:
    """Of those picked as often, the first by name."""
    total = {f"v{at}": float(count) for at, count in counts.items()}
    one = Choices(READER, "tables", None, START_S, {value: [count] for value, count in total.items()}, [9.0])
    ordered = sorted(total, key=lambda value: (-total[value], value))

    assert commonest([one]) == tuple(sorted(ordered[:VALUES_MAX]))


def replayed(moments: dict[int, tuple[Choices, ...]]) -> int:
    """Assert that a replay says the same as the detector, to the last digit; return how many findings there were."""
    whole = {(one.what, one.task): one for parts in moments.values() for one in parts}
    replay, found = ToolChoiceDetector().replay(window(*whole.values(), end_h=DAYS * DAY_H)), 0
    for hour, parts in moments.items():
        until = [one.until(time_at(hour).timestamp()) for one in parts]
        at = window(*until, end_h=hour)
        asked_now = ToolChoiceDetector().detect(at)
        assert replay.detect(at) == asked_now
        found += len(asked_now)
    return found


def test_a_kind_of_task_that_comes_to_be_known_is_looked_at() -> None:
    """What is quiet in some kinds of task may fall in another."""
    begin = 16 * DAY_H
    faults = (Fault("billing", "billing_old", begin),)
    first = passing(choices({"orders": 0.9, "id": 0.1}, task="refund", days=DAYS, per_hour=12), "id", 1)
    second = choices({"billing": 0.9, "id": 0.1}, task="bill", days=DAYS, per_hour=6, seed=2, faults=faults)
    second = stored(passing(second, "id", 1))
    both = stored(over_all((first, second)))
    early = {hour: (both, stored(first)) for hour in range(begin - 6, begin)}
    later = {hour: (both, stored(first), second) for hour in range(begin + 8, begin + 20)}

    assert replayed(early | later) > 8


def given_way(begin: int) -> Choices:
    """Return a kind of task whose usual value gives way to so many that it is none of the commonest in the end."""
    hours = np.arange(DAYS * DAY_H)
    old = choices({"old": 1.0}, task="bill", days=DAYS, per_hour=(hours < begin) * 2.0)
    new = {f"v{at}": 1.0 for at in range(VALUES_MAX + 6)}
    many = choices(new, task="bill", days=DAYS, per_hour=(hours >= begin) * 300.0, seed=2)
    return replace(over_all((old, many)), task="bill")


def test_a_fall_is_forgotten_with_the_value_that_fell() -> None:
    """It is found as long as the value is among the commonest."""
    begin = 7 * DAY_H
    one = stored(given_way(begin))

    assert [replayed({hour: (one,)}) for hour in (begin + 8, DAYS * DAY_H)] == [1, 0]
    assert replayed(dict.fromkeys(range(begin + 8, DAYS * DAY_H, 5), (one,))) > 2


def test_what_was_quiet_in_some_kinds_of_task_is_asked_again_in_others() -> None:
    """Moments may come in any order, and a value may come and go."""
    begin, end = 9 * DAY_H, DAYS * DAY_H
    second, first = given_way(begin), choices({"orders": 1.0}, task="refund", days=DAYS, per_hour=200)
    some = tuple(map(stored, (over_all((first, second)), first)))
    every = *some, stored(second)
    before = dict.fromkeys((begin + 8, begin + 9, end), some)

    assert replayed(before | dict.fromkeys((end - 1, begin + 10, begin + 11), every)) == 2


def test_a_choice_that_nothing_was_picked_of_is_no_table_until_something_is() -> None:
    """Its tests count from then on: they raise the threshold of the agent's other choices."""
    begin, hours = 16 * DAY_H, np.arange(DAYS * DAY_H)
    moved = choices({"orders": 1.0}, task="refund", days=DAYS, faults=(Fault("orders", "orders_old", begin),))
    late = choices({"blue": 1.0}, task="refund", days=DAYS, seed=2, what="colour")
    late = stored(replace(late, picked={"blue": 1.0 * ((hours >= begin) & (hours % DAY_H == 0))}, failed={}))

    assert replayed({hour: (stored(moved), late) for hour in (begin - 1, begin + 8, begin + 9)}) == 2


@pytest.mark.parametrize(("what", "once"), [("tables", True), (TOOL, False)])
def test_a_replay_looks_at_quiet_values_once(monkeypatch, what, once):
    """Of tools all are tested together: whichever they are, they are looked at."""
    looks = []
    monkeypatch.setattr(tool_choice, "first_look", lambda *given: looks.append(given) or first_look(*given))
    one = passing(choices({"id": 1.0}, days=DAYS, what=what), "id", 2)
    replay = ToolChoiceDetector().replay(window(one, end_h=DAYS * DAY_H))

    for hour in range(16 * DAY_H, 17 * DAY_H):
        replay.detect(window(one.until(time_at(hour).timestamp()), end_h=hour))

    assert (len(looks) == 1) == once
