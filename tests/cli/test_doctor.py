"""`analyzer doctor` ends with what is missing, and with what to type."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.cli import analyzer
from support.spans import chat, root

from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.stores.turn import alone


def end_of(text: str) -> list[str]:
    """Return the commands of the last section."""
    _, _, last = text.partition("\nMissing\n")
    return [line.strip() for line in last.splitlines() if not line.strip().startswith("#")]


def test_a_new_installation_is_told_every_step(tmp_path: Path) -> None:
    """Without anything set up it ends with one command for each thing that could be, in the order of the checks."""
    ended = analyzer("doctor", "--store", str(tmp_path / "s.db"))
    assert end_of(ended.stdout) == [
        "analyzer ingest ...",
        "analyzer watch --every 15m",
        "export ANALYZER_PROMETHEUS_URL=http://...:9090",
        "export ANTHROPIC_API_KEY=...",
        "export ANALYZER_SLACK_WEBHOOK_URL=...",
    ]
    assert not (tmp_path / "s.db").exists()


def test_what_does_not_work_comes_first(tmp_path: Path) -> None:
    """A model without a price is named before what is merely not set up, with the lines for its price."""
    store = tmp_path / "s.db"
    with SqliteTrajectories(store) as opened:
        opened.add([chat(1, 2, at_s=60, model="acme-4.1", cost_usd=None), root(1, at_s=60)])
    ended = analyzer("doctor", "--json", "--store", str(store))
    first = json.loads(ended.stdout)["missing"][0]
    assert (ended.code, first["name"]) == (3, "prices")
    assert first["command"] == "printf '\\n[prices.\"acme-4.1\"]\\ninput = ...\\noutput = ...\\n' >> analyzer.toml"
    assert analyzer("doctor", "--store", str(store)).stdout.count(first["command"]) == 1


def test_a_name_from_a_trace_reaches_no_command(tmp_path: Path) -> None:
    """What an operator may copy into a shell holds nothing that somebody wrote into a trace."""
    store = tmp_path / "s.db"
    with SqliteTrajectories(store) as opened:
        opened.add([chat(1, 2, at_s=60, model="x'\nrm -rf ~; '", cost_usd=None), root(1, at_s=60)])
    [found] = [
        one
        for one in json.loads(analyzer("doctor", "--json", "--store", str(store)).stdout)["missing"]
        if one["name"] == "prices"
    ]
    assert shlex.split(found["command"])[0] == "analyzer"
    assert not any(line.startswith("rm") for line in end_of(analyzer("doctor", "--store", str(store)).stdout))


def test_it_says_who_runs_and_when_the_last_run_was(tmp_path: Path) -> None:
    """A turn that is held is shown with its holder; after a run the schedule is no longer missing."""
    store = tmp_path / "s.db"
    assert analyzer("run", "--store", str(store), "--llm", "off").code in {0, 3}
    with alone(store, "the test"):
        checks = json.loads(analyzer("doctor", "--json", "--store", str(store)).stdout)["checks"]
    details = {one["name"]: one["detail"] for one in checks}
    assert details["turn"].startswith("held by the test, process ")
    assert details["schedule"].startswith(f"last run as of {datetime.now(UTC):%Y-%m-%d}")


@pytest.mark.parametrize(
    ("where", "unchecked"),
    [
        ("store", ["schedule", "turn", "prices", "agents", "budget", "audit"]),
        ("state", ["schedule", "turn", "budget", "audit"]),
    ],
)
def test_what_cannot_be_opened_is_told_once(tmp_path: Path, where: str, unchecked: list[str]) -> None:
    """A folder in place of the store, a database that is down: one failure; what lies in it is not checked."""
    store = tmp_path / "s.db"
    if where == "store":
        store.mkdir()
    else:
        SqliteTrajectories(store).close()
    away = {"ANALYZER_STATE": "postgresql://analyst:s3cret@127.0.0.1:9/state"} if where == "state" else {}
    ended = analyzer("doctor", "--json", "--store", str(store), env={"ANTHROPIC_API_KEY": "key", **away})
    told = json.loads(ended.stdout)
    assert (ended.code, [one["name"] for one in told["checks"] if one["state"] == "failed"]) == (3, [where])
    said = f"not checked: the {where} cannot be opened"
    assert [one["name"] for one in told["checks"] if one["detail"] == said] == unchecked
    assert [one["name"] for one in told["missing"]][:1] == [where]
    assert not {one["name"] for one in told["missing"]} & set(unchecked)


@pytest.mark.parametrize(("apart_h", "state"), [(24, "off"), (1, "ok")])
def test_it_says_when_alerts_end_before_the_next_run(tmp_path: Path, apart_h: int, state: str) -> None:
    """With a daily cron an alert of three hours ends long before the next run: the setting is named, with a value."""
    store = tmp_path / "s.db"
    now = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
    for days in (3, 2, 1, 0):
        at = (now - days * timedelta(hours=apart_h)).isoformat()
        assert analyzer("run", "--store", str(store), "--llm", "off", "--at", at).code in {0, 3}
    told = json.loads(analyzer("doctor", "--json", "--store", str(store)).stdout)
    check = next(one for one in told["checks"] if one["name"] == "schedule")
    assert check["state"] == state
    commands = [one["command"] for one in told["missing"] if one["name"] == "schedule"]
    assert commands == (["export ANALYZER_ALERTMANAGER_EXPIRY=27h"] if state == "off" else [])
    assert ("runs come every 24h, and alerts end 3h after one" in check["detail"]) is (state == "off")
