"""The texts of a store of release 0.1.0 (one row each) into blocks. Frozen, like every migration."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from analyzer.stores.blocks import BlockWriter, Codec

_FETCHED = 500
_REFERENCES = ("input", "output", "system", "tool_definitions")


def convert_payloads(raw: sqlite3.Connection) -> None:
    """Move every payload and every `extra` into blocks and put the references right, in the caller's transaction.

    A node with `prev` -1 (a text that is no array) becomes a direct reference, `-2 * payload`.
    """
    codec = Codec()
    raw.execute("CREATE TEMP TABLE moved (old INTEGER PRIMARY KEY, new INTEGER NOT NULL)")
    writer = BlockWriter(codec, 1)
    for rows in _fetched(raw.execute("SELECT id, body FROM payloads ORDER BY id")):
        moved = [(old, writer.append(codec.unpack(body))) for old, body in rows]
        writer.flush(raw)
        raw.executemany("INSERT INTO moved VALUES (?, ?)", moved)
    raw.execute("UPDATE threads SET payload = -(SELECT new FROM moved WHERE old = payload)")
    # In two steps, through negative numbers: new ids may equal old ones, and (prev, payload) is unique at all times.
    raw.execute("UPDATE threads SET payload = -payload")
    for name in _REFERENCES:
        raw.execute(
            f"UPDATE spans SET {name} = (SELECT CASE prev WHEN -1 THEN -2 * payload ELSE id END FROM threads"  # noqa: S608 - own names
            f" WHERE id = spans.{name}) WHERE {name} IS NOT NULL"
        )
    raw.execute("DELETE FROM threads WHERE prev = -1")
    raw.execute("UPDATE spans SET resource = (SELECT new FROM moved WHERE old = resource)")
    _convert_extra(raw, codec, writer)
    _fill_uses(raw)
    raw.execute("DROP TABLE moved")
    raw.execute("DROP TABLE payloads")
    raw.execute(
        "UPDATE counters SET floor_block = 1 + COALESCE((SELECT MAX(id) FROM blocks), 0), young_block ="
        " 1 + COALESCE((SELECT MAX(id) FROM blocks), 0), floor_thread = 1 + COALESCE((SELECT MAX(id) FROM threads), 0)"
    )


def _fetched(found: sqlite3.Cursor) -> Iterator[list[tuple[int, bytes]]]:
    while rows := found.fetchmany(_FETCHED):
        yield rows


def _convert_extra(raw: sqlite3.Connection, codec: Codec, writer: BlockWriter) -> None:
    """Move attributes and events, which stood in the rows themselves."""
    trajectories = [row[0] for row in raw.execute("SELECT id FROM trajectories ORDER BY id")]
    for trajectory in trajectories:
        found = raw.execute("SELECT span_id, extra FROM spans WHERE trajectory = ?", (trajectory,)).fetchall()
        moved = [(writer.append(codec.unpack(extra)), trajectory, span_id) for span_id, extra in found]
        raw.executemany("UPDATE spans SET extra = ? WHERE trajectory = ? AND span_id = ?", moved)
    writer.flush(raw)


def _fill_uses(raw: sqlite3.Connection) -> None:
    """Note for each trajectory the blocks of all its texts, those that only its histories reach included."""
    references = ", ".join(_REFERENCES)
    trajectories = [row[0] for row in raw.execute("SELECT id FROM trajectories ORDER BY id")]
    for trajectory in trajectories:
        payloads: set[int] = set()
        nodes: set[int] = set()
        query = f"SELECT resource, extra, {references} FROM spans WHERE trajectory = ?"  # noqa: S608 - own names
        for resource, extra, *texts in raw.execute(query, (trajectory,)):
            payloads.update((resource, extra))
            payloads.update(-text >> 1 for text in texts if text is not None and text < 0)
            nodes.update(text for text in texts if text is not None and text > 0)
        waiting = list(nodes)
        while waiting:
            node = waiting.pop()
            prev, payload = raw.execute("SELECT prev, payload FROM threads WHERE id = ?", (node,)).fetchone()
            payloads.add(payload)
            if prev > 0 and prev not in nodes:
                nodes.add(prev)
                waiting.append(prev)
        blocks = {payload >> 10 for payload in payloads}
        raw.executemany("INSERT INTO uses VALUES (?, ?)", [(block, trajectory) for block in sorted(blocks)])
