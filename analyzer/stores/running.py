"""Trajectories that run at a moment: begun, and no top span yet. Also of a moment in the past."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from analyzer.stores import rows
from analyzer.stores.rollups import NS, SETTLED_S
from analyzer.stores.summaries import OWN_AGENT, nanoseconds
from analyzer.types.metric import OpenTrajectory
from analyzer.types.trajectory import ordered, summarise

_DAY_NS = 86_400 * 1_000_000_000
REACH_NS = 7 * _DAY_NS
"""A trajectory that began longer ago and never ended was lost, not slow; so was one that is silent for a day."""
RUNNING_MAX = 2_000
"""The longest running of more are loaded."""

_RUNNING = (
    "SELECT id, trace_id FROM trajectories WHERE agent <> ? AND start_ns >= ? AND start_ns < ?"
    " AND (NOT complete OR end_ns >= ?) ORDER BY start_ns, id LIMIT ?"
)

Candidates = Sequence[tuple[int, str]]
"""Row ids and trace ids of what began and did not end by a moment, as far as its latest spans tell."""


def running(raw: sqlite3.Connection, at: datetime) -> list[OpenTrajectory]:
    """Return what runs at a moment, as its spans told by then, longest running first.

    Some of it was lost: its process died, or its root is exported elsewhere. How many always are, `lost` says.
    """
    at_ns = nanoseconds(at)
    found = raw.execute(_RUNNING, (OWN_AGENT, at_ns - REACH_NS, at_ns, at_ns, RUNNING_MAX)).fetchall()
    return opened(raw, found, at)


def opened(raw: sqlite3.Connection, candidates: Candidates, at: datetime) -> list[OpenTrajectory]:
    """Return those of the candidates that run at a moment."""
    at_ns = nanoseconds(at)
    found = []
    for owner, trace_id in candidates:
        query = f"{rows.SELECT_LIGHT} WHERE trajectory = ? AND end_ns < ?"
        spans = ordered(rows.light_span(trace_id, row) for row in raw.execute(query, (owner, at_ns)))
        ends = [span.end_ns for span in spans if span.end_ns is not None]
        if not ends or max(ends) < at_ns - _DAY_NS:
            continue
        summary = summarise(trace_id, spans)
        if not summary.complete:
            found.append(OpenTrajectory(summary, max(ends)))
    return found


def lost_before_ns(end: datetime) -> int:
    """Return the Unix nanosecond from which on a sign of life is too young for its trajectory to count as lost."""
    return nanoseconds(end) - SETTLED_S * NS


def lost(raw: sqlite3.Connection, start: datetime, end: datetime) -> dict[str, float]:
    """Return by agent which share of its trajectories never ended, of those without a sign of life for an hour."""
    query = (
        "SELECT agent, AVG(NOT complete) FROM trajectories WHERE agent <> ? AND end_ns >= ? AND end_ns < ? GROUP BY 1"
    )
    return dict(raw.execute(query, (OWN_AGENT, nanoseconds(start), lost_before_ns(end))).fetchall())
