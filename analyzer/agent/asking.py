"""One call of a model: paid for before it is made, written down before it is sent, and settled whatever comes back.

The loop and the second reader both ask through here: no call can be left out of the budget or of the log.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from analyzer.agent.limits import Meter, Refusal
from analyzer.agent.model import PROVIDER, Model, ModelReply, ModelRequest, Stop, Text, ToolReturn, Turn
from analyzer.agent.text import Mask
from analyzer.agent.wire import news_document, reply_document, request_document
from analyzer.errors import ModelError
from analyzer.prompts import prompt_of
from analyzer.types.audit import Act, Action, Journal, canonical, digest
from analyzer.types.diagnosis import Ending
from analyzer.types.trace import Operation
from analyzer.types.watch import Watch

STOP_ENDINGS = {
    Stop.LENGTH: Ending.TOKENS,
    Stop.CONTEXT: Ending.TOKENS,
    Stop.REFUSAL: Ending.REFUSED,
    Stop.CUT: Ending.INVALID,
}
"""Stops after which there is no usable reply."""


@dataclass(slots=True)
class Asking:
    """Asks a model about one thing."""

    model: Model
    meter: Meter
    journal: Journal
    watch: Watch
    mask: Mask
    about: str
    """The id of what is asked about."""
    logged: int = 0
    """Turns of the history that the log has."""

    def ask(self, request: ModelRequest, shown: str) -> ModelReply | Refusal:
        """Send a request; `shown` stands for it in the trace. Raises ModelError, StoreError."""
        reservation = self.meter.reserve(request)
        if isinstance(reservation, Refusal):
            return reservation
        self._log_request(request)
        name = f"chat {self.model.name}"
        given = {"provider": PROVIDER, "model": self.model.name, "input": self.mask(shown)}
        if (prompt := prompt_of(request.system)) is not None:
            given |= {"prompt_name": prompt.name, "prompt_version": prompt.hash}
        with self.watch.span(name, Operation.CHAT, **given) as mark:
            try:
                reply = self.model.reply(replace(request, again=partial(self.meter.again, reservation)))
            except ModelError as error:
                self.meter.lose(reservation, error.lost_tries)
                why = {"ending": error.ending, "message": self.mask(str(error))}
                self.journal.write(Act(Action.MODEL_ERROR, self.about, self.model.name, why, failed=True))
                raise
            self.meter.add(reservation, request, reply)
            self._log_reply(reply)
            mark.set(
                output=self.mask(spoken(turn_of(reply))),
                tokens=reply.usage,
                cost_usd=self.meter.cost(reply.usage),
                response_id=reply.response_id or None,
                model=reply.model or self.model.name,
            )
            if reply.stop in STOP_ENDINGS:
                mark.fail(reply.stop.value, f"the reply ended with {reply.stop.value}")
        return reply

    def _log_request(self, request: ModelRequest) -> None:
        about_it = {
            "request_sha256": digest(canonical(request_document(request, self.mask))),
            "messages": len(request.messages),
            "max_tokens": request.max_tokens,
            "must_answer": request.must_answer,
        }
        news = news_document(request, self.logged, self.mask)
        self.journal.write(Act(Action.MODEL_REQUEST, self.about, self.model.name, about_it, given=news))
        self.logged = len(request.messages)

    def _log_reply(self, reply: ModelReply) -> None:
        self.journal.write(
            Act(
                Action.MODEL_REPLY,
                self.about,
                reply.model or self.model.name,
                {"stop": reply.stop.value, "response_id": self.mask(reply.response_id)},
                returned=reply_document(reply, self.mask),
                failed=reply.stop in STOP_ENDINGS,
                tokens=reply.usage.total,
                cost_usd=self.meter.cost(reply.usage),
            )
        )


def turn_of(reply: ModelReply) -> Turn:
    """Return a reply as a turn of the history."""
    blocks = ((Text(reply.text),) if reply.text else ()) + reply.tool_calls
    return Turn("assistant", blocks or (Text("(no text)"),), reply.echo)


def spoken(turn: Turn) -> str:
    """Return what a turn says, as the trace of the analyst shows it."""
    lines = []
    for block in turn.blocks:
        if isinstance(block, Text | ToolReturn):
            lines.append(block.text)
        else:
            lines.append(f"[call {block.name} {dict(block.arguments)}]")
    return "\n".join(lines)
