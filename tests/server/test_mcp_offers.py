"""What other agents may ask: the answers, what they are confined to, what is logged, and what hostile callers get."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.filed import DEAR, LOOPING, NOW, WELL, filed, settings_over

from analyzer.agent.tools.catalogue import CASE, FLEET, TRAJECTORY
from analyzer.server.mcp.offers import Shown
from analyzer.server.mcp.wire import Desk, Opened
from analyzer.wiring.building import build, build_reader
from analyzer.wiring.opening import open_audit


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with a simulated fleet and two incidents on file."""
    return filed(tmp_path_factory.mktemp("mcp") / "store.db")


@pytest.fixture(scope="module")
def desk(store: Path) -> Desk:
    """Return a desk over the store, at the time of its last run."""
    known = settings_over(store)
    opened = Opened(partial(build, known, out=None), partial(build_reader, known, logged=True))
    return Desk(opened, has_metrics=False, now=lambda: NOW, mask=lambda text: text)


def shown(desk: Desk, name: str, **arguments: Any) -> Shown:
    """Make a call that goes well."""
    answer = desk.call(name, arguments)
    assert not answer.failed, answer.text
    return answer


def refused(desk: Desk, name: str, arguments: Mapping[str, Any]) -> str:
    """Make a call that does not, and return what the caller is told."""
    answer = desk.call(name, arguments)
    assert answer.failed
    return answer.text


def incident_of(desk: Desk, agent: str) -> dict[str, Any]:
    """Return the incident of an agent, as it is listed."""
    document = shown(desk, "list_incidents", agent=agent).document
    assert document is not None
    (found,) = document["incidents"]
    return dict(found)


def test_the_investigators_tools_are_all_there_and_read(desk: Desk) -> None:
    """Each under its own name, with what is looked at as one argument more; PromQL only with a Prometheus."""
    names = {tool.name for tool in (*CASE, *TRAJECTORY, *FLEET)}
    own = {"ask", "list_incidents", "show_incident", "list_trajectories", "why_not"}
    assert set(desk.offers) == (names | own) - {"metric", "incidents"}
    with_metrics = Desk(Opened(None, None), has_metrics=True, now=lambda: NOW, mask=str)  # type: ignore[arg-type]
    assert set(with_metrics.offers) - set(desk.offers) == {"metric"}
    for name in names & set(desk.offers):
        schema = desk.offers[name].schema
        assert schema["required"][0] == "about"
        assert set(schema["required"]) <= set(schema["properties"])


def test_an_incident_is_listed_and_shown_as_on_the_command_line(desk: Desk) -> None:
    """The document is that of `incidents list --json`, the text the incident's own report."""
    looping = incident_of(desk, LOOPING)
    assert (looping["kind"], looping["subject"]["agent"]) == ("loop", LOOPING)
    whole = shown(desk, "show_incident", incident=looping["id"])
    assert whole.document == {"schema": "analyzer.incident/1", **looping}
    assert whole.text.startswith(f"# {looping['title']}")
    assert looping["title"] in shown(desk, "list_incidents").text
    assert shown(desk, "list_incidents", agent=WELL).text == "no incidents go on"


def test_why_a_run_failed_is_answered_from_its_trace_id(desk: Desk) -> None:
    """Also from its beginning; without a model by what can be computed, which is said."""
    trace_id = incident_of(desk, LOOPING)["trace_ids"][0]
    answer = shown(desk, "ask", question="why did this run go on for so long?", about=trace_id[:12])
    assert answer.document is not None
    found = {name: answer.document[name] for name in ("schema", "trace_id", "incident_id", "by")}
    assert found == {"schema": "analyzer.answer/1", "trace_id": trace_id, "incident_id": None, "by": "rules"}
    assert answer.document["run"]["llm"]["calls"] == 0
    assert "the same call to get_order failing in the same way 16 times" in answer.text
    assert "No model is set up" in answer.text


def test_a_question_without_a_subject_is_about_the_fleet(desk: Desk) -> None:
    """As on the command line."""
    answer = shown(desk, "ask", question="which agent costs us most?")
    assert answer.document is not None
    assert answer.text.startswith("# The fleet\n")
    (table,) = answer.document["tables"]
    assert {row[0] for row in table["rows"]} == {DEAR, LOOPING, WELL}


def test_a_step_is_read_in_full_after_the_outline(store: Path, desk: Desk) -> None:
    """The outline names the span, the span has the text."""
    trace_id = incident_of(desk, LOOPING)["trace_ids"][0]
    outline = shown(desk, "outline", about=trace_id[:12]).text
    with sqlite3.connect(store) as raw:
        (span_id,) = raw.execute(
            "SELECT span_id FROM spans WHERE tool IS NOT NULL AND trajectory ="
            " (SELECT id FROM trajectories WHERE trace_id = ?) LIMIT 1",
            (trace_id,),
        ).fetchone()
    assert span_id[:8] in outline
    text = shown(desk, "span", about=trace_id, trace_id=trace_id, span=span_id, field="input", page=1).text
    assert "order" in text


def test_a_call_is_confined_to_what_it_is_about(desk: Desk) -> None:
    """Another agent's trajectory is not opened by a call about this one."""
    looping, dear = incident_of(desk, LOOPING)["trace_ids"][0], incident_of(desk, DEAR)["trace_ids"][0]
    told = refused(desk, "outline", {"about": looping, "trace_id": dear, "page": 1})
    assert told.startswith("trace_id must name one trajectory of the case")
    assert dear not in told


def test_each_call_is_in_the_log_with_what_it_gave(store: Path, desk: Desk) -> None:
    """Also one that failed; a question is written down as every question is."""
    with open_audit(settings_over(store)) as log:
        before = log.verify().head.entries
    shown(desk, "list_trajectories", agent=WELL)
    refused(desk, "show_incident", {"incident": "inc-nobody"})
    shown(desk, "ask", question="what did it cost?", about="latest")
    with open_audit(settings_over(store)) as log:
        entries = [one.document for one in log.entries() if one.number > before]
        assert not log.verify().faults
    assert [(one["action"], one["name"], one["failed"]) for one in entries] == [
        ("tool.call", "list_trajectories", False),
        ("tool.call", "show_incident", True),
        ("question.answered", "rules", False),
    ]
    assert entries[0]["arguments"] == {"agent": WELL}


def test_nothing_of_the_fleet_is_changed(store: Path, desk: Desk) -> None:
    """Trajectories, incidents and words are as before, whatever is called."""

    def held() -> list[Any]:
        with sqlite3.connect(store) as raw:
            queries = ("SELECT trace_id, spans FROM trajectories WHERE agent != 'analyzer' ORDER BY 1",
                       "SELECT * FROM incidents ORDER BY 1")  # fmt: skip
            return [raw.execute(query).fetchall() for query in queries]

    before = held()
    trace_id = incident_of(desk, LOOPING)["trace_ids"][0]
    for name, offer in desk.offers.items():
        values = {"about": trace_id, "question": "why?", "incident": incident_of(desk, DEAR)["id"], "agent": WELL}
        desk.call(name, {key: values[key] for key in offer.schema["properties"] if key in values})
    assert held() == before


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("ask", {"question": "  "}, "question is empty: say what you want to know"),
        ("ask", {"question": "why?", "about": "ffff"}, "no trajectory"),
        ("outline", {}, "about must say what to look at: a trace id, latest, worst, an incident's id, or fleet"),
        ("list_trajectories", {"agent": "biling"}, "no trajectory of an agent called 'biling'; did you mean billing?"),
        ("list_trajectories", {"order": "age"}, "order must be one of recent, cost, tokens, duration, steps"),
        ("list_trajectories", {"errors_only": "yes"}, "errors_only must be true or false"),
        ("why_not", {"agent": WELL, "kind": "costs"}, "kind must be one of cost, "),
        ("why_not", {"agent": "nobody"}, "no agent called 'nobody'"),
        ("show_incident", {"incident": "inc-nobody"}, "no incident"),
        ("account", {"about": "latest"}, "there is no tool 'account'; use one of case_facts, "),
        ("show_incident", {}, "incident must be an incident's id (inc-...)"),
        ("list_incidents", {"agnt": "x"}, "there is no argument 'agnt'; there are agent, all"),
        ("drop_tables", {}, "there is no tool 'drop_tables'; there are ask, list_incidents, "),
    ],
)
def test_what_does_not_fit_is_answered_with_what_to_ask(
    desk: Desk, name: str, arguments: Mapping[str, Any], said: str
) -> None:
    """In one line that a model can act on."""
    assert said in refused(desk, name, arguments)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_arguments_are_answered(desk: Desk, data: st.DataObject) -> None:
    """Whatever JSON comes, the caller gets text and the server goes on."""
    name = data.draw(st.sampled_from(sorted(desk.offers)))
    properties = desk.offers[name].schema["properties"]
    arguments = {key: data.draw(JSON) for key in properties if data.draw(st.booleans())}
    if "about" in properties and data.draw(st.booleans()):
        arguments["about"] = "latest"
    answer = desk.call(name, arguments)
    assert isinstance(answer.text, str)
    assert answer.text
