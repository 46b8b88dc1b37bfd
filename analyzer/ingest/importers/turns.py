"""Chat messages as every provider and framework writes them, made one: who spoke, what was called, what came back.

OpenAI's messages (`tool_calls`, `role: tool`, the older `function_call`), its Responses items (`function_call`,
`function_call_output`), Anthropic's content blocks (`tool_use`, `tool_result`), LangChain's serialised messages and
ShareGPT's `from` and `value` differ in spelling only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from analyzer.ingest.folds import finish_reason
from analyzer.ingest.importers.entries import Call, Returned
from analyzer.ingest.importers.responses import is_item, plain_item
from analyzer.ingest.importers.usage import cost_of, tokens_of
from analyzer.ingest.importers.values import (
    decoded,
    first_name,
    list_of,
    name_of,
    object_of,
    objects_of,
    text_of,
    time_of,
    word_of,
)
from analyzer.types.messages import last_message
from analyzer.types.trace import FinishReason, Tokens

SYSTEM, USER, ASSISTANT, TOOL = "system", "user", "assistant", "tool"
_ROLES = {
    "system": SYSTEM,
    "developer": SYSTEM,
    "user": USER,
    "human": USER,
    "environment": USER,
    "assistant": ASSISTANT,
    "ai": ASSISTANT,
    "model": ASSISTANT,
    "gpt": ASSISTANT,
    "bot": ASSISTANT,
    "agent": ASSISTANT,
    "tool": TOOL,
    "function": TOOL,
    "observation": TOOL,
    "tool_response": TOOL,
}
_KEPT = (
    "role",
    "name",
    "content",
    "parts",
    "text",
    "refusal",
    "reasoning_content",
    "tool_calls",
    "tool_call_id",
    "function_call",
)
"""What of a message belongs to the conversation; usage, raw responses and labels beside it do not."""
_CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
_RESULTS = frozenset({"tool_result", "mcp_tool_result", "web_search_tool_result", "code_execution_tool_result"})
_TIMES = ("timestamp", "created_at", "createdAt", "created", "time", "ts", "date")
_QUALIFIED = re.compile(r"([^()]{1,200}?)\s*\(([^()]{1,200})\)")
"""A role with a remark: `Orchestrator (thought)`."""
_ROLE_CHARS_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message in plain terms."""

    role: str
    """SYSTEM, USER, ASSISTANT or TOOL."""
    speaker: str | None
    """The agent or participant it names."""
    remark: str | None
    """What stands in brackets behind the speaker: "thought", "-> WebSurfer"."""
    message: Mapping[str, Any]
    """What the history keeps of it."""
    calls: tuple[Call, ...]
    results: tuple[Returned, ...]
    tokens: Tokens | None
    cost_usd: float | None
    service_tier: str | None
    model: str | None
    provider: str | None
    id: str | None
    finish: FinishReason | None
    at_ns: int | None
    extra: Mapping[str, Any]
    """What the log keeps beside the message (mini-swe-agent's `extra`)."""

    @property
    def text(self) -> str:
        """The words of the message without its calls."""
        plain = {key: value for key, value in self.message.items() if key not in ("tool_calls", "function_call")}
        content = plain.get("content")
        if isinstance(content, list):
            parts = [part for part in content if not isinstance(part, dict) or word_of(part.get("type")) in _SAID]
            return "\n".join(filter(None, (text_of(object_of(part).get("text", part)) for part in parts)))
        return text_of(content if content is not None else plain.get("text"))


_SAID = frozenset({"", "text", "input_text", "output_text"})


def is_message(value: Any) -> bool:
    """Whether a value is one message of a conversation in any of the spellings."""
    if not isinstance(value, dict):
        return False
    if is_item(value):
        return True
    if isinstance(value.get("from"), str) and isinstance(value.get("value"), str):
        return True
    if "lc" in value and isinstance(value.get("kwargs"), dict):
        return True
    role = value.get("role")
    if not isinstance(role, str) or not 0 < len(role) <= _ROLE_CHARS_MAX:
        return False
    return any(key in value for key in ("content", "parts", "tool_calls", "function_call", "text"))


def turn_of(value: Any, position: str = "") -> Turn | None:
    """Return a message as a turn, or None where it is no message."""
    if not is_message(value):
        return None
    entry = _plain(value)
    role, speaker, remark = _who(entry)
    extra, meta = object_of(entry.get("extra")), object_of(entry.get("response_metadata"))
    response = object_of(extra.get("response")) or object_of(entry.get("response"))
    usages = (entry.get("usage"), entry.get("usage_metadata"), meta.get("token_usage"), meta.get("usage"))
    usage = next((one for one in (*usages, response.get("usage")) if tokens_of(one) is not None), None)
    details = object_of(usage)
    choice = objects_of(response.get("choices"))[:1]
    stopped = (entry.get("finish_reason"), entry.get("stop_reason"), meta.get("finish_reason"), meta.get("stop_reason"))
    times = (*(entry.get(key) for key in _TIMES), extra.get("timestamp"), response.get("created"))
    return Turn(
        role=role,
        speaker=speaker,
        remark=remark,
        message={key: entry[key] for key in _KEPT if entry.get(key) is not None},
        calls=_calls(entry) if role == ASSISTANT else (),
        results=_results(entry, role, position),
        tokens=tokens_of(usage),
        cost_usd=cost_of(entry.get("cost"), entry.get("cost_usd"), extra.get("cost"), details.get("cost")),
        service_tier=first_name(*(one.get("service_tier") for one in (details, response, entry))),
        model=first_name(response.get("model"), entry.get("model"), meta.get("model_name"), meta.get("model")),
        provider=first_name(entry.get("provider"), meta.get("model_provider")),
        id=first_name(response.get("id"), entry.get("id"), meta.get("id")),
        finish=finish_reason(next((one for one in (*stopped, *(c.get("finish_reason") for c in choice)) if one), None)),
        at_ns=next((time for value in times if (time := time_of(value)) is not None), None),
        extra=extra,
    )


def named(turns: Sequence[Turn]) -> list[Turn]:
    """Return turns where an agent that is called `Assistant` has its name: where other roles are names, so is this.

    No API writes its own role with a capital letter.
    """
    roles = [text_of(turn.message.get("role")).strip() for turn in turns]
    if all(role.lower() in _ROLES for role in roles):
        return list(turns)
    return [
        replace(turn, speaker=name_of(role)) if _is_name(turn, role) else turn
        for turn, role in zip(turns, roles, strict=True)
    ]


def _is_name(turn: Turn, role: str) -> bool:
    return turn.role == ASSISTANT and turn.speaker is None and role != role.lower()


def is_talk_of_agents(turns: Sequence[Turn]) -> bool:
    """Whether every message is an agent's own: all are signed, by two names at least, and nothing is called.

    Frameworks that let agents talk to each other log roles as the manager sees them: what another agent said stands
    under `user`, with the agent's name.
    """
    spoken = [turn for turn in turns if turn.role in (USER, ASSISTANT)]
    names = {turn.speaker for turn in spoken}
    return len(names) > 1 and None not in names and not any(turn.calls for turn in spoken)


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Return a message with `role` and `content`, whatever its spelling."""
    if isinstance(value.get("from"), str) and "role" not in value:
        return {**value, "role": value["from"], "content": value.get("value")}
    if "lc" in value and isinstance(value.get("kwargs"), dict):
        return _langchain(value)
    if is_item(value):
        return plain_item(value)
    if any("args" in call for call in objects_of(value.get("tool_calls"))):
        return {**value, "tool_calls": [_typed(call) for call in value["tool_calls"]]}
    return value


def _langchain(value: dict[str, Any]) -> dict[str, Any]:
    """Unwrap LangChain's serialised message: `{"lc": 1, "id": [..., "AIMessage"], "kwargs": {...}}`."""
    inner = object_of(value.get("kwargs"))
    path = list_of(value.get("id"))
    kind = text_of(inner.get("type") or (path[-1] if path else "")).lower()
    role = kind.removesuffix("chunk").removesuffix("message") or USER
    calls = [_typed(call) for call in list_of(inner.get("tool_calls"))]
    return {**inner, "role": role, **({"tool_calls": calls} if calls else {})}


def _typed(call: Any) -> Any:
    """Give a call without a type one, so that it is shown as a call."""
    return {"type": "tool_call", **call} if isinstance(call, dict) and "function" not in call else call


def _who(entry: Mapping[str, Any]) -> tuple[str, str | None, str | None]:
    """Return the role, the speaker and the remark. A role that is none of the known ones is an agent's name."""
    written = text_of(entry.get("role")).strip()
    known = _ROLES.get(written.lower())
    if known is not None:
        return known, name_of(entry.get("name")), None
    qualified = _QUALIFIED.fullmatch(written)
    if qualified:
        return ASSISTANT, name_of(qualified.group(1)), name_of(qualified.group(2))
    return ASSISTANT, name_of(entry.get("name")) or name_of(written), None


def _calls(entry: Mapping[str, Any]) -> tuple[Call, ...]:
    found = [_call(call) for call in objects_of(entry.get("tool_calls"))]
    if not found and isinstance(entry.get("function_call"), dict):
        found.append(_call(entry["function_call"]))
    if not found:
        found = [_call(block) for block in objects_of(entry.get("content")) if word_of(block.get("type")) in _CALLS]
    return tuple(found)


def _call(call: Mapping[str, Any]) -> Call:
    inner = object_of(call.get("function")) or call
    arguments = next((inner[key] for key in ("arguments", "input", "args") if inner.get(key) is not None), None)
    name = first_name(inner.get("name"), call.get("function"), call.get("name"))
    return Call(tool=name, arguments=text_of(arguments), id=first_name(call.get("id"), call.get("call_id")))


def _results(entry: Mapping[str, Any], role: str, position: str) -> tuple[Returned, ...]:
    if role == TOOL:
        content = entry.get("content")
        failed = entry.get("status") == "error" or entry.get("is_error") is True
        return (_result(content, entry.get("tool_call_id"), entry.get("name"), failed, position),)
    return tuple(
        _result(
            block.get("content"),
            block.get("tool_use_id"),
            None,
            block.get("is_error") is True or "error" in text_of(object_of(block.get("content")).get("type")),
            position,
        )
        for block in objects_of(entry.get("content"))
        if word_of(block.get("type")) in _RESULTS
    )


def _result(content: Any, call_id: Any, tool: Any, failed: bool, position: str) -> Returned:
    output = plain_content(content)
    return Returned(
        output=output,
        id=name_of(call_id),
        tool=name_of(tool),
        position=position,
        failed=failed,
        error_message=output[:_MESSAGE_CHARS_MAX] if failed else "",
    )


_MESSAGE_CHARS_MAX = 2000
"""The reason stands at the beginning of a failed result; the whole is in the span's output."""


def plain_content(content: Any) -> str:
    """Return content as text: blocks of text joined, everything else as JSON."""
    content = decoded(content) if isinstance(content, str) and content.startswith('[{"type":') else content
    if isinstance(content, list) and content and all(isinstance(block, dict) for block in content):
        if all(isinstance(block.get("text"), str) for block in content):
            return "\n".join(text_of(block["text"]) for block in content)
        return last_message(text_of([{"role": TOOL, "content": content}]))
    return text_of(content)
