"""A price that rises for several agents at once, from files to one incident, beside two faults of the same hour."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli import Ended, analyzer

from analyzer.ingest.pricing import Pricer
from analyzer.simulation.agents import Agent
from analyzer.simulation.evaluate import evaluate
from analyzer.simulation.export import write_json_lines
from analyzer.simulation.faults import Fault, FaultKind
from analyzer.simulation.fleet import Fleet

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RISE = NOW - timedelta(hours=14)
SONNET, OPUS = "claude-sonnet-5-5", "claude-opus-5-5"
DEAR = ("billing", "coding", "support")


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    """Four days of three agents on a model that became dearer, and of two others whose own tools fail since then."""
    agents = [Agent(name, name, model=SONNET, runs_per_hour=7, daily=0.1) for name in DEAR]
    agents += [Agent(name, name, model=OPUS, runs_per_hour=4, daily=0.1) for name in ("research", "sql")]
    faults = (
        Fault(FaultKind.PRICE_RISE, "billing", RISE, also=("coding", "support"), factor=2.2),
        Fault(FaultKind.TOOL_ERRORS, "research", RISE, share=0.7),
        Fault(FaultKind.TOOL_ERRORS, "sql", RISE, share=0.7),
    )
    return Fleet(tuple(agents), faults, days=4, seed=11, now=NOW)


@pytest.fixture(scope="module")
def filled(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Take the fleet in, at the prices of then; nothing has run over it."""
    folder = tmp_path_factory.mktemp("fleetwide")
    write_json_lines(fleet.requests(), folder / "history.jsonl.gz")
    (folder / "analyzer.toml").write_text(prices(fleet), encoding="utf-8")
    store = folder / "store.db"
    ended = analyzer("ingest", str(folder / "history.jsonl.gz"), "--store", str(store), env=settings(store))
    assert ended.code == 0, ended.stderr
    return store


@pytest.fixture(scope="module")
def store(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy over which runs may go."""
    folder = tmp_path_factory.mktemp("run")
    for name in ("store.db", "analyzer.toml"):
        (folder / name).write_bytes((filled.parent / name).read_bytes())
    return folder / "store.db"


def prices(fleet: Fleet) -> str:
    """Return the price list of a fleet as settings: what a model cost, and what it costs since."""
    lines = []
    for model, since, factor in fleet.price_rises:
        usual = Pricer().price_of(model, at=fleet.now)
        assert usual is not None
        parts = {name: getattr(usual, name) for name in ("input", "output", "cache_read", "cache_write")}
        for dated, times in (("", 1.0), (f"from = {since:%Y-%m-%dT%H:%M:%SZ}\n", factor)):
            usd = "".join(f"{name} = {times * price}\n" for name, price in parts.items())
            lines.append(f'[[prices."{model}"]]\n{dated}{usd}')
    return "\n".join(lines)


def settings(store: Path) -> Mapping[str, str]:
    """Return the variables of the installation."""
    return {"ANALYZER_CONFIG": str(store.parent / "analyzer.toml"), "ANALYZER_LLM": "off"}


def at(store: Path, hours_ago: float) -> dict[str, Any]:
    """Run one pass and return its report."""
    moment = (NOW - timedelta(hours=hours_ago)).isoformat()
    ended: Ended = analyzer(
        "run",
        "--at",
        moment,
        "--store",
        str(store),
        "--reports",
        str(store.parent / "r"),
        "--json",
        env=settings(store),
    )
    assert ended.code in {0, 3}, ended.stderr
    report: dict[str, Any] = json.loads(ended.stdout)
    return report


def test_one_incident_per_cause_whoever_is_hit(store: Path, fleet: Fleet) -> None:
    """The price is one incident of three agents, told by the model; two tools that fail since that hour are two."""
    reports = [at(store, hours) for hours in (7, 0)]
    last = reports[-1]
    [shared] = [one for one in last["incidents"] if one["agents"]]
    assert shared["subject"] == {"agent": None, "version": None, "model": SONNET, "tool": None}
    assert shared["title"].startswith(f"3 agents on {SONNET}: cost per trajectory 2.")
    assert {part["agent"] for part in shared["agents"]} == set(DEAR)
    assert sum(part["share"] for part in shared["agents"]) == pytest.approx(1)
    assert sum(part["excess_usd"] for part in shared["agents"]) == pytest.approx(shared["excess_usd"])
    assert sum(one["share"] for one in shared["account"]) == pytest.approx(1)
    assert max(shared["account"], key=lambda one: one["share"])["factor"] == "price"
    assert shared["changes"][0]["what"] == "price"
    others = {(one["kind"], one["subject"]["agent"]) for one in last["incidents"] if not one["agents"]}
    assert {("tool-errors", "research"), ("tool-errors", "sql")} <= others
    score = evaluate(last, fleet.truths)
    assert (len(score.matched), score.missed, score.echoes, score.false) == (3, (), (), ())
    assert all(match.named for match in score.matched)
    seen = [one for report in reports for one in report["incidents"] if set(DEAR) & agents_of(one)]
    assert {one["id"] for one in seen} == {shared["id"]}


def agents_of(incident: dict[str, Any]) -> set[str]:
    """Return the agents that an incident is about."""
    return {part["agent"] for part in incident["agents"]} or {incident["subject"]["agent"]}


def test_a_backtest_files_the_same_incident(store: Path) -> None:
    """What scheduled runs would have filed is what they file: the same id, subject and agents."""
    [filed] = [one for one in at(store, 0)["incidents"] if one["agents"]]
    ended = analyzer(
        "backtest",
        *("--from", (NOW - timedelta(hours=7)).isoformat(), "--to", NOW.isoformat(), "--every", "7h"),
        *("--store", str(store), "--json"),
        env=settings(store),
    )
    assert ended.code in {0, 3}, ended.stderr
    [simulated] = [one for one in json.loads(ended.stdout)["incidents"] if one["agents"]]
    assert {key: simulated[key] for key in ("id", "subject", "agents", "account", "onset")} == {
        key: filed[key] for key in ("id", "subject", "agents", "account", "onset")
    }


def test_why_not_names_the_incident_that_an_agent_shares(store: Path, filled: Path) -> None:
    """Asked about one agent it knows of the others, filed or not, with the figures of the agent asked about."""
    [shared] = [one for one in at(store, 0)["incidents"] if one["agents"]]
    cost, unfiled = (cost_of("coding", one) for one in (store, filled))
    assert cost["found"]["said"] == f"belongs to incident {shared['id']} (cost of {SONNET})"
    [part] = [part for part in shared["agents"] if part["agent"] == "coding"]
    assert (cost["value"], cost["baseline"]) == (part["observed"], part["expected"])
    assert unfiled["found"]["said"].endswith(f" (cost of {SONNET}), not filed yet")
    assert (unfiled["value"], unfiled["baseline"]) == (part["observed"], part["expected"])


def cost_of(agent: str, store: Path) -> dict[str, Any]:
    """Ask why an agent's cost is, or is not, an incident, as the sharpest detector reads it: that of prices."""
    asked = ("why-not", agent, "--kind", "cost", "--at", NOW.isoformat(), "--store", str(store), "--json")
    ended = analyzer(*asked, env=settings(store))
    [cost] = [one for one in json.loads(ended.stdout)["readings"] if one["detector"] == "price"]
    return dict(cost)
