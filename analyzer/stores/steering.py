"""Which tool results hold an order to the model that reads them: noted when a span arrives, asked for by a run.

Looking through every text of a window in every run would cost as much as the window; looked at on arrival, each text
costs once, some nanoseconds a byte, and a run reads the few trajectories in which something was noted. The note says
no more than where to look: what stands there is judged by the detector, on the masked text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime

from analyzer.masking.sieve import looking_for
from analyzer.stores.summaries import OWN_AGENT, nanoseconds
from analyzer.types.orders import LOOKED_AT, order_in
from analyzer.types.signs import SIGNS
from analyzer.types.trace import Operation, Span

_has_sign = looking_for(SIGNS)


def is_steered(span: Span) -> bool:
    """Tell whether the output of a span, of a tool, holds an order."""
    if span.operation is not Operation.TOOL or not span.output or span.agent == OWN_AGENT:
        return False
    text = span.output[:LOOKED_AT]
    return _has_sign(text) and order_in(text) is not None


def note(raw: sqlite3.Connection, owners: Iterable[int]) -> None:
    """Note trajectories in which a span is steered. Called by the write that adds the span."""
    raw.executemany("INSERT OR IGNORE INTO steered VALUES (?)", [(owner,) for owner in sorted(set(owners))])


def steered(raw: sqlite3.Connection, start: datetime, end: datetime, limit: int) -> list[str]:
    """Return the trace ids of noted trajectories that ended in the range, the latest first."""
    query = (
        "SELECT t.trace_id FROM steered s JOIN trajectories t ON t.id = s.trajectory"
        " WHERE t.end_ns >= ? AND t.end_ns < ? AND t.agent <> ? ORDER BY t.end_ns DESC LIMIT ?"
    )
    bounds = (nanoseconds(start), nanoseconds(end), OWN_AGENT, limit)
    return [str(row[0]) for row in raw.execute(query, bounds)]
