"""A log of messages to spans: an inference for each reply, a tool span for each call, one agent span around them.

A log has no spans, so their ids are made: the trace's from the run's own id or its content, a span's from its place
in the log, so that ids sort as the log does and reading a log again, or a longer copy of it, gives the same ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from analyzer.ingest.folds import error_class
from analyzer.ingest.importers.entries import Reply, Returned, Run
from analyzer.ingest.importers.history import SYSTEM_ROLES, History
from analyzer.ingest.importers.values import hex_id, json_of
from analyzer.ingest.pricing import Pricer
from analyzer.types.trace import Operation, Span, Status

LEFT_OUT = "analyzer.import.messages_left_out"
NO_RESULT = "analyzer.import.no_result"
NO_CALL = "analyzer.import.no_call"
UNTIMED = "gives no times: `traces` and `ask` show the run, but it lies in no window that `run` looks at"
WHOLE_RUN = "analyzer.import.usage_of_whole_run"
"""On the last inference of a run whose log gives only the total: that tokens and cost are those of the whole run."""


class Transcript:
    """Builds the spans of one run, or of one subagent within it. Finished spans are collected with `take`."""

    def __init__(
        self,
        form: str,
        key: str,
        *,
        note: Callable[[str, str], None],
        pricer: Pricer | None = None,
        first_ns: int | None = None,
        part: str = "",
        parent_id: str | None = None,
        run: Run | None = None,
    ) -> None:
        """Begin a transcript.

        `form` and `key` make the trace id; `part` sets the span ids of a subagent apart, whose agent span hangs below
        `parent_id`. `first_ns` is the earliest moment that the log gives: steps before it have no other. `run` is
        what is known at the beginning; `finish` may know more.
        """
        self.trace_id = hex_id(32, form, key)
        self._suffix = hex_id(8, self.trace_id, part)
        self.root_id = self._id(1)
        self.run = run or Run()
        self._form, self._note, self._pricer = form, note, pricer
        self._parent_id = parent_id
        self._ordinal = 1
        self._first_ns: int | None = None
        self._end_ns: int | None = None
        self._last_ns = None if first_ns is None else first_ns - 1
        self._backwards = False
        self._history = History()
        self._system: str | None = None
        self._pending: list[tuple[Span, str]] = []
        self._held: Span | None = None
        self._counted = False
        self._spans: list[Span] = []

    def hear(self, message: Mapping[str, Any], at_ns: int | None = None) -> None:
        """Add a message that is no answer to the history: a system prompt, a user's words, a tool's result."""
        self._reach(at_ns)
        content = message.get("content")
        if message.get("role") in SYSTEM_ROLES and content and (self._system is None or not self._history):
            self._system = content if isinstance(content, str) else json_of(content)
        self._history.add(message)

    def reply(self, reply: Reply) -> str:
        """Add an answer: an inference with the history so far, and a tool call for each that it asks for.

        Returns the span id of the inference.
        """
        start_ns, end_ns = self._place(reply.start_ns, reply.end_ns)
        left_out = {LEFT_OUT: self._history.left_out} if self._history.left_out and reply.prompt is None else {}
        agent = reply.agent or self.run.agent
        span = Span(
            trace_id=self.trace_id,
            span_id=self._next_id(),
            parent_id=self.root_id,
            name=f"chat {reply.model}" if reply.model else "chat",
            operation=Operation.CHAT,
            start_ns=start_ns,
            end_ns=end_ns,
            **_failure(reply.error_type, reply.error_message, Operation.CHAT),
            agent=agent,
            agent_version=reply.agent_version or self.run.agent_version,
            provider=reply.provider,
            model=reply.model,
            response_id=reply.response_id,
            tokens=reply.tokens,
            cost_usd=self._cost(reply, start_ns),
            finish=reply.finish,
            conversation_id=self.run.conversation_id,
            user_id=self.run.user_id,
            input=reply.prompt or self._history.json(),
            output=f"[{json_of(reply.message)}]",
            system=reply.system or self._system,
            tool_definitions=self.run.tool_definitions,
            attributes={**reply.attributes, **left_out},
            scope=self._form,
        )
        self._counted = self._counted or span.tokens is not None or span.cost_usd is not None
        self._hold(span)
        self._history.add(reply.message)
        self._begin(reply, agent)
        return span.span_id

    def _begin(self, reply: Reply, agent: str | None) -> None:
        """Open a tool span for each call of a reply."""
        asked = {call.id for call in reply.calls if call.id}
        for span, position in [entry for entry in self._pending if entry[0].tool_call_id in asked]:
            # Some gateways number the calls of every reply from 0: the earlier one can no longer be answered.
            self._give_up(span, position)
        for call in reply.calls:
            start_ns, _ = self._place(call.at_ns or reply.start_ns, None)
            opened = Span(
                trace_id=self.trace_id,
                span_id=self._next_id(),
                parent_id=self.root_id,
                name=f"execute_tool {call.tool}" if call.tool else "execute_tool",
                operation=Operation.TOOL,
                start_ns=start_ns,
                agent=agent,
                agent_version=reply.agent_version or self.run.agent_version,
                tool=call.tool,
                tool_call_id=call.id,
                conversation_id=self.run.conversation_id,
                user_id=self.run.user_id,
                input=call.arguments or None,
                attributes=call.attributes,
                scope=self._form,
            )
            self._pending.append((opened, reply.position))

    def returned(self, result: Returned) -> None:
        """Add what came back from a tool. One that no call asked for is kept as a span of its own, and noted."""
        self._reach(result.at_ns)
        index = self._match(result)
        if index is None:
            start_ns, _ = self._place(result.at_ns, None)
            opened = Span(
                trace_id=self.trace_id,
                span_id=self._next_id(),
                parent_id=self.root_id,
                name=f"execute_tool {result.tool}" if result.tool else "execute_tool",
                operation=Operation.TOOL,
                start_ns=start_ns,
                agent=self.run.agent,
                agent_version=self.run.agent_version,
                tool=result.tool,
                tool_call_id=result.id,
                attributes={NO_CALL: True},
                scope=self._form,
            )
            self._note(result.position, f"a tool result without a call (id {result.id or 'none'}): kept as a step")
        else:
            opened, _ = self._pending.pop(index)
        # Of a result without a call only the one moment is known, of an answered call its end.
        end_ns = result.at_ns if index is not None else None
        if end_ns is not None and opened.start_ns is not None:
            end_ns = max(end_ns, opened.start_ns)
        attributes = {**opened.attributes, **result.attributes}
        self._spans.append(
            replace(
                opened,
                end_ns=end_ns,
                output=result.output,
                cost_usd=self._tool_cost(opened, end_ns, attributes, result.output),
                attributes=attributes,
                **_failure(result.error_type, result.error_message, Operation.TOOL, failed=result.failed),
            )
        )

    def take(self) -> Iterator[Span]:
        """Yield the spans that are finished, in no particular order, and forget them."""
        done, self._spans = self._spans, []
        yield from done

    def drop_history(self) -> None:
        """Forget the messages so far: the agent began its context anew."""
        self._history.begin_anew()

    def finish(self, run: Run | None = None) -> None:
        """Close what is open: calls without results, the last inference, the agent span around all."""
        run = self.run = run or self.run
        for span, position in list(self._pending):
            self._give_up(span, position)
        if self._held is not None and not self._counted and (run.tokens is not None or run.cost_usd is not None):
            marked = {**self._held.attributes, WHOLE_RUN: True}
            self._held = replace(self._held, tokens=run.tokens, cost_usd=run.cost_usd, attributes=marked)
            self._note("", "gives tokens and cost of the whole run only: they stand on its last inference")
        self._hold(None)
        if self._backwards:
            self._note("", "its times run backwards in places: those steps keep the order of the log")
        starts = [time for time in (run.start_ns, self._first_ns) if time is not None]
        ends = [time for time in (run.end_ns, self._end_ns) if time is not None]
        start_ns, end_ns = min(starts, default=None), max(ends, default=None)
        if end_ns is None:
            self._note("", UNTIMED)
        self._spans.append(
            Span(
                trace_id=self.trace_id,
                span_id=self.root_id,
                parent_id=self._parent_id,
                name=f"invoke_agent {run.agent}" if run.agent else "invoke_agent",
                operation=Operation.AGENT,
                start_ns=start_ns,
                end_ns=end_ns,
                **_failure(run.error_type, run.error_message, Operation.AGENT),
                agent=run.agent,
                agent_version=run.agent_version,
                model=run.model,
                conversation_id=run.conversation_id,
                user_id=run.user_id,
                # A subagent's end is not the trajectory's: only the outermost span judges.
                outcome=run.outcome if self._parent_id is None else None,
                input=run.goal or None,
                output=run.answer or None,
                attributes=run.attributes,
                scope=self._form,
            )
        )

    def _give_up(self, span: Span, position: str) -> None:
        """Keep a call that never got its result."""
        self._pending = [entry for entry in self._pending if entry[0] is not span]
        self._note(position, f"the call of {span.tool or 'a tool'} (id {span.tool_call_id or 'none'}) has no result")
        self._spans.append(replace(span, attributes={**span.attributes, NO_RESULT: True}))

    def _match(self, result: Returned) -> int | None:
        """Return the place of the call that a result answers: by id, or the oldest open one where it has no id."""
        for index, (span, _) in enumerate(self._pending):
            same_tool = result.tool is None or span.tool is None or span.tool == result.tool
            if span.tool_call_id == result.id if result.id else same_tool:
                return index
        return None

    def _hold(self, span: Span | None) -> None:
        """Release the inference before this one: only the last may get the totals of the run."""
        if self._held is not None:
            self._spans.append(self._held)
        self._held = span

    def _cost(self, reply: Reply, start_ns: int | None) -> float | None:
        if reply.cost_usd is not None or reply.tokens is None or self._pricer is None:
            return reply.cost_usd
        at = None if start_ns is None else datetime.fromtimestamp(start_ns / 1e9, UTC)
        return self._pricer.cost(reply.provider, reply.model, reply.tokens, at, service_tier=reply.service_tier)

    def _tool_cost(self, span: Span, end_ns: int | None, attributes: Mapping[str, Any], result: str) -> float | None:
        if self._pricer is None:
            return None
        return self._pricer.tools.cost(
            span.tool, start_ns=span.start_ns, end_ns=end_ns, attributes=attributes, result=result
        )

    def _place(self, start_ns: int | None, end_ns: int | None) -> tuple[int | None, int | None]:
        """Return the times of a step such that steps sort as they stand in the log.

        A step without a time of its own stands with the last one that has: it came no earlier. Equal times are set
        apart by a nanosecond, which is below what any log records.
        """
        self._reach(start_ns)
        self._reach(end_ns)
        if start_ns is None:
            start_ns, end_ns = (None, None) if end_ns is None else (end_ns, end_ns)
        last = self._last_ns
        if last is not None and (start_ns is None or start_ns <= last):
            self._backwards = self._backwards or (start_ns is not None and start_ns < last - _SAME_NS)
            start_ns = last + 1
        if start_ns is not None:
            self._last_ns = start_ns
            end_ns = None if end_ns is None else max(end_ns, start_ns)
        return start_ns, end_ns

    def _reach(self, time_ns: int | None) -> None:
        """Note a moment that the log gives: the run lasts from the first to the last of them."""
        if time_ns is not None:
            self._first_ns = time_ns if self._first_ns is None else min(self._first_ns, time_ns)
            self._end_ns = time_ns if self._end_ns is None else max(self._end_ns, time_ns)

    def _next_id(self) -> str:
        self._ordinal += 1
        return self._id(self._ordinal)

    def _id(self, ordinal: int) -> str:
        return f"{ordinal:08x}{self._suffix}"


_SAME_NS = 1_000_000
"""Steps that were set apart lie at most this far behind their own time; only more is a clock that ran backwards."""


def _failure(error_type: str, message: str, operation: Operation, *, failed: bool = False) -> dict[str, Any]:
    if not (failed or error_type):
        return {}
    return {
        "status": Status.ERROR,
        "status_message": message,
        "error": error_class(error_type, message, None, operation),
        "error_type": error_type,
    }
