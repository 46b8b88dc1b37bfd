"""Requests and replies as JSON documents: what is written to the log and to a recording, masked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from analyzer.agent.model import Block, ModelReply, ModelRequest, Stop, Text, ToolCall, ToolReturn, Turn
from analyzer.agent.text import Mask
from analyzer.types.audit import digest
from analyzer.types.trace import Tokens


def request_document(request: ModelRequest, mask: Mask) -> dict[str, Any]:
    """Return everything of a request that the model can tell apart; the time it may take is no part of it."""
    return {
        "system": mask(request.system),
        "messages": [turn_document(turn, mask) for turn in request.messages],
        "tools": [
            {"name": tool.name, "description": tool.description, "schema": tool.schema} for tool in request.tools
        ],
        "max_tokens": request.max_tokens,
        "schema": request.schema,
        "must_answer": request.must_answer,
        **({} if request.verbatim is None else {"verbatim": dict(request.verbatim)}),
    }


def news_document(request: ModelRequest, known: int, mask: Mask) -> dict[str, Any]:
    """Return what a request adds to the conversation after its first `known` turns.

    What the model said and what tools gave stands in the log already: of a tool's return only its hash is said.
    """
    turns = [turn_document(turn, mask) for turn in request.messages[known:] if turn.role == "user"]
    for turn in turns:
        for block in turn["blocks"]:
            if block["type"] == "tool_return":
                block["text"] = {"sha256": digest(block["text"])}
    return {"messages": turns} if known else {"system": mask(request.system), "messages": turns}


def turn_document(turn: Turn, mask: Mask) -> dict[str, Any]:
    """Return one message. The provider's own form of it is left out: it repeats the blocks, signed."""
    return {"role": turn.role, "blocks": [_block_document(block, mask) for block in turn.blocks]}


def reply_document(reply: ModelReply, mask: Mask) -> dict[str, Any]:
    """Return a reply, without the provider's own form of it."""
    return {
        "text": mask(reply.text),
        "tool_calls": [_block_document(call, mask) for call in reply.tool_calls],
        "stop": reply.stop.value,
        "usage": asdict(reply.usage),
        "response_id": mask(reply.response_id),
        "model": mask(reply.model),
    }


def reply_from_document(document: Mapping[str, Any]) -> ModelReply:
    """Return the reply of a document. Raises KeyError, TypeError, ValueError where it is none."""
    return ModelReply(
        text=_text(document["text"]),
        tool_calls=tuple(_call(call) for call in document["tool_calls"]),
        stop=Stop(document["stop"]),
        usage=Tokens(**{name: int(count) for name, count in dict(document["usage"]).items()}),
        response_id=_text(document.get("response_id", "")),
        model=_text(document.get("model", "")),
        echo=tuple(dict(block) for block in document.get("echo", ())),
    )


def masked_turns(turns: Sequence[Turn], mask: Mask) -> tuple[Turn, ...]:
    """Return turns for the record: what the model wrote may hold anything, and the record leaves the machine."""
    return tuple(Turn(turn.role, tuple(_masked(block, mask) for block in turn.blocks)) for turn in turns)


def masked_arguments(arguments: Mapping[str, Any], mask: Mask) -> Mapping[str, Any]:
    """Return arguments masked inside; as one text where the mask took away what made them JSON."""
    text = mask(json.dumps(dict(arguments), ensure_ascii=False, default=str))
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"arguments": text}


def _masked(block: Block, mask: Mask) -> Block:
    if isinstance(block, ToolCall):
        return ToolCall(mask(block.id), mask(block.name), masked_arguments(block.arguments, mask))
    if isinstance(block, ToolReturn):
        return ToolReturn(mask(block.call_id), mask(block.text), block.is_error)
    return Text(mask(block.text), block.cache)


def _block_document(block: Block, mask: Mask) -> dict[str, Any]:
    if isinstance(block, Text):
        return {"type": "text", "text": mask(block.text)}
    if isinstance(block, ToolReturn):
        shown = {"id": mask(block.call_id), "text": mask(block.text), "is_error": block.is_error}
        return {"type": "tool_return", **shown}
    return {
        "type": "tool_call",
        "id": mask(block.id),
        "name": mask(block.name),
        "arguments": dict(masked_arguments(block.arguments, mask)),
    }


def _call(document: Mapping[str, Any]) -> ToolCall:
    return ToolCall(_text(document["id"]), _text(document["name"]), dict(document["arguments"]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text was expected, not {value!r:.40}")
    return value
