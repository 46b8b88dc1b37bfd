"""Large files are read, priced and prepared in a second process, while this one stores what came before.

The two halves cost about the same, so that on two cores a file goes in at nearly twice the speed. What has been read
waits in a short queue; order is kept. The reading process writes nothing: killed, it costs what was not stored yet, and
ends by itself when nobody takes what it reads.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from analyzer.cycles import rarely_sought
from analyzer.errors import AnalyzerError, InputError
from analyzer.ingest.files import read_paths
from analyzer.ingest.pricing import Pricer
from analyzer.ingest.reads import Noted, Parsed, Read, Refused, Skipped
from analyzer.stores import rows
from analyzer.stores.prepared import Masking, Prepared, Preparer

SIZE_MIN = 8 << 20
"""Bytes of input from which a second process is worth its start of about half a second."""
_QUEUE_MAX = 4
"""Batches that wait: of at most 1,000 spans each, some 5 MB from the wire."""
_QUEUE_BYTES_MAX = 24 << 20
"""Bytes that wait beside the first: a batch of a long conversation, which repeats its history, has 32 MB alone."""
_STOP_S = 5.0


@dataclass(frozen=True, slots=True)
class Ready:
    """Spans of one source that were prepared, in the order in which they stand there."""

    spans: tuple[Prepared, ...]
    source: str
    format: str


@dataclass(frozen=True, slots=True)
class _Order:
    """What the reading process is told."""

    paths: tuple[str, ...]
    format: str
    prices: Mapping[str, Any]
    tool_costs: Mapping[str, Any]
    masking: Masking


def is_worth_it(paths: Sequence[str]) -> bool:
    """Whether there is a second processor, and enough in the files; standard input belongs to this process."""
    if "-" in paths or _processors() < 2:  # noqa: PLR2004 - one to read and one to write
        return False
    size = 0
    for path in paths:
        for one in _files(path):
            with suppress(OSError, ValueError):
                size += Path(one).stat().st_size
            if size >= SIZE_MIN:
                return True
    return False


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _files(path: str) -> Iterator[str]:
    yield path
    with suppress(ValueError):
        for folder, _, names in os.walk(path):
            yield from (os.path.join(folder, name) for name in names)  # noqa: PTH118 - names that are no UTF-8


def read_ahead(
    paths: Sequence[str],
    *,
    format: str,  # noqa: A002 - the flag's name
    prices: Mapping[str, Any],
    tool_costs: Mapping[str, Any],
    masking: Masking,
) -> Iterator[Ready | Refused | Skipped | Noted]:
    """Yield what `files.read_paths` does, with the spans prepared. Close the iterator to end the other process.

    Raises InputError where the other process ends before everything was read, and its own error where it says one.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    order = _Order(tuple(paths), format, dict(prices), dict(tool_costs), masking)
    process = context.Process(target=_work, args=(theirs, order), name="analyzer ingest: reading", daemon=True)
    process.start()
    # With our copy of its end open, the pipe would not end with the other process.
    theirs.close()
    try:
        while True:
            try:
                kind, content = pickle.loads(ours.recv_bytes())  # noqa: S301 - from our own process
            except (EOFError, OSError):
                process.join(_STOP_S)
                why = f"the process that reads the files ended (exit {process.exitcode})"
                raise InputError(f"{why}; what it had read is stored: run the same command again") from None
            if kind == "end":
                return
            if kind == "error":
                raise content
            yield _unpacked(*content) if kind == "ready" else content
    finally:
        ours.close()
        process.terminate()
        process.join(_STOP_S)


class _Waiting:
    """What was read and not sent yet; whoever reads waits where that is too much."""

    def __init__(self) -> None:
        self._batches: deque[bytes | None] = deque()
        self._bytes = 0
        self._changed = threading.Condition()

    def put(self, packed: bytes | None) -> None:
        """Add a batch once there is room; None says that there are no more."""
        size = len(packed or b"")
        with self._changed:
            self._changed.wait_for(lambda: not self._batches or self._has_room(size))
            self._batches.append(packed)
            self._bytes += size
            self._changed.notify_all()

    def _has_room(self, size: int) -> bool:
        return len(self._batches) < _QUEUE_MAX and self._bytes + size <= _QUEUE_BYTES_MAX

    def get(self) -> bytes | None:
        """Take the oldest batch, when there is one."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._batches))
            packed = self._batches.popleft()
            self._bytes -= len(packed or b"")
            self._changed.notify_all()
            return packed


def _work(pipe: Connection, order: _Order) -> None:
    """Read and send, in the other process."""
    # Ctrl-C goes to both; the one that stores decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    waiting = _Waiting()
    unwanted = threading.Event()
    sender = threading.Thread(target=_send, args=(pipe, waiting, unwanted), daemon=True)
    sender.start()
    try:
        preparer = Preparer(order.masking.masker())
        pricer = Pricer(order.prices, order.tool_costs)
        with rarely_sought():
            for read in read_paths(order.paths, format=order.format, pricer=pricer):
                if unwanted.is_set():
                    break
                waiting.put(pickle.dumps(_message(read, preparer), pickle.HIGHEST_PROTOCOL))
        waiting.put(pickle.dumps(("end", None)))
    except AnalyzerError as error:
        waiting.put(pickle.dumps(("error", error)))
    waiting.put(None)
    sender.join()


def _message(read: Read, preparer: Preparer) -> tuple[str, Any]:
    if isinstance(read, Parsed):
        return "ready", (_packed(preparer.prepared(read.spans)), read.source, read.format)
    return "remark", read


def _send(pipe: Connection, waiting: _Waiting, unwanted: threading.Event) -> None:
    """Send what waits, while the next is read; once nobody takes it, pass over it so that the reader can end."""
    while (packed := waiting.get()) is not None:
        if not unwanted.is_set():
            try:
                pipe.send_bytes(packed)
            except OSError:
                unwanted.set()


def _packed(batch: Sequence[Prepared]) -> list[tuple[Any, ...]]:
    """Return plain values: pickling dataclasses one by one costs as much as reading them.

    Of the span only what its plain values do not say is sent, and a text that spans share (system prompts, resources)
    once a batch: pickle knows an object again, but not an equal one.
    """
    shared: dict[str | None, str | None] = {}
    packed = []
    for made in batch:
        span = made.span
        system, tools = shared.setdefault(span.system, span.system), span.tool_definitions
        texts = (span.input, span.output, system, shared.setdefault(tools, tools))
        rest = (made.unchanged, made.choices, made.extra, made.digest, made.steered)
        packed.append((span.trace_id, made.plain, texts, span.resource, *rest))
    return packed


def _unpacked(batch: Sequence[tuple[Any, ...]], source: str, format_: str) -> Ready:
    made = [
        Prepared(rows.span_of(trace_id, plain, texts, resource, {}), plain, *rest)
        for trace_id, plain, texts, resource, *rest in batch
    ]
    return Ready(tuple(made), source, format_)
