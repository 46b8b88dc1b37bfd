"""What SQLite could not do, said with the next step."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

import pytest

from analyzer.errors import StoreBusyError, StoreError
from analyzer.stores import database
from analyzer.stores.database import Connection, translated


def test_a_store_that_may_only_be_read_says_how_to_mend_it(tmp_path: Path) -> None:
    """Writing into a store that takes no writes names the file and what to do."""
    connection = Connection(tmp_path / "s.db")
    connection.raw.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match=r"s.db cannot be written.*make the file and its folder writable"):
        connection.secret("masking")
    connection.close()


def test_a_part_that_fails_is_undone_alone(tmp_path: Path) -> None:
    """What failed inside a transaction leaves nothing, and the transaction around it goes on."""
    connection = Connection(tmp_path / "s.db")

    def fail() -> None:
        with connection.writing() as inner:
            inner.execute("INSERT INTO meta VALUES ('lost', 1)")
            raise ValueError("no")

    with connection.writing() as raw:
        raw.execute("INSERT INTO meta VALUES ('kept', 1)")
        with pytest.raises(ValueError, match="no"):
            fail()
        with connection.writing() as inner:
            inner.execute("INSERT INTO meta VALUES ('also kept', 1)")
    with connection.reading() as raw:
        assert [row[0] for row in raw.execute("SELECT name FROM meta WHERE name LIKE '%kept' OR name = 'lost'")] == [
            "also kept",
            "kept",
        ]
    connection.close()


@pytest.mark.parametrize(
    ("said", "kind", "hint"),
    [
        ("database is locked", StoreBusyError, "try again in a moment"),
        ("attempt to write a readonly database", StoreError, "or set ANALYZER_STORE to one that is"),
        ("unable to open database file", StoreError, "make the file and its folder writable"),
        ("database or disk is full", StoreError, "make room on its disk"),
        ("disk I/O error", StoreError, "check its disk"),
        ("no such table: spans", StoreError, "`analyzer doctor` checks it"),
    ],
)
def test_every_failure_of_the_store_has_a_next_step(said: str, kind: type[StoreError], hint: str) -> None:
    """SQLite's own words are kept, and what to do is added."""
    with pytest.raises(kind, match=hint), translated(Path("s.db")):
        raise sqlite3.OperationalError(said)


def _log(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _write(connection: Connection, number: int) -> None:
    with connection.writing() as raw:
        raw.execute("INSERT INTO meta VALUES (?, zeroblob(100000))", (f"n{number}",))


def test_readers_that_take_turns_do_not_let_the_log_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where at every moment somebody reads, SQLite by itself never begins its log anew; a writer waits for that now."""
    monkeypatch.setattr(database, "LOG_BYTES", 1 << 20)
    # On a machine with no time to spare it may take a few waits.
    monkeypatch.setattr(database, "LOG_WAIT_MS", 2_000)
    monkeypatch.setattr(database, "LOG_REST_S", 0)
    path = tmp_path / "s.db"
    ended = threading.Event()
    taken = threading.Semaphore(0)

    def read() -> None:
        connection = Connection(path)
        while not ended.is_set():
            with connection.reading() as raw:
                raw.execute("SELECT COUNT(*) FROM meta").fetchone()
                taken.release()
                ended.wait(0.03)
        connection.close()

    writer = Connection(path)
    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    largest = 0
    for number in range(100):
        # Between two writes a new reader has come.
        taken.acquire()
        _write(writer, number)
        largest = max(largest, _log(path).stat().st_size)
    ended.set()
    for reader in readers:
        reader.join()
    writer.close()
    assert largest < 6 << 20


def test_a_reader_that_stays_is_waited_for_once_in_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long read sees what it saw and costs the writer one short wait, not one a commit; after it the log is cut."""
    monkeypatch.setattr(database, "LOG_BYTES", 1 << 20)
    monkeypatch.setattr(database, "LOG_WAIT_MS", 1)
    monkeypatch.setattr(database, "LOG_REST_S", 3600)
    path = tmp_path / "s.db"
    waits: list[str] = []
    writer, reader = Connection(path), Connection(path)
    writer.raw.set_trace_callback(lambda said: waits.append(said) if "wal_checkpoint" in said else None)
    with reader.reading() as raw:
        before = raw.execute("SELECT COUNT(*) FROM meta").fetchone()
        for number in range(50):
            _write(writer, number)
        assert raw.execute("SELECT COUNT(*) FROM meta").fetchone() == before
    assert len(waits) == 1
    assert _log(path).stat().st_size > 4 << 20
    monkeypatch.setattr(time, "monotonic", lambda: 1e12)
    _write(writer, 50)
    assert _log(path).stat().st_size == 0
    assert writer.raw.execute("PRAGMA busy_timeout").fetchone() == (database.BUSY_TIMEOUT_MS,)
    reader.close()
    writer.close()
