"""A rule of a real Prometheus fires; a real Alertmanager tells us; the incident carries the alert's name."""

from __future__ import annotations

import itertools
import os
import re
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.alertmanager import alertmanager, need_alertmanager
from support.alerts import body, entry
from support.cli import analyzer
from support.drawn import REVIEWER, looping, stored
from support.http import Answer, loopback
from support.otlp_requests import request, span, to_proto
from support.prometheus import alerting, need_prometheus
from support.receiver import JSON, PROTO, ask, serving

from analyzer.stores.alerts import SqliteAlerts
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.alerts import AlertAsked
from analyzer.types.report import Incident, Kind

TOKEN = "made-up-token"
RULES = """
groups:
  - name: fleet
    rules:
      - alert: AgentLoops
        expr: agent_steps_max > 50
        annotations: {summary: '{{ $labels.agent }} takes {{ $value }} steps'}
"""
FOUND_S = 120.0


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with four days up to now; one agent loops since nine hours ago."""
    fleet = looping(datetime.now(UTC), days=4, beside=(REVIEWER,))
    return stored(fleet, tmp_path_factory.mktemp("alerting") / "store.db")


@pytest.fixture
def store(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the filled store; runs begin a second after an alert."""
    monkeypatch.setenv("ANALYZER_ALERT_WAIT", "1s")
    monkeypatch.setenv("ANALYZER_LLM", "off")
    monkeypatch.setenv("ANALYZER_REPORTS", str(tmp_path / "reports"))
    copy = tmp_path / "store.db"
    copy.write_bytes(filled.read_bytes())
    return copy


def known(path: Path) -> tuple[list[AlertAsked], list[Incident]]:
    """Return the alerts and the incidents that a store holds."""
    with SqliteTrajectories(path, read_only=True) as store:
        return SqliteAlerts(store.connection).latest(99), SqliteIncidents(store.connection).incidents()


def soon(holds: Callable[[], bool], pause_s: float = 0.2) -> None:
    """Wait until something holds."""
    until = time.monotonic() + FOUND_S
    while not holds():
        assert time.monotonic() < until, "it did not come true"
        time.sleep(pause_s)


@pytest.mark.server
def test_a_rule_that_fires_becomes_an_incident_with_its_name(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the scraped figure to the incident, by two real servers and with a token; its end is noted as well."""
    need_prometheus()
    need_alertmanager()
    monkeypatch.setenv("ANALYZER_SERVE_TOKEN", TOKEN)
    steps = [90]

    def metrics(_asked: object) -> Answer:
        return Answer(b'agent_steps_max{agent="billing"} %d\n' % steps[0], headers={"Content-Type": "text/plain"})

    with loopback(metrics) as exporter, serving(store) as server:
        hook = f"{server.url}/api/alerts"
        with alertmanager(tmp_path, hook, token=TOKEN) as manager:
            targets = {"scraped": exporter.url.removeprefix("http://"), "alertmanager": manager.removeprefix("http://")}
            with alerting(tmp_path, **targets, rules=RULES) as url:
                soon(lambda: any(one.alerts for one in known(store)[1]))
                steps[0] = 5
                soon(lambda: all(one.alert.ends_at is not None for one in known(store)[0]))
        assert ask(server.url, "GET", "/healthz").status == 200
    [kept], incidents = known(store)
    [incident] = [one for one in incidents if one.alerts]
    assert (incident.kind.value, incident.subject.agent) == ("loop", "billing")
    [carried] = incident.alerts
    assert (carried.name, carried.agent, carried.summary) == ("AgentLoops", "billing", "billing takes 90 steps")
    # Debian's servers call themselves by the name of the machine.
    assert carried.url.endswith("/graph?g0.expr=agent_steps_max+%3E+50&g0.tab=1")
    assert f":{url.rpartition(':')[2]}/" in carried.url
    assert carried.alertmanager_url.endswith(manager.rpartition(":")[2])
    assert kept.incidents == (incident.id,)


BUDGET = """
[budgets.sql-analyst]
usd_per_day = 0.5
"""


def dear_run(number: int) -> bytes:
    """Return a trajectory of the agent with a budget that has just been exported: 200,000 tokens in, 0.4 USD.

    It ended half an hour ago: a run judges whole quarters of an hour.
    """
    end = time.time_ns() - 1800 * 10**9
    spoken = {
        "gen_ai.operation.name": "chat",
        "gen_ai.agent.name": "sql-analyst",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-sonnet-5-5",
        "gen_ai.usage.input_tokens": 200_000,
        "gen_ai.usage.output_tokens": 10,
    }
    one = span(
        1,
        traceId=f"{number + 1:032x}",
        parentSpanId="",
        attributes=spoken,
        startTimeUnixNano=str(end - 10**9),
        endTimeUnixNano=str(end),
    )
    return to_proto(request(one))


@pytest.mark.server
def test_a_budget_that_is_overspent_comes_round_as_an_investigated_incident(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole circle: spans in, our metrics out, our own rule fires, Alertmanager tells us, it is an incident.

    The rule is the one that `analyzer rules` makes of the budget in the settings; only its wait is shortened.
    """
    need_prometheus()
    need_alertmanager()
    settings = tmp_path / "analyzer.toml"
    settings.write_text(BUDGET)
    monkeypatch.setenv("ANALYZER_CONFIG", str(settings))
    made = analyzer("rules")
    assert made.code == 0, made.stderr
    assert "AgentCostBudgetOfTheDay" in made.stdout
    rules = re.sub(r"(\n +for: )\S+", r"\1'1s'", re.sub(r"(\n +interval: )\S+", r"\1'1s'", made.stdout))
    with serving(store) as server, alertmanager(tmp_path, f"{server.url}/api/alerts") as manager:
        targets = {
            key: url.removeprefix("http://") for key, url in (("scraped", server.url), ("alertmanager", manager))
        }
        with alerting(tmp_path, **targets, rules=rules):
            sent = itertools.count()

            def spent() -> bool:
                ask(server.url, "POST", "/v1/traces", dear_run(next(sent)), {"Content-Type": PROTO})
                return any(one.kind is Kind.BUDGET and one.alerts for one in known(store)[1])

            soon(spent, pause_s=2.0)
    [incident] = [one for one in known(store)[1] if one.kind is Kind.BUDGET]
    assert (incident.subject.agent, incident.state.value) == ("sql-analyst", "open")
    assert "AgentCostBudgetOfTheDay" in {one.name for one in incident.alerts}
    assert incident.observed is not None
    assert incident.observed > 0.5
    assert incident.diagnosis is not None
    assert incident.diagnosis.summary.startswith("sql-analyst")
    assert incident.trace_ids
    assert set(incident.trace_ids) <= {f"{number + 1:032x}" for number in range(next(sent))}


def test_what_was_acknowledged_is_answered_after_kill_9(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the acknowledgement and the run, the next start looks into it; a burst was one run."""
    monkeypatch.setenv("ANALYZER_ALERT_WAIT", "1h")
    with serving(store) as server:
        for number in range(30):
            told = ask(server.url, "POST", "/api/alerts", body(entry(number, agent="billing")), {"Content-Type": JSON})
            assert told.status == 200
        os.kill(server.process.pid, signal.SIGKILL)
    alerts, incidents = known(store)
    assert len(alerts) == 30
    assert all(one.is_waiting for one in alerts)
    assert incidents == []
    monkeypatch.setenv("ANALYZER_ALERT_WAIT", "1s")
    with serving(store) as server:
        soon(lambda: not any(one.is_waiting for one in known(store)[0]))
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    alerts, [incident] = known(store)
    assert {one.incidents for one in alerts} == {(incident.id,)}
    with SqliteTrajectories(store) as opened:
        assert len(opened.summaries(agent="analyzer")) == 1


def test_a_run_that_is_under_way_is_waited_for_and_not_doubled(store: Path) -> None:
    """While another run has the store's turn the alert waits; the operator is told, and nothing is lost."""
    from analyzer.stores.turn import alone

    with serving(store) as server:
        with alone(store):
            ask(server.url, "POST", "/api/alerts", body(entry(agent="billing")), {"Content-Type": JSON})
            assert server.process.stderr is not None
            lines = iter(server.process.stderr.readline, "")
            said = next(line for line in lines if "an alert waits" in line)
        assert "its run failed: another run over" in said
        assert "the next try is in 10 s" in said
        soon(lambda: not any(one.is_waiting for one in known(store)[0]))
    [kept], [incident] = known(store)
    assert kept.incidents == (incident.id,)
