"""Runs the tools: inside the case, by page, within bounds, several at once, and never twice for the same question."""

from __future__ import annotations

import difflib
import json
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from analyzer.agent.case import CaseFile, masked_steps
from analyzer.agent.model import ToolCall, ToolReturn, ToolSpec
from analyzer.agent.outline import page as outline_page
from analyzer.agent.outline import rows_of
from analyzer.agent.promql import objection
from analyzer.agent.shown import Shown
from analyzer.agent.text import Mask, find_verbatim, one_line, text_of, visible
from analyzer.agent.tools import METRIC, READ_ONLY
from analyzer.errors import AnalyzerError, MetricsQueryError, NotFoundError
from analyzer.metrics.base import MetricSource, Points
from analyzer.stores.base import TrajectoryStore
from analyzer.types.steps import Step
from analyzer.types.trace import TEXT_FIELDS, Operation, Span
from analyzer.types.trajectory import Trajectory
from analyzer.types.watch import Watch

ROWS_PER_PAGE = 60
PAGE_CHARS = 6_000
ANSWER_CHARS_MAX = 16_000
"""No answer is longer, whatever the tool."""
HITS_MAX = 15
COMPARE_STEPS_MAX = 400
"""Aligning costs the product of both lengths in the worst case."""
COMPARE_LINES_MAX = 60
COMPARE_RUN_MAX = 12
"""Steps listed of one stretch that only one side has."""
POINTS_MAX = 300
SERIES_MAX = 10
OPEN_MAX = 12
"""Trajectories held open at once: payloads of one may be many megabytes."""


class ToolError(Exception):
    """A call that cannot be answered; the message tells the model what to ask instead."""


class Toolbox:
    """The tools of one investigation. The store is only ever used by one thread at a time."""

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
    ) -> None:
        self._case = case
        self._shown = shown
        self._store = store
        self._metrics = metrics
        self._mask = mask
        self._watch = watch
        self._parallel = max(parallel, 1)
        self._store_lock = Lock()
        self._memory: dict[str, tuple[str, bool]] = {}
        self._open: OrderedDict[str, tuple[Trajectory, tuple[Step, ...]]] = OrderedDict()
        self._full: dict[tuple[str, str], Span] = {}
        self._tools: dict[str, Callable[[Mapping[str, Any]], str]] = {
            "case_facts": self._case_facts,
            "outline": self._outline,
            "span": self._span,
            "search": self._search,
            "compare": self._compare,
        }
        if metrics is not None:
            self._tools["metric"] = self._metric

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """The tools that there are, in a fixed order: a cached prompt begins with them."""
        return READ_ONLY if self._metrics is None else (*READ_ONLY, METRIC)

    def run(self, calls: Sequence[ToolCall]) -> list[ToolReturn]:
        """Answer the calls of one turn, side by side, in their order. A failing call is answered, never raised."""
        if len(calls) == 1:
            return [self._answer(calls[0])]
        with ThreadPoolExecutor(max_workers=min(self._parallel, max(len(calls), 1))) as pool:
            waiting = [pool.submit(copy_context().run, self._answer, call) for call in calls]
            return [one.result() for one in waiting]

    def lookup(self, trace_id: str, span_id: str) -> Span | None:
        """Return a span of the case with everything that is known of it, or None."""
        if trace_id not in self._case.trace_ids:
            return None
        try:
            trajectory, _ = self._opened(trace_id)
            return self._whole(trajectory, span_id)
        except (ToolError, AnalyzerError):
            return None

    def _answer(self, call: ToolCall) -> ToolReturn:
        asked = _canonical(call.arguments)
        key = f"{call.name} {asked}"
        with self._watch.span(
            f"execute_tool {call.name}", Operation.TOOL, tool=call.name, input=self._mask(asked)
        ) as mark:
            known = self._memory.get(key)
            if known is None:
                known = self._evaluate(call)
                self._memory[key] = known
            text, failed = known
            mark.set(output=text)
            if failed:
                mark.fail("tool_error", text[:200])
        return ToolReturn(call.id, text, failed)

    def _evaluate(self, call: ToolCall) -> tuple[str, bool]:
        tool = self._tools.get(call.name)
        if tool is None:
            return f"there is no tool {call.name[:60]!r}; use one of {', '.join(self._tools)}", True
        try:
            text = tool(call.arguments)
        except ToolError as error:
            return self._case.markers.clean(str(error))[:ANSWER_CHARS_MAX], True
        except MetricsQueryError as error:
            return f"Prometheus refused the query: {self._case.markers.clean(self._mask(str(error)))[:600]}", True
        except AnalyzerError as error:
            return f"not available: {self._case.markers.clean(self._mask(str(error)))[:600]}", True
        except Exception as error:  # noqa: BLE001 - hostile arguments must not end a run; the type says enough
            return f"the tool failed on these arguments ({type(error).__name__}); check their form", True
        self._shown.say(text)
        return text, False

    def _case_facts(self, _: Mapping[str, Any]) -> str:
        lines = []
        for fact in self._case.facts:
            rests = f" [rests on {', '.join(fact.evidence[:6])}]" if fact.evidence else ""
            lines.append(f"{fact.id}: {self._case.markers.clean(self._mask(fact.text))}{rests}")
        return "\n".join(lines)[:ANSWER_CHARS_MAX]

    def _outline(self, arguments: Mapping[str, Any]) -> str:
        trajectory, steps = self._opened(self._trace(arguments, "trace_id"))
        number = _page(arguments)
        lines, pages = outline_page(rows_of(steps, self._case.markers), number, ROWS_PER_PAGE)
        if not lines:
            raise ToolError(f"there is no page {number}; the outline has {pages}")
        head = f"Outline of {trajectory.summary.trace_id}, page {number} of {pages}; a summary, not quotable"
        return "\n".join([head, *lines])[:ANSWER_CHARS_MAX]

    def _span(self, arguments: Mapping[str, Any]) -> str:
        trajectory, steps = self._opened(self._trace(arguments, "trace_id"))
        wanted = str(arguments.get("span", arguments.get("span_id", arguments.get("step", "")))).strip()
        if wanted.isdigit() and len(wanted) < 16:  # noqa: PLR2004 - the length of a span id
            number = int(wanted)
            if not 1 <= number <= len(steps):
                raise ToolError(f"there is no step {number}; the trajectory has steps 1 to {len(steps)}")
            wanted = steps[number - 1].span_id
        span = self._whole(trajectory, wanted)
        if span is None:
            raise ToolError(f"there is no span {wanted[:40]!r} in this trajectory; take ids from its outline")
        field = arguments.get("field")
        if field not in TEXT_FIELDS:
            raise ToolError(f"field must be one of {', '.join(TEXT_FIELDS)}")
        text = visible(text_of(span, str(field), self._mask))
        if not text:
            held = [name for name in TEXT_FIELDS if getattr(span, name)]
            raise ToolError(f"{field} of this span is empty; it has {', '.join(held) or 'no text at all'}")
        number, pages = _page(arguments), -(-len(text) // PAGE_CHARS)
        body = text[(number - 1) * PAGE_CHARS : number * PAGE_CHARS]
        if not body:
            raise ToolError(f"there is no page {number}; the field has {pages}")
        self._shown.add(span.trace_id, span.span_id, str(field), body)
        return self._case.markers.wrap(span.trace_id, span.span_id, str(field), body, f"page {number} of {pages}")

    def _search(self, arguments: Mapping[str, Any]) -> str:
        text = arguments.get("text")
        if not isinstance(text, str) or not 3 <= len(text.strip()) <= 200:  # noqa: PLR2004 - as the schema says
            raise ToolError("text must have 3 to 200 characters")
        with self._store_lock:
            hits = self._store.search(text.strip(), trace_ids=sorted(self._case.trace_ids), limit=HITS_MAX)
        blocks = []
        for hit in hits[:HITS_MAX]:
            if hit.trace_id not in self._case.trace_ids or hit.field not in TEXT_FIELDS:
                continue
            excerpt = visible(self._mask(hit.excerpt[:1000]))
            span = self.lookup(hit.trace_id, hit.span_id)
            if span is None or find_verbatim(excerpt, visible(text_of(span, hit.field, self._mask))) is None:
                continue
            self._shown.add(hit.trace_id, hit.span_id, hit.field, excerpt)
            blocks.append(self._case.markers.wrap(hit.trace_id, hit.span_id, hit.field, excerpt, "an excerpt"))
        if not blocks:
            # Without the words themselves: what a model made up must not count as shown to it.
            return "nothing in the trajectories of the case holds this text"
        return "\n".join(blocks)[:ANSWER_CHARS_MAX]

    def _compare(self, arguments: Mapping[str, Any]) -> str:
        one, steps_a = self._opened(self._trace(arguments, "trace_a"))
        two, steps_b = self._opened(self._trace(arguments, "trace_b"))
        steps_a, steps_b = steps_a[:COMPARE_STEPS_MAX], steps_b[:COMPARE_STEPS_MAX]
        clean = self._case.markers.clean
        matcher = difflib.SequenceMatcher(None, _signatures(steps_a), _signatures(steps_b), autojunk=False)
        lines = [
            f"{name} = {of.trace_id}: {of.steps} steps, {of.errors} errors, outcome {of.outcome.value}"
            for name, of in (("A", one.summary), ("B", two.summary))
        ]
        for tag, a1, a2, b1, b2 in matcher.get_opcodes():
            if tag == "equal":
                lines.append(f"= A {a1 + 1}-{a2} and B {b1 + 1}-{b2}: the same calls, ending the same way")
                continue
            for name, steps in (("- only A", steps_a[a1:a2]), ("+ only B", steps_b[b1:b2])):
                lines += [f"{name}: {clean(_brief(step))}" for step in steps[:COMPARE_RUN_MAX]]
                if len(steps) > COMPARE_RUN_MAX:
                    lines.append(f"  … and {len(steps) - COMPARE_RUN_MAX} more steps")
        if len(lines) > COMPARE_LINES_MAX:
            lines = [*lines[:COMPARE_LINES_MAX], f"  … {len(lines) - COMPARE_LINES_MAX} more lines"]
        return "\n".join(lines)[:ANSWER_CHARS_MAX]

    def _metric(self, arguments: Mapping[str, Any]) -> str:
        if self._metrics is None:
            raise ToolError("no metric store is configured")
        promql = arguments.get("promql")
        start, end = _moment(arguments.get("start")), _moment(arguments.get("end"))
        step = arguments.get("step", 0)
        if not isinstance(promql, str) or start is None or end is None or not _finite(step):
            raise ToolError("promql must be text, start and end ISO 8601 times with a zone, step a number of seconds")
        if not self._case.start <= start <= end <= self._case.end:
            raise ToolError(f"the window is {self._case.start.isoformat()} to {self._case.end.isoformat()}")
        reason = objection(promql, self._case.agents, self._case.end - self._case.start)
        if reason:
            raise ToolError(reason)
        if step <= 0:
            points = self._metrics.query(promql, end)
        else:
            step = max(float(step), (end - start).total_seconds() / POINTS_MAX, 1.0)
            points = self._metrics.query_range(promql, start, end, step)
        return self._case.markers.clean(self._mask(_table(points, step)))[:ANSWER_CHARS_MAX]

    def _trace(self, arguments: Mapping[str, Any], name: str) -> str:
        given = str(arguments.get(name, "")).strip().lower()
        fits = [trace_id for trace_id in self._case.trace_ids if given and trace_id.startswith(given)]
        if len(fits) != 1:
            known = ", ".join(sorted(self._case.trace_ids)[:12])
            raise ToolError(f"{name} must name one trajectory of the case: {known}")
        return fits[0]

    def _opened(self, trace_id: str) -> tuple[Trajectory, tuple[Step, ...]]:
        with self._store_lock:
            known = self._open.get(trace_id)
            if known is None:
                try:
                    trajectory = self._case.trajectory(trace_id) or self._store.trajectory(trace_id)
                except NotFoundError as error:
                    raise ToolError(f"trajectory {trace_id} is no longer stored; ask for another one") from error
                known = (trajectory, masked_steps(trajectory, self._mask))
                self._open[trace_id] = known
                if len(self._open) > OPEN_MAX:
                    self._open.popitem(last=False)
            return known

    def _whole(self, trajectory: Trajectory, span_id: str) -> Span | None:
        """Return a span as the store has it in full; in long trajectories the loaded one may lack old messages."""
        span = trajectory.span(span_id)
        if span is None:
            return None
        key = (span.trace_id, span.span_id)
        with self._store_lock:
            if key not in self._full:
                try:
                    self._full[key] = self._store.span(*key)
                except NotFoundError:
                    self._full[key] = span
            return self._full[key]


def _canonical(arguments: Mapping[str, Any]) -> str:
    return json.dumps(dict(arguments), sort_keys=True, ensure_ascii=False, default=str)[:4000]


def _page(arguments: Mapping[str, Any]) -> int:
    number = arguments.get("page", 1)
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= 100_000:  # noqa: PLR2004 - a bound
        raise ToolError("page must be a whole number from 1")
    return number


def _moment(value: Any) -> datetime | None:
    try:
        when = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return when.astimezone(UTC) if when.tzinfo is not None else None


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _signatures(steps: Sequence[Step]) -> list[tuple[str, str, str]]:
    return [(step.operation.value, step.name, step.status.value) for step in steps]


def _brief(step: Step) -> str:
    answer = step.status_message or step.output if step.status.value == "error" else step.output
    return (
        f"step {step.number} {step.span_id} {one_line(step.name, 60)} {step.status.value} | "
        f"{one_line(step.input, 60)} -> {one_line(answer, 60)}"
    )


def _table(series: Sequence[Points], step: float) -> str:
    if not series:
        return "no data: no series matches in this range"
    lines = []
    for one in series[:SERIES_MAX]:
        labels = ", ".join(f'{name}="{one_line(value, 60)}"' for name, value in sorted(one.labels.items()))
        pairs = list(zip(one.times_s, one.values, strict=False))
        shown = pairs if len(pairs) <= 1 else pairs[:: max(-(-len(pairs) // 100), 1)]
        values = ", ".join(f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M}Z {value:.6g}" for at, value in shown)
        lines.append(f"{{{labels}}}: {values}")
    if len(series) > SERIES_MAX:
        lines.append(f"… {len(series) - SERIES_MAX} more series; aggregate with sum by (...)")
    return "\n".join(lines) + (f"\n(a point every {step:g} s)" if step > 0 else "")
