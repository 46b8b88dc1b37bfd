"""A store that remembers answers exactly as one that reads everything anew."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.spans import EPOCH, chat, root, tool

from analyzer.stores.base import Order
from analyzer.stores.cohorts import MEASURES
from analyzer.stores.recalled import RecallingTrajectories
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import Status

RUNS = 40
BEGIN_S = 80_000
"""After the first midnight: a third of the runs end before the next one."""


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SqliteTrajectories, RecallingTrajectories]]:
    """Runs of two agents, some without a cost, a version or a user, several that end in one moment."""
    path = tmp_path_factory.mktemp("store") / "a.db"
    with SqliteTrajectories(path) as plain:
        for run in range(RUNS):
            # Ids in another order than times: what is as large is sorted by them.
            number = 27 * run % RUNS
            more = {"agent_version": str(run % 3)} if run % 4 else {}
            more |= {"user_id": f"user {run % 7}"} if run % 5 else {}
            at_s = BEGIN_S + 600 * (run // 2)
            failed = {"status": Status.ERROR} if run % 6 == 0 else {}
            usd = None if run % 8 == 0 else 0.1 * run + 0.003
            agent = "shop" if run % 9 else "help"
            # Every eleventh never ends: its top span does not come.
            top = [root(number, at_s=at_s, agent=agent, **more, **failed)] if run % 11 else []
            named = {} if top else {"agent": agent}
            chatted = chat(number, 2, at_s=at_s, cost_usd=usd, model=f"model {run % 2}", **named)
            plain.add([*top, chatted, tool(number, 3, at_s=at_s)])
        # Room for few, so that what is forgotten is asked for again.
        with RecallingTrajectories(path, read_only=True, characters_max=200, summaries_max=10) as recalling:
            yield plain, recalling


_MOMENTS = st.integers(-1, 13_000).map(lambda seconds: EPOCH + timedelta(seconds=BEGIN_S + seconds))


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


@settings(max_examples=200)
@given(
    st.sampled_from(("shop", "help", "nobody", None)),
    st.none() | _MOMENTS,
    st.none() | _MOMENTS,
    st.sampled_from(get_args(Order)),
    st.booleans(),
    st.integers(0, RUNS),
)
def test_lists_are_those_of_the_store(both, agent, start, end, order, errors_only, limit) -> None:
    """The same summaries in the same order, whatever is asked for, known before or not."""
    plain, recalling = both
    asked = {"agent": agent, "start": start, "end": end, "order": order, "errors_only": errors_only, "limit": limit}

    assert recalling.summaries(**asked) == plain.summaries(**asked)


@settings(max_examples=100)
@given(_MOMENTS, _MOMENTS, st.sampled_from(("shop", "help", "nobody")))
def test_what_was_lost_and_used_is_that_of_the_store(both, start, end, agent) -> None:
    """The same shares of trajectories that never ended, and the same amounts, of any range and however often asked."""
    plain, recalling = both

    assert recalling.lost(start, end) == plain.lost(start, end)
    assert recalling.usage(agent, start, end) == plain.usage(agent, start, end) == recalling.usage(agent, start, end)


def test_what_was_read_is_not_asked_for_again(both) -> None:
    """A summary that is known is the same object in the next list, as far as there is room."""
    plain, _ = both
    with RecallingTrajectories(plain.connection.path, read_only=True) as recalling:
        first, again = (recalling.summaries(agent="shop", limit=limit) for limit in (8, 12))

    assert [one is other for one, other in zip(first, again, strict=False)] == [True] * 8


def test_steps_are_those_of_the_store(both) -> None:
    """What was read before is given again, in the order asked for."""
    plain, recalling = both
    ids = [one.trace_id for one in plain.summaries(agent="shop", limit=5)]

    assert recalling.steps(ids) == plain.steps(ids)
    assert list(recalling.steps(ids[::-1])) == ids[::-1]


@settings(max_examples=200)
@given(_MOMENTS)
def test_what_ran_at_a_moment_is_that_of_the_store(both, at) -> None:
    """Those that never ended among them, the longest running first."""
    plain, recalling = both
    assert recalling.running(at) == plain.running(at)
