"""With ClickHouse down, what the index knows is shown everywhere, and one sentence says what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from support.cli import analyzer
from support.collected import request
from support.receiver import ask, running
from support.site import HTML, Structure
from support.spans import EPOCH

from analyzer.config import Settings, load
from analyzer.ingest.otlp import spans_from_json
from analyzer.pipeline import App
from analyzer.server.mcp.wire import Desk, Opened
from analyzer.server.pages.site import Site, Sources
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.report import Gap
from analyzer.wiring.building import build, build_reader
from analyzer.wiring.opening import open_reader

URL = "http://reader@127.0.0.1:9/otel"
WHY = "ClickHouse at http://127.0.0.1:9/otel did not answer; check ANALYZER_CLICKHOUSE_URL and the server"
GAP = (
    f"could not see texts of trajectories: {WHY}"
    " (`analyzer doctor` checks the connection; what is counted is in the store)"
)
RUN, OTHER, CHAT = f"{1:032x}", f"{2:032x}", f"{2:016x}"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Return an index of two trajectories whose texts lie in a ClickHouse that does not answer."""
    path = tmp_path / "index.db"
    with SqliteTrajectories(path) as store:
        for number in (1, 2):
            store.add_light(spans_from_json(request(number, EPOCH)).spans)
    return path


def env(index: Path) -> dict[str, str]:
    """Return the settings of a user."""
    return {"ANALYZER_STORE": str(index), "ANALYZER_LLM": "off", "ANALYZER_CLICKHOUSE_URL": URL}


def settings(index: Path) -> Settings:
    """Return the same for what runs in this process."""
    return replace(load({}, {}).settings, store=index, llm="off", clickhouse_url=URL)


def test_a_trajectory_is_shown_without_its_texts(index: Path):
    """`traces show` draws the tree by the index, says why it has no texts, and exits as with any gap."""
    shown = analyzer("traces", "show", RUN, env=env(index))
    assert (shown.code, shown.stderr.strip()) == (3, GAP)
    assert [word in shown.stdout for word in ("lookup_order", "1230", "refund")] == [True, True, False], shown.stdout
    document = json.loads(analyzer("traces", "show", RUN, "--json", env=env(index)).stdout)
    assert [gap["why"] for gap in document["gaps"]] == [WHY]
    assert [span["input"] for span in document["spans"]] == [None] * 3


def test_a_span_is_shown_without_its_texts(index: Path):
    """One span in full has its figures, and the gap in the place of its texts."""
    shown = analyzer("traces", "show", f"{RUN}/{CHAT}", env=env(index))
    assert (shown.code, shown.stderr.strip()) == (3, GAP)
    assert "claude-sonnet-4-5" in shown.stdout
    document = json.loads(analyzer("traces", "show", f"{RUN}/{CHAT}", "--json", env=env(index)).stdout)
    assert (document["tokens"]["input"], [gap["why"] for gap in document["gaps"]]) == (1200, [WHY])


def test_a_search_says_what_it_did_not_look_through(index: Path):
    """`traces search` gives what stands in the store, and the rest is a gap."""
    found = analyzer("traces", "search", "refund", env=env(index))
    assert (found.code, found.stderr.strip()) == (3, GAP)
    document = json.loads(analyzer("traces", "search", "refund", "--json", env=env(index)).stdout)
    assert (document["hits"], [gap["why"] for gap in document["gaps"]]) == ([], [WHY])


def test_what_cannot_be_compared_is_a_failure(index: Path):
    """Without texts any two runs would look alike: `traces diff` says why it does not compare them."""
    done = analyzer("traces", "diff", RUN, OTHER, env=env(index))
    assert (done.code, done.stdout, WHY in done.stderr) == (4, "", True)


def test_an_id_that_the_index_has_not_is_a_failure(index: Path):
    """Whether there is such a trajectory nobody can say then."""
    done = analyzer("traces", "show", "a" * 32, env=env(index))
    assert (done.code, done.stdout, WHY in done.stderr) == (4, "", True)


def test_questions_are_answered_from_the_index(index: Path):
    """`ask` answers with what can be computed, and says what it has not read."""
    asked = analyzer("ask", RUN, "what did it cost?", env=env(index))
    assert (asked.code, GAP in asked.stderr) == (3, True), asked.stderr
    document = json.loads(analyzer("ask", RUN, "what did it cost?", "--json", env=env(index)).stdout)
    assert [gap["why"] for gap in document["gaps"]] == [WHY]


def test_the_pages_show_what_the_index_knows(index: Path):
    """A trajectory, a span and a search are pages with a sentence why texts are missing; a comparison says why not."""
    known = settings(index)
    with SqliteTrajectories(index) as store:
        sources = Sources(opened=lambda: open_reader(known), say=lambda _id, _word: None, mask=str)  # type: ignore[arg-type, return-value]
        site = Site(sources, token=None, loopback=True)
        with running(store.add, site=site) as served:
            told = {
                path: ask(served.where.url, "GET", path, headers={"Accept": HTML})
                for path in (
                    f"/trajectories/{RUN}",
                    f"/trajectories/{RUN}/spans/{CHAT}",
                    "/trajectories?q=refund",
                    f"/compare?a={RUN}&b={OTHER}",
                    "/trajectories",
                )
            }
    run, span, search, compared, listed = (
        (one.status, " ".join(Structure(one.body).text.split())) for one in told.values()
    )
    said = f"Texts could not be read: {WHY}."
    assert [page[0] for page in (run, span, search, compared, listed)] == [200, 200, 200, 503, 200]
    assert [page[1].count(said) for page in (run, span, search, compared, listed)] == [1, 1, 1, 0, 0]
    assert ("lookup_order" in run[1], "claude-sonnet-4-5" in span[1], "no text" in span[1]) == (True, True, False)
    assert "stands in no trajectory" not in search[1]
    assert WHY in compared[1]


def test_other_agents_are_told_the_gap(index: Path):
    """What is asked by the Model Context Protocol is answered from the index, with the gap behind the answer.

    What could not be seen before the question says nothing of the answer.
    """
    known = settings(index)

    @contextmanager
    def reading() -> Iterator[App]:
        with build_reader(known, logged=True) as app:
            yield replace(app, gaps=lambda: (Gap("a plug-in", "it was broken before", "mend it"), *app.gaps()))

    opened = Opened(partial(build, known, out=None), reading)
    desk = Desk(opened, has_metrics=False, now=lambda: EPOCH, mask=str)
    outline = desk.call("outline", {"about": RUN})
    assert (outline.failed, "lookup_order" in outline.text) == (False, True), outline.text
    assert outline.text.endswith(f"\n\n{GAP}")
    assert "a plug-in" not in outline.text
    asked = desk.call("ask", {"about": RUN, "question": "what did it cost?"})
    assert (asked.failed, asked.text.endswith(f"\n\n{GAP}")) == (False, True)
    assert asked.document is not None
    assert [gap["why"] for gap in asked.document["gaps"]] == [WHY]
    assert GAP not in desk.call("list_trajectories", {}).text


def test_an_empty_store_names_the_way_in_that_is_set(tmp_path: Path):
    """Where nothing is there yet, each command names `store follow` with ClickHouse, and `ingest` without."""
    SqliteTrajectories(tmp_path / "index.db").close()
    followed = env(tmp_path / "index.db")
    ingested = {name: value for name, value in followed.items() if name != "ANALYZER_CLICKHOUSE_URL"}
    asked = ("traces list", "traces show latest", "registry list", "registry show x", "drill")
    for arguments in asked:
        for given, way in ((followed, "`analyzer store follow`"), (ingested, "`analyzer ingest PATH`")):
            done = analyzer(*arguments.split(), env=given)
            assert way in done.stdout + done.stderr, (arguments, done)
    with SqliteTrajectories(tmp_path / "index.db") as store:
        sources = Sources(
            opened=lambda: open_reader(settings(tmp_path / "index.db")),
            say=lambda _id, _word: None,  # type: ignore[arg-type, return-value]
            mask=str,
        )
        with running(store.add, site=Site(sources, token=None, loopback=True)) as served:
            page = ask(served.where.url, "GET", "/", headers={"Accept": HTML})
    assert b"<code>analyzer store follow</code>" in page.body
