"""What every wire format has: how a request is read, how a decision and an error are written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analyzer.replay.alike import Decision
from analyzer.replay.conversation import Message, ToolCall, ToolDefinition, definitions_in, messages_in, text_in
from analyzer.replay.recording import Request
from analyzer.types.trace import FinishReason, Tokens


class MalformedError(Exception):
    """A request that no provider would take; the message says which part of it is wrong."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as an agent sent it."""

    request: Request
    streamed: bool
    """Whether it asked for server-sent events."""
    with_usage: bool = False
    """Whether a stream is to end with the tokens used, which Chat Completions has to be asked for."""


@dataclass(frozen=True, slots=True)
class Served:
    """One recorded decision, and what an answer needs beside it; all of it from the recording."""

    key: str
    """What ids are made from: the id of the recorded span."""
    model: str
    decision: Decision
    tokens: Tokens
    created_s: int
    """Unix seconds at which the recorded call began; 0 where the recording has no times."""


@dataclass(frozen=True, slots=True)
class Wire:
    """One wire format."""

    name: str
    path: str
    """Where its SDK posts to."""
    read: Callable[[Mapping[str, Any]], Asked]
    """Raises MalformedError."""
    reply: Callable[[Served], dict[str, Any]]
    """The answer to who asked for no stream."""
    stream: Callable[[Served, Asked], Iterable[bytes]]
    """The same answer as server-sent events."""
    error: Callable[[int, str], dict[str, Any]]
    """A status and a sentence as the provider's error."""
    provider: str
    """Whose API it is, as prices and keys name it."""
    assembled: Callable[[Iterable[Mapping[str, Any]]], dict[str, Any] | None]
    """The events of a stream as the reply that they tell of; None where it never ended."""
    heard: Callable[[Mapping[str, Any]], Decision]
    """What a provider's whole reply decides."""


def sent(event: Mapping[str, Any], *, named: bool) -> bytes:
    """Return one server-sent event; `named` puts its type in a line of its own."""
    head = f"event: {event['type']}\n" if named else ""
    return f"{head}data: {as_json(event)}\n\n".encode()


def as_json(value: Any) -> str:
    """Return a value as the JSON that goes out: its keys in the order in which they were written, no spaces."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def pieces(text: str, size: int = 24) -> Iterable[str]:
    """Yield a text in the portions in which it is streamed, `size` characters each."""
    for start in range(0, len(text), size):
        yield text[start : start + size]


def text_of(value: Any) -> str:
    """Return the text of a system prompt: a string, or blocks of text. Raises MalformedError."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, list) and all(isinstance(block, dict) for block in value):
        return text_in(as_json(value))
    raise MalformedError("the system prompt must be a string or a list of blocks")


def messages_of(value: Any, name: str) -> tuple[Message, ...]:
    """Return the messages of a request; raises MalformedError where the field holds no list of objects."""
    if not isinstance(value, list) or not value or not all(isinstance(entry, dict) for entry in value):
        raise MalformedError(f"{name} must be a list of at least one object")
    return messages_in(as_json(value))


def tools_of(value: Any) -> tuple[ToolDefinition, ...]:
    """Return the tools that a request offers. Raises MalformedError where the field holds no list."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise MalformedError("tools must be a list")
    return definitions_in(as_json(value))


def model_of(body: Mapping[str, Any]) -> str:
    """Return the model asked for. Raises MalformedError where there is none."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise MalformedError("model must be a string")
    return model


def rest_of(body: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """Return what a request sets beside its texts: how the model is asked."""
    return {name: value for name, value in body.items() if name not in known and value is not None}


def input_of(call: ToolCall) -> Any:
    """Return the arguments of a call as the object that they are; those that are no JSON object stand under "input"."""
    return call.arguments if isinstance(call.arguments, dict) else {"input": call.arguments}


def input_json(call: ToolCall) -> str:
    """Return the arguments of a call as the text in which OpenAI's APIs send them; what is no JSON goes as it is."""
    return call.arguments if isinstance(call.arguments, str) else as_json(call.arguments)


def decided(messages: Sequence[Mapping[str, Any]], finish: FinishReason | None) -> Decision:
    """Return the messages of a reply, in any provider's form, as one decision."""
    replies = messages_in(as_json(messages))
    return Decision(
        text="\n".join(reply.text for reply in replies if reply.text),
        tool_calls=tuple(call for reply in replies for call in reply.tool_calls),
        finish=finish,
    )
