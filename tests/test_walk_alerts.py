"""Alerts of a Prometheus on the walk: what carries them, and what is said where nothing does."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.alerts import RULE, alert
from support.cli import Ended, analyzer
from support.drawn import REVIEWER, looping, stored
from support.hostile import ATTACKS

from analyzer.stores.alerts import SqliteAlerts
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.alerts import AlertAsked, PrometheusAlert

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
BEGUN = NOW - timedelta(minutes=40)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with five days of two agents; one loops on the last day, the other is well."""
    fleet = looping(NOW, days=5, beside=(REVIEWER,))
    return stored(fleet, tmp_path_factory.mktemp("alerts") / "store.db")


@pytest.fixture
def store(filled: Path, tmp_path: Path) -> Path:
    """Return a copy of the filled store."""
    copy = tmp_path / "store.db"
    copy.write_bytes(filled.read_bytes())
    return copy


def tell(path: Path, *alerts: PrometheusAlert, at: datetime = NOW) -> None:
    """Put alerts in as the receiver does."""
    with SqliteTrajectories(path) as store:
        SqliteAlerts(store.connection).take(alerts, at)


def kept(path: Path) -> dict[str, AlertAsked]:
    """Return what is kept of alerts, by fingerprint."""
    with SqliteTrajectories(path) as store:
        return {one.alert.fingerprint: one for one in SqliteAlerts(store.connection).latest(99)}


def run(path: Path, *extra: str, at: datetime = NOW) -> Ended:
    """Run one pass."""
    ended = analyzer("run", "--at", at.isoformat(), "--store", str(path), "--llm", "off", *extra)
    assert ended.code in {0, 3}, ended.stderr
    return ended


def report(path: Path, at: datetime = NOW) -> dict[str, Any]:
    """Run one pass as JSON."""
    document: dict[str, Any] = json.loads(run(path, "--json", at=at).stdout)
    return document


def test_an_incident_carries_the_alert_on_its_agent_with_name_and_addresses(store: Path) -> None:
    """The first message of it says that the alert fires, and the report file links its rule."""
    tell(store, alert("billing", "AgentLoops", starts_at=BEGUN))
    said = run(store).stdout
    [incident] = [one for one in report(store)["incidents"] if one["kind"] == "loop"]
    assert [(one["name"], one["agent"], one["ends_at"]) for one in incident["alerts"]] == [
        ("AgentLoops", "billing", None)
    ]
    assert incident["alerts"][0]["url"] == RULE
    assert "- alert AgentLoops fires since 2026-11-20 11:20 UTC (rule, Alertmanager)" in said
    [file] = (store.parent / "reports").glob("*-inc-*.md")
    assert f"alert `AgentLoops` fires since 2026-11-20 11:20 UTC ([rule](<{RULE}>), [Alertmanager]" in file.read_text()
    [one] = kept(store).values()
    assert one.incidents == (incident["id"],)
    assert one.said.startswith(f"{incident['id']} (ongoing): billing: get_order repeated")


def test_where_nothing_is_unusual_the_answer_says_where_was_looked_and_no_incident_is_made(store: Path) -> None:
    """How many trajectories were seen, what came nearest, the command for the rest; in the report's notes, too."""
    tell(store, alert("reviewer", "AgentErrorRatioHigh", starts_at=BEGUN))
    found = report(store)
    [one] = kept(store).values()
    assert one.incidents == ()
    with SqliteTrajectories(store) as opened:
        ended = [found.end_ns or 0 for found in opened.summaries(agent="reviewer", limit=100)]
    seen = sum((BEGUN - timedelta(hours=1)).timestamp() <= end / 1e9 < NOW.timestamp() for end in ended)
    between = "between 2026-11-20 10:20 UTC and 2026-11-20 12:00 UTC"
    assert one.said.startswith(f"{seen} trajectories of reviewer ended {between}")
    assert "and no detector speaks. Nearest are " in one.said
    assert one.said.endswith("All of it: analyzer why-not reviewer --at 2026-11-20T12:00:00Z")
    assert found["notes"]["alert AgentErrorRatioHigh of reviewer"] == one.said
    assert {incident["subject"]["agent"] for incident in found["incidents"]} == {"billing"}
    # Once is enough: the next run has no news of it, and the answer keeps the time it is of.
    assert "alert AgentErrorRatioHigh of reviewer" not in report(store, NOW + timedelta(minutes=15))["notes"]
    assert kept(store)[one.alert.fingerprint].said == one.said


def test_an_agent_that_nobody_knows_is_said_with_those_that_are_called_like_it(store: Path) -> None:
    """It is an answer and no error: the run goes on."""
    tell(store, alert("reviwer", starts_at=BEGUN))
    run(store)
    assert [one.said for one in kept(store).values()] == [
        "no agent called 'reviwer' is known here; did you mean reviewer?"
    ]


def test_an_agent_that_nobody_knows_is_said_also_while_the_whole_fleet_is_silent(store: Path) -> None:
    """The silence carries the alert and may be why nobody knows the agent; that its name is unknown is news as well."""
    later = NOW + timedelta(hours=8)
    tell(store, alert("reviwer", "Typo", starts_at=later, fingerprint="1"), at=later)
    tell(store, alert("reviewer", starts_at=later, fingerprint="2"), at=later)
    found = report(store, later)
    [silence] = [one for one in found["incidents"] if one["kind"] == "silence" and one["subject"]["agent"] is None]
    unknown = "no agent called 'reviwer' is known here; did you mean reviewer? It may be part of "
    answers = kept(store)
    assert answers["1"].incidents == answers["2"].incidents == (silence["id"],)
    assert answers["1"].said == f"{unknown}{answers['2'].said}"
    assert answers["2"].said.startswith(f"{silence['id']} (")
    assert found["notes"]["alert Typo of reviwer"] == answers["1"].said
    assert "alert AgentCostHigh of reviewer" not in found["notes"]


def test_an_alert_on_the_fleet_is_carried_by_what_began_about_then(store: Path) -> None:
    """It names no agent: the loop began nine hours before, and is its news; what began days ago would not be."""
    tell(store, alert(None, "FleetCostHigh", starts_at=BEGUN, fingerprint="1"))
    tell(store, alert(None, "Old", starts_at=NOW - timedelta(days=2), ends_at=NOW - timedelta(days=2), fingerprint="2"))
    [incident] = report(store)["incidents"]
    assert [one["name"] for one in incident["alerts"]] == ["FleetCostHigh"]
    assert kept(store)["2"].said.startswith("over since 2026-11-18 12:00 UTC, before what this run looked at began")


def test_the_end_of_an_alert_reaches_the_incident_that_carries_it(store: Path) -> None:
    """It is kept on the incident through its life, with when it was over."""
    fires = alert("billing", "AgentLoops", starts_at=BEGUN)
    tell(store, fires)
    report(store)
    tell(store, alert("billing", "AgentLoops", starts_at=BEGUN, ends_at=NOW + timedelta(minutes=5)))
    [incident] = report(store, NOW + timedelta(minutes=15))["incidents"]
    assert [one["ends_at"] for one in incident["alerts"]] == ["2026-11-20T12:05:00Z"]
    [later] = report(store, NOW + timedelta(minutes=30))["incidents"]
    assert later["alerts"] == incident["alerts"]


def test_answers_are_in_the_log_once(store: Path) -> None:
    """Who asks later what was made of an alert finds it in the chain; an answer that stays the same is not repeated."""
    tell(store, alert("billing", "AgentLoops", starts_at=BEGUN), alert("reviewer", starts_at=BEGUN, fingerprint="2"))
    report(store)
    report(store, NOW + timedelta(minutes=15))
    shown = json.loads(analyzer("audit", "show", "--store", str(store), "--json").stdout)["entries"]
    assert sorted(one["name"] for one in shown if one["action"] == "alert.answered") == ["AgentCostHigh", "AgentLoops"]
    assert analyzer("audit", "verify", "--store", str(store)).code == 0


def test_history_that_is_repeated_answers_nothing(store: Path) -> None:
    """A run before the last one keeps nothing, and no answer either: it knows less than what is kept."""
    report(store, NOW + timedelta(minutes=15))
    tell(store, alert("billing", starts_at=BEGUN))
    [incident] = report(store, NOW)["incidents"]
    assert incident["alerts"] == []
    assert [one.answered_at for one in kept(store).values()] == [None]


def test_what_stands_in_an_alert_is_shown_and_not_obeyed(store: Path) -> None:
    """Names and agents of every attack come out as text: no link but to the rule, no tag, no line of their own."""
    hostile = [
        alert("billing", text, starts_at=BEGUN, fingerprint=f"{number}", summary=text)
        for number, text in enumerate(ATTACKS[-3:])
    ]
    odd = [alert(f"agent {text}", starts_at=BEGUN, fingerprint=f"a{number}") for number, text in enumerate(ATTACKS)]
    tell(store, *hostile, *odd)
    found = report(store)
    assert len(found["incidents"]) == 1
    page = next((store.parent / "reports").glob("*-inc-*.html")).read_text("utf-8")
    assert "<script" not in page
    assert {part.split('"')[0] for part in page.split('href="')[1:]} <= {
        RULE.replace("&", "&amp;"),
        "http://alertmanager.example:9093",
    }
