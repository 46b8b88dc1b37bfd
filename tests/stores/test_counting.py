"""Trajectories counted into metrics that only grow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.spans import EPOCH, chat, root, tool

from analyzer.stores.counting import CALM_S, LATE_S, count
from analyzer.stores.measures import AGENTS_MAX, FAMILY_ROWS_MAX, IDLE_S, ROWS_MAX, VALUES_MAX, SqliteMeasures
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.measures import (
    COST,
    FOLDED,
    OTHER,
    RETRIES,
    SECONDS_LE,
    SUM,
    TOOL_COST,
    TOOL_FAILURES,
    TOOL_SECONDS,
    Amount,
    observed,
)
from analyzer.types.trace import Tokens

NOW_S = EPOCH.timestamp() + 600


class Clock:
    """The time at which spans arrive."""

    def __init__(self) -> None:
        self.at_s = NOW_S

    def __call__(self) -> float:
        """Return Unix seconds."""
        return self.at_s


@pytest.fixture
def clock() -> Clock:
    """A clock that stands at NOW_S."""
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[SqliteTrajectories]:
    """An empty store."""
    with SqliteTrajectories(tmp_path / "store.db", clock=clock) as opened:
        yield opened


def counted(store: SqliteTrajectories, at_s: float) -> Mapping[tuple[str, ...], float]:
    """Count all that is due, however slow the machine is, and return all samples by name and labels."""
    count(store.connection, at_s, seconds=60)
    return {(one.name, *one.labels): one.value for one, _ in SqliteMeasures(store.connection).all()}


def finished(number: int, *, at_s: float = 0, agent: str = "shop", **fields) -> list:
    """Return a whole trajectory: a root, an inference and a tool call."""
    return [
        root(number, at_s=at_s, agent=agent, **fields),
        chat(number, 2, at_s=at_s + 1),
        tool(number, 3, at_s=at_s + 2),
    ]


def test_a_finished_trajectory_is_counted_once_it_was_left_alone(store: SqliteTrajectories) -> None:
    """Tokens by model and phase, cost, steps, tools and outcome are counted half a minute after the last span."""
    store.add(finished(1, agent_version="1.0"))
    assert counted(store, NOW_S + CALM_S - 1) == {}
    seen = counted(store, NOW_S + CALM_S)
    model = "claude-sonnet-5-5"
    assert seen["agent_tokens", "shop", model, "input"] == 100
    assert seen["agent_tokens", "shop", model, "output"] == 20
    assert seen["agent_cost_usd", "shop", model] == pytest.approx(0.0004)
    assert {key: value for key, value in seen.items() if key[0] == "agent_trajectories"} == {
        ("agent_trajectories", "shop", "error"): 0,
        ("agent_trajectories", "shop", "failure"): 0,
        ("agent_trajectories", "shop", "success"): 1,
        ("agent_trajectories", "shop", "unknown"): 0,
    }
    assert seen["agent_steps", "shop", "2.0"] == 1
    assert seen["agent_steps", "shop", "sum"] == 2
    assert seen["agent_tool_seconds", "shop", "lookup_order", "0.5"] == 1
    assert seen["agent_tool_seconds", "shop", "lookup_order", "sum"] == pytest.approx(0.5)
    assert seen["agent_build_info", "shop", "1.0"] == 1
    assert seen["agent_trajectories_looped", "shop"] == 0
    # Asked again it says the same.
    assert counted(store, NOW_S + CALM_S + 60) == seen


def test_what_comes_late_adds_what_it_brings(store: SqliteTrajectories, clock: Clock) -> None:
    """A span that arrives after its trajectory was counted adds its tokens; the trajectory counts once."""
    store.add(finished(1))
    before = counted(store, NOW_S + CALM_S)
    clock.at_s = NOW_S + 100
    store.add([chat(1, 4, at_s=5)])
    after = counted(store, NOW_S + 100 + CALM_S)
    risen = {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}
    assert risen == {
        ("agent_tokens", "shop", "claude-sonnet-5-5", "input"): 100,
        ("agent_tokens", "shop", "claude-sonnet-5-5", "output"): 20,
        ("agent_cost_usd", "shop", "claude-sonnet-5-5"): pytest.approx(0.0004),
    }


def test_a_trajectory_without_a_root_is_counted_after_an_hour(store: SqliteTrajectories) -> None:
    """A root that never arrives must not keep tokens out of the metrics for ever."""
    store.add(finished(1)[1:])
    assert counted(store, NOW_S + 3599) == {}
    assert counted(store, NOW_S + 3600)["agent_steps", "unknown", "sum"] == 2


def test_the_same_call_again_and_again_is_a_loop(store: SqliteTrajectories) -> None:
    """Five calls of one tool with the same arguments loop; five with different arguments do not."""
    store.add([root(1), *(tool(1, 2 + n, at_s=n) for n in range(5))])
    store.add([root(2), *(tool(2, 2 + n, at_s=n, input=f'{{"order": {n}}}') for n in range(5))])
    assert counted(store, NOW_S + CALM_S)["agent_trajectories_looped", "shop"] == 1


def test_history_that_is_read_in_is_not_counted(store: SqliteTrajectories, clock: Clock) -> None:
    """A month of imports in one scrape would look like the dearest minute ever: only what is young counts."""
    clock.at_s = NOW_S + LATE_S + 3600
    store.add(finished(1))
    assert counted(store, clock.at_s + CALM_S) == {}


def test_retention_and_restarts_take_nothing_away(store: SqliteTrajectories, tmp_path: Path) -> None:
    """Deleting trajectories and opening the store again leave every sum as it was; what comes then adds to it."""
    store.add(finished(1))
    before = counted(store, NOW_S + CALM_S)
    store.prune(datetime.fromtimestamp(NOW_S, UTC))
    with SqliteTrajectories(store.connection.path, clock=lambda: NOW_S + 50) as again:
        assert counted(again, NOW_S + CALM_S + 50) == before
        # The row of a deleted trajectory may be given to another.
        again.add(finished(2, at_s=20))
        after = counted(again, NOW_S + CALM_S + 100)
    assert after["agent_trajectories", "shop", "success"] == 2
    assert all(after[key] >= value for key, value in before.items())


def test_names_from_traces_cannot_make_series_without_end(store: SqliteTrajectories) -> None:
    """Agents, tools and models beyond the bounds are counted together under `other`; nothing is lost."""
    store.add([one for n in range(AGENTS_MAX + 30) for one in finished(n, agent=f"agent-{n:03}")])
    store.add([root(999, agent="agent-001"), *(tool(999, 2 + n, tool=f"tool-{n}") for n in range(100))])
    seen = counted(store, NOW_S + CALM_S)
    runs = {key[1]: value for key, value in seen.items() if key[0] == "agent_trajectories" and key[2] == "success"}
    assert len(runs) == AGENTS_MAX + 1
    assert runs[OTHER] == 30
    assert sum(runs.values()) == AGENTS_MAX + 31
    tools = {key[2] for key in seen if key[0] == "agent_tool_failures" and key[1] == "agent-001"}
    assert len(tools) == VALUES_MAX["tool"] + 1
    assert max(len(part) for key in counted(store, NOW_S + CALM_S) for part in key) <= 120


def test_all_names_together_make_no_more_rows_than_there_may_be(store: SqliteTrajectories) -> None:
    """Agents, tools and models that each keep their bounds: rows stay bounded, nothing is lost, and `other` is told."""
    memory = SqliteMeasures(store.connection)
    pairs = [(f"a{agent}", f"t{name}") for agent in range(AGENTS_MAX) for name in range(40)]
    # Histograms take the room of all their buckets: most that are told apart have a call in each.
    taken = [(pair, value) for pair in pairs[:1_500] for value in (*SECONDS_LE, 1_000.0)]
    taken += [(pair, 0.2) for pair in pairs[1_500:]]
    memory.add([one for pair, value in taken for one in observed(TOOL_SECONDS, pair, value)], NOW_S)
    singles = (COST.name, TOOL_FAILURES.name, TOOL_COST.name)
    memory.add([Amount(name, pair, 1.0) for name in singles for pair in pairs], NOW_S)
    memory.add([Amount(RETRIES.name, (f"a{agent}",), 1.0) for agent in range(AGENTS_MAX)], NOW_S)
    held = [one for one, _ in memory.all()]
    assert len(held) <= ROWS_MAX
    assert len([one for one in held if one.name == TOOL_SECONDS.name]) <= FAMILY_ROWS_MAX
    for name in singles:
        assert sum(one.value for one in held if one.name == name) == len(pairs)
    calls = [one for one in held if one.name == TOOL_SECONDS.name and one.labels[-1] != SUM]
    assert sum(one.value for one in calls) == len(taken)
    # What is said of agents as a whole has its own room.
    assert len([one for one in held if one.name == RETRIES.name]) == AGENTS_MAX
    folded = {one.labels[0]: one.value for one in held if one.name == FOLDED.name}
    assert folded[TOOL_SECONDS.name] == sum(one.value for one in calls if OTHER in one.labels) > 0
    assert RETRIES.name not in folded
    # Once more: no sum falls, and no series moves.
    memory.add([Amount(TOOL_FAILURES.name, pair, 1.0) for pair in pairs], NOW_S)
    again = {(one.name, one.labels): one.value for one, _ in memory.all()}
    assert len(again) <= ROWS_MAX
    assert all(again[one.name, one.labels] >= one.value for one in held)


def test_a_trajectory_that_is_read_in_again_after_it_was_deleted_counts_once(store: SqliteTrajectories) -> None:
    """Retention deletes it and an import brings it back: nothing is added, but what it then has more is."""
    store.add(finished(1))
    before = counted(store, NOW_S + CALM_S)
    store.prune(datetime.fromtimestamp(NOW_S, UTC))
    store.add(finished(2, at_s=20))
    store.add(finished(1))
    after = counted(store, NOW_S + 2 * CALM_S)
    assert after["agent_trajectories", "shop", "success"] == 2
    assert after["agent_tokens", "shop", "claude-sonnet-5-5", "input"] == 200
    store.add([chat(1, 9, at_s=5)])
    late = counted(store, NOW_S + 4 * CALM_S)
    assert late["agent_tokens", "shop", "claude-sonnet-5-5", "input"] == 300
    assert before["agent_trajectories", "shop", "success"] == 1


def test_a_span_that_comes_again_under_another_name_counts_once(store: SqliteTrajectories, clock: Clock) -> None:
    """Its tokens stay with the model that they were counted for, its call with the tool; only what is more adds."""
    store.add(finished(1))
    before = counted(store, NOW_S + CALM_S)
    clock.at_s = NOW_S + 100
    call, reply = tool(1, 3, at_s=2), chat(1, 2, at_s=1)
    longer = replace(call, end_ns=call.end_ns + 20 * 10**9, tool="other_tool")
    store.add([longer, replace(reply, model="another", end_ns=reply.end_ns + 1)])
    store.add([chat(1, 5, at_s=4, model="another")])
    after = counted(store, NOW_S + 100 + CALM_S)

    def total(seen: Mapping[tuple[str, ...], float], name: str, last: str | None = None) -> float:
        mine = {key: value for key, value in seen.items() if key[0] == name}
        return sum(value for key, value in mine.items() if last is None or (key[-1] == SUM) is (last == SUM))

    assert total(after, "agent_tokens") == total(before, "agent_tokens") + 120
    assert after["agent_tokens", "shop", "claude-sonnet-5-5", "input"] == 100
    assert after["agent_tokens", "shop", "another", "input"] == 100
    assert total(after, "agent_tool_seconds", "calls") == 1
    assert total(after, "agent_tool_seconds", SUM) == pytest.approx(20.5)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(forms=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.integers(2, 4)), min_size=1, max_size=6))
def test_sums_over_models_are_never_more_than_the_most_that_the_spans_said(
    tmp_path_factory: pytest.TempPathFactory, forms: list[tuple[str, int, int]]
) -> None:
    """Whatever models spans are renamed to between counts, their tokens count once: the largest sum that they had."""
    most = 0.0
    with SqliteTrajectories(tmp_path_factory.mktemp("any") / "store.db", clock=lambda: NOW_S) as store:
        store.add([root(1)])
        for number, (model, extra, span) in enumerate(forms):
            given = Tokens(input=100 + extra, output=20)
            store.add([replace(chat(1, span, at_s=span, model=model), end_ns=int(NOW_S * 1e9) + number, tokens=given)])
            seen = counted(store, NOW_S + 3600 * (number + 1))
            held = store.trajectory(f"{1:032x}").summary
            most = max(most, held.input_tokens + held.output_tokens)
            assert sum(value for key, value in seen.items() if key[0] == "agent_tokens") == most


def test_an_agent_that_is_gone_makes_room(store: SqliteTrajectories) -> None:
    """After a month without a word an agent's series end, all of them; a version's end after an hour."""
    store.add(finished(1, agent_version="1.0"))
    counted(store, NOW_S + CALM_S)
    later = counted(store, NOW_S + 7200)
    assert "agent_build_info" not in {key[0] for key in later}
    assert later["agent_trajectories", "shop", "success"] == 1
    assert counted(store, NOW_S + CALM_S + IDLE_S + 1) == {}


def test_counts_name_a_trajectory_they_came_from(store: SqliteTrajectories) -> None:
    """The exemplar of a cost is the dearest trajectory of the pass, with what it cost."""
    for number, usd in ((1, 0.1), (2, 0.7), (3, 0.2)):
        store.add([root(number), chat(number, 2, cost_usd=usd)])
    counted(store, NOW_S + CALM_S)
    shown = {one.name: one.exemplar for one, _ in SqliteMeasures(store.connection).all() if one.exemplar}
    assert (shown["agent_cost_usd"].trace_id, shown["agent_cost_usd"].value) == (f"{2:032x}", 0.7)


def test_the_analyst_itself_is_in_no_metric_of_the_fleet(store: SqliteTrajectories) -> None:
    """Its own runs have metrics of their own."""
    store.add(finished(1, agent="analyzer"))
    assert counted(store, NOW_S + CALM_S) == {}


def test_a_long_queue_is_counted_in_several_passes(store: SqliteTrajectories) -> None:
    """A pass is bounded in time and says how many wait; the next ones get to the end of it."""
    store.add([one for n in range(500) for one in finished(n)])
    first = count(store.connection, NOW_S + CALM_S, seconds=0)
    assert 0 < first.trajectories < 500
    assert first.waiting == 500 - first.trajectories
    assert counted(store, NOW_S + CALM_S)["agent_trajectories", "shop", "success"] == 500


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(9)), cuts=st.lists(st.integers(1, 8), max_size=3))
def test_no_order_of_arrival_lets_a_counter_fall_or_miss_a_token(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], cuts: list[int]
) -> None:
    """Spans in any order and any batches, counted after each: counters only rise, and end at what the spans say."""
    spans = [one for number in (1, 2, 3) for one in finished(number)]
    bounds = [0, *sorted(set(cuts)), len(spans)]
    with SqliteTrajectories(tmp_path_factory.mktemp("any") / "store.db", clock=lambda: NOW_S) as store:
        before: Mapping[tuple[str, ...], float] = {}
        for number, (start, stop) in enumerate(pairwise(bounds)):
            store.add([spans[place] for place in order[start:stop]])
            after = counted(store, NOW_S + 3600 * (number + 1))
            assert all(after[key] >= value for key, value in before.items() if key[0] != "agent_build_info")
            before = after
    totals = {name: sum(value for key, value in before.items() if key[0] == name) for name in ("agent_tokens",)}
    assert totals == {"agent_tokens": 360}


def test_a_number_that_is_none_is_left_out(store: SqliteTrajectories) -> None:
    """A sum that once was NaN would be NaN for ever."""
    memory = SqliteMeasures(store.connection)
    memory.add([Amount("analyzer_gaps", (), value) for value in (2.0, float("nan"), float("inf"), -1.0)], NOW_S)
    assert [one.value for one, _ in memory.all()] == [2.0]
