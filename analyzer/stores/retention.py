"""Old trajectories out, and the texts that nothing refers to any more.

In steps, each of them a short transaction, so that neither readers nor the writer wait for long; stopped halfway, the
next pass finishes the work. First the floor is raised: from then on no writer, in whichever process, refers to a text
or a node from before. So what is referred to from below can only become less while it is counted, and what is found
to be dead stays dead.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from analyzer.stores import counting, verdicts
from analyzer.stores.base import Pruned
from analyzer.stores.blocks import SLOT_BITS, SLOTS_MAX, Codec, packed_block, sizes_of, slots_of
from analyzer.stores.database import Connection
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.state import StateDatabase
from analyzer.stores.summaries import nanoseconds
from analyzer.types.report import Incident, SpanEvidence

_SPANS_AT_ONCE = 10_000
_TRAJECTORIES_AT_ONCE = 1_000
_NODES_AT_ONCE = 20_000
_BLOCKS_AT_ONCE = 200
_PAGES_AT_ONCE = 2_000
"""Bounds of one transaction; each takes some tens of milliseconds."""


def prune(connection: Connection, codec: Codec, before: datetime, state: StateDatabase) -> Pruned:
    """Delete what ended before a moment; see `SqliteTrajectories.prune`. Raises StoreBusyError, StoreError."""
    before_ns = nanoseconds(before)
    kept = _named(SqliteIncidents(state).incidents(active_only=True))
    size_before = _file_bytes(connection.path)
    with connection.reading() as raw:
        old = raw.execute("SELECT COUNT(*) FROM trajectories WHERE end_ns < ?", (before_ns,)).fetchone()[0]
    floor_block, floor_node = _raise_floor(connection)
    trajectories, spans = _delete_trajectories(connection, before_ns, kept)
    live = _Live(floor_node)
    _mark_spans(connection, live)
    _sweep_nodes(connection, live, floor_node)
    freed = _sweep_blocks(connection, codec, live, floor_block)
    reusable = _shrink(connection)
    return Pruned(
        trajectories=trajectories,
        spans=spans,
        kept=old - trajectories,
        text_bytes=freed,
        file_bytes_before=size_before,
        file_bytes_after=_file_bytes(connection.path),
        reusable_bytes=reusable,
    )


class _Live:
    """What the remaining spans refer to: one bit a node, one bit a slot."""

    def __init__(self, nodes: int) -> None:
        self._nodes = bytearray(nodes // 8 + 1)
        self._count = nodes
        self.slots: dict[int, int] = {}

    def refer(self, reference: int | None) -> None:
        """Mark what a text column refers to."""
        if reference is None:
            return
        if reference < 0:
            self.payload(-reference >> 1)
        elif reference < self._count:
            self._nodes[reference >> 3] |= 1 << (reference & 7)

    def payload(self, payload: int) -> None:
        """Mark a payload."""
        block = payload >> SLOT_BITS
        self.slots[block] = self.slots.get(block, 0) | 1 << (payload & (SLOTS_MAX - 1))

    def has_node(self, node: int) -> bool:
        """Whether a node is marked."""
        return bool(self._nodes[node >> 3] >> (node & 7) & 1)


def _named(incidents: Iterable[Incident]) -> set[str]:
    """Return the ids of all trajectories that incidents name, as examples or as evidence."""
    named: set[str] = set()
    for incident in incidents:
        named.update(incident.trace_ids, incident.healthy_trace_ids)
        evidence = list(incident.evidence)
        for finding in incident.findings:
            named.update(finding.trace_ids)
            evidence += finding.evidence
        named.update(one.trace_id for one in evidence if isinstance(one, SpanEvidence))
        where = incident.diagnosis.responsible if incident.diagnosis else None
        if where is not None and where.trace_id:
            named.add(where.trace_id)
    return named


def _raise_floor(connection: Connection) -> tuple[int, int]:
    """Forbid references to what is there now; return the first block and node that may be referred to."""
    with connection.writing() as raw:
        raw.execute(
            "UPDATE counters SET floor_block = MAX(floor_block, 1 + COALESCE((SELECT MAX(id) FROM blocks), 0)),"
            " floor_thread = 1 + MAX(floor_thread, COALESCE((SELECT MAX(id) FROM threads), 0))"
        )
        raw.execute("UPDATE counters SET young_block = floor_block")
        raw.execute("DELETE FROM recent_0")
        raw.execute("DELETE FROM recent_1")
        block, node = raw.execute("SELECT floor_block, floor_thread FROM counters").fetchone()
    return int(block), int(node)


def _delete_trajectories(connection: Connection, before_ns: int, kept: set[str]) -> tuple[int, int]:
    """Delete trajectories, the oldest first; return how many, and how many spans they had."""
    trajectories = spans = 0
    after = (-(2**63), 0)
    while True:
        with connection.writing() as raw:
            found = raw.execute(
                "SELECT end_ns, id, trace_id, spans FROM trajectories WHERE end_ns < ? AND (end_ns, id) > (?, ?)"
                " ORDER BY end_ns, id LIMIT ?",
                (before_ns, *after, _TRAJECTORIES_AT_ONCE),
            ).fetchall()
            if not found:
                return trajectories, spans
            chosen: list[tuple[int]] = []
            gone: list[tuple[int, str]] = []
            size = 0
            for end_ns, owner, trace_id, count in found:
                if size > _SPANS_AT_ONCE:
                    break
                after = (end_ns, owner)
                if trace_id not in kept:
                    chosen.append((owner,))
                    gone.append((owner, trace_id))
                    size += count
            raw.executemany("DELETE FROM spans WHERE trajectory = ?", chosen)
            raw.executemany("DELETE FROM steered WHERE trajectory = ?", chosen)
            verdicts.forget(raw, (owner for (owner,) in chosen))
            raw.executemany("DELETE FROM trajectories WHERE id = ?", chosen)
            counting.leave(raw, gone)
        trajectories += len(chosen)
        spans += size


def _mark_spans(connection: Connection, live: _Live) -> None:
    """Mark what spans refer to, a range of trajectories at a time."""
    first = 0
    while True:
        with connection.reading() as raw:
            owners = raw.execute(
                "SELECT id FROM trajectories WHERE id > ? ORDER BY id LIMIT ?", (first, _TRAJECTORIES_AT_ONCE)
            ).fetchall()
            if not owners:
                return
            rows = raw.execute(
                "SELECT input, output, system, tool_definitions, resource, extra FROM spans"
                " WHERE trajectory > ? AND trajectory <= ? AND resource IS NOT NULL",
                (first, owners[-1][0]),
            )
            for *texts, resource, extra in rows:
                for text in texts:
                    live.refer(text)
                live.payload(resource)
                live.payload(extra)
        first = owners[-1][0]


def _sweep_nodes(connection: Connection, live: _Live, floor: int) -> None:
    """Delete nodes that no marked one leads back to. A node is younger than the one before it: one pass, downwards."""
    last = floor
    while last > 0:
        with connection.reading() as raw:
            rows = raw.execute(
                "SELECT id, prev, payload FROM threads WHERE id < ? ORDER BY id DESC LIMIT ?", (last, _NODES_AT_ONCE)
            ).fetchall()
        if not rows:
            return
        dead = []
        for node, prev, payload in rows:
            if live.has_node(node):
                live.refer(prev or None)
                live.payload(payload)
            else:
                dead.append((node,))
        if dead:
            with connection.writing() as raw:
                raw.executemany("DELETE FROM threads WHERE id = ?", dead)
        last = rows[-1][0]


def _sweep_blocks(connection: Connection, codec: Codec, live: _Live, floor: int) -> int:
    """Delete dead blocks, and empty dead slots where they are half of a block or more; return the bytes freed."""
    freed = 0
    for first in range(0, floor, _BLOCKS_AT_ONCE):
        bounds = (first, min(first + _BLOCKS_AT_ONCE, floor))
        with connection.writing() as raw:
            for number, size, stored in raw.execute(
                "SELECT id, size, sizes FROM blocks WHERE id >= ? AND id < ?", bounds
            ).fetchall():
                slots = live.slots.get(number, 0)
                alive = sum(length for slot, length in enumerate(sizes_of(stored)) if slots >> slot & 1)
                if slots == 0:
                    raw.execute("DELETE FROM blocks WHERE id = ?", (number,))
                    freed += size
                elif 2 * alive <= size:
                    _empty_slots(raw, codec, number, slots)
                    freed += size - alive
            raw.execute(
                "DELETE FROM uses WHERE block >= ? AND block < ? AND (block NOT IN (SELECT id FROM blocks)"
                " OR trajectory NOT IN (SELECT id FROM trajectories))",
                bounds,
            )
    return freed


def _empty_slots(raw: sqlite3.Connection, codec: Codec, number: int, slots: int) -> None:
    sizes, body = raw.execute("SELECT sizes, body FROM blocks WHERE id = ?", (number,)).fetchone()
    texts = [text if slots >> slot & 1 else b"" for slot, text in enumerate(slots_of(codec.unpack(body), sizes))]
    raw.execute("UPDATE blocks SET size = ?, sizes = ?, body = ? WHERE id = ?", (*packed_block(codec, texts), number))


def _shrink(connection: Connection) -> int:
    """Give free pages back to the file system as far as the file allows it; return the bytes that stay free in it."""
    free = None
    while True:
        with connection.lock:
            raw = connection.raw
            page = int(raw.execute("PRAGMA page_size").fetchone()[0])
            left = int(raw.execute("PRAGMA freelist_count").fetchone()[0])
            # A file made by release 0.1.0 keeps its size: its pages are used again, and only a VACUUM would move them.
            if left in (0, free):
                break
            raw.execute(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})").fetchall()
            free = left
    with connection.lock:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return left * page


def _file_bytes(path: Path) -> int:
    wal = path.with_name(path.name + "-wal")
    return sum(one.stat().st_size for one in (path, wal) if one.exists())
