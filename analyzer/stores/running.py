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

SILENT_NS = 86_400 * 1_000_000_000
REACH_NS = 7 * SILENT_NS
"""A trajectory that began longer ago and never ended was lost, not slow; so was one that is silent for a day."""
RUNNING_MAX = 2_000
"""The longest running of more are loaded."""

_RUNNING = (
    # By their ends, of which few are late enough; SQLite would go through all that began in a week.
    "SELECT id, trace_id FROM trajectories WHERE agent <> ? AND +start_ns >= ? AND +start_ns < ?"
    " AND end_ns >= ? AND (NOT complete OR end_ns >= ?) ORDER BY +start_ns, id LIMIT ?"
)
_SEEN = (
    # Each agent's are counted by an index; a group would put all of them in order first.
    "WITH RECURSIVE named(agent) AS (SELECT MIN(agent) FROM trajectories UNION ALL"
    " SELECT (SELECT MIN(agent) FROM trajectories WHERE agent > named.agent) FROM named WHERE named.agent IS NOT NULL)"
    " SELECT agent, (SELECT COUNT(*) FROM trajectories t WHERE t.agent = named.agent AND end_ns >= ? AND end_ns < ?)"
    " FROM named WHERE agent <> ?"
)
_UNENDED = (
    "SELECT agent, COUNT(*) FROM trajectories WHERE agent <> ? AND end_ns >= ? AND end_ns < ? AND NOT complete"
    " GROUP BY 1"
)

Candidates = Sequence[tuple[int, str]]
"""Row ids and trace ids of what began and did not end by a moment, nor fell silent, as far as its latest spans tell."""


def running(raw: sqlite3.Connection, at: datetime) -> list[OpenTrajectory]:
    """Return what runs at a moment, as its spans told by then, longest running first.

    Some of it was lost: its process died, or its root is exported elsewhere. How many always are, `lost` says.
    """
    at_ns = nanoseconds(at)
    bounds = (at_ns - REACH_NS, at_ns, at_ns - SILENT_NS, at_ns)
    return opened(raw, raw.execute(_RUNNING, (OWN_AGENT, *bounds, RUNNING_MAX)).fetchall(), at)


def opened(raw: sqlite3.Connection, candidates: Candidates, at: datetime) -> list[OpenTrajectory]:
    """Return those of the candidates that run at a moment."""
    at_ns = nanoseconds(at)
    found = []
    for owner, trace_id in candidates:
        query = f"{rows.SELECT_LIGHT} WHERE trajectory = ? AND end_ns < ?"
        spans = ordered(rows.light_span(trace_id, row) for row in raw.execute(query, (owner, at_ns)))
        ends = [span.end_ns for span in spans if span.end_ns is not None]
        if not ends or max(ends) < at_ns - SILENT_NS:
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
    bounds = nanoseconds(start), lost_before_ns(end)
    unended: dict[str, int] = dict(raw.execute(_UNENDED, (OWN_AGENT, *bounds)).fetchall())
    return {agent: unended.get(agent, 0) / of for agent, of in raw.execute(_SEEN, (*bounds, OWN_AGENT)) if of}
