"""One span, in full: what a quote in a report stands in."""

from __future__ import annotations

from datetime import UTC, datetime

from analyzer.render.numbers import duration, money, tokens
from analyzer.render.text import one_line, visible, wrapped
from analyzer.types.messages import readable
from analyzer.types.trace import TEXT_FIELDS, Span


def span_view(span: Span, step: int | None, columns: int) -> str:
    """Return a span's numbers on a line and each of its texts under its field's name, nothing left out.

    Texts are in their readable form, which is the form that evidence quotes.
    """
    name = one_line(span.name, 80)
    head = f"Span {span.span_id}: {name}" if step is None else f"Step {step}, span {span.span_id}: {name}"
    lines = [*wrapped(head, columns), *wrapped("  ".join(_figures(span)), columns), f"Trajectory {span.trace_id}"]
    for field in TEXT_FIELDS:
        text = visible(readable(getattr(span, field) or ""))
        if text.strip():
            lines += ["", field, "-" * len(field), *text.split("\n")]
    return "\n".join(lines) + "\n"


def _figures(span: Span) -> list[str]:
    used = span.tokens
    began = "" if span.start_ns is None else f"{_moment(span.start_ns)}"
    named = [("agent", span.agent), ("version", span.agent_version), ("model", span.model), ("tool", span.tool)]
    parts = [span.status.value, began, *(f"{what} {one_line(value, 60)}" for what, value in named if value)]
    if span.duration_ms is not None:
        parts.append(duration(span.duration_ms / 1000))
    if used is not None:
        parts.append(f"{tokens(used.input)} in, {tokens(used.output)} out")
    if span.cost_usd is not None:
        parts.append(money(span.cost_usd))
    return [part for part in parts if part]


def _moment(at_ns: int) -> str:
    try:
        return f"{datetime.fromtimestamp(at_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, OSError, ValueError):
        return "at an unknown time"
