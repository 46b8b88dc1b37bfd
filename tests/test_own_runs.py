"""The analyst is one of the watched: a run of its own that loops is an incident of the next, told by rules alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli import analyzer
from support.messages_api import messages_api, says

from analyzer.selfwatch.recorder import Recorder
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import Operation

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CALLS = 12


def own_run(store: Path, at: datetime, *, repeats: bool) -> str:
    """Record a run in which a model asks one tool the same again and again, or each time something else."""
    clock = iter(range(int(at.timestamp() * 1e9), 10**19, 250_000_000))
    with SqliteTrajectories(store) as opened:
        recorder = Recorder(opened.add, version="1", on_failure=pytest.fail, clock_ns=lambda: next(clock))
        with recorder.span("invoke_agent analyzer", Operation.AGENT), recorder.span("investigate", Operation.AGENT):
            for number in range(CALLS):
                with recorder.span("chat m", Operation.CHAT, model="m", input=f"step {number}") as mark:
                    mark.set(output="I look for errors.")
                asked = json.dumps({"query": "errors" if repeats else f"word {number}"})
                tool = recorder.span("execute_tool search", Operation.TOOL, tool="search_spans", input=asked)
                with tool as mark:
                    mark.set(output="3 spans" if repeats else f"{number} spans")
    return recorder.trace_id


def run(store: Path, at: datetime = NOW, **env: str) -> dict[str, Any]:
    """Run once and return the report."""
    folder = ("--reports", str(store.parent / "reports"))
    ended = analyzer("run", "--json", "--store", str(store), "--at", at.isoformat(), *folder, env=env)
    assert ended.code in {0, 3}, ended.stderr
    report: dict[str, Any] = json.loads(ended.stdout)
    return report


def test_a_run_that_loops_is_reported_by_the_next_one_and_asks_no_model(tmp_path: Path) -> None:
    """The incident names the analyst, its tool and the run; no model is asked about it, also where one could be."""
    store = tmp_path / "s.db"
    trace_id = own_run(store, NOW - timedelta(hours=2), repeats=True)
    with messages_api([lambda _request: says("hello")]) as api:
        report = run(store, ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=api.url)
        assert api.requests == []
    [incident] = report["incidents"]
    assert (incident["kind"], incident["subject"]["agent"], incident["subject"]["tool"]) == (
        "loop",
        "analyzer",
        "search_spans",
    )
    assert incident["trace_ids"] == [trace_id]
    assert incident["diagnosis"]["by"] == "rules"
    assert report["run"]["llm"]["calls"] == 0
    later = [run(store, NOW + timedelta(hours=hours)) for hours in (1, 30)]
    states = [[one["state"] for one in report["incidents"] if one["id"] == incident["id"]] for report in later]
    assert states[0] == ["ongoing"]
    assert states[1] == ["resolved"]


def test_a_run_that_asks_for_something_else_each_time_is_none(tmp_path: Path) -> None:
    """Many calls of one tool are work, and the analyst's own runs move no figure of the fleet."""
    store = tmp_path / "s.db"
    own_run(store, NOW - timedelta(hours=2), repeats=False)
    report = run(store)
    assert report["incidents"] == []
    assert report["run"]["trajectories_seen"] == 0
