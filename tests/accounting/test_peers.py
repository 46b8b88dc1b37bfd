"""Healthy peers: the same kind of task, before the onset, near in time, and well."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.incidents import finding
from support.spans import EPOCH, chat, root, trace_id

from analyzer.accounting.examine import examine
from analyzer.accounting.peers import HEALTHY, peers_of
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.report import Kind
from analyzer.types.trace import Outcome, Span, Status, Tokens

ONSET = EPOCH + timedelta(hours=10)
REFUND, REPORT = "Refund order A-{n} for a customer", "Write the weekly report on sales of region {n}"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteTrajectories]:
    """Give an empty store."""
    with SqliteTrajectories(tmp_path / "store.db") as opened:
        yield opened


def worked(number: int, at_h: float, goal: str = REFUND, *, tokens: int = 1000, **fields: Any) -> list[Span]:
    """Return a run of the shop on a task that ends ten seconds after an hour; it succeeds."""
    said = {"outcome": Outcome.SUCCESS, "agent_version": "1", **fields}
    goal = goal.format(n=number)
    used = {"tokens": Tokens(input=tokens, output=0), "cost_usd": tokens * 1e-6, "input": goal}
    return [root(number, at_s=at_h * 3600, input=goal, **said), chat(number, 2, at_s=at_h * 3600, **used)]


def healthy(store: SqliteTrajectories, *runs: list[Span]) -> tuple[int, ...]:
    """Return the numbers of the peers of a dear refund after the onset, which runs as number 500."""
    store.add([span for run in (*runs, worked(500, 11, tokens=9000, agent_version="2")) for span in run])
    found = finding(Kind.COST, "shop", onset=ONSET, onset_low=ONSET, onset_high=ONSET)
    known = examine(store, found, at=EPOCH + timedelta(hours=12), history_start=EPOCH)
    assert known.trace_ids[0] == trace_id(500)
    return tuple(int(one, 16) for one in known.healthy_trace_ids)


def test_peers_had_the_same_kind_of_task(store: SqliteTrajectories) -> None:
    """Runs on another kind are no comparison, though they cost what most do and are nearer in time."""
    reports = [worked(number, 9 + number / 100, REPORT, tokens=1000) for number in range(20, 30)]
    assert healthy(store, *reports, worked(1, 2), worked(2, 5)) == (2, 1)


def test_the_nearest_before_the_onset_come_first(store: SqliteTrajectories) -> None:
    """At most three; what came after the onset is no measure of before."""
    assert healthy(store, *(worked(number, number) for number in range(1, 8)), worked(20, 10.5)) == (7, 6, 5)
    assert HEALTHY == 3


@pytest.mark.parametrize(
    "unwell",
    [
        {"outcome": Outcome.FAILURE},
        {"outcome": Outcome.UNKNOWN, "status": Status.ERROR},
        {"tokens": 5000},
        {"tokens": 300},
    ],
    ids=["missed its goal", "broke", "ran away", "gave up early"],
)
def test_a_run_that_did_not_do_well_is_no_peer(store: SqliteTrajectories, unwell: dict[str, Any]) -> None:
    """It succeeded, without an error, with about the tokens that most take on such a task."""
    assert healthy(store, worked(1, 1), worked(2, 2), worked(3, 3), worked(9, 9, **unwell)) == (3, 2, 1)


def test_the_version_of_the_worst_is_compared_with_itself_first(store: SqliteTrajectories) -> None:
    """A run of the same version that did well shows most; else the version before has to do."""
    assert healthy(store, worked(1, 1, agent_version="2"), worked(2, 8), worked(3, 9)) == (1, 3, 2)


def test_without_a_run_on_that_task_any_that_did_well_has_to_do(store: SqliteTrajectories) -> None:
    """A kind of task that is new has no peers; something to hold beside it is better than nothing."""
    assert healthy(store, worked(1, 1, REPORT), worked(2, 2, REPORT)) == (2, 1)


def test_whoever_asks_about_a_run_gets_peers_of_its_task(store: SqliteTrajectories) -> None:
    """`analyzer ask` compares with the latest that did well on the same kind of task, not with the run itself."""
    for run in (worked(1, 1), worked(2, 2), worked(3, 3, REPORT), worked(4, 4)):
        store.add(run)
    asked = store.trajectory(trace_id(2)).summary
    assert peers_of(store, asked) == (trace_id(4), trace_id(1))
