"""`analyzer store`, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.cli import analyzer
from support.spans import chat, history, root

from analyzer.stores.trajectories import SqliteTrajectories


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store with one run on each of ten minutes from midnight."""
    path = tmp_path / "store.db"
    with SqliteTrajectories(path) as opened:
        for number in range(1, 11):
            texts = [f"run {number}, message {i} " + "word " * 50 for i in range(6)]
            opened.add([chat(number, i + 2, at_s=number * 60, input=history(*texts[: i + 1])) for i in range(6)])
            opened.add([root(number, at_s=number * 60)])
    return path


def test_stats_for_people_and_for_programs(store: Path) -> None:
    """The same figures as lines and as one JSON document."""
    shown = analyzer("store", "stats", "--store", str(store))
    document = json.loads(analyzer("store", "stats", "--store", str(store), "--json").stdout)
    assert shown.code == 0
    assert "70 in 10 trajectories" in shown.stdout
    assert "times less than was sent" in shown.stdout
    assert "from, to      2026-11-16 00:01 UTC, 2026-11-16 00:10 UTC\n" in shown.stdout
    assert document["schema"] == "analyzer.store.stats/1"
    assert (document["spans"], document["rows"]["trajectories"]) == (70, 10)
    assert (document["oldest"], document["newest"]) == ("2026-11-16T00:01:10Z", "2026-11-16T00:10:10Z")
    assert document["sent_bytes"] > document["distinct_bytes"] > document["packed_bytes"] > 0


def test_stats_are_dated_by_the_fleet(store: Path) -> None:
    """The analyst's own runs lie in the store too, but no trajectory of the fleet is as late as they are."""
    with SqliteTrajectories(store) as opened:
        opened.add([root(99, at_s=86_400, agent="analyzer")])
    document = json.loads(analyzer("store", "stats", "--store", str(store), "--json").stdout)
    assert document["newest"] == "2026-11-16T00:10:10Z"


def test_stats_of_an_empty_store(tmp_path: Path) -> None:
    """An empty store has figures too, and no division by nothing."""
    SqliteTrajectories(tmp_path / "new.db").close()
    shown = analyzer("store", "stats", "--store", str(tmp_path / "new.db"))
    assert shown.code == 0
    assert "0 in 0 trajectories" in shown.stdout


@pytest.mark.parametrize(
    "command",
    [
        ("traces", "list"),
        ("traces", "show", "latest"),
        ("incidents", "list"),
        ("store", "stats"),
        ("change", "list"),
        ("why-not", "shop"),
        ("ask", "latest", "why?"),
    ],
)
def test_whoever_only_asks_makes_no_store(tmp_path: Path, command: tuple[str, ...]) -> None:
    """A misspelt path is exit 2 with the next step, and leaves nothing behind: it is no empty store."""
    path = tmp_path / "typo" / "s.db"
    ended = analyzer(*command, "--store", str(path))
    assert (ended.code, ended.stdout) == (2, "")
    here = "`analyzer ingest PATH` makes one, --store or ANALYZER_STORE names another"
    assert ended.stderr == f"analyzer: there is no store {path}: {here}\n"
    assert not path.parent.exists()


def test_the_catalogue_needs_no_store(tmp_path: Path) -> None:
    """What is looked for can be read before the first run, and reading it makes no store."""
    assert analyzer("detectors", "--store", str(tmp_path / "s.db")).code == 0
    assert list(tmp_path.iterdir()) == []


def test_prune_deletes_what_is_older(store: Path) -> None:
    """What ended longer ago than said is gone, the rest is there, and the command says how much it was."""
    arguments = ("--older-than", "5m", "--at", "2026-11-16T00:10:15Z", "--store", str(store))
    shown = analyzer("store", "prune", *arguments)
    assert shown.code == 0, shown.stderr
    assert "deleted 5 trajectories with 35 spans" in shown.stdout
    again = json.loads(analyzer("store", "prune", *arguments, "--json").stdout)
    assert again["schema"] == "analyzer.store.prune/1"
    assert again["before"] == "2026-11-16T00:05:15Z"
    assert (again["trajectories"], again["spans"], again["kept"]) == (0, 0, 0)
    listed = json.loads(analyzer("traces", "list", "--store", str(store), "--json").stdout)
    assert len(listed["traces"]) == 5


@pytest.mark.parametrize("age", ["", "30", "-1d", "soon"])
def test_an_age_that_is_none_deletes_nothing(store: Path, age: str) -> None:
    """A duration that cannot be read is a usage error, and the store is as it was."""
    ended = analyzer("store", "prune", "--older-than", age, "--store", str(store))
    assert ended.code == 2
    assert "Traceback" not in ended.stderr
    with SqliteTrajectories(store) as opened:
        assert len(opened.summaries()) == 10
