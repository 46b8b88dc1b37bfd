"""OpenAI's Responses: the items of one response stand apart (its reasoning, words and calls) and are one reply.

A call that the provider makes itself (`mcp_call`, `web_search_call`, ...) carries its result in the same item.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analyzer.ingest.importers.values import object_of, objects_of, text_of, word_of

ASSISTANT, TOOL = "assistant", "tool"
_CALLS = frozenset({"function_call", "custom_tool_call", "mcp_call"})
"""Calls that name their tool; of all others the type is the name."""
_OWN = frozenset(
    {
        *("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "computer_call"),
        *("local_shell_call", "shell_call", "apply_patch_call", "tool_search_call"),
    }
)
_RESULTS = frozenset(
    {
        *("function_call_output", "custom_tool_call_output", "computer_call_output"),
        *("local_shell_call_output", "shell_call_output", "apply_patch_call_output", "tool_search_output"),
    }
)
_INLINE = frozenset({"mcp_call", "web_search_call", "file_search_call", "code_interpreter_call"})
"""Whose result stands in the item, or nowhere: the provider ran them."""
_ASKED = ("arguments", "input", "action", "queries", "code", "operation")
_RETURNED = ("error", "output", "outputs", "results")


def is_item(value: Mapping[str, Any]) -> bool:
    """Whether a value is an item of a response, or what was sent back to one, that is no message."""
    kind = word_of(value.get("type"))
    if kind in _CALLS | _OWN | _RESULTS:
        return "call_id" in value or ("id" in value and kind not in _RESULTS)
    return kind == "reasoning" and "summary" in value


def plain_item(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return one item as a message of its own."""
    kind = value["type"]
    if kind in _RESULTS:
        return {"role": TOOL, "tool_call_id": value.get("call_id"), "content": value.get("output")}
    if kind == "reasoning":
        return {**value, "role": ASSISTANT, "content": value.get("content") or value.get("summary")}
    return {**value, "role": ASSISTANT, "content": None, "tool_calls": [_call(value)]}


def joined(messages: Sequence[Any]) -> Iterator[Any]:
    """Yield messages with the items of one response put together, each followed by the results that they carry."""
    group: list[dict[str, Any]] = []
    for entry in messages:
        if isinstance(entry, dict) and _is_of_reply(entry):
            group.append(entry)
            continue
        yield from _reply(group)
        group = []
        yield entry
    yield from _reply(group)


def _is_of_reply(entry: Mapping[str, Any]) -> bool:
    kind = word_of(entry.get("type"))
    if kind == "message":
        return entry.get("role") == ASSISTANT
    return is_item(entry) and kind not in _RESULTS and "tool_calls" not in entry


def _reply(items: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield one message for the items of one response, and one for each result among them."""
    if not items:
        return
    content: list[Any] = []
    calls = []
    whole: dict[str, Any] = {}
    for item in items:
        kind = item.get("type")
        if kind == "message":
            inner = item.get("content")
            content += inner if isinstance(inner, list) else [{"type": "text", "text": text_of(inner)}]
            whole |= {key: value for key, value in item.items() if key not in ("content", "type", "status")}
        elif kind == "reasoning":
            thoughts = (text_of(part.get("text")) for part in objects_of(item.get("summary")))
            content += [{"type": "reasoning", "text": thought} for thought in thoughts]
        else:
            calls.append(_call(item))
    if len(items) == 1 and not calls:
        yield items[0]
    else:
        yield {**whole, "role": ASSISTANT, "content": content, **({"tool_calls": calls} if calls else {})}
    yield from (_result(item) for item in items if item.get("type") in _INLINE)


def _call(item: Mapping[str, Any]) -> dict[str, Any]:
    kind = word_of(item.get("type"))
    arguments = next((item[key] for key in _ASKED if item.get(key) is not None), None)
    name = item.get("name") if kind in _CALLS else kind.removesuffix("_call")
    return {"type": "tool_call", "id": item.get("call_id") or item.get("id"), "name": name, "arguments": arguments}


def _result(item: Mapping[str, Any]) -> dict[str, Any]:
    content = next((item[key] for key in _RETURNED if item.get(key)), item.get("status"))
    failed = bool(item.get("error")) or item.get("status") == "failed"
    return {"role": TOOL, "tool_call_id": item.get("call_id") or item.get("id"), "content": content, "is_error": failed}


def asked_of(request: Mapping[str, Any]) -> list[Any] | None:
    """Return the messages of a request to the Responses API, or None where it has none."""
    given = request.get("input")
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    return given if isinstance(given, list) and given and all(isinstance(entry, dict) for entry in given) else None


def replied(response: Mapping[str, Any]) -> list[Any]:
    """Return the messages of a response object: the reply with its usage and model, and the results in its items."""
    items = [item for item in objects_of(response.get("output")) if _is_of_reply(item)]
    if not items or not is_response(response):
        return []
    told = {key: response[key] for key in ("usage", "model", "id", "service_tier") if key in response}
    first, *rest = _reply(items)
    when = {"created_at": response["created_at"]} if "created_at" in response else {}
    cut = word_of(object_of(response.get("incomplete_details")).get("reason"))
    if is_item(first):
        first = plain_item(first)
    return [{**first, **told, **when, **({"finish_reason": cut} if cut else {}), "type": "message"}, *rest]


def is_response(value: Mapping[str, Any]) -> bool:
    """Whether an object is a response: a list of items, of which the first ones are of a reply."""
    items = objects_of(value.get("output"))
    return bool(items) and (value.get("object") == "response" or any(map(_is_of_reply, items)))
