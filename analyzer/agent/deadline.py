"""A call that is waited for no longer than it may take, and what it says meanwhile.

The call runs in a thread of its own, because a timeout of a read does not bound a reply that trickles. What it emits is
heard in the thread that waits, so that whoever listens needs no lock, and hears nothing any more once it is over.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

SLACK_S = 0.25
"""A call that keeps to the same timeout itself is given this much more to say so."""


class AbandonedError(Exception):
    """Nobody waits for the call any more: raised inside it where it would emit, so that it ends."""


@dataclass(slots=True)
class Outcome:
    """What became of a call."""

    done: bool = False
    value: Any = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class _Emitted:
    piece: Any


def within(timeout_s: float, call: Callable[[Callable[[T], None]], Any], hear: Callable[[T], None]) -> Outcome:
    """Wait for a call; `hear` gets what it emits, in order, in this thread. `done` is False where it takes longer.

    Then its thread is left behind: a daemon cannot hold up exit. What `hear` raises is raised here.
    """
    said: SimpleQueue[_Emitted | Outcome] = SimpleQueue()
    abandoned = threading.Event()

    def emit(piece: T) -> None:
        if abandoned.is_set():
            raise AbandonedError
        said.put(_Emitted(piece))

    def run() -> None:
        try:
            said.put(Outcome(done=True, value=call(emit)))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            said.put(Outcome(done=True, error=error))

    ends = time.monotonic() + timeout_s + SLACK_S
    threading.Thread(target=run, daemon=True, name="model").start()
    try:
        while True:
            try:
                given = said.get(timeout=max(ends - time.monotonic(), 0.0))
            except Empty:
                return Outcome()
            if isinstance(given, Outcome):
                return given
            hear(given.piece)
    finally:
        abandoned.set()
