"""Logged requests put back together: every request repeats the conversation so far, and is one step of it.

A gateway writes a line for each request and its response. Read by themselves, ten lines of one run would be ten runs,
with the first reply told ten times. A request continues the conversation whose messages, the last reply included, it
begins with; or the one whose response it names (`previous_response_id`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from analyzer.ingest.importers.responses import joined
from analyzer.ingest.importers.turns import turn_of
from analyzer.ingest.importers.values import json_of, object_of, text_of

HELD_BYTES_MAX = 64 << 20
"""Most bytes of conversations that are held for a next request; beyond it all are given out and begin anew."""


@dataclass(slots=True)
class Thread:
    """One conversation, as far as the requests so far tell it."""

    around: Mapping[str, Any]
    """What stood beside the messages of its first request."""
    messages: list[Any]
    opening: Sequence[Any]
    """The messages of its first request and reply: what it is told apart by, whatever is added."""
    position: str


class Threads:
    """Gathers the requests of one file."""

    def __init__(self) -> None:
        self._threads: list[Thread] = []
        self._open: dict[bytes, Thread] = {}
        self._bytes = 0

    def add(
        self, around: Mapping[str, Any], asked: Sequence[Any], replies: Sequence[Any], position: str
    ) -> Iterator[Thread]:
        """Take one request with its response; yield the conversations that are given out to make room."""
        start = json_of([around.get("system"), around.get("instructions")])
        digests = [_digest(start.encode())]
        for message in joined(asked):
            digests.append(_digest(digests[-1] + _said(message)))
        thread, known = self._continued(around, digests)
        fresh = [*list(joined(asked))[known:], *replies]
        if thread is None:
            thread = Thread(around, fresh, tuple(fresh), position)
            self._threads.append(thread)
        else:
            thread.messages += fresh
        for message in joined(replies):
            digests.append(_digest(digests[-1] + _said(message)))
        self._open[digests[-1]] = thread
        for reply in replies:
            if text_of(object_of(reply).get("id")):
                self._open[_named(reply["id"])] = thread
        self._bytes += sum(len(json_of(message)) for message in fresh)
        if self._bytes > HELD_BYTES_MAX:
            yield from self.rest()

    def _continued(self, around: Mapping[str, Any], digests: Sequence[bytes]) -> tuple[Thread | None, int]:
        """Return the conversation that a request continues, and how many of its messages that one holds."""
        before = text_of(around.get("previous_response_id"))
        if before and _named(before) in self._open:
            return self._open[_named(before)], 0
        for known in range(len(digests) - 1, 0, -1):
            # What ended so goes on once: a second request with the same beginning is another try.
            thread = self._open.pop(digests[known], None)
            if thread is not None:
                return thread, known
        return None, 0

    def rest(self) -> Iterator[Thread]:
        """Yield what is held."""
        yield from self._threads
        self._threads, self._bytes = [], 0
        self._open.clear()


def _said(message: Any) -> bytes:
    """Return what a message says, and nothing beside it: a reply comes back in the next request without its usage."""
    turn = turn_of(message)
    if turn is None:
        return json_of(message).encode()
    calls = [(call.id, call.tool) for call in turn.calls]
    results = [(result.id, result.output) for result in turn.results]
    return json_of([turn.role, turn.text.strip(), calls, results]).encode()


def _named(response_id: Any) -> bytes:
    return _digest(b"id:" + text_of(response_id).encode())


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()
