"""Killed between any two calls of SQLite, the store loses nothing it had, holds nothing twice, and goes on."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.spans import EPOCH, trace_id
from support.stores import SCHEMAS, dangling, restored, run, spans_of, told

from analyzer.stores.trajectories import SqliteTrajectories

KILLS = 20
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork to kill a process at a chosen call")


def killed_at(call: int, work: Callable[[], None]) -> bool:
    """Do some work in a process that is killed by SIGKILL before its n-th call of SQLite; return whether it was."""
    child = os.fork()
    if child == 0:
        count = 0

        def counted(_frame: object, event: str, called: Any) -> None:
            nonlocal count
            if event == "c_call" and isinstance(getattr(called, "__self__", None), sqlite3.Connection | sqlite3.Cursor):
                count += 1
                if count >= call:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(counted)
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def fresh(original: Path, folder: Path) -> Path:
    """Return a copy of a store, without what an earlier try left beside it."""
    for old in folder.glob("copy.db*"):
        old.unlink()
    return Path(shutil.copy(original, folder / "copy.db"))


def kills(work: Callable[[], None], original: Path, folder: Path) -> Iterator[None]:
    """Kill some work on a copy of a store at about `KILLS` of its calls, the first and last ones among them."""

    def killed(call: int) -> bool:
        fresh(original, folder)
        return killed_at(call, work)

    low, high = 1, 2
    while killed(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if killed(middle) else (low, middle)
    for call in sorted({1, 2, *range(1, low, max(1, low // KILLS)), low - 1, low} - {0}):
        assert killed(call)
        yield


def test_killed_while_spans_come_in(tmp_path: Path) -> None:
    """A batch is there whole or not at all, and sent again the store is as if nothing had happened."""
    original = tmp_path / "original.db"
    with SqliteTrajectories(original) as store:
        store.add(run(1, 100))
        before = store.trajectory(trace_id(1))
    copy = tmp_path / "copy.db"

    def work() -> None:
        with SqliteTrajectories(copy) as store:
            store.add([*run(2, 200), *run(3, 300)])

    for _ in kills(work, original, tmp_path):
        with SqliteTrajectories(copy) as store:
            assert len(store.summaries()) in {1, 3}
            assert store.trajectory(trace_id(1)) == before
            added = store.add([*run(2, 200), *run(3, 300)])
            assert added.spans_new + added.spans_known == 12
            assert [store.trajectory(trace_id(number)).summary.spans for number in (2, 3)] == [6, 6]
            assert dangling(store) == [set(), set(), set(), []]


def test_killed_while_old_trajectories_are_deleted(tmp_path: Path) -> None:
    """What is to stay is whole at every moment, and the next pass leaves what an undisturbed one would have left."""
    original = tmp_path / "original.db"
    with SqliteTrajectories(original) as store:
        for number in range(1, 6):
            store.add(run(number, number * 100))
        stays = [store.trajectory(trace_id(number)) for number in (4, 5)]
    copy, cut = tmp_path / "copy.db", EPOCH + timedelta(seconds=400)

    def work() -> None:
        with SqliteTrajectories(copy) as store:
            store.prune(cut)

    for _ in kills(work, original, tmp_path):
        with SqliteTrajectories(copy) as store:
            assert [store.trajectory(trace_id(number)) for number in (4, 5)] == stays
            # Whatever is listed can be read.
            assert all(store.trajectory(one.trace_id).summary == one for one in store.summaries())
            store.prune(cut)
            assert [one.trace_id for one in store.summaries()] == [trace_id(5), trace_id(4)]
            assert dangling(store) == [set(), set(), set(), []]


@pytest.mark.parametrize("dump", SCHEMAS, ids=lambda path: path.stem)
def test_killed_while_a_store_is_brought_up_to_date(dump: Path, tmp_path: Path) -> None:
    """The old store is as it was, the next opening converts it, and it says what it would have said."""
    original = restored(dump, tmp_path)
    with SqliteTrajectories(tmp_path / "new.db") as store:
        for number in (1, 2, 3):
            store.add(spans_of(number))
        expected = told(store)
    copy = tmp_path / "copy.db"

    def work() -> None:
        SqliteTrajectories(copy).close()

    for _ in kills(work, original, tmp_path):
        with SqliteTrajectories(copy) as store:
            assert told(store) == expected
