"""Whose an agent is, from the registry to everything that a run says, keeps and files."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli import Ended, analyzer
from support.drawn import REVIEWER, looping, stored
from support.http import Answer, loopback
from support.incidents import ONSET, incident

from analyzer.pipeline.owned import owned
from analyzer.stores.audit import SqliteAudit
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.report import Subject
from analyzer.types.shared import Part

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SOON = timedelta(minutes=15)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with five days of two agents; `billing` loops on the last day."""
    fleet = looping(NOW, days=5, beside=(REVIEWER,))
    return stored(fleet, tmp_path_factory.mktemp("owners") / "store.db")


@pytest.fixture
def store(filled: Path, tmp_path: Path) -> Path:
    """Return a copy of the filled store."""
    copy = tmp_path / "store.db"
    copy.write_bytes(filled.read_bytes())
    return copy


def register(path: Path, owner: str) -> None:
    """Enter whose `billing` is."""
    assert analyzer("registry", "register", "billing", "--owner", owner, "--store", str(path)).code == 0


def run(path: Path, *extra: str, at: datetime = NOW, **env: str) -> Ended:
    """Run one pass."""
    ended = analyzer("run", "--at", at.isoformat(), "--store", str(path), "--llm", "off", *extra, env=env)
    assert ended.code in {0, 3}, ended.stderr
    return ended


def the_loop(path: Path, at: datetime = NOW) -> dict[str, Any]:
    """Run one pass, and return the loop's document in its report."""
    [one] = [one for one in json.loads(run(path, "--json", at=at).stdout)["incidents"] if one["kind"] == "loop"]
    return one


def test_an_owner_is_named_in_all_that_a_run_says_and_keeps(store: Path) -> None:
    """Message, webhook, report files, `incidents show`, the log; and the log bears out that it was filed so."""
    register(store, "@data-team")
    with loopback(lambda _asked: Answer()) as hook:
        said = run(store, ANALYZER_WEBHOOK_URL=f"{hook.url}/hook").stdout
    assert "\n- owner: @data-team\n" in said
    posted = [json.loads(asked.body)["incident"] for asked in hook.asked]
    [found] = [one for one in posted if one["kind"] == "loop"]
    assert found["owner"] == "@data-team"
    assert list(found["subject"]) == ["agent", "version", "model", "tool"]
    [file] = (store.parent / "reports").glob(f"*-{found['id']}.md")
    assert "\n- owner: `@data-team`\n" in file.read_text()
    assert "<li>owner: <code>@data-team</code></li>" in file.with_suffix(".html").read_text()
    whose = ("--store", str(store))
    assert "\n- owner: @data-team\n" in analyzer("incidents", "show", found["id"], *whose).stdout
    filed = analyzer("incidents", "show", found["id"], "--from-log", *whose)
    assert (filed.code, filed.stdout) == (0, file.read_text())
    assert analyzer("audit", "verify", *whose).code == 0


def test_an_address_as_owner_is_shown_and_filed_as_it_was_entered(store: Path) -> None:
    """It was given to be shown: the log, which masks all else once more, has what people read; other text is masked."""
    register(store, "data-team@example.org")
    found = the_loop(store)
    assert found["owner"] == "data-team@example.org"
    filed = analyzer("incidents", "show", found["id"], "--from-log", "--store", str(store))
    assert filed.code == 0, filed.stderr
    assert "- owner: `data-team@example.org`" in filed.stdout
    register(store, "jo, jo@example.org, key sk-ant-api03-0123456789abcdefghijklmnop")
    assert "jo@example.org" not in json.dumps(the_loop(store, NOW + SOON))
    assert "0123456789abcdefghijklmnop" not in json.dumps(the_loop(store, NOW + 2 * SOON))


def test_a_run_says_what_the_registry_says_then(store: Path) -> None:
    """Nobody said, then somebody, then it was taken back: each run hears it, and an earlier form in the log stays."""
    first = the_loop(store)
    register(store, "team-a")
    said = the_loop(store, NOW + SOON)
    register(store, "")
    taken_back = the_loop(store, NOW + 2 * SOON)
    assert [one["owner"] for one in (first, said, taken_back)] == [None, "team-a", None]
    shown = ("incidents", "show", first["id"], "--from-log", "--json", "--store", str(store))
    with SqliteTrajectories(store, read_only=True) as opened:
        log = SqliteAudit(opened.connection, opened.masker)
        runs = [one.document["run"] for one in log.entries() if one.document["action"] == "incident.filed"]
    filed = [json.loads(analyzer(*shown, "--run", run).stdout)["owner"] for run in dict.fromkeys(runs)]
    assert filed == [None, "team-a", None]


def test_agents_that_share_a_cause_have_each_its_owner() -> None:
    """The incident has one where all agree; the names are looked up as the registry folds them."""
    parts = tuple(Part(name, "cost", ONSET, 0.4, 0.1, "USD", 1, 2, None, 0.5) for name in ("a", "b  c"))
    one = incident(subject=Subject(model="opus"), agents=parts)
    [apart] = owned([one], {"a": "team-a", "b c": "team-b"})
    assert (apart.owner, apart.owners) == ("", ("team-a", "team-b"))
    [alike] = owned([one], {"a": "team-a", "b c": "team-a"})
    assert (alike.owner, alike.owners) == ("team-a", ("team-a",))
    [half] = owned([one], {"a": "team-a"})
    assert (half.owner, half.owners) == ("", ("team-a",))
    [fleet] = owned([incident(subject=Subject(), owner="gone")], {"a": "team-a"})
    assert fleet.owner == ""
