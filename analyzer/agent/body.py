"""A request in the form of the Messages API, as far as it needs no SDK: tools, history and cache breakpoints."""

from __future__ import annotations

from typing import Any

from analyzer.agent.model import Block, Text, ToolReturn, ToolSpec, Turn

EPHEMERAL = {"cache_control": {"type": "ephemeral"}}


def tool_body(tool: ToolSpec, *, strict: bool) -> dict[str, Any]:
    """Return a tool; `strict` has the API hold its arguments to the schema."""
    extra = {"strict": True} if strict else {}
    return {"name": tool.name, "description": tool.description, "input_schema": dict(tool.schema), **extra}


def messages_body(turns: tuple[Turn, ...]) -> list[dict[str, Any]]:
    """Return the history for the wire.

    Of the four cache breakpoints the API allows, one stands after the system prompt, one after the case file, and two
    at the ends of the latest user turns: the newest is written, the one before it is what the last request wrote, and
    the API's search back from a breakpoint (20 blocks) may miss it when a turn had many tool calls.
    """
    users = [index for index, turn in enumerate(turns) if turn.role == "user"]
    marked = set(users[1:][-2:])
    wire: list[dict[str, Any]] = []
    for index, turn in enumerate(turns):
        blocks = [dict(block) for block in turn.echo] or [_block(block) for block in turn.blocks]
        if index in marked and blocks:
            blocks[-1] = {**blocks[-1], **EPHEMERAL}
        wire.append({"role": turn.role, "content": blocks})
    return wire


def _block(block: Block) -> dict[str, Any]:
    if isinstance(block, Text):
        return {"type": "text", "text": block.text, **(EPHEMERAL if block.cache else {})}
    if isinstance(block, ToolReturn):
        return {"type": "tool_result", "tool_use_id": block.call_id, "content": block.text, "is_error": block.is_error}
    return {"type": "tool_use", "id": block.id, "name": block.name, "input": dict(block.arguments)}
