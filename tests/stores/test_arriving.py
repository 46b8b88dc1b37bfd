"""Verdicts while the texts are at hand: the same as of texts that are read back, and none where that is not sure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.spans import EPOCH, chat, history, root, tool, trace_id

from analyzer.ingest.otlp import spans_from_json
from analyzer.simulation.scenario import random_fleet
from analyzer.stores import arriving
from analyzer.stores.prepared import Masking
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.loops import Looked
from analyzer.types.steps import Step
from analyzer.types.trace import Span

SECRET = "sk-ant-api03-" + "Zq8Lw2Xv" * 11 + "AA"
MASKING = Masking(b"k" * 32)


class Judge:
    """Calls everything quiet, and keeps what it was shown."""

    program = b"first"

    def __init__(self) -> None:
        self.shown: list[tuple[Step, ...]] = []

    def look(self, steps: Sequence[Step]) -> Looked:
        """See `stores.verdicts.Judge`."""
        self.shown.append(tuple(steps))
        return Looked()


def light(path: Path | str, judge: Judge | None) -> SqliteTrajectories:
    """Return a store that is fed by what lies elsewhere."""
    return SqliteTrajectories(path, masking=MASKING, judge=None if judge is None else lambda: judge)


def repeating(number: int, times: int = 3, **fields: object) -> list[Span]:
    """Return the spans of a trajectory that makes one call so often."""
    at_s = 60.0 * number
    return [
        root(number, at_s=at_s),
        *(tool(number, 2 + i, at_s=at_s + i, **fields) for i in range(times)),
    ]


def as_read_back(spans: Iterable[Span]) -> dict[str, tuple[Step, ...]]:
    """Return the steps that a store gives which keeps the texts."""
    with SqliteTrajectories(":memory:", masking=MASKING) as store:
        own = list(spans)
        store.add(own)
        return store.steps(sorted({one.trace_id for one in own}))


def test_a_judge_is_shown_the_steps_that_are_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a drawn fleet, with secrets in its texts, and faults that make some trajectories loop."""
    monkeypatch.setattr(arriving, "REPEATS_MIN", 0)
    fleet = replace(random_fleet(5, 4, 1.0, 3, now=EPOCH + timedelta(days=3)), texts="full")
    drawn = [one for request in fleet.requests() for one in spans_from_json(request).spans]
    spans = [
        replace(one, output=f"{one.output} {SECRET}") if one.output and index % 10 == 0 else one
        for index, one in enumerate(drawn)
    ]
    judge = Judge()
    with light(":memory:", judge) as store:
        store.add_light(spans)
    expected = set(as_read_back(spans).values())
    assert len(judge.shown) > 50
    assert set(judge.shown) <= expected
    assert any(SECRET in (one.output or "") for one in spans)
    assert SECRET not in repr(judge.shown)


@pytest.mark.parametrize(
    "fields",
    [
        {"input": '[{"id": 1}, {"id": 2}]'},
        {"input": f'{{"token": "{SECRET}"}}', "output": "[]"},
        {"output": '[{"role": "tool", "content": "a\\u0000b \\ud800"}]'},
        {"output": "half a pair \ud800"},
        {"input": "", "output": None},
    ],
    ids=["list", "secret", "escapes", "surrogate", "nothing"],
)
def test_texts_of_any_form_are_as_read_back(fields: dict[str, str | None]) -> None:
    """Lists of objects, what is masked, halves of surrogate pairs, and nothing at all."""
    asked = history("first", "then", SECRET)
    spans = [*repeating(1, **fields), *(chat(1, 10 + i, at_s=61 + i, input=asked, output="[]") for i in range(3))]
    judge = Judge()
    with light(":memory:", judge) as store:
        store.add_light(spans)
    assert judge.shown == list(as_read_back(spans).values())


def test_who_repeats_little_is_not_looked_at() -> None:
    """A run would not look at it either."""
    judge = Judge()
    with light(":memory:", judge) as store:
        store.add_light([*repeating(1, times=2), *repeating(2)])
        assert store.looked([trace_id(1), trace_id(2)]) == {trace_id(2): Looked()}


@pytest.mark.parametrize("day", [-1, 1], ids=["the day before is known", "the day after is known"])
def test_only_those_are_looked_at_that_a_run_would_look_at(monkeypatch: pytest.MonkeyPatch, day: int) -> None:
    """Beside a day of which the second most repeats five times, the smaller id first, four times are too few."""
    monkeypatch.setattr(arriving, "SUSPECTS_MAX", 2)
    minutes = 24 * 60
    with light(":memory:", Judge()) as store:
        beside = [repeating(minutes + n, times) for n, times in ((1, 4), (2, 5), (3, 6), (4, 5))]
        store.add_light([one for own in beside for one in own])
        shift = day * (minutes - 120)
        fresh = [repeating(minutes + shift + n, times) for n, times in ((1, 4), (2, 5), (3, 6))]
        store.add_light([one for own in fresh for one in own])
        ids = [own[0].trace_id for own in fresh]
        # Of as many repeats the smaller id comes first: that of the day before is smaller than all of the day after.
        assert store.looked(ids).keys() == {*ids[2:], *(ids[1:2] if day < 0 else ())}


def test_half_a_trajectory_is_not_judged_and_the_other_half_makes_a_verdict_void() -> None:
    """What comes later may be what repeats; what came earlier has its texts elsewhere by then."""
    judge = Judge()
    first, last = repeating(1, times=6)[:5], repeating(1, times=6)[5:]
    with light(":memory:", judge) as store:
        store.add_light(first)
        assert store.looked([trace_id(1)]) == {trace_id(1): Looked()}
        store.add_light(last)
        assert store.looked([trace_id(1)]) == {}
        assert len(judge.shown) == 1


def test_another_form_of_a_span_than_the_one_that_is_kept_is_not_judged() -> None:
    """Neither where both come together, nor where the better one was there before."""
    judge = Judge()
    spans = repeating(1)
    longer = replace(spans[-1], end_ns=(spans[-1].end_ns or 0) + 10**9, output="another answer")
    with light(":memory:", judge) as store:
        store.add_light([longer, *spans])
        store.add_light(spans)
        assert judge.shown == []
        store.add_light([*spans, longer])
        assert [steps[-1].output for steps in judge.shown] == ["another answer"]


def test_a_time_at_the_end_of_all_times_is_one_like_others() -> None:
    """An exporter that writes the largest number there is for "has not ended" does not keep the others from coming."""
    judge = Judge()
    spans = repeating(1)
    with light(":memory:", judge) as store:
        store.add_light([*spans[:-1], replace(spans[-1], end_ns=2**63 - 1)])
        assert len(judge.shown) == 1


def test_what_has_its_texts_here_is_not_judged_by_what_lies_elsewhere() -> None:
    """Its texts are those of the store."""
    judge = Judge()
    spans = repeating(1)
    with light(":memory:", judge) as store:
        store.add(spans[:2])
        store.add_light(spans)
        assert judge.shown == []


def test_without_a_judge_nothing_is_noted() -> None:
    """A store that nobody told who can tell goes on as ever."""
    with light(":memory:", None) as store:
        assert store.add_light(repeating(1)).spans_new == 4
        assert store.looked([trace_id(1)]) == {}


def test_the_bar_of_an_hour_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs a sort of a day."""
    asked = []
    last = arriving._last
    monkeypatch.setattr(arriving, "_last", lambda raw, *day: asked.append(day) or last(raw, *day))
    with light(":memory:", Judge()) as store:
        for number in range(1, 4):
            store.add_light(repeating(number))
    assert len(asked) == 2
