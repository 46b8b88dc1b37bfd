"""OpenAI's Chat Completions, as its official SDK and the many that copy it read and write it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from analyzer.ingest.folds import finish_reason
from analyzer.replay.alike import Decision
from analyzer.replay.recording import Request
from analyzer.replay.wires.wire import (
    Asked,
    Served,
    Wire,
    decided,
    input_json,
    messages_of,
    model_of,
    pieces,
    rest_of,
    sent,
    tools_of,
)
from analyzer.types.trace import FinishReason

_SYSTEM = "system"
"""The role of system and developer messages, as `conversation` folds it."""
ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    404: "not_found_error",
    429: "rate_limit_error",
}
"""The type of an error by its status, as the API documents them; others are `server_error`."""
_STOPS = {
    FinishReason.LENGTH: "length",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.REFUSAL: "content_filter",
}


def _read(body: Mapping[str, Any]) -> Asked:
    messages = messages_of(body.get("messages"), "messages")
    options = body.get("stream_options")
    request = Request(
        model=model_of(body),
        parameters=rest_of(body, ("model", "messages", "tools", "stream", "stream_options")),
        system="\n".join(message.text for message in messages if message.role == _SYSTEM),
        tools=tools_of(body.get("tools")),
        messages=tuple(message for message in messages if message.role != _SYSTEM),
    )
    with_usage = isinstance(options, dict) and options.get("include_usage") is True
    return Asked(request, streamed=body.get("stream") is True, with_usage=with_usage)


def _reply(served: Served) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": served.decision.text or None, "refusal": None}
    if served.decision.tool_calls:
        message["tool_calls"] = _calls(served)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(served)}
    return {**_head(served, "chat.completion"), "choices": [choice], "usage": usage_of(served)}


def _calls(served: Served) -> list[dict[str, Any]]:
    return [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": input_json(call)}}
        for call in served.decision.tool_calls
    ]


def _finish(served: Served) -> str:
    return (
        "tool_calls" if served.decision.tool_calls else _STOPS.get(served.decision.finish or FinishReason.STOP, "stop")
    )


def _head(served: Served, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{served.key}", "object": kind, "created": served.created_s, "model": served.model}


def usage_of(served: Served) -> dict[str, Any]:
    """Return the tokens of the recorded call in the words of this API."""
    tokens = served.tokens
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.total,
        "prompt_tokens_details": {"cached_tokens": tokens.cache_read},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning},
    }


def _stream(served: Served, asked: Asked) -> Iterable[bytes]:
    head = _head(served, "chat.completion.chunk")

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return sent({**head, "choices": [choice]}, named=False)

    yield chunk({"role": "assistant", "content": None if served.decision.tool_calls else ""})
    for piece in pieces(served.decision.text):
        yield chunk({"content": piece})
    for index, call in enumerate(_calls(served)):
        whole = call["function"]["arguments"]
        opened = {**call, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield chunk({"tool_calls": [{"index": index, **opened}]})
        for piece in pieces(whole):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, _finish(served))
    if asked.with_usage:
        yield sent({**head, "choices": [], "usage": usage_of(served)}, named=False)
    yield b"data: [DONE]\n\n"


def error_of(status: int, message: str) -> dict[str, Any]:
    """Return an error in the shape that both of OpenAI's APIs have."""
    kind = ERRORS.get(status, "server_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": kind}}


def _assembled(events: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Put the first choice together; the API's own word of the end is the reason why it ended."""
    text: list[str] = []
    calls: dict[int, dict[str, Any]] = {}
    usage: Any = None
    finish = refusal = None
    for event in events:
        usage = event.get("usage") or usage
        for choice in event.get("choices") or ():
            if choice.get("index", 0) != 0:
                continue
            delta = choice.get("delta") or {}
            text.append(delta.get("content") or "")
            refusal = delta.get("refusal") or refusal
            for piece in delta.get("tool_calls") or ():
                call = calls.setdefault(piece["index"], {"id": "", "function": {"name": "", "arguments": ""}})
                call["id"] = piece.get("id") or call["id"]
                for name, given in (piece.get("function") or {}).items():
                    call["function"][name] = call["function"].get(name, "") + (given or "")
            finish = choice.get("finish_reason") or finish
    message = {"role": "assistant", "content": "".join(text), "refusal": refusal}
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    return None if finish is None else {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}


def _heard(reply: Mapping[str, Any]) -> Decision:
    choice = reply["choices"][0]
    refused = FinishReason.REFUSAL if choice["message"].get("refusal") else None
    return decided([choice["message"]], refused or finish_reason(choice.get("finish_reason")))


WIRE = Wire(
    "OpenAI Chat Completions",
    "/v1/chat/completions",
    _read,
    _reply,
    _stream,
    error_of,
    "openai",
    _assembled,
    _heard,
)
