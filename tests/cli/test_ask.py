"""`analyzer ask` as a user runs it: about a trajectory, an incident and the fleet, in one go and in a session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.cli import Ended, analyzer
from support.filed import DEAR, LOOPING, NOW, WELL, filed
from support.messages_api import calls, messages_api

from analyzer.types.table import Unit


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with a simulated fleet and two incidents on file."""
    return filed(tmp_path_factory.mktemp("ask") / "store.db")


def ask(store: Path, *arguments: str, stdin: str = "", **env: str) -> Ended:
    """Run `analyzer ask`."""
    return analyzer("ask", *arguments, "--store", str(store), env=env, stdin=stdin.encode())


def document(ended: Ended) -> dict[str, Any]:
    """Return the JSON document of a command that went well."""
    assert ended.code == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


AT = ("--at", NOW.isoformat())


def test_a_question_alone_is_about_the_fleet(store: Path) -> None:
    """Tables with their columns, units and rows; no trajectory, no incident."""
    found = document(ask(store, "which agent costs us most this week?", "--json", *AT))
    assert (found["schema"], found["trace_id"], found["incident_id"]) == ("analyzer.answer/1", None, None)
    [table] = found["tables"]
    assert (table["start"], table["end"]) == ("2026-11-16T00:00:00Z", "2026-11-20T12:00:00Z")
    assert table["columns"][:2] == [{"name": "agent", "unit": ""}, {"name": "cost", "unit": "USD"}]
    assert {row[0] for row in table["rows"]} == {DEAR, LOOPING, WELL}
    assert {column["unit"] for column in table["columns"]} <= {unit.value for unit in Unit}
    assert found["by"] == "rules"


def test_people_are_told_first_that_no_model_is_set_up(store: Path) -> None:
    """Then the sums, then the table that the words ask for."""
    lines = ask(store, "fleet", "errors by agent", "--last", "2d", *AT).stdout.splitlines()
    assert lines[0] == "The fleet"
    assert lines[3].startswith(
        "No model was asked: the words of the question chose what was computed (Failures by agent)"
    )
    assert any(line.startswith("Failures by agent, 2026-11-18 12:00 to 2026-11-20 12:00 UTC") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), 'say what to ask: TRACE "question", or only "question" about the fleet'),
        (("costs",), "'costs' is no trace id; a question of one word about the fleet is `analyzer ask fleet costs`"),
        (("zzz", "why?"), "'zzz' is no trace id"),
        (("latest", "why?", "--last", "3d"), "--from, --to, --last and --agent go with questions about the fleet"),
        (
            ("what did it cost?", "--agent", "nobody", *AT),
            "no agent called 'nobody' had a run in this range; there are",
        ),
        (("what did it cost?", "--from", "2026-11-20", "--to", "2026-11-19"), "is not before --to 2026-11-19"),
        (("what did it cost?", "--last", "soon"), "'soon' is no duration"),
        (("inc-zz", "why?"), "no incident begins with inc-zz"),
    ],
)
def test_a_mistake_is_one_line(store: Path, arguments: tuple[str, ...], line: str) -> None:
    """What cannot be asked is said in one line that names the next step."""
    ended = ask(store, *arguments)
    assert ended.code == 2
    assert line in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def incident(store: Path, kind: str) -> dict[str, Any]:
    """Return the incident of a kind, as it is on file."""
    listed = document(analyzer("incidents", "list", "--json", "--store", str(store)))
    return next(one for one in listed["incidents"] if one["kind"] == kind)


def test_an_incident_is_asked_about_as_a_whole(store: Path) -> None:
    """The answer is the incident's own explanation, and names incident and worst run."""
    one = incident(store, "cost")
    found = document(ask(store, one["id"][:8], "what changed?", "--json"))
    assert (found["incident_id"], found["trace_id"]) == (one["id"], one["trace_ids"][0])
    assert one["title"] in found["answer"]


def test_a_session_from_a_pipe_answers_each_line(store: Path) -> None:
    """`TRACE` alone reads questions until the input ends; with JSON the answers are one document."""
    found = document(ask(store, "worst", "--json", stdin="what happened?\n\nand then?\n"))
    assert found["schema"] == "analyzer.answers/1"
    assert [one["question"] for one in found["answers"]] == ["what happened?", "and then?"]
    said = ask(store, "fleet", *AT, stdin="cost by model today\ncost by model yesterday\n").stdout
    assert said.count("The fleet\n=========") == 2
    assert "Cost by model, 2026-11-20 00:00 to 12:00 UTC" in said
    assert "Cost by model, 2026-11-19 00:00 to 2026-11-20 00:00 UTC" in said


def test_a_session_without_a_question_ends_well(store: Path) -> None:
    """An empty input is no mistake."""
    ended = ask(store, "worst")
    assert (ended.code, ended.stdout) == (0, "")


def test_a_span_that_an_answer_quotes_can_be_opened(store: Path) -> None:
    """Every source, and the bare id of its span, opens in `traces show` with the words that were quoted."""
    found = document(ask(store, incident(store, "loop")["id"], "why?", "--json"))
    assert found["sources"]
    quotes = {one["span_id"]: one for one in found["evidence"] if "quote" in one}
    for source in found["sources"][:2]:
        span_id = source.partition("/")[2]
        for name in (source, span_id):
            shown = document(analyzer("traces", "show", name, "--json", "--store", str(store)))
            assert (shown["schema"], shown["span_id"]) == ("analyzer.span/1", span_id)
            assert quotes[span_id]["quote"] in shown[quotes[span_id]["field"]]
    text = analyzer("traces", "show", found["sources"][0], "--store", str(store)).stdout
    assert "\noutput\n------\n" in text
    missing = analyzer("traces", "show", "0123456789abcdef", "--store", str(store))
    assert missing.code == 2
    assert "none has a span of this id" in missing.stderr
    wrong = analyzer("traces", "show", "latest/0123456789abcdef", "--store", str(store))
    assert (wrong.code, "has no span" in wrong.stderr) == (2, True)


def submits(**payload: Any) -> Any:
    """Return a reply that hands in an answer."""
    return calls(("submit_answer", payload))


TOTALS = {"by": "agent", "order": "cost", "agent": "", "only": "", "start": "", "end": "", "page": 1}


def costliest(body: dict[str, Any]) -> Any:
    """Return an answer that cites the first row of the table the model was shown."""
    told = body["messages"][-1]["content"][0]["content"]
    first = next(line for line in told.splitlines() if line.startswith("T1.1: "))
    cost = first.split("cost ")[1].split(" USD")[0]
    agent = first.split("agent ")[1].split(";")[0]
    text = f"{agent} costs most, {cost} USD."
    evidence = [{"kind": "fact", "id": "T1.1"}]
    return submits(summary=text, claims=[{"text": text, "decisive": True, "evidence": evidence}])


def test_a_model_answers_from_tables_and_follow_ups_keep_the_history(store: Path) -> None:
    """Over real HTTP: the table that was cited comes with the answer, and the second question follows the first."""
    with messages_api([calls(("totals", TOTALS)), costliest, submits(summary="Nothing more.", claims=[])]) as api:
        env = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "test-key"}
        ended = ask(store, "fleet", "--json", *AT, stdin="which agent costs most?\nanything else?\n", **env)
        bodies = api.requests
    first, second = document(ended)["answers"]
    assert (first["ending"], first["struck_out"]) == ("answered", 0)
    assert "costs most" in first["answer"]
    assert first["tables"][0]["title"] == "Cost by agent"
    assert first["claims"][0]["evidence"] == [first["evidence"][0]["id"]]
    assert second["question"] == "anything else?"
    assert len(bodies[-1]["messages"]) > len(bodies[1]["messages"])
    assert "which agent costs most?" in json.dumps(bodies[-1])
