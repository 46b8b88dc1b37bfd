"""MLflow 3: `mlflow.*`, every value JSON text in itself."""

from __future__ import annotations

from typing import Any

from analyzer.ingest.dialects.base import Dialect, Source, decoded, dequoted, json_field
from analyzer.ingest.raw import RawSpan
from analyzer.types.trace import Operation

_USAGE = "mlflow.chat.tokenUsage"


def _named(kinds: tuple[str, ...], raw: RawSpan) -> str | None:
    kind = decoded(raw.attributes.get("mlflow.spanType"))
    return raw.name if kind in kinds else None


def agent_span_name(raw: RawSpan) -> str | None:
    """Return the name of a span of type AGENT is the agent's."""
    return _named(("AGENT",), raw)


def tool_span_name(raw: RawSpan) -> str | None:
    """Return the name of a span of type TOOL is the tool's."""
    return _named(("TOOL",), raw)


def linked_prompt(key: str) -> Source:
    """Return a source that reads the name or the version of the first prompt that was loaded within the span."""

    def read(raw: RawSpan) -> Any:
        prompts = decoded(decoded(raw.attributes.get("mlflow.linkedPrompts")))
        first = prompts[0] if isinstance(prompts, list) and prompts else None
        return first.get(key) if isinstance(first, dict) else None

    return read


MLFLOW = Dialect(
    name="mlflow",
    scopes=("mlflow",),
    marks=("mlflow.spanType", "mlflow.spanInputs"),
    operation=(dequoted("mlflow.spanType"), "mlflow.spanType"),
    operations={
        "llm": Operation.CHAT,
        "chat_model": Operation.CHAT,
        "tool": Operation.TOOL,
        "agent": Operation.AGENT,
        "chain": Operation.WORKFLOW,
        "workflow": Operation.WORKFLOW,
        "task": Operation.OTHER,
        "retriever": Operation.RETRIEVAL,
        "reranker": Operation.RETRIEVAL,
        "embedding": Operation.EMBEDDINGS,
        "memory": Operation.MEMORY,
        "parser": Operation.OTHER,
        "guardrail": Operation.OTHER,
        "evaluator": Operation.OTHER,
        "unknown": Operation.OTHER,
    },
    provider=(dequoted("mlflow.llm.provider"), dequoted("mlflow.message.format")),
    model=(dequoted("mlflow.llm.model"), json_field("mlflow.spanInputs", "model")),
    agent=("gen_ai.agent.name", agent_span_name, dequoted("mlflow.traceName")),
    tool=("gen_ai.tool.name", tool_span_name),
    conversation_id=(dequoted("mlflow.trace.session"), "mlflow.trace.session"),
    user_id=(dequoted("mlflow.trace.user"), "mlflow.trace.user"),
    prompt_name=(linked_prompt("name"),),
    prompt_version=(linked_prompt("version"),),
    input_tokens=(json_field(_USAGE, "input_tokens"),),
    output_tokens=(json_field(_USAGE, "output_tokens"),),
    cache_read=(json_field(_USAGE, "cache_read_input_tokens", "cache_read_tokens"),),
    cache_write=(json_field(_USAGE, "cache_creation_input_tokens", "cache_write_tokens"),),
    cache_write_1h=(json_field(_USAGE, "cache_creation_input_tokens_above_1hr"),),
    reasoning=(json_field(_USAGE, "reasoning_tokens"),),
    cost=(json_field("mlflow.llm.cost", "total_cost", "total"),),
    chat_input=("mlflow.spanInputs",),
    chat_output=("mlflow.spanOutputs",),
    tool_input=("mlflow.spanInputs",),
    tool_output=("mlflow.spanOutputs",),
    agent_input=("mlflow.spanInputs",),
    agent_output=("mlflow.spanOutputs",),
    tool_definitions=("mlflow.chat.tools",),
    repeated=("mlflow.chat.messages",),
)
"""`mlflow.chat.messages` repeats inputs and outputs in MLflow's own form."""
