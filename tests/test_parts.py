"""A part of a window is known by all that is looked at in it: nothing of it can be forgotten."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.spans import root

from analyzer.pipeline.parts import parts_of
from analyzer.types.loops import Looked
from analyzer.types.metric import (
    Bought,
    Choices,
    FlatSketches,
    OpenTrajectory,
    Series,
    Signal,
    Unpriced,
    Usual,
    Window,
)
from analyzer.types.report import Subject
from analyzer.types.steps import Step
from analyzer.types.trace import Operation, Status
from analyzer.types.trajectory import summarise

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
STEP = Step(1, "c" * 16, None, Operation.TOOL, "search", "shop", "{}", "[]", Status.OK, "", None, 1, 2, 0, None)
SUMMARY = summarise("a" * 32, [root(1, agent="shop")])
SERIES = Series(
    signal=Signal.COST,
    subject=Subject(agent="shop"),
    unit="USD",
    source="store",
    query="sum(cost)",
    start_s=0,
    count=[1.0],
    total=[2.0],
    sketches=FlatSketches(1, [0], [3], [1]),
    hit=[1.0],
    unpriced=Unpriced([1.0], [1.0], [1.0]),
    counted="count",
    summed="sum",
    bought=Bought([1.0], [1.0], [1.0], [1.0]),
)
CHOICES = Choices(
    subject=Subject(agent="shop"),
    what="tool",
    task="refund",
    start_s=0,
    picked={"search": [1.0]},
    of=[1.0],
    failed={"search": [1.0]},
    offered_s={"search": 1.0},
)
FULL = Window(
    start=NOW - timedelta(days=1),
    end=NOW,
    series=(SERIES,),
    suspects={"a" * 32: (STEP,)},
    looked={"a" * 32: Looked(polls=5)},
    steered={"b" * 32: (STEP,)},
    summaries={"a" * 32: SUMMARY},
    choices=(CHOICES,),
    running=(OpenTrajectory(SUMMARY, 1),),
    usual={"shop": Usual("shop", 1, 1.0, 1.0, 1.0, 1.0, None, None, 1.0, 1.0, 1.0)},
)
"""Of one agent, and nothing in it is empty but what no part has."""
NOT_LOOKED_AT = {"stored", "metered", "builds", "gaps"}
"""What no part has: only who compares agents asks for it."""


def digest_of(window: Window) -> str:
    """Return the digest of a window's only part."""
    (part,) = parts_of(window, b"program")
    return part.digest


def other_than(value: Any) -> Any:
    """Return another value of the same type, or one that is not there."""
    if isinstance(value, datetime):
        return value + timedelta(seconds=1)
    if isinstance(value, Signal):
        return Signal.STEPS
    if isinstance(value, str | int):
        return value + type(value)(1)
    if isinstance(value, list):
        return [*value[:-1], value[-1] + 1]
    if isinstance(value, FlatSketches):
        return replace(value, units=other_than(value.units))
    return type(value)() if isinstance(value, dict | tuple) else None


@pytest.mark.parametrize("name", [one.name for one in fields(Window) if one.name not in NOT_LOOKED_AT])
def test_all_of_a_window_tells_its_part(name: str) -> None:
    """Whatever a window has of an agent, also what it will have one day, tells its part from one that has it not."""
    assert digest_of(replace(FULL, **{name: other_than(getattr(FULL, name))})) != digest_of(FULL)


@pytest.mark.parametrize("name", [one.name for one in fields(Series) if one.name != "subject"])
def test_all_of_a_series_tells_its_part(name: str) -> None:
    """Whatever stands in a series, also what will one day, tells its part from another one."""
    other = replace(SERIES, **{name: other_than(getattr(SERIES, name))})
    assert digest_of(replace(FULL, series=(other,))) != digest_of(FULL)


@pytest.mark.parametrize("name", [one.name for one in fields(Choices) if one.name != "subject"])
def test_all_of_choices_tells_their_part(name: str) -> None:
    """Whatever stands in what an agent chose, also what will one day, tells its part from another one."""
    other = replace(CHOICES, **{name: other_than(getattr(CHOICES, name))})
    assert digest_of(replace(FULL, choices=(other,))) != digest_of(FULL)


def test_why_a_trajectory_is_looked_at_tells_its_part() -> None:
    """The same steps may be a suspect to one detector and steered to another one: it is not the same to look at."""
    suspect = replace(FULL, steered={})
    assert digest_of(suspect) != digest_of(replace(FULL, suspects={}, steered=FULL.suspects))


def test_parts_are_of_a_size_and_the_largest_is_first() -> None:
    """Of five agents two parts are made that have about as much to look at; who begins with the last waits least."""
    suspects = {}
    for agent, count in (("a", 2), ("b", 4), ("c", 2), ("d", 3), ("e", 2)):
        suspects |= {f"{agent}{number}": (replace(STEP, agent=agent),) for number in range(count)}
    parts = parts_of(Window(start=FULL.start, end=FULL.end, suspects=suspects), b"program", 2)
    # Laid out as b, d, a, c, e: each of them to who has least by then.
    assert [sorted(filter(None, part.agents)) for part in parts] == [["a", "d", "e"], ["b", "c"]]
    assert [len(part.window.suspects) for part in parts] == [7, 6]
    assert [None in part.agents for part in parts] == [False, True]
