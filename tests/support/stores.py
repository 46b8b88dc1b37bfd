"""Stores of every release, runs to fill them with, and what must be true of any store."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from support.spans import chat, history, ns, root, tool, trace_id

from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import Event, Span, Status, Tokens
from analyzer.types.trajectory import Trajectory

SCHEMAS = sorted((Path(__file__).parents[1] / "stores" / "schemas").glob("v*.sql"))
"""Dumps of stores as each release wrote them, with the spans of `spans_of` for trajectories 1 to 3."""


def spans_of(number: int) -> list[Span]:
    """Return the spans that each release was given. Never changed: the dumps hold them."""
    return [
        chat(
            number,
            2,
            at_s=1,
            input=history("hello"),
            output=history("", "let me look"),
            system="be kind",
            tool_definitions='[{"name": "lookup_order"}]',
            attributes={"gen_ai.request.max_tokens": 64, "nested": {"a": [1, None, "x"]}},
            resource={"service.name": "shop"},
        ),
        tool(
            number,
            3,
            at_s=2,
            events=(Event("exception", ns(1), {"exception.type": "TimeoutError"}),),
            status=Status.ERROR,
            status_message="no such order",
        ),
        chat(
            number,
            4,
            at_s=3,
            input=history("hello", "let me look", "no such order " * 20),
            system="be kind",
            resource={"service.name": "shop"},
        ),
        chat(number, 5, at_s=3.1, lasts_s=0.5, parent_id=f"{4:016x}", tokens=Tokens(100, 20)),
        root(number, agent_version="1.0", input="find the order of jane.doe@example.org", output="not there"),
    ]


def restored(dump: Path, folder: Path) -> Path:
    """Make a store file from a dump."""
    path = folder / "old.db"
    raw = sqlite3.connect(path)
    raw.executescript(dump.read_text("utf-8"))
    raw.close()
    return path


def told(store: SqliteTrajectories) -> list[str]:
    """Return everything a store says of its trajectories; pseudonyms have the key of their store.

    The kind of task and what a call chose are read when a span arrives, so an older store does not know them.
    """
    found: list[Trajectory] = [store.trajectory(trace_id(number)) for number in (1, 2, 3)]
    later = r"(task|choices)=('[^']*'|None)"
    return [re.sub(later, r"\1", re.sub(r"<email:[0-9a-f]+>", "<email>", repr(one))) for one in found]


def run(number: int, at_s: float, *, shared: str = "the same policy for everybody") -> list[Span]:
    """Return a run with texts of its own, a text that others have too, and a history that grows."""
    own = [f"run {number} says {i} " + "word " * 40 for i in range(4)]
    return [
        *(
            chat(number, i + 2, at_s=at_s + i, input=history(shared, *own[: i + 1]), output=own[i], system=shared)
            for i in range(4)
        ),
        tool(number, 9, at_s=at_s + 5, output=f"result of {number} " * 50, attributes={"run": number}),
        root(number, at_s=at_s, lasts_s=10),
    ]


def dangling(store: SqliteTrajectories) -> list[object]:
    """Return what rows refer to that is not there, and texts and nodes that nothing refers to."""
    with store.connection.reading() as raw:
        spans = raw.execute("SELECT input, output, system, tool_definitions, resource, extra FROM spans").fetchall()
        nodes = {row[0]: row[1:] for row in raw.execute("SELECT id, prev, payload FROM threads")}
        blocks = {row[0] for row in raw.execute("SELECT id FROM blocks")}
        uses = raw.execute("SELECT block, trajectory FROM uses").fetchall()
        owners = {row[0] for row in raw.execute("SELECT id FROM trajectories")}
    wanted = {ref for row in spans for ref in row[:4] if ref is not None}
    payloads = {-ref >> 1 for ref in wanted if ref < 0} | {payload for row in spans for payload in row[4:]}
    waiting, reached = [ref for ref in wanted if ref > 0], set()
    while waiting:
        node = waiting.pop()
        if node not in reached:
            reached.add(node)
            prev, payload = nodes[node]
            payloads.add(payload)
            waiting += [prev] if prev else []
    needed = {payload >> 10 for payload in payloads}
    return [needed - blocks, blocks - needed, nodes.keys() - reached, [use for use in uses if use[1] not in owners]]
