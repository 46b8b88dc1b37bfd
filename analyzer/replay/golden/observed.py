"""A run as it is judged: its steps, what it was offered, and what it used."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from analyzer.detectors.loops.normalise import digest, mask
from analyzer.masking.forms import PSEUDONYM
from analyzer.replay.alike import normalised
from analyzer.replay.conversation import ToolCall, definitions_in, messages_in
from analyzer.replay.recording import tools_version
from analyzer.types.messages import CALL_MARK, last_message, readable
from analyzer.types.noise import parsed
from analyzer.types.repeats import completed
from analyzer.types.steps import Step
from analyzer.types.trace import ErrorClass, Operation, Outcome, Span, Status
from analyzer.types.trajectory import Trajectory, ordered, steps_of, top_of

_STEP_ENUMS = {"operation": Operation, "status": Status, "error": ErrorClass}


@dataclass(frozen=True, slots=True)
class Observed:
    """What is judged of a trajectory; `replace(run, steps=...)` is a part of one."""

    trace_id: str
    agent: str
    version: str | None
    task: str | None
    """The kind of task, as the store has it."""
    goal: str
    """What it was asked for, masked; empty where no span tells."""
    prompt: str | None
    """Declared name and version of the prompt, else a key of the system prompt without its ids, times and dates."""
    tools: str | None
    """Hash of the tools it was offered, with their schemas; None where no span tells."""
    offered: tuple[str, ...]
    """Names of the tools that any of its model calls was offered; empty where no span tells."""
    outcome: Outcome
    complete: bool
    """Whether its top span came, which comes last: of a run that goes on, nothing is missing yet."""
    steps: tuple[Step, ...]
    untraced: tuple[Step, ...] = ()
    """Calls that only a reply of the model tells of, with the number of that reply: some SDKs report no tools."""

    @property
    def began_ns(self) -> int | None:
        """When its first step began; None where no step tells."""
        return min((step.start_ns for step in self.steps if step.start_ns is not None), default=None)

    @property
    def calls(self) -> tuple[Step, ...]:
        """The calls of tools, those that only a reply asks for among them."""
        traced = (step for step in self.steps if step.operation is Operation.TOOL)
        if not self.untraced:
            return tuple(traced)
        numbers = {step.number for step in self.steps}
        told = (step for step in self.untraced if step.number in numbers)
        return tuple(sorted((*traced, *told), key=lambda step: step.number))

    @property
    def length(self) -> int:
        """How many steps it took, calls that only a reply tells of among them: what one SDK reports is no shorter."""
        numbers = {step.number for step in self.steps}
        return len(self.steps) + sum(step.number in numbers for step in self.untraced)

    @property
    def replies(self) -> tuple[Step, ...]:
        """What the model said and no tool was to read: its answers to whoever asked."""
        return tuple(
            step
            for step in self.steps
            if step.operation is Operation.CHAT and step.output.strip() and CALL_MARK not in step.output
        )

    @property
    def tokens(self) -> int | None:
        """Input and output tokens of all steps; None where none was reported."""
        return sum(step.tokens for step in self.steps) or None

    @property
    def cost_usd(self) -> float | None:
        """What the priced steps cost; None where none has a price."""
        priced = [step.cost_usd for step in self.steps if step.cost_usd is not None]
        return math.fsum(priced) if priced else None

    @property
    def unpriced(self) -> bool:
        """Whether some step used tokens without a known price, so that the cost is a part of the whole."""
        return any(step.tokens and step.cost_usd is None for step in self.steps)


def observed(trajectory: Trajectory) -> Observed:
    """Return a trajectory as it is judged."""
    summary, spans = trajectory.summary, trajectory.spans
    steps, untraced = _steps(spans)
    offered = definitions_in(_first(spans, "tool_definitions"))
    return Observed(
        trace_id=summary.trace_id,
        agent=summary.agent,
        version=summary.version,
        task=summary.task,
        goal=_goal(spans),
        prompt=_prompt(spans),
        tools=tools_version(offered) or None,
        offered=_offered(spans),
        outcome=summary.outcome,
        # Not whether the root came: where a web framework exports it elsewhere, the agent has ended all the same.
        complete=top_of(spans) is not None,
        steps=steps,
        untraced=untraced,
    )


def goal_key(goal: str) -> str:
    """Return what tells one goal from another: its words, without the ids and times that differ from run to run."""
    return digest(mask(unkeyed(goal)))


def unkeyed(text: str) -> str:
    """Return a text whose pseudonyms say only what kind of secret each is: stores have keys of their own."""
    return PSEUDONYM.sub(lambda found: found[0].partition(":")[0] + ">", text)


def step_document(step: Step) -> dict[str, Any]:
    """Return a step as JSON, without the fields that say nothing."""
    return {name: value for name, value in asdict(step).items() if value not in (None, "", 0) or name == "number"}


def step_from(document: Mapping[str, Any]) -> Step:
    """Return the step of a JSON document. Raises KeyError, TypeError or ValueError where it is none."""
    empty: dict[str, Any] = {field.name: None for field in fields(Step)}
    empty |= {"name": "", "input": "", "output": "", "status": "ok", "status_message": "", "tokens": 0, "span_id": ""}
    given = {**empty, **{name: document[name] for name in empty if name in document}}
    for name, kind in _STEP_ENUMS.items():
        given[name] = None if given[name] is None and name == "error" else kind(given[name])
    if not isinstance(given["number"], int) or not isinstance(given["input"], str):
        raise TypeError("a step has a number, and texts")
    return Step(**given)


def _steps(spans: Iterable[Span]) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """Return the steps, with the arguments of tools as they were given, and the calls that no span of a tool tells of.

    `steps_of` shows a payload that looks like a message as one: an argument named `role` would be lost.
    """
    whole = {span.span_id: span for span in completed(ordered(spans))}
    steps = tuple(
        replace(step, input=whole[step.span_id].input or "") if step.operation is Operation.TOOL else step
        for step in steps_of(spans)
    )
    left = [
        (whole[step.span_id].tool_call_id, step.name, normalised(parsed(step.input)))
        for step in steps
        if step.operation is Operation.TOOL
    ]
    asked = [
        (step, call)
        for step in steps
        if step.operation is Operation.CHAT
        for message in messages_in(whole[step.span_id].output)
        for call in message.tool_calls
    ]
    return steps, tuple(_untraced(step, call) for step, call in _unmatched(asked, left))


def _unmatched(
    asked: list[tuple[Step, ToolCall]], left: list[tuple[str | None, str, str]]
) -> list[tuple[Step, ToolCall]]:
    """Return what was asked for and no span of a tool has: by id, then by arguments, in the end by the tool alone.

    By the tool alone since frameworks fill in defaults; `left` (id, tool, arguments) is used up.
    """

    def is_own(call: ToolCall, span: tuple[str | None, str, str]) -> bool:
        return bool(call.id) and span[0] == call.id

    def is_same(call: ToolCall, span: tuple[str | None, str, str]) -> bool:
        return span[1:] == (call.name, normalised(call.arguments))

    def is_of_tool(call: ToolCall, span: tuple[str | None, str, str]) -> bool:
        return span[1] == call.name

    for fits in (is_own, is_same, is_of_tool):
        unmatched = []
        for step, call in asked:
            at = next((at for at, span in enumerate(left) if fits(call, span)), None)
            if at is None:
                unmatched.append((step, call))
            else:
                del left[at]
        asked = unmatched
    return asked


def _untraced(step: Step, call: ToolCall) -> Step:
    """Return the call that a reply asks for as a step of its own; what came of it is not known."""
    given = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments, ensure_ascii=False)
    return replace(
        step, operation=Operation.TOOL, name=call.name, input=given, output="", tokens=0, cost_usd=None, end_ns=None
    )


def _first(spans: Iterable[Span], name: str) -> str | None:
    return next((value for span in spans if (value := getattr(span, name))), None)


def _offered(spans: Iterable[Span]) -> tuple[str, ...]:
    payloads = dict.fromkeys(span.tool_definitions for span in spans if span.tool_definitions)
    return tuple(dict.fromkeys(one.name for payload in payloads for one in definitions_in(payload)))


def _goal(spans: tuple[Span, ...]) -> str:
    top = top_of(spans)
    if top is not None and top.input:
        return last_message(top.input)
    first = next((span for span in spans if span.operation is Operation.CHAT and span.input), None)
    return last_message(first.input) if first is not None else ""


def _prompt(spans: tuple[Span, ...]) -> str | None:
    declared = next((span for span in spans if span.prompt_name or span.prompt_version), None)
    if declared is not None:
        return "@".join(part for part in (declared.prompt_name, declared.prompt_version) if part)
    system = _first(spans, "system")
    return None if system is None else digest(mask(unkeyed(readable(system))))
