"""An OTLP/JSON request of any size, read as requests of a few MiB: no more than a span has to fit into memory.

The three lists that hold everything (`resourceSpans`, `scopeSpans`, `spans`) are walked through; what stands in them is
cut out unread and put together again to requests, each with the resource and the scope of its spans.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from analyzer.ingest.cursor import PIECE_BYTES, Cursor

_GROUPS = (b"resourceSpans", b"resource_spans", b"batches")
_SCOPES = (b"scopeSpans", b"scope_spans", b"instrumentationLibrarySpans")
_LEVELS = ((_GROUPS, ()), (_SCOPES, (b"resource",)), ((b"spans",), (b"scope", b"instrumentationLibrary")))
"""By level: the list that holds the next one, and what its parts belong to."""
_HEAD = re.compile(rb'\s*\{\s*"(?:resourceSpans|resource_spans|batches)"\s*:\s*\[')
_BLANK = re.compile(rb"[ \t\r\n]*+")
_KEY = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"[ \t\r\n]*+:', re.DOTALL)
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_SCALAR = re.compile(rb"[\w.+-]++")

Piece = tuple[int, bytes]
"""The byte at which a piece begins, and a request."""


def begins(head: bytes) -> bool:
    """Whether a text begins as a request does."""
    return _HEAD.match(head) is not None


def pieces(cursor: Cursor) -> Iterator[Piece]:
    """Yield requests in pieces, also several one behind the other.

    Raises ValueError where the text is no request, or is cut off; what was yielded before stands.
    """
    while _next(cursor):
        yield from one(cursor)


def one(cursor: Cursor) -> Iterator[Piece]:
    """Yield one request in pieces, as `pieces` does, and leave the cursor behind it."""
    yield from _object(cursor, 0, b"")


def _object(cursor: Cursor, level: int, above: bytes) -> Iterator[Piece]:
    """Walk through an object of a level; `above` is the text of what its parts belong to, with its commas."""
    lists, owners = _LEVELS[level]
    _expect(cursor, b"{")
    follows = _next(cursor)
    has_parts = False
    while follows == b'"':
        name = cursor.match(_KEY).group(1)
        if name in owners:
            if has_parts:
                raise ValueError(f"has its {name.decode()} behind its spans, which are kept without it")
            above += b'"%s":%s,' % (name, _value(cursor))
        elif name in lists and _next(cursor) == b"[":
            has_parts = True
            yield from _list(cursor, level, above)
        else:
            _value(cursor)
        if _next(cursor) != b",":
            break
        cursor.take(1)
        follows = _next(cursor)
    _expect(cursor, b"}")


def _list(cursor: Cursor, level: int, above: bytes) -> Iterator[Piece]:
    """Walk through one of the three lists; the innermost is cut into pieces."""
    _expect(cursor, b"[")
    spans, size, begun = list[bytes](), 0, cursor.position
    follows = _next(cursor)
    while follows != b"]":
        if level < len(_LEVELS) - 1:
            # What is above goes down to the spans; between a group and its scopes stand two brackets of their own.
            yield from _object(cursor, level + 1, above + (b'"scopeSpans":[{' if level else b""))
        else:
            spans.append(_value(cursor))
            size += len(spans[-1])
        follows = _next(cursor)
        if spans and (size >= PIECE_BYTES or follows == b"]"):
            yield begun, b'{"resourceSpans":[{%s"spans":[%s]}]}]}' % (above, b",".join(spans))
            spans, size, begun = [], 0, cursor.position
        if follows != b"]":
            _expect(cursor, b",")
            follows = _next(cursor)
    cursor.take(1)


def _value(cursor: Cursor) -> bytes:
    """Return the text of the next value, unread."""
    first = _next(cursor)
    if first in (b"{", b"["):
        return cursor.balanced()
    if first in (b"", b"}", b"]", b",", b":"):
        raise ValueError("is no JSON: expected a value")
    return cursor.match(_STRING if first == b'"' else _SCALAR).group()


def _next(cursor: Cursor) -> bytes:
    """Return the next byte that is no blank, not consumed."""
    while (found := cursor.next()) in _BLANKS and found:
        cursor.match(_BLANK)
    return found


_BLANKS = (b" ", b"\t", b"\r", b"\n")


def _expect(cursor: Cursor, mark: bytes) -> None:
    found = _next(cursor)
    if found != mark:
        raise ValueError(f"is no JSON: expected {mark.decode()}" if found else "is cut off")
    cursor.take(1)
