"""Collecting: what a run looks at, and what it says of what it could not see."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.spans import EPOCH, chat, root, tool, trace_id

from analyzer.errors import MetricsError
from analyzer.metrics.series import chosen
from analyzer.metrics.window import Reach, before, collect, learning_agents
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.metric import Signal
from analyzer.types.report import Gap

AT = EPOCH + timedelta(days=3)
REACH = Reach(AT, timedelta(days=1), timedelta(days=28))


class Dead:
    """A Prometheus that does not answer."""

    def query(self, promql, at):
        """Raise."""
        raise MetricsError("Prometheus at http://x did not answer")

    def query_range(self, promql, start, end, step_s):
        """Raise."""
        raise MetricsError("Prometheus at http://x did not answer")

    def exemplars(self, promql, start, end):
        """Raise."""
        raise MetricsError("Prometheus at http://x did not answer")


@pytest.fixture
def store(tmp_path: Path):
    """Give an empty store."""
    with SqliteTrajectories(tmp_path / "s.db") as opened:
        yield opened


def looping(number: int, at_s: float, calls: int = 4) -> list:
    """Return a trajectory that calls one tool several times."""
    return [root(number, at_s=at_s), *[tool(number, 2 + i, at_s=at_s + i) for i in range(calls)]]


def test_only_trajectories_of_the_window_that_repeat_something_are_suspects(store: SqliteTrajectories) -> None:
    """Older ones were judged by earlier runs, and one call is no loop."""
    in_window = 2.5 * 86_400
    store.add([*looping(1, in_window), *looping(2, in_window, calls=2), *looping(3, 3600)])
    window = collect(store, None, {}, REACH)
    assert set(window.suspects) == {trace_id(1)}
    assert window.summaries[trace_id(1)].tool_calls == 4
    assert window.gaps == ()


def test_texts_that_could_not_be_read_are_not_said_to_be_too_many(store: SqliteTrajectories) -> None:
    """A place of texts that does not answer is no matter of size: another --lookback would change nothing."""
    in_window = 2.5 * 86_400
    store.add_light(looping(1, in_window))
    store.add(looping(2, in_window))
    store.elsewhere.heard()
    window = collect(store, None, {}, REACH)
    assert set(window.suspects) == {trace_id(2)}
    assert window.gaps == (
        Gap(
            "loops",
            "the texts of 1 of 2 trajectories that repeat a call could not be read",
            "they are not looked at; where their texts lie does not answer, or has them no longer",
        ),
    )


def test_a_store_that_was_never_filled_names_the_way_that_is_set(store: SqliteTrajectories) -> None:
    """A fleet that is followed in another database is not told to read files in."""
    wanted = ["`analyzer ingest PATH`", "`analyzer store follow`"]
    reaches = [REACH, replace(REACH, filled_by=wanted[1])]
    assert [collect(store, None, {}, one).gaps[0].hint for one in reaches] == [f"{one} puts some in" for one in wanted]


def test_the_history_of_an_agent_is_what_repeats_before_the_window(store: SqliteTrajectories) -> None:
    """Where a loop may have begun: the agent's own trajectories that repeat something, and no series."""
    store.add([*looping(1, 2.5 * 86_400), *looping(2, 3600), *looping(3, 7200, calls=2)])
    store.add([root(4, agent="other", at_s=3600), *[tool(4, 2 + i, at_s=3600 + i) for i in range(4)]])
    earlier = before(store, {"shop"}, REACH)
    assert set(earlier.suspects) == {trace_id(2)}
    assert (earlier.end, earlier.series) == (AT - timedelta(days=1), ())


def test_a_dead_prometheus_is_a_gap_and_the_store_takes_its_place(store: SqliteTrajectories) -> None:
    """The run goes on from the trajectories, and says which part it could not see."""
    store.add([root(1, at_s=2.5 * 86_400), chat(1, 2, at_s=2.5 * 86_400)])
    window = collect(store, Dead(), {"cost": ("x",), "trajectories": ("y",), "errors": ("z",)}, REACH)
    assert [gap.what for gap in window.gaps] == ["metrics from Prometheus"]
    assert {series.source for series in window.series} == {"store"}


def test_nothing_at_all_in_the_window_is_a_gap_that_says_what_to_do(store: SqliteTrajectories) -> None:
    """A dead exporter must not look like a quiet day; old data is found with the `--at` that the hint names."""
    store.add([root(1, at_s=3600)])
    [gap] = collect(store, None, {}, REACH).gaps
    assert "the latest trajectory ended at 2026-11-16 01:00 UTC" in gap.why
    assert "--at 2026-11-16T01:15:10Z" in gap.hint


def test_agents_that_are_too_new_to_be_judged_are_known(store: SqliteTrajectories) -> None:
    """Three days of history are needed before a rise can be told from how an agent is."""
    store.add(
        [root(1, at_s=2 * 86_400, agent="new"), root(2, at_s=-86_400, agent="old"), root(3, at_s=86_400, agent="old")]
    )
    assert learning_agents(collect(store, None, {}, REACH)) == ["new"]


def test_unpriced_models_are_a_gap_that_names_models_calls_and_agents(store: SqliteTrajectories) -> None:
    """A cost that nobody knows can triple without anyone seeing it: every run says whose, and how to set the price."""
    late = 2.5 * 86_400
    store.add([root(1, at_s=late), chat(1, 2, at_s=late, model="mystery-1", cost_usd=None)])
    store.add([root(2, at_s=late), chat(2, 2, at_s=late), chat(2, 3, at_s=late, model="mystery-1", cost_usd=None)])
    store.add([root(3, at_s=late), chat(3, 2, at_s=late)])
    store.add([root(4, at_s=late, agent="dark"), chat(4, 2, at_s=late, model="own-2", cost_usd=None)])
    store.add([root(5, at_s=3600, agent="old"), chat(5, 2, at_s=3600, model="long-gone", cost_usd=None)])
    [gap] = collect(store, None, {}, REACH).gaps
    assert gap.what == "cost"
    assert gap.why == (
        "no price is known for mystery-1 (2 calls: shop in 2 trajectories); own-2 (1 calls: dark in 1 trajectories)."
        " Costs are judged without it: dark has no known cost at all; shop by 2 of 3 trajectories"
    )
    assert "[prices]" in gap.hint
    assert "docs/prices.md" in gap.hint


def test_a_price_that_was_set_is_no_rise_and_said(store: SqliteTrajectories) -> None:
    """Calls that had no price and have one now bring their cost in: known costs before and after do not compare."""
    for number in range(1, 41):
        at_s = number * 7_000 - 86_400
        cost = 0.01 if at_s > 2 * 86_400 else None
        spans = [root(number, at_s=at_s), chat(number, 2, at_s=at_s), chat(number, 3, at_s=at_s, cost_usd=cost)]
        store.add(spans)
    [gap] = collect(store, None, {}, REACH).gaps
    assert gap.what == "cost"
    assert "shop (50 % of its calls before, 0 % now)" in gap.why


def test_trajectories_of_unknown_cost_were_seen_all_the_same(store: SqliteTrajectories) -> None:
    """Counters hold 0 for what has no price: the store's series stays, though it has a cost of only half the runs."""
    store.add([root(1), chat(1, 2), root(2), chat(2, 2, cost_usd=None)])
    [own] = [one for one in store.series(EPOCH, EPOCH + timedelta(days=1)) if one.signal is Signal.COST]
    metered = replace(own, source="prometheus", count=[2 * n for n in own.count], unpriced=None, sketches=None)
    assert chosen([own], [metered]) == [own]


def test_more_trajectories_than_one_run_looks_at_are_said(
    store: SqliteTrajectories, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many more nobody counted; that some were not looked at is what a reader must know."""
    monkeypatch.setattr("analyzer.metrics.window.SUSPECTS_MAX", 2)
    for number in (1, 2, 3):
        store.add(looping(number, 2.5 * 86_400, calls=3 + number))
    window = collect(store, None, {}, REACH)
    assert set(window.suspects) == {trace_id(2), trace_id(3)}
    why = "more than 2 trajectories repeat a call, and only the 2 that repeat most were looked at"
    assert window.gaps == (Gap("loops", why, "run with a shorter --lookback"),)
