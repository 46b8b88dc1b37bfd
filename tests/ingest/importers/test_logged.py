"""Logs of requests and responses: a line repeats the conversation so far, and the run is told once."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.stored import OPENAI_MESSAGES, imported

from analyzer.ingest.pricing import Pricer
from analyzer.types.trace import Status, Tokens

ASKED = {"role": "user", "content": "weather?"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "w", "input": {"c": "P"}}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"}]}


def anthropic(asked, content, usage, number, **around):
    """Return a line of a gateway's log, with the reply as Anthropic's API gives it."""
    reply = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": "claude-opus-5-5",
             "content": content, "stop_reason": "end_turn", "usage": usage}  # fmt: skip
    return {"request": {"model": "claude-opus-5-5", "system": "be brief", "messages": asked, **around},
            "response": reply}  # fmt: skip


LINES = [
    anthropic([ASKED], [CALL], {"input_tokens": 100, "cache_creation_input_tokens": 50, "output_tokens": 20}, 1),
    anthropic(
        [
            {"role": "user", "content": [{"type": "text", "text": "weather?", "cache_control": {"type": "ephemeral"}}]},
            {"role": "assistant", "content": [CALL]},
            RESULT,
        ],
        [{"type": "text", "text": "It rains."}],
        {"input_tokens": 10, "cache_read_input_tokens": 150, "output_tokens": 5},
        2,
    ),
]


def test_the_requests_of_one_run_are_one_run():
    """A request that begins with the last one and its reply goes on with it; each usage counts once."""
    found = imported(LINES, lines=True)
    assert (found.formats, found.remarks) == ({"anthropic-chat"}, [])
    asked, call, answer = found.steps
    assert (asked.tokens, answer.tokens) == (Tokens(150, 20, 0, 50), Tokens(160, 5, 150))
    assert (asked.response_id, answer.response_id, answer.system) == ("msg_1", "msg_2", "be brief")
    assert (call.tool, call.output) == ("w", "rain")


def test_requests_of_two_runs_may_be_mixed():
    """Runs whose requests alternate are told apart, and a second try of the same request is a run of its own."""
    other = copy.deepcopy(LINES)
    for line in other:
        line["request"]["messages"][0] = {"role": "user", "content": "and tomorrow?"}
    mixed = [LINES[0], other[0], other[1], LINES[1], LINES[1]]
    found = imported(mixed, lines=True)
    assert [one.summary.steps for one in found.trajectories] == [3, 3, 3]


def test_a_longer_copy_of_a_log_keeps_the_ids():
    """Reading a log again after it grew gives the same trajectory, longer."""
    early, late = imported(LINES[:1], lines=True).one, imported(LINES, lines=True).one
    assert early.summary.trace_id == late.summary.trace_id
    assert {span.span_id for span in early.spans} < {span.span_id for span in late.spans}


RESPONSE = {
    "id": "resp_1", "object": "response", "created_at": 1_763_000_000, "model": "gpt-5", "status": "completed",
    "output": [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "mcp_call", "id": "mcp_1", "name": "lookup", "arguments": '{"q":1}', "output": "found", "error": None},
        {"type": "mcp_call", "id": "mcp_2", "name": "lookup", "arguments": '{"q":2}', "output": None, "error": "gone"},
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": '{"c":"P"}'},
    ],
    "usage": {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 40}, "output_tokens": 30,
              "output_tokens_details": {"reasoning_tokens": 10}, "total_tokens": 130},
}  # fmt: skip
SECOND = RESPONSE | {
    "id": "resp_2",
    "output": [
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "P"}},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Rain."}]},
    ],
}
RETURNED = {"type": "function_call_output", "call_id": "call_1", "output": "rain"}


@pytest.mark.parametrize(
    "second",
    [{"previous_response_id": "resp_1", "input": [RETURNED]}, {"input": [ASKED, *RESPONSE["output"], RETURNED]}],
)
def test_responses_of_openai_go_on_by_name_or_by_content(second):
    """A request names the response before it or repeats its items; results inside items belong to their calls."""
    first = {"request": {"model": "gpt-5", "instructions": "be brief", "input": "weather?"}, "response": RESPONSE}
    later = {"request": {"model": "gpt-5", "instructions": "be brief", **second}, "response": SECOND}
    found = imported([first, later], lines=True)
    assert (found.formats, found.remarks) == ({"openai-chat"}, [])
    asked, good, bad, weather, answer, search = found.steps
    assert asked.tokens == answer.tokens == Tokens(100, 30, 40, reasoning=10)
    assert (asked.model, asked.system, asked.response_id) == ("gpt-5", "be brief", "resp_1")
    assert [(call.tool, call.output, call.status) for call in (good, bad, weather, search)] == [
        ("lookup", "found", Status.OK),
        ("lookup", "gone", Status.ERROR),
        ("weather", "rain", Status.OK),
        ("web_search", "completed", Status.OK),
    ]


@pytest.mark.parametrize(
    "document",
    [
        RESPONSE,
        {"custom_id": "1", "response": {"status_code": 200, "body": RESPONSE}},
        {"object": "chat.completion", "id": "c", "model": "m", "usage": {"prompt_tokens": 100, "completion_tokens": 30},
         "choices": [{"message": {"role": "assistant", "content": "so"}, "finish_reason": "stop"}]},
    ],
)  # fmt: skip
def test_a_response_by_itself_is_a_run_of_one_reply(document):
    """What the API answered, without the request, still has its tokens."""
    found = imported(document)
    assert found.formats == {"openai-chat"}
    assert (found.one.summary.inferences, found.one.summary.input_tokens) == (1, 100)


def test_results_of_anthropics_batches_are_runs():
    """A line of a batch's results holds the message one level deeper."""
    reply = anthropic([], [{"type": "text", "text": "so"}], {"input_tokens": 100, "output_tokens": 2}, 1)["response"]
    line = {"custom_id": "a", "result": {"type": "succeeded", "message": reply | {"stop_sequence": None}}}
    found = imported([line], lines=True)
    assert (found.formats, found.one.summary.input_tokens) == ({"anthropic-chat"}, 100)


def test_a_batch_in_a_log_is_priced_as_one():
    """Anthropic says the tier in the usage, OpenAI beside it: both halve the list price."""
    plain = anthropic([ASKED], "so", {"input_tokens": 100, "output_tokens": 20}, 1)
    batch = anthropic([ASKED], "so", {"input_tokens": 100, "output_tokens": 20, "service_tier": "batch"}, 1)
    costs = [imported(line, pricer=Pricer()).one.summary.cost_usd for line in (plain, batch)]
    assert costs[0] == 2 * costs[1] > 0
    answers = [imported(RESPONSE | tier, pricer=Pricer()).one.summary for tier in ({}, {"service_tier": "flex"})]
    assert answers[0].cost_usd == 2 * answers[1].cost_usd > 0


def steps(found):
    """Return what the steps of the only trajectory say, without ids."""
    return [(span.operation, span.tool, span.input, span.output) for span in found.steps]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["", "a", "b"]), min_size=1, max_size=6))
def test_a_log_of_requests_tells_what_the_conversation_tells(words):
    """Whatever is said: every request with its reply, read as a log, gives the steps of the whole conversation."""
    messages = [OPENAI_MESSAGES[0]]
    log = []
    for word in words:
        messages.append({"role": "user", "content": word})
        reply = {"role": "assistant", "content": f"{word}!"}
        log.append({"request": {"messages": list(messages)}, "response": {"choices": [{"message": reply}]}})
        messages.append(reply)
    assert steps(imported(log, lines=True)) == steps(imported(messages))
