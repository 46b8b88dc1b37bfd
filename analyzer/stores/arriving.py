"""Verdicts on trajectories that come without their texts staying: looked at while the texts are at hand.

A run looks at the `SUSPECTS_MAX` trajectories of a day that repeat a call most. Where the texts lie in another database
each of them would be fetched once more for that. So what is followed is judged on its way in, as far as a run would
look at it: whatever repeats no less than the last that a run looks at in the day before, or the day after, which is
there first where a history is read backwards. Too low a bar costs time, and too high a one a later fetch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from analyzer.stores import rows
from analyzer.stores.database import Connection
from analyzer.stores.summaries import OWN_AGENT
from analyzer.stores.texts import masked_last, masked_text
from analyzer.stores.verdicts import REPEATS_MIN, SUSPECTS_MAX, Verdicts
from analyzer.types.steps import Step
from analyzer.types.trace import Operation, Span
from analyzer.types.trajectory import steps_of

_CHUNK = 500
_HOUR_NS = 3_600 * 10**9
_DAY_NS = 24 * _HOUR_NS
_BARS_MAX = 10_000

Bar = tuple[int, str]
"""Less than any: more repeats come first, and of as many the smaller trace id, as in a list of what repeats most."""
_NO_BAR: Bar = (0, chr(0x10FFFF))


class FirstLook:
    """Judges what has just been added, from the spans as they came. Used by one thread at a time."""

    def __init__(self, connection: Connection, verdicts: Verdicts, mask: Callable[[str], str]) -> None:
        self._connection, self._verdicts, self._mask = connection, verdicts, mask
        self._bars: dict[int, Bar] = {}
        """By hour."""

    def look(self, batch: Sequence[Span]) -> None:
        """Note which trajectories of a batch show nothing, as far as it holds all their spans. Raises StoreError."""
        if not self._verdicts.is_noting:
            return
        came: dict[str, dict[str, Span]] = {}
        for span in batch:
            came.setdefault(span.trace_id, {})[span.span_id] = span
        wanted = self._wanted({trace_id: len(own) for trace_id, own in came.items()})
        if wanted:
            self._verdicts.judged(wanted, lambda trace_ids: self._steps(trace_ids, came))

    def _wanted(self, spans: Mapping[str, int]) -> list[str]:
        """Return which of some trajectories are whole, and repeat enough that a run would look at them."""
        ids, found = list(spans), []
        with self._connection.reading() as raw:
            for start in range(0, len(ids), _CHUNK):
                chunk = ids[start : start + _CHUNK]
                query = (
                    "SELECT trace_id, spans, repeats, end_ns FROM trajectories"  # noqa: S608 - question marks
                    f" WHERE trace_id IN ({','.join('?' * len(chunk))}) AND repeats >= ? AND agent <> ?"
                )
                found += raw.execute(query, (*chunk, REPEATS_MIN, OWN_AGENT)).fetchall()
            return [
                trace_id
                for trace_id, count, repeats, end_ns in found
                if count == spans[trace_id] and end_ns is not None and (-repeats, trace_id) <= self._bar(raw, end_ns)
            ]

    def _bar(self, raw: sqlite3.Connection, end_ns: int) -> Bar:
        """Return the last that a run looks at in the day before an hour, or in the day after it."""
        hour = end_ns // _HOUR_NS
        if hour not in self._bars:
            if len(self._bars) >= _BARS_MAX:
                self._bars.clear()
            at = hour * _HOUR_NS
            days = ((at - _DAY_NS, at), (at + _HOUR_NS, at + _HOUR_NS + _DAY_NS))
            self._bars[hour] = min(_last(raw, *day) for day in days)
        return self._bars[hour]

    def _steps(self, trace_ids: Sequence[str], came: Mapping[str, Mapping[str, Span]]) -> dict[str, tuple[Step, ...]]:
        """Return the steps of trajectories as they will be read; none of one that has not just these spans.

        Its texts may be kept here, or another form of a span was there, or came with this one and was kept.
        """
        query = (
            f"SELECT {_COLUMNS}, s.digest, s.resource, t.trace_id FROM trajectories t"  # noqa: S608 - own names and question marks
            f" JOIN spans s ON s.trajectory = t.id WHERE t.trace_id IN ({','.join('?' * len(trace_ids))})"
        )
        with self._connection.reading() as raw:
            found = raw.execute(query, list(trace_ids)).fetchall()
        spans: dict[str, list[Span | None]] = {}
        for *row, digest, resource, trace_id in found:
            span = came[trace_id][row[_SPAN_ID]]
            is_same = resource is None and rows.digest_of(tuple(row[: len(rows.PLAIN)]), span) == digest
            spans.setdefault(trace_id, []).append(self._brief(trace_id, row, span) if is_same else None)
        return {
            trace_id: steps_of(span for span in own if span is not None)
            for trace_id, own in spans.items()
            if None not in own
        }

    def _brief(self, trace_id: str, row: Sequence[Any], span: Span) -> Span:
        """Return a span as steps are made of it: its row as kept, its texts masked, of a conversation the last."""
        masked = masked_text if span.operation is Operation.TOOL else masked_last
        sent = masked(span.input, self._mask) if span.input else None
        got = masked_text(span.output, self._mask) if span.output else None
        return rows.light_span(trace_id, row, sent, got)


_COLUMNS = ", ".join(f"s.{name}" for name in (*rows.PLAIN, *rows.DERIVED))
_SPAN_ID = rows.PLAIN.index("span_id")


def _last(raw: sqlite3.Connection, start_ns: int, end_ns: int) -> Bar:
    """Return the last of those that a run would look at in a time."""
    query = (
        "SELECT -repeats, trace_id FROM trajectories WHERE end_ns >= ? AND end_ns < ? AND agent <> ? AND repeats >= ?"
        " ORDER BY repeats DESC, trace_id LIMIT 1 OFFSET ?"
    )
    row = raw.execute(query, (start_ns, end_ns, OWN_AGENT, REPEATS_MIN, SUSPECTS_MAX - 1)).fetchone()
    return _NO_BAR if row is None else (row[0], row[1])
