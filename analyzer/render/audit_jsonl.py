"""A chained log as JSON lines: an entry with its hash in each, and the head in the last.

A reader may take the first of two equal keys and another the last, and nobody's hash is of a key beside the entry: so
verification holds the text of each line against the one that is written of what it says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from analyzer.types.audit import Head, canonical

ANCHOR = "analyzer.audit.anchor/1"
"""The schema of a head."""


def row_of(text: str, kept: str) -> str:
    """Return the line of an entry, given as canonical JSON with its hash."""
    return json.dumps({"entry": json.loads(text), "hash": kept}, ensure_ascii=True)


def head_row(head: Head) -> str:
    """Return the last line, and all of an anchor: how many entries there are, and the hash of the newest."""
    return json.dumps({"schema": ANCHOR, "entries": head.entries, "hash": head.hash}, ensure_ascii=True)


def rows_in(text: str) -> Iterator[tuple[int, dict[str, Any] | Head, str, bool]]:
    """Yield (line, entry or head, hash, whether its text is the one that is written of it) of a log.

    Raises ValueError, AttributeError, KeyError, TypeError or RecursionError for a line that is none.
    """
    for place, line in enumerate(text.splitlines(), 1):
        document = json.loads(line)
        kept = str(document["hash"])
        if document.get("schema") == ANCHOR:
            head = Head(int(document["entries"]), kept)
            yield place, head, kept, line == head_row(head)
        else:
            entry = document["entry"]
            yield place, entry, kept, line == row_of(canonical(entry), kept)
