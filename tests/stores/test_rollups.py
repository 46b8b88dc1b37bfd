"""Counts kept per day agree with the rows, whatever the order and the batches in which spans came."""

from __future__ import annotations

import json
import math
import random
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.spans import EPOCH, chat, history, ns, root, tool

from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.metric import AMOUNTS, TICK_S, FlatSketches, Series, Signal, bin_of
from analyzer.types.trace import ErrorClass, FinishReason, Outcome, Span, Status, Tokens

END = EPOCH + timedelta(days=3)
HOUR = 3600


@pytest.fixture
def store(tmp_path: Path) -> SqliteTrajectories:
    """Return an empty store."""
    return SqliteTrajectories(tmp_path / "store.db")


def named(series: list[Series], signal: Signal, tool: str | None = None) -> Series:
    """Return the one series of a signal."""
    (found,) = [one for one in series if one.signal is signal and one.subject.tool == tool]
    return found


def run_of(
    number: int, at_s: float, *, lasts_s: float = 10.0, failed: bool = False, goal: str = "refund"
) -> list[Span]:
    """Return a trajectory with an inference and a tool call."""
    return [
        root(number, at_s=at_s, lasts_s=lasts_s, input=f"{goal} order {number}"),
        chat(number, 2, at_s=at_s + 1, input=history(f"{goal} order {number}")),
        tool(
            number,
            3,
            at_s=at_s + lasts_s - 1,
            input=json.dumps({"sql": "select * from orders"}),
            status=Status.ERROR if failed else Status.OK,
        ),
    ]


def test_every_signal_of_a_trajectory_is_counted(store: SqliteTrajectories) -> None:
    """One trajectory gives one unit to each signal it can speak of, in the tick in which it ended."""
    store.add(
        [
            root(1, at_s=800, lasts_s=200, outcome=Outcome.FAILURE),
            chat(1, 2, at_s=801, lasts_s=9, finish=FinishReason.LENGTH),
            chat(1, 3, at_s=820, error=ErrorClass.CONTEXT_LENGTH, status=Status.ERROR),
            tool(1, 4, at_s=950, lasts_s=4, cost_usd=0.5, attempt=3),
        ]
    )
    found = {one.signal: (one.count[1], one.total[1], one.unit, one.subject.tool) for one in store.series(EPOCH, END)}
    assert found == {
        Signal.COST: (1, pytest.approx(0.0008), "USD", None),
        Signal.PRICE: (1, pytest.approx(0.0008), "USD", None),
        Signal.TOKENS: (1, 240, "tokens", None),
        Signal.STEPS: (1, 3, "steps", None),
        Signal.LATENCY: (1, 200, "s", None),
        Signal.GAP: (1, 129, "s", None),
        Signal.ERRORS: (1, 0, "trajectories", None),
        Signal.SUCCESS: (1, 1, "trajectories", None),
        Signal.RETRIES: (1, 1, "trajectories", None),
        Signal.TRUNCATION: (1, 1, "trajectories", None),
        Signal.TOOL_ERRORS: (1, 0, "trajectories", "lookup_order"),
        Signal.TOOL_LATENCY: (1, 4, "s", "lookup_order"),
        Signal.TOOL_COST: (1, 0.5, "USD", "lookup_order"),
        # It began a tick earlier.
        Signal.VOLUME: (0, 0, "trajectories", None),
    }


def test_what_money_bought_stands_beside_it(store: SqliteTrajectories) -> None:
    """Tokens are counted by what has a price of its own, of trajectories alone whose every call has a known price."""
    cached = {"input": 100, "output": 20, "cache_read": 50, "cache_write": 30}
    store.add([root(1), replace(chat(1, 2), tokens=Tokens(**cached)), replace(chat(1, 3), tokens=Tokens(**cached))])
    store.add([root(2), chat(2, 2), replace(chat(2, 3), cost_usd=None)])
    price = named(store.series(EPOCH, END), Signal.PRICE)
    assert (sum(price.count), sum(price.total)) == (1, pytest.approx(0.0008))
    assert price.bought is not None
    assert [sum(part) for part in price.bought.parts] == [40, 40, 100, 60]
    before = price.until(EPOCH.timestamp()).bought
    assert before is not None
    assert [list(part) for part in before.parts] == [[], [], [], []]


def test_nobody_can_change_what_others_read(store: SqliteTrajectories) -> None:
    """Whoever makes an array of a series has the same memory before him: it cannot be written to, cut or whole."""
    store.add([root(1), chat(1, 2)])
    steps = named(store.series(EPOCH, END), Signal.STEPS)
    for one in (steps, steps.until(END.timestamp() - 3600)):
        sketches = one.sketches
        assert isinstance(sketches, FlatSketches)
        for part in (one.count, one.total, sketches.ticks, sketches.bins, sketches.units):
            assert len(part) > 0
            assert not np.asarray(part).flags.writeable


def test_a_tool_counts_by_trajectory_and_its_calls_by_second(store: SqliteTrajectories) -> None:
    """Ten failures of one run say something about that run: failures count by trajectory, durations by call."""
    store.add([root(1), *(tool(1, 2 + i, status=Status.ERROR) for i in range(10))])
    store.add([root(2), tool(2, 2)])
    series = store.series(EPOCH, END)
    assert (named(series, Signal.TOOL_ERRORS, "lookup_order").count[0]) == 2
    assert (named(series, Signal.TOOL_ERRORS, "lookup_order").total[0]) == 1
    assert (named(series, Signal.TOOL_LATENCY, "lookup_order").count[0]) == 11


def test_what_arrives_late_moves_what_was_counted(store: SqliteTrajectories) -> None:
    """A root that arrives after a run was counted takes its trajectory to another tick and out of the old one."""
    begun = chat(1, 2, at_s=10, lasts_s=1, agent="shop")
    store.add([begun])
    assert named(store.series(EPOCH, END), Signal.TOKENS).count[0] == 1
    store.add([root(1, at_s=0, lasts_s=2 * HOUR)])
    tokens = named(store.series(EPOCH, END), Signal.TOKENS)
    assert (tokens.count[0], tokens.count[8]) == (0, 1)
    assert sum(tokens.count) == 1


def test_what_still_runs_counts_once_it_has_settled(store: SqliteTrajectories) -> None:
    """Without a root a trajectory counts an hour after its last span, seen from the moment that is asked about."""
    store.add([chat(1, 2, at_s=50 * 60, agent="shop"), *run_of(2, 50 * 60)])

    def counted(minutes: float) -> float:
        return sum(named(store.series(EPOCH, EPOCH + timedelta(minutes=minutes)), Signal.TOKENS).count)

    assert [counted(75), counted(105), counted(120), counted(75)] == [1, 1, 2, 1]


def test_a_store_that_cannot_be_written_counts_all_the_same(store: SqliteTrajectories) -> None:
    """While another process holds the store, series are counted for this once and nothing is missing."""
    store.add(run_of(1, 0))
    other = SqliteTrajectories(store.connection.path)
    other.connection.raw.execute("PRAGMA busy_timeout = 1")
    with store.connection.writing():
        assert named(other.series(EPOCH, END), Signal.TOKENS).count[0] == 1
    assert store.connection.raw.execute("SELECT COUNT(*) FROM stale_hours").fetchone()[0] == 1
    other.series(EPOCH, END)
    assert store.connection.raw.execute("SELECT COUNT(*) FROM stale_hours").fetchone()[0] == 0


def test_choices_are_counted_by_task_and_hour(store: SqliteTrajectories) -> None:
    """Tools and tables are counted by trajectory, over all tasks and for each kind of task, with the failed ones."""
    for number in range(1, 13):
        goal = "refund" if number <= 8 else "cancel"
        store.add(run_of(number, number * 600, goal=goal, failed=number == 3))
    found = {(one.subject.tool, one.what, one.task): one for one in store.choices(EPOCH, END)}
    assert set(found) == {
        (None, "tool", None),
        (None, "tool", "refund order #"),
        ("lookup_order", "tables", None),
        ("lookup_order", "tables", "refund order #"),
    }
    tables = found["lookup_order", "tables", None]
    assert list(tables.of[:3]) == [5, 6, 1]
    assert list(tables.picked["orders"][:3]) == [5, 6, 1]
    assert sum(tables.failed["orders"]) == 1
    assert sum(found["lookup_order", "tables", "refund order #"].of) == 8


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), batches=st.integers(1, 6), asked=st.booleans())
def test_any_order_gives_the_same_counts(
    tmp_path_factory: pytest.TempPathFactory, seed: int, batches: int, asked: bool
) -> None:
    """However spans are ordered, repeated, batched and asked about in between, the counts are those of the rows."""
    rng = random.Random(seed)  # noqa: S311 - a seeded test
    spans = [
        span
        for number in range(1, 9)
        for span in run_of(number, rng.uniform(0, 2 * 86_400), lasts_s=rng.choice([5, 4000]), failed=rng.random() < 0.3)
    ]
    store = SqliteTrajectories(tmp_path_factory.mktemp("any") / "store.db")
    arriving = spans + rng.sample(spans, 5)
    rng.shuffle(arriving)
    for start in range(batches):
        store.add(arriving[start::batches])
        if asked:
            store.series(EPOCH, END)
    tokens = named(store.series(EPOCH, END), Signal.TOKENS)
    count: Counter[int] = Counter()
    bins: dict[int, Counter[int]] = defaultdict(Counter)
    for summary in store.summaries():
        assert summary.end_ns is not None
        tick = (summary.end_ns - ns(0)) // (TICK_S * 10**9)
        count[tick] += 1
        bins[tick][bin_of(summary.tokens)] += 1
    assert {tick: units for tick, units in enumerate(tokens.count) if units} == count
    assert {tick: Counter(sketch) for tick, sketch in enumerate(tokens.sketches or ()) if sketch} == bins
    whole = SqliteTrajectories(tmp_path_factory.mktemp("whole") / "store.db")
    whole.add(spans)
    assert store.series(EPOCH, END) == whole.series(EPOCH, END)
    assert store.choices(EPOCH, END) == whole.choices(EPOCH, END)
    assert store.changes("shop", EPOCH, END) == whole.changes("shop", EPOCH, END)


def test_parts_add_up_to_the_last_digit_in_any_order(tmp_path: Path) -> None:
    """Failed shares of a tick are the same number in two stores that were filled in opposite orders."""
    runs = [
        [root(calls), *(tool(calls, 2 + call, status=Status.ERROR if call < 2 else Status.OK) for call in range(calls))]
        for calls in range(3, 6)
    ]
    forwards, backwards = (SqliteTrajectories(tmp_path / name) for name in ("forwards.db", "backwards.db"))
    for run in runs:
        forwards.add(run)
    for run in reversed(runs):
        backwards.add(run)
    shares = [
        named(one.series(EPOCH, END), Signal.TOOL_ERRORS, "lookup_order").total[0] for one in (forwards, backwards)
    ]
    assert shares[0] == shares[1]
    assert shares[0] == math.fsum(2 / calls for calls in range(3, 6))


def test_amounts_have_a_distribution_and_events_have_none(store: SqliteTrajectories) -> None:
    """Sketches come with what has a value, and add up to the units that have one."""
    store.add(run_of(1, 0))
    for one in store.series(EPOCH, END):
        assert (one.sketches is not None) == (one.signal in AMOUNTS)


def test_a_tool_is_offered_from_when_its_definition_was_first_sent(store: SqliteTrajectories) -> None:
    """Definitions say since when a tool could have been chosen, in any vendor's spelling."""
    old = json.dumps([{"type": "function", "function": {"name": "search"}}])
    new = json.dumps([{"name": "search", "input_schema": {}}, {"name": "find", "input_schema": {}}])
    for number in range(1, 10):
        spans = run_of(number, number * 600)
        spans[1] = replace(spans[1], tool_definitions=old if number < 5 else new)
        store.add(spans)
    (tools,) = [one for one in store.choices(EPOCH, END) if one.what == "tool" and one.task is None]
    assert tools.offered_s == {"search": ns(600) / 1e9, "find": ns(3000) / 1e9}
    (tables,) = [one for one in store.choices(EPOCH, END) if one.what == "tables" and one.task is None]
    assert tables.offered_s == {}


def test_a_run_does_not_count_again_what_a_receiver_fills_meanwhile(store: SqliteTrajectories) -> None:
    """Questions of one run share a count of settled hours; own writes, and another run, are counted at once."""
    store.add(run_of(1, 0))
    reader = SqliteTrajectories(store.connection.path)

    def seen(by: SqliteTrajectories) -> float:
        return sum(named(by.series(EPOCH, END), Signal.TOKENS).count)

    assert seen(reader) == 1
    store.add(run_of(2, 60))
    assert seen(reader) == 1
    assert seen(SqliteTrajectories(store.connection.path)) == 2
    reader.add(run_of(3, 120))
    assert seen(reader) == 3
