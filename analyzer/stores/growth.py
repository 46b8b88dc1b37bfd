"""Trajectories that grow: spans added to those that are there, and the summary made anew.

A summary is of all spans, so each batch of a run of 20,000 steps would read back all that came before. The spans of
the runs that grew last are remembered instead, without their texts, for as long as nobody else wrote.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from analyzer.stores import rollups, rows, summaries
from analyzer.types.repeats import repeats_of
from analyzer.types.trace import Operation, Span
from analyzer.types.trajectory import ordered, summarise

_SPANS_MAX = 25_000
"""Spans remembered over all trajectories: about 25 MB."""
_ONE_MAX = 75_000
"""Spans remembered of the one that grew last, alone: read back at every batch it would cost three times as much."""
_LIGHT = slice(1, 1 + len(rows.PLAIN) + len(rows.DERIVED))
"""Where a whole row holds what SELECT_LIGHT gives."""


class Grown:
    """Adds spans to trajectories. A failed transaction, and a pass of retention, must be followed by `forget`."""

    def __init__(self) -> None:
        self._spans: dict[int, dict[str, Span]] = {}
        """Row id of a trajectory -> its spans by id; the one that grew last stands last."""
        self._version: int | None = None

    def forget(self) -> None:
        """Remember nothing."""
        self._spans.clear()

    def merge(self, raw: sqlite3.Connection, trace_id: str, owner: int, own: Sequence[Sequence[Any]]) -> int:
        """Write rows that are new or better than those that are there; return how many spans are new."""
        spans = self._known(raw, trace_id, owner)
        before, counted = len(spans), _moments(spans.values())
        raw.executemany(rows.UPSERT, own)
        # One span may stand twice in a batch: the form that the statement kept comes last.
        for row in sorted(own, key=rows.rank):
            spans[row[rows.SPAN_ID]] = rows.light_span(trace_id, row[_LIGHT])
        in_order = ordered(spans.values())
        repeats = repeats_of(in_order)
        raw.execute("UPDATE spans SET repeated = 0 WHERE trajectory = ? AND repeated", (owner,))
        raw.executemany(
            "UPDATE spans SET repeated = 1 WHERE trajectory = ? AND span_id = ?",
            [(owner, span_id) for span_id in repeats],
        )
        summaries.write(raw, owner, summarise(trace_id, in_order, repeats))
        rollups.mark(raw, counted | _moments(in_order))
        self._remember(owner, spans)
        return len(spans) - before

    def _known(self, raw: sqlite3.Connection, trace_id: str, owner: int) -> dict[str, Span]:
        """Return the spans that are there, from memory where no other connection has written since."""
        version = raw.execute("PRAGMA data_version").fetchone()[0]
        if version != self._version:
            self._spans.clear()
            self._version = version
        spans = self._spans.pop(owner, None)
        if spans is None:
            found = raw.execute(f"{rows.SELECT_LIGHT} WHERE trajectory = ?", (owner,))
            spans = {row[0]: rows.light_span(trace_id, row) for row in found}
        return spans

    def _remember(self, owner: int, spans: dict[str, Span]) -> None:
        self._spans[owner] = spans
        held = sum(map(len, self._spans.values()))
        while held > _SPANS_MAX and (len(self._spans) > 1 or held > _ONE_MAX):
            held -= len(self._spans.pop(next(iter(self._spans))))


def _moments(spans: Iterable[Span]) -> set[int]:
    """Return when a trajectory is counted: by its first start, its last end, and the end of each tool call."""
    starts: set[int] = set()
    ends: set[int] = set()
    tools: set[int] = set()
    for span in spans:
        if span.start_ns is not None:
            starts.add(span.start_ns)
        if span.end_ns is not None:
            (tools if span.operation is Operation.TOOL else ends).add(span.end_ns)
    first, last = min(starts, default=None), max(ends | tools, default=None)
    return tools | {moment for moment in (first, last) if moment is not None}
