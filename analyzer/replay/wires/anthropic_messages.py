"""Anthropic's Messages API, as its official SDK reads and writes it (version 2023-06-01 of the API)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from analyzer.ingest.folds import finish_reason
from analyzer.replay.alike import Decision
from analyzer.replay.recording import Request
from analyzer.replay.wires.wire import (
    Asked,
    Served,
    Wire,
    as_json,
    decided,
    input_of,
    messages_of,
    model_of,
    pieces,
    rest_of,
    sent,
    text_of,
    tools_of,
)
from analyzer.types.trace import FinishReason

_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
"""The type of an error by its status, as the API documents them; others are `api_error`."""
_STOPS = {
    FinishReason.LENGTH: "max_tokens",
    FinishReason.REFUSAL: "refusal",
    FinishReason.CONTENT_FILTER: "refusal",
    FinishReason.TOOL_CALL: "tool_use",
}


def _read(body: Mapping[str, Any]) -> Asked:
    request = Request(
        model=model_of(body),
        parameters=rest_of(body, ("model", "messages", "system", "tools", "stream")),
        system=text_of(body.get("system")),
        tools=tools_of(body.get("tools")),
        messages=messages_of(body.get("messages"), "messages"),
    )
    return Asked(request, streamed=body.get("stream") is True)


def _reply(served: Served) -> dict[str, Any]:
    decision = served.decision
    content: list[dict[str, Any]] = [{"type": "text", "text": decision.text}] if decision.text else []
    content += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": input_of(call)} for call in decision.tool_calls
    ]
    return {
        "id": f"msg_{served.key}",
        "type": "message",
        "role": "assistant",
        "model": served.model,
        "content": content,
        "stop_reason": "tool_use"
        if decision.tool_calls
        else _STOPS.get(decision.finish or FinishReason.STOP, "end_turn"),
        "stop_sequence": None,
        "usage": {
            "input_tokens": served.tokens.input - served.tokens.cache_read - served.tokens.cache_write,
            "cache_creation_input_tokens": served.tokens.cache_write,
            "cache_read_input_tokens": served.tokens.cache_read,
            "output_tokens": served.tokens.output,
        },
    }


def _stream(served: Served, _asked: Asked) -> Iterable[bytes]:
    body = _reply(served)
    begun = {**body, "content": [], "stop_reason": None, "usage": {**body["usage"], "output_tokens": 0}}
    yield sent({"type": "message_start", "message": begun}, named=True)
    for index, block in enumerate(body["content"]):
        is_text = block["type"] == "text"
        empty = {**block, "text": ""} if is_text else {**block, "input": {}}
        yield sent({"type": "content_block_start", "index": index, "content_block": empty}, named=True)
        for piece in pieces(block["text"] if is_text else as_json(block["input"])):
            delta = {"type": "text_delta", "text": piece} if is_text else _json_delta(piece)
            yield sent({"type": "content_block_delta", "index": index, "delta": delta}, named=True)
        yield sent({"type": "content_block_stop", "index": index}, named=True)
    delta = {"stop_reason": body["stop_reason"], "stop_sequence": None}
    usage = {"output_tokens": body["usage"]["output_tokens"]}
    yield sent({"type": "message_delta", "delta": delta, "usage": usage}, named=True)
    yield sent({"type": "message_stop"}, named=True)


def _json_delta(piece: str) -> dict[str, Any]:
    return {"type": "input_json_delta", "partial_json": piece}


def _error(status: int, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": _ERRORS.get(status, "api_error"), "message": message}}


def _assembled(events: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    message: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    for event in events:
        kind = event.get("type")
        if kind == "message_start":
            message = dict(event["message"])
        elif kind == "content_block_start":
            blocks[event["index"]] = dict(event["content_block"])
        elif kind == "content_block_delta":
            _added(blocks[event["index"]], event["delta"])
        elif kind == "message_delta":
            # The counts of this event are those of the whole reply so far.
            message |= event["delta"] | {"usage": {**message.get("usage", {}), **(event.get("usage") or {})}}
        elif kind == "message_stop":
            return {**message, "content": [_closed(blocks[index]) for index in sorted(blocks)]}
    return None


def _added(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    for name in ("text", "partial_json"):
        if name in delta:
            block[name] = block.get(name, "") + delta[name]


def _closed(block: dict[str, Any]) -> dict[str, Any]:
    given = block.pop("partial_json", "")
    return {**block, "input": json.loads(given)} if given else block


def _heard(reply: Mapping[str, Any]) -> Decision:
    return decided([{"role": "assistant", "content": reply["content"]}], finish_reason(reply.get("stop_reason")))


WIRE = Wire("Anthropic Messages", "/v1/messages", _read, _reply, _stream, _error, "anthropic", _assembled, _heard)
