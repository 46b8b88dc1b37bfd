"""`analyzer ask` on a terminal: statements while the answer is written, one line that moves, and a prompt."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.cli import analyzer
from support.filed import NOW, filed
from support.messages_api import Wire, calls, fails, messages_api
from support.terminal import on_a_terminal

AT = ("--at", NOW.isoformat())
TOTALS = {"by": "agent", "order": "cost", "agent": "", "only": "", "start": "", "end": "", "page": 1}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with a simulated fleet and two incidents on file."""
    return filed(tmp_path_factory.mktemp("ask") / "store.db")


def env(url: str) -> dict[str, str]:
    """Return what leads the program to a loopback server."""
    return {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "test-key"}


def rows(body: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return id, agent and cost of the rows of the table that the model was shown."""
    told = next(
        block["content"]
        for turn in body["messages"]
        for block in turn["content"]
        if block["type"] == "tool_result" and "T1.1: " in block["content"]
    )
    found = [line for line in told.splitlines() if line.startswith("T1.")]
    return [
        (line.split(":")[0], line.split("agent ")[1].split(";")[0], line.split("cost ")[1].split(" USD")[0])
        for line in found
    ]


def says(body: dict[str, Any], *places: int, lies: int = -1, **options: Any) -> Wire:
    """Return an answer with a claim a row; the one at `lies` has another cost."""
    claims = []
    for place in places:
        name, agent, cost = rows(body)[place]
        text = f"{agent} cost {'77,777' if place == lies else cost} USD."
        claims.append({"text": text, "decisive": False, "evidence": [{"kind": "fact", "id": name}]})
    summary = f"{rows(body)[0][1]} costs most."
    payload = {"claims": claims, "responsible": None, "missing": "", "summary": summary}
    return replace(calls(("submit_answer", payload)), **options)


SCRIPTS = {
    "plain": [calls(("totals", TOTALS)), lambda body: says(body, 0, 1, 2)],
    "repaired": [calls(("totals", TOTALS)), lambda body: says(body, 0, 1, 2, lies=1), lambda body: says(body, 0, 1, 2)],
    "left out": [
        calls(("totals", TOTALS)),
        lambda body: says(body, 0, 1, 2, lies=1),
        lambda body: says(body, 0, 1, 2, lies=1),
    ],
    "no answer": [fails(401, "authentication_error")],
}


def both(store: Path, script: list[Any], *arguments: str) -> tuple[str, str]:
    """Return what a terminal shows of an answer, and what a pipe gets of the same."""
    given = ("ask", "which agent costs most?", *arguments, *AT, "--store", str(store))
    with messages_api(script) as api:
        piped = analyzer(*given, env=env(api.url))
    assert (piped.code, piped.stderr) == (0, "")
    with messages_api(script) as api, on_a_terminal(*given, env=env(api.url)) as screen:
        assert screen.end() == 0
    return screen.lines, piped.stdout


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_terminal_shows_the_text_that_a_pipe_gets(store: Path, name: str) -> None:
    """Streamed and whole the text is the same, repaired and unanswered ones included; a pipe gets nothing beside it."""
    shown, piped = both(store, SCRIPTS[name])
    assert shown == piped
    assert "77,777" not in shown
    assert ("1 struck out" in shown) == (name == "left out")


def test_a_repair_that_changes_a_statement_is_said_and_shown_whole(store: Path) -> None:
    """What was printed cannot be taken back: it is said that the model corrected itself, and its answer follows."""
    script = [calls(("totals", TOTALS)), lambda body: says(body, 0, 1, lies=1), lambda body: says(body, 2, 1)]
    shown, piped = both(store, script)
    before, said, after = shown.partition(
        "\nWhat stands above was checked, but the model corrected itself. This is its answer:\n\n"
    )
    assert said
    assert after == piped
    assert before.count(" USD. (") == 1


def test_a_statement_is_on_the_screen_before_the_answer_is_written(store: Path) -> None:
    """The server does not go on before the first statement was seen."""
    waiting: list[Wire] = []

    def slow(body: dict[str, Any]) -> Wire:
        waiting.append(says(body, 0, 1, pause_after='}]}, {"text"'))
        return waiting[0]

    with (
        messages_api([calls(("totals", TOTALS)), slow]) as api,
        on_a_terminal("ask", "which agent costs most?", *AT, "--store", str(store), env=env(api.url)) as screen,
    ):
        assert "costs most." not in screen.wait_for(" USD. (")
        waiting[0].resume.set()
        assert screen.end() == 0
    assert "costs most." in screen.lines


def test_one_line_says_what_is_asked_and_what_it_cost(store: Path) -> None:
    """It moves: each call takes its place, the last one is wiped, and nothing of it stays."""
    with (
        messages_api(SCRIPTS["plain"]) as api,
        on_a_terminal("ask", "which agent costs most?", *AT, "--store", str(store), env=env(api.url)) as screen,
    ):
        assert screen.end() == 0
    moved = [part.split("\r\n")[0].split("\r")[0] for part in screen.seen.split("\r\x1b[K")[1:]]
    said = [one for one in moved if one.startswith("  . ")]
    assert [one.split("asking ")[1].split()[0] for one in said] == ["claude-sonnet-5-5", "totals", "claude-sonnet-5-5"]
    assert '"by": "agent"' in said[1]
    assert ["so far" in one for one in said] == [False, True, True]
    assert "asking" not in screen.lines


def test_json_is_the_same_document_on_a_terminal(store: Path) -> None:
    """With --json nothing is streamed: one document, and nothing on standard error."""
    with messages_api(SCRIPTS["plain"]) as api:
        given = ("ask", "which agent costs most?", "--json", *AT, "--store", str(store))
        with on_a_terminal(*given, env=env(api.url)) as screen:
            assert screen.end() == 0
        assert not any(body.get("stream") for body in api.requests)
    assert screen.seen.startswith("{\r\n")
    assert screen.lines.endswith("}\n")


def test_a_prompt_takes_questions_until_ctrl_d(store: Path) -> None:
    """Empty lines are passed over, Ctrl-C drops a line, the key up brings the last question back, Ctrl-D ends."""
    given = ("ask", "fleet", "--llm", "off", *AT, "--store", str(store))
    with on_a_terminal(*given, typed=True, env={"NO_COLOR": "1"}) as screen:
        screen.wait_for("One question a line; Ctrl-D ends.")
        screen.wait_for("? ")
        screen.type("\n")
        screen.wait_for("? ")
        screen.type("never asked")
        screen.wait_for("never asked")
        screen.interrupt()
        screen.wait_for("? ")
        screen.type("cost by model\n")
        screen.wait_for("By rules")
        screen.wait_for("? ")
        screen.type("\x1b[A")
        screen.wait_for("cost by model")
        screen.type("\n")
        screen.wait_for("By rules")
        screen.wait_for("? ")
        screen.type("\x04")
        assert screen.end() == 0
    assert screen.lines.count("The fleet\n=========") == 2
    assert "Traceback" not in screen.seen


def test_ctrl_c_during_an_answer_leads_back_to_the_prompt(store: Path) -> None:
    """The question is dropped, what it cost counts, and the next one is answered."""
    hanging = replace(fails(500), hang_s=60)
    script = [hanging, calls(("totals", TOTALS)), lambda body: says(body, 0)]
    given = ("ask", "fleet", *AT, "--store", str(store))
    with messages_api(script) as api, on_a_terminal(*given, typed=True, env=env(api.url)) as screen:
        screen.wait_for("? ")
        screen.type("which agent costs most?\n")
        screen.wait_for("asking claude")
        screen.interrupt()
        screen.wait_for("stopped; what the question has cost so far counts")
        screen.wait_for("? ")
        screen.type("which agent costs most?\n")
        screen.wait_for("costs most.")
        screen.wait_for("? ")
        screen.type("\x04")
        assert screen.end() == 0
    assert "Traceback" not in screen.seen


def test_a_prompt_ends_where_the_process_is_told_to(store: Path) -> None:
    """SIGTERM is no dropped line: it ends the program, with the exit code of an interruption."""
    with on_a_terminal("ask", "fleet", "--llm", "off", *AT, "--store", str(store), typed=True) as screen:
        screen.wait_for("? ")
        screen.interrupt(signal.SIGTERM)
        assert screen.end() == 130
    assert "Traceback" not in screen.seen


def test_a_pipe_may_hold_bytes_that_are_no_text(store: Path) -> None:
    """They are shown as such, and a mark of the byte order is no part of a question."""
    sent = "\ufeffcost by model\n".encode() + b"cost \xff\xfe by tool\n"
    ended = analyzer("ask", "fleet", "--llm", "off", *AT, "--store", str(store), stdin=sent)
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout.count("The fleet\n=========") == 2
