"""OpenAI's Responses API, as its official SDK reads and writes it; the history is sent whole with each request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

from analyzer.ingest.folds import finish_reason
from analyzer.replay.alike import Decision
from analyzer.replay.conversation import Message
from analyzer.replay.recording import Request
from analyzer.replay.wires.openai_chat import error_of
from analyzer.replay.wires.wire import (
    Asked,
    MalformedError,
    Served,
    Wire,
    decided,
    input_json,
    messages_of,
    model_of,
    pieces,
    rest_of,
    sent,
    text_of,
    tools_of,
)
from analyzer.types.trace import FinishReason

_SYSTEM = "system"
"""The role of system and developer messages, as `conversation` folds it."""


def _read(body: Mapping[str, Any]) -> Asked:
    if body.get("previous_response_id") or body.get("conversation"):
        raise MalformedError(
            "the history is kept at the provider (previous_response_id, conversation), where a replay cannot see it: "
            "have the agent send it whole (store=False)"
        )
    given = body.get("input")
    whole = (Message("user", given),) if isinstance(given, str) else messages_of(given, "input")
    system = [text_of(body.get("instructions")), *(one.text for one in whole if one.role == _SYSTEM)]
    request = Request(
        model=model_of(body),
        parameters=rest_of(body, ("model", "input", "instructions", "tools", "stream")),
        system="\n".join(text for text in system if text),
        tools=tools_of(body.get("tools")),
        messages=tuple(message for message in whole if message.role != _SYSTEM),
    )
    return Asked(request, streamed=body.get("stream") is True)


def _reply(served: Served) -> dict[str, Any]:
    cut = served.decision.finish == FinishReason.LENGTH
    return {
        **_head(served, "incomplete" if cut else "completed"),
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": _output(served),
        "usage": {
            "input_tokens": served.tokens.input,
            "input_tokens_details": {"cached_tokens": served.tokens.cache_read, "cache_write_tokens": 0},
            "output_tokens": served.tokens.output,
            "output_tokens_details": {"reasoning_tokens": served.tokens.reasoning},
            "total_tokens": served.tokens.total,
        },
    }


def _head(served: Served, status: str) -> dict[str, Any]:
    return {
        "id": f"resp_{served.key}",
        "object": "response",
        "created_at": served.created_s,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": served.model,
        "output": [],
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": None,
    }


def _output(served: Served) -> list[dict[str, Any]]:
    """Return the items of an answer: its text as one message, then its calls."""
    items: list[dict[str, Any]] = []
    if served.decision.text or not served.decision.tool_calls:
        part = {"type": "output_text", "text": served.decision.text, "annotations": [], "logprobs": []}
        items.append(
            {
                "id": f"msg_{served.key}",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [part],
            }
        )
    items += [
        {
            "id": f"fc_{served.key}_{number}",
            "type": "function_call",
            "status": "completed",
            "call_id": call.id,
            "name": call.name,
            "arguments": input_json(call),
        }
        for number, call in enumerate(served.decision.tool_calls)
    ]
    return items


def _stream(served: Served, _asked: Asked) -> Iterable[bytes]:
    numbers = count()

    def event(kind: str, **fields: Any) -> bytes:
        return sent({"type": kind, "sequence_number": next(numbers), **fields}, named=True)

    begun = _head(served, "in_progress")
    whole = _reply(served)
    yield event("response.created", response=begun)
    yield event("response.in_progress", response=begun)
    for index, item in enumerate(whole["output"]):
        place = {"item_id": item["id"], "output_index": index}
        if item["type"] == "message":
            yield from _text_events(event, item, place)
        else:
            opened = {**item, "status": "in_progress", "arguments": ""}
            yield event("response.output_item.added", output_index=index, item=opened)
            for piece in pieces(item["arguments"]):
                yield event("response.function_call_arguments.delta", **place, delta=piece)
            yield event(
                "response.function_call_arguments.done", **place, name=item["name"], arguments=item["arguments"]
            )
        yield event("response.output_item.done", output_index=index, item=item)
    yield event(f"response.{whole['status']}", response=whole)


def _text_events(event: Any, item: Mapping[str, Any], place: Mapping[str, Any]) -> Iterable[bytes]:
    part = item["content"][0]
    spot = {**place, "content_index": 0}
    opened = {**item, "status": "in_progress", "content": []}
    yield event("response.output_item.added", output_index=place["output_index"], item=opened)
    yield event("response.content_part.added", **spot, part={**part, "text": ""})
    for piece in pieces(part["text"]):
        yield event("response.output_text.delta", **spot, delta=piece, logprobs=[])
    yield event("response.output_text.done", **spot, text=part["text"], logprobs=[])
    yield event("response.content_part.done", **spot, part=part)


def _assembled(events: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    ends = ("response.completed", "response.incomplete", "response.failed")
    return next((dict(event["response"]) for event in events if event.get("type") in ends), None)


def _heard(reply: Mapping[str, Any]) -> Decision:
    items = [item for item in reply["output"] if item.get("type") != "reasoning"]
    cut = (reply.get("incomplete_details") or {}).get("reason")
    parts = [part for item in items for part in item.get("content") or () if isinstance(part, dict)]
    if any(part.get("type") == "refusal" for part in parts):
        return decided(items, FinishReason.REFUSAL)
    calls = any(item.get("type") == "function_call" for item in items)
    return decided(items, finish_reason(cut) or (FinishReason.TOOL_CALL if calls else FinishReason.STOP))


WIRE = Wire("OpenAI Responses", "/v1/responses", _read, _reply, _stream, error_of, "openai", _assembled, _heard)
