"""Langfuse exports."""

from __future__ import annotations

import json
import re

import pytest
from support.stored import LANGFUSE, imported

from analyzer.types.trace import Operation, Outcome, Status, Tokens


def test_a_trace_with_its_observations_becomes_a_tree():
    """The trace is the agent's span, generations are inferences with usage and cost, tools keep their failures."""
    found = imported(LANGFUSE)
    assert (found.formats, found.remarks) == ({"langfuse"}, [])
    assert found.one.summary.trace_id == LANGFUSE["id"]
    chat, tool = found.steps
    assert (chat.tokens, chat.cost_usd) == (Tokens(input=100, output=20, cache_read=60), 0.0011)
    assert (chat.prompt_name, chat.prompt_version, chat.model) == ("shop-system", "7", "gpt-4o")
    assert chat.duration_ms == 1500
    assert chat.parent_id == found.root.span_id
    assert (tool.tool, tool.parent_id, tool.status) == ("lookup", chat.span_id, Status.ERROR)
    assert tool.status_message == "connection refused"
    assert (found.root.agent, found.root.agent_version, found.root.outcome) == ("shop", "1.4.0", Outcome.SUCCESS)
    assert (found.root.user_id, found.root.conversation_id) == ("u-1", "s-1")
    assert found.one.summary.duration_s == 2.5


def test_observations_alone_are_recognised_in_every_container():
    """Lists, lines, pages of the API and snake_case exports give the same spans."""
    observations = LANGFUSE["observations"]
    snake = [{re.sub("([A-Z])", r"_\1", k).lower(): v for k, v in one.items()} for one in observations]
    expected = imported(observations).steps
    assert [span.operation for span in expected] == [Operation.CHAT, Operation.TOOL]
    for document, lines in ((observations, True), ({"data": observations, "meta": {"page": 1}}, False), (snake, True)):
        found = imported(document, lines=lines)
        assert found.formats == {"langfuse"}
        assert found.steps == expected


def test_older_usage_and_no_usage():
    """`usage` and `promptTokens` of older exports are read; zeros that stand for nothing are not."""
    plain = {
        key: value for key, value in LANGFUSE["observations"][0].items() if key not in ("usageDetails", "costDetails")
    }
    old = {**plain, "usage": {"input": 7, "output": 3, "total": 10, "unit": "TOKENS"}, "calculatedTotalCost": 0.5}
    assert (imported([old]).steps[0].tokens, imported([old]).steps[0].cost_usd) == (Tokens(7, 3), 0.5)
    assert imported([{**plain, "promptTokens": 7, "completionTokens": 3}]).steps[0].tokens == Tokens(7, 3)
    assert imported([{**plain, "promptTokens": 0, "completionTokens": 0}]).steps[0].tokens is None


def test_a_score_for_something_else_is_no_outcome():
    """Only scores that judge the goal do; 1 for toxicity is no success."""
    other = {**LANGFUSE, "scores": [{"name": "toxicity", "value": 1}]}
    assert imported(other).root.outcome is None


def test_a_broken_record_is_named_by_its_place():
    """What is no record of Langfuse is refused with its index and the rest is kept."""
    found = imported(json.dumps([LANGFUSE["observations"][0], {"foo": 1}]).encode())
    assert [(kind, place) for kind, place, _ in found.remarks] == [("Refused", "[1]")]
    assert len(found.steps) == 1


@pytest.mark.parametrize(
    "usage",
    [
        {"usageDetails": {"input": 10, "output": 2, "total": 12}, "costDetails": {"input": 0.2, "output": 0.05}},
        {"usageDetails": '{"input":10,"output":2}', "costDetails": '{"total":0.25}'},
        {"usageDetails": {"input": "10", "output": "2"}, "costDetails": {"total": "0.25"}},
        {"inputUsage": 10, "outputUsage": 2, "totalUsage": 12, "totalCost": "0.25"},
        {"usage": {"input": 10, "output": 2, "unit": "TOKENS"}, "calculatedTotalCost": 0.25},
    ],
)
def test_usage_and_cost_in_every_spelling(usage):
    """Details as objects or as JSON text, numbers or numbers as text, flat fields of the API's second version."""
    record = {"id": "1", "traceId": "t", "type": "GENERATION", "name": "llm", "model": "m",
              "startTime": "2026-11-20T10:00:01Z", "endTime": "2026-11-20T10:00:02Z"}  # fmt: skip
    [chat] = [span for span in imported(record | usage).one.spans if span.operation is Operation.CHAT]
    assert (chat.tokens, chat.cost_usd) == (Tokens(10, 2), pytest.approx(0.25))
