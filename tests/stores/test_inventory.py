"""The inventory of agents: from what is counted anyway, whole after deletion, right where spans come late."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from support.spans import EPOCH, chat, root, tool

from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.agents import KnownAgent, Sighted

DAY_S = 86_400


def at(seconds: float) -> datetime:
    """Return a moment of the made-up history."""
    return EPOCH + timedelta(seconds=seconds)


def run(number: int, *, at_s: float, agent: str = "shop", version: str = "1", **fields):
    """Return a trajectory of one inference and one call."""
    return [
        root(number, at_s=at_s, agent=agent, agent_version=version, **fields),
        chat(number, 2, at_s=at_s + 1),
        tool(number, 3, at_s=at_s + 2),
    ]


def test_an_agent_is_there_with_all_that_it_was_made_with(store: SqliteTrajectories) -> None:
    """First and last seen are those of its trajectories; versions come by the hour, tools by the day, latest first."""
    store.add(run(1, at_s=600))
    store.add(run(2, at_s=2 * DAY_S + 7200, version="2"))
    [found] = store.inventory()
    late = 2 * DAY_S + 7200
    model = Sighted("claude-sonnet-5-5", at(600), at(late))
    assert found == KnownAgent(
        "shop",
        first_seen=at(600),
        last_seen=at(late + 10),
        versions=(Sighted("2", at(late), at(late)), Sighted("1", at(600), at(600))),
        models=(model,),
        tools=(Sighted("lookup_order", at(0), at(2 * DAY_S)),),
    )


def test_an_agent_without_version_model_or_times_is_there_too(store: SqliteTrajectories) -> None:
    """Nothing but a name is enough, and the analyst itself is left out as everywhere."""
    store.add([root(1, agent="bare")])
    store.add([root(2, agent="timeless", start_ns=None, end_ns=None)])
    store.add([root(3, agent="analyzer")])
    assert store.inventory() == [
        KnownAgent("bare", at(0), at(10)),
        KnownAgent("timeless", None, None),
    ]


def test_what_was_seen_outlives_its_trajectories(store: SqliteTrajectories) -> None:
    """An agent whose trajectories were deleted is still known, with when it was seen and with what."""
    store.add(run(1, at_s=600))
    store.add([root(3, agent="bare", at_s=700)])
    before = {one.agent: one for one in store.inventory()}
    store.prune(at(DAY_S))
    after = {one.agent: one for one in store.inventory()}
    assert store.summaries() == []
    assert after["shop"].versions == before["shop"].versions
    assert after["shop"].tools == before["shop"].tools
    assert (after["shop"].first_seen, after["shop"].last_seen) == (at(600), at(600))
    assert (after["bare"].first_seen, after["bare"].last_seen) == (at(0), at(0))


def test_a_name_that_a_late_root_puts_right_leaves_no_trace(store: SqliteTrajectories) -> None:
    """Spans that came before their root counted for another name; once the root is there that one is gone."""
    store.add([chat(1, 2, at_s=1, agent="worker")])
    assert [one.agent for one in store.inventory()] == ["worker"]
    store.add([root(1, agent="shop")])
    assert [one.agent for one in store.inventory()] == ["shop"]


def test_a_store_that_cannot_be_written_answers_all_the_same(tmp_path: Path) -> None:
    """Hours that nobody counted yet are read for this once where nothing can be written."""
    with SqliteTrajectories(tmp_path / "store.db") as store:
        store.add(run(1, at_s=600))
    with SqliteTrajectories(tmp_path / "store.db", read_only=True) as reader:
        [found] = reader.inventory()
    assert [one.value for one in found.versions] == ["1"]
    assert (found.first_seen, found.last_seen) == (at(600), at(610))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 5 * DAY_S), st.sampled_from(["a", "b"]), st.sampled_from(["1", "2", "3"])),
        min_size=1,
        max_size=12,
    ),
    st.integers(0, 11),
)
def test_it_does_not_matter_when_anybody_looked(made, looks: int) -> None:
    """Whoever looks in between, and in whatever order trajectories come: the inventory is the same in the end."""
    runs = [run(n, at_s=s, agent=agent, version=version) for n, (s, agent, version) in enumerate(made, 1)]
    with SqliteTrajectories(":memory:") as once, SqliteTrajectories(":memory:") as often:
        once.add([span for spans in runs for span in spans])
        for number, spans in enumerate(reversed(runs)):
            often.add(spans)
            if number <= looks:
                often.inventory()
        found = once.inventory()
        assert found == often.inventory()
    for one in found:
        own = [(s, version) for s, agent, version in made if agent == one.agent]
        assert one.first_seen == at(min(s for s, _ in own))
        assert one.last_seen == at(max(s for s, _ in own) + 10)
        assert {seen.value for seen in one.versions} == {version for _, version in own}
