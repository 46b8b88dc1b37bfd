"""What HTTP and gRPC share: who may send, how much at once, and the wait for the commit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import replace

from analyzer.ingest.pricing import Pricer
from analyzer.server.auth import Guard
from analyzer.server.bodies import Budget, Share, read_body
from analyzer.server.committer import Committer, Tally
from analyzer.server.decode import Decoded, Encoding, Signal
from analyzer.server.limits import Limits
from analyzer.server.refusal import RefusalError, busy
from analyzer.stores.base import Added
from analyzer.types.trace import Span

_REMARK_EVERY_S = 10.0
"""A full disk fails every request: it is said once in this time."""


class Receiver:
    """Takes export requests into a store. Its coroutines belong to one event loop."""

    def __init__(
        self,
        add: Callable[[Sequence[Span]], Added],
        *,
        mask: Callable[[str], str],
        pricer: Pricer | None = None,
        token: str | None = None,
        limits: Limits | None = None,
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """Take the store's `add` and its masker's `text`; `say` gets lines for the operator, masked."""
        self.limits = limits or Limits()
        self.guard = Guard(token)
        self._mask = mask
        self._said_at = -_REMARK_EVERY_S
        self._to_operator = say
        self._budget = Budget(self.limits.held_bytes_max)
        self._committer = Committer(add, pricer=pricer, limits=self.limits, say=self.say)

    @property
    def tally(self) -> Tally:
        """What has been done since the start."""
        return self._committer.tally

    @property
    def alive(self) -> bool:
        """Whether requests can be taken."""
        return self._committer.alive

    def close(self) -> None:
        """Commit what waits and stop."""
        self._committer.close()

    def say(self, line: str) -> None:
        """Tell the operator of something unforeseen, not more than once in a while."""
        now = time.monotonic()
        if now - self._said_at >= _REMARK_EVERY_S:
            self._said_at = now
            self._to_operator(self._mask(line))

    async def take_stream(
        self,
        signal: Signal,
        encoding: Encoding,
        pieces: AsyncIterator[bytes],
        *,
        compression: str,
        length: int | None,
    ) -> Decoded:
        """Read a body as it arrives and take it. Raises RefusalError."""
        with self._budget.share() as share:
            body = await read_body(pieces, encoding=compression, length=length, share=share, limits=self.limits)
            return await self._committed(signal, encoding, body)

    @asynccontextmanager
    async def body(
        self, pieces: AsyncIterator[bytes], *, compression: str, length: int | None, bytes_max: int
    ) -> AsyncIterator[bytes]:
        """Give a whole body of at most `bytes_max` that is no export, within the same bounds. Raises RefusalError."""
        limits = replace(self.limits, body_bytes_max=min(bytes_max, self.limits.body_bytes_max))
        with self._budget.share() as share:
            yield await read_body(pieces, encoding=compression, length=length, share=share, limits=limits)

    async def take(self, signal: Signal, encoding: Encoding, body: bytes) -> Decoded:
        """Take a body that is there already. Raises RefusalError."""
        share: Share
        with self._budget.share() as share:
            share.take(len(body))
            return await self._committed(signal, encoding, body)

    async def _committed(self, signal: Signal, encoding: Encoding, body: bytes) -> Decoded:
        """Return what was taken, after its commit."""
        try:
            answer: Future[Decoded] = self._committer.submit(signal, encoding, body)
            decoded = await asyncio.wait_for(asyncio.wrap_future(answer), self.limits.answer_s)
        except TimeoutError:
            # It may still be committed; what the client sends again changes nothing then.
            self.tally.put_off += 1
            raise busy("the store is busy") from None
        except RefusalError as refusal:
            self.tally.put_off += refusal.status == busy("").status
            raise
        return replace(decoded, why=self._mask(decoded.why)) if decoded.why else decoded
