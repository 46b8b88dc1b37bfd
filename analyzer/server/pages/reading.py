"""How pages read: in threads of their own, each with its own connection that cannot write.

The receiver's writer is never waited for, nor does it wait: SQLite's readers see the store as it was when they began,
and a connection that is opened for reading cannot take the write lock, whatever a page asks.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.report import Gap

THREADS = 3
"""Pages that are drawn at once; a search through a large store holds one of them for seconds."""
WAITING_MAX = 64
"""Pages that are drawn or wait for it; what is beyond is told to come again."""

_T = TypeVar("_T")


class CrowdedError(Exception):
    """Too many pages are asked for at once."""


@dataclass(frozen=True, slots=True)
class Reader:
    """What a page may ask."""

    trajectories: SqliteTrajectories
    memory: SqliteIncidents
    unread: list[Gap] = field(default_factory=list)
    """Texts that lie elsewhere and could not be fetched for the page that is being drawn."""

    def now(self) -> datetime:
        """Return the moment that pages look back from.

        That is the clock's now, unless nothing came for a while: then it is the end of what there is, so that a store
        that nobody writes to any more, or history that is read in, is not an empty page. What lies ahead of the clock
        counts as far as a run of the analyst had its now there.
        """
        clock = datetime.now(UTC)
        latest = self.trajectories.summaries(limit=1)
        end_ns = latest[0].end_ns if latest else None
        if end_ns is None:
            return clock
        try:
            newest = datetime.fromtimestamp(end_ns // 1_000_000_000 + 1, UTC)
        except (OverflowError, OSError, ValueError):
            return clock
        if newest > clock:
            return max(clock, self.memory.latest_run_at() or clock)
        return clock if clock - newest < STALE else newest


STALE = timedelta(hours=6)
"""Without a trajectory for this long, pages look back from the last one."""


class Readers:
    """A thread pool with a reader in each thread."""

    def __init__(self, opened: Callable[[], SqliteTrajectories]) -> None:
        """Take what gives a new connection that cannot write."""
        self._opened = opened
        self._own = threading.local()
        self._all: list[SqliteTrajectories] = []
        self._waiting = 0
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="pages")

    async def read(self, view: Callable[[Reader], _T]) -> _T:
        """Return what a view makes of the store. Raises CrowdedError, and whatever the view raises."""
        return await self.apart(lambda: view(self._reader()))

    async def apart(self, work: Callable[[], _T]) -> _T:
        """Do something in one of the threads. Raises CrowdedError."""
        if self._waiting >= WAITING_MAX:
            raise CrowdedError
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Finish what is being read and close the connections."""
        self._pool.shutdown(cancel_futures=True)
        for store in self._all:
            store.close()

    def _reader(self) -> Reader:
        reader: Reader | None = getattr(self._own, "reader", None)
        if reader is None:
            store = self._opened()
            self._all.append(store)
            reader = self._own.reader = Reader(store, SqliteIncidents(store.state), store.elsewhere.heard())
        reader.unread.clear()
        return reader
