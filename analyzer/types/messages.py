"""Message payloads as people and models read them.

Dialects wrap the same conversation in different JSON. `readable` unwraps it to plain text, and that text is the one
form in which a payload is shown, searched and quoted: a quote then needs no escapes, and the evidence gate compares
it with exactly what was shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_TEXT_KEYS = ("content", "text", "thinking", "reasoning", "refusal", "value")
_CALL_TYPES = frozenset({"tool_call", "tool_use", "tool-call", "function_call", "server_tool_call", "function"})
_RETURN_TYPES = frozenset({"tool_call_response", "tool_result", "tool-result", "function_call_output"})
CALL_MARK = "[call "
"""How `readable` shows a call inside a message."""
_DEPTH_MAX = 12
"""Nesting beyond this is printed as JSON: no exporter nests messages deeper, hostile input may."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation in plain text."""

    role: str
    text: str


def readable(payload: str | None) -> str:
    """Return a payload as plain text: messages as `role: text` lines, everything else as it is."""
    if not payload:
        return ""
    messages = parse_messages(payload)
    if messages is not None:
        return "\n".join(f"{message.role}: {message.text}" for message in messages)
    value = _load(payload)
    return value if isinstance(value, str) else payload


def last_message(payload: str | None) -> str:
    """Return the text of the last message, or the whole payload where it is no conversation."""
    if not payload:
        return ""
    messages = parse_messages(payload)
    return messages[-1].text if messages else readable(payload)


def parse_messages(payload: str) -> list[Message] | None:
    """Return the messages of a JSON payload, or None where it holds no conversation."""
    value = _load(payload)
    if isinstance(value, dict):
        if isinstance(value.get("messages"), list):
            value = value["messages"]
        elif "role" in value or _kind(value) in _CALL_TYPES | {"text", "message"}:
            value = [value]
    if not isinstance(value, list) or not value:
        return None
    if not all(isinstance(entry, dict) for entry in value):
        return None
    if not any("role" in entry or "parts" in entry or entry.get("type") for entry in value):
        return None
    return [Message(str(entry.get("role") or entry.get("type") or "message"), message_text(entry)) for entry in value]


def _load(payload: str) -> Any:
    """Parse a payload that looks like JSON; return None where it is not."""
    head = payload.lstrip()[:1]
    if head not in '[{"':
        return None
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None


def message_text(entry: dict[str, Any]) -> str:
    """Return a message, as its source wrote it, as plain text."""
    return "\n".join(line for line in _lines(entry, 0) if line)


def _lines(value: Any, depth: int) -> Iterator[str]:
    """Yield the text of a message, a part or a list of parts, outermost first."""
    if value is None:
        return
    if isinstance(value, str):
        yield value
        return
    if depth > _DEPTH_MAX or not isinstance(value, dict | list):
        yield json.dumps(value, ensure_ascii=False)
        return
    if isinstance(value, list):
        for part in value:
            yield from _lines(part, depth + 1)
        return
    yield from _part_lines(value, depth)


def _kind(part: dict[str, Any]) -> str:
    """Return the type of a part; hostile JSON may hold anything there, and only text is a kind."""
    kind = part.get("type")
    return kind if isinstance(kind, str) else ""


def _part_lines(part: dict[str, Any], depth: int) -> Iterator[str]:
    kind = _kind(part)
    if kind in _CALL_TYPES:
        inner = part.get("function") if isinstance(part.get("function"), dict) else part
        assert isinstance(inner, dict)  # noqa: S101 - narrows the type; both branches are dicts
        arguments = next((inner[key] for key in ("arguments", "input", "args") if key in inner), "")
        name = inner.get("name") or part.get("toolName") or "tool"
        yield f"{CALL_MARK}{name} {_compact(arguments)}]"
        return
    if kind in _RETURN_TYPES:
        result = next((part[key] for key in ("response", "result", "content", "output") if key in part), "")
        yield "[result] " + "\n".join(_lines(result, depth + 1))
        return
    if isinstance(part.get("parts"), list):
        yield from _lines(part["parts"], depth + 1)
        return
    for key in _TEXT_KEYS:
        if part.get(key) is not None:
            yield from _lines(part[key], depth + 1)
            break
    else:
        if not part.get("tool_calls") and not part.get("function_call"):
            yield _compact(part)
    yield from _lines(part.get("tool_calls"), depth + 1)
    if isinstance(part.get("function_call"), dict):
        # How OpenAI's messages wrote a call before there could be several.
        yield from _part_lines({"type": "function_call", **part["function_call"]}, depth + 1)


def _compact(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
