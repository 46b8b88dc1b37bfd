"""`/metrics`: what Prometheus scrapes.

A scrape counts the trajectories that were finished since the last one, and reads the sums; the receiver's writes go
first. Where the store is busy for too long, or counting falls behind, the sums are those of a moment ago: a counter may
be late, and never wrong.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from analyzer.errors import AnalyzerError
from analyzer.selfwatch.exposition import scraped
from analyzer.server.auth import Guard
from analyzer.server.pages.visitors import is_loopback_name
from analyzer.stores.counting import count
from analyzer.stores.measures import SqliteMeasures
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types import measures
from analyzer.types.measures import FLEET, OWN, Amount

COUNTING_S = 1.0
"""A scrape may take ten seconds by Prometheus' default; what is not counted in this time is counted by the next."""
BUSY_MS = 2_000
WAITING_MAX = 8
"""Scrapes at a time; two Prometheus servers are usual."""


class Scrapes:
    """Answers scrapes, one after the other, in a thread with a connection of its own."""

    def __init__(
        self,
        opened: Callable[[], SqliteTrajectories],
        *,
        token: str | None,
        loopback: bool,
        say: Callable[[str], None] = lambda _line: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take what opens a connection, and the receiver's token; `say` gets lines for the operator."""
        self._opened = opened
        self._guard = Guard(token)
        # As for the pages: a site that makes its own name point here must read nothing.
        self._by_name = loopback and token is None
        self._say = say
        self._clock = clock
        self._store: SqliteTrajectories | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        self._waiting = 0

    def close(self) -> None:
        """Finish the scrape in progress and close the connection."""
        self._pool.shutdown(cancel_futures=True)
        if self._store is not None:
            self._store.close()

    async def answer(self, request: Request) -> Response:
        """Answer one scrape."""
        if self._by_name and not is_loopback_name(request.headers.get("host", "")):
            return PlainTextResponse("these metrics are for this machine\n", 421)
        if not self._guard.admits(request.headers.get("authorization", "").encode("latin-1")):
            headers = {"WWW-Authenticate": "Bearer"}
            return PlainTextResponse(
                "the token is missing or wrong: set `authorization` in the scrape config\n", 401, headers
            )
        if self._waiting >= WAITING_MAX:
            return PlainTextResponse("too many scrapes at once\n", 503)
        accept = request.headers.get("accept", "")
        self._waiting += 1
        try:
            body, content_type = await asyncio.get_running_loop().run_in_executor(self._pool, self._scraped, accept)
        except AnalyzerError as error:
            self._say(f"a scrape failed: {error}")
            return PlainTextResponse("the store cannot be read; `analyzer serve` says why\n", 503)
        finally:
            self._waiting -= 1
        return Response(body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})

    def _scraped(self, accept: str) -> tuple[bytes, str]:
        if self._store is None:
            store = self._opened()
            store.connection.wait_at_most(BUSY_MS)
            self._store = store
        connection = self._store.connection
        now = self._clock()
        waiting: list[Amount] = []
        try:
            counted = count(connection, now, seconds=COUNTING_S)
            waiting = [Amount(measures.WAITING.name, (), float(counted.waiting))]
        except AnalyzerError as error:
            self._say(f"a scrape shows what was counted before: {error}")
        known = [one for one, _ in SqliteMeasures(connection).all() if one.name != measures.WAITING.name]
        return scraped([*known, *waiting], (*OWN, *FLEET), accept)
