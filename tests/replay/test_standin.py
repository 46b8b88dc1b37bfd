"""The stand-in for a provider: what it answers, what it refuses, and what it says of an agent that parts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.replay import RecordedFailureError, UnrecordedError, recorded_tools
from analyzer.replay.alike import Decision
from analyzer.replay.client import TOOLS_PATH
from analyzer.replay.conversation import Message, ToolCall, ToolDefinition, ToolReturn
from analyzer.replay.judging import failure_of, seen
from analyzer.replay.outcomes import Outcome
from analyzer.replay.recording import Call, Execution, Recording, Request
from analyzer.replay.standin import Answer, How, Policy, StandIn
from analyzer.replay.tools import RecordedTools
from analyzer.replay.wires import WIRES
from analyzer.server.standin import standing_in
from analyzer.types import trace
from analyzer.types.trace import ErrorClass, FinishReason, Operation, Span, Status

LOOKUP = ToolDefinition("lookup", "Look up.", {"type": "object"})
GOAL = Message("user", "Where is A-17?")
ASKED = Message("assistant", tool_calls=(ToolCall("c1", "lookup", {"order": "A-17"}),))
PATHS = [wire.path for wire in WIRES]


def span(number: int, **more: Any) -> Span:
    """Return the span of a step; steps follow each other."""
    times = {"start_ns": number * 10, "end_ns": number * 10 + 5, **more}
    return Span("0" * 32, f"{number:016x}", None, "chat", Operation.CHAT, **times)


def call(number: int, messages: tuple[Message, ...], decision: Decision, **more: Any) -> Call:
    """Return a recorded call of a model."""
    return Call(number, span(number, **more), Request("m-1", {}, "Be kind.", (LOOKUP,), messages), decision)


FOUND = Message("tool", returns=(ToolReturn("c1", '{"state": "lost"}'),))
RECORDING = Recording(
    trace_id="0" * 32,
    agent="orders",
    agent_version=None,
    task="",
    calls=(
        call(1, (GOAL,), Decision("", ASKED.tool_calls, FinishReason.TOOL_CALL)),
        call(3, (GOAL, ASKED, FOUND), Decision("It is lost.", (), FinishReason.STOP)),
    ),
    executions=(Execution(2, span(2), "lookup", "c1", {"order": "A-17"}, '{"state": "lost"}', failed=True),),
    missing=(),
)


def chat(*messages: dict[str, Any], model: str = "m-1", **more: Any) -> bytes:
    """Return a request to Chat Completions as an agent would send it."""
    tool = {"type": "function", "function": {"name": "lookup", "description": "Look up.", "parameters": LOOKUP.schema}}
    system = {"role": "system", "content": "Be kind."}
    return json.dumps({"model": model, "messages": [system, *messages], "tools": [tool], **more}).encode()


USER = {"role": "user", "content": "Where is A-17?"}
MADE = {"id": "x9", "type": "function", "function": {"name": "lookup", "arguments": '{"order":"A-17"}'}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [MADE]}


def tool(text: str) -> dict[str, Any]:
    """Return what a tool gave, as a message."""
    return {"role": "tool", "tool_call_id": "x9", "content": text}


def ask(standin: StandIn, body: bytes, **more: Any) -> Answer:
    """Ask as OpenAI's SDK does."""
    return standin.answer("/v1/chat/completions", body, **more)


def test_a_difference_is_shown_as_a_diff_and_stops_the_agent() -> None:
    """What the tool gave is another than recorded: the SDK gets an error it does not try again, with the step."""
    standin = StandIn(RECORDING)
    assert ask(standin, chat(USER)).status == 200
    refused = ask(standin, chat(USER, CALLED, tool('{"state": "shipped"}')))
    assert refused.status == 400
    assert refused.headers == {"x-should-retry": "false"}
    said = json.loads(refused.body)["error"]["message"]
    assert said == "analyzer replay: this request first differs from the recording at step 3 (the messages)"
    met = standin.course[-1]
    assert met.difference is not None
    assert met.difference.diff == (
        "@@ -1,3 +1,3 @@",
        " input: Where is A-17?",
        ' assistant: [call lookup {"order": "A-17"}]',
        '-input: {"state": "lost"}',
        '+input: {"state": "shipped"}',
    )


def test_ids_times_and_layout_are_no_difference() -> None:
    """Ids of calls, the order of keys, parameters and moments of time differ in every run, and are the same request."""
    timed = replace(RECORDING.calls[0].request, system="Be kind. It is 2026-01-02T03:04:05Z.")
    recording = replace(RECORDING, calls=(replace(RECORDING.calls[0], request=timed), RECORDING.calls[1]))
    standin = StandIn(recording)
    body = chat(USER, temperature=0.7).replace(b"Be kind.", b"Be kind. It is 2027-11-12T13:14:15Z.")
    assert ask(standin, body).status == 200
    assert [met.how for met in standin.course] == [How.SAME]


def test_nearest_lets_an_agent_go_on_with_the_reply_that_fits_best() -> None:
    """Of the recorded calls that are left, the one with the most words in common answers; none answers twice."""
    standin = StandIn(RECORDING, policy=Policy.NEAREST)
    answer = ask(standin, chat(USER, CALLED, tool('{"state": "shipped"}')))
    assert json.loads(answer.body)["choices"][0]["message"]["content"] == "It is lost."
    assert [(met.step, met.how, met.answered) for met in standin.course] == [(1, How.NEAREST, 3)]
    assert ask(standin, chat(USER)).status == 200
    assert ask(standin, chat(USER)).status == 400


def test_a_request_that_an_sdk_sends_again_is_answered_again() -> None:
    """A retry of the SDK does not use up the next recorded call; the same request without that mark does."""
    standin = StandIn(RECORDING)
    first = ask(standin, chat(USER))
    assert ask(standin, chat(USER), again=True) == first
    assert len(standin.course) == 1
    assert ask(standin, chat(USER)).status == 400


def test_calls_that_ran_side_by_side_may_come_in_any_order() -> None:
    """Two recorded calls that overlapped in time are matched by what is asked, not by who is first."""
    other = Message("user", "And where is B-2?")
    calls = (
        call(1, (GOAL,), Decision("one"), end_ns=100),
        call(2, (other,), Decision("two"), end_ns=100),
    )
    standin = StandIn(replace(RECORDING, calls=calls))
    second = ask(standin, chat({"role": "user", "content": "And where is B-2?"}))
    first = ask(standin, chat(USER))
    assert [json.loads(one.body)["choices"][0]["message"]["content"] for one in (second, first)] == ["two", "one"]
    assert {met.how for met in standin.course} == {How.SAME}


def test_a_call_that_failed_then_fails_again() -> None:
    """The provider's error is part of the recording, with the status its class has."""
    failing = call(1, (GOAL,), Decision(""), status=Status.ERROR, error=ErrorClass.RATE_LIMIT, status_message="slow")
    answer = ask(StandIn(replace(RECORDING, calls=(failing,))), chat(USER))
    assert (answer.status, json.loads(answer.body)["error"]["message"]) == (429, "slow")


def test_what_is_asked_is_masked_before_it_is_compared() -> None:
    """The recording was masked when it was stored: the secret that an agent sends is held against its pseudonym."""
    masked = replace(RECORDING.calls[0].request, messages=(Message("user", "My key is <secret-1>"),))
    recording = replace(RECORDING, calls=(replace(RECORDING.calls[0], request=masked),))
    standin = StandIn(recording, mask=lambda text: text.replace("hunter2", "<secret-1>"))
    assert ask(standin, chat({"role": "user", "content": "My key is hunter2"})).status == 200


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_KEYS = st.sampled_from(["model", "messages", "input", "instructions", "system", "tools", "stream", "stream_options"])
_ENTRY = st.dictionaries(st.sampled_from(["role", "content", "type", "name", "tool_calls", "parts"]), _ANY, max_size=6)


@given(path=st.sampled_from(PATHS), body=_ANY | st.dictionaries(_KEYS, _ANY | st.lists(_ENTRY, max_size=3)))
def test_whatever_is_sent_is_answered(path: str, body: object) -> None:
    """Any JSON gives a reply or an error of the API, and never an exception."""
    answer = StandIn(RECORDING).answer(path, json.dumps(body).encode())
    assert answer.status in {200, 400}
    assert answer.status == 200 or "message" in json.loads(answer.body)["error"]


@given(path=st.sampled_from([*PATHS, f"{TOOLS_PATH}/lookup", "/v1/models"]), body=st.binary(max_size=64))
def test_bytes_that_are_no_request_are_refused(path: str, body: bytes) -> None:
    """What is no JSON, and paths that no provider of ours has, are errors of the API."""
    assert StandIn(RECORDING).answer(path, b"\xff" + body).status in {400, 404}


def test_recorded_tools_answer_and_fail_as_they_did() -> None:
    """Each outcome is given once; what was not recorded is an error that names a step, and no tool is run."""
    tools = RecordedTools(RECORDING)
    with pytest.raises(RecordedFailureError, match="lost"):
        tools("lookup", {"order": "A-17"})
    with pytest.raises(UnrecordedError, match=r"made this call of lookup 1 times, the last at step 2"):
        tools("lookup", {"order": "A-17"})
    with pytest.raises(UnrecordedError, match=r"with other arguments \(step 2\)"):
        tools("lookup", {"order": "B-2"})
    with pytest.raises(UnrecordedError, match="never called erase"):
        tools("erase", {})


def test_agents_ask_for_recorded_tools_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a replay the helper asks the stand-in; outside of one it runs the agent's own, and without any it says so."""
    with standing_in(StandIn(RECORDING)) as url:
        asked = recorded_tools(url=url)
        with pytest.raises(RecordedFailureError, match="lost"):
            asked("lookup", {"order": "A-17"})
        with pytest.raises(UnrecordedError, match="never called a/b"):
            asked("a/b", {})
    assert recorded_tools(otherwise=lambda tool, arguments: "mine")("lookup", {}) == "mine"
    with pytest.raises(UnrecordedError, match="ANALYZER_REPLAY_URL"):
        recorded_tools()


FAILED = failure_of(RECORDING, trace.Outcome.ERROR)


@pytest.mark.parametrize(
    ("code", "given_state", "outcome", "why"),
    [
        (0, "shipped", Outcome.FIXED, "the fault did not come"),
        (1, "shipped", Outcome.DIVERGED, "exit code 1"),
        (None, "shipped", Outcome.DIVERGED, "is not known"),
    ],
)
def test_fixed_needs_an_ending_that_was_seen(code: int | None, given_state: str, outcome: Outcome, why: str) -> None:
    """A run that parts where the recorded one failed is fixed only where it is seen to end well."""
    standin = StandIn(RECORDING, policy=Policy.NEAREST)
    ask(standin, chat(USER))
    ask(standin, chat(USER, CALLED, tool(json.dumps({"state": given_state}))))
    found = seen(RECORDING, FAILED, standin.course, code=code)
    assert found.judged.outcome is outcome
    assert why in found.judged.why


def test_nothing_passes_by_default() -> None:
    """No request, a healthy recording, or an agent that was stopped: none of these is fixed."""
    assert seen(RECORDING, FAILED, (), code=0).judged.outcome is Outcome.CANNOT_REPRODUCE
    healthy = replace(RECORDING, executions=())
    standin = StandIn(healthy, policy=Policy.NEAREST)
    ask(standin, chat(USER))
    ended = seen(healthy, failure_of(healthy, trace.Outcome.SUCCESS), standin.course, code=0)
    assert ended.judged.outcome is Outcome.DIVERGED
    stopped = StandIn(RECORDING)
    ask(stopped, chat(USER))
    ask(stopped, chat(USER, CALLED, tool("shipped")))
    assert seen(RECORDING, FAILED, stopped.course, code=0).judged.outcome is Outcome.DIVERGED
