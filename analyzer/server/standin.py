"""The stand-in for a model provider on loopback: sockets and HTTP around `analyzer.replay.standin`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from analyzer.replay.standin import StandIn
from analyzer.server.listen import QuietServer, address_of, bind
from analyzer.server.live import Live, Relayed
from analyzer.server.mcp.recorded import RecordedDesk

LOOPBACK = "127.0.0.1"
_TOOLS_PATH = "/mcp"
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
                return _Relaying(relayed)
            found = relayed
        return Response(found.body, found.status, dict(found.headers), media_type=found.content_type)

    tools = _ToolsOverMcp(standin)
    app = Starlette(
        routes=[Route(_TOOLS_PATH, tools), Route("/{path:path}", answer, methods=["GET", "POST"])],
        lifespan=tools.lifespan,
    )
    app.router.redirect_slashes = False
    return app


class _Relaying(StreamingResponse):
    """A provider's answer on its way to the agent; an agent that goes leaves it, also before its first piece."""

    def __init__(self, relayed: Relayed) -> None:
        super().__init__(relayed.pieces, relayed.status, dict(relayed.headers))
        self._close = relayed.close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            # The end is written down, which may wait for the store: other requests wait for no one, and no
            # cancellation of this one may leave it out.
            await asyncio.shield(asyncio.to_thread(self._close))


class _ToolsOverMcp:
    """Recorded tools over the Model Context Protocol. Its SDK takes most of a second to load: only who asks waits."""

    def __init__(self, standin: StandIn) -> None:
        self._standin = standin
        self._ready: asyncio.Future[Starlette] | None = None
        self._running: asyncio.Task[None] | None = None
        self._end = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._ready is None:
            self._ready = asyncio.get_running_loop().create_future()
            self._running = asyncio.create_task(self._run(self._ready))
        # A client that goes away must not take the others' server with it.
        app = await asyncio.shield(self._ready)
        await app(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Stand for the length of a block; what was loaded is ended with it."""
        yield
        self._end.set()
        if self._running is not None:
            await self._running

    async def _run(self, ready: asyncio.Future[Starlette]) -> None:
        """Load, answer, and end, all in one task: the SDK's own tasks are bound to the one that began them."""
        try:
            app = await asyncio.to_thread(self._loaded)
            async with app.router.lifespan_context(app):
                ready.set_result(app)
                await self._end.wait()
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)

    def _loaded(self) -> Starlette:
        from analyzer.server.mcp.wire import recorded_application

        return recorded_application(RecordedDesk(self._standin), version("analyzer"))


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
