"""Every store answers every question alike: the same as SQLite filled in order, and as the spans themselves say.

A store is a function that takes a folder and OTLP/JSON requests and gives an open store with these spans. Another one
is added to STORES, and all of this is asked of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.clickhouse import connected, served, write
from support.conformance import (
    EVERYTHING,
    METHODS,
    NOW,
    ORDERS,
    Requests,
    Window,
    answers,
    odd,
    scrambled,
    simulated,
)

from analyzer.config import load
from analyzer.errors import NotFoundError
from analyzer.ingest.otlp import spans_from_json
from analyzer.ingest.pricing import Pricer
from analyzer.stores.base import TrajectoryStore
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.repeats import repeats_of
from analyzer.types.trace import Operation, Span
from analyzer.wiring.collecting import followed
from analyzer.wiring.judging import loop_judge
from analyzer.wiring.opening import open_store

FLEETS = {"simulated-3": lambda: simulated(3), "simulated-8": lambda: simulated(8), "odd-1": lambda: odd(1)}


@contextmanager
def sqlite(folder: Path, requests: Requests) -> Iterator[TrajectoryStore]:
    """Take in as ever, request by request."""
    pricer = Pricer()
    with SqliteTrajectories(folder / "store.db", judge=loop_judge) as store:
        for one in requests:
            store.add(spans_from_json(one, pricer=pricer).spans)
        yield store


@contextmanager
def sqlite_late(folder: Path, requests: Requests) -> Iterator[TrajectoryStore]:
    """Take in span by span, out of order, some twice, asking between: counts are brought up to date many times."""
    pricer = Pricer()
    spans = [span for one in scrambled(requests, 5) for span in spans_from_json(one, pricer=pricer).spans]
    with SqliteTrajectories(folder / "late.db", judge=loop_judge) as store:
        for first in range(0, len(spans), 700):
            store.add(spans[first : first + 700])
            store.series(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
        yield store


@contextmanager
def clickhouse(folder: Path, requests: Requests) -> Iterator[TrajectoryStore]:
    """Lay the spans into the Collector's tables behind HTTP, and follow them from there."""
    with served(folder) as url:
        with connected(url) as client:
            write(client, *requests)
        settings = replace(
            load({}, {}).settings,
            store=folder / "index.db",
            clickhouse_url=f"{url.replace('//', '//default@')}/default",
            history=timedelta(days=14),
        )
        with open_store(settings) as store:
            followed(settings, store, NOW)
            yield store


STORES: Mapping[str, Callable[[Path, Requests], AbstractContextManager[TrajectoryStore]]] = {
    "sqlite": sqlite,
    "sqlite-late": sqlite_late,
    "clickhouse": clickhouse,
}


@dataclass(frozen=True)
class Asked:
    """A store under test, what was put into it, and what SQLite says of that."""

    store: TrajectoryStore
    window: Window
    spans: list[Span]
    expected: dict[str, str]

    def traces(self) -> dict[str, list[Span]]:
        """Return the spans by trajectory."""
        found: dict[str, list[Span]] = defaultdict(list)
        for span in self.spans:
            found[span.trace_id].append(span)
        return found


@pytest.fixture(scope="module", params=list(FLEETS))
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Give a fleet, its spans, and everything that SQLite says of it."""
    requests, window = FLEETS[request.param]()
    pricer = Pricer()
    spans = [span for one in requests for span in spans_from_json(one, pricer=pricer).spans]
    with sqlite(tmp_path_factory.mktemp("expected"), requests) as store:
        expected = answers(store, window)
    return requests, window, spans, expected


@pytest.fixture(scope="module", params=list(STORES))
def asked(fleet, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """Give each store with each fleet."""
    requests, window, spans, expected = fleet
    with STORES[request.param](tmp_path_factory.mktemp("asked"), requests) as store:
        yield Asked(store, window, spans, expected)


def test_every_question_of_the_protocol_is_asked(asked: Asked) -> None:
    """A method that is added to the protocol is asked here too, or this fails."""
    assert {question.partition("(")[0] for question in asked.expected} == METHODS
    assert len(asked.expected) > 150


def test_answers_are_those_of_sqlite(asked: Asked) -> None:
    """Every answer about a fleet, over several ranges, orders and limits, is the one that SQLite gives."""
    found = answers(asked.store, asked.window)
    assert [question for question in asked.expected if found.get(question) != asked.expected[question]] == []
    assert found.keys() == asked.expected.keys()


def test_what_was_put_in_is_there(asked: Asked) -> None:
    """Trajectories, spans, tokens and calls of tools are those of the spans that were sent, each once."""
    traces = asked.traces()
    found = {one.trace_id: one for one in asked.store.summaries(limit=EVERYTHING)}
    assert {trace: len({span.span_id for span in spans}) for trace, spans in traces.items()} == {
        trace: one.spans for trace, one in found.items()
    }
    for trace, spans in list(traces.items())[::20]:
        held = {span.span_id: span for span in asked.store.trajectory(trace).spans}
        assert held.keys() == {span.span_id for span in spans}
        for span in spans:
            one = held[span.span_id]
            assert (one.name, one.operation, one.start_ns, one.end_ns, one.status, one.model, one.tokens) == (
                span.name, span.operation, span.start_ns, span.end_ns, span.status, span.model, span.tokens,
            )  # fmt: skip


def test_a_range_holds_its_start_and_not_its_end(asked: Asked) -> None:
    """What ended at the very start of a range belongs to it, what ended at its very end does not."""
    everything = [one for one in asked.store.summaries(limit=EVERYTHING) if one.end_ns is not None]
    ended = sorted(one.end_ns for one in everything)
    later_half = ended[len(ended) // 2 :]
    # At the very nanosecond where there is such an end; else within the microsecond, the finest a datetime tells.
    edge_ns = next((end for end in later_half if end % 1000 == 0), later_half[0] // 1000 * 1000)
    edge = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=edge_ns // 1000)
    at, later = asked.store.count(edge, edge + timedelta(microseconds=1)), asked.window.end + timedelta(days=1)
    assert at[0] == sum(edge_ns <= end < edge_ns + 1000 for end in ended) >= 1
    before, after = asked.store.count(asked.window.start, edge), asked.store.count(edge, later)
    assert (before[0], after[0]) == (sum(end < edge_ns for end in ended), sum(end >= edge_ns for end in ended))
    listed = asked.store.summaries(start=edge, end=later, limit=EVERYTHING)
    assert min(one.end_ns for one in listed if one.end_ns is not None) // 1000 == edge_ns // 1000


def test_a_limit_takes_from_the_front(asked: Asked) -> None:
    """A list cut short is the beginning of the whole list, in every order."""
    for order in ORDERS:
        whole = [one.trace_id for one in asked.store.summaries(order=order, limit=EVERYTHING)]
        assert [one.trace_id for one in asked.store.summaries(order=order, limit=9)] == whole[:9]
        assert len(set(whole)) == len(whole)


def test_orders_are_what_they_say(asked: Asked) -> None:
    """The newest, the oldest, the dearest and the longest come first."""

    def listed(order: str) -> list:
        return asked.store.summaries(order=order, limit=EVERYTHING)

    ends = [one.end_ns for one in listed("oldest") if one.end_ns is not None]
    assert ends == sorted(ends)
    assert [one.end_ns for one in listed("recent") if one.end_ns is not None] == sorted(ends, reverse=True)
    for order, value in (
        ("cost", lambda one: (one.cost_usd or 0) + (one.tool_cost_usd or 0)),
        ("tokens", lambda one: one.tokens),
        ("steps", lambda one: one.steps),
        ("errors", lambda one: one.errors),
        ("retries", lambda one: one.retries),
        ("truncated", lambda one: one.truncated),
    ):
        values = [value(one) for one in listed(order)]
        assert values == sorted(values, reverse=True), order


@pytest.mark.parametrize("part", ["all", "third"])
def test_sums_are_those_of_the_trajectories(asked: Asked, part: str) -> None:
    """Whatever way amounts are added up, by agent, model, tool or cohort, they come to what the trajectories have."""
    window = asked.window if part == "all" else asked.window.narrowed()
    start, end = window.start, window.end
    listed = asked.store.summaries(start=start, end=end, limit=EVERYTHING)
    by_agent = Counter(one.agent for one in listed)
    assert {one.value: one.trajectories for one in asked.store.totals("agent", start, end)} == by_agent
    assert asked.store.agents(start, end) == sorted(by_agent)
    assert asked.store.count(start, end) == (len(listed), sum(one.spans for one in listed))
    for agent in by_agent:
        own, used = [one for one in listed if one.agent == agent], asked.store.usage(agent, start, end)
        assert sum(one.trajectories for one in used) == len(own)
        assert sum(one.steps for one in used) == sum(one.steps for one in own)
        assert sum(one.input_tokens + one.output_tokens for one in used) == sum(one.tokens for one in own)
        assert sum(one.cost_usd for one in used) == pytest.approx(sum(one.cost_usd or 0 for one in own))
        cohorts = asked.store.cohorts(agent, start, end, "steps")
        assert sum(one.total for one in cohorts) == sum(one.steps for one in own)
    calls = {(one.agent, one.tool): one.calls for one in asked.store.tool_uses(start, end)}
    assert sum(calls.values()) == sum(one.tool_calls for one in listed)


def test_callers_are_those_of_the_spans(asked: Asked) -> None:
    """The calls of a tool that ended in a range are the spans that say so, each call once."""
    start, end = asked.window.start, asked.window.end
    calls = {(one.agent, one.tool): one.calls for one in asked.store.tool_uses(start, end)}
    listed = asked.store.summaries(start=start, end=end, limit=EVERYTHING)
    agents = {one.trace_id: one.agent for one in listed}
    ended = Counter(
        (agents[trace], span.tool or span.name)
        for trace, spans in asked.traces().items()
        for span in spans
        if span.operation is Operation.TOOL and span.end_ns is not None and span.span_id not in repeats_of(spans)
    )
    assert {key: asked.store.callers(*key, start, end).calls for key in calls} == {key: ended[key] for key in calls}


def test_steps_without_texts_are_the_same_steps(asked: Asked) -> None:
    """Who called what, when and for how much is told alike, whether texts are asked for or not."""
    ids = [one.trace_id for one in asked.store.summaries(limit=200)]
    whole, light = asked.store.steps(ids), asked.store.light_steps([*ids, "0" * 32])
    bare = {"input": "", "output": ""}
    assert light == {key: tuple(replace(step, **bare) for step in steps) for key, steps in whole.items()}
    assert any(step.output for steps in whole.values() for step in steps)


def test_several_trajectories_are_those_that_are_there_in_the_order_asked(asked: Asked) -> None:
    """Asked for together they are what each is by itself; one that is not there is left out."""
    ids = [one.trace_id for one in asked.store.summaries(limit=5)]
    found = asked.store.trajectories([ids[3], "f" * 32, *ids])
    assert list(found) == list(dict.fromkeys([ids[3], *ids]))
    assert found == {trace_id: asked.store.trajectory(trace_id) for trace_id in ids}
    assert asked.store.trajectories([]) == asked.store.trajectories(["f" * 32]) == {}


def test_a_text_is_found_where_it_stands(asked: Asked) -> None:
    """A word of a tool's result is found in that span, whatever its case, and in no trajectory without it."""
    spoken = [span for span in asked.spans if span.operation is Operation.TOOL and len((span.output or "").split()) > 1]
    chosen = spoken[len(spoken) // 2]
    assert chosen.output is not None
    word = chosen.output.split()[0].strip('{":')
    hits = asked.store.search(word.upper(), trace_ids=[chosen.trace_id], limit=EVERYTHING)
    assert chosen.span_id in {hit.span_id for hit in hits}
    assert all(word.lower() in hit.excerpt.lower() for hit in hits)
    without = [
        trace
        for trace, spans in asked.traces().items()
        if not any(word.lower() in repr(span).lower() for span in spans)
    ][:5]
    # No ids at all would ask of everything.
    assert [asked.store.search(word, trace_ids=[trace], limit=EVERYTHING) for trace in without] == [[]] * len(without)


def test_what_is_not_there_is_said(asked: Asked) -> None:
    """An unknown id is an error of its own, for every way to ask by id; unknown agents and empty ranges are empty."""
    known = asked.store.resolve("latest")
    for ask in (
        lambda: asked.store.trajectory("f" * 32),
        lambda: asked.store.outline("f" * 32),
        lambda: asked.store.summary("f" * 32),
        lambda: asked.store.span("f" * 32, "1" * 16),
        lambda: asked.store.span(known, "f" * 16),
        lambda: asked.store.resolve("f" * 32),
        lambda: asked.store.search("a", trace_ids=["f" * 32]),
    ):
        with pytest.raises(NotFoundError):
            ask()
    start, end = asked.window.start, asked.window.end
    assert asked.store.steps(["f" * 32]).get("f" * 32, ()) == ()
    assert asked.store.usage("nobody", start, end) == []
    assert asked.store.summaries(agent="nobody") == []
    assert asked.store.count(end + timedelta(days=9), end + timedelta(days=10)) == (0, 0)
