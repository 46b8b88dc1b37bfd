"""A place in a stream of bytes that goes on only forwards and keeps no more than the piece being read."""

from __future__ import annotations

import re

from analyzer.ingest.streams import ByteStream, TooLongError

PIECE_BYTES = 4 << 20
"""A request that is larger than memory should hold is read in requests of about this size."""
WHOLE_BYTES_MAX = 16 << 20
"""Up to this size a request is read whole: as objects it takes about six times as much."""
PART_BYTES_MAX = 256 << 20
"""Largest single span, resource or scope."""


class EndedError(ValueError):
    """The stream ends inside what is being read."""


class Cursor:
    """Reads a stream without copying what is behind at every step."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._buffer = b""
        self._at = 0
        self._before = stream.position

    @property
    def position(self) -> int:
        """Byte of the stream that comes next."""
        return self._before + self._at

    @property
    def ended(self) -> bool:
        """Whether nothing is left."""
        return not self._more(1)

    def take(self, size: int) -> bytes:
        """Return the next bytes. Raises EndedError where there are fewer, TooLongError beyond `PART_BYTES_MAX`."""
        if size > PART_BYTES_MAX:
            raise TooLongError(f"larger than {PART_BYTES_MAX >> 20} MiB")
        if not self._more(size):
            raise EndedError(self._stream.fault or "is cut off")
        taken = self._buffer[self._at : self._at + size]
        self._at += size
        return taken

    def release(self) -> None:
        """Give back to the stream what was read from it and not consumed."""
        self._stream.put_back(self._buffer[self._at :])
        self._before += self._at
        self._buffer, self._at = b"", 0

    def skip(self, size: int) -> None:
        """Pass over bytes, however many. Raises EndedError."""
        while size:
            if not self._more(1):
                raise EndedError(self._stream.fault or "is cut off")
            step = min(size, len(self._buffer) - self._at)
            self._at += step
            size -= step

    def next(self) -> bytes:
        """Return the next byte, not consumed; nothing at the end."""
        return self._buffer[self._at : self._at + 1] if self._more(1) else b""

    def match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes]:
        """Consume what a pattern matches that must match here. Raises EndedError, TooLongError.

        A match that reaches the end of what is read may go on behind it.
        """
        while True:
            found = pattern.match(self._buffer, self._at)
            if found is not None and (found.end() < len(self._buffer) or not self._longer()):
                self._at += len(found.group())
                return found
            if found is None and not self._longer():
                raise EndedError(self._stream.fault or "is cut off")

    def balanced(self) -> bytes:
        """Consume and return JSON text up to the bracket that closes the one that stands here."""
        scanned = depth = 0
        while True:
            for match in _TOKEN.finditer(self._buffer, self._at + scanned):
                token = self._buffer[match.start()]
                if token == _QUOTE and match.end() == match.start() + 1:
                    break
                scanned = match.end() - self._at
                depth += (token in _OPEN) - (token in _CLOSE)
                if depth <= 0:
                    return self.take(scanned)
            if not self._longer():
                raise EndedError(self._stream.fault or "is cut off")

    def _longer(self) -> bool:
        """Read on within one part; say whether there was more. Doubling keeps the work linear."""
        have = len(self._buffer) - self._at
        if have > PART_BYTES_MAX:
            raise TooLongError(f"larger than {PART_BYTES_MAX >> 20} MiB")
        self._more(2 * have + 1)
        return len(self._buffer) - self._at > have

    def _more(self, size: int) -> bool:
        """Read on until so many bytes are here; say whether they are."""
        have = len(self._buffer) - self._at
        if have >= size:
            return True
        pieces = [self._buffer[self._at :]]
        self._before += self._at
        self._at = 0
        while have < size and (piece := self._stream.chunk()):
            pieces.append(piece)
            have += len(piece)
        self._buffer = b"".join(pieces)
        return have >= size


_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}"]', re.DOTALL)
"""A whole string, or a bracket. A lone quotation mark is an incomplete string."""
_QUOTE = ord('"')
_OPEN, _CLOSE = frozenset(b"[{"), frozenset(b"]}")
