"""Requests of a replayed agent that are sent on to the provider itself: paid for, logged, traced and passed through.

What the agent sends goes out as it is, and what the provider says comes back as it is, streamed or not. Each request
is reserved in the purse with its worst case before it leaves. A key is taken from the agent's own header or from the
environment; it is in no log and in no store.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from inspect import GEN_CREATED, getgeneratorstate
from typing import Any

from analyzer.agent.limits import ESTIMATE_MARGIN
from analyzer.agent.text import estimate_tokens
from analyzer.config import REPLAY_KEY, Endpoint
from analyzer.errors import AnalyzerError, DeliveryError
from analyzer.replay.alike import Decision
from analyzer.replay.standin import Answer, Forward, StandIn
from analyzer.replay.wires.replies import BROKE_OFF, Heard, heard
from analyzer.replay.wires.wire import as_json
from analyzer.types.audit import Act, Action, Journal, digest
from analyzer.types.spending import NOTHING, Amount, Exhausted, Purse
from analyzer.types.trace import Operation, Tokens
from analyzer.types.watch import Watch
from analyzer.web import relayed

REPLY_TOKENS_MAX = 32_000
"""How long a reply is taken to be at most where the request sets no limit."""
SILENCE_S = 600.0
"""How long a provider may be silent: the official SDKs wait as long."""
_MAYBE_BILLED = (200, 502, 504)
"""An answer that came, and a gateway that lost the one behind it."""
REFUSED_STATUS = 402
"""Payment Required: no SDK tries that again."""
_PIECE_BYTES = 1 << 16
_BODY_BYTES_MAX = 64 << 20
_SENT_ON = ("accept", "anthropic-", "content-type", "openai-", "user-agent", "x-stainless-")
"""How the headers begin that go out. Keys are added apart; whatever else an agent sends is nobody's business there."""
_BACK = ("content-type", "request-id", "retry-after", "retry-after-ms", "x-request-id", "x-should-retry")
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_EVENTS = "text/event-stream"

Price = Callable[[str, str, Tokens, datetime], float | None]
"""USD of a call by provider, model, tokens and time; None where no price is known."""


@dataclass(frozen=True, slots=True)
class Relayed:
    """A provider's answer on its way back, whole or streamed."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterator[bytes]
    close: Callable[[], None] = lambda: None
    """To be called when nobody reads on, also where nobody has begun to."""


@dataclass(frozen=True, slots=True)
class Paid:
    """What sending on costs, and where that is written down."""

    purse: Purse
    journal: Journal
    watch: Watch
    price: Price
    about: str
    """What the log and the purse say these calls are about."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """A request that is under way."""

    forward: Forward
    most: Amount
    least: Amount
    """Of an answer of which nobody has heard a word: what was sent alone."""
    reservation: int
    start_ns: int
    key: Mapping[str, str]
    """The headers that hold it."""
    settled: list[int] = field(default_factory=list)


class Live:
    """Sends requests on. Safe to use from several threads."""

    def __init__(self, standin: StandIn, endpoints: Mapping[str, Endpoint], paid: Paid) -> None:
        self._standin = standin
        self._endpoints = endpoints
        self._paid = paid

    def relay(self, forward: Forward, body: bytes, headers: Mapping[str, str]) -> Answer | Relayed:
        """Send a request on and return what comes back. Never raises for what a provider or an agent sends.

        `headers` are the agent's, their names in lower case.
        """
        endpoint = self._endpoints[forward.wire.provider]
        key = _own_key(headers) or endpoint.headers
        if not key:
            why = f"no key to ask {forward.wire.provider} with: set {endpoint.key_hint}"
            return self._refused(forward, why, status=401)
        try:
            sent = self._paid_for(forward, body, key)
        except AnalyzerError as error:
            return self._refused(forward, f"what is spent cannot be written down: {error}")
        if isinstance(sent, str):
            return self._refused(forward, sent)
        out = {name: value for name, value in headers.items() if name.startswith(_SENT_ON)} | dict(key)
        # Bytes that are packed could not be read on their way.
        out["accept-encoding"] = "identity"
        return self._sent(sent, endpoint.address(forward.wire.path), body, out)

    def _paid_for(self, forward: Forward, body: bytes, key: Mapping[str, str]) -> _Sent | str:
        """Reserve the worst case of a request and log it; return why it may not be sent. Raises StoreError."""
        tokens = self._most(forward, body)
        most, least = (self._amount(forward, one) for one in (tokens, replace(tokens, output=0)))
        if most.usd is None:
            asked = forward.asked.request.model
            return f"{asked} has no known price: set one under [prices] in analyzer.toml"
        reserved = self._paid.purse.reserve(self._paid.about, most)
        if isinstance(reserved, Exhausted):
            return f"the budget does not allow another request: {reserved}"
        self._log_request(forward, body)
        return _Sent(forward, most, least, reserved, time.time_ns(), key)

    def _sent(self, sent: _Sent, url: str, body: bytes, headers: Mapping[str, str]) -> Answer | Relayed:
        wire = sent.forward.wire
        try:
            response = relayed(url, who=wire.provider, body=body, headers=headers, timeout_s=SILENCE_S)
        except DeliveryError as error:
            # Whether it was billed nobody knows: the worst case stays counted.
            self._ended(sent, Heard(problem=str(error)), status=502)
            return Answer(502, as_json(wire.error(502, f"analyzer replay: {error}")).encode())
        back = {name: value for name in _BACK if (value := response.headers.get(name)) is not None}
        if response.status == 200 and back.get("content-type", "").startswith(_EVENTS):  # noqa: PLR2004 - the number is its name
            pieces = self._streamed(sent, response)
            return Relayed(200, back, pieces, partial(self._left, sent, response, pieces))
        return self._whole(sent, response, back)

    def _whole(
        self, sent: _Sent, response: http.client.HTTPResponse | urllib.error.HTTPError, back: Mapping[str, str]
    ) -> Answer | Relayed:
        status = int(response.status or 0)
        with response:
            content, cut = _all_of(response)
        found = heard(sent.forward.wire, status, _without(content, sent.key), streamed=False, cut=cut)
        self._ended(sent, found, status=status)
        if cut:
            return Answer(502, as_json(sent.forward.wire.error(502, f"analyzer replay: {BROKE_OFF}")).encode())
        return Relayed(status, back, iter((content,)))

    def _streamed(self, sent: _Sent, response: http.client.HTTPResponse | urllib.error.HTTPError) -> Generator[bytes]:
        """Yield a stream as it comes; one that breaks off ends with an error event, which SDKs raise."""
        kept = bytearray()
        found = Heard(problem="the agent did not wait for the end of the provider's answer")
        wire = sent.forward.wire
        try:
            try:
                while piece := response.read1(_PIECE_BYTES):
                    kept += piece
                    yield piece
            except (OSError, http.client.HTTPException):
                pass
            found = heard(wire, 200, _without(bytes(kept), sent.key), streamed=True)
            if found.problem == BROKE_OFF:
                error = {"type": "error", **wire.error(502, f"analyzer replay: {BROKE_OFF}")}
                yield f"\n\nevent: error\ndata: {as_json(error)}\n\n".encode()
        finally:
            response.close()
            self._ended(sent, found, status=200)

    def _left(
        self,
        sent: _Sent,
        response: http.client.HTTPResponse | urllib.error.HTTPError,
        pieces: Generator[bytes],
    ) -> None:
        """End a stream that nobody reads on, whatever was read of it.

        Of a generator that never began nothing runs when it is closed, not even its end.
        """
        is_unheard = getgeneratorstate(pieces) == GEN_CREATED
        pieces.close()
        if is_unheard:
            response.close()
            found = Heard(problem="the agent did not wait for the provider's answer")
            self._ended(sent, found, status=200, is_unheard=True)

    def _refused(self, forward: Forward, why: str, *, status: int = REFUSED_STATUS) -> Answer:
        """Return the error that an agent sees whose request is not sent on."""
        self._standin.lived(forward, Heard(problem=why), status=status, usd=0.0, refused=True)
        return Answer(status, as_json(forward.wire.error(status, f"analyzer replay: {why}")).encode())

    def _most(self, forward: Forward, body: bytes) -> Tokens:
        """Return what a request may use at most: all of its input new to the cache, its reply as long as it may be."""
        request = forward.asked.request
        limits = [request.parameters.get(name) for name in _LIMITS]
        # Which of two a provider goes by is its own affair.
        output = max((one for one in limits if isinstance(one, int) and one > 0), default=REPLY_TOKENS_MAX)
        times = request.parameters.get("n")
        output *= times if isinstance(times, int) and times > 1 else 1
        size = int(estimate_tokens(body.decode("utf-8", "replace")) * ESTIMATE_MARGIN)
        return Tokens(input=size, output=output, cache_write=size)

    def _amount(self, forward: Forward, tokens: Tokens) -> Amount:
        usd = self._paid.price(forward.wire.provider, forward.asked.request.model, tokens, datetime.now(UTC))
        return Amount(tokens.total, usd)

    def _ended(self, sent: _Sent, found: Heard, *, status: int, is_unheard: bool = False) -> None:
        """Settle a request and write down what came.

        One that failed is not billed; where nobody knows, the worst case stays. Of an answer that was left before its
        first piece the provider had said nothing yet: what was sent counts, and what the reply might have been is given
        back.
        """
        if sent.settled:
            return
        sent.settled.append(sent.reservation)
        used = sent.most
        if is_unheard:
            used = sent.least
        elif status not in _MAYBE_BILLED:
            used = NOTHING
        elif found.tokens is not None and not found.problem:
            used = self._amount(sent.forward, found.tokens)
        self._standin.lived(sent.forward, found, status=status, usd=used.usd)
        self._paid.purse.settle(sent.reservation, used)
        self._log_reply(sent.forward, found, used)
        self._trace(sent, found, used)

    def _log_request(self, forward: Forward, body: bytes) -> None:
        request = forward.asked.request
        about_it = {"request_sha256": digest(body.decode("utf-8", "replace")), "messages": len(request.messages)}
        said = self._standin.course[forward.number].said
        self._paid.journal.write(
            Act(Action.MODEL_REQUEST, self._paid.about, request.model, about_it, given={"messages": said})
        )

    def _log_reply(self, forward: Forward, found: Heard, used: Amount) -> None:
        name = forward.asked.request.model
        lived = self._standin.course[forward.number].live
        if lived is None or lived.decision is None:
            why = {"message": "" if lived is None else lived.problem}
            self._paid.journal.write(Act(Action.MODEL_ERROR, self._paid.about, name, why, failed=True))
            return
        counted = None if found.tokens is None else found.tokens.total
        act = Act(
            Action.MODEL_REPLY,
            self._paid.about,
            name,
            returned=_document(lived.decision),
            tokens=counted,
            cost_usd=used.usd,
        )
        self._paid.journal.write(act)

    def _trace(self, sent: _Sent, found: Heard, used: Amount) -> None:
        """Record a call in the analyst's own trajectory once it has ended: a stream ends in another thread."""
        forward = sent.forward
        met = self._standin.course[forward.number]
        asked = forward.asked.request.model
        given = {"provider": forward.wire.provider, "model": asked, "input": met.said, "start_ns": sent.start_ns}
        with self._paid.watch.span(f"chat {asked}", Operation.CHAT, **given) as mark:
            if met.live is None or met.live.decision is None:
                mark.fail("unanswered", "" if met.live is None else met.live.problem)
                return
            mark.set(output=_spoken(met.live.decision), tokens=found.tokens, cost_usd=used.usd)


def _spoken(decision: Decision) -> str:
    """Return a decision as the trace shows it."""
    calls = [f"[call {one.name} {as_json(one.arguments)}]" for one in decision.tool_calls]
    return "\n".join([*([decision.text] if decision.text else []), *calls])


def _own_key(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the header by which the agent itself carries a key; none where it is the one that a replay gives it."""
    found = {name: headers[name] for name in ("x-api-key", "authorization") if headers.get(name)}
    worthless = {REPLAY_KEY, f"Bearer {REPLAY_KEY}"}
    return {name: value for name, value in found.items() if value not in worthless}


def _without(content: bytes, key: Mapping[str, str]) -> bytes:
    """Return an answer as it may be written down: some gateways repeat the key that they refuse."""
    for value in key.values():
        content = content.replace(value.removeprefix("Bearer ").encode(), b"[key]")
    return content


def _all_of(response: http.client.HTTPResponse | urllib.error.HTTPError) -> tuple[bytes, bool]:
    """Return a body, and whether it is cut."""
    try:
        content: bytes = response.read(_BODY_BYTES_MAX)
    except http.client.IncompleteRead as error:
        return bytes(error.partial), True
    except (OSError, http.client.HTTPException):
        return b"", True
    told = response.headers.get("content-length", "")
    return content, told.isdigit() and int(told) > len(content)


def _document(decision: Decision) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(decision), default=str))  # type: ignore[no-any-return]
