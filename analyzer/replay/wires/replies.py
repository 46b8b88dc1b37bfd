"""What a provider answered to a request that was sent on: read back from the bytes that the agent gets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from analyzer.ingest.importers.usage import tokens_of
from analyzer.replay.alike import Decision
from analyzer.replay.wires.wire import Wire
from analyzer.types.trace import Tokens

_TOLD_CHARS_MAX = 300
BROKE_OFF = "the provider's answer broke off"


@dataclass(frozen=True, slots=True)
class Heard:
    """A provider's answer."""

    decision: Decision | None = None
    """None where there was no whole reply."""
    tokens: Tokens | None = None
    """None where the answer does not count them: Chat Completions streams them only to who asks for it."""
    problem: str = ""
    """Why there is no whole reply, in words."""


def heard(wire: Wire, status: int, body: bytes, *, streamed: bool, cut: bool = False) -> Heard:
    """Read an answer. Never raises: what is no reply of this API is a problem."""
    try:
        if status != 200:  # noqa: PLR2004 - the number is its name
            return Heard(problem=f"the provider answered {status}: {_error_in(json.loads(body))}")
        if streamed:
            events = list(_events(body))
            failed = next((event for event in events if event.get("error") or event.get("type") == "error"), None)
            if failed is not None:
                return Heard(problem=f"the provider broke its answer off: {_error_in(failed)}")
            reply = wire.assembled(events)
        else:
            reply = None if cut else json.loads(body)
        if reply is None:
            return Heard(problem=BROKE_OFF)
        if reply.get("error"):
            return Heard(problem=f"the provider failed: {_error_in(reply)}")
        return Heard(wire.heard(reply), tokens_of(reply.get("usage")))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return Heard(problem=f"the provider answered {status} with what is no {wire.name}")


def _events(body: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield the JSON of server-sent events; the last one may be cut."""
    for block in body.decode("utf-8", "replace").replace("\r\n", "\n").split("\n\n"):
        lines = [line.removeprefix("data:").strip() for line in block.split("\n") if line.startswith("data:")]
        text = "".join(lines)
        if not text or text == "[DONE]":
            continue
        try:
            event = json.loads(text)
        except ValueError:
            return
        if isinstance(event, dict):
            yield event


def _error_in(document: Mapping[str, Any]) -> str:
    error = document.get("error")
    told = error.get("message") if isinstance(error, dict) else error or document.get("message")
    return " ".join(str(told or "no reason given").split())[:_TOLD_CHARS_MAX]
