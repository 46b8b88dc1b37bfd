"""Parameters and SDK: one text for one way of asking, whatever dialect tells it."""

from __future__ import annotations

from typing import Any

import pytest
from support.otlp_requests import request, span

from analyzer.ingest.otlp import spans_from_json
from analyzer.types.trace import Span

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m1", "gen_ai.usage.input_tokens": 1}


def one(attributes: dict[str, Any], *, version: str = "", resource: dict[str, Any] | None = None) -> Span:
    """Return the canonical form of one inference."""
    sent = request(span(attributes={**CHAT, **attributes}), scope="lib", resource=resource)
    sent["resourceSpans"][0]["scopeSpans"][0]["scope"]["version"] = version
    return spans_from_json(sent).spans[0]


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.request.temperature": 0.2, "gen_ai.request.max_tokens": 4096, "gen_ai.request.top_p": 1.0},
        {"ai.settings.temperature": 0.2, "ai.settings.maxOutputTokens": 4096, "ai.settings.topP": 1},
        {"llm.invocation_parameters": '{"max_completion_tokens": 4096, "top_p": 1, "temperature": 0.2, "seed": 7}'},
        {"langfuse.observation.model.parameters": '{"maxTokens": "4096", "temperature": "0.20", "topP": "1"}'},
        {"llm.temperature": 0.2, "llm.max_tokens": 4096, "llm.top_p": 1},
    ],
)
def test_one_way_of_asking_has_one_text(attributes: dict[str, Any]) -> None:
    """Dialects spell parameters differently; the text is the same, sorted, and holds no seed."""
    assert one(attributes).parameters == "max_tokens=4096 temperature=0.2 top_p=1"


def test_thinking_and_effort_are_parameters() -> None:
    """What an object holds is read one level down; reasoning levels are parameters."""
    document = '{"thinking": {"type": "enabled", "budget_tokens": 2048}, "reasoning_effort": "high"}'
    text = "effort=high thinking=enabled thinking_tokens=2048"
    assert one({"llm.invocation_parameters": document}).parameters == text


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"llm.invocation_parameters": "not JSON"},
        {"llm.invocation_parameters": '["a"]'},
        {"llm.invocation_parameters": '{"system": "You are secret", "tools": [], "stop": ["x"], "api_key": "k"}'},
        {"gen_ai.request.temperature": {"odd": 1}, "gen_ai.request.stop_sequences": ["\n"]},
        {"gen_ai.request.tool_choice": "x" * 41},
    ],
)
def test_what_is_no_parameter_is_left_out(attributes: dict[str, Any]) -> None:
    """Texts from outside, secrets and damaged documents say nothing."""
    assert one(attributes).parameters is None


def test_the_sdk_is_the_library_with_its_version() -> None:
    """The scope and its version count; without one, the telemetry SDK's; without a version nothing is told."""
    assert one({}, version="0.40.1").sdk == "lib 0.40.1"
    telemetry = {"telemetry.sdk.name": "opentelemetry", "telemetry.sdk.language": "python"}
    assert one({}, resource={**telemetry, "telemetry.sdk.version": "1.37.0"}).sdk == "opentelemetry python 1.37.0"
    assert one({}, resource=telemetry).sdk is None


def test_only_inferences_have_them() -> None:
    """A tool call is asked of no model."""
    sent = request(span(attributes={"gen_ai.operation.name": "execute_tool", "gen_ai.request.temperature": 1}))
    assert spans_from_json(sent).spans[0].parameters is None
