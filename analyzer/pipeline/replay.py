"""`replay --step`: the recorded request of one model call sent again, as it was or with one thing changed.

How often the model takes the recorded decision says whether the fault lies in what it was told or in its luck; with
one thing changed, whether it lies in that. Each call is paid for, logged and traced as the analyst's own are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from analyzer.agent.asking import Asking
from analyzer.agent.investigate import Means
from analyzer.agent.limits import ESTIMATE_MARGIN, Refusal, size_of
from analyzer.agent.model import (
    PROVIDER,
    Block,
    Model,
    ModelReply,
    ModelRequest,
    Stop,
    Text,
    ToolReturn,
    ToolSpec,
    Turn,
)
from analyzer.agent.model import ToolCall as AskedTool
from analyzer.errors import ModelError, NotFoundError, UsageError
from analyzer.replay.alike import Decision, same_decision
from analyzer.replay.conversation import Message, ToolCall, definitions_in, messages_in
from analyzer.replay.recording import Call, Recording, Request, lacks
from analyzer.triage.shares import least_share
from analyzer.types.noise import parsed
from analyzer.types.spending import Amount, ModelUse
from analyzer.types.trace import FinishReason, Operation, Tokens

REPLY_TOKENS = 4_096
"""`max_tokens` of a reply where the recording has none."""
SECONDS = 120.0
"""Of one call, retries and waiting included."""
TIMES_MAX = 100
_SENT = ("temperature", "top_p", "top_k")
"""Parameters that the Messages API takes under the name that they are recorded by, `max_tokens` apart."""
_EDITS = ("system", "messages", "tools", "parameters")
_NEEDED = ("messages", "decision", "tool definitions")


@dataclass(frozen=True, slots=True)
class StepReplay:
    """A call that is to be sent again."""

    trace_id: str
    call: Call
    request: Request
    """As it is sent: the recorded one, or with one thing changed."""
    changed: str
    """What is not as recorded, such as "model"; "" for nothing."""
    model: str
    times: int
    unsent: tuple[str, ...] = ()
    """Recorded parameters that the API has no place for."""

    @property
    def body(self) -> ModelRequest:
        """The request in the form of the door; nothing of ours is added to it."""
        given = self.request.parameters
        asked = given.get("max_tokens")
        return ModelRequest(
            system=self.request.system,
            messages=turns_of(self.request.messages),
            tools=tuple(ToolSpec(one.name, one.description, one.schema) for one in self.request.tools),
            max_tokens=asked if isinstance(asked, int) and asked > 0 else REPLY_TOKENS,
            timeout_s=SECONDS,
            about=f"replay-{self.trace_id}",
            verbatim={name: given[name] for name in _SENT if name in given},
        )


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of it."""

    replay: StepReplay
    decisions: tuple[Decision, ...]
    """One a reply."""
    same: tuple[bool, ...]
    """Whether each is the recorded one."""
    problems: tuple[str, ...]
    """Calls without a usable reply, and the limit that ended it early: never counted as decisions."""
    use: ModelUse
    tokens: tuple[Tokens, ...] = ()
    """What each of `decisions` took."""

    @property
    def share(self) -> tuple[float, float, float] | None:
        """Share of the replies with the recorded decision, and the ends of Wilson's interval of 95 %; None of none."""
        hits, of = sum(self.same), len(self.same)
        return (hits / of, least_share(hits, of), 1 - least_share(of - hits, of)) if of else None


def prepared(
    recording: Recording, step: int, *, model: str | None, edit: Mapping[str, Any] | None, times: int
) -> StepReplay:
    """Return what is to be sent. Raises NotFoundError where the step is no model call, UsageError where it lacks what
    it takes or more than one thing is changed.
    """  # noqa: D205 - the summary is one sentence
    call = recording.call(step)
    if call is None:
        there = ", ".join(str(one.number) for one in recording.calls[:12]) or "none"
        raise NotFoundError(f"step {step} is no model call of {recording.trace_id}; model calls: {there}")
    missing = [what for what in lacks(call, has_tools=bool(recording.executions)) if what in _NEEDED]
    if call.decision.is_empty or missing:
        what = " and ".join(missing or ["decision"])
        raise UsageError(
            f"step {step} cannot be judged: {what} not recorded; `analyzer replay TRACE --check` says more"
        )
    request = call.request if edit is None else _edited(call.request, edit)
    name = model or request.model
    if not name:
        raise UsageError(f"step {step} has no recorded model: name one with --model")
    if model is None and request.provider not in ("", PROVIDER):
        raise UsageError(f"step {step} was a call of {request.provider}, and only {PROVIDER} is asked: name a --model")
    changes = [*(["model"] if name != call.request.model else []), *(edit or ())]
    if len(changes) > 1:
        raise UsageError(
            f"{' and '.join(changes)} would change at once; change one thing, or nothing is learnt of either"
        )
    unsent = tuple(sorted(set(request.parameters) - {*_SENT, "max_tokens"}))
    return StepReplay(recording.trace_id, call, request, "".join(changes), name, times, unsent)


def worst_case(replay: StepReplay, means: Means) -> Amount:
    """Return what all of the calls may use at most: all of the input new, every reply as long as it may be.

    The input is what its text is estimated at, and no less than the recorded call took. Raises ModelError where there
    is no model: what cannot be had has no price.
    """
    _model_of(means)
    body = replay.body
    recorded = replay.call.span.tokens
    size = max(int(size_of(body) * ESTIMATE_MARGIN), 0 if recorded is None else recorded.input)
    one = Tokens(input=size, output=body.max_tokens, cache_write=size)
    usd = means.price(one)
    return Amount(one.total * replay.times, None if usd is None else usd * replay.times)


def _model_of(means: Means) -> Model:
    """Return the model. Raises ModelError where there is none."""
    if means.model is None:
        raise ModelError("no model can be asked; `analyzer doctor` says what is missing")
    return means.model


def replayed(replay: StepReplay, means: Means) -> Replayed:
    """Send a call as often as wanted. Raises ModelError where there is no model, StoreError.

    A call that fails is named and the others are made; a limit that is reached ends it.
    """
    model = _model_of(means)
    about = f"replay-{replay.trace_id}"
    limits = replace(means.limits, seconds=SECONDS * replay.times)
    meter = replace(means, limits=limits).meter(about)
    decisions: list[Decision] = []
    tokens: list[Tokens] = []
    problems: list[str] = []
    said = f"replay of step {replay.call.number} of {replay.trace_id}"
    with means.watch.span("invoke_agent analyzer", Operation.AGENT, agent="analyzer", input=said) as own:
        for _ in range(replay.times):
            asking = Asking(model, meter, means.journal, means.watch, means.mask, about)
            try:
                reply = asking.ask(replay.body, said)
            except ModelError as error:
                problems.append(means.mask(str(error)))
                continue
            if isinstance(reply, Refusal):
                problems.append(f"stopped: {reply.why or reply.ending.value}")
                break
            decision = _decided(reply, means)
            if decision is None:
                problems.append(f"the reply ended with {reply.stop.value}")
            else:
                decisions.append(decision)
                tokens.append(reply.usage)
        given = replay.call.request.given
        same = tuple(same_decision(replay.call.decision, one, given) for one in decisions)
        own.set(output=f"{sum(same)} of {len(same)} replies took the recorded decision")
    return Replayed(replay, tuple(decisions), same, tuple(problems), meter.use, tuple(tokens))


def turns_of(messages: Sequence[Message]) -> tuple[Turn, ...]:
    """Return messages as the turns of a request: results go to the user's side, neighbours of one side are one turn.

    Calls and results without ids are given some, in their order: the API pairs them by nothing else.
    """
    turns: list[Turn] = []
    made = answered = 0
    for message in messages:
        blocks: list[Block] = []
        for returned in message.returns:
            answered += not returned.call_id
            call_id = returned.call_id or f"call_{answered}"
            blocks.append(ToolReturn(call_id, returned.text, returned.failed))
        if message.text:
            blocks.append(Text(message.text))
        for call in message.tool_calls:
            made += not call.id
            arguments = call.arguments if isinstance(call.arguments, Mapping) else {"input": call.arguments}
            blocks.append(AskedTool(call.id or f"call_{made}", call.name, arguments))
        side = "assistant" if message.role == "assistant" else "user"
        if not blocks:
            continue
        if turns and turns[-1].role == side:
            turns[-1] = replace(turns[-1], blocks=(*turns[-1].blocks, *blocks))
        else:
            turns.append(Turn(side, tuple(blocks)))  # type: ignore[arg-type]
    return tuple(turns)


def _edited(request: Request, edit: Mapping[str, Any]) -> Request:
    """Return a request with what a person wrote in the place of what was recorded. Raises UsageError."""
    odd = sorted(set(edit) - set(_EDITS))
    if odd or not edit:
        raise UsageError(f"an edit holds one of {', '.join(_EDITS)}" + (f", and not {', '.join(odd)}" if odd else ""))
    if not isinstance(edit.get("system", ""), str) or not isinstance(edit.get("parameters", {}), dict):
        raise UsageError("an edit's system is a text, its parameters are an object")
    changed = replace(
        request,
        system=edit.get("system", request.system),
        parameters=edit.get("parameters", request.parameters),
        tools=definitions_in(json.dumps(edit["tools"])) if "tools" in edit else request.tools,
        messages=messages_in(json.dumps(edit["messages"])) if "messages" in edit else request.messages,
    )
    if not changed.messages or ("tools" in edit and edit["tools"] and not changed.tools):
        raise UsageError("an edit's messages and tools are arrays in the form in which a provider takes them")
    return changed


def _decided(reply: ModelReply, means: Means) -> Decision | None:
    """Return a reply as a decision, masked as the recorded one is; None where it broke off. To refuse is a decision."""
    if reply.stop in (Stop.CUT, Stop.CONTEXT):
        return None
    finish = {Stop.LENGTH: FinishReason.LENGTH, Stop.REFUSAL: FinishReason.REFUSAL}.get(reply.stop)
    calls = tuple(
        ToolCall(call.id, call.name, parsed(means.mask(json.dumps(dict(call.arguments), ensure_ascii=False))))
        for call in reply.tool_calls
    )
    return Decision(means.mask(reply.text), calls, finish)
