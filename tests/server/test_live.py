"""What becomes of the budget of a live request whose agent goes away."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from support.messages_api import MessagesApi, messages_api, says

from analyzer.config import Endpoint
from analyzer.replay.alike import Decision
from analyzer.replay.conversation import Message
from analyzer.replay.recording import Call, Recording, Request
from analyzer.replay.standin import Policy, StandIn
from analyzer.server.live import Live, Paid
from analyzer.server.standin import stand_in_application
from analyzer.types.audit import Unwritten
from analyzer.types.spending import Amount, Exhausted, Left
from analyzer.types.trace import FinishReason, Operation, Span, Tokens
from analyzer.types.watch import Unwatched

CALL = Call(
    1,
    Span("0" * 32, f"{1:016x}", None, "chat", Operation.CHAT),
    Request("m", {}, "", (), (Message("user", "Where is A-17?"),)),
    Decision("Gone.", (), FinishReason.STOP),
)
RECORDING = Recording("0" * 32, "a", None, "", (CALL,), (), ())
BODY = json.dumps(
    {
        "model": "claude-sonnet-5-5",
        "max_tokens": 1000,
        "stream": True,
        "messages": [{"role": "user", "content": "Something else."}],
    }
).encode()


@dataclass
class Purse:
    """A purse that remembers what was reserved, and what each came to."""

    reserved: list[Amount] = field(default_factory=list)
    settled: dict[int, Amount] = field(default_factory=dict)

    def refusal(self, about: str, most: Amount) -> Exhausted | None:
        """Refuse nothing."""
        return None

    def reserve(self, about: str, most: Amount) -> int | Exhausted:
        """Note a reservation."""
        self.reserved.append(most)
        return len(self.reserved) - 1

    def settle(self, reservation: int, used: Amount) -> None:
        """Note what it came to; only the first time counts."""
        self.settled.setdefault(reservation, used)

    def left(self) -> Left | None:
        """Hold nothing."""
        return None


def _price(provider: str, model: str, tokens: Tokens, at: object) -> float:
    return tokens.total / 1000


SPECS = pytest.mark.parametrize("spec", ["2.3", "2.4"])
"""Of the server's protocol: with the first, which uvicorn speaks, a client that is gone is a message and no error."""


async def _asked(api: MessagesApi, purse: Purse, *, pieces: int, spec: str) -> None:
    """Ask a stand-in that sends on; go away after so many pieces of the stream."""
    standin = StandIn(RECORDING, policy=Policy.LIVE)
    endpoint = Endpoint(f"{api.url}/v1", {"x-api-key": "k"}, "a key")
    live = Live(standin, {"anthropic": endpoint}, Paid(purse, Unwritten(), Unwatched(), _price, "replay"))
    app = stand_in_application(standin, live)
    requests: list[dict[str, Any]] = [{"type": "http.request", "body": BODY, "more_body": False}]
    sent: list[dict[str, Any]] = []
    gone = asyncio.Event()
    if not pieces:
        gone.set()

    async def receive() -> dict[str, Any]:
        if requests:
            return requests.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(event: dict[str, Any]) -> None:
        if gone.is_set() and spec == "2.4":
            raise OSError
        sent.append(event)
        if len([one for one in sent if one["type"] == "http.response.body"]) >= pieces:
            gone.set()

    scope = {"type": "http", "asgi": {"spec_version": spec}, "method": "POST", "path": "/v1/messages", "headers": [],
             "query_string": b"", "http_version": "1.1"}  # fmt: skip
    with suppress(ClientDisconnect):
        await app(scope, receive, send)  # type: ignore[arg-type]


@SPECS
def test_an_agent_that_goes_before_the_first_piece_gives_the_reply_back(spec: str) -> None:
    """What was sent counts; what the reply might have been at most is nobody's any more."""
    purse = Purse()
    with messages_api([says("Here it is.")]) as api:
        asyncio.run(_asked(api, purse, pieces=0, spec=spec))
    (most,) = purse.reserved
    assert purse.settled == {0: Amount(most.tokens - 1000, (most.tokens - 1000) / 1000)}


@SPECS
def test_an_agent_that_goes_in_the_middle_has_cost_the_worst_case(spec: str) -> None:
    """How much of the reply was written by then nobody knows: it is settled at once, as it was reserved."""
    purse = Purse()
    with messages_api([says("Here it is, and it goes on.")]) as api:
        asyncio.run(_asked(api, purse, pieces=1, spec=spec))
    assert purse.settled == {0: purse.reserved[0]}
