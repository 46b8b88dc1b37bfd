"""What a catalogue's terms leave of the analyst's own limits, and what a run tells the catalogue."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.argus import TOKEN, catalogue
from support.cli import Ended, analyzer
from support.spans import root

from analyzer.agent.investigate import Means
from analyzer.agent.limits import Limits
from analyzer.agent.tools.catalogue import CASE
from analyzer.config import load
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.terms import Terms
from analyzer.wiring.building import build
from analyzer.wiring.enrolling import Enrolling, narrowed

AT = "2026-11-16T02:00:00Z"


def settings(**flags):
    """Return settings as the program reads them."""
    return load(flags, {}).settings


@given(
    st.builds(
        Terms,
        steps_max=st.none() | st.integers(0, 100),
        usd_max=st.none() | st.floats(0, 1e6),
        is_barred=st.booleans(),
    )
)
def test_terms_take_away_and_never_give(terms: Terms) -> None:
    """No limit is wider than it was, whatever a catalogue says; and what it sets is kept to."""
    before = settings()
    after = narrowed(before, terms)
    assert after.investigation_steps <= min(before.investigation_steps, terms.steps_max or before.investigation_steps)
    for usd in (after.budget_usd, after.investigation_usd):
        assert usd <= min(before.budget_usd, before.budget_usd if terms.usd_max is None else terms.usd_max)
    assert after.llm == ("off" if terms.is_barred or terms.steps_max == 0 else before.llm)
    unchanged = {"investigation_steps", "budget_usd", "investigation_usd", "llm"}
    assert replace(after, **{name: getattr(before, name) for name in unchanged}) == before
    assert narrowed(replace(before, llm="off"), terms).llm == "off"


def test_where_the_steps_bind_no_call_comes_beyond_them(tmp_path: Path) -> None:
    """Neither a repair nor the second reader is a way around the last call; where they do not bind both stay."""
    with SqliteTrajectories(tmp_path / "s.db") as store:
        own = Means(None, store, limits=Limits(steps=3), second_reader=True)
        bound = Enrolling(settings(), None, Terms(steps_max=3)).bound(own)
        assert (bound.limits.repairs, bound.second_reader) == (0, False)
        loose = Enrolling(settings(), None, Terms(steps_max=4)).bound(own)
    assert (loose.limits.repairs, loose.second_reader) == (own.limits.repairs, True)


def test_only_tools_that_are_allowed_are_offered(tmp_path: Path) -> None:
    """A catalogue that names tools has the model offered these alone, within a real walk."""
    allowed = CASE[0].name
    with SqliteTrajectories(tmp_path / "s.db") as store:
        store.add([root(1)])
    with catalogue() as there:
        there.enter("night", max_steps=2, budget_limit=0.25)
        there.tools["night"] = [allowed, "rm"]
        given_ = settings(store=str(tmp_path / "s.db"), argus_url=there.url, argus_name="night", llm="off")
        with build(given_, out=None) as app:
            means = app.explainer.means
            session = app.explainer.about_trajectory(f"{1:032x}", healthy_trace_ids=(), findings=())
            offered = [spec.name for spec in session._toolbox.specs]
            assert (means.limits.steps, means.limits.usd, app.budget_usd) == (2, 0.25, 0.25)
            assert app.terms == (
                "by the catalogue of agents: at most 2 model calls a conversation; at most $0.25 a run;"
                f" no tools but {allowed}, rm"
            )
    assert offered == [allowed]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store with one trajectory."""
    path = tmp_path / "store.db"
    with SqliteTrajectories(path) as opened:
        opened.add([root(1)])
    return path


def run(store: Path, *extra: str, **env: str) -> Ended:
    """Run one pass as JSON."""
    return analyzer("run", "--at", AT, "--store", str(store), "--llm", "off", "--json", *extra, env=env)


def test_a_run_enters_the_analyst_and_is_told_to_the_catalogue(store: Path) -> None:
    """A process enters itself, asks for its terms, and tells of its run, in this order and once."""
    with catalogue() as there:
        ended = run(store, ANALYZER_ARGUS_URL=there.url, ANALYZER_ARGUS_TOKEN=TOKEN)
        assert there.calls == [("POST", ""), ("GET", "/analyzer/policy"), ("POST", "/analyzer/invocations")]
    document = json.loads(ended.stdout)
    assert there.invocations[0][1]["session_id"] == document["run"]["trace_id"]
    assert "the catalogue of agents" not in [gap["what"] for gap in document["gaps"]]
    assert TOKEN not in ended.stdout + ended.stderr


def test_a_catalogue_that_is_gone_is_a_gap_of_the_run(store: Path) -> None:
    """The run is done, kept and says what it could not do, with exit 3; other runs do not ask anyone."""
    ended = run(store, ANALYZER_ARGUS_URL="http://127.0.0.1:9", ANALYZER_ARGUS_TOKEN=TOKEN)
    gaps = [gap for gap in json.loads(ended.stdout)["gaps"] if gap["what"] == "the catalogue of agents"]
    assert ended.code == 3
    assert [gap["why"] for gap in gaps] == ["the Argus Catalog could not be reached (ConnectionRefusedError)"]
    assert "the catalogue of agents" not in run(store).stdout


def test_a_run_that_repeats_history_is_not_told(store: Path) -> None:
    """What is neither saved nor sent is no invocation either."""
    with catalogue() as there:
        env = {"ANALYZER_ARGUS_URL": there.url, "ANALYZER_ARGUS_TOKEN": TOKEN}
        run(store, **env)
        analyzer("run", "--at", "2026-11-16T01:00:00Z", "--store", str(store), "--llm", "off", "--json", env=env)
    assert len(there.invocations) == 1


def test_doctor_asks_the_catalogue_for_a_number_and_enters_nothing(store: Path) -> None:
    """What a check does changes nothing; an address that does not answer is named."""
    with catalogue() as there:
        there.enter("shop")
        env = {"ANALYZER_ARGUS_URL": there.url}
        ended = analyzer("doctor", "--json", "--store", str(store), env=env)
        assert there.calls == [("GET", "/stats")]
    [check] = [one for one in json.loads(ended.stdout)["checks"] if one["name"] == "catalogue"]
    assert (check["state"], check["detail"]) == ("ok", "1 agents are entered; nothing was sent")
    dead = analyzer("doctor", "--json", "--store", str(store), env={"ANALYZER_ARGUS_URL": "http://127.0.0.1:9"})
    [check] = [one for one in json.loads(dead.stdout)["checks"] if one["name"] == "catalogue"]
    assert check["state"] == "failed"
