"""`analyzer change`, as a user runs it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from support.cli import analyzer
from support.spans import EPOCH, root

from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.report import Change

AT = "2026-11-16T06:00:00Z"


def test_a_change_is_recorded_listed_and_removed(tmp_path: Path) -> None:
    """What was added is listed with its number, and gone once it is removed; the same again is no second one."""
    store = ("--store", str(tmp_path / "store.db"))
    added = analyzer("change", "add", "deploy 2.4.0", "--agent", "shop", "--at", AT, *store)
    assert (added.code, added.stdout) == (0, "recorded 1: deploy 2.4.0, shop, 2026-11-16 06:00 UTC\n")
    assert analyzer("change", "add", "deploy 2.4.0", "--agent", "shop", "--at", AT, *store).stdout == added.stdout
    analyzer("change", "add", "maintenance", "--at", AT, *store)
    assert analyzer("change", "list", *store).stdout == (
        "2: maintenance, every agent, 2026-11-16 06:00 UTC\n1: deploy 2.4.0, shop, 2026-11-16 06:00 UTC\n"
    )
    assert json.loads(analyzer("change", "list", "--json", *store).stdout)["changes"][1] == {
        "id": 1, "agent": "shop", "what": "deploy", "to": "2.4.0", "at": AT,
    }  # fmt: skip
    assert analyzer("change", "remove", "1", *store).stdout == "removed change 1\n"
    gone = analyzer("change", "remove", "1", *store)
    assert gone.code != 0
    assert "no change 1" in gone.stderr


def test_nothing_is_no_change(tmp_path: Path) -> None:
    """An empty text is refused with an example; a store without changes says how to add one."""
    SqliteTrajectories(tmp_path / "store.db").close()
    store = ("--store", str(tmp_path / "store.db"))
    refused = analyzer("change", "add", " ", *store)
    assert refused.code == 2
    assert 'analyzer change add "deploy 2.4.0"' in refused.stderr
    assert "no change is recorded" in analyzer("change", "list", *store).stdout


def test_recorded_changes_are_changes_of_their_agent(tmp_path: Path) -> None:
    """What was told of an agent, or of all, stands among its changes; what was told of another does not."""
    path = tmp_path / "store.db"
    with SqliteTrajectories(path) as opened:
        opened.add([root(1)])
    for text, agent in (("deploy 2", "shop"), ("deploy 3", "other"), ("flag new-search on", None)):
        of = ("--agent", agent) if agent else ()
        analyzer("change", "add", text, *of, "--at", AT, "--store", str(path))
    with SqliteTrajectories(path) as opened:
        found = opened.changes("shop", EPOCH, EPOCH + timedelta(days=1))
    at = EPOCH + timedelta(hours=6)
    assert found == [Change("deploy", None, "2", at), Change("flag", None, "new-search on", at)]
