"""A trajectory as what can be run again: every model call with its request and decision, every tool with its result.

Pure. What is not in the spans is named in `Recording.missing`, with what that costs; nothing is made up in its place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from analyzer.masking.forms import PSEUDONYM
from analyzer.replay.alike import Decision, ids_given, normalised
from analyzer.replay.conversation import Message, ToolDefinition, definitions_in, messages_in, text_in
from analyzer.types.noise import parsed
from analyzer.types.repeats import completed, repeats_of
from analyzer.types.trace import Operation, Span, Status
from analyzer.types.trajectory import Trajectory, ordered

HASH_CHARS = 12


@dataclass(frozen=True, slots=True)
class Request:
    """What a model was sent."""

    model: str
    """"" where the source does not tell."""
    parameters: Mapping[str, Any]
    """As `ingest/parameters` names them: numbers and words; empty where the source does not tell."""
    system: str
    tools: tuple[ToolDefinition, ...]
    messages: tuple[Message, ...]
    """Without the system prompt."""
    provider: str = ""
    prompt_version: str = ""
    """Declared (`name@version`), else a hash of the system prompt; "" where there is neither."""
    tools_version: str = ""
    """A hash of the tool definitions; "" without any."""

    @property
    def given(self) -> frozenset[str]:
        """The ids that the model was told: `same_decision` keeps them apart."""
        return ids_given(self.system, self.messages)


@dataclass(frozen=True, slots=True)
class Call:
    """One model call."""

    number: int
    """Of the step, as `traces show` prints it."""
    span: Span
    request: Request
    decision: Decision


@dataclass(frozen=True, slots=True)
class Execution:
    """One tool call, and what came of it."""

    number: int | None
    """Of the step; None where only a later request of the model tells of it."""
    span: Span | None
    tool: str
    call_id: str
    """The id in the decision that asked for it; "" where no decision can be told."""
    arguments: Any
    """Parsed."""
    result: str | None
    """As text; None where the source kept none."""
    failed: bool


@dataclass(frozen=True, slots=True)
class Missing:
    """Something a replay needs and the spans do not hold."""

    what: str
    step: int | None
    """None where it is missing everywhere."""
    costs: str
    """What cannot be done without it, as a sentence."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A trajectory that can be run again, as far as it was recorded."""

    trace_id: str
    agent: str
    agent_version: str | None
    task: str
    """The goal as the agent was given it; else the first words of the user."""
    calls: tuple[Call, ...]
    """In the order of the steps."""
    executions: tuple[Execution, ...]
    missing: tuple[Missing, ...]

    def call(self, number: int) -> Call | None:
        """Return the model call of a step, or None where that step is none."""
        return next((call for call in self.calls if call.number == number), None)


def recording_of(trajectory: Trajectory) -> Recording:
    """Return what a trajectory lets be run again. Never raises."""
    in_order = ordered(trajectory.spans)
    broken = _broken(in_order)
    spans = completed(in_order)
    numbers = trajectory.step_numbers
    steps = [span for span in spans if span.span_id in numbers]
    calls = tuple(_call(numbers[span.span_id], span) for span in steps if span.operation is Operation.CHAT)
    tools = tuple(
        _execution(numbers[span.span_id], span, failed=span.status is Status.ERROR or span.span_id in broken)
        for span in steps
        if span.operation is Operation.TOOL
    )
    executions = _matched(calls, (*tools, *_told(calls, tools)))
    summary = trajectory.summary
    return Recording(
        trace_id=summary.trace_id,
        agent=summary.agent,
        agent_version=summary.version,
        task=_task(spans, calls),
        calls=calls,
        executions=executions,
        missing=tuple(_missing(calls, executions)),
    )


def version_of(text: str) -> str:
    """Return the hash that stands for the version of a text where none was declared: the head of its SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:HASH_CHARS]


def tools_version(tools: Sequence[ToolDefinition]) -> str:
    """Return a hash of tool definitions that does not depend on their order, or on that of their keys; "" for none."""
    if not tools:
        return ""
    documents = sorted(
        json.dumps([tool.name, tool.description, tool.schema], sort_keys=True, default=str) for tool in tools
    )
    return version_of("\n".join(documents))


def _broken(spans: Sequence[Span]) -> set[str]:
    """Return the steps whose failure only a repeated report of them carries."""
    repeats = repeats_of(spans)
    return {repeats[span.span_id] for span in spans if span.span_id in repeats and span.status is Status.ERROR}


def _call(number: int, span: Span) -> Call:
    messages = messages_in(span.input)
    head = "\n".join(message.text for message in messages if message.role == "system")
    system = text_in(span.system) or head
    tools = definitions_in(span.tool_definitions)
    declared = "@".join(part for part in (span.prompt_name, span.prompt_version) if part)
    request = Request(
        model=span.model or "",
        parameters=_parameters(span.parameters),
        system=system,
        tools=tools,
        messages=tuple(message for message in messages if message.role != "system"),
        provider=span.provider or "",
        prompt_version=declared or (version_of(system) if system else ""),
        tools_version=tools_version(tools),
    )
    return Call(number, span, request, _decision(span))


def _decision(span: Span) -> Decision:
    replies = messages_in(span.output)
    return Decision(
        text="\n".join(reply.text for reply in replies if reply.text),
        tool_calls=tuple(call for reply in replies for call in reply.tool_calls),
        finish=span.finish,
    )


def _parameters(text: str | None) -> dict[str, Any]:
    """Read `max_tokens=4096 temperature=0.2` back into values."""
    pairs = (pair.partition("=") for pair in (text or "").split())
    return {name: _value(value) for name, _, value in pairs if name}


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _execution(number: int, span: Span, *, failed: bool) -> Execution:
    arguments = _arguments(span.input)
    result = None if span.output is None else text_in(span.output)
    if result is None and failed:
        result = span.status_message or None
    return Execution(number, span, span.tool or span.name, span.tool_call_id or "", arguments, result, failed)


def _arguments(text: str | None) -> Any:
    """Return the recorded arguments of a tool as values: {} for none, text where they are no JSON."""
    return {} if text is None or not text.strip() else parsed(text)


def _told(calls: Sequence[Call], tools: Sequence[Execution]) -> Iterator[Execution]:
    """Yield the tool calls that only the conversation tells of: some SDKs report no tools, but send what they gave."""
    known = {execution.call_id for execution in tools if execution.call_id}
    if any(not execution.call_id for execution in tools):
        # Tools were recorded, without the ids by which they could be told from these.
        return
    asked = {one.id: one for call in calls for one in call.decision.tool_calls if one.id}
    for call in calls:
        for message in call.request.messages:
            for returned in message.returns:
                one = asked.get(returned.call_id)
                if one is not None and one.id not in known:
                    known.add(one.id)
                    yield Execution(None, None, one.name, one.id, one.arguments, returned.text, returned.failed)


def _matched(calls: Sequence[Call], executions: Sequence[Execution]) -> tuple[Execution, ...]:
    """Give an execution without an id that of the latest call before it for the same tool and arguments."""
    taken = {execution.call_id for execution in executions if execution.call_id}
    found = []
    for execution in executions:
        if execution.call_id or execution.number is None:
            found.append(execution)
            continue
        wanted = normalised(execution.arguments)
        before = [call for call in calls if call.number < execution.number]
        asked = (one for call in reversed(before) for one in call.decision.tool_calls)
        same = (one.id for one in asked if one.name == execution.tool and normalised(one.arguments) == wanted)
        call_id = next((one for one in same if one and one not in taken), "")
        taken.add(call_id)
        found.append(replace(execution, call_id=call_id))
    return tuple(found)


def _task(spans: Iterable[Span], calls: Sequence[Call]) -> str:
    goals = (text_in(span.input) for span in spans if span.operation is Operation.AGENT and span.input)
    asked = (one.text for call in calls for one in call.request.messages if one.role == "user" and one.text)
    return next(goals, "") or next(asked, "")


_NEEDS: tuple[tuple[str, str], ...] = (
    ("model", "the call cannot be sent again unless --model says which model"),
    ("messages", "the call cannot be sent again, and no replay can tell whether its request still is the same"),
    ("decision", "nothing can be compared with what a replay decides; have the instrumentation capture contents"),
    ("system prompt", "if there was one, the replay goes without it and may decide otherwise"),
    ("parameters", "the replay runs with the provider's defaults, and with a limit of its own for the reply"),
    ("tool definitions", "the model cannot be told what it could call: the call cannot be judged"),
    ("finish reason", "a reply that was cut short cannot be told from a whole one"),
)
"""What a model call needs, and what it costs where that is missing."""


def lacks(call: Call, *, has_tools: bool = False) -> tuple[str, ...]:
    """Return what a model call lacks, in the words of `Missing.what`. `has_tools`: the run is known to use tools."""
    request, decision = call.request, call.decision
    uses_tools = has_tools or bool(decision.tool_calls) or any(one.tool_calls for one in request.messages)
    present = {
        "model": bool(request.model),
        "messages": bool(request.messages),
        "decision": not decision.is_empty or call.span.status is Status.ERROR,
        "system prompt": bool(request.system),
        "parameters": bool(request.parameters),
        "tool definitions": bool(request.tools) or not uses_tools,
        "finish reason": decision.finish is not None or decision.is_empty,
    }
    return tuple(what for what, _ in _NEEDS if not present[what])


def _missing(calls: Sequence[Call], executions: Sequence[Execution]) -> Iterator[Missing]:
    if not calls:
        yield Missing("model calls", None, "nothing can be replayed")
    lacking = {call.number: lacks(call, has_tools=bool(executions)) for call in calls}
    for what, costs in _NEEDS:
        without = [call.number for call in calls if what in lacking[call.number]]
        yield from _where(what, without, len(calls), costs)
    results = [one.number for one in executions if one.result is None and one.number is not None]
    yield from _where("tool result", results, len(executions), "it cannot be served: a whole replay stops there")
    unasked = [one.number for one in executions if not one.call_id and one.number is not None]
    costs = "which call of the model it answers is not known; it is served by tool and arguments"
    yield from _where("tool call id", unasked, len(executions), costs)
    left_out = {call.number: {part for one in call.request.messages for part in one.left_out} for call in calls}
    for what in sorted(set().union(*left_out.values())):
        steps = [number for number, parts in left_out.items() if what in parts]
        yield from _where(what, steps, len(calls), "such a part of a message cannot be sent again and is left out")
    yield from _masked(calls, executions)


def _where(what: str, steps: Sequence[int], of: int, costs: str) -> Iterator[Missing]:
    """Yield one line for what is missing everywhere, else one a step."""
    if steps and len(steps) == of:
        yield Missing(what, None, costs)
    else:
        yield from (Missing(what, step, costs) for step in steps)


def _masked(calls: Sequence[Call], executions: Sequence[Execution]) -> Iterator[Missing]:
    """Name what was masked before it was stored: a replay sees the pseudonyms, as its model will."""
    texts = [text for call in calls for text in (call.span.system, call.span.input, call.span.output) if text]
    texts += [one.result for one in executions if one.result]
    names = {name for text in texts for name in PSEUDONYM.findall(text)}
    if names:
        some = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")  # noqa: PLR2004 - three show the form
        costs = (
            f"the model reads a pseudonym in the place of each ({some}): it may decide otherwise where the text itself"
            " matters, and a tool asked with one does not find what it stands for"
        )
        yield Missing("masked texts", None, costs)
