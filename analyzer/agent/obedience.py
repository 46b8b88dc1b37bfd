"""Whether the model that investigates follows orders that stand in the data it reads.

It is told that span text is data. Where it does as such text says all the same, nothing it says is used any more, and
the investigation ends as `injected`. What shows it: it calls, twice or more, for what only an order in the data can
have named (a tool that there is not, a trajectory outside the case); or its answer gives away the mark of the case or
a line of its own instructions, which no answer needs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analyzer.agent.model import ToolCall
from analyzer.agent.shown import Shown
from analyzer.types.orders import order_in

CALLS_MIN = 2
"""One call that leads nowhere is a slip; the tool's error says so, and a model that is not led turns round."""
LINE_CHARS = 60
"""A line of the instructions from this length on is nothing that anybody writes by chance."""
_NAMED = re.compile(r"[0-9a-f]{8,32}|https?://\S+|[A-Za-z][\w-]*[_-][\w-]+")
_PROSE = ("summary", "cause", "refutation", "missing", "check")


@dataclass(slots=True)
class Obedience:
    """Watches one conversation."""

    shown: Shown
    tools: Collection[str]
    """Names of the tools there are."""
    trace_ids: Callable[[], Collection[str]]
    """Gives the trajectories that may be opened by now: those of the case, and those that its tools have named."""
    mark: str
    instructions: str
    """The system prompt."""
    followed: set[str] = field(default_factory=set)
    """Calls by which it did what an order said."""

    def follows(self, calls: Sequence[ToolCall]) -> bool:
        """Take in the calls of one reply; tell whether by now enough of them follow orders in the data."""
        strange = [(call, wanted) for call in calls for wanted in self._strange(call)]
        if strange:
            ordered = self._ordered()
            self.followed |= {f"{call.id} {wanted}" for call, wanted in strange if wanted.lower() in ordered}
        return len(self.followed) >= CALLS_MIN

    def leaks(self, payload: Mapping[str, Any]) -> bool:
        """Tell whether an answer gives away the mark of the case, or a line of the instructions."""
        said = " ".join(" ".join(_prose(payload)).split())
        lines = (" ".join(line.split()) for line in self.instructions.splitlines())
        return self.mark in said or any(line in said for line in lines if len(line) >= LINE_CHARS)

    def _strange(self, call: ToolCall) -> Iterator[str]:
        """Yield what a call wants that is not of the case."""
        if call.name not in self.tools:
            yield call.name
        for name, value in call.arguments.items():
            if name.startswith("trace") and isinstance(value, str) and value.strip():
                wanted = value.strip().lower()
                if not any(one.startswith(wanted) for one in self.trace_ids()):
                    yield wanted

    def _ordered(self) -> frozenset[str]:
        """Return what the orders in the texts shown so far name."""
        told = (text for text in self.shown.stretches() if order_in(text) is not None)
        return frozenset(name.lower() for text in told for name in _NAMED.findall(text))


def _prose(payload: Mapping[str, Any]) -> Iterator[str]:
    for name in _PROSE:
        yield str(payload.get(name) or "")
    for name in ("claims", "actions"):
        entries = payload.get(name)
        for entry in entries if isinstance(entries, list) else ():
            yield str(entry.get("text") or "") if isinstance(entry, Mapping) else str(entry)
