"""`analyzer registry`, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

from support.cli import analyzer
from support.spans import chat, root, tool

from analyzer.stores.trajectories import SqliteTrajectories


def stored(folder: Path) -> tuple[str, str]:
    """Return the options for a store that has seen one agent with everything."""
    with SqliteTrajectories(folder / "store.db") as store:
        store.add([root(1, agent_version="2.4.0"), chat(1, 2), tool(1, 3)])
    return ("--store", str(folder / "store.db"))


def test_agents_are_listed_with_owner_and_budget(tmp_path: Path) -> None:
    """One line an agent: seen ones with when and with what, registered ones that are still to come as not yet seen."""
    store = stored(tmp_path)
    config = tmp_path / "analyzer.toml"
    config.write_text("[budgets.shop]\nusd_per_day = 20\n")
    said = analyzer("registry", "register", "later", "--owner", "team-b", *store)
    assert (said.code, said.stdout) == (0, "registered later: owner team-b; not seen in traces yet\n")
    assert analyzer("registry", "register", "shop", "--owner", "team-a", *store).stdout == (
        "registered shop: owner team-a\n"
    )
    listed = analyzer("registry", "list", *store, env={"ANALYZER_CONFIG": str(config)})
    assert listed.code == 0
    lines = [line.split("  ") for line in listed.stdout.splitlines()]
    rows = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert rows[0] == ["agent", "owner", "last seen", "first seen", "version", "model", "tools", "budget"]
    assert rows[2] == ["later", "team-b", "not yet", "not yet", "-", "-", "0", "-"]
    assert rows[3][:2] == ["shop", "team-a"]
    assert rows[3][4:] == ["2.4.0", "claude-sonnet-5-5", "1", "$20.00 a day"]


def test_one_agent_is_shown_whole(tmp_path: Path) -> None:
    """What people said, what was seen and when; the same as one JSON document."""
    store = stored(tmp_path)
    analyzer("registry", "register", "shop", "--contact", "jo@example.org", "--description", "sells", *store)
    shown = analyzer("registry", "show", "shop", *store).stdout
    for text in (
        "sells",
        "owner: nobody said",
        "contact: jo@example.org",
        "first seen: 2026-11-16 00:00 UTC",
        "budget: none set",
        "2.4.0",
        "lookup_order",
    ):
        assert text in shown
    document = json.loads(analyzer("registry", "show", "shop", "--json", *store).stdout)
    registered = document.pop("registered_at")
    assert registered.endswith("Z")
    assert document == {
        "schema": "analyzer.registry.agent/1",
        "agent": "shop",
        "seen": True,
        "first_seen": "2026-11-16T00:00:00Z",
        "last_seen": "2026-11-16T00:00:10Z",
        "owner": None,
        "contact": "jo@example.org",
        "description": "sells",
        "versions": [{"value": "2.4.0", "first": "2026-11-16T00:00:00Z", "last": "2026-11-16T00:00:00Z"}],
        "models": [{"value": "claude-sonnet-5-5", "first": "2026-11-16T00:00:00Z", "last": "2026-11-16T00:00:00Z"}],
        "tools": [{"value": "lookup_order", "first": "2026-11-16T00:00:00Z", "last": "2026-11-16T00:00:00Z"}],
        "budget": {
            "usd_per_day": None,
            "tokens_per_day": None,
            "usd_per_trajectory": None,
            "steps_per_trajectory": None,
            "retries_per_trajectory": None,
        },
    }
    listed = json.loads(analyzer("registry", "list", "--json", *store).stdout)
    assert listed["schema"] == "analyzer.registry/1"
    assert [one["agent"] for one in listed["agents"]] == ["shop"]


def test_a_name_that_is_not_known_is_refused_with_the_one_that_was_meant(tmp_path: Path) -> None:
    """A slip of the pen is exit 2 and names the agent like it."""
    refused = analyzer("registry", "show", "shpo", *stored(tmp_path))
    assert (refused.code, refused.stderr) == (2, "analyzer: no agent called 'shpo'; did you mean shop?\n")


def test_registering_nothing_is_refused(tmp_path: Path) -> None:
    """Without anything to say there is no entry, and no store is made."""
    path = tmp_path / "none.db"
    refused = analyzer("registry", "register", "shop", "--store", str(path))
    assert (refused.code, path.exists()) == (2, False)
    assert "analyzer registry register shop --owner team-a" in refused.stderr


def test_an_empty_store_says_what_brings_agents(tmp_path: Path) -> None:
    """Nothing seen and nothing said is no error."""
    SqliteTrajectories(tmp_path / "store.db").close()
    listed = analyzer("registry", "list", "--store", str(tmp_path / "store.db"))
    assert (listed.code, listed.stdout) == (
        0,
        "no agent was seen or registered yet (`analyzer ingest PATH` brings traces)\n",
    )
