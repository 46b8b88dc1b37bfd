"""A protobuf request of any size, read as requests of a few MiB: no more than a span has to fit into memory.

Every part of a message has its length in front, and repeated fields may be spread over any number of messages. So a
request of many spans is the same as many requests of some, each with the resource and the scope of its spans.
(Wire format: protobuf.dev/programming-guides/encoding. Field numbers: opentelemetry/proto/trace/v1/trace.proto.)
"""

from __future__ import annotations

from collections.abc import Iterator

from analyzer.ingest.cursor import PIECE_BYTES, WHOLE_BYTES_MAX, Cursor

_VARINT, _LENGTH = 0, 2
_FIXED_BYTES = {1: 8, 5: 4}
_INNER, _OUTER = 1, 2
"""Fields of both levels: the resource or scope, and the list of what belongs to it."""
_RESOURCE_SPANS = 1
_VARINT_BYTES_MAX = 10
_DAMAGED = "is damaged here; what stands before is kept"

Piece = tuple[int, bytes]
"""The byte at which a piece begins, and a request."""


def pieces(cursor: Cursor) -> Iterator[Piece]:
    """Yield a request in pieces. Raises ValueError where it is damaged or cut off; what was yielded before stands."""
    gathered = _Gathered(cursor)
    while not cursor.ended:
        field, length = _head(cursor)
        if field != _RESOURCE_SPANS:
            cursor.skip(length)
        elif length > WHOLE_BYTES_MAX:
            yield from gathered.rest()
            for at, group in _inside(cursor, length, deep=True):
                yield at, _framed(_RESOURCE_SPANS, group)
        else:
            yield from gathered.add(_framed(_RESOURCE_SPANS, cursor.take(length)))
    yield from gathered.rest()


def _inside(cursor: Cursor, length: int, *, deep: bool) -> Iterator[Piece]:
    """Yield the parts of a list that is too large (of scopes if `deep`, else of spans), with what they belong to."""
    end = cursor.position + length
    above, has_parts = b"", False
    gathered = _Gathered(cursor)
    while cursor.position < end:
        field, inner = _head(cursor)
        if cursor.position + inner > end:
            raise ValueError(_DAMAGED)
        has_parts |= field == _OUTER
        if field == _INNER and has_parts:
            raise ValueError("has a resource or scope behind its spans, which are kept without it")
        if field == _INNER:
            above += _framed(_INNER, cursor.take(inner))
        elif field != _OUTER:
            cursor.skip(inner)
        elif deep and inner > WHOLE_BYTES_MAX:
            yield from ((at, above + parts) for at, parts in gathered.rest())
            for at, scope in _inside(cursor, inner, deep=False):
                yield at, above + _framed(_OUTER, scope)
        else:
            part = _framed(_OUTER, cursor.take(inner))
            yield from ((at, above + parts) for at, parts in gathered.add(part))
    yield from ((at, above + parts) for at, parts in gathered.rest())


class _Gathered:
    """Parts put together until they are a piece."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._parts: list[bytes] = []
        self._bytes = 0
        self._begun = 0

    def add(self, part: bytes) -> Iterator[Piece]:
        """Take a part that was just read; yield the piece that became full."""
        if not self._parts:
            self._begun = self._cursor.position - len(part)
        self._parts.append(part)
        self._bytes += len(part)
        if self._bytes >= PIECE_BYTES:
            yield from self.rest()

    def rest(self) -> Iterator[Piece]:
        """Yield what is left."""
        if self._parts:
            yield self._begun, b"".join(self._parts)
        self._parts, self._bytes = [], 0


def _head(cursor: Cursor) -> tuple[int, int]:
    """Return the number of the next field and its length; 0 for one that is of no interest."""
    tag = _varint(cursor)
    kind = tag & 7
    if kind == _LENGTH:
        return tag >> 3, _varint(cursor)
    if kind == _VARINT:
        _varint(cursor)
        return 0, 0
    if kind not in _FIXED_BYTES:
        raise ValueError(_DAMAGED)
    return 0, _FIXED_BYTES[kind]


def _varint(cursor: Cursor) -> int:
    value = 0
    for place in range(_VARINT_BYTES_MAX):
        byte = cursor.take(1)[0]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follow
            return value
    raise ValueError(_DAMAGED)


def _framed(field: int, data: bytes) -> bytes:
    """Return a part with its tag and length in front."""
    head = [field << 3 | _LENGTH]
    size = len(data)
    while size >= 0x80:  # noqa: PLR2004 - as above
        head.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes((*head, size)) + data
