"""A backtest files what that many scheduled runs would have filed, and leaves nothing behind."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli import Ended, analyzer
from support.drawn import stored

from analyzer.config import Settings, load
from analyzer.errors import UsageError
from analyzer.pipeline import backtest, run
from analyzer.simulation.agents import Agent
from analyzer.simulation.faults import Fault, FaultKind
from analyzer.simulation.fleet import Fleet
from analyzer.types.document import incident_document
from analyzer.wiring.building import build, build_reader

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
START, EVERY = NOW - timedelta(hours=36), timedelta(hours=3)
RUNS = 13


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with six days of three agents: one loops a while, a tool of another fails, one gets dear."""
    fleet = Fleet(
        agents=(
            Agent("billing", "billing", runs_per_hour=8),
            Agent("sql", "sql", runs_per_hour=12),
            Agent("support", "support", runs_per_hour=10),
        ),
        faults=(
            Fault(FaultKind.LOOP, "billing", NOW - timedelta(hours=34), end=NOW - timedelta(hours=26), share=0.4),
            Fault(FaultKind.TOOL_ERRORS, "sql", NOW - timedelta(hours=20), end=NOW - timedelta(hours=14)),
            Fault(FaultKind.COST_STEP, "support", NOW - timedelta(hours=24), version="2.0.0", input_factor=3.0),
        ),
        days=6,
        seed=4,
        now=NOW,
    )
    return stored(fleet, tmp_path_factory.mktemp("backtest") / "store.db")


@pytest.fixture
def settings(store: Path, tmp_path: Path) -> Settings:
    """Return settings over a copy of the store."""
    copy = tmp_path / "store.db"
    copy.write_bytes(store.read_bytes())
    return replace(load({}, {}).settings, store=copy, reports=tmp_path / "reports", llm="off")


def moments() -> Iterator[datetime]:
    """Yield the nows of the runs."""
    at = START
    while at <= NOW:
        yield at
        at += EVERY


def test_it_files_what_scheduled_runs_would_have_filed(settings: Settings) -> None:
    """Incident by incident, to the digit: ids, states, times, figures, account, changes, trajectories.

    Explanations differ in what they quote: a backtest explains once, at the end.
    """
    with build_reader(settings) as app:
        done = backtest(app, START, NOW, EVERY)
    for at in moments():
        # Each run has a trace of its own, as one from cron has.
        with build(settings, out=None) as app:
            run(app, at)
            filed = {one.id: incident_document(one) for one in app.incidents.incidents()}
    found = {one.id: incident_document(one) for one in done.incidents}
    assert done.runs == RUNS
    assert {one["kind"] for one in found.values()} >= {"loop", "tool-errors", "cost"}
    assert {one["state"] for one in found.values()} >= {"resolved", "ongoing"}
    assert found.keys() == filed.keys()
    for name, document in found.items():
        assert unexplained(rounded(document)) == unexplained(rounded(filed[name]))


def unexplained(document: dict[str, Any]) -> dict[str, Any]:
    """Return an incident without its explanation and the evidence that is numbered with it."""
    findings = [{name: value for name, value in one.items() if name != "evidence"} for one in document["findings"]]
    kept = {name: value for name, value in document.items() if name not in {"diagnosis", "evidence"}}
    return {**kept, "findings": findings}


def rounded(value: Any) -> Any:
    """Return a document with its numbers to nine digits: longer series are summed in another order."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {name: rounded(entry) for name, entry in value.items()}
    return [rounded(entry) for entry in value] if isinstance(value, list) else value


def back(settings: Settings, *extra: str) -> Ended:
    """Run the command over the last day and a half."""
    times = ("--from", START.isoformat(), "--to", NOW.isoformat(), "--every", "3h")
    return analyzer("backtest", *times, "--store", str(settings.store), *extra)


def rows(store: Path) -> list[tuple[Any, ...]]:
    """Return every row of the store, without what is counted and judged anew when somebody reads."""
    counted = {"stale_hours", "rollups", "choices", "sightings", "looked"}
    with closing(sqlite3.connect(store)) as raw:
        tables = [name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        kept = sorted(set(tables) - counted)
        return [(name, *row) for name in kept for row in raw.execute(f'SELECT * FROM "{name}"')]  # noqa: S608 - own names


def test_the_command_prints_the_schema_and_writes_nothing(settings: Settings) -> None:
    """`--json` has the keys of analyzer.backtest/1; the store and its folder are as they were."""
    before = rows(settings.store)
    ended = back(settings, "--json")
    assert ended.code == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert list(document) == ["schema", "from", "to", "every", "runs", "incidents", "per_week", "gaps"]
    assert document["schema"] == "analyzer.backtest/1"
    assert (document["from"], document["to"]) == ("2026-11-19T00:00:00Z", "2026-11-20T12:00:00Z")
    assert (document["every"], document["runs"], document["gaps"]) == ("3h", RUNS, [])
    assert document["per_week"] == pytest.approx(len(document["incidents"]) * 7 / 1.5)
    assert all(one["opened_at"] <= (one["resolved_at"] or "9") for one in document["incidents"])
    assert all(one["diagnosis"]["by"] == "rules" for one in document["incidents"])
    assert not set(rows(settings.store)) ^ set(before)
    assert not (settings.store.parent / "reports").exists()


def test_people_get_a_table(settings: Settings) -> None:
    """How many, how often, and a line for each with when it was opened and resolved."""
    lines = back(settings).stdout.splitlines()
    assert lines[0] == "Backtest from 2026-11-19 00:00 UTC to 2026-11-20 12:00 UTC"
    assert lines[3].startswith("13 runs: ")
    assert " a week: " in lines[3]
    assert any(" loop " in line and "billing" in line for line in lines[5:])


def test_what_is_no_backtest(settings: Settings) -> None:
    """Times the wrong way round, too many runs and no time at all are exit 2, each with the next step."""
    for arguments, message in (
        (("--from", "2026-11-20", "--to", "2026-11-19"), "--to 2026-11-19T00:00:00Z lies before --from 2026-11-20"),
        (("--from", "2020-01-01", "--to", "2026-11-19", "--every", "1m"), "runs, and 20,000 is the most: choose a"),
        (("--from", "soon"), "'soon' is no time: write it as 2026-11-23T14:10:00Z"),
        (("--from", "2026-11-19", "--every", "often"), "'often' is no duration: write 15m, 24h, 14d or 1d12h"),
    ):
        ended = analyzer("backtest", *arguments, "--store", str(settings.store))
        assert (ended.code, ended.stdout) == (2, "")
        assert message in ended.stderr
    with build_reader(settings) as app, pytest.raises(UsageError):
        backtest(app, NOW, START, EVERY)


def test_a_fleet_that_nobody_heard_of_is_one_gap(settings: Settings) -> None:
    """What no run could see is said once, with how many runs could not."""
    with build_reader(settings) as app:
        done = backtest(app, NOW + timedelta(days=90), NOW + timedelta(days=90, hours=6), EVERY)
    assert done.incidents == ()
    assert done.per_week == 0.0
    [gap] = done.gaps
    assert gap.what == "the fleet"
    assert gap.why.endswith("(in 3 of 3 runs, the last such is told)")
