"""Records what a run does as spans, and keeps them in the trajectory store."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields
from typing import Any

from analyzer.types.trace import ErrorClass, Operation, Span, Status
from analyzer.types.watch import Mark

AGENT = "analyzer"
_FIELDS = frozenset(spec.name for spec in fields(Span)) - {"trace_id", "span_id", "parent_id", "start_ns", "end_ns"}
_current: ContextVar[str | None] = ContextVar("current_span", default=None)


class Recorder:
    """A `Watch` whose spans end up in a store. One recorder is one trajectory.

    Spans are handed to `keep` when a span directly below the root ends, and at the end: a run that is killed leaves
    the phases it finished. What is kept must not depend on it: a store that fails here is told to `on_failure`.
    """

    def __init__(
        self,
        keep: Callable[[Iterable[Span]], object],
        *,
        version: str,
        on_failure: Callable[[Exception], None],
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.trace_id = secrets.token_hex(16)
        self._keep = keep
        self._version = version
        self._on_failure = on_failure
        self._clock_ns = clock_ns
        self._lock = threading.Lock()
        self._done: list[Span] = []
        self._root: str | None = None

    @contextmanager
    def span(self, name: str, operation: Operation = Operation.OTHER, **given: Any) -> Iterator[Mark]:
        """Record a span around a block; the first one is the root. See `Watch.span`.

        `start_ns` is for what is told when it has ended: it began then, and not with the block.
        """
        span_id = secrets.token_hex(8)
        parent = _current.get()
        if self._root is None:
            self._root, parent = span_id, None
        elif parent is None:
            # A worker thread starts with an empty context: its work still belongs to this run.
            parent = self._root
        began = given.pop("start_ns", None)
        mark = _Mark(given)
        token = _current.set(span_id)
        start_ns = self._clock_ns() if began is None else began
        try:
            yield mark
        except BaseException as error:
            mark.fail(type(error).__name__, str(error))
            raise
        finally:
            _current.reset(token)
            finished = mark.finish(
                trace_id=self.trace_id,
                span_id=span_id,
                parent_id=parent,
                name=name,
                operation=operation,
                start_ns=start_ns,
                end_ns=max(self._clock_ns(), start_ns + 1),
                agent_version=self._version,
            )
            with self._lock:
                self._done.append(finished)
            if parent is None or parent == self._root:
                self._flush()

    def _flush(self) -> None:
        with self._lock:
            batch, self._done = self._done, []
        try:
            self._keep(batch)
        except Exception as error:  # noqa: BLE001 - the run matters more than the record of it; the failure is told
            self._on_failure(error)


class _Mark:
    def __init__(self, given: dict[str, Any]) -> None:
        self._values = dict(given)
        self._lock = threading.Lock()

    def set(self, **fields: Any) -> None:
        with self._lock:
            self._values.update(fields)

    def fail(self, error: str, message: str) -> None:
        self.set(status=Status.ERROR, error_type=error, status_message=message)

    def finish(self, **fixed: Any) -> Span:
        """Return the span: known names are its fields, others its attributes."""
        values = {name: value for name, value in self._values.items() if name in _FIELDS}
        rest = {name: value for name, value in self._values.items() if name not in _FIELDS}
        values["attributes"] = {**dict(values.get("attributes") or {}), **rest}
        values.setdefault("agent", AGENT)
        values.setdefault("service", AGENT)
        values.setdefault("scope", AGENT)
        if values.get("status") is Status.ERROR:
            is_tool = fixed["operation"] is Operation.TOOL
            values.setdefault("error", ErrorClass.TOOL_ERROR if is_tool else ErrorClass.OTHER)
        return Span(**{**values, **fixed})
