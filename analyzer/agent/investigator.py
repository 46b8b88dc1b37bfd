"""The loop: one linear history that only grows, limits with names, endings with names, and the gate at the end.

Nothing that a model does ends a run: whatever goes wrong becomes an ending, and the explanation by rules goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from analyzer.agent.answer import AnswerError, payload_in
from analyzer.agent.asking import STOP_ENDINGS, Asking, spoken, turn_of
from analyzer.agent.limits import Limits, Meter, Refusal
from analyzer.agent.model import (
    Model,
    ModelReply,
    ModelRequest,
    Text,
    ToolCall,
    ToolReturn,
    ToolSpec,
    Turn,
)
from analyzer.agent.obedience import Obedience
from analyzer.agent.overheard import Overheard
from analyzer.agent.text import Mask
from analyzer.agent.toolbox import Toolbox
from analyzer.agent.wire import masked_arguments, masked_turns
from analyzer.errors import ModelError, StoreError
from analyzer.prompts import load
from analyzer.types.audit import Act, Action, Journal, Unwritten
from analyzer.types.diagnosis import Ending
from analyzer.types.watch import Watch

SECONDS_TO_ANSWER = 0.35
"""When less than this part of the time is left the model is asked for its answer: a late one is worth nothing."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a judge says of a payload."""

    outcome: Any
    """What the caller makes of it."""
    standing: int
    struck: tuple[str, ...] = ()
    """Per statement that did not survive: the statement and why."""


Judge = Callable[[Mapping[str, Any]], Judged]
"""Reads and judges a final answer. Raises AnswerError where it has not the required form."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """How a loop ended."""

    ending: Ending
    judged: Judged | None
    """The best answer given; None where there is none."""
    note: str
    history: tuple[Turn, ...]
    struck: tuple[str, ...] = ()
    """What was struck out of the last answer that did not stand."""


@dataclass(slots=True)
class Investigator:
    """Asks a model until it answers, within limits. One instance is one conversation."""

    model: Model
    toolbox: Toolbox
    submit: ToolSpec
    judge: Judge
    limits: Limits
    meter: Meter
    watch: Watch
    mask: Mask
    obedience: Obedience | None = None
    """Watches whether it follows orders in the data."""
    journal: Journal = field(default_factory=Unwritten)
    about: str = ""
    """The id of what is investigated."""
    overheard: Overheard | None = None
    """Hears the replies while they are written, and tells of what stands."""
    history: list[Turn] = field(default_factory=list)
    logged: int = 0
    """Turns of the history that the log has."""
    best: Judged | None = None
    repairs: int = 0
    pressed: Ending | None = None
    """The limit because of which the model was told to answer now."""

    def converse(self, system: str, *opening: str) -> Conversation:
        """Run the loop. `opening` is the first message: the case file, then what is asked; or only a later question."""
        first = not self.history
        blocks = tuple(Text(self.mask(text), cache=first and index == 0) for index, text in enumerate(opening))
        self.history.append(Turn("user", (*_taken_in(self.history), *blocks)))
        calls_max = self.limits.steps
        step = 0
        while step < calls_max + self.repairs:
            step += 1
            try:
                request, refused = self._request(system, last=step >= calls_max + self.repairs)
                reply = self._ask(request) if refused is None else refused
                if isinstance(reply, Refusal):
                    return self._end(reply.ending, reply.why)
                ending = STOP_ENDINGS.get(reply.stop)
                if ending is None:
                    ending = self._take(reply, must_answer=request.must_answer)
                if ending is not None:
                    return self._end(ending, "")
            except ModelError as error:
                return self._end(_ending(error), str(error))
            except StoreError as error:
                # What cannot be paid for or written down is not done.
                return self._end(Ending.UNAVAILABLE, str(error))
        return self._end(Ending.STEPS, "")

    def _request(self, system: str, *, last: bool) -> tuple[ModelRequest, Refusal | None]:
        """Return the next request, or the limit that forbids it. When only one more call fits, it must answer."""
        request = ModelRequest(
            system=system,
            messages=tuple(self.history),
            tools=(*self.toolbox.specs, self.submit),
            max_tokens=self.limits.reply_tokens,
            timeout_s=self.meter.seconds_left,
            about=self.about,
            listener=self.overheard,
        )
        refused = self.meter.refusal(request)
        if last or self.repairs:
            self.pressed = self.pressed or Ending.STEPS
        elif self.meter.seconds_left < self.limits.seconds * SECONDS_TO_ANSWER:
            self.pressed = Ending.SECONDS
        else:
            two = self.meter.refusal(request, calls=2)
            self.pressed = None if two is None else two.ending
        if refused is None and self.pressed is not None:
            if not self.repairs:
                words = Text(load("last_step").text)
                self.history[-1] = replace(self.history[-1], blocks=(*self.history[-1].blocks, words))
            request = replace(request, messages=tuple(self.history), must_answer=True)
        return request, refused

    def _ask(self, request: ModelRequest) -> ModelReply | Refusal:
        """Ask, and remember what the log has. Raises ModelError, StoreError."""
        if self.overheard is not None:
            self.overheard.repairable = self.repairs < self.limits.repairs
        asking = Asking(self.model, self.meter, self.journal, self.watch, self.mask, self.about, self.logged)
        try:
            return asking.ask(request, "\n".join(spoken(turn) for turn in request.messages[-1:]))
        finally:
            self.logged = asking.logged

    def _take(self, reply: ModelReply, *, must_answer: bool) -> Ending | None:
        """Take in a reply: run its tools, or judge its answer. Return an ending when there is nothing more to do."""
        self.history.append(turn_of(reply))
        submitted = next((call for call in reply.tool_calls if call.name == self.submit.name), None)
        if self.obedience is not None and self.obedience.follows(reply.tool_calls):
            return Ending.INJECTED
        if submitted is None and reply.tool_calls and not must_answer:
            self.history.append(Turn("user", self._run(reply.tool_calls)))
            return None
        try:
            payload = submitted.arguments if submitted is not None else payload_in(reply.text)
            if self.obedience is not None and self.obedience.leaks(payload):
                return Ending.INJECTED
            judged = self.judge(payload)
        except AnswerError as error:
            asks_on = submitted is None and bool(reply.tool_calls) and self.pressed is not None
            return self._repair(reply, str(error), Ending.INVALID if not asks_on else self.pressed)
        if self.best is None or (judged.standing, -len(judged.struck)) > (self.best.standing, -len(self.best.struck)):
            self.best = judged
        if judged.struck:
            return self._repair(reply, "\n".join(judged.struck), Ending.INVALID)
        return Ending.ANSWERED

    def _repair(self, reply: ModelReply, complaint: str, otherwise: Ending | None) -> Ending | None:
        """Ask once more with what was wrong; after that the best answer counts, or the other ending."""
        if self.repairs >= self.limits.repairs:
            return Ending.ANSWERED if self.best is not None else otherwise
        self.repairs += 1
        words = load("repair").render(complaint=self.mask(complaint[:4000]))
        returns = tuple(ToolReturn(call.id, "not accepted", is_error=True) for call in reply.tool_calls)
        self.history.append(Turn("user", (*returns, Text(words))))
        return None

    def _run(self, calls: tuple[ToolCall, ...]) -> tuple[ToolReturn, ...]:
        """Answer every call: the API demands one return per call, also for those beyond the bound."""
        bound = self.limits.tool_calls_per_step
        returns = self.toolbox.run(calls[:bound])
        for call, gave in zip(calls, returns, strict=False):
            arguments = masked_arguments(call.arguments, self.mask)
            act = Act(Action.TOOL_CALL, self.about, call.name, arguments, returned=gave.text, failed=gave.is_error)
            self.journal.write(act)
        excess = f"not run: at most {bound} calls in one turn; ask again for what you still need"
        return (*returns, *(ToolReturn(call.id, excess, is_error=True) for call in calls[bound:]))

    def _end(self, ending: Ending, note: str) -> Conversation:
        """Close the conversation. An answer that already stood stands, whatever happened to its repair."""
        if ending is Ending.INJECTED:
            self.best = None
        if self.best is not None and self.best.standing:
            ending = Ending.ANSWERED
        elif self.best is not None and self.best.struck and ending is Ending.ANSWERED:
            ending = Ending.INVALID
        stands = self.best if ending is Ending.ANSWERED else None
        struck = self.best.struck if self.best is not None else ()
        return Conversation(ending, stands, note, masked_turns(self.history, self.mask), struck)


def _taken_in(history: list[Turn]) -> tuple[ToolReturn, ...]:
    """Return the answers to calls that got none: the API demands one each, also for what handed in the last answer."""
    last = history[-1:]
    open_calls = [block for turn in last if turn.role == "assistant" for block in turn.blocks]
    return tuple(ToolReturn(call.id, "taken in") for call in open_calls if isinstance(call, ToolCall))


def _ending(error: ModelError) -> Ending:
    try:
        return Ending(error.ending)
    except ValueError:
        return Ending.UNAVAILABLE
