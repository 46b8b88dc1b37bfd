"""What a store holds, and what keeping each text once and packing it saved."""

from __future__ import annotations

import sqlite3
from array import array
from datetime import UTC, datetime
from pathlib import Path

from analyzer.stores.base import StoreStats
from analyzer.stores.blocks import SLOT_BITS, SLOTS_MAX, sizes_of
from analyzer.stores.summaries import OWN_AGENT

_NS = 1_000_000_000
_COUNTED = ("trajectories", "spans", "threads", "blocks", "uses", "incidents", "deliveries", "reports")


def stats(raw: sqlite3.Connection, path: Path) -> StoreStats:
    """Return the figures of a store. Reads all spans, nodes and sizes: some seconds for a million spans."""
    rows = {table: int(raw.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]) for table in _COUNTED}  # noqa: S608 - own names
    page = int(raw.execute("PRAGMA page_size").fetchone()[0])
    free = page * int(raw.execute("PRAGMA freelist_count").fetchone()[0])
    wal = path.with_name(path.name + "-wal")
    size = path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)
    distinct, packed = raw.execute(
        "SELECT COALESCE(SUM(size), 0), COALESCE(SUM(length(body)), 0) FROM blocks"
    ).fetchone()
    # The fleet's: the analyst's own last run would always be the newest.
    dated = "SELECT MIN(end_ns), MAX(end_ns) FROM trajectories WHERE agent IS NOT ?"
    oldest, newest = raw.execute(dated, (OWN_AGENT,)).fetchone()
    return StoreStats(
        schema=str(raw.execute("SELECT name FROM _sqlite_migrations ORDER BY id DESC LIMIT 1").fetchone()[0]),
        rows=rows,
        file_bytes=size,
        free_bytes=free,
        spans=rows["spans"],
        trajectories=rows["trajectories"],
        bytes_per_span=(size - free) / rows["spans"] if rows["spans"] else None,
        sent_bytes=_sent(raw),
        distinct_bytes=int(distinct),
        packed_bytes=int(packed),
        oldest=_moment(oldest),
        newest=_moment(newest),
        spans_elsewhere=int(raw.execute("SELECT COUNT(*) FROM spans WHERE resource IS NULL").fetchone()[0]),
    )


def _sent(raw: sqlite3.Connection) -> int:
    """Return the bytes of all texts as often as spans have them: a conversation of n steps counts n prompts."""
    sizes = {number: sizes_of(stored) for number, stored in raw.execute("SELECT id, sizes FROM blocks")}

    def size(payload: int) -> int:
        return sizes[payload >> SLOT_BITS][payload & (SLOTS_MAX - 1)]

    nodes = int(raw.execute("SELECT COALESCE(MAX(id), 0) FROM threads").fetchone()[0])
    # Bytes up to each node: one before it and a comma, or the opening bracket.
    until = array("q", bytes(8 * (nodes + 1)))
    for node, prev, payload in raw.execute("SELECT id, prev, payload FROM threads ORDER BY id"):
        until[node] = until[prev] + size(payload) + 1
    total = 0
    for *texts, resource, extra in raw.execute(
        "SELECT input, output, system, tool_definitions, resource, extra FROM spans WHERE resource IS NOT NULL"
    ):
        total += size(resource) + size(extra)
        for text in texts:
            if text is None:
                continue
            if text > 0:
                total += until[text] + 1
            else:
                total += size(-text >> 1) + 2 * (text & 1)
    return total


def _moment(end_ns: int | None) -> datetime | None:
    return None if end_ns is None else datetime.fromtimestamp(end_ns / _NS, UTC)
