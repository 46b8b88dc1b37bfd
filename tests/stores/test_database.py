"""What SQLite could not do, said with the next step."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from analyzer.errors import StoreBusyError, StoreError
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
