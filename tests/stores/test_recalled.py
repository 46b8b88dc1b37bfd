"""A store that remembers answers exactly as one that reads everything anew."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.spans import EPOCH, chat, root, tool

from analyzer.stores.cohorts import MEASURES
from analyzer.stores.recalled import RecallingTrajectories
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import Status

RUNS = 40


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SqliteTrajectories, RecallingTrajectories]]:
    """Runs of two agents, some without a cost, a version or a user, several that end in one moment."""
    path = tmp_path_factory.mktemp("store") / "a.db"
    with SqliteTrajectories(path) as plain:
        for run in range(RUNS):
            more = {"agent_version": str(run % 3)} if run % 4 else {}
            more |= {"user_id": f"user {run % 7}"} if run % 5 else {}
            at_s = 600 * (run // 2)
            failed = {"status": Status.ERROR} if run % 6 == 0 else {}
            usd = None if run % 8 == 0 else 0.1 * run + 0.003
            plain.add(
                [
                    root(run, at_s=at_s, agent="shop" if run % 9 else "help", **more, **failed),
                    chat(run, 2, at_s=at_s, cost_usd=usd, model=f"model {run % 2}"),
                    tool(run, 3, at_s=at_s),
                ]
            )
        with RecallingTrajectories(path, read_only=True) as recalling:
            yield plain, recalling


_MOMENTS = st.integers(-1, 13_000).map(lambda seconds: EPOCH + timedelta(seconds=seconds))


@settings(max_examples=200)
@given(
    st.sampled_from(("shop", "help", "nobody", None)),
    _MOMENTS,
    _MOMENTS,
    st.sampled_from(sorted(MEASURES)),
    st.none() | st.floats(0.01, 5),
    st.floats(0, 1),
)
def test_cohorts_and_percentiles_are_those_of_the_store(both, agent, start, end, measure, cap, share) -> None:
    """The same cohorts in the same order, to the last digit, of any range, measure and bound."""
    plain, recalling = both

    assert recalling.cohorts(agent, start, end, measure, capped_at=cap) == plain.cohorts(
        agent, start, end, measure, capped_at=cap
    )
    assert recalling.percentile(agent, start, end, measure, share) == plain.percentile(
        agent, start, end, measure, share
    )


def test_steps_are_those_of_the_store(both) -> None:
    """What was read before is given again, in the order asked for."""
    plain, recalling = both
    ids = [one.trace_id for one in plain.summaries(agent="shop", limit=5)]

    assert recalling.steps(ids) == plain.steps(ids)
    assert list(recalling.steps(ids[::-1])) == ids[::-1]
