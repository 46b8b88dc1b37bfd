"""Runs the tools: inside the case, by page, within bounds, several at once, and never twice for the same question."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Lock
from typing import Any

from analyzer.agent.case import CaseFile
from analyzer.agent.desk import Desk, ToolError
from analyzer.agent.facts import Fact
from analyzer.agent.model import ToolCall, ToolReturn, ToolSpec
from analyzer.agent.shown import Shown
from analyzer.agent.tabled import Tabled, tabled
from analyzer.agent.text import Mask
from analyzer.agent.tools.base import Tool
from analyzer.agent.tools.catalogue import CASE
from analyzer.errors import AnalyzerError, MetricsQueryError
from analyzer.metrics.base import MetricSource
from analyzer.stores.base import TrajectoryStore
from analyzer.types.report import Incident
from analyzer.types.trace import Operation, Span
from analyzer.types.watch import Watch

ANSWER_CHARS_MAX = 16_000
"""No answer is longer, whatever the tool."""
ARGUMENT_CHARS_MAX = 4_000
"""Of a call, as it is remembered and recorded."""


class Toolbox:
    """The tools of one conversation, the desk they work at, and what they computed."""

    def __init__(
        self,
        case: CaseFile,
        shown: Shown,
        *,
        store: TrajectoryStore,
        metrics: MetricSource | None,
        mask: Mask,
        watch: Watch,
        parallel: int,
        past: Callable[[], Sequence[Incident]] = tuple,
        tools: Sequence[Tool] = CASE,
    ) -> None:
        """`past` gives the incidents that were filed; of `tools` those are offered that have something to answer."""
        self.desk = Desk(case, shown, store=store, metrics=metrics, past=past, mask=mask)
        self._watch = watch
        self._parallel = max(parallel, 1)
        self._tools = {tool.name: tool for tool in tools if tool.offered(self.desk)}
        self._memory: dict[str, tuple[str, bool]] = {}
        self._numbers: dict[str, int] = {}
        self._tables: dict[int, Tabled] = {}
        self._lock = Lock()

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """The tools that there are, in a fixed order: a cached prompt begins with them."""
        return tuple(tool.spec for tool in self._tools.values())

    @property
    def facts(self) -> tuple[Fact, ...]:
        """The rows of the tables that were shown, as facts that claims may cite."""
        return tuple(fact for _, one in sorted(self._tables.items()) for fact in one.facts)

    @property
    def tables(self) -> Mapping[int, Tabled]:
        """The tables that were shown, by the number in the ids of their rows."""
        return dict(self._tables)

    def run(self, calls: Sequence[ToolCall]) -> list[ToolReturn]:
        """Answer the calls of one turn, side by side, in their order. A failing call is answered, never raised."""
        # Numbered before they run: the ids of rows must not depend on which thread is first.
        for call in calls:
            self._numbers.setdefault(_key(call), len(self._numbers) + 1)
        if len(calls) == 1:
            return [self._answer(calls[0])]
        with ThreadPoolExecutor(max_workers=min(self._parallel, max(len(calls), 1))) as pool:
            waiting = [pool.submit(copy_context().run, self._answer, call) for call in calls]
            return [one.result() for one in waiting]

    def lookup(self, trace_id: str, span_id: str) -> Span | None:
        """Return a span of the case with everything that is known of it, or None."""
        return self.desk.lookup(trace_id, span_id)

    def _answer(self, call: ToolCall) -> ToolReturn:
        key = _key(call)
        shown = self.desk.mask(_canonical(call.arguments))
        with self._watch.span(f"execute_tool {call.name}", Operation.TOOL, tool=call.name, input=shown) as mark:
            known = self._memory.get(key)
            if known is None:
                known = self._evaluate(call, self._numbers[key])
                self._memory[key] = known
            text, failed = known
            mark.set(output=text)
            if failed:
                mark.fail("tool_error", text[:200])
        return ToolReturn(call.id, text, failed)

    def _evaluate(self, call: ToolCall, number: int) -> tuple[str, bool]:
        tool = self._tools.get(call.name)
        if tool is None:
            return f"there is no tool {call.name[:60]!r}; use one of {', '.join(self._tools)}", True
        clean = self.desk.clean
        try:
            found = tool.answer(self.desk, call.arguments)
            if not isinstance(found, str):
                found = self._numbered(tabled(found, number, clean, ANSWER_CHARS_MAX), number)
        except ToolError as error:
            return clean(str(error))[:ANSWER_CHARS_MAX], True
        except MetricsQueryError as error:
            return f"Prometheus refused the query: {clean(str(error))[:600]}", True
        except AnalyzerError as error:
            return f"not available: {clean(str(error))[:600]}", True
        except Exception as error:  # noqa: BLE001 - hostile arguments must not end a run; the type says enough
            return f"the tool failed on these arguments ({type(error).__name__}); check their form", True
        text = found[:ANSWER_CHARS_MAX]
        self.desk.shown.say(text)
        return text, False

    def _numbered(self, table: Tabled, number: int) -> str:
        with self._lock:
            self._tables[number] = table
        return table.text


def _key(call: ToolCall) -> str:
    return f"{call.name} {_canonical(call.arguments)}"


def _canonical(arguments: Mapping[str, Any]) -> str:
    return json.dumps(dict(arguments), sort_keys=True, ensure_ascii=False, default=str)[:ARGUMENT_CHARS_MAX]
