"""A drill on a small fleet: faults are found, a blind detector turns it red, and nothing goes out or is changed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest
from support.cli import analyzer
from support.drawn import stored

from analyzer.config import load
from analyzer.detectors import DETECTORS
from analyzer.pipeline.drill import drill
from analyzer.selfwatch.drill.canaries import canaries
from analyzer.selfwatch.drill.faults import FAULTS, UNDRILLED
from analyzer.simulation.agents import Agent
from analyzer.simulation.fleet import Fleet
from analyzer.simulation.scenario import DEFAULT_NOW
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.report import Kind
from analyzer.wiring.building import build_reader
from analyzer.wiring.drilling import Workshop, keep_figures

pytestmark = pytest.mark.timeout(900)
"""A drill walks some hundred times, in half a minute of processor time: a busy machine needs longer."""
BLINDED = (
    {
        "cost": Kind.COST,
        "errors": Kind.ERRORS,
        "retries": Kind.RETRIES,
        "latency": Kind.LATENCY,
        "loop": Kind.LOOP,
        "silence": Kind.SILENCE,
        "truncation": Kind.TRUNCATION,
    },
    {
        "price": Kind.COST,
        "tokens": Kind.TOKENS,
        "tool-errors": Kind.TOOL_ERRORS,
        "tool-choice": Kind.TOOL_CHOICE,
        "tool-latency": Kind.TOOL_LATENCY,
        "injection": Kind.INJECTION,
        "success": Kind.SUCCESS,
        "runaway": Kind.RUNAWAY,
    },
    {"steps": Kind.STEPS},
)
"""Detectors that are broken together, with the kind of fault that must show it. Of the detectors that must see one of
these faults one is broken and no other, as if it were broken alone."""
EACH = [(number, name, kind) for number, part in enumerate(BLINDED) for name, kind in part.items()]
HOLE = "GitHub token in a tool result"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Return a store with eight days of four agents, busy enough for every kind of fault."""
    busy = (("desk", "support", 3.5), ("analyst", "sql", 3.0), ("clerk", "billing", 3.0), ("coder", "coding", 2.5))
    agents = tuple(Agent(name, role, runs_per_hour=rate, evaluated_share=1.0) for name, role, rate in busy)
    fleet = Fleet(agents=agents, days=8, seed=5, now=DEFAULT_NOW)
    return stored(fleet, tmp_path_factory.mktemp("drill") / "fleet.db")


def drilled(store, folder, kinds=tuple(FAULTS), **settings):
    """Return a drill with some settings, and these settings."""
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
    """Return a drill with all detectors, its settings, and whether the store held the same before and after."""
    before = held(store)
    given, done = drilled(store, tmp_path_factory.mktemp("shadow"))
    return given, done, before == held(store)


@pytest.fixture(scope="module")
def blinded(store, tmp_path_factory):
    """Return what gives the drill by an installation in which a part of the detectors is off; each is done once.

    All others are on: they may take none of these faults for their own. The first part masks with a hole.
    """
    made = canaries(f"1 {DEFAULT_NOW.isoformat()}")
    secret = next(secret for secret, where in made.secrets.items() if where == HOLE)

    @cache
    def drill_of(number):
        off = {name: {"enabled": False} for name in BLINDED[number]}
        allowed = (f"*{secret}*",) if number == 0 else ()
        kinds = tuple(dict.fromkeys(BLINDED[number].values()))
        _, done = drilled(store, tmp_path_factory.mktemp("blinded"), kinds, detectors=off, mask_allow=allowed)
        return done

    return drill_of


def test_what_is_planted_is_found_and_nothing_leaks(passed) -> None:
    """Every fault is found, no other incident is told, messages were made, and no secret came out of any exit."""
    _, done, is_same = passed
    assert done.failures(0.9, 0.9) == ()
    assert (done.recall, done.precision, done.leaks, done.canaries) == (1.0, 1.0, {}, 36)
    assert {verdict.planted.kind for verdict in done.verdicts} == set(FAULTS)
    assert (done.missed_by, dict(done.undrilled)) == ((), UNDRILLED)
    assert set(done.messages) == {"Slack", "Slack bot", "webhook", "mail", "Alertmanager"}
    said = {done.messages[route] for route in ("Slack", "Slack bot", "webhook", "mail")}
    assert said == {done.found - 1}, "each is said on each route, but one that is over when the whole run is done"
    assert done.messages["Alertmanager"] == done.rounds, "all that go on, at once"
    assert all(timedelta(0) <= verdict.delay <= timedelta(hours=30) for verdict in done.verdicts)
    assert is_same


@pytest.mark.parametrize(("number", "name", "kind"), EACH, ids=[name for _, name, _ in EACH])
def test_a_detector_that_is_switched_off_turns_it_red(blinded, number, name, kind) -> None:
    """Whichever it is, and whoever else sees its fault: it is missed twice, and the drill says by whom."""
    done = blinded(number)
    assert f"the detector {name} saw no fault of kind {kind.value}, at two tries" in done.failures(0, 0)
    assert [one.unseen for one in done.verdicts if one.planted.kind is kind] == [(name,), (name,)]


@pytest.mark.parametrize("number", range(len(BLINDED)))
def test_nobody_is_blamed_for_what_another_missed(blinded, number) -> None:
    """Those that are on have seen what they had to, and a kind that somebody else files too is not lost."""
    done = blinded(number)
    assert {name for name, _ in done.missed_by} == set(BLINDED[number])
    shared = {Kind.COST} if number < 2 else set()
    assert set(done.blind) == set(BLINDED[number].values()) - shared


def test_every_detector_of_the_catalogue_is_broken_here_or_has_a_reason_not_to_be_drilled() -> None:
    """A detector that is added must have a fault that shows its blindness, or the drill must say why it has none."""
    broken = [name for _, name, _ in EACH]
    assert sorted([*broken, *UNDRILLED]) == sorted(one.name for one in DETECTORS)
    assert set(broken) == {name for fault in FAULTS.values() for name in fault.witnesses}
    assert {kind for _, _, kind in EACH} == set(FAULTS)
    for part in BLINDED:
        assert all(len(set(FAULTS[kind].witnesses) & set(part)) == 1 for kind in part.values())


def test_a_secret_that_is_let_through_is_named(blinded) -> None:
    """A hole in the masking turns the drill red, and the leak has a format, a place, and the exits it came out by."""
    done = blinded(0)
    assert set(done.leaks) == {HOLE}
    assert {"the store", "the model's requests", "the run's own trace"} <= set(done.leaks[HOLE])
    assert f"a secret came out: {HOLE}, by {', '.join(done.leaks[HOLE])}" in done.failures(0, 0)


def test_the_figures_are_metrics_of_the_analyst(passed, tmp_path) -> None:
    """A drill's recall, leaks and kinds stand in the place of the last one's, and in the textfile."""
    given, done, _ = passed
    assert keep_figures(replace(given, metrics_textfile=tmp_path / "a.prom"), done) == ()
    lines = (tmp_path / "a.prom").read_text().splitlines()
    assert "analyzer_drill_recall 1.0" in lines
    assert "analyzer_drill_leaked_canaries 0.0" in lines
    assert 'analyzer_drill_found{kind="errors"} 1.0' in lines
    assert 'analyzer_drill_seen{detector="price"} 1.0' in lines


def test_a_shadow_takes_nothing_from_clickhouse(tmp_path) -> None:
    """It holds copies with their texts: what a run followed into it would come beside them."""
    given = replace(load({}, {}).settings, clickhouse_url="http://127.0.0.1:9/otel")
    shop = Workshop(given, tmp_path)
    with shop.writer(tmp_path / "shadow.db"):
        pass
    with shop.captured(tmp_path / "shadow.db") as (app, _):
        assert app.follow(DEFAULT_NOW, None) == ()


def test_the_command_says_how_it_ended_by_its_exit_code(store) -> None:
    """0 and a document where all is found, 1 and the reason where a detector is off, 2 for an unknown fault."""
    env = {"ANALYZER_STORE": str(store)}
    passed = analyzer("drill", "--fault", "errors", "--json", env=env, timeout_s=300)
    document = json.loads(passed.stdout)
    assert (passed.code, document["schema"], document["passed"], document["recall"]) == (0, "analyzer.drill/1", True, 1)
    assert {"detector": "cost", "why": "no fault was asked for that it must see (cost, tokens, steps)"} in document[
        "not_drilled"
    ]
    off = store.parent / "off.toml"
    off.write_text("[detectors.errors]\nenabled = false\n")
    failed = analyzer("drill", "--fault", "errors", env={**env, "ANALYZER_CONFIG": str(off)}, timeout_s=300)
    assert (failed.code, "no fault of kind errors was found, at two tries" in failed.stdout) == (1, True), failed.stderr
    assert analyzer("drill", "--fault", "sadness", env=env).code == 2
