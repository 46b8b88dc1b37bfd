"""Stores of every released version open, are brought up to date, and say what they said."""

from __future__ import annotations

import multiprocessing
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.incidents import incident
from support.spans import EPOCH, chat, history, root, trace_id
from support.stores import SCHEMAS, restored, spans_of, told

from analyzer.errors import StoreError
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.metric import Signal
from analyzer.types.report import Kind, Severity, State
from analyzer.types.sent import Reason, Sent


@pytest.mark.parametrize("dump", SCHEMAS, ids=lambda path: path.stem)
def test_an_older_store_says_what_it_said(dump: Path, tmp_path: Path) -> None:
    """A store of an older release is migrated, and trajectories, steps, series and search answer as in a new one."""
    old = SqliteTrajectories(restored(dump, tmp_path))
    new = SqliteTrajectories(tmp_path / "new.db")
    for number in (1, 2, 3):
        new.add(spans_of(number))
    ids = [trace_id(number) for number in (1, 2, 3)]
    end = EPOCH + timedelta(days=1)
    assert told(old) == told(new)
    assert [old.steps([one])[one][:3] for one in ids] == [new.steps([one])[one][:3] for one in ids]
    assert old.series(EPOCH, end) == new.series(EPOCH, end)
    assert old.usage("shop", EPOCH, end) == new.usage("shop", EPOCH, end)
    assert old.search("let me look") == new.search("let me look")
    assert old.stats().sent_bytes == pytest.approx(new.stats().sent_bytes, abs=100)
    old.close()
    new.close()


@pytest.mark.parametrize("dump", SCHEMAS, ids=lambda path: path.stem)
def test_an_older_store_works_on(dump: Path, tmp_path: Path) -> None:
    """In a migrated store the same spans are known, new ones go in, and old ones can be deleted."""
    store = SqliteTrajectories(restored(dump, tmp_path))
    assert store.add(spans_of(1)).spans_new == 0
    store.add([chat(1, 9, at_s=8, input=history("hello", "let me look", "what now"))])
    assert store.trajectory(trace_id(1)).summary.spans == 6
    store.add([root(7, at_s=5000)])
    done = store.prune(EPOCH + timedelta(seconds=4000))
    assert (done.trajectories, done.spans) == (3, 16)
    assert [one.trace_id for one in store.summaries()] == [trace_id(7)]
    store.close()
    SqliteTrajectories(store.connection.path).close()


def test_an_older_store_that_is_only_read_says_what_brings_it_up_to_date(tmp_path: Path) -> None:
    """A reader cannot migrate, and a table that is missing alone tells nobody what to do."""
    path = tmp_path / "store.db"
    SqliteTrajectories(path).close()
    raw = sqlite3.connect(path)
    with raw:
        raw.execute("DROP TABLE looked")
        raw.execute("DELETE FROM _sqlite_migrations WHERE name = 'm022_looked'")
    raw.close()
    with (
        SqliteTrajectories(path, read_only=True) as store,
        pytest.raises(StoreError, match=r"no such table: looked; .* an earlier release .* by `analyzer store stats`"),
        store.connection.reading() as reader,
    ):
        reader.execute("SELECT * FROM looked")
    SqliteTrajectories(path).close()
    with SqliteTrajectories(path, read_only=True) as store, store.connection.reading() as reader:
        assert reader.execute("SELECT * FROM looked").fetchall() == []


def opened(path: Path, number: int) -> None:
    """Open a store and put something in, in another process."""
    with SqliteTrajectories(path) as store:
        store.add(spans_of(number))


def test_processes_that_open_a_new_file_at_once_all_succeed(tmp_path: Path) -> None:
    """Four processes make the same store at the same moment: one creates the tables, all write."""
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "store.db"
    workers = [context.Process(target=opened, args=(path, number)) for number in (1, 2, 3, 4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    with SqliteTrajectories(path) as store:
        assert [store.trajectory(trace_id(number)).summary.spans for number in (1, 2, 3, 4)] == [5, 5, 5, 5]


def test_what_tools_cost_is_added_up_in_an_older_store(tmp_path: Path) -> None:
    """A store that knew the cost of tool calls only span by span shows it per trajectory after the migration."""
    path = restored(SCHEMAS[0], tmp_path)
    raw = sqlite3.connect(path)
    raw.execute("UPDATE spans SET cost_usd = 0.25 WHERE operation = 'execute_tool'")
    raw.commit()
    raw.close()
    with SqliteTrajectories(path) as store:
        assert [one.tool_cost_usd for one in store.summaries()] == [0.25, 0.25, 0.25]


def test_what_was_said_by_an_older_release_is_still_known(tmp_path: Path) -> None:
    """A message whose kind and agents nobody kept is read without them; a new one is read as it was recorded."""
    old = Sent(Reason.FIRST_SEEN, EPOCH, State.OPEN, Severity.HIGH, 0.31)
    new = replace(old, kind=Kind.COST, figures=(("a", 0.31), ("b", None)))
    with SqliteTrajectories(tmp_path / "s.db") as store:
        kept = SqliteIncidents(store.connection)
        kept.save_incidents([incident()], run_trace_id="")
        name = incident().id
        kept.record_sent("slack", {name: new})
        assert kept.last_sent(name, "slack") == new
        with store.connection.writing() as raw:
            raw.execute("UPDATE deliveries SET kind = NULL, figures = NULL")
        assert kept.last_sent(name, "slack") == old


def test_the_analysts_runs_of_an_older_store_are_counted_once(tmp_path: Path) -> None:
    """All but those of the first hour, which a deletion may have left alone there; the fleet's counts stay the same."""
    end = EPOCH + timedelta(hours=5)
    store = SqliteTrajectories(tmp_path / "store.db")
    for number, agent in enumerate(("shop", "analyzer", "analyzer", "shop", "analyzer"), start=1):
        store.add([root(number, at_s=1800 * number, agent=agent)])
    fleet = store.series(EPOCH, end)
    with store.connection.writing() as raw:
        raw.execute("DELETE FROM rollups WHERE agent = 'analyzer'")
        raw.execute("DELETE FROM stale_hours")
        raw.execute("DELETE FROM _sqlite_migrations WHERE name = 'm018_own_runs'")
    store.close()
    for _ in range(2):
        with SqliteTrajectories(tmp_path / "store.db") as again:
            own = [one for one in again.series(EPOCH, end, agent="analyzer") if one.signal is Signal.ERRORS]
            assert [sum(one.count) for one in own] == [1.0]
            assert again.series(EPOCH, end) == fleet
