"""The stand-in for a model provider on loopback: sockets and HTTP around `analyzer.replay.standin`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from analyzer.replay.standin import StandIn
from analyzer.server.listen import QuietServer, address_of, bind
from analyzer.server.live import Live, Relayed
from analyzer.server.mcp.recorded import RecordedDesk
from analyzer.server.mcp.wire import recorded_application

LOOPBACK = "127.0.0.1"
BODY_BYTES_MAX = 64 << 20
"""Providers refuse requests far below this; the bound is for whatever else may come."""
_STOP_S = 5
_START_S = 10.0
_RETRIES = "x-stainless-retry-count"
"""The header in which both official SDKs count how often a request was sent before."""


def stand_in_application(standin: StandIn, live: Live | None = None) -> Starlette:
    """Return the ASGI application over a stand-in. Every path is its to answer: also those that it does not know.

    `live` sends requests on to the provider, where the policy asks for that.
    """

    async def answer(request: Request) -> Response:
        body = bytearray()
        try:
            async for piece in request.stream():
                body += piece
                if len(body) > BODY_BYTES_MAX:
                    return Response(status_code=413)
        except ClientDisconnect:
            return Response(status_code=400)
        again = request.headers.get(_RETRIES, "0") != "0"
        # In a thread: the first comparison of a long history takes a while, and other requests wait for no one.
        found = await asyncio.to_thread(standin.answer, request.url.path, bytes(body), again=again)
        if live is not None and found.forward is not None:
            relayed = await asyncio.to_thread(live.relay, found.forward, bytes(body), dict(request.headers))
            if isinstance(relayed, Relayed):
                return StreamingResponse(relayed.pieces, relayed.status, dict(relayed.headers))
            found = relayed
        return Response(found.body, found.status, dict(found.headers), media_type=found.content_type)

    tools = recorded_application(RecordedDesk(standin), version("analyzer"))
    app = Starlette(
        routes=[*tools.routes, Route("/{path:path}", answer, methods=["GET", "POST"])],
        lifespan=tools.router.lifespan_context,
    )
    app.router.redirect_slashes = False
    return app


@contextmanager
def standing_in(standin: StandIn, port: int = 0, *, live: Live | None = None) -> Iterator[str]:
    """Answer on a port of loopback for the length of a block, 0 for a free one; gives the URL.

    Raises UsageError where the port is not to be had.
    """
    ready = threading.Event()
    listener = bind(LOOPBACK, port, token=None)
    server = QuietServer(stand_in_application(standin, live), stop_s=_STOP_S, dated=False, lifespan=True)
    server.on_started = ready.set
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
    with listener:
        thread.start()
        if not ready.wait(_START_S):
            raise RuntimeError("the stand-in did not start")
        try:
            yield address_of(listener)
        finally:
            server.stop()
            thread.join(2 * _STOP_S)
