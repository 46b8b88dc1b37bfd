"""A watch that says what begins while it records it: what a person who waits for an answer sees."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from analyzer.types.trace import Operation
from analyzer.types.watch import Mark, Watch

_SAID = frozenset({Operation.TOOL, Operation.CHAT})


class Told:
    """Passes every span on to another watch, and tells of calls of the model and of tools."""

    def __init__(self, watch: Watch, say: Callable[[str, str], None]) -> None:
        """`say` gets what is called, and for a tool its arguments, masked."""
        self._watch = watch
        self._say = say

    def span(self, name: str, operation: Operation = Operation.OTHER, **fields: Any) -> AbstractContextManager[Mark]:
        """Open a span; see `Watch.span`."""
        if operation in _SAID:
            # What the model is sent is the whole conversation: only what tools are asked is short enough to be read.
            asked = str(fields.get("input", "")) if operation is Operation.TOOL else ""
            self._say(str(fields.get("tool") or fields.get("model") or name), asked)
        return self._watch.span(name, operation, **fields)
