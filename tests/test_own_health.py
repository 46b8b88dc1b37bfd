"""The analyst is one of the watched: what it spends, and how its runs end, are judged as any agent's are."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli import analyzer
from support.drawn import looping, stored
from support.messages_api import calls, fails, messages_api

from analyzer.selfwatch.recorder import Recorder
from analyzer.stores.summaries import OWN_AGENT
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.metric import Signal
from analyzer.types.trace import Operation, Outcome, Tokens

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAYS = 15
USUAL_USD = 0.5
"""What a run spends that has something to ask a model."""


class BrokenOffError(Exception):
    """What breaks a run off."""


def own_run(store: SqliteTrajectories, at: datetime, *, usd: float, breaks: bool = False) -> None:
    """Record a run that asks a model once, or none where it costs nothing; it may break off at the end."""
    began_ns = int(at.timestamp() * 1e9)
    clock = iter(range(began_ns, began_ns + 10**12, 2_000_000_000))
    recorder = Recorder(store.add, version="1", on_failure=pytest.fail, clock_ns=lambda: next(clock))
    with suppress(BrokenOffError), recorder.span("invoke_agent analyzer", Operation.AGENT):
        if usd:
            with recorder.span("chat m", Operation.CHAT, model="m", input=f"case of {at}") as mark:
                mark.set(output="It is the prompt.", tokens=Tokens(int(40_000 * usd), int(2_000 * usd)), cost_usd=usd)
        if breaks:
            raise BrokenOffError


def lived(path: Path, *, dear_h: int = 0, factor: float = 1.0, broken_h: int = 0, days: int = DAYS) -> Path:
    """Fill a store with a run an hour, of which every fourth asks no model; the last hours were dear or broke off."""
    with SqliteTrajectories(path) as store:
        for hour in range(days * 24, 0, -1):
            usd = USUAL_USD * (1 + 0.2 * (hour % 7 - 3) / 3) * (factor if hour <= dear_h else 1.0)
            at = NOW - timedelta(hours=hour) + timedelta(minutes=10)
            own_run(store, at, usd=usd if hour % 4 else 0.0, breaks=hour <= broken_h)
    return path


def run(store: Path, *, at: datetime = NOW, settings: str = "", **env: str) -> dict[str, Any]:
    """Run once and return the report."""
    config = store.parent / "analyzer.toml"
    config.write_text(settings)
    said = ("--store", str(store), "--at", at.isoformat(), "--reports", str(store.parent / "reports"))
    ended = analyzer("run", "--json", *said, env={"ANALYZER_CONFIG": str(config), **env})
    assert ended.code in {0, 3}, ended.stderr
    report: dict[str, Any] = json.loads(ended.stdout)
    return report


def found(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Return kind and agent of each incident."""
    return sorted((one["kind"], one["subject"]["agent"]) for one in report["incidents"])


def test_a_healthy_analyst_is_no_incident(tmp_path: Path) -> None:
    """Two weeks of runs that cost now a little more and now nothing raise nothing, and a budget that holds neither."""
    report = run(
        lived(tmp_path / "s.db"),
        settings='[budgets.analyzer]\nusd_per_day = 20\n[budgets."*"]\nsteps_per_trajectory = 50\n',
    )
    assert report["incidents"] == []
    assert report["run"]["trajectories_seen"] == 0
    assert [gap["what"] for gap in report["gaps"]] == ["the fleet"]


def test_runs_that_spend_several_times_the_usual_are_reported_and_ask_no_model(tmp_path: Path) -> None:
    """The next run files the cost of the agent `analyzer`, by rules alone also where a model could be asked."""
    store = lived(tmp_path / "s.db", dear_h=12, factor=3.0)
    with messages_api([]) as api:
        report = run(store, ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=api.url)
        assert api.requests == []
    assert found(report) == [("cost", OWN_AGENT)]
    [incident] = report["incidents"]
    assert incident["diagnosis"]["by"] == "rules"
    assert incident["ratio"] == pytest.approx(3.0, rel=0.25)
    assert report["run"]["llm"]["calls"] == 0
    why = analyzer("why-not", OWN_AGENT, "--kind", "cost", "--at", NOW.isoformat(), "--store", str(store), "--json")
    assert [one["found"]["incident"] for one in json.loads(why.stdout)["readings"] if one["detector"] == "cost"] == [
        incident["id"]
    ]


def test_its_day_has_a_budget_like_any_agents(tmp_path: Path) -> None:
    """`[budgets.analyzer]` that the day has passed is an incident about the analyst."""
    report = run(lived(tmp_path / "s.db"), settings="[budgets.analyzer]\nusd_per_day = 3\n")
    assert found(report) == [("budget", OWN_AGENT)]


def test_runs_that_break_off_are_reported(tmp_path: Path) -> None:
    """Hour after hour without a run that ends is an incident of the first that does."""
    report = run(lived(tmp_path / "s.db", broken_h=12))
    assert found(report) == [("errors", OWN_AGENT)]


def test_a_run_whose_model_cannot_answer_has_failed(tmp_path: Path) -> None:
    """The report goes out, and the run stands in the store as one that ended in an error, which `errors` counts."""
    store = stored(looping(NOW, days=4), tmp_path / "s.db")
    with messages_api([lambda _request: fails(400, "invalid_request_error")] * 10) as api:
        report = run(store, ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=api.url)
    assert [one["diagnosis"]["by"] for one in report["incidents"]] == ["rules"] * len(report["incidents"])
    with SqliteTrajectories(store) as opened:
        [own] = opened.summaries(agent=OWN_AGENT)
        end = datetime.now(UTC) + timedelta(minutes=30)
        series = opened.series(end - timedelta(hours=2), end, agent=OWN_AGENT)
        fleet = {one.subject.agent for one in opened.series(end - timedelta(days=4000), end)}
    assert own.outcome is Outcome.ERROR
    assert [sum(one.total) for one in series if one.signal is Signal.ERRORS] == [1.0]
    assert OWN_AGENT not in fleet


def test_a_model_that_goes_round_in_a_real_run_is_reported_by_the_next(tmp_path: Path) -> None:
    """With limits that allow it: the same tool asked the same question thirty times is a loop of the analyst's own."""
    now = datetime.now(UTC)
    store = stored(looping(now, days=4), tmp_path / "s.db")
    asked = {"by": "agent", "order": "cost", "agent": "", "only": "", "start": "", "end": "", "page": 1}
    limits = {
        "ANALYZER_INVESTIGATION_STEPS": "30",
        "ANALYZER_INVESTIGATION_TOKENS": "5000000",
        "ANALYZER_BUDGET_TOKENS": "5000000",
    }
    with messages_api([calls(("totals", asked))] * 40) as api:
        first = run(store, at=now, ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=api.url, **limits)
        sent = len(api.requests)
        assert sent == first["run"]["llm"]["calls"] > 20
        again = run(store, at=now + timedelta(minutes=31), ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=api.url)
        assert len(api.requests) == sent, "no model is asked about the analyst, nor again about what it explained"
    assert ("loop", OWN_AGENT) not in found(first)
    [own] = [one for one in again["incidents"] if one["subject"]["agent"] == OWN_AGENT]
    assert (own["kind"], own["subject"]["tool"], own["diagnosis"]["by"]) == ("loop", "totals", "rules")
    assert own["trace_ids"] == [first["run"]["trace_id"]]
