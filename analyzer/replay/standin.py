"""The stand-in for a model provider: it answers an agent with what the recording says, and notes where the agent parts.

It knows nothing of sockets: a path and a body in, a status and bytes out (`analyzer/server/standin.py` puts it on
loopback). It never calls a model and never runs a tool, and has no clock and no randomness: the same requests get the
same bytes.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from analyzer.replay.alike import Decision
from analyzer.replay.client import TOOLS_PATH, UnrecordedError
from analyzer.replay.comparing import UNRECORDED, Difference, brought, difference, nearness
from analyzer.replay.conversation import ToolDefinition
from analyzer.replay.recording import Call, Recording
from analyzer.replay.tools import RecordedTools
from analyzer.replay.wires import WIRES
from analyzer.replay.wires.replies import Heard
from analyzer.replay.wires.wire import Asked, MalformedError, Served, Wire
from analyzer.types.trace import ErrorClass, Status, Tokens

_STATUS = {
    ErrorClass.RATE_LIMIT: 429,
    ErrorClass.OVERLOADED: 529,
    ErrorClass.TIMEOUT: 408,
    ErrorClass.AUTH: 401,
    ErrorClass.BAD_REQUEST: 400,
    ErrorClass.CONTEXT_LENGTH: 400,
    ErrorClass.REFUSAL: 400,
}
"""By which status of HTTP an agent is told of a call that failed in the recording; any other class is a 500."""


class Policy(StrEnum):
    """What an agent is answered from the first request on that differs from the recording."""

    STOP = "stop"
    """An error of the API that says at which step; SDKs do not try it again."""
    NEAREST = "nearest"
    """What the recorded call said whose request was most like it, of those not yet used."""
    LIVE = "live"
    """What the provider itself answers: the request is sent on, and billed."""


class How(StrEnum):
    """How a request was answered."""

    SAME = "same"
    NEAREST = "nearest"
    STOPPED = "stopped"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Lived:
    """What came of a request that was to be sent on to the provider."""

    status: int
    """Of the answer as HTTP counts."""
    decision: Decision | None
    """Masked; None where no whole reply came."""
    tokens: Tokens | None
    """None where the answer does not count them."""
    usd: float | None
    """What it is counted with, all attempts of an SDK together: the worst case where tokens are not known; 0 where it
    failed, and is not billed."""
    problem: str = ""
    """Why there is no whole reply, masked."""
    refused: bool = False
    """It was not sent at all: a limit, a price or a key is missing."""


@dataclass(frozen=True, slots=True)
class Met:
    """A request of the agent, and what it was answered with."""

    step: int | None
    """The recorded call that it was held against; None where every one had been used."""
    how: How
    answered: int | None
    """The recorded call whose decision went out; None where an error did."""
    difference: Difference | None
    said: str
    """The texts that the request brought last: what its tools gave."""
    live: Lived | None = None
    """Of a request that was sent on: what the provider answered; None until its answer has ended."""


@dataclass(frozen=True, slots=True)
class ToolAsked:
    """A call of a tool whose recorded outcome the agent asked for."""

    after: int
    """So many requests came before it."""
    tool: str
    arguments: Any
    """Masked."""
    told: Mapping[str, Any] | None
    """Step, failed and result as recorded; None where the recording has no such call."""


@dataclass(frozen=True, slots=True)
class Forward:
    """A request that is to be sent on to its provider."""

    number: int
    """Of the request, from 0; one that an SDK sends again keeps it."""
    wire: Wire
    asked: Asked
    """Masked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to an agent."""

    status: int
    body: bytes
    content_type: str = "application/json"
    forward: Forward | None = None
    """What is to be asked of the provider: its answer goes back in the place of this one."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers beside the type: both official SDKs obey the one by which a failure is not tried again."""
        return {} if self.status == 200 else {"x-should-retry": "false"}  # noqa: PLR2004 - the number is its name


class StandIn:
    """Answers the requests of one replay; may be asked from several threads at once."""

    def __init__(
        self, recording: Recording, *, policy: Policy = Policy.STOP, mask: Callable[[str], str] = lambda text: text
    ) -> None:
        self.recording = recording
        self._policy = policy
        self._mask = mask
        """The store's masker: the recording is masked, so that a request is held against it masked too."""
        self._tools = RecordedTools(recording, mask=self._masked)
        self._left = list(recording.calls)
        self._met: list[Met] = []
        self._tools_asked: list[ToolAsked] = []
        self._last: tuple[Any, Answer] | None = None
        self._lock = threading.Lock()

    @property
    def course(self) -> tuple[Met, ...]:
        """What was asked so far, in order."""
        with self._lock:
            return tuple(self._met)

    @property
    def tools_asked(self) -> tuple[ToolAsked, ...]:
        """Which recorded tools were asked for so far, in order."""
        with self._lock:
            return tuple(self._tools_asked)

    def lived(self, forward: Forward, heard: Heard, *, status: int, usd: float | None, refused: bool = False) -> None:
        """Note what the provider answered to a request that was sent on; its texts are masked here.

        Of one that an SDK sent again the last answer stands, with what all of them cost.
        """
        decision = heard.decision
        if decision is not None:
            calls = tuple(replace(call, arguments=self._masked(call.arguments)) for call in decision.tool_calls)
            decision = replace(decision, text=self._mask(decision.text), tool_calls=calls)
        with self._lock:
            met = self._met[forward.number]
            costs = [usd] if met.live is None else [met.live.usd, usd]
            total = None if None in costs else sum(one for one in costs if one is not None)
            found = Lived(status, decision, heard.tokens, total, self._mask(heard.problem), refused)
            self._met[forward.number] = replace(met, live=found)

    @property
    def tools(self) -> tuple[ToolDefinition, ...]:
        """The tools of the recording: as the model was told of them, and those that were called without that."""
        found = {one.name: one for call in self.recording.calls for one in call.request.tools}
        for one in self.recording.executions:
            found.setdefault(one.tool, ToolDefinition(one.tool, "", {"type": "object"}))
        return tuple(found.values())

    def tool_told(self, tool: str, arguments: Any) -> Mapping[str, Any]:
        """Return step, failed and result of a recorded call, and note that it was asked for. Raises UnrecordedError."""
        try:
            told = self._tools.told(tool, arguments)
        except UnrecordedError:
            self._asked_for(tool, arguments, None)
            raise
        self._asked_for(tool, arguments, told)
        return told

    def answer(self, path: str, body: bytes, *, again: bool = False) -> Answer:
        """Answer a request, whatever it holds; `again` says that an SDK sends the last one once more."""
        wire = next((one for one in WIRES if one.path == path), None)
        if path.startswith(f"{TOOLS_PATH}/"):
            return self._tool(path.removeprefix(f"{TOOLS_PATH}/"), body)
        if wire is None:
            known = ", ".join(one.path for one in WIRES)
            return _error(WIRES[0], 404, f"a replay has nothing at {path[:200]}; it answers at {known}")
        try:
            value = _object(body)
            asked = wire.read(self._masked(value))
        except MalformedError as error:
            return _error(wire, 400, f"not a request to {wire.name}: {error}")
        with self._lock:
            if again and self._last is not None and self._last[0] == value:
                return self._last[1]
            answer = self._answered(wire, asked)
            self._last = (value, answer)
            return answer

    def _answered(self, wire: Wire, asked: Asked) -> Answer:
        said = brought(asked.request)
        call, differs = self._expected(asked)
        diverged = any(met.how is not How.SAME for met in self._met)
        if self._policy is Policy.LIVE and (diverged or differs is not None):
            step = call.number if call is not None else None
            self._met.append(Met(step, How.LIVE, None, differs, said))
            unsent = _error(wire, 502, "analyzer replay: nobody sends this request on to its provider")
            return replace(unsent, forward=Forward(len(self._met) - 1, wire, asked))
        if call is not None and differs is None:
            self._met.append(Met(call.number, How.SAME, call.number, None, said))
            return self._from(wire, asked, call)
        step = call.number if call is not None else None
        if self._policy is Policy.NEAREST and self._left:
            nearest = max(self._left, key=lambda one: (nearness(one.request, asked.request), -one.number))
            self._met.append(Met(step, How.NEAREST, nearest.number, differs, said))
            return self._from(wire, asked, nearest)
        self._met.append(Met(step, How.STOPPED, None, differs, said))
        first = " first" if not diverged else ""
        return _error(
            wire, 400, f"analyzer replay: this request{first} differs from the recording {_where(step, differs)}"
        )

    def _expected(self, asked: Asked) -> tuple[Call | None, Difference | None]:
        """Return the recorded call a request is held against: the next one, or one that ran at the same time as it."""
        if not self._left:
            return None, Difference((UNRECORDED,))
        first = self._left[0]
        differs = difference(first.request, asked.request)
        if differs is not None:
            for other in self._left[1:]:
                if _overlap(first, other) and difference(other.request, asked.request) is None:
                    return other, None
        return first, differs

    def _from(self, wire: Wire, asked: Asked, call: Call) -> Answer:
        """Return what the provider said in a recorded call: its decision, or its error."""
        self._left.remove(call)
        span = call.span
        if span.status is Status.ERROR and not call.decision.text and not call.decision.tool_calls:
            status = _STATUS.get(span.error, 500) if span.error is not None else 500
            return _error(wire, status, span.status_message or span.error_type or "the recorded call failed")
        served = Served(
            key=span.span_id,
            model=call.request.model or asked.request.model,
            decision=call.decision,
            tokens=span.tokens or Tokens(),
            created_s=(span.start_ns or 0) // 1_000_000_000,
        )
        if asked.streamed:
            return Answer(200, b"".join(wire.stream(served, asked)), "text/event-stream")
        return Answer(200, json.dumps(wire.reply(served)).encode())

    def _tool(self, tool: str, body: bytes) -> Answer:
        try:
            arguments = json.loads(body or b"null")
        except (ValueError, RecursionError):
            return _error(WIRES[0], 400, f"the arguments of {tool[:200]} are no JSON")
        try:
            return Answer(200, json.dumps(self.tool_told(tool, arguments)).encode())
        except UnrecordedError as error:
            return _error(WIRES[0], 404, str(error))

    def _asked_for(self, tool: str, arguments: Any, told: Mapping[str, Any] | None) -> None:
        masked = self._masked(arguments)
        with self._lock:
            self._tools_asked.append(ToolAsked(len(self._met), tool, masked, told))

    def _masked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._mask(value)
        if isinstance(value, dict):
            return {key: self._masked(part) for key, part in value.items()}
        return [self._masked(part) for part in value] if isinstance(value, list) else value


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedError("the body is no JSON") from None
    if not isinstance(value, dict):
        raise MalformedError("the body is no JSON object")
    return value


def _where(step: int | None, differs: Difference | None) -> str:
    if step is None or differs is None:
        return "after its last step: the recorded run asked no more"
    return f"at step {step} ({', '.join(differs.parts)})"


def _overlap(one: Call, other: Call) -> bool:
    """Return whether two recorded calls were under way at the same time, so that either may come first."""
    starts, ends = (one.span.start_ns, other.span.start_ns), (one.span.end_ns, other.span.end_ns)
    if None in starts or None in ends:
        return False
    return max(start for start in starts if start is not None) < min(end for end in ends if end is not None)


def _error(wire: Wire, status: int, message: str) -> Answer:
    return Answer(status, json.dumps(wire.error(status, message)).encode())
