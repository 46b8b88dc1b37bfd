"""What a span's text columns refer to, and how the text is spelt again.

A reference is one integer. Negative: one payload, `-2 * payload` where it is the text itself, `-2 * payload - 1`
where the text is a JSON array of that one message. Positive: a node of `threads`, the last message of an array of
several; each node names the node before it (0 where the array begins), so that a conversation that grows by two
messages a step adds two nodes a step and no more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from analyzer.stores.blocks import BlockReader, Codec

_CHUNKS = (1, 8, 64, 500)
"""How many threads are asked for at once: the last one of a conversation leads back over nearly all the others."""


class Payloads:
    """Reads texts inside the caller's transaction."""

    def __init__(self, codec: Codec) -> None:
        self._reader = BlockReader(codec)

    def bodies(self, raw: sqlite3.Connection, payloads: Iterable[int]) -> dict[int, str]:
        """Return the texts of payloads by id."""
        return self._reader.texts(raw, set(payloads))

    def chains(self, raw: sqlite3.Connection, references: Iterable[int | None]) -> Chains:
        """Load the nodes that references lead back to."""
        nodes: dict[int, tuple[int, int]] = {}
        wanted = sorted({reference for reference in references if reference is not None and reference > 0})
        turn = 0
        while wanted:
            # The youngest first: what its history covers need not be asked for.
            size = _CHUNKS[min(turn, len(_CHUNKS) - 1)]
            chunk, wanted, turn = wanted[-size:], wanted[:-size], turn + 1
            marks = ",".join("?" * len(chunk))
            rows = raw.execute(
                "WITH RECURSIVE chain (id, prev, payload) AS"  # noqa: S608 - only question marks are put in
                f" (SELECT id, prev, payload FROM threads WHERE id IN ({marks})"
                " UNION SELECT t.id, t.prev, t.payload FROM threads t JOIN chain ON t.id = chain.prev)"
                " SELECT id, prev, payload FROM chain",
                chunk,
            )
            nodes.update((identity, (prev, payload)) for identity, prev, payload in rows)
            wanted = [reference for reference in wanted if reference not in nodes]
        return Chains(nodes)

    def last(self, raw: sqlite3.Connection, references: Iterable[int]) -> dict[int, tuple[int, bool]]:
        """Return the last payload of each reference, and whether the text is an array."""
        wanted = sorted(set(references))
        last = {one: (-one >> 1, bool(one & 1)) for one in wanted if one < 0}
        nodes = [one for one in wanted if one > 0]
        for start in range(0, len(nodes), _CHUNKS[-1]):
            chunk = nodes[start : start + _CHUNKS[-1]]
            marks = ",".join("?" * len(chunk))
            query = f"SELECT id, payload FROM threads WHERE id IN ({marks})"  # noqa: S608 - only question marks
            last.update((node, (payload, True)) for node, payload in raw.execute(query, chunk))
        return last


class Chains:
    """The nodes of some threads, and the texts they spell."""

    def __init__(self, nodes: dict[int, tuple[int, int]]) -> None:
        self._nodes = nodes

    def payloads(self) -> set[int]:
        """Return the payloads of all nodes."""
        return {payload for _, payload in self._nodes.values()}

    def text(
        self, reference: int | None, bodies: Mapping[int, str], *, characters_max: int | None = None
    ) -> str | None:
        """Return the text of a reference; where it is longer than allowed, the last messages that fit, at least one."""
        if reference is None:
            return None
        if reference < 0:
            body = bodies[-reference >> 1]
            return f"[{body}]" if reference & 1 else body
        parts: list[str] = []
        length = 0
        node = reference
        while node > 0:
            node, payload = self._nodes[node]
            body = bodies[payload]
            length += len(body)
            if parts and characters_max is not None and length > characters_max:
                break
            parts.append(body)
        return "[" + ",".join(reversed(parts)) + "]"


def direct(references: Iterable[int | None]) -> set[int]:
    """Return the payloads that references name without a thread."""
    return {-reference >> 1 for reference in references if reference is not None and reference < 0}
