"""Totals by agent, version, model, tool, user, outcome, day and hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.spans import chat, root, tool

from analyzer.stores.base import Totals
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import Outcome, Span, Status, Tokens

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START, END = EPOCH, EPOCH + timedelta(days=40_000)


def run(
    number: int, agent: str, *, cost: float | None, lasts_s: float = 10, day: int = 0, **fields: object
) -> list[Span]:
    """Return a run with one inference and two calls of a tool, one of which fails."""
    at_s = day * 86_400.0
    return [
        root(number, at_s=at_s, lasts_s=lasts_s, agent=agent, **fields),
        chat(number, 2, at_s=at_s + 1, model="m1" if number % 2 else "m2", tokens=Tokens(100, 20), cost_usd=cost),
        tool(number, 3, at_s=at_s + 2, lasts_s=0.5, tool="lookup", cost_usd=None, status=Status.OK),
        tool(number, 4, at_s=at_s + 3, lasts_s=1.5, tool="lookup", cost_usd=0.25, status=Status.ERROR),
    ]


@pytest.fixture
def filled(store: SqliteTrajectories) -> SqliteTrajectories:
    """Return a store with three runs of two agents, and one of the analyst itself."""
    store.add(run(1, "shop", cost=1.0, outcome=Outcome.SUCCESS, agent_version="1"))
    store.add(run(2, "shop", cost=None, lasts_s=20, outcome=Outcome.FAILURE, agent_version="2", user_id="u", day=1))
    store.add(run(3, "mail", cost=4.0, lasts_s=30, outcome=Outcome.SUCCESS, day=1))
    store.add(run(4, "analyzer", cost=9.0))
    return store


def by(store: SqliteTrajectories, grouping: str, **options: object) -> dict[str | None, Totals]:
    """Return the totals of everything by value, in their order."""
    return {one.value: one for one in store.totals(grouping, START, END, **options)}


def test_agents_add_up_models_and_tools(filled: SqliteTrajectories):
    """A trajectory's cost is that of its inferences and its tools; what has no price is counted; we are left out."""
    found = by(filled, "agent", order="cost")
    assert list(found) == ["mail", "shop"]
    shop = found["shop"]
    assert (shop.trajectories, shop.calls, shop.failed, shop.input_tokens, shop.output_tokens) == (2, 6, 1, 200, 40)
    assert (shop.cost_usd, shop.unpriced, shop.seconds) == (1.5, 1, 30.0)
    assert "analyzer" in by(filled, "agent", agents=["analyzer"])


def test_tools_and_models_are_counted_by_the_call(filled: SqliteTrajectories):
    """Calls, those that failed, the cost of those that have one, and how many have none."""
    lookup = by(filled, "tool")["lookup"]
    assert (lookup.trajectories, lookup.calls, lookup.failed) == (3, 6, 3)
    assert (lookup.cost_usd, lookup.unpriced, lookup.seconds, lookup.p95_s) == (0.75, 3, 6.0, 1.5)
    models = by(filled, "model")
    assert (models["m2"].cost_usd, models["m2"].unpriced) == (None, 1)
    assert models["m1"].cost_usd == 5.0


def test_totals_narrow_to_one_value(filled: SqliteTrajectories):
    """One version, user or outcome of some agents."""
    assert list(by(filled, "agent", where={"outcome": "success"})) == ["mail", "shop"]
    assert by(filled, "version", agents=["shop"], where={"user": "u"})["2"].trajectories == 1
    assert by(filled, "tool", agents=["shop"], where={"version": "1"})["lookup"].calls == 2


def test_days_and_hours_come_by_date(filled: SqliteTrajectories):
    """The calendar of UTC, in its order."""
    days = by(filled, "day", order="cost")
    assert [one.trajectories for one in days.values()] == [1, 2]
    assert list(days) == sorted(days, key=str)
    assert all(str(hour).endswith(":00Z") for hour in by(filled, "hour"))


def test_the_range_leaves_out_its_end(filled: SqliteTrajectories):
    """[start, end), by the end of the trajectory."""
    summary = filled.summaries(agent="mail")[0]
    ended = EPOCH + timedelta(microseconds=(summary.end_ns or 0) // 1000)
    assert not filled.totals("agent", START, ended, agents=["mail"])
    assert filled.totals("agent", ended, ended + timedelta(seconds=1), agents=["mail"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lasts=st.lists(st.integers(1, 500), min_size=1, max_size=40))
def test_the_percentile_is_the_stores_own(tmp_path_factory: pytest.TempPathFactory, lasts: list[int]):
    """The 95th percentile by a grouping is what `percentile` says of the same trajectories."""
    with SqliteTrajectories(tmp_path_factory.mktemp("totals") / "s.db") as store:
        for number, lasts_s in enumerate(lasts, 1):
            store.add([root(number, agent="shop", lasts_s=lasts_s)])
        found = store.totals("agent", START, END)[0]
        assert found.p95_s == store.percentile("shop", START, END, "latency", 0.95)
        assert found.seconds == sum(lasts)
