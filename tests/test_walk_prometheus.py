"""The walk against a real Prometheus that holds the fleet's history."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.cli import analyzer
from support.http import Answer, loopback
from support.prometheus import need_prometheus, prometheus
from support.victoriametrics import need_victoriametrics, victoriametrics

from analyzer.ingest.otlp import spans_from_json
from analyzer.ingest.pricing import Pricer
from analyzer.metrics.prometheus import Prometheus
from analyzer.simulation.agents import Agent
from analyzer.simulation.faults import Fault, FaultKind
from analyzer.simulation.fleet import Fleet
from analyzer.simulation.openmetrics import write_openmetrics
from analyzer.stores.trajectories import SqliteTrajectories

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ONSET = NOW - timedelta(hours=20)


def fleet(*faults: Fault) -> Fleet:
    """Return agents over six days; a new version doubles what one of them costs, and further faults as given."""
    return Fleet(
        agents=(
            Agent("triage", "support", version="1.4.0", runs_per_hour=12),
            Agent("reviewer", "coding", runs_per_hour=4),
            *((Agent("sql", "sql", runs_per_hour=12),) if faults else ()),
        ),
        faults=(
            Fault(FaultKind.COST_STEP, "triage", ONSET, version="1.5.0", input_factor=3.2, output_factor=2.4),
            *faults,
        ),
        days=6,
        seed=11,
        now=NOW,
    )


@pytest.mark.server
def test_a_doubling_is_found_in_prometheus_with_its_onset_and_version(tmp_path: Path) -> None:
    """A doubling is found in the metrics, dated within an hour, its version named from the trajectories.

    Prometheus holds six days, the store the last two. With the server stopped the run ends 3 and says what it missed.
    """
    need_prometheus()
    made, store = fleet(), tmp_path / "store.db"
    pricer = Pricer()
    with SqliteTrajectories(store) as trajectories:
        recent = (NOW - timedelta(days=2)).timestamp() * 1e9
        for request in made.requests():
            spans = spans_from_json(request, pricer=pricer).spans
            trajectories.add(span for span in spans if (span.end_ns or 0) >= recent)
    history = tmp_path / "history.om"
    families = ("agent_cost_usd", "agent_trajectories")
    write_openmetrics(made, history, price=pricer.cost, step_s=120, families=families)
    arguments = ("run", "--at", NOW.isoformat(), "--store", str(store), "--json", "--llm", "off")
    with prometheus(tmp_path, history) as url:
        seen = analyzer(*arguments, "--prometheus-url", url, "--reports", str(tmp_path / "reports"))
        assert seen.code == 0, seen.stderr
        [incident] = [one for one in json.loads(seen.stdout)["incidents"] if one["kind"] == "cost"]
        checked = [one for one in incident["evidence"] if one.get("source") == "prometheus"]
        check = incident["diagnosis"]["check"]
        asked_now = Prometheus(url, timeout_s=10).query(check, datetime.now(UTC))
        doctor = analyzer("doctor", "--store", str(store), "--json", env={"ANALYZER_PROMETHEUS_URL": url})
    assert incident["subject"]["agent"] == "triage"
    assert incident["subject"]["version"] == "1.5.0"
    assert abs(datetime.fromisoformat(incident["onset"]) - ONSET) <= timedelta(hours=1)
    assert 1.7 <= incident["ratio"] <= 3.0
    assert ["version", "1.4.0", "1.5.0"] in [[one["what"], one["from"], one["to"]] for one in incident["changes"]]
    assert sum(one["share"] for one in incident["account"]) == pytest.approx(1, abs=1e-6)
    assert max(incident["account"], key=lambda one: one["share"])["factor"].endswith("tokens per step")
    assert checked
    # The check holds its own time: run today, it gives the number that was filed.
    assert [points.values[-1] for points in asked_now] == [pytest.approx(checked[0]["value"])]
    assert f"@ {int(NOW.timestamp())}" in check
    assert "triage" in incident["diagnosis"]["summary"]
    states = {check["name"]: check["state"] for check in json.loads(doctor.stdout)["checks"]}
    assert states["store"] == "ok"

    blind = analyzer(*arguments, "--prometheus-url", url, "--reports", str(tmp_path / "reports"))
    assert blind.code == 3
    [gap] = json.loads(blind.stdout)["gaps"]
    assert "Prometheus" in gap["what"]
    assert url in gap["why"]
    # Being blind is no recovery: what was open stays so.
    assert incident["id"] in [one["id"] for one in json.loads(blind.stdout)["incidents"]]


def shown(exemplars: dict[str, float]) -> Answer:
    """Return a counter of triage's as OpenMetrics: a series for each trajectory, which it names as an exemplar."""
    lines = [
        f'agent_cost_usd_total{{agent="triage",model="m{index}"}} 1 # {{trace_id="{trace_id}"}} 0.1 {at_s}\n'
        for index, (trace_id, at_s) in enumerate(exemplars.items())
    ]
    kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    return Answer("".join(["# TYPE agent_cost_usd counter\n", *lines, "# EOF\n"]).encode(), 200, {"Content-Type": kind})


@pytest.mark.server
def test_the_trajectories_of_a_metered_incident_are_those_that_its_exemplars_name(tmp_path: Path) -> None:
    """Those in the store that are dearer than usual come first; one that was not kept is told as a gap."""
    need_prometheus()
    made, store, pricer = fleet(), tmp_path / "store.db", Pricer()
    with SqliteTrajectories(store) as trajectories:
        recent = (NOW - timedelta(days=2)).timestamp() * 1e9
        for request in made.requests():
            spans = spans_from_json(request, pricer=pricer).spans
            trajectories.add(span for span in spans if (span.end_ns or 0) >= recent)
        since = trajectories.summaries(
            agent="triage", start=ONSET + timedelta(hours=2), end=NOW, order="cost", limit=500
        )
        [before] = trajectories.summaries(agent="triage", end=ONSET - timedelta(hours=2), order="cost", limit=1)
    # Dearer than usual, and not among the worst, which the store would have found by itself.
    dear, dearer = since[len(since) // 3], since[len(since) // 4]
    lost, ended = "f" * 32, {one.trace_id: one.end_ns / 1e9 for one in (dear, dearer, since[-1], before)}
    exemplars = dict(sorted({**ended, lost: NOW.timestamp() - 3600}.items(), key=lambda entry: entry[1]))
    history = tmp_path / "history.om"
    families = ("agent_cost_usd", "agent_trajectories")
    write_openmetrics(made, history, price=pricer.cost, step_s=120, families=families)
    with loopback(lambda _asked: shown(exemplars)) as agents:
        config = (
            "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n"
            f"- {{job_name: fleet, static_configs: [{{targets: ['{agents.url.removeprefix('http://')}']}}]}}\n"
        )
        with prometheus(tmp_path, history, config=config) as url:
            source, until = Prometheus(url), time.monotonic() + 30
            while not source.exemplars("agent_cost_usd_total", ONSET, NOW) and time.monotonic() < until:
                time.sleep(0.2)
            out = analyzer(
                *("run", "--at", NOW.isoformat(), "--store", str(store), "--json", "--llm", "off"),
                *("--prometheus-url", url, "--reports", str(tmp_path / "reports")),
            )
    document = json.loads(out.stdout)
    [incident] = [one for one in document["incidents"] if one["kind"] == "cost"]
    worst = [one.trace_id for one in since[:3]]
    assert incident["trace_ids"] == [dearer.trace_id, dear.trace_id, *worst]
    [gap] = document["gaps"]
    assert gap["why"] == f"1 of 4 trajectories that exemplars name are not in the store: {lost}"


SERVERS = {
    "prometheus": (need_prometheus, prometheus),
    "victoriametrics": (need_victoriametrics, victoriametrics),
}


@pytest.mark.server
@pytest.mark.parametrize("server", SERVERS)
def test_prometheus_and_the_store_give_the_same_findings(tmp_path: Path, server: str) -> None:
    """Costs, errors and a slow tool: a run over metrics and two days of spans finds what one over all spans finds.

    With the whole history in both, to the digit. Where only Prometheus has it, there are means and no distributions:
    the same incidents, their figures within 15 %, their beginning within four hours.
    """
    need_it, serve = SERVERS[server]
    need_it()
    made = fleet(
        Fault(FaultKind.ERROR_BURST, "sql", NOW - timedelta(hours=14), share=0.6),
        Fault(FaultKind.SLOW_TOOL, "reviewer", NOW - timedelta(hours=10)),
    )
    pricer = Pricer()
    history = tmp_path / "history.om"
    families = ("agent_cost_usd", "agent_trajectories", "agent_tool_seconds")
    write_openmetrics(made, history, price=pricer.cost, step_s=300, families=families)
    spans = [span for request in made.requests() for span in spans_from_json(request, pricer=pricer).spans]
    recent = (NOW - timedelta(days=2)).timestamp() * 1e9
    found = {}
    with serve(tmp_path, history) as url:
        for name, since, extra in (
            ("spans", 0.0, ()),
            ("both", 0.0, ("--prometheus-url", url)),
            ("metrics", recent, ("--prometheus-url", url)),
        ):
            store = tmp_path / f"{name}.db"
            with SqliteTrajectories(store) as trajectories:
                trajectories.add(span for span in spans if (span.end_ns or 0) >= since)
            out = analyzer("run", "--at", NOW.isoformat(), "--store", str(store), "--json", "--llm", "off", *extra)
            assert out.code == 0, out.stderr
            found[name] = {
                (one["kind"], one["subject"]["agent"], one["subject"]["version"], one["subject"]["tool"]): one
                for one in json.loads(out.stdout)["incidents"]
            }
    assert {key[:2] for key in found["spans"]} == {("cost", "triage"), ("errors", "sql"), ("tool-latency", "reviewer")}
    figures = ("onset", "observed", "expected", "ratio", "trace_ids", "account")
    for key, one in found["spans"].items():
        assert {name: found["both"][key][name] for name in figures} == {name: one[name] for name in figures}
        metered = found["metrics"][key]
        assert metered["ratio"] == pytest.approx(one["ratio"], rel=0.15)
        apart = datetime.fromisoformat(metered["onset"]) - datetime.fromisoformat(one["onset"])
        assert abs(apart) <= timedelta(hours=4)
        assert metered["trace_ids"]
    assert found["spans"].keys() == found["both"].keys() == found["metrics"].keys()
