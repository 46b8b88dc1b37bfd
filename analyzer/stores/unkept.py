"""Steps of trajectories of which only the rows are here, from their spans as they came: as if their texts were kept.

A store in memory gives the same (`stores.elsewhere`), and whole spans besides; to look at what a run looks at, it costs
twice as much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from analyzer.stores import rows
from analyzer.stores.database import Connection
from analyzer.stores.texts import masked_last, masked_text
from analyzer.types.steps import Step
from analyzer.types.trace import Operation, Span
from analyzer.types.trajectory import steps_of

Came = Mapping[str, Mapping[str, Span]]
"""Spans by trajectory and by their id, unmasked."""


def by_trajectory(spans: Iterable[Span]) -> dict[str, dict[str, Span]]:
    """Return spans by trajectory and by their id; of two forms of one span the last."""
    came: dict[str, dict[str, Span]] = {}
    for span in spans:
        came.setdefault(span.trace_id, {})[span.span_id] = span
    return came


def steps(
    connection: Connection, mask: Callable[[str], str], trace_ids: Sequence[str], came: Came
) -> dict[str, tuple[Step, ...]]:
    """Return the steps of some hundred trajectories; none of one that has not just these spans.

    Its texts may be kept here, or another form of a span was there, or came with this one and was kept; and spans of
    services that are not followed may lie there, which count as steps all the same.
    """
    query = (
        f"SELECT {_COLUMNS}, s.digest, s.resource, t.trace_id FROM trajectories t"  # noqa: S608 - own names and question marks
        f" JOIN spans s ON s.trajectory = t.id WHERE t.trace_id IN ({','.join('?' * len(trace_ids))})"
    )
    with connection.reading() as raw:
        found = raw.execute(query, list(trace_ids)).fetchall()
    spans: dict[str, list[Span | None]] = {}
    for *row, digest, resource, trace_id in found:
        span = came.get(trace_id, {}).get(row[_SPAN_ID])
        is_same = span is not None and resource is None and rows.digest_of(row[:_PLAIN], span) == digest
        spans.setdefault(trace_id, []).append(_brief(mask, trace_id, row, span) if span and is_same else None)
    return {
        trace_id: steps_of(span for span in own if span is not None)
        for trace_id, own in spans.items()
        if None not in own and len(own) == len(came[trace_id])
    }


def _brief(mask: Callable[[str], str], trace_id: str, row: Sequence[Any], span: Span) -> Span:
    """Return a span as steps are made of it: its row as kept, its texts masked, of a conversation the last."""
    masked = masked_text if span.operation is Operation.TOOL else masked_last
    sent = masked(span.input, mask) if span.input else None
    got = masked_text(span.output, mask) if span.output else None
    return rows.light_span(trace_id, row, sent, got)


_COLUMNS = ", ".join(f"s.{name}" for name in (*rows.PLAIN, *rows.DERIVED))
_PLAIN = len(rows.PLAIN)
_SPAN_ID = rows.PLAIN.index("span_id")
