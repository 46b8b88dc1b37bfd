"""Request bodies: read as they arrive, unpacked in bounded pieces, never larger in memory than allowed.

The size is counted after decompression, while decompressing: a bomb stops at the limit, whatever it announced.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from analyzer.server.limits import Limits
from analyzer.server.refusal import RefusalError, busy

PIECE_BYTES = 1 << 18
"""How much is unpacked at once."""
_FED_BYTES = 1 << 13
"""How much is handed over for that at once: what stands behind the end of a member is copied for each member."""
_OVERHEAD_BYTES = 1 << 16
"""By how much a body may be larger packed than unpacked: deflate adds 5 bytes to each 16 KiB that it cannot shorten."""


class Budget:
    """The bytes that all requests together may hold. Used from the event loop only."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self.held = 0

    @contextmanager
    def share(self) -> Iterator[Share]:
        """Give a share for the life of one request; what it took goes back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self.held -= share.taken

    def take(self, size: int) -> None:
        """Take bytes. Raises RefusalError (503) where all requests together hold too many."""
        if self.held + size > self._bytes_max:
            raise busy("too many requests at once")
        self.held += size


class Share:
    """What one request holds of the budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.taken = 0

    def take(self, size: int) -> None:
        """Take bytes. Raises RefusalError (503)."""
        self._budget.take(size)
        self.taken += size


async def read_body(
    pieces: AsyncIterator[bytes], *, encoding: str, length: int | None, share: Share, limits: Limits
) -> bytes:
    """Return the whole body, unpacked.

    `encoding` is the Content-Encoding and `length` the Content-Length, where the client gave one; it serves to refuse
    early and is not trusted. Raises RefusalError: 400 for damaged data, 408, 413, 415, 503.
    """
    unpack = _unpacker(encoding)
    if length is not None and length > limits.body_bytes_max:
        raise _too_large(limits)
    body = bytearray()
    arrived = 0
    try:
        async with asyncio.timeout(limits.body_s):
            async for piece in pieces:
                arrived += len(piece)
                if arrived > limits.body_bytes_max + _OVERHEAD_BYTES:
                    # Padding and empty members unpack to nothing, and would go on for ever.
                    raise _too_large(limits)
                for plain in unpack.pieces(piece):
                    if len(body) + len(plain) > limits.body_bytes_max:
                        raise _too_large(limits)
                    share.take(len(plain))
                    body += plain
    except TimeoutError:
        raise RefusalError(408, f"the body did not arrive within {limits.body_s:g} s") from None
    unpack.end()
    return bytes(body)


def _too_large(limits: Limits) -> RefusalError:
    size = limits.body_bytes_max
    shown = f"{size >> 20} MiB" if size >= 1 << 20 else f"{size} bytes"
    return RefusalError(413, f"the body is larger than {shown} after decompression: send smaller batches")


class _Plain:
    """A body that is not packed."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield the data."""
        yield data

    def end(self) -> None:
        """Nothing can be missing: the framing of HTTP tells."""


class _Inflate:
    """A gzip (also of several members) or deflate body. Raises RefusalError (400) where it is damaged."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._member = zlib.decompressobj(wbits)
        self._begun = False

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield what the data unpacks to, at most PIECE_BYTES at once."""
        for start in range(0, len(data), _FED_BYTES):
            yield from self._fed(data[start : start + _FED_BYTES])

    def _fed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._member.eof:
                # Some writers pad the last block with zeros; gzip itself ignores them.
                data = data.lstrip(b"\0")
                if not data:
                    return
                self._member = zlib.decompressobj(self._wbits)
            if not self._begun:
                self._begun = True
                self._guess(data)
            try:
                plain = self._member.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise RefusalError(400, f"the compressed body is damaged: {error}") from None
            if plain:
                yield plain
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail

    def end(self) -> None:
        """Refuse a body that breaks off."""
        if self._begun and not self._member.eof:
            raise RefusalError(400, "the compressed body is cut off")

    def _guess(self, data: bytes) -> None:
        """Take "deflate" without its zlib header too: a part of the world's clients sends it so."""
        if self._wbits == zlib.MAX_WBITS and data[0] & 0x0F != zlib.DEFLATED:
            self._member = zlib.decompressobj(-zlib.MAX_WBITS)


def _unpacker(encoding: str) -> _Plain | _Inflate:
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return _Plain()
    if name in ("gzip", "x-gzip"):
        return _Inflate(zlib.MAX_WBITS | 16)
    if name == "deflate":
        return _Inflate(zlib.MAX_WBITS)
    raise RefusalError(415, f"the content encoding '{name[:40]}' is not taken: send gzip, deflate or none")
