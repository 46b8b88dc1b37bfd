"""LangSmith and LangChain through OpenTelemetry: `langsmith.span.kind`, run inputs and outputs as JSON."""

from __future__ import annotations

import re
from typing import Any

from analyzer.ingest.dialects.base import Content, Dialect, OnRoot, Source, count, decoded, json_field
from analyzer.ingest.raw import RawSpan
from analyzer.types.trace import Operation, Tokens

ROOT_CHAIN = OnRoot("langsmith.span.kind", "chain", "invoke_agent")
"""LangSmith has no kind for agents: the outermost chain is one."""


def root_name(raw: RawSpan) -> Any:
    """Return the run's name on the root, where it names the agent; on the other spans it names the step."""
    return raw.attributes.get("langsmith.trace.name") or raw.name if raw.parent_id is None else None


def usage(raw: RawSpan) -> Tokens | None:
    """Read LangChain's `usage_metadata`, whose `input_tokens` includes the cache."""
    metadata = decoded(raw.attributes.get("langsmith.metadata.usage_metadata"))
    if not isinstance(metadata, dict):
        return None
    taken, given = count(metadata.get("input_tokens")), count(metadata.get("output_tokens"))
    if taken is None and given is None:
        return None
    inputs, outputs = (metadata.get(f"{side}_token_details") for side in ("input", "output"))
    inputs = inputs if isinstance(inputs, dict) else {}
    outputs = outputs if isinstance(outputs, dict) else {}
    return Tokens(
        input=taken or 0,
        output=given or 0,
        cache_read=count(inputs.get("cache_read")) or 0,
        cache_write=count(inputs.get("cache_creation")) or 0,
        cache_write_1h=count(inputs.get("ephemeral_1h_input_tokens")) or 0,
        reasoning=count(outputs.get("reasoning")) or 0,
    )


def printed(group: str, key: str) -> Source:
    """Return a source that reads a count out of printed Python: `{'cache_read': 50}`."""
    pattern = re.compile(rf"'{key}': (\d{{1,12}})")

    def read(raw: RawSpan) -> Any:
        text = raw.attributes.get(f"gen_ai.usage.{group}")
        found = pattern.search(text[:_PRINTED_CHARS_MAX]) if isinstance(text, str) else None
        return found.group(1) if found else None

    return read


_PRINTED_CHARS_MAX = 2000


def run_output(raw: RawSpan) -> Content | None:
    """Return the run's output without the wrapping `{"output": ...}`."""
    text = raw.attributes.get("gen_ai.completion")
    value = decoded(text)
    if not isinstance(value, dict) or value.keys() != {"output"}:
        return Content(text, ("gen_ai.completion",)) if text else None
    return Content(value["output"], ("gen_ai.completion",))


LANGSMITH = Dialect(
    name="langsmith",
    scopes=("langsmith",),
    marks=("langsmith.span.kind", "langsmith.trace.name"),
    operation=(ROOT_CHAIN, "langsmith.span.kind", "gen_ai.operation.name"),
    operations={
        "llm": Operation.CHAT,
        "chain": Operation.WORKFLOW,
        "retriever": Operation.RETRIEVAL,
        "embedding": Operation.EMBEDDINGS,
        "prompt": Operation.OTHER,
        "parser": Operation.OTHER,
    },
    provider=("langsmith.metadata.ls_provider",),
    model=("gen_ai.response.model", "gen_ai.request.model", "langsmith.metadata.ls_model_name"),
    agent=("gen_ai.agent.name", "langsmith.metadata.agent_name", "langsmith.metadata.lc_agent_name", root_name),
    agent_version=("langsmith.metadata.revision_id",),
    tool=("gen_ai.tool.name", "langsmith.trace.name"),
    conversation_id=(
        "langsmith.metadata.thread_id",
        "langsmith.metadata.session_id",
        "langsmith.metadata.conversation_id",
    ),
    user_id=("langsmith.metadata.user_id",),
    usage=(usage,),
    cache_read=(printed("input_token_details", "cache_read"),),
    cache_write=(printed("input_token_details", "cache_creation"),),
    reasoning=(printed("output_token_details", "reasoning"),),
    cost=(json_field("langsmith.metadata.usage_metadata", "total_cost"),),
    tool_input=("gen_ai.prompt",),
    tool_output=(run_output,),
    agent_input=("gen_ai.prompt",),
    agent_output=(run_output,),
    repeated=("gen_ai.serialized.doc",),
)
"""`gen_ai.usage.input_token_details` is printed Python; where LangChain ran, the same stands in `usage_metadata`."""
