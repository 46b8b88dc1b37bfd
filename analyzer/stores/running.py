"""Trajectories that run at a moment: begun, and no top span yet. Also of a moment in the past."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from analyzer.stores import rows
from analyzer.stores.summaries import OWN_AGENT, nanoseconds
from analyzer.types.metric import OpenTrajectory
from analyzer.types.trajectory import ordered, summarise

REACH_NS = 7 * 86_400 * 1_000_000_000
"""A trajectory that began longer ago and never ended was lost, not slow."""
RUNNING_MAX = 2_000
"""The longest running of more are loaded."""

_RUNNING = (
    "SELECT id, trace_id FROM trajectories WHERE agent <> ? AND start_ns >= ? AND start_ns < ?"
    " AND (NOT complete OR end_ns >= ?) ORDER BY start_ns LIMIT ?"
)


def running(raw: sqlite3.Connection, at: datetime) -> list[OpenTrajectory]:
    """Return what runs at a moment, as its spans told by then, longest running first.

    A root whose parent was sampled away never comes: such a trajectory seems to run for ever. What to make of one
    without a sign of life is the detector's business.
    """
    at_ns = nanoseconds(at)
    found = raw.execute(_RUNNING, (OWN_AGENT, at_ns - REACH_NS, at_ns, at_ns, RUNNING_MAX)).fetchall()
    opened = []
    for owner, trace_id in found:
        query = f"{rows.SELECT_LIGHT} WHERE trajectory = ? AND end_ns < ?"
        spans = ordered(rows.light_span(trace_id, row) for row in raw.execute(query, (owner, at_ns)))
        ends = [span.end_ns for span in spans if span.end_ns is not None]
        if not ends:
            continue
        summary = summarise(trace_id, spans)
        if not summary.complete:
            opened.append(OpenTrajectory(summary, max(ends)))
    return opened
