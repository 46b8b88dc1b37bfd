"""The wire of the Model Context Protocol, by its official SDK: standard input and output, or streamable HTTP.

An App is put together for each call, so that calls side by side share nothing, and each sees the store as it is then.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import anyio
from anyio.to_thread import run_sync
from mcp.server import Server
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent, ToolAnnotations
from mcp_types import Tool as WireTool
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from analyzer.agent.desk import ToolError
from analyzer.errors import AnalyzerError
from analyzer.pipeline import App
from analyzer.server.auth import Guard
from analyzer.server.listen import address_of, serve_app
from analyzer.server.mcp.offers import INSTRUCTIONS, Arguments, Offer, Shown, offers
from analyzer.server.mcp.recorded import RecordedDesk
from analyzer.types.audit import Act, Action
from analyzer.types.document import gap_document
from analyzer.types.report import Gap

PATH = "/mcp"
CALLS_MAX = 4
"""Calls that are answered side by side; others wait."""
BODY_BYTES_MAX = 1 << 20
ABOUT = "mcp"
"""What the log says these calls are about."""


@dataclass(frozen=True, slots=True)
class Opened:
    """How an App comes about for a call."""

    asking: Callable[[], AbstractContextManager[App]]
    """With a model, and a trace of its own."""
    reading: Callable[[], AbstractContextManager[App]]
    """Without both; it writes to the log all the same."""


class Desk:
    """Answers calls. Never raises for what a caller sends."""

    def __init__(
        self, opened: Opened, *, has_metrics: bool, now: Callable[[], datetime], mask: Callable[[str], str]
    ) -> None:
        """`mask` is for what no App has masked yet: the words of errors."""
        self._opened = opened
        self._now = now
        self._mask = mask
        self.offers = {offer.name: offer for offer in offers(has_metrics=has_metrics)}

    def call(self, name: str, arguments: Arguments) -> Shown:
        """Answer one call, and write it to the log. What cannot be logged is not shown."""
        offer = self.offers.get(name)
        if offer is None:
            return Shown(f"there is no tool {name[:60]!r}; there are {', '.join(self.offers)}", failed=True)
        try:
            with (self._opened.asking if offer.asks_model else self._opened.reading)() as app:
                shown = self._answered(offer, app, arguments)
                if not offer.asks_model or shown.failed:
                    app.journal.write(
                        Act(Action.TOOL_CALL, ABOUT, name, dict(arguments), returned=shown.text, failed=shown.failed)
                    )
                return shown
        except AnalyzerError as error:
            return Shown(f"not available: {self._mask(str(error))}", failed=True)

    def _answered(self, offer: Offer, app: App, arguments: Arguments) -> Shown:
        known = offer.schema["properties"]
        strange = sorted(set(arguments) - set(known))
        if strange:
            return Shown(f"there is no argument {strange[0][:60]!r}; there are {', '.join(known)}", failed=True)
        known_gaps = app.gaps()
        try:
            shown = offer.answer(app, self._now(), arguments)
            return _with_gaps(shown, [gap for gap in app.gaps() if gap not in known_gaps])
        except (ToolError, AnalyzerError) as error:
            return Shown(self._mask(str(error)), failed=True)
        except Exception as error:  # noqa: BLE001 - hostile arguments must not end the server; the type says enough
            return Shown(f"it failed on these arguments ({type(error).__name__}); check their form", failed=True)


def _with_gaps(shown: Shown, gaps: Sequence[Gap]) -> Shown:
    """Return what is shown with what could not be seen for it: without a line each an answer would look whole."""
    if not gaps:
        return shown
    text = "\n".join((f"{shown.text.rstrip()}\n", *(gap.line for gap in gaps)))
    document = shown.document and {**shown.document, "gaps": [gap_document(gap) for gap in gaps]}
    return replace(shown, text=text, document=document)


def server_of(desk: Desk, version: str) -> Server[dict[str, Any]]:
    """Return the SDK's server over a desk."""
    limiter = anyio.CapacityLimiter(CALLS_MAX)

    async def list_tools(_context: Any, _params: Any) -> ListToolsResult:
        return ListToolsResult(tools=[_tool(offer) for offer in desk.offers.values()])

    async def call_tool(_context: Any, params: CallToolRequestParams) -> CallToolResult:
        shown = await run_sync(partial(desk.call, params.name, params.arguments or {}), limiter=limiter)
        return CallToolResult(
            content=[TextContent(text=shown.text)],
            structured_content=None if shown.document is None else dict(shown.document),
            is_error=shown.failed,
        )

    return Server(
        "analyzer", version=version, instructions=INSTRUCTIONS, on_list_tools=list_tools, on_call_tool=call_tool
    )


def _tool(offer: Offer) -> WireTool:
    return WireTool(
        name=offer.name,
        description=offer.description,
        input_schema=dict(offer.schema),
        annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
    )


def recorded_application(desk: RecordedDesk, version: str) -> Starlette:
    """Return what answers at `PATH` with recorded tools; only names of this machine are answered."""
    _quiet()

    async def list_tools(_context: Any, _params: Any) -> ListToolsResult:
        tools = [
            WireTool(name=name, description=one.description, input_schema={"type": "object", **one.schema})
            for name, one in desk.tools.items()
        ]
        return ListToolsResult(tools=tools)

    async def call_tool(_context: Any, params: CallToolRequestParams) -> CallToolResult:
        returned = await run_sync(desk.call, params.name, params.arguments or {})
        return CallToolResult(content=[TextContent(text=returned.text)], is_error=returned.failed)

    server: Server[dict[str, Any]] = Server(
        "analyzer-replay", version=version, on_list_tools=list_tools, on_call_tool=call_tool
    )
    return server.streamable_http_app(
        streamable_http_path=PATH, stateless_http=True, json_response=True, max_request_body_size=BODY_BYTES_MAX
    )


def serve_stdio(desk: Desk, version: str) -> None:
    """Answer on standard input and output until the input ends."""
    _quiet()

    async def serve() -> None:
        server = server_of(desk, version)
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())

    anyio.run(serve)


def serve_http(
    desk: Desk,
    version: str,
    listener: socket.socket,
    *,
    token: str | None,
    on_ready: Callable[[str], None],
) -> None:
    """Answer at `PATH` over streamable HTTP until SIGTERM or ctrl-c; `on_ready` hears the whole address.

    With a token every request must carry it. Without, only names of this machine are answered, so that no site can make
    its own name point here (DNS rebinding).
    """
    _quiet()
    app = server_of(desk, version).streamable_http_app(
        streamable_http_path=PATH,
        # No call depends on one before: a client may be sent to another instance at any time.
        stateless_http=True,
        json_response=True,
        max_request_body_size=BODY_BYTES_MAX,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False) if token else None,
    )
    app.add_middleware(_Guarded, guard=Guard(token))
    serve_app(app, listener, on_ready=lambda: on_ready(f"{address_of(listener)}{PATH}"))


class _Guarded:
    """Lets requests in that carry the token."""

    def __init__(self, app: ASGIApp, *, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._guard.admits(dict(scope["headers"]).get(b"authorization", b"")):
            refused = JSONResponse(
                {"error": "the token is missing or wrong: send `Authorization: Bearer TOKEN`"},
                status_code=401,
                headers={"WWW-Authenticate": "Bearer"},
            )
            await refused(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _quiet() -> None:
    """Keep the SDK's log to what is wrong: a client shows its server's standard error to people."""
    logging.getLogger("mcp").setLevel(logging.ERROR)
