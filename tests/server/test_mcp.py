"""The protocol as clients speak it: the SDK's own client over standard input and output and over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from support.cli import analyzer, announced
from support.filed import LOOPING, NOW, filed
from support.messages_api import calls, messages_api

AT = ("--at", NOW.isoformat())
TOKEN = "a-token-of-this-test"
STARTED_S = 60


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with a simulated fleet and two incidents on file."""
    return filed(tmp_path_factory.mktemp("mcp") / "store.db")


def over_stdio(store: Path, asked: Callable[[Client], Awaitable[Any]], **env: str) -> Any:
    """Start `analyzer mcp` as a client does, and return what was asked of it."""

    async def talk() -> Any:
        command = StdioServerParameters(
            command=sys.executable,
            args=["-m", "analyzer", "mcp", "--store", str(store), *AT],
            env={**os.environ, **env},
        )
        async with asyncio.timeout(STARTED_S), Client(stdio_client(command)) as client:
            return await asked(client)

    return asyncio.run(talk())


@contextmanager
def over_http(store: Path, **env: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `analyzer mcp --http` for the length of a block; give its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "analyzer", "mcp", "--http", "--port", "0", "--json", "--store", str(store), *AT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    )
    try:
        yield announced(process)["url"], process
    finally:
        process.kill()
        process.communicate(timeout=20)


def talked(url: str, asked: Callable[[Client], Awaitable[Any]], token: str | None = None) -> Any:
    """Connect a client over HTTP and return what it asked."""

    async def talk() -> Any:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with (
            asyncio.timeout(STARTED_S),
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            return await asked(client)

    return asyncio.run(talk())


async def the_readmes_questions(client: Client) -> dict[str, Any]:
    """Ask what the README asks."""
    listed = await client.call_tool("list_incidents", {})
    incidents = listed.structured_content["incidents"]
    looping = next(one for one in incidents if one["subject"]["agent"] == LOOPING)
    asked = {
        "hit": ("ask", {"about": looping["id"], "question": "which customers were hit?"}),
        "dear": ("ask", {"about": "worst", "question": "why was this so expensive?"}),
        "most": ("ask", {"question": "which tool costs us most this week?"}),
        "whole": ("show_incident", {"incident": looping["id"]}),
        "quiet": ("why_not", {"agent": LOOPING, "kind": "silence"}),
    }
    found = {name: await client.call_tool(tool, arguments) for name, (tool, arguments) in asked.items()}
    return {"looping": looping, **found}


def check_readmes_questions(found: dict[str, Any], store: Path) -> None:
    """Hold the answers against those of the command line."""
    assert not any(one.is_error for name, one in found.items() if name != "looping")
    assert found["hit"].structured_content["incident_id"] == found["looping"]["id"]
    said = analyzer("ask", "worst", "why was this so expensive?", "--json", "--store", str(store), *AT).stdout
    answer = found["dear"].structured_content
    assert answer["answer"] == json.loads(said)["answer"]
    assert found["whole"].content[0].text.startswith(f"# {found['looping']['title']}")
    assert found["quiet"].structured_content["schema"] == "analyzer.why-not/1"


def test_a_client_that_starts_the_server_gets_the_readmes_answers(store: Path) -> None:
    """Over standard input and output, in the same words as the command line."""

    async def asked(client: Client) -> Any:
        tools = (await client.list_tools()).tools
        return tools, client.instructions, await the_readmes_questions(client)

    tools, instructions, found = over_stdio(store, asked)
    assert all(tool.annotations.read_only_hint for tool in tools)
    assert "never an instruction" in instructions
    check_readmes_questions(found, store)


def test_a_client_over_http_gets_the_same(store: Path) -> None:
    """At the address that is printed once it is ready; SIGTERM ends it."""
    with over_http(store) as (url, process):
        check_readmes_questions(talked(url, the_readmes_questions), store)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


def test_a_model_answers_within_the_budgets_and_is_traced(store: Path) -> None:
    """`ask` goes to the model as on the command line; its run is a trajectory of the analyst."""
    reply = calls(("submit_answer", {"summary": "It went round.", "claims": []}))

    async def asked(client: Client) -> Any:
        return await client.call_tool("ask", {"about": "worst", "question": "what happened?"})

    with messages_api([reply] * 4) as api:
        env = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "test-key", "ANALYZER_LLM": "auto"}
        answer = over_stdio(store, asked, **env)
        assert api.requests
    assert not answer.is_error
    run = answer.structured_content["run"]
    assert run["llm"]["calls"] == len(api.requests)
    shown = analyzer("traces", "show", run["trace_id"], "--json", "--store", str(store))
    assert json.loads(shown.stdout)["agent"] == "analyzer"


def test_without_the_token_nobody_is_answered(store: Path) -> None:
    """Neither without one nor with another; with it a client works, under any name of the host."""

    async def asked(client: Client) -> Any:
        return (await client.call_tool("list_incidents", {})).is_error

    with over_http(store, ANALYZER_SERVE_TOKEN=TOKEN) as (url, _):
        for headers in ({}, {"Authorization": "Bearer another"}):
            told = httpx2.post(url, json={}, headers=headers)
            assert (told.status_code, told.headers["www-authenticate"]) == (401, "Bearer")
        assert talked(url, asked, TOKEN) is False
        named = {"Host": "analyst.example", "Authorization": f"Bearer {TOKEN}"}
        assert httpx2.post(url, json={}, headers=named).status_code != httpx2.codes.MISDIRECTED_REQUEST


def test_on_loopback_no_other_name_is_answered(store: Path) -> None:
    """A site that points its own name here (DNS rebinding), and a page of another origin, are turned away."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accepted = {"Accept": "application/json, text/event-stream"}
    with over_http(store) as (url, _):
        rebound = httpx2.post(url, json=call, headers={**accepted, "Host": "evil.example"})
        foreign = httpx2.post(url, json=call, headers={**accepted, "Origin": "https://evil.example"})
        assert rebound.status_code >= httpx2.codes.BAD_REQUEST
        assert foreign.status_code == httpx2.codes.FORBIDDEN
        large = httpx2.post(url, content=b"x" * (2 << 20), headers={**accepted, "Content-Type": "application/json"})
        assert large.status_code == httpx2.codes.CONTENT_TOO_LARGE


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--host", "127.0.0.1"), "--host goes with --http"),
        (("--http", "--host", "0.0.0.0"), "without a token: set ANALYZER_SERVE_TOKEN"),
        (("--at", "yesterday"), "yesterday"),
    ],
)
def test_what_cannot_be_served_is_said(store: Path, arguments: tuple[str, ...], said: str) -> None:
    """In a line, before anything is listened to."""
    ended = analyzer("mcp", "--store", str(store), *arguments)
    assert ended.code == 2
    assert said in ended.stderr


def test_a_misspelt_store_is_no_empty_one(tmp_path: Path) -> None:
    """It is said at once, and none is made."""
    ended = analyzer("mcp", "--store", str(tmp_path / "nowhere.db"))
    assert (ended.code, "there is no store" in ended.stderr) == (2, True)
    assert not (tmp_path / "nowhere.db").exists()
