"""`analyzer replay` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.cli import Ended, analyzer
from support.messages_api import Wire, calls, fails, messages_api, refuses, says
from support.spans import chat, root, tool, trace_id

from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import FinishReason, Span, Tokens

TOOLS = [{"name": "lookup_order", "description": "Look it up.", "input_schema": {"type": "object"}}]
ASKED = {"type": "tool_use", "id": "c1", "name": "lookup_order", "input": {"order": "A-1"}}
USER = {"role": "user", "content": "where is A-1?"}


def first_call(number: int, **fields: Any) -> Span:
    """Return a model call that asks for a tool, of which everything was recorded."""
    return chat(
        number,
        2,
        **{
            "system": "be brief",
            "parameters": "max_tokens=64 temperature=0.2",
            "tool_definitions": json.dumps(TOOLS),
            "input": json.dumps([USER]),
            "output": json.dumps([{"role": "assistant", "content": [ASKED]}]),
            "finish": FinishReason.TOOL_CALL,
            **fields,
        },
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store with one run recorded whole, and one with little of it."""
    path = tmp_path / "store.db"
    whole = (root(1, agent_version="1.4.0"), first_call(1), tool(1, 3, tool_call_id="c1"))
    poor = (
        root(2),
        first_call(2, tool_definitions=None, system="write to joe@example.com"),
        tool(2, 3, output=None),
        chat(2, 4, at_s=4, parameters="max_tokens=64", system="x", finish=FinishReason.STOP),
    )
    with SqliteTrajectories(path) as trajectories:
        trajectories.add(whole)
        trajectories.add(poor)
    return path


def replay(store: Path, *arguments: str, **env: str) -> Ended:
    """Run `analyzer replay`."""
    return analyzer("replay", *arguments, "--store", str(store), env=env)


def test_a_whole_recording_is_said_to_be_whole(store: Path) -> None:
    """What there is to work with, and that nothing is missing."""
    ended = replay(store, trace_id(1), "--check")
    assert ended.code == 0
    assert ended.stdout == (
        f"Replay of {trace_id(1)}\n{'=' * 42}\n\n"
        "shop 1.4.0: model calls 1, of which 1 can be sent again and judged; tool results 1 of 1.\n\n"
        "Nothing that a replay needs is missing.\n"
    )


def test_what_is_missing_is_said_once_with_its_steps_and_costs(store: Path) -> None:
    """Each thing that is missing has its steps and the price of its absence; masked texts are said to be pseudonyms."""
    ended = replay(store, trace_id(2), "--check", "--json")
    assert ended.code == 0
    found = json.loads(ended.stdout)
    assert found["schema"] == "analyzer.replay-check/1"
    assert [(one["what"], one["step"]) for one in found["missing"]] == [
        ("messages", 3),
        ("decision", 3),
        ("tool definitions", None),
        ("tool result", None),
        ("masked texts", None),
    ]
    assert found["can_be_sent"] == []
    assert found["executions"] == [
        {"step": 2, "tool": "lookup_order", "call_id": "c1", "result": False, "failed": False}
    ]
    assert "<email:" in found["missing"][-1]["costs"]
    text = replay(store, trace_id(2), "--check").stdout
    assert "- messages (step 3): the call cannot be sent again" in " ".join(text.split())


def test_a_replay_says_what_it_can_be_asked_for(store: Path) -> None:
    """Without a word on what to do nothing is done; a trajectory that is not there is named."""
    ended = replay(store, trace_id(1))
    assert (ended.code, ended.stdout) == (2, "")
    assert "--check, --step N or --serve" in ended.stderr
    assert replay(store, "beef", "--check").code == 2


@pytest.mark.parametrize(
    ("mode", "option", "said"),
    [
        (("--check",), ("--port", "0"), "--port is for --serve"),
        (("--step", "1"), ("--on-divergence", "stop"), "--on-divergence is for --serve"),
        (("--step", "1"), ("--timeout", "5"), "--timeout is for --serve"),
        (("--check",), ("--guilty-step", "1"), "--guilty-step is for --serve"),
        (("--serve",), ("--times", "3"), "--times is for --step N"),
        (("--check",), ("--model", "m"), "--model is for --step N"),
    ],
)
def test_an_option_of_another_mode_is_refused(
    store: Path, mode: tuple[str, ...], option: tuple[str, ...], said: str
) -> None:
    """What would be ignored is said in a line, with the mode it belongs to, also where it says the default."""
    ended = replay(store, trace_id(1), *mode, *option)
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr == f"analyzer: {said} (see `analyzer replay --help`)\n"


def test_an_incident_takes_no_option_of_a_recording(store: Path) -> None:
    """What stands beside an incident and is not for it is refused before the incident is looked for."""
    ended = replay(store, "inc-1", "--port", "0")
    assert ended.stderr.startswith("analyzer: an incident takes --factor, --times and --yes alone")
    assert "inc-1" in replay(store, "inc-1", "--times", "3").stderr


def test_without_a_key_nothing_is_priced(store: Path) -> None:
    """What cannot be had has no price: that there is no model to ask is said first."""
    ended = replay(store, trace_id(1), "--step", "1")
    assert (ended.code, ended.stdout) == (4, "")
    assert "no model can be asked; `analyzer doctor` says what is missing" in ended.stderr
    assert "at most" not in ended.stderr


def step(store: Path, script: list[Any], *arguments: str, **env: str) -> tuple[Ended, list[dict[str, Any]]]:
    """Run `analyzer replay --step 1` against a loopback Messages API; return how it ended and what was sent."""
    with messages_api(script) as api:
        given = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "sk-ant-test", **env}
        return replay(store, trace_id(1), "--step", "1", *arguments, **given), api.requests


SAME = ("lookup_order", {"order": "A-1"})
OTHER = ("lookup_order", {"order": "B-2"})


def test_a_step_is_sent_again_as_it_was(store: Path) -> None:
    """The recorded request and nothing of ours goes out; how often the recorded decision came back has an interval."""
    script = [calls(SAME), calls(OTHER), calls(SAME), says("I cannot."), calls(SAME)]
    ended, sent = step(store, script, "--yes", "--json")
    assert ended.code == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert (found["model"], found["changed"], found["answered"], found["same"]) == ("claude-sonnet-5-5", None, 5, 3)
    assert found["share"] == pytest.approx({"value": 0.6, "low": 0.2307, "high": 0.8824}, abs=1e-4)
    assert [one["same"] for one in found["decisions"]] == [True, False, True, False, True]
    assert found["llm"]["calls"] == 5
    cached = {"cache_control": {"type": "ephemeral"}}
    assert sent == 5 * [
        {
            "model": "claude-sonnet-5-5",
            "max_tokens": 64,
            "system": [{"type": "text", "text": "be brief", **cached}],
            "messages": [{"role": "user", "content": [{"type": "text", "text": "where is A-1?"}]}],
            "tools": [{"name": "lookup_order", "description": "Look it up.", "input_schema": {"type": "object"}}],
            "temperature": 0.2,
        }
    ]


def test_a_step_is_shown_to_people(store: Path) -> None:
    """The recorded decision, the share with its interval, what was decided instead, and what it cost."""
    ended, _ = step(store, [calls(SAME), calls(OTHER), says("I cannot.")], "--yes", "--times", "3")
    heading = f"Step 1 of {trace_id(1)}, unchanged, by claude-sonnet-5-5"
    assert ended.stdout == (
        f"{heading}\n{'=' * len(heading)}\n\n"
        'Recorded: lookup_order {"order": "A-1"}\n\n'
        "1 of 3 replies took the recorded decision: 33 %, between 6 % and 79 % (Wilson, 95 %).\n\n"
        "Other decisions\n---------------\n\n"
        '- 1 x lookup_order {"order": "B-2"}\n- 1 x I cannot.\n\n'
        "Calls 3, tokens 450, for $0.0021.\n"
    )


def test_nothing_is_sent_before_its_price_is_agreed_to(store: Path) -> None:
    """Without --yes and without a terminal the estimate is said, nothing is sent, and the exit code is 2."""
    ended, sent = step(store, [calls(SAME)])
    assert (ended.code, ended.stdout, sent) == (2, "", [])
    assert "5 x claude-sonnet-5-5: at most " in ended.stderr
    assert "--yes sends it" in ended.stderr


def test_the_most_that_it_may_take_is_no_less_than_was_recorded(store: Path) -> None:
    """A text may count for more than it looks: each of five calls takes the recorded input and a whole reply."""
    with SqliteTrajectories(store) as trajectories:
        trajectories.add((root(3), first_call(3, tokens=Tokens(input=50_000, output=10))))
    ended = replay(store, trace_id(3), "--step", "1", ANTHROPIC_API_KEY="sk-ant-test")
    assert f"at most {5 * (50_000 + 64):,} tokens" in ended.stderr


def test_one_thing_is_changed(store: Path, tmp_path: Path) -> None:
    """Another model or an edited part is what goes out; two changes at once, or an unknown part, are refused."""
    edit = tmp_path / "edit.json"
    edit.write_text(json.dumps({"system": "be long"}))
    ended, sent = step(store, [calls(SAME)], "--yes", "--times", "1", "--edit", str(edit))
    assert (ended.code, sent[0]["system"][0]["text"]) == (0, "be long")
    assert "with another system, by claude-sonnet-5-5" in ended.stdout
    ended, sent = step(store, [calls(SAME)], "--yes", "--times", "1", "--model", "claude-opus-5-5", "--json")
    assert (json.loads(ended.stdout)["changed"], sent[0]["model"]) == ("model", "claude-opus-5-5")
    ended, sent = step(store, [calls(SAME)], "--yes", "--edit", str(edit), "--model", "claude-opus-5-5")
    assert (ended.code, sent) == (2, [])
    edit.write_text(json.dumps({"sytem": "be long"}))
    ended, sent = step(store, [calls(SAME)], "--yes", "--edit", str(edit))
    assert (ended.code, sent) == (2, [])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        (b'{"system": ', "is no JSON: Expecting value: line 1 column 12 (char 11)"),
        (b'{"system": "\xff"}', "is no JSON: it is not UTF-8"),
        (b"[]", "is no JSON object"),
    ],
)
def test_an_edit_that_cannot_be_read_says_why(store: Path, tmp_path: Path, content: bytes | None, said: str) -> None:
    """A file that is not there is not called bad JSON, and of bad JSON the place is said; nothing is sent."""
    edit = tmp_path / "edit.json"
    if content is not None:
        edit.write_bytes(content)
    ended, sent = step(store, [calls(SAME)], "--yes", "--edit", str(edit))
    assert (ended.code, ended.stderr, sent) == (2, f"analyzer: {edit} {said}\n", [])


def test_calls_without_a_reply_are_named_and_not_counted(store: Path) -> None:
    """An error and a cut reply are no decisions; a refusal is one, and another than the recorded one."""
    cut = Wire(calls(SAME).body, cut=True)
    script = [
        fails(400, "invalid_request_error"),
        fails(400, "invalid_request_error"),
        cut,
        cut,
        cut,
        refuses(),
        calls(SAME),
    ]
    ended, _ = step(store, script, "--yes", "--times", "4", "--json")
    found = json.loads(ended.stdout)
    assert ended.code == 3
    assert [one["same"] for one in found["decisions"]] == [False, True]
    assert len(found["problems"]) == 2
    assert "HTTP 400" in found["problems"][0]
    assert "the API cannot be reached" in found["problems"][1]


def test_without_any_reply_it_has_failed(store: Path) -> None:
    """An overloaded API gives no share at all, and never one of 0 %."""
    ended, _ = step(store, [fails(400, "invalid_request_error")], "--yes", "--times", "2", "--json")
    assert (ended.code, json.loads(ended.stdout)["share"]) == (4, None)
    ended = replay(store, trace_id(1), "--step", "1", "--yes", ANALYZER_LLM="off")
    assert (ended.code, ended.stdout) == (4, "")


def test_a_model_of_another_vendor_is_refused_before_it_is_priced(store: Path) -> None:
    """Anthropic has no gpt-5: no price is said for what cannot be had. A gateway may have it, and is asked."""
    ended = replay(
        store, trace_id(1), "--step", "1", "--model", "gpt-5", ANTHROPIC_BASE_URL="https://api.anthropic.com"
    )
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("analyzer: gpt-5 is a model of openai, and https://api.anthropic.com is asked: ")
    assert "at most" not in ended.stderr
    ended, sent = step(store, [calls(SAME)], "--yes", "--times", "1", "--model", "gpt-5")
    assert (ended.code, sent[0]["model"]) == (0, "gpt-5")


def test_the_budget_holds(store: Path) -> None:
    """What the limits do not allow is not sent; the limit is named."""
    ended, sent = step(store, [calls(SAME)], "--yes", "--json", ANALYZER_BUDGET_USD_PER_DAY="0")
    assert (ended.code, sent) == (4, [])
    assert json.loads(ended.stdout)["problems"][0].startswith("stopped: the day's $0 are taken")


def test_a_replay_is_logged_and_traced(store: Path) -> None:
    """Every call is in the log under the trajectory's id, and in a trajectory of the analyst's own."""
    ended, _ = step(store, [calls(SAME), calls(SAME)], "--yes", "--times", "2")
    assert ended.code == 0
    lines = [json.loads(line) for line in analyzer("audit", "export", "--store", str(store)).stdout.splitlines()]
    logged = [(line["entry"]["action"], line["entry"]["about"]) for line in lines if "entry" in line]
    about = f"replay-{trace_id(1)}"
    assert logged == 2 * [("model.request", about), ("model.reply", about)]
    with SqliteTrajectories(store) as trajectories:
        [own] = trajectories.summaries(agent="analyzer")
    assert own.inferences == 2


def test_a_step_that_cannot_be_judged_is_not_sent(store: Path) -> None:
    """A tool's step, and a call of which the tools are not known, are refused before anything is sent."""
    ended = replay(store, trace_id(1), "--step", "2", "--yes")
    assert (ended.code, ended.stdout) == (2, "")
    assert "step 2 is no model call" in ended.stderr
    ended = replay(store, trace_id(2), "--step", "1", "--yes")
    assert ended.code == 2
    assert "tool definitions not recorded" in ended.stderr
