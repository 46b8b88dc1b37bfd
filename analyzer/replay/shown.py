"""What a recording holds and lacks, as blocks for people and as a document for machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analyzer.render.blocks import Block, Bullets, Heading, Line, Paragraph, line, plain, strong
from analyzer.render.text import one_line
from analyzer.replay.recording import Missing, Recording, lacks

CHECK_SCHEMA = "analyzer.replay-check/1"
_NAME_COLUMNS_MAX = 60
_STEPS_NAMED_MAX = 12
_NEEDED = frozenset({"messages", "decision", "tool definitions"})
"""Without one of these a call that is sent again says nothing. A model can be named by hand."""


def can_be_sent(recording: Recording) -> tuple[int, ...]:
    """Return the steps whose model call can be sent again and judged."""
    has_tools = bool(recording.executions)
    return tuple(
        call.number
        for call in recording.calls
        if not call.decision.is_empty and _NEEDED.isdisjoint(lacks(call, has_tools=has_tools))
    )


def check_document(recording: Recording) -> dict[str, Any]:
    """Return schema `analyzer.replay-check/1`."""
    return {
        "schema": CHECK_SCHEMA,
        "trace_id": recording.trace_id,
        "agent": recording.agent,
        "agent_version": recording.agent_version,
        "calls": [
            {
                "step": call.number,
                "span_id": call.span.span_id,
                "model": call.request.model or None,
                "parameters": dict(call.request.parameters),
                "prompt_version": call.request.prompt_version or None,
                "tools_version": call.request.tools_version or None,
                "tools": [tool.name for tool in call.request.tools],
                "messages": len(call.request.messages),
                "finish": None if call.decision.finish is None else call.decision.finish.value,
            }
            for call in recording.calls
        ],
        "executions": [
            {
                "step": one.number,
                "tool": one.tool,
                "call_id": one.call_id or None,
                "result": one.result is not None,
                "failed": one.failed,
            }
            for one in recording.executions
        ],
        "can_be_sent": list(can_be_sent(recording)),
        "missing": [{"what": one.what, "step": one.step, "costs": one.costs} for one in recording.missing],
    }


def check_outline(recording: Recording) -> tuple[Block, ...]:
    """Return what a replay of a trajectory has to work with, and what is missing, each once with its steps."""
    sent = can_be_sent(recording)
    results = sum(one.result is not None for one in recording.executions)
    version = f" {one_line(recording.agent_version, _NAME_COLUMNS_MAX)}" if recording.agent_version else ""
    calls = f"model calls {len(recording.calls)}, of which {len(sent)} can be sent again and judged"
    has = f"{calls}; tool results {results} of {len(recording.executions)}"
    blocks: list[Block] = [
        Heading(1, plain(f"Replay of {recording.trace_id}")),
        Paragraph(plain(f"{one_line(recording.agent, _NAME_COLUMNS_MAX)}{version}: {has}.")),
    ]
    if not recording.missing:
        return (*blocks, Paragraph(plain("Nothing that a replay needs is missing.")))
    grouped: dict[tuple[str, str], list[Missing]] = {}
    for one in recording.missing:
        grouped.setdefault((one.what, one.costs), []).append(one)
    entries = tuple(_entry(what, costs, found) for (what, costs), found in grouped.items())
    return (*blocks, Heading(2, plain("Missing")), Bullets(entries))


def _entry(what: str, costs: str, found: Sequence[Missing]) -> Line:
    steps = [str(one.step) for one in found if one.step is not None]
    more = f" and {len(steps) - _STEPS_NAMED_MAX} more" if len(steps) > _STEPS_NAMED_MAX else ""
    where = f" (step {', '.join(steps[:_STEPS_NAMED_MAX])}{more})" if steps else ""
    return line(strong(f"{one_line(what, _NAME_COLUMNS_MAX)}{where}"), f": {costs}")
