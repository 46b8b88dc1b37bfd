"""Langfuse SDK 3 and later: `langfuse.observation.*`, usage and cost as JSON."""

from __future__ import annotations

from typing import Any

from analyzer.ingest.dialects.base import Dialect, count, decoded
from analyzer.ingest.raw import RawSpan
from analyzer.types.trace import Operation, Tokens


def usage(raw: RawSpan) -> Tokens | None:
    """Read `usage_details`.

    Langfuse adds its kinds up, so `input` leaves out the cached kinds that stand beside it; an OpenAI usage object
    (`prompt_tokens`) is passed on as it came and includes them. So does an input that, with the output, is the total.
    """
    details = decoded(raw.attributes.get("langfuse.observation.usage_details"))
    if not isinstance(details, dict):
        return None
    counts = {key.lower(): number for key, value in details.items() if (number := count(value)) is not None}
    if "prompt_tokens" in counts or "completion_tokens" in counts:
        return Tokens(
            input=counts.get("prompt_tokens", 0),
            output=counts.get("completion_tokens", 0),
            cache_read=_nested(details, "prompt_tokens_details", "cached_tokens"),
            reasoning=_nested(details, "completion_tokens_details", "reasoning_tokens"),
        )
    read = sum(number for key, number in counts.items() if "cache" in key and not _is_write(key))
    write = counts.get("cache_creation_input_tokens")
    if write is None:
        write = sum(number for key, number in counts.items() if _is_write(key))
    fresh = sum(number for key, number in counts.items() if "input" in key and "cache" not in key)
    output = sum(number for key, number in counts.items() if "output" in key)
    if not counts.keys() - {"total"}:
        return None
    includes_cache = read + write <= fresh and counts.get("total") == fresh + output
    return Tokens(
        input=fresh if includes_cache else fresh + read + write,
        output=output,
        cache_read=read,
        cache_write=write,
        cache_write_1h=sum(number for key, number in counts.items() if _is_write(key) and "1h" in key),
        reasoning=sum(number for key, number in counts.items() if "reasoning" in key),
    )


def _is_write(key: str) -> bool:
    return "cache_creation" in key or "cache_write" in key


def _nested(details: dict[str, Any], group: str, key: str) -> int:
    inner = details.get(group)
    return (count(inner.get(key)) or 0) if isinstance(inner, dict) else 0


def cost(raw: RawSpan) -> float | None:
    """Return the total of `cost_details`, or the sum of its kinds."""
    details = decoded(raw.attributes.get("langfuse.observation.cost_details"))
    if not isinstance(details, dict):
        return None
    if isinstance(details.get("total"), int | float):
        return float(details["total"])
    parts = [value for value in details.values() if isinstance(value, int | float) and not isinstance(value, bool)]
    return float(sum(parts)) if parts else None


def agent_span_name(raw: RawSpan) -> str | None:
    """Return the name of an observation of type agent is the agent's."""
    return raw.name if raw.attributes.get("langfuse.observation.type") == "agent" else None


def tool_span_name(raw: RawSpan) -> str | None:
    """Return the name of an observation of type tool is the tool's."""
    return raw.name if raw.attributes.get("langfuse.observation.type") == "tool" else None


def failed(raw: RawSpan) -> bool | None:
    """Whether the observation's level is ERROR."""
    return raw.attributes.get("langfuse.observation.level") == "ERROR" or None


LANGFUSE = Dialect(
    name="langfuse",
    scopes=("langfuse",),
    marks=("langfuse.observation.type", "langfuse.trace.name"),
    operation=("langfuse.observation.type",),
    operations={
        "generation": Operation.CHAT,
        "embedding": Operation.EMBEDDINGS,
        "tool": Operation.TOOL,
        "agent": Operation.AGENT,
        "chain": Operation.WORKFLOW,
        "retriever": Operation.RETRIEVAL,
        "evaluator": Operation.OTHER,
        "guardrail": Operation.OTHER,
        "span": Operation.OTHER,
        "event": Operation.OTHER,
    },
    model=("langfuse.observation.model.name",),
    agent=("gen_ai.agent.name", agent_span_name, "langfuse.trace.name"),
    agent_version=("gen_ai.agent.version", "langfuse.version", "langfuse.release"),
    tool=("gen_ai.tool.name", tool_span_name),
    conversation_id=("session.id", "langfuse.session.id"),
    user_id=("user.id", "langfuse.user.id"),
    prompt_name=("langfuse.observation.prompt.name",),
    prompt_version=("langfuse.observation.prompt.version",),
    usage=(usage,),
    cost=(cost,),
    failed=(failed,),
    status_message=("langfuse.observation.status_message",),
    chat_input=("langfuse.observation.input",),
    chat_output=("langfuse.observation.output",),
    tool_input=("langfuse.observation.input",),
    tool_output=("langfuse.observation.output",),
    agent_input=("langfuse.observation.input", "langfuse.trace.input"),
    agent_output=("langfuse.observation.output", "langfuse.trace.output"),
)
"""Langfuse names no provider; the price is found by the model's name."""
