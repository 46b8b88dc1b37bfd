"""A stored trajectory as what can be run again: requests, decisions, tool results, and what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.spans import chat, root, tool
from support.stored import imported

from analyzer.replay.alike import Decision, normalised, same_decision
from analyzer.replay.conversation import (
    Message,
    ToolCall,
    ToolDefinition,
    ToolReturn,
    definitions_in,
    messages_in,
    text_in,
)
from analyzer.replay.recording import Missing, recording_of, tools_version, version_of
from analyzer.types.repeats import repeats_of
from analyzer.types.trace import FinishReason, Span
from analyzer.types.trajectory import Trajectory, ordered, summarise

DIALECTS = Path(__file__).parents[2] / ".." / "shared" / "data" / "dialects"
TOOLS = [{"name": "lookup_order", "description": "Look it up.", "input_schema": {"type": "object"}}]
ASKED = {"type": "tool_call", "id": "c1", "name": "lookup_order", "arguments": {"order": "A-1"}}


def trajectory_of(*spans: Span) -> Trajectory:
    """Return spans as a store gives them."""
    in_order = ordered(spans)
    return Trajectory(summarise(in_order[0].trace_id, in_order, repeats_of(in_order)), in_order)


def recorded(**fields: Any) -> Span:
    """Return a model call of which everything was recorded."""
    return chat(
        1,
        2,
        **{
            "system": "be brief",
            "parameters": "max_tokens=64 temperature=0.2",
            "tool_definitions": json.dumps(TOOLS),
            "input": json.dumps([{"role": "user", "content": "where is A-1?"}]),
            "output": json.dumps([{"role": "assistant", "parts": [ASKED]}]),
            "finish": FinishReason.TOOL_CALL,
            **fields,
        },
    )


def test_a_whole_recording_lacks_nothing() -> None:
    """Model, parameters, prompt, tools, messages, decision and result are there by step; nothing is missing."""
    found = recording_of(trajectory_of(root(1, input="find A-1"), recorded(), tool(1, 3, tool_call_id="c1")))

    call, execution = found.calls[0], found.executions[0]
    assert found.missing == ()
    assert (found.agent, found.task, call.number, execution.number) == ("shop", "find A-1", 1, 2)
    assert call.request.model == "claude-sonnet-5-5"
    assert call.request.parameters == {"max_tokens": 64, "temperature": 0.2}
    assert call.request.messages == (Message("user", "where is A-1?"),)
    assert call.request.tools == (ToolDefinition("lookup_order", "Look it up.", {"type": "object"}),)
    assert call.request.prompt_version == version_of("be brief")
    assert call.request.tools_version == tools_version(call.request.tools) != ""
    assert call.decision == Decision("", (ToolCall("c1", "lookup_order", {"order": "A-1"}),), FinishReason.TOOL_CALL)
    assert (execution.call_id, execution.arguments, execution.result) == ("c1", {"order": "A-1"}, "no such order")


def test_a_declared_prompt_version_is_kept() -> None:
    """What an agent declares as its prompt goes before a hash."""
    found = recording_of(trajectory_of(recorded(prompt_name="triage", prompt_version="7")))
    assert found.calls[0].request.prompt_version == "triage@7"


@pytest.mark.parametrize(
    ("field", "what"),
    [
        ("model", "model"),
        ("input", "messages"),
        ("output", "decision"),
        ("system", "system prompt"),
        ("parameters", "parameters"),
        ("tool_definitions", "tool definitions"),
        ("finish", "finish reason"),
    ],
)
def test_each_thing_that_was_not_recorded_is_named(field: str, what: str) -> None:
    """One line says what is missing everywhere, and no other line is there."""
    found = recording_of(trajectory_of(recorded(**{field: None}), tool(1, 3, tool_call_id="c1")))
    assert [(one.what, one.step) for one in found.missing] == [(what, None)]


def test_what_some_steps_lack_is_named_by_step() -> None:
    """A tool that gave nothing and one whose call is not known are named with their steps; the others are not."""
    spans = (recorded(), tool(1, 3, tool_call_id="c1"), tool(1, 4, at_s=3, tool="other", output=None))
    assert [(one.what, one.step) for one in recording_of(trajectory_of(*spans)).missing] == [
        ("tool result", 3),
        ("tool call id", 3),
    ]


def test_masked_texts_are_said_to_be_pseudonyms() -> None:
    """Where a pseudonym stands for a text, what that costs is said, and how it looks."""
    found = recording_of(trajectory_of(recorded(system="write to <email:3f9a2c1b07d4>")))
    assert found.missing == (
        Missing(
            "masked texts",
            None,
            "the model reads a pseudonym in the place of each (<email:3f9a2c1b07d4>): it may decide otherwise where the"
            " text itself matters, and a tool asked with one does not find what it stands for",
        ),
    )


def test_a_result_that_only_the_conversation_tells_is_an_execution() -> None:
    """Where no tool span was recorded, what the model was told of the result is served in its place."""
    told = [{"role": "user", "content": "where?"}, {"role": "tool", "tool_call_id": "c1", "content": "in Paris"}]
    found = recording_of(trajectory_of(recorded(), chat(1, 3, at_s=4, input=json.dumps(told), output='"done"')))
    one = found.executions[0]
    assert (one.number, one.tool, one.call_id, one.result, one.failed) == (
        None,
        "lookup_order",
        "c1",
        "in Paris",
        False,
    )


def test_a_tool_without_an_id_answers_the_call_with_its_arguments() -> None:
    """The latest decision that asked for the same tool with the same arguments gives the id."""
    found = recording_of(trajectory_of(recorded(), tool(1, 3, tool_call_id=None)))
    assert found.executions[0].call_id == "c1"


@pytest.mark.parametrize("name", ["anthropic_native", "pydantic", "vercel_v6"])
def test_dialects_say_the_same_of_one_conversation(name: str) -> None:
    """The same two calls in one reply, their results, and which of them failed, whatever the instrumentation."""
    path = DIALECTS / f"{name}.json"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    trajectories = imported(path.read_bytes()).trajectories
    found = max((recording_of(one) for one in trajectories), key=lambda one: len(one.calls))
    assert found.calls[0].decision.tool_calls == (
        ToolCall("toolu_0", "query_prom", {"expr": "up"}),
        ToolCall("toolu_1", "query_prom", {"expr": "crash"}),
    )
    assert [one.call_id for one in found.executions] == ["toolu_0", "toolu_1"]
    returned = [one.call_id for message in found.calls[-1].request.messages for one in message.returns]
    assert returned == ["toolu_0", "toolu_1"]


def test_messages_of_all_providers_are_read_alike() -> None:
    """A call and its result mean the same in the forms of OpenAI, Anthropic, the conventions and the Responses API."""
    arguments = {"q": 1}
    call, answer = ToolCall("c", "find", arguments), ToolReturn("c", "42")
    openai = [
        {"role": "assistant", "content": None, "tool_calls": [_openai_call(arguments)]},
        {"role": "tool", "tool_call_id": "c", "content": "42"},
    ]
    anthropic = [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "find", "input": arguments}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "42"}]},
    ]
    responses = [
        {"type": "function_call", "id": "fc", "call_id": "c", "name": "find", "arguments": json.dumps(arguments)},
        {"type": "function_call_output", "call_id": "c", "output": "42"},
    ]
    for form in (openai, anthropic, responses):
        read = messages_in(json.dumps(form))
        assert read[0].tool_calls == (call,)
        assert read[1].returns == (answer,)


def _openai_call(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"id": "c", "type": "function", "function": {"name": "find", "arguments": json.dumps(arguments)}}


def test_what_cannot_be_sent_again_is_named() -> None:
    """An image is left out of a message by its type, and its text stays."""
    parts = [{"type": "image", "source": {}}, {"type": "text", "text": "what is this?"}]
    assert messages_in(json.dumps([{"role": "user", "content": parts}])) == (
        Message("user", "what is this?", left_out=("image",)),
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "parts", "type", "tool_calls", "function", "messages", "text", "name"]),
            inner | st.sampled_from(["tool", "text", "tool_call", "tool_result", "assistant"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_payload_is_read_without_an_error(value: Any) -> None:
    """What an exporter, or somebody hostile, puts into a payload never breaks a recording."""
    payload = json.dumps(value)
    messages_in(payload)
    definitions_in(payload)
    text_in(payload)
    span = recorded(input=payload, output=payload, system=payload, tool_definitions=payload)
    recording_of(trajectory_of(span, tool(1, 3, input=payload, output=payload)))


def decided(*calls: tuple[str, Any], text: str = "") -> Decision:
    """Return a decision for calls given as (name, arguments)."""
    return Decision(text, tuple(ToolCall(f"id{n}", name, given) for n, (name, given) in enumerate(calls)))


LONG = (
    "I have looked at all of the orders of this customer and the parcel will be delivered to the new address on Monday."
)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (decided(("find", {"q": "a", "n": 1})), decided(("find", {"n": 1.0, "q": "a"})), True),
        (decided(("a", {}), ("b", {})), decided(("b", {}), ("a", {})), True),
        (decided(("find", {"q": "a"})), decided(("find", {"q": "b"})), False),
        (decided(("find", {"q": "a"})), decided(("look", {"q": "a"})), False),
        (decided(("pay", {"usd": 10})), decided(("pay", {"usd": 100})), False),
        (decided(("find", {})), decided(("find", {}), ("find", {})), False),
        (decided(("find", {})), decided(text="I cannot"), False),
        (decided(("find", {"request_id": "1", "q": "a"})), decided(("find", {"request_id": "2", "q": "a"})), True),
        (decided(("find", {}), text="let me look"), decided(("find", {})), True),
        (decided(text="Done."), decided(text="done."), True),
        (decided(text="yes"), decided(text="no"), False),
        (decided(text=LONG), decided(text=LONG.replace("will be", "will not be")), False),
        (decided(text=LONG), decided(text=LONG + " 7 EUR"), False),
    ],
)
def test_when_a_decision_is_the_recorded_one(one: Decision, other: Decision, same: bool) -> None:
    """Same tools and arguments without their noise, or the same answer; a number, a negation or a call more is not."""
    assert same_decision(one, other) is same
    assert same_decision(other, one) is same


def test_a_reply_that_was_cut_is_another() -> None:
    """The same words are not the same answer where one of the two was cut at the limit of tokens."""
    assert not same_decision(Decision("so", (), FinishReason.STOP), Decision("so", (), FinishReason.LENGTH))


def test_an_id_the_model_was_told_is_no_noise() -> None:
    """Two ids are the same noise where nobody gave them, and two different things where the model was told of one."""
    one, other = {"id": "3f9a2c1b07d4"}, {"id": "aa9a2c1b07d4"}
    assert normalised(one) == normalised(other)
    assert normalised(one, frozenset({"3f9a2c1b07d4"})) != normalised(other, frozenset({"3f9a2c1b07d4"}))
