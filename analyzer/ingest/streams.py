"""Bytes from files, pipes and gzip, read in pieces; a source that breaks off keeps what came before."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

CHUNK_BYTES = 1 << 18
"""Read size. Larger pieces gain no speed, smaller ones cost calls."""
_PACKED_BYTES = 1 << 14
"""Read size of gzip: what stands behind the end of a member is copied for each member, and there may be thousands."""
_GZIP = b"\x1f\x8b"


class TooLongError(ValueError):
    """A line, message or document that is larger than what is read into memory at once."""


class ByteStream:
    """A source of bytes that is unpacked where it is gzip.

    Reading never raises for a broken source: it ends there, and `fault` says why.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._buffer = b""
        self._chunks = self._unpacked()
        self.fault = ""
        """Why the source ended before its end; empty while nothing is wrong."""
        self.position = 0
        """How many (unpacked) bytes were handed out."""
        self.at_tail = False
        """Whether `lines` gave the last line, which has no end."""
        self.paused = False
        """Whether `lines` stopped before a line that is to be read otherwise."""

    def peek(self, size: int) -> bytes:
        """Return up to `size` next bytes without consuming them."""
        self._fill(size)
        return self._buffer[:size]

    def take(self, size: int) -> bytes:
        """Return up to `size` next bytes; fewer only at the end."""
        self._fill(size)
        return self._consume(size)

    def rest(self, size_max: int) -> bytes:
        """Return everything that is left. Raises TooLongError, with nothing consumed, where it is more than allowed."""
        self._fill(size_max + 1)
        if len(self._buffer) > size_max:
            raise TooLongError(f"larger than {size_max >> 20} MiB")
        return self._consume(size_max)

    def chunk(self) -> bytes:
        """Return the next bytes in any convenient number; empty at the end."""
        if not self._buffer:
            self._fill(1)
        return self._consume(len(self._buffer))

    def put_back(self, data: bytes) -> None:
        """Make bytes that were handed out the next ones again."""
        self._buffer = data + self._buffer
        self.position -= len(data)

    def skip_line(self) -> None:
        """Pass over what is left of a line, up to its end."""
        while piece := self.chunk():
            at = piece.find(b"\n")
            if at >= 0:
                self.put_back(piece[at:])
                return

    def lines(
        self, size_max: int, *, pause_at: int | None = None, pauses: Callable[[bytes], bool] = lambda _head: True
    ) -> Iterator[bytes | None]:
        """Yield the lines without their ends; None stands for one that is longer than allowed and was passed over.

        Before a line of more than `pause_at` bytes, whose beginning `pauses` is asked about, it ends, and `paused` says
        so: the line is next, whole.
        """
        pieces: list[bytes] = []
        size = 0
        self.paused = False
        while piece := self.chunk():
            *ended, rest = piece.split(b"\n")
            for line in ended:
                yield b"".join((*pieces, line)) if size + len(line) <= size_max else None
                pieces, size = [], 0
            asked = pause_at is None or size > pause_at
            size += len(rest)
            if size <= size_max:
                pieces.append(rest)
            else:
                pieces = []
            if pause_at is not None and not asked and size > pause_at and pauses(b"".join(pieces)):
                self.put_back(b"".join(pieces))
                self.paused = True
                return
        if size:
            self.at_tail = True
            yield b"".join(pieces) if size <= size_max else None

    def _consume(self, size: int) -> bytes:
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        self.position += len(taken)
        return taken

    def _fill(self, size: int) -> None:
        have = len(self._buffer)
        if have >= size:
            return
        pieces = [self._buffer]
        while have < size and (piece := next(self._chunks, b"")):
            pieces.append(piece)
            have += len(piece)
        self._buffer = b"".join(pieces)

    def _unpacked(self) -> Iterator[bytes]:
        first = self._read(_PACKED_BYTES)
        if first.startswith(_GZIP):
            yield from self._gunzipped(first)
            return
        while first:
            yield first
            first = self._read()

    def _gunzipped(self, packed: bytes) -> Iterator[bytes]:
        """Unpack members one after the other: appending to a .gz file makes several."""
        member = zlib.decompressobj(wbits=31)
        while packed:
            try:
                plain = member.decompress(packed, CHUNK_BYTES)
            except zlib.error as error:
                self.fault = f"the gzip data is damaged ({error})"
                return
            if plain:
                yield plain
            packed = member.unconsumed_tail
            if member.eof:
                packed = member.unused_data or self._read(_PACKED_BYTES)
                # Some writers pad the last block with zeros; gzip itself ignores them.
                if packed.strip(b"\0") == b"":
                    return
                member = zlib.decompressobj(wbits=31)
            elif not packed:
                packed = self._read(_PACKED_BYTES)
        self.fault = self.fault or "the gzip data is cut off"

    def _read(self, size: int = CHUNK_BYTES) -> bytes:
        try:
            return self._file.read(size) or b""
        except (OSError, ValueError) as error:
            self.fault = f"cannot be read further: {error}"
            return b""
