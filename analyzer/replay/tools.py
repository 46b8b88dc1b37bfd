"""Recorded outcomes of tools for agents that ask: a replayed agent touches nothing, and sees what it saw then.

Tools are never run here. Agents ask by `client.recorded_tools`, or over HTTP where they are not written in Python.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from analyzer.replay.alike import normalised
from analyzer.replay.client import UnrecordedError, outcome_of
from analyzer.replay.recording import Execution, Recording


class RecordedTools:
    """The outcomes of a recording's tool calls, each used once and in order; may be asked from several threads.

    A call is found by its tool and its arguments up to ids, times and layout. One that is made more often than it was
    recorded has no outcome: what the tool would have given, nobody knows.
    """

    def __init__(self, recording: Recording, *, mask: Callable[[Any], Any] = lambda value: value) -> None:
        self._left = list(recording.executions)
        self._all = recording.executions
        self._mask = mask
        """Masks the texts of a value as the store did: the recorded arguments are masked."""
        self._lock = threading.Lock()

    def __call__(self, tool: str, arguments: Mapping[str, Any]) -> str:
        """Return what a tool gave. Raises UnrecordedError, and RecordedFailureError where it failed then."""
        return outcome_of(self.told(tool, arguments))

    def told(self, tool: str, arguments: Any) -> dict[str, Any]:
        """Return the recorded outcome of a call as it is told over HTTP. Raises UnrecordedError."""
        wanted = normalised(self._mask(arguments))
        with self._lock:
            found = next((one for one in self._left if _is(one, tool, wanted)), None)
            if found is None:
                raise UnrecordedError(self._unrecorded(tool, wanted))
            self._left.remove(found)
        if found.result is None:
            raise UnrecordedError(f"what {tool[:200]} gave at step {found.number} was not recorded")
        return {"step": found.number, "failed": found.failed, "result": found.result}

    def _unrecorded(self, tool: str, wanted: str) -> str:
        of_tool = [one for one in self._all if one.tool == tool]
        if not of_tool:
            return f"the recorded run never called {tool[:200]}"
        if any(_is(one, tool, wanted) for one in of_tool):
            times = sum(_is(one, tool, wanted) for one in of_tool)
            last = [one for one in of_tool if _is(one, tool, wanted)][-1]
            return f"the recorded run made this call of {tool[:200]} {times} times, the last at step {last.number}"
        nearest = next((one for one in of_tool if one in self._left), of_tool[-1])
        return f"the recorded run called {tool[:200]} with other arguments (step {nearest.number})"


def _is(execution: Execution, tool: str, wanted: str) -> bool:
    return execution.tool == tool and normalised(execution.arguments) == wanted
