"""OpenTelemetry's GenAI conventions, every spelling since 1.27, and what the other dialects fall back on.

Current names: open-telemetry/semantic-conventions-genai. Deprecated ones stand behind them. `anthropic.*` is what
the anthropic SDK adds in its own spans.
"""

from __future__ import annotations

from typing import Any

from analyzer.ingest.dialects.base import Content, Dialect, decoded, event_field, resource, unflatten
from analyzer.ingest.raw import RawSpan
from analyzer.types.trace import Operation

OPERATIONS = {
    "chat": Operation.CHAT,
    "generate_content": Operation.CHAT,
    "text_completion": Operation.CHAT,
    "completion": Operation.CHAT,
    "message": Operation.CHAT,
    "messages": Operation.CHAT,
    "responses": Operation.CHAT,
    "response": Operation.CHAT,
    "embeddings": Operation.EMBEDDINGS,
    "embedding": Operation.EMBEDDINGS,
    "retrieval": Operation.RETRIEVAL,
    "rerank": Operation.RETRIEVAL,
    "execute_tool": Operation.TOOL,
    "tool": Operation.TOOL,
    "create_agent": Operation.OTHER,
    "invoke_agent": Operation.AGENT,
    "agent": Operation.AGENT,
    "invoke_workflow": Operation.WORKFLOW,
    "workflow": Operation.WORKFLOW,
    "plan": Operation.PLAN,
    "create_memory": Operation.MEMORY,
    "update_memory": Operation.MEMORY,
    "upsert_memory": Operation.MEMORY,
    "delete_memory": Operation.MEMORY,
    "search_memory": Operation.MEMORY,
    "create_memory_store": Operation.MEMORY,
    "delete_memory_store": Operation.MEMORY,
}

_REPLY_EVENTS = ("gen_ai.choice",)
_PROMPT_EVENTS = ("gen_ai.system.message", "gen_ai.user.message", "gen_ai.assistant.message", "gen_ai.tool.message")
_DETAILS = ("gen_ai.client.inference.operation.details", "gen_ai.client.inference.details")


def implied_operation(raw: RawSpan) -> str | None:
    """Say "chat" for a span of the time before `gen_ai.operation.name`: it names a model and a usage or a system."""
    attributes = raw.attributes
    if "gen_ai.tool.name" in attributes:
        return "execute_tool"
    if "gen_ai.request.model" not in attributes and "gen_ai.response.model" not in attributes:
        return None
    used = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "gen_ai.usage.output_tokens", "gen_ai.system")
    return "chat" if any(name in attributes for name in used) else None


def indexed_prompt(raw: RawSpan) -> Content | None:
    """Return messages that stand as `gen_ai.prompt.0.content`."""
    return _indexed(raw, "gen_ai.prompt")


def indexed_completion(raw: RawSpan) -> Content | None:
    """Return replies that stand as `gen_ai.completion.0.content`."""
    return _indexed(raw, "gen_ai.completion")


def indexed_tools(raw: RawSpan) -> Content | None:
    """Return tool definitions that stand as `llm.request.functions.0.name`."""
    value, used = unflatten(raw.attributes, "llm.request.functions")
    return Content(value, used) if used else None


def event_prompt(raw: RawSpan) -> Content | None:
    """Return messages that were recorded as span events (conventions 1.28 to 1.36), or in the details event."""
    return _from_events(raw, _PROMPT_EVENTS, "gen_ai.input.messages")


def event_reply(raw: RawSpan) -> Content | None:
    """Return replies that were recorded as span events (conventions 1.28 to 1.36), or in the details event."""
    return _from_events(raw, _REPLY_EVENTS, "gen_ai.output.messages")


def _indexed(raw: RawSpan, prefix: str) -> Content | None:
    messages, used = unflatten(raw.attributes, prefix)
    if not used or not isinstance(messages, list):
        return None
    return Content([_message(entry) for entry in messages], used)


def _message(entry: Any) -> Any:
    """Give calls of an indexed message the type that says what they are; content may be JSON text in itself."""
    if not isinstance(entry, dict):
        return {"role": "user", "content": entry}
    message = dict(entry)
    content = decoded(message.get("content"))
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        message["content"] = content
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        message["tool_calls"] = [{"type": "tool_call", **call} if isinstance(call, dict) else call for call in calls]
    message.setdefault("role", "assistant" if "finish_reason" in message else "user")
    return message


def _from_events(raw: RawSpan, names: tuple[str, ...], details: str) -> Content | None:
    messages = []
    for event in raw.events:
        if event.name in _DETAILS and event.attributes.get(details):
            return Content(event.attributes[details])
        if event.name in names:
            message = event.attributes.get("message")
            body = dict(message) if isinstance(message, dict) else dict(event.attributes)
            role = event.name.split(".")[1]
            body.setdefault("role", "assistant" if role == "choice" else role)
            messages.append(_message(body))
    return Content(messages) if messages else None


SEMCONV = Dialect(
    name="otel-genai",
    operation=("gen_ai.operation.name", implied_operation),
    operations=OPERATIONS,
    provider=("gen_ai.provider.name", "gen_ai.system"),
    model=("gen_ai.response.model", "gen_ai.request.model"),
    agent=(
        "gen_ai.agent.name",
        "agent.name",
        "gen_ai.main_agent.name",
        resource("gen_ai.main_agent.name"),
        resource("gen_ai.agent.name"),
        resource("agent.name"),
    ),
    agent_version=(
        "gen_ai.agent.version",
        "agent.version",
        resource("gen_ai.agent.version"),
        resource("agent.version"),
        resource("service.version"),
    ),
    tool=("gen_ai.tool.name", "tool.name"),
    tool_call_id=("gen_ai.tool.call.id",),
    response_id=("gen_ai.response.id",),
    conversation_id=("gen_ai.conversation.id", "session.id"),
    user_id=("user.id", "enduser.id", "gen_ai.user.id"),
    prompt_name=("gen_ai.prompt.name",),
    prompt_version=("gen_ai.prompt.version",),
    input_tokens=("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    output_tokens=("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    cache_read=(
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.input_tokens.cached",
    ),
    cache_write=(
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.details.cache_write_tokens",
    ),
    cache_write_1h=("anthropic.usage.cache_creation.ephemeral_1h_input_tokens",),
    reasoning=(
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
    ),
    cost=("gen_ai.usage.cost", "operation.cost"),
    service_tier=(
        "anthropic.response.service_tier",
        "openai.response.service_tier",
        "gen_ai.openai.response.service_tier",
        "gen_ai.response.service_tier",
    ),
    finish=("gen_ai.response.finish_reasons", "gen_ai.response.finish_reason", "anthropic.message.stop_reason"),
    attempt=("gen_ai.request.attempt",),
    resends=("http.request.resend_count",),
    http_status=("http.response.status_code", "http.status_code"),
    error_type=("error.type",),
    status_message=("error.message", "exception.message"),
    steering=(
        *("ToolRetryError", "ModelRetry", "CallDeferred", "ApprovalRequired"),
        *("GraphInterrupt", "NodeInterrupt", "GraphBubbleUp", "ParentCommand"),
    ),
    outcome=("gen_ai.evaluation.score.label", "gen_ai.agent.outcome"),
    chat_input=(
        "gen_ai.input.messages",
        indexed_prompt,
        "gen_ai.prompt",
        event_prompt,
        event_field("gen_ai.content.prompt", "gen_ai.prompt"),
    ),
    chat_output=(
        "gen_ai.output.messages",
        indexed_completion,
        "gen_ai.completion",
        event_reply,
        event_field("gen_ai.content.completion", "gen_ai.completion"),
    ),
    tool_input=("gen_ai.tool.call.arguments", "gen_ai.retrieval.query.text", "gen_ai.memory.query.text"),
    tool_output=(
        "gen_ai.tool.call.result",
        "anthropic.tool_result.content",
        "gen_ai.retrieval.documents",
        "gen_ai.memory.records",
    ),
    agent_input=("gen_ai.input.messages", "gen_ai.agent.input"),
    agent_output=("gen_ai.output.messages", "gen_ai.agent.output"),
    system=("gen_ai.system_instructions",),
    tool_definitions=("gen_ai.tool.definitions", "gen_ai.request.available_tools", indexed_tools),
)
"""The current conventions with the deprecated names behind them.

Pydantic AI raises to ask the model for other arguments or a human for leave, LangGraph to wait for a human or to hand
over. Other libraries' instrumentation records these exceptions too, so they stand here and not with their dialects.
"""
