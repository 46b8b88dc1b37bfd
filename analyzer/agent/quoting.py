"""Which line of a span is quoted where nobody has said what to quote."""

from __future__ import annotations

import re
from collections.abc import Sequence

from analyzer.agent.text import Mask, has_hidden, text_of
from analyzer.types.report import SpanEvidence
from analyzer.types.trace import Span

QUOTE_CHARS_MAX = 240
QUOTE_CHARS_MIN = 8


def quotable(text: str, wanted: str = r"error|exception|fail|denied|timeout|refused|invalid|not found") -> str | None:
    """Return one line of a text worth quoting, verbatim, or None where there is none of enough characters.

    The first line that matches `wanted`, else the first line; never one with hidden characters.
    """
    lines = [line.strip()[:QUOTE_CHARS_MAX].strip() for line in text.splitlines()]
    lines = [line for line in lines if not has_hidden(line) and len("".join(line.split())) >= QUOTE_CHARS_MIN]
    matching = [line for line in lines if re.search(wanted, line, re.IGNORECASE)]
    if matching or lines:
        return (matching or lines)[0]
    whole = text.strip()
    return whole if whole and len(whole) < QUOTE_CHARS_MAX and not has_hidden(whole) else None


def quote_of(span: Span | None, fields: Sequence[str], mask: Mask) -> SpanEvidence | None:
    """Return a quote from the first of the fields that has one, still without an id."""
    if span is None:
        return None
    for field in fields:
        words = quotable(text_of(span, field, mask))
        if words is not None:
            return SpanEvidence("", span.trace_id, span.span_id, field, words)
    return None


def prefix(trace_id: str) -> str:
    """Return the beginning of a trace id: enough for every command, and short enough for a sentence."""
    return trace_id[:12]
