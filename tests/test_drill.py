"""A drill on a small fleet: faults are found, a blind detector turns it red, and nothing goes out or is changed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from support.cli import analyzer
from support.drawn import stored

from analyzer.config import load
from analyzer.pipeline.drill import drill
from analyzer.selfwatch.drill.canaries import canaries
from analyzer.simulation.agents import Agent
from analyzer.simulation.fleet import Fleet
from analyzer.simulation.scenario import DEFAULT_NOW
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.report import Kind
from analyzer.wiring.building import build_reader
from analyzer.wiring.drilling import Workshop, keep_figures

KINDS = (Kind.LOOP, Kind.ERRORS, Kind.INJECTION)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Return a store with four days of two agents."""
    fleet = Fleet(
        agents=(Agent("desk", "support", runs_per_hour=4), Agent("analyst", "sql", runs_per_hour=3)),
        days=4,
        seed=5,
        now=DEFAULT_NOW,
    )
    return stored(fleet, tmp_path_factory.mktemp("drill") / "fleet.db")


def drilled(store, folder, kinds=KINDS, **settings):
    """Return a drill with some settings."""
    given = replace(load({}, {}).settings, store=store, **settings)
    with build_reader(given) as app:
        done = drill(app, Workshop(given, folder), DEFAULT_NOW, kinds=kinds)
    return given, done


def held(store):
    """Return what a store holds, row by row; the counts that any reader refreshes are left out."""
    with SqliteTrajectories(store) as opened:
        return opened.summaries(limit=10_000), SqliteIncidents(opened.connection).incidents()


@pytest.fixture(scope="module")
def passed(store, tmp_path_factory):
    """Return a drill with all detectors, its settings, and what the store held before and after."""
    before = held(store)
    given, done = drilled(store, tmp_path_factory.mktemp("shadow"))
    return given, done, before == held(store)


def test_what_is_planted_is_found_and_nothing_leaks(passed) -> None:
    """Every fault is found, no other incident is told, messages were made, and no secret came out of any exit."""
    _, done, is_same = passed
    assert done.failures(0.9, 0.9) == ()
    assert (done.recall, done.precision, done.leaks, done.canaries) == (1.0, 1.0, (), 36)
    assert {verdict.planted.kind for verdict in done.verdicts} == set(KINDS)
    assert done.messages >= 3 * done.found, "each is said on each of three routes"
    assert all(timedelta(0) <= verdict.delay <= timedelta(hours=30) for verdict in done.verdicts)
    assert is_same


@pytest.mark.parametrize("kind", [Kind.LOOP, Kind.ERRORS], ids=lambda kind: kind.value)
def test_a_detector_that_is_switched_off_turns_it_red(store, tmp_path, kind) -> None:
    """Its fault is missed twice: the recall falls, and the drill says which kind nobody sees."""
    _, done = drilled(store, tmp_path, (kind,), detectors={kind.value: {"enabled": False}})
    assert (done.recall, done.blind, len(done.verdicts)) == (0.0, (kind,), 2)
    assert f"no fault of kind {kind.value} was found, at two tries" in done.failures(0.9, 0.9)


def test_a_secret_that_is_let_through_is_named(store, tmp_path) -> None:
    """A hole in the masking turns the drill red, and the leak has a format and a place."""
    made = canaries(f"1 {DEFAULT_NOW.isoformat()}")
    secret = next(secret for secret, where in made.secrets.items() if where == "GitHub token in a tool result")
    _, done = drilled(store, tmp_path, (Kind.LOOP,), mask_allow=(f"*{secret}*",))
    assert done.leaks == ("GitHub token in a tool result",)
    assert done.failures(0.9, 0.9) == ("a secret came out: GitHub token in a tool result",)


def test_the_figures_are_metrics_of_the_analyst(passed, tmp_path) -> None:
    """A drill's recall, leaks and kinds stand in the place of the last one's, and in the textfile."""
    given, done, _ = passed
    assert keep_figures(replace(given, metrics_textfile=tmp_path / "a.prom"), done) == ()
    lines = (tmp_path / "a.prom").read_text().splitlines()
    assert "analyzer_drill_recall 1.0" in lines
    assert "analyzer_drill_leaked_canaries 0.0" in lines
    assert 'analyzer_drill_found{kind="errors"} 1.0' in lines


def test_the_command_says_how_it_ended_by_its_exit_code(store) -> None:
    """0 and a document where all is found, 1 and the reason where a detector is off, 2 for an unknown fault."""
    env = {"ANALYZER_STORE": str(store)}
    passed = analyzer("drill", "--fault", "errors", "--json", env=env, timeout_s=300)
    document = json.loads(passed.stdout)
    assert (passed.code, document["schema"], document["passed"], document["recall"]) == (0, "analyzer.drill/1", True, 1)
    off = store.parent / "off.toml"
    off.write_text("[detectors.errors]\nenabled = false\n")
    failed = analyzer("drill", "--fault", "errors", env={**env, "ANALYZER_CONFIG": str(off)}, timeout_s=300)
    assert (failed.code, "no fault of kind errors was found, at two tries" in failed.stdout) == (1, True), failed.stderr
    assert analyzer("drill", "--fault", "sadness", env=env).code == 2
