"""Where a text stands, without an index: blocks are read and those that cannot hold it are passed over.

An index of all words would take as much disk as the texts themselves and slow down every ingest for searches that
come now and then. A block is unpacked and looked through at about 500 MB/s, so a search through 1,000,000 spans takes
seconds; `uses` leads from a block to the trajectories that have text in it, newest first.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence

from analyzer.stores.base import Hit
from analyzer.stores.blocks import Codec, slots_of
from analyzer.stores.database import Connection
from analyzer.stores.summaries import OWN_AGENT
from analyzer.types.messages import readable
from analyzer.types.trajectory import Trajectory

FIELDS = ("status_message", "output", "input", "system")
_EXCERPT = 160
_BLOCKS_AT_ONCE = 64
TRIED_MAX = 2_000
"""Trajectories read in full in one search: some seconds."""
_WORD = re.compile(r"[A-Za-z0-9_]+")
_OTHER_WORD = re.compile(r"[^\W\d_]+")


def hits_in(trajectory: Trajectory, text: str, limit: int) -> list[Hit]:
    """Return where a text stands in a trajectory, ignoring case, each excerpt once.

    A history repeats at every step what was found in it before.
    """
    hits: list[Hit] = []
    seen: set[str] = set()
    wanted = text.casefold()
    for span in trajectory.spans:
        for name in FIELDS:
            excerpt = _excerpt(readable(getattr(span, name)), wanted, len(text))
            if excerpt is not None and excerpt not in seen:
                seen.add(excerpt)
                hits.append(Hit(trajectory.summary.trace_id, span.span_id, name, excerpt))
                if len(hits) >= limit:
                    return hits
    return hits


def hits(
    trace_ids: Iterable[str], read: Callable[[str], Trajectory], text: str, limit: int, looked_at: set[str]
) -> list[Hit]:
    """Return where a text stands in those trajectories that were not looked at yet, which are noted there."""
    found: list[Hit] = []
    for trace_id in trace_ids:
        if trace_id not in looked_at:
            looked_at.add(trace_id)
            found += hits_in(read(trace_id), text, limit - len(found))
        if len(found) >= limit:
            break
    return found


def everywhere(
    connection: Connection,
    codec: Codec,
    read: Callable[[str], Trajectory],
    elsewhere: Callable[[str], Iterable[str]],
    text: str,
    trace_ids: Sequence[str],
    agent: str | None,
    limit: int,
) -> list[Hit]:
    """Return where a text stands: in some trajectories, else here, then in what lies `elsewhere`; see `search`."""
    if not text.strip():
        return []
    looked_at: set[str] = set()
    with connection.reading() as raw:
        found = hits(trace_ids or candidates(raw, codec, text, agent), read, text, limit, looked_at)
    if not trace_ids and len(found) < limit:
        found += hits(followed(connection, elsewhere(text), agent), read, text, limit - len(found), looked_at)
    return found


def followed(connection: Connection, trace_ids: Iterable[str], agent: str | None) -> Iterator[str]:
    """Yield those that are here, also without their texts, and an agent's; without an agent, the fleet's."""
    for trace_id in trace_ids:
        with connection.reading() as raw:
            row = raw.execute("SELECT agent FROM trajectories WHERE trace_id = ?", (trace_id,)).fetchone()
        if row is not None and (row[0] == agent if agent else row[0] != OWN_AGENT):
            yield trace_id


def candidates(raw: sqlite3.Connection, codec: Codec, text: str, agent: str | None) -> Iterator[str]:
    """Yield the trace ids of trajectories that may hold a text, those of the youngest blocks first.

    A block is passed over only where no text of it holds all words of the one that is looked for. Words are compared
    without quotation marks and escapes, which JSON may write in several ways; a letter that folds to two (ß) counts
    as itself. At most `TRIED_MAX` are yielded, so that words which stand everywhere, in another order, end too.
    """
    for tried, trace_id in enumerate(_candidates(raw, codec, text, agent)):
        if tried >= TRIED_MAX:
            return
        yield trace_id


def _candidates(raw: sqlite3.Connection, codec: Codec, text: str, agent: str | None) -> Iterator[str]:
    holds = holding(text)
    seen: set[int] = set()
    top = int(raw.execute("SELECT COALESCE(MAX(id), 0) FROM blocks").fetchone()[0])
    for last in range(top, 0, -_BLOCKS_AT_ONCE):
        blocks = [
            number
            for number, sizes, body in raw.execute(
                "SELECT id, sizes, body FROM blocks WHERE id > ? AND id <= ?", (last - _BLOCKS_AT_ONCE, last)
            )
            # A text with line ends may go over several messages.
            if holds(whole := codec.unpack(body)) and ("\n" in text or any(map(holds, slots_of(whole, sizes))))
        ]
        if blocks:
            yield from _users(raw, blocks, agent, seen)
    yield from _named(raw, text, agent, seen)


def holding(text: str) -> Callable[[bytes], bool]:
    """Return a test whether bytes may hold a text, in whatever way it is escaped there."""
    words = sorted({word.lower().encode() for word in _WORD.findall(text)}, key=len, reverse=True)
    others = [word for word in map(str.casefold, _OTHER_WORD.findall(text)) if not word.isascii()]

    def holds(body: bytes) -> bool:
        lowered = body.lower()
        if not all(word in lowered for word in words):
            return False
        # Other scripts have cases of their own, and may stand as \u escapes.
        return (
            not others
            or b"\\u" in lowered
            or all(word in body.decode("utf-8", "replace").casefold() for word in others)
        )

    return holds


def _users(raw: sqlite3.Connection, blocks: Sequence[int], agent: str | None, seen: set[int]) -> Iterator[str]:
    marks = ",".join("?" * len(blocks))
    rows = raw.execute(
        "SELECT DISTINCT t.id, t.trace_id FROM uses u JOIN trajectories t ON t.id = u.trajectory"  # noqa: S608 - only question marks and own text
        f" WHERE u.block IN ({marks}) AND {_OF_AGENT[agent is None]} ORDER BY t.end_ns DESC, t.trace_id",
        (*blocks, OWN_AGENT if agent is None else agent),
    ).fetchall()
    for owner, trace_id in rows:
        if owner not in seen:
            seen.add(owner)
            yield trace_id


def _named(raw: sqlite3.Connection, text: str, agent: str | None, seen: set[int]) -> Iterator[str]:
    """Yield trajectories with the text in a status message, which stands in the span's row and in no block."""
    word = max(_WORD.findall(text), key=len, default="")
    rows = raw.execute(
        "SELECT DISTINCT t.id, t.trace_id FROM spans s JOIN trajectories t ON t.id = s.trajectory"  # noqa: S608 - own text
        f" WHERE s.status_message <> '' AND instr(lower(s.status_message), ?) AND {_OF_AGENT[agent is None]}"
        " ORDER BY t.end_ns DESC, t.trace_id",
        (word.lower(), OWN_AGENT if agent is None else agent),
    ).fetchall()
    for owner, trace_id in rows:
        if owner not in seen:
            seen.add(owner)
            yield trace_id


_OF_AGENT = {True: "t.agent <> ?", False: "t.agent = ?"}


def _excerpt(haystack: str, wanted: str, length: int) -> str | None:
    at = haystack.casefold().find(wanted)
    if at < 0:
        return None
    start = max(0, at - _EXCERPT // 3)
    return haystack[start : start + _EXCERPT + length]
