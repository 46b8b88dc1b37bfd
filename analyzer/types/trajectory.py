"""Trajectories: all spans of one trace, what counts as a step in them, and their summary."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise, zip_longest

from analyzer.types.messages import last_message, readable
from analyzer.types.quick import quick
from analyzer.types.repeats import completed, repeats_of
from analyzer.types.steps import Step
from analyzer.types.trace import ErrorClass, FinishReason, Operation, Outcome, Span, Status

UNKNOWN_AGENT = "unknown"
"""The agent of a trajectory whose spans name neither an agent nor a service."""


@quick
@dataclass(frozen=True, slots=True)
class TrajectorySummary:
    """What a list, a rollup or a detector needs of a trajectory; one row in the store."""

    trace_id: str
    agent: str
    version: str | None
    model: str | None
    """The model that took most of the tokens."""
    start_ns: int | None
    end_ns: int | None
    complete: bool
    """Whether a root span has arrived: spans are sent when they end, so the root comes last."""
    outcome: Outcome
    spans: int
    steps: int
    inferences: int
    tool_calls: int
    errors: int
    """Steps that failed."""
    tool_errors: int
    retries: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_usd: float | None
    """Sum over the priced inferences, without tools; None where none of them has a price."""
    unpriced: int
    """Inferences with tokens but no known price."""
    tool_cost_usd: float | None
    """Sum over the tool calls that have a cost by rule (see docs/prices.md); None where none has."""
    repeats: int
    """The most calls of one tool, or replies of one agent that no call followed: what the loop detector preselects by.
    No more of either can be the same again."""
    prompt: str | None
    """Declared prompt name and version, or a hash of the system prompt."""
    tools: str | None
    """Hash of the tool definitions offered."""
    conversation_id: str | None
    user_id: str | None
    truncated: int = 0
    """Replies cut at the limit of tokens, and calls refused because the context was full."""
    judged: bool = False
    """Whether an evaluation or an outcome attribute says how it ended; else only its status does."""
    gap_s: float | None = None
    """The longest pause between its steps, in seconds."""
    task: str | None = None
    """The kind of task: equal for goals of the same form."""
    parameters: str | None = None
    sdk: str | None = None

    @property
    def tokens(self) -> int:
        """Input and output tokens."""
        return self.input_tokens + self.output_tokens

    @property
    def duration_s(self) -> float | None:
        """Seconds from first start to last end, or None where times are missing."""
        if self.start_ns is None or self.end_ns is None:
            return None
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The calls of one tool by one agent, added up; a call that was reported twice counts once."""

    agent: str
    tool: str
    calls: int
    seconds: float | None
    """Over the calls that have both times; None where none has."""
    cost_usd: float | None
    """Over the calls that have a cost by rule; None where none has."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A summary and all spans, in order of their start."""

    summary: TrajectorySummary
    spans: tuple[Span, ...]

    @property
    def tool_uses(self) -> tuple[ToolUse, ...]:
        """What each tool was used for, the costliest first, then the slowest."""
        repeats = repeats_of(self.spans)
        calls: dict[str, list[Span]] = {}
        for span in self.spans:
            if span.operation is Operation.TOOL and span.span_id not in repeats:
                calls.setdefault(span.tool or span.name, []).append(span)
        uses = [_tool_use(self.summary.agent, tool, spans) for tool, spans in calls.items()]
        return tuple(sorted(uses, key=lambda use: (-(use.cost_usd or 0), -(use.seconds or 0), use.tool)))

    @property
    def steps(self) -> tuple[Step, ...]:
        """The numbered steps: inferences and tool calls, each counted once."""
        return steps_of(self.spans)

    @property
    def step_numbers(self) -> dict[str, int]:
        """The numbers of the steps by span id; unlike `steps` this reads no texts."""
        in_order = ordered(self.spans)
        counted = _counted_steps(in_order, repeats_of(in_order))
        return {span.span_id: number for number, span in enumerate(counted, start=1)}

    def span(self, span_id: str) -> Span | None:
        """Return the span with this id, or None."""
        return next((span for span in self.spans if span.span_id == span_id), None)


def _tool_use(agent: str, tool: str, spans: Sequence[Span]) -> ToolUse:
    took = [span.duration_ms / 1000 for span in spans if span.duration_ms is not None]
    return ToolUse(agent, tool, len(spans), math.fsum(took) if took else None, _cost_of(spans))


def _cost_of(spans: Iterable[Span]) -> float | None:
    priced = [span.cost_usd for span in spans if span.cost_usd is not None]
    return math.fsum(priced) if priced else None


def ordered(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return spans by start, then end, then id; those without times keep the order of their ids, last."""
    return tuple(sorted(spans, key=_order))


def _order(span: Span) -> tuple[bool, int, int, str]:
    return (span.start_ns is None, span.start_ns or 0, -(span.end_ns or 0), span.span_id)


def steps_of(spans: Iterable[Span]) -> tuple[Step, ...]:
    """Return the numbered steps of a trajectory, a repeated report of one call counted once.

    An error or a text that only the repeated report carries (Claude Code marks the inner span) belongs to the step.
    """
    in_order = ordered(spans)
    repeats = repeats_of(in_order)
    in_order = completed(in_order, repeats)
    broken = {
        repeats[span.span_id]: span for span in in_order if span.span_id in repeats and span.status is Status.ERROR
    }
    steps: list[Step] = []
    agents = _agents(in_order)
    for span in _counted_steps(in_order, repeats):
        at_fault = span if span.status is Status.ERROR else broken.get(span.span_id, span)
        is_tool = span.operation is Operation.TOOL
        steps.append(
            Step(
                number=len(steps) + 1,
                span_id=span.span_id,
                parent_id=span.parent_id,
                operation=span.operation,
                name=(span.tool if is_tool else span.model) or span.name,
                agent=agents.get(span.span_id, span.agent),
                input=readable(span.input) if is_tool else last_message(span.input),
                output=readable(span.output),
                status=at_fault.status,
                status_message=at_fault.status_message,
                error=at_fault.error,
                start_ns=span.start_ns,
                end_ns=span.end_ns,
                tokens=span.tokens.total if span.tokens else 0,
                cost_usd=span.cost_usd,
            )
        )
    return tuple(steps)


def _counted_steps(in_order: Sequence[Span], repeats: Mapping[str, str]) -> list[Span]:
    return [span for span in in_order if span.operation.is_step and span.span_id not in repeats]


def _agents(in_order: Sequence[Span]) -> dict[str, str]:
    """Return the agent of each span of a trajectory in which agents call agents, by span id; empty for a single one.

    Calls of models and tools seldom name their agent (the conventions ask it of the agent's own span alone), or name
    the workflow. So a span that names none, or the one at the top, belongs to the nearest agent around it.
    """
    top = top_of(in_order)
    main = top.agent if top is not None else None
    inner = [span for span in in_order if span.operation is Operation.AGENT and span.agent and span.agent != main]
    if not inner:
        return {}
    by_id = {span.span_id: span for span in in_order}
    nearest: dict[str, str | None] = {}
    """By span id the agent around it, kept for all on the way there: a chain of spans is gone up once."""
    found: dict[str, str] = {}
    for span in in_order:
        if span.agent and span.agent != main:
            found[span.span_id] = span.agent
            continue
        around, way = span, []
        while around.span_id not in nearest:
            nearest[around.span_id] = around.agent
            way.append(around.span_id)
            outer = by_id.get(around.parent_id or "")
            if outer is None or (around.operation is Operation.AGENT and around.agent and around.agent != main):
                break
            around = outer
        nearest.update(dict.fromkeys(way, nearest[around.span_id]))
        if agent := nearest[span.span_id] or span.agent or main:
            found[span.span_id] = agent
    return found


def _repeats(steps: Sequence[Span], agents: Mapping[str, str]) -> int:
    """Return the most calls of one tool, or replies of one agent that no call followed."""
    calls = Counter(span.tool or span.name for span in steps if span.operation is Operation.TOOL)
    replies: Counter[str | None] = Counter()
    for span, after in zip_longest(steps, steps[1:]):
        alone = after is None or after.operation is not Operation.TOOL
        if span.operation.is_inference and alone and span.status is not Status.ERROR:
            replies[agents.get(span.span_id)] += 1
    return max((*calls.values(), *replies.values()), default=0)


def summarise(trace_id: str, in_order: Sequence[Span], repeats: Mapping[str, str] | None = None) -> TrajectorySummary:
    """Add up a trajectory from its spans as `ordered` gives them; `repeats` is what `repeats_of` says of them.

    Payloads are not needed: `system` and `tool_definitions` may be hashes of the texts.
    """
    repeats = repeats_of(in_order) if repeats is None else repeats
    counted = [span for span in in_order if span.span_id not in repeats]
    broken = {repeats[span.span_id] for span in in_order if span.span_id in repeats and span.status is Status.ERROR}
    inferences = [span for span in counted if span.operation.is_inference]
    # What was sent may stand on the repeated report alone: the SDK's own spans leave it out.
    told = [*inferences, *(span for span in in_order if span.operation.is_inference and span.span_id in repeats)]
    tools = [span for span in counted if span.operation is Operation.TOOL]
    steps = [span for span in counted if span.operation.is_step]
    failed = [span for span in steps if span.status is Status.ERROR or span.span_id in broken]
    used = [span for span in inferences if span.tokens is not None]
    starts = [span.start_ns for span in in_order if span.start_ns is not None]
    ends = [span.end_ns for span in in_order if span.end_ns is not None]
    top = top_of(in_order)
    return TrajectorySummary(
        trace_id=trace_id,
        agent=_agent(top, in_order),
        version=_first(top, in_order, "agent_version"),
        model=_main_model(inferences),
        start_ns=min(starts, default=None),
        end_ns=max(ends, default=None),
        complete=top is not None and top.parent_id is None,
        outcome=_outcome(top, in_order, steps, broken),
        spans=len(in_order),
        steps=len(steps),
        inferences=len(inferences),
        tool_calls=len(tools),
        errors=len(failed),
        tool_errors=sum(1 for span in failed if span.operation is Operation.TOOL),
        retries=_retries(steps, broken),
        input_tokens=sum(span.tokens.input for span in used if span.tokens),
        output_tokens=sum(span.tokens.output for span in used if span.tokens),
        cache_read_tokens=sum(span.tokens.cache_read for span in used if span.tokens),
        cache_write_tokens=sum(span.tokens.cache_write for span in used if span.tokens),
        cost_usd=_cost_of(inferences),
        unpriced=sum(1 for span in used if span.cost_usd is None),
        tool_cost_usd=_cost_of(tools),
        repeats=_repeats(steps, _agents(in_order)),
        prompt=_prompt(top, told),
        tools=_first(None, told, "tool_definitions"),
        conversation_id=_first(top, in_order, "conversation_id"),
        user_id=_first(top, in_order, "user_id"),
        truncated=sum(1 for span in inferences if _is_truncated(span)),
        judged=any(span.outcome is not None for span in in_order),
        gap_s=_gap_s(steps),
        task=_first(top, in_order, "task"),
        parameters=_first(None, inferences, "parameters"),
        sdk=_first(None, inferences, "sdk"),
    )


def _is_truncated(span: Span) -> bool:
    return span.finish is FinishReason.LENGTH or span.error is ErrorClass.CONTEXT_LENGTH


def _gap_s(steps: Sequence[Span]) -> float | None:
    """Return the longest time in which no step ran, or None with fewer than two steps."""
    longest, latest = None, None
    for span in steps:
        if span.start_ns is None or span.end_ns is None:
            continue
        if latest is not None:
            longest = max(longest or 0, span.start_ns - latest)
        latest = max(latest or 0, span.end_ns)
    return None if longest is None else longest / 1e9


def top_of(spans: Sequence[Span]) -> Span | None:
    """Return the root, else the agent span under a parent that never arrived: a web framework keeps its own away."""
    root = next((span for span in spans if span.parent_id is None), None)
    if root is not None:
        return root
    known = {span.span_id for span in spans}
    agents = (span for span in spans if span.operation in {Operation.AGENT, Operation.WORKFLOW})
    return next((span for span in agents if span.parent_id not in known), None)


def _first(root: Span | None, spans: Sequence[Span], name: str) -> str | None:
    """Return the first value of a field, the root's before any other."""
    candidates = (root, *spans) if root is not None else spans
    return next((value for span in candidates if (value := getattr(span, name))), None)


def _agent(root: Span | None, spans: Sequence[Span]) -> str:
    named = _first(root, spans, "agent") or _first(root, spans, "service")
    return named or UNKNOWN_AGENT


def _main_model(inferences: Sequence[Span]) -> str | None:
    weights: Counter[str] = Counter()
    for span in inferences:
        if span.model:
            weights[span.model] += 1 + (span.tokens.total if span.tokens else 0)
    return min(weights, key=lambda model: (-weights[model], model), default=None)


def _outcome(top: Span | None, spans: Sequence[Span], steps: Sequence[Span], broken: AbstractSet[str]) -> Outcome:
    """Return how it ended.

    The verdicts on the run count first, which an evaluator passed below the top span; then what the top span says of
    itself, then a verdict on any part, in the end the status of the top span. A run whose last step failed and that
    had no step after it broke there, whether or not its framework marked the top span. Without a top span it still
    runs.
    """
    judged = [span for span in spans if span.outcome is not None]
    of_run = [span for span in judged if top is not None and span.parent_id == top.span_id]
    verdicts = [span for span in of_run if span.operation is Operation.OTHER]
    own = [top] if top is not None and top.outcome is not None else []
    for said in (verdicts, own, judged):
        if said and (outcome := said[-1].outcome):
            return outcome
    if top is None:
        return Outcome.UNKNOWN
    last_failed = bool(steps) and (steps[-1].status is Status.ERROR or steps[-1].span_id in broken)
    return Outcome.ERROR if top.status is Status.ERROR or last_failed else Outcome.SUCCESS


def _retries(steps: Sequence[Span], broken: AbstractSet[str]) -> int:
    """Count tries beyond the first: reported attempts, and a step that repeats the one that failed before it."""
    retries = sum(span.attempt - 1 for span in steps)
    for before, after in pairwise(steps):
        failed = before.status is Status.ERROR or before.span_id in broken
        same = (before.operation, before.tool, before.model) == (after.operation, after.tool, after.model)
        if failed and same and after.attempt == 1:
            retries += 1
    return retries


def _prompt(root: Span | None, inferences: Sequence[Span]) -> str | None:
    """Return the declared prompt (`name@version`), else the system prompt's reference."""
    spans = (*inferences, root) if root is not None else tuple(inferences)
    declared = next((span for span in spans if span.prompt_name or span.prompt_version), None)
    if declared is not None:
        return "@".join(part for part in (declared.prompt_name, declared.prompt_version) if part)
    return _first(None, inferences, "system")
