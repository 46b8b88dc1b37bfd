"""The payloads of any dialect as messages, decisions and tool definitions: what a request can be made of again.

`types/messages` reads the same payloads for people, as text. A replay needs their parts: which call a result answers,
and arguments as values. What is no text, call or result (an image, signed thinking) is named and left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from analyzer.types.noise import parsed

_CALLS = frozenset({"tool_call", "tool_use", "tool-call", "function_call", "function"})
_RETURNS = frozenset({"tool_call_response", "tool_result", "tool-result", "function_call_output"})
_TEXTS = frozenset({"text", "input_text", "output_text", "refusal"})
_RETURNED = ("response", "result", "content", "output")
_ARGUMENTS = ("arguments", "input", "args")
_CALL_IDS = ("toolCallId", "tool_call_id", "tool_use_id", "call_id", "id")
_TOOL_ROLES = frozenset({"tool", "function", "tool_result"})
_SYSTEM_ROLES = frozenset({"system", "developer"})
_ROLES = {"ai": "assistant", "model": "assistant", "human": "user"}
"""Other spellings of the two sides."""
_DEPTH_MAX = 12


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that a reply asks for."""

    id: str
    """"" where the source gave none."""
    name: str
    arguments: Any
    """Parsed: an object as a rule; text where the source's is no JSON."""


@dataclass(frozen=True, slots=True)
class ToolReturn:
    """What a tool gave, as the model was told."""

    call_id: str
    text: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a request."""

    role: str
    """"system", "user", "assistant" or "tool"; another word where the source has one."""
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    returns: tuple[ToolReturn, ...] = ()
    left_out: tuple[str, ...] = ()
    """Types of the parts that are no text, call or result, such as "image" or "thinking"."""


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool as the model was told about it."""

    name: str
    description: str
    schema: Mapping[str, Any]
    """JSON schema of the arguments; empty where the source gave none."""


def messages_in(payload: str | None) -> tuple[Message, ...]:
    """Return the messages of a recorded input or output; () where there is no payload. Text alone is one of the user.

    Never raises: a payload that is no conversation is a message with its text.
    """
    if not payload:
        return ()
    value = _loaded(payload)
    if isinstance(value, dict):
        value = value.get("messages", [value])
    if not isinstance(value, list):
        return (Message("user", value if isinstance(value, str) else payload),)
    return tuple(_message(entry) for entry in value)


def text_in(payload: str | None) -> str:
    """Return a system prompt or a tool's result as plain text, whatever list of parts it came in."""
    if not payload:
        return ""
    value = _loaded(payload)
    if isinstance(value, list) and value and all(isinstance(part, dict) and _kind(part) in _TEXTS for part in value):
        return "\n".join(_text(part, 0) for part in value)
    return value if isinstance(value, str) else payload


def definitions_in(payload: str | None) -> tuple[ToolDefinition, ...]:
    """Return the tool definitions of a payload, as any provider spells them, in the order given."""
    value = _loaded(payload or "")
    if isinstance(value, dict):
        value = value.get("tools", [value])
    found = []
    for entry in value if isinstance(value, list) else ():
        entry = parsed(entry) if isinstance(entry, str) else entry  # noqa: PLW2901 - a definition inside a string
        inner = entry.get("function") if isinstance(entry, dict) and isinstance(entry.get("function"), dict) else entry
        if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
            continue
        schema: Any = next((inner[key] for key in ("input_schema", "inputSchema", "parameters") if inner.get(key)), {})
        schema = parsed(schema) if isinstance(schema, str) else schema
        described = inner.get("description")
        found.append(
            ToolDefinition(
                inner["name"],
                described if isinstance(described, str) else "",
                schema if isinstance(schema, Mapping) else {},
            )
        )
    return tuple(found)


def _loaded(payload: str) -> Any:
    """Parse a payload that is JSON; return the text where it is none."""
    if payload.lstrip()[:1] not in ("[", "{", '"'):
        return payload
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return payload


def _kind(part: Any) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    return kind if isinstance(kind, str) else ""


def _message(entry: Any) -> Message:
    """Return one message; parts that stand alone (the Responses API lists them so) are messages of their own."""
    if not isinstance(entry, dict):
        return Message("user", entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False))
    role = entry.get("role")
    role = role if isinstance(role, str) else "assistant" if _kind(entry) in _CALLS else "user"
    role = _ROLES.get(role, "system" if role in _SYSTEM_ROLES else role)
    if role in _TOOL_ROLES and not any(_kind(part) in _RETURNS for part in _parts(entry)):
        failed = entry.get("is_error") is True
        return Message("tool", returns=(ToolReturn(_call_id(entry), _content_text(entry.get("content")), failed),))
    texts: list[str] = []
    calls: list[ToolCall] = []
    returns: list[ToolReturn] = []
    left_out: list[str] = []
    for part in _parts(entry):
        if isinstance(part, str):
            texts.append(part)
        elif _kind(part) in _CALLS:
            calls.append(_call(part))
        elif _kind(part) in _RETURNS:
            returns.append(_returned(part))
        elif _kind(part) in _TEXTS or (not _kind(part) and any(key in part for key in ("text", "content"))):
            texts.append(_text(part, 0))
        else:
            left_out.append(_kind(part) or "unknown")
    return Message(role, "\n".join(text for text in texts if text), tuple(calls), tuple(returns), tuple(left_out))


def _parts(entry: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the parts of a message: its content, then the calls that stand beside it."""
    if _kind(entry) in _CALLS | _RETURNS:
        yield entry
        return
    content = entry.get("parts") if isinstance(entry.get("parts"), list) else entry.get("content", entry.get("text"))
    yield from (part for part in (content if isinstance(content, list) else [content]) if isinstance(part, str | dict))
    beside = entry.get("tool_calls")
    for call in beside if isinstance(beside, list) else ():
        if isinstance(call, dict):
            yield {**call, "type": "tool_call"}
    if isinstance(entry.get("function_call"), dict):
        yield {**entry["function_call"], "type": "function_call"}


def _call(part: Mapping[str, Any]) -> ToolCall:
    inner = part["function"] if isinstance(part.get("function"), dict) else part
    given: Any = next((inner[key] for key in _ARGUMENTS if key in inner), {})
    arguments = (parsed(given) if given.strip() else {}) if isinstance(given, str) else given
    name = inner.get("name") or part.get("toolName")
    return ToolCall(_call_id(part), name if isinstance(name, str) else "", {} if arguments is None else arguments)


def _call_id(part: Mapping[str, Any]) -> str:
    # The Responses API has an id of its own beside the one that its result answers.
    return next((part[key] for key in _CALL_IDS if isinstance(part.get(key), str)), "")


def _returned(part: Mapping[str, Any]) -> ToolReturn:
    given: Any = next((part[key] for key in _RETURNED if key in part), "")
    failed = part.get("is_error") is True or (isinstance(given, dict) and _kind(given).startswith("error"))
    if isinstance(given, dict) and "value" in given and _kind(given):
        # Vercel wraps a result in its type.
        given = given["value"]
    return ToolReturn(_call_id(part), _content_text(given), failed)


def _content_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and value and all(isinstance(part, dict) and _kind(part) in _TEXTS for part in value):
        return "\n".join(_text(part, 0) for part in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(part: Any, depth: int) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and depth < _DEPTH_MAX:
        for key in ("text", "content", "value", "refusal"):
            if part.get(key) is not None:
                return _text(part[key], depth + 1)
        return ""
    return json.dumps(part, ensure_ascii=False)
