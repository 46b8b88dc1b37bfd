"""A watch that says what begins while it records it: what a person who waits for an answer sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from analyzer.types.trace import Operation
from analyzer.types.watch import Mark, Watch

Say = Callable[[str, str, float | None], None]
"""Gets what is called, for a tool its arguments, masked, and the USD of the model's calls so far; None: not known."""
_SAID = frozenset({Operation.TOOL, Operation.CHAT})


class Told:
    """Passes every span on to another watch, and tells of calls of the model and of tools."""

    def __init__(self, watch: Watch, say: Say) -> None:
        """`say` may be called from several threads."""
        self._watch = watch
        self._say = say
        self._lock = Lock()
        self._usd: float | None = 0.0

    @contextmanager
    def span(self, name: str, operation: Operation = Operation.OTHER, **fields: Any) -> Iterator[Mark]:
        """Open a span; see `Watch.span`."""
        if operation in _SAID:
            # What the model is sent is the whole conversation: only what tools are asked is short enough to be read.
            asked = str(fields.get("input", "")) if operation is Operation.TOOL else ""
            self._say(str(fields.get("tool") or fields.get("model") or name), asked, self._usd)
        with self._watch.span(name, operation, **fields) as mark:
            yield _Priced(mark, self._spend) if operation is Operation.CHAT else mark

    def _spend(self, usd: float | None) -> None:
        with self._lock:
            self._usd = None if usd is None or self._usd is None else self._usd + usd


class _Priced:
    """The mark of a call of the model: passes everything on, and notes what it cost."""

    def __init__(self, mark: Mark, spend: Callable[[float | None], None]) -> None:
        self._mark = mark
        self._spend = spend

    def set(self, **fields: Any) -> None:
        """Set fields of the span; see `Mark.set`."""
        if "cost_usd" in fields:
            self._spend(fields["cost_usd"])
        self._mark.set(**fields)

    def fail(self, error: str, message: str) -> None:
        """Mark the span as failed; see `Mark.fail`."""
        self._mark.fail(error, message)
