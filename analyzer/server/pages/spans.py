"""One span in full: its numbers, its messages as a chat, and the quote of an incident where it stands."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass

from analyzer.errors import NotFoundError
from analyzer.render.links import link
from analyzer.server.pages.page import Asked, Page
from analyzer.server.pages.reading import Reader
from analyzer.types.messages import parse_messages, readable
from analyzer.types.report import Incident, SpanEvidence
from analyzer.types.trace import TEXT_FIELDS, Span

MESSAGES_MAX = 40
"""Messages of one field that are shown at once; a long run's prompt has thousands."""
CHARACTERS_MAX = 20_000
"""Of one message, or of a field without messages."""
_BEFORE = 2_000
"""Characters before a quote that are shown of a long text."""
_LABELS = {
    "input": "What went in",
    "output": "What came out",
    "system": "System prompt",
    "tool_definitions": "Tools offered",
    "status_message": "Status message",
}


@dataclass(frozen=True, slots=True)
class Said:
    """One message, or a whole text without a role."""

    role: str
    pieces: tuple[tuple[str, bool], ...]
    """The text in pieces; True for those that are looked for."""
    hidden: int = 0
    """Characters that are not shown."""

    @property
    def is_marked(self) -> bool:
        """Whether it holds what is looked for."""
        return any(mark for _, mark in self.pieces)


@dataclass(frozen=True, slots=True)
class Field:
    """One of a span's texts."""

    name: str
    label: str
    said: tuple[Said, ...]
    before: int
    """Messages before the first one that is shown."""
    after: int
    is_chat: bool

    @property
    def is_cut(self) -> bool:
        """Whether something is not shown."""
        return bool(self.before or self.after or any(one.hidden for one in self.said))


def one(reader: Reader, asked: Asked) -> Page:
    """Return a span, whole with `whole=1`. Raises NotFoundError.

    `incident` and `evidence` name a quote that is marked; `mark` is a text that was searched for.
    """
    trace_id = reader.trajectories.resolve(asked.path["trace"])
    span = reader.trajectories.span(trace_id, asked.path["span"].lower())
    incident, cited = _cited(reader, asked)
    wanted = cited.quote if cited is not None else asked.text("mark", 2_000)
    named = cited.field if cited is not None else ""
    is_whole = asked.text("whole") == "1"
    fields = [
        shown
        for name in TEXT_FIELDS
        if (shown := field_of(name, span, wanted if named in {"", name} else "", is_whole=is_whole)) is not None
    ]
    found = any(said.is_marked for shown in fields for said in shown.said)
    steps = reader.trajectories.outline(trace_id).step_numbers
    in_order = list(steps)
    index = in_order.index(span.span_id) if span.span_id in steps else None
    values = {
        "span": span,
        "step": steps.get(span.span_id),
        "steps": len(steps),
        "fields": fields,
        "incident": incident,
        "cited": cited,
        "wanted": wanted,
        "found": found,
        "whole": link("trajectories", trace_id, "spans", span.span_id, whole=1, **_again(asked)),
        "before": _beside(trace_id, in_order, index, -1),
        "after": _beside(trace_id, in_order, index, 1),
        "attributes": sorted((str(key), str(value)) for key, value in {**span.resource, **span.attributes}.items()),
    }
    return Page("span.html", values)


def field_of(name: str, span: Span, wanted: str, *, is_whole: bool) -> Field | None:
    """Return one of a span's texts, with what is looked for marked; None where it is empty.

    A quote that stands in one message is marked there. One that goes over several, which is quoted with their roles,
    is marked in the text as a whole.
    """
    payload = getattr(span, name) or ""
    plain = readable(payload)
    if name == "tool_definitions" and (not wanted or find(plain, wanted) < 0):
        # The form that is quoted leaves the parameters out.
        return _definitions(payload, is_whole=is_whole)
    if not plain.strip():
        return None
    messages = parse_messages(payload)
    label = _LABELS[name]
    is_across = bool(wanted and messages and find(plain, wanted) >= 0) and not any(
        find(message.text, wanted) >= 0 for message in messages or ()
    )
    if not messages or is_across:
        return Field(name, label, (_said("", plain, wanted, is_whole=is_whole),), 0, 0, is_chat=False)
    first, last = (0, len(messages)) if is_whole else _window([message.text for message in messages], wanted)
    said = tuple(_said(one.role, one.text, wanted, is_whole=is_whole) for one in messages[first:last])
    return Field(name, label, said, first, len(messages) - last, is_chat=True)


def _definitions(payload: str, *, is_whole: bool) -> Field | None:
    """Return the tools that were offered as JSON that can be read; as it was sent where it is none."""
    with suppress(ValueError, RecursionError):
        payload = json.dumps(json.loads(payload), indent=2, ensure_ascii=False)
    name = "tool_definitions"
    said = (_said("", payload, "", is_whole=is_whole),)
    return Field(name, _LABELS[name], said, 0, 0, is_chat=False) if payload.strip() else None


def find(text: str, wanted: str) -> int:
    """Return where a text stands, as it is written or else in other cases; -1 for nowhere."""
    at = text.find(wanted)
    if at >= 0:
        return at
    lowered, small = text.lower(), wanted.lower()
    # A letter that changes its length with its case would move every place after it.
    return lowered.find(small) if len(lowered) == len(text) and len(small) == len(wanted) else -1


def _window(texts: list[str], wanted: str) -> tuple[int, int]:
    """Return which messages are shown: those around what is looked for, else the last."""
    total = len(texts)
    if total <= MESSAGES_MAX:
        return 0, total
    at = next((index for index, text in enumerate(texts) if wanted and find(text, wanted) >= 0), None)
    first = total - MESSAGES_MAX if at is None else min(max(at - MESSAGES_MAX // 2, 0), total - MESSAGES_MAX)
    return first, first + MESSAGES_MAX


def _said(role: str, text: str, wanted: str, *, is_whole: bool) -> Said:
    at = find(text, wanted) if wanted else -1
    first, last = 0, len(text)
    if not is_whole and len(text) > CHARACTERS_MAX:
        first = max(at - _BEFORE, 0)
        last = max(first + CHARACTERS_MAX, at + len(wanted) if at >= 0 else 0)
    hidden = len(text) - (min(last, len(text)) - first)
    if at < 0:
        return Said(role, ((text[first:last], False),), hidden)
    end = at + len(wanted)
    pieces = ((text[first:at], False), (text[at:end], True), (text[end:last], False))
    return Said(role, tuple(piece for piece in pieces if piece[0]), hidden)


def _cited(reader: Reader, asked: Asked) -> tuple[Incident | None, SpanEvidence | None]:
    """Return the incident and the quote that are asked for, or None for what is not there any more."""
    if not asked.text("incident"):
        return None, None
    try:
        incident = reader.memory.incident(asked.text("incident"))
    except NotFoundError:
        return None, None
    entry = next((one for one in incident.evidence if one.id == asked.text("evidence")), None)
    return incident, entry if isinstance(entry, SpanEvidence) else None


def _again(asked: Asked) -> dict[str, str]:
    return {name: asked.text(name, 2_000) for name in ("incident", "evidence", "mark")}


def _beside(trace_id: str, in_order: list[str], index: int | None, way: int) -> str:
    if index is None or not 0 <= index + way < len(in_order):
        return ""
    return link("trajectories", trace_id, "spans", in_order[index + way])
