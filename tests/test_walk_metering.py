"""Metrics and traces side by side, against a real Prometheus that holds the fleet's history."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.cli import analyzer
from support.prometheus import need_prometheus, prometheus

from analyzer.ingest.otlp import spans_from_json
from analyzer.ingest.pricing import Pricer
from analyzer.simulation.agents import Agent
from analyzer.simulation.faults import Fault, FaultKind
from analyzer.simulation.fleet import Fleet
from analyzer.simulation.openmetrics import write_openmetrics
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import Span

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ONSET = NOW - timedelta(hours=40)
RESET_S = int((NOW - timedelta(hours=30)).timestamp()) // 300 * 300
SKEW_NS = 3 * 3600 * 10**9
NAMES = ("healthy", "lossy", "reset", "nested", "twice", "metered", "traced", "skewed")
SAMPLE = re.compile(r'(\w+\{agent="(\w+)".*\}) (\S+) (\d+)\n')


def fleet() -> Fleet:
    """Return agents that do the same work; the cost of one whose traces get lost doubles."""
    return Fleet(
        agents=tuple(Agent(name, "support", runs_per_hour=8) for name in NAMES),
        faults=(Fault(FaultKind.COST_STEP, "lossy", ONSET, version="2.0.0", input_factor=3.0, output_factor=2.0),),
        days=5,
        seed=7,
        now=NOW,
    )


def metrics(made: Fleet, path: Path, pricer: Pricer) -> None:
    """Write what Prometheus scraped: one agent's counters begin anew, one's tokens count twice, one has none."""
    whole = path.with_suffix(".whole")
    families = ("agent_tokens", "agent_cost_usd", "agent_trajectories")
    write_openmetrics(made, whole, price=pricer.cost, step_s=300, families=families)
    before: dict[str, float] = {}
    with whole.open(encoding="utf-8") as read, path.open("w", encoding="utf-8") as out:
        for text in read:
            found = SAMPLE.fullmatch(text)
            if found is None:
                out.write(text)
                continue
            name, agent, value, time_s = found[1], found[2], float(found[3]), int(found[4])
            if agent == "traced":
                continue
            if agent == "twice" and not name.startswith("agent_trajectories"):
                value *= 2
            if agent == "reset":
                if time_s <= RESET_S:
                    before[name] = value
                else:
                    value -= before[name]
            out.write(f"{name} {value!r} {time_s}\n")


def traces(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield what was exported: a fifth of one agent's trajectories is lost, one's clock is off, one's calls nest."""
    whose: dict[str, str] = {}
    for span in spans:
        agent = whose.setdefault(span.trace_id, span.agent or span.service or "")
        if agent == "metered":
            continue
        if agent == "lossy" and int(span.trace_id[:6], 16) % 5 == 0 and (span.end_ns or 0) > ONSET.timestamp() * 1e9:
            continue
        if agent == "skewed" and span.start_ns is not None and span.end_ns is not None:
            yield replace(span, start_ns=span.start_ns - SKEW_NS, end_ns=span.end_ns - SKEW_NS)
            continue
        if agent == "nested" and span.operation.is_inference:
            # A framework reports the call around the client's own report of it: both carry the usage.
            outer = "f" + span.span_id[1:]
            yield replace(span, span_id=outer, response_id=None, scope="framework")
            yield replace(span, parent_id=outer, response_id=None)
            continue
        yield span


@pytest.mark.server
def test_the_right_verdict_for_each_kind_of_disagreement(tmp_path: Path) -> None:
    """Lost spans, a counter that began anew, doubled usage, agents on one side, another clock: the right verdict each.

    The run carries the table, files an incident for what disagrees and for nothing else, and the cost incident of the
    agent whose traces get lost says so, is a gap, and is no more than likely. `doctor` prints the table, and `why-not`
    says where both stand.
    """
    need_prometheus()
    made, store, pricer = fleet(), tmp_path / "store.db", Pricer()
    history = tmp_path / "history.om"
    metrics(made, history, pricer)
    with SqliteTrajectories(store) as trajectories:
        for request in made.requests():
            trajectories.add(traces(spans_from_json(request, pricer=pricer).spans))
    with prometheus(tmp_path, history) as url:
        at = ("--at", NOW.isoformat(), "--store", str(store), "--json")
        ran = analyzer(
            "run", *at, "--llm", "off", "--prometheus-url", url, "--reports", str(tmp_path / "reports"),
        )  # fmt: skip
        env = {"ANALYZER_PROMETHEUS_URL": url}
        doctor = analyzer("doctor", "--store", str(store), "--json", env=env)
        shown = analyzer("doctor", "--store", str(store), env=env)
        why = analyzer("why-not", "skewed", "--kind", "metering", *at, env=env)
    report = json.loads(ran.stdout)
    table = {(row["agent"], row["measure"]): row for row in json.loads(doctor.stdout)["metering"]}
    verdicts = {name: table[name, "trajectories"]["verdict"] for name in NAMES}
    assert verdicts == {
        "healthy": "agree",
        "lossy": "under-traced",
        "reset": "agree",
        "nested": "agree",
        "twice": "agree",
        "metered": "blind",
        "traced": "blind",
        "skewed": "agree",
    }
    assert table["nested", "tokens"]["verdict"] == "agree"
    assert (table["twice", "tokens"]["verdict"], table["twice", "tokens"]["doubled"]) == ("under-traced", True)
    assert (table["metered", "trajectories"]["short"], table["traced", "trajectories"]["short"]) == (
        "traces",
        "metrics",
    )
    filed = {one["subject"]["agent"]: one for one in report["incidents"] if one["kind"] == "metering"}
    assert set(filed) == {"lossy", "twice", "metered", "traced"}
    assert {one["severity"] for one in filed.values()} == {"low"}
    assert abs(datetime.fromisoformat(filed["lossy"]["onset"]) - ONSET) <= timedelta(hours=8)
    assert 0.7 <= filed["lossy"]["ratio"] <= 0.9
    assert "the metrics count twice" in filed["twice"]["findings"][0]["note"]
    assert report["notes"]["metering"].startswith("metrics and traces of 4 of 8 agents agree. lossy: under-traced")

    [cost] = [one for one in report["incidents"] if one["kind"] == "cost"]
    [doubt] = [one["doubt"] for one in cost["findings"] if one["kind"] == "cost"]
    assert "lossy: under-traced" in doubt["said"]
    gaps = {gap["what"]: gap["why"] for gap in report["gaps"]}
    assert gaps[f"the figures of {cost['id']}"] == doubt["said"]
    assert ran.code == 3
    assert "in traces" in shown.stdout
    assert re.search(r"lossy +trajectories +[\d,]+ +[\d,]+ +under-traced", shown.stdout)
    [reading] = json.loads(why.stdout)["readings"]
    assert reading["gate"] == "score"
