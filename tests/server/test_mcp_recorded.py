"""Recorded tools over the Model Context Protocol, as the SDK's own client asks for them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from analyzer.replay.alike import Decision
from analyzer.replay.conversation import Message, ToolCall, ToolDefinition
from analyzer.replay.judging import failure_of, seen
from analyzer.replay.outcomes import Outcome
from analyzer.replay.recording import Call, Execution, Recording, Request
from analyzer.replay.standin import StandIn
from analyzer.server.standin import standing_in
from analyzer.types import trace
from analyzer.types.trace import Operation, Span

SCHEMA = {"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]}


def _recording(tool: str) -> Recording:
    """Return a run of one decision and two calls of a tool, the second of which failed."""
    definition = ToolDefinition(tool, "Say where an order is.", SCHEMA)
    goal = Message("user", "Where?")
    decided = Decision("", (ToolCall("c1", tool, {"order": "A-1"}), ToolCall("c2", tool, {"order": "B-2"})))
    span = Span("0" * 32, f"{1:016x}", None, "chat", Operation.CHAT)
    executions = (
        Execution(2, None, tool, "c1", {"order": "A-1"}, "shipped", failed=False),
        Execution(3, None, tool, "c2", {"order": "B-2"}, "error: lost", failed=True),
    )
    return Recording("0" * 32, "a", None, "", (Call(1, span, Request("m", {}, "", (definition,), (goal,)), decided),),
                     executions, ())  # fmt: skip


def talked(standin: StandIn, asked: Callable[[Client], Awaitable[Any]]) -> Any:
    """Serve a recording, connect a client, and return what it asked."""

    async def talk(url: str) -> Any:
        async with asyncio.timeout(30), Client(streamable_http_client(f"{url}/mcp")) as client:
            return await asked(client)

    with standing_in(standin) as url:
        return asyncio.run(talk(url))


async def _orders(client: Client) -> list[tuple[str, bool | None]]:
    found = []
    for order in ("A-1", "B-2", "C-3"):
        returned = await client.call_tool("find_order", {"order": order})
        found.append((returned.content[0].text, returned.is_error))
    return found


def test_a_client_gets_what_was_recorded_and_no_more() -> None:
    """The tool is listed with its schema; calls give what they gave, a failure fails, an unrecorded call says so."""
    standin = StandIn(_recording("find_order"))

    async def asked(client: Client) -> Any:
        return (await client.list_tools()).tools, await _orders(client)

    tools, found = talked(standin, asked)
    assert [(one.name, one.description, one.input_schema) for one in tools] == [
        ("find_order", "Say where an order is.", SCHEMA)
    ]
    assert found == [
        ("shipped", False),
        ("error: lost", True),
        ("analyzer replay: the recorded run called find_order with other arguments (step 3)", True),
    ]
    assert [one.told is None for one in standin.tools_asked] == [False, False, True]


def test_an_unrecorded_call_parts_the_run() -> None:
    """What the client was refused is the divergence, with the recorded calls beside it, and nothing is fixed."""
    standin = StandIn(_recording("find_order"))
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Where?"}], "tools": [
        {"name": "find_order", "description": "Say where an order is.", "input_schema": SCHEMA}]}  # fmt: skip
    assert standin.answer("/v1/messages", json.dumps(body).encode()).status == 200
    talked(standin, _orders)
    failure = failure_of(standin.recording, trace.Outcome.ERROR)
    found = seen(standin.recording, failure, standin.course, code=0, tools=standin.tools_asked)
    assert found.judged.outcome is Outcome.DIVERGED
    assert found.difference is not None
    assert found.difference.diff == (
        '-find_order {"order": "A-1"}',
        '-find_order {"order": "B-2"}',
        '+find_order {"order": "C-3"}',
    )


def test_prefixes_of_servers_are_taken_off() -> None:
    """Claude's agents name a tool mcp__SERVER__TOOL to the model and TOOL to its server; so does the replay."""
    standin = StandIn(_recording("mcp__shop__find_order"))
    assert [text for text, _ in talked(standin, _orders)][:2] == ["shipped", "error: lost"]
    assert [one.tool for one in standin.tools_asked][:2] == ["mcp__shop__find_order"] * 2


def test_names_that_would_be_one_are_kept_apart() -> None:
    """Two servers with a tool of the same name: each is called by its whole name."""
    both = replace(
        _recording("mcp__a__find"), executions=(Execution(2, None, "mcp__b__find", "", {}, "b's", failed=False),)
    )

    async def names(client: Client) -> Any:
        return [one.name for one in (await client.list_tools()).tools], await client.call_tool("mcp__b__find", {})

    listed, returned = talked(StandIn(both), names)
    assert listed == ["mcp__a__find", "mcp__b__find"]
    assert returned.content[0].text == "b's"
