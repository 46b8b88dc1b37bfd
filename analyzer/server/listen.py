"""Sockets and signals: the receiver listens, and on SIGTERM finishes what is in flight."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from analyzer.cycles import rarely_sought
from analyzer.errors import UsageError
from analyzer.server.alerts import AlertInbox
from analyzer.server.app import application
from analyzer.server.auth import check_exposure
from analyzer.server.metrics import Scrapes
from analyzer.server.pages.site import Site
from analyzer.server.receiver import Receiver

_KEEP_ALIVE_S = 75
"""Longer than exporters pause between batches (5 s as a rule, a minute at most): closing just when the next one is
sent makes it fail."""
_BACKLOG = 512
STOP_S = 5
"""How long requests in flight have to end."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the receiver can be reached."""

    url: str
    grpc: str | None
    """host:port, or None without gRPC."""
    stop: Callable[[], None]
    """Ends it as SIGTERM does; may be called from any thread."""


def bind(host: str, port: int, *, token: str | None) -> socket.socket:
    """Return a listening socket; port 0 takes a free one.

    Raises UsageError where the address is not to be had, and where it is open to others and there is no token.
    """
    check_exposure(host, token)
    try:
        family, _, _, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"cannot listen on {host}:{port}: {reason}; choose another with --host and --port") from None


_PASSIVE = socket.AI_PASSIVE


def listen(
    receiver: Receiver,
    listener: socket.socket,
    *,
    site: Site | None = None,
    alerts: AlertInbox | None = None,
    scrapes: Scrapes | None = None,
    card: bytes | None = None,
    grpc: tuple[str, int] | None = None,
    on_ready: Callable[[Listening], None] = lambda _where: None,
) -> None:
    """Serve until SIGTERM or ctrl-c; then finish the requests in flight and commit what waits.

    `site` are the pages, `scrapes` the metrics, `alerts` the inbox of webhooks from Alertmanager and `card` what other
    agents read of this one, where there are any; `grpc` is the host and port of the gRPC receiver. `on_ready` is called
    once requests are taken. Raises UsageError where the gRPC port is not to be had, or its library is not installed.
    """
    try:
        with rarely_sought():
            asyncio.run(
                _serve(application(receiver, site, scrapes, alerts, card), receiver, listener, alerts, grpc, on_ready)
            )
    finally:
        listener.close()
        if site is not None:
            site.close()
        if scrapes is not None:
            scrapes.close()
        receiver.close()


async def _serve(
    app: Starlette,
    receiver: Receiver,
    listener: socket.socket,
    alerts: AlertInbox | None,
    grpc: tuple[str, int] | None,
    on_ready: Callable[[Listening], None],
) -> None:
    server = QuietServer(app, stop_s=receiver.limits.stop_s)
    stop_grpc = None
    where = None
    if grpc is not None:
        from analyzer.server.grpc import start

        stop_grpc, where = await start(receiver, *grpc)
    url = address_of(listener)
    server.on_started = lambda: on_ready(Listening(url, where, server.stop))
    looking = None if alerts is None else asyncio.create_task(alerts.investigations.work())
    try:
        await server.serve(sockets=[listener])
    finally:
        if looking is not None:
            # A run that is cut off is begun again at the next start: what it was to answer still waits.
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        if stop_grpc is not None:
            await stop_grpc(receiver.limits.stop_s)


def serve_app(app: ASGIApp, listener: socket.socket, *, on_ready: Callable[[], None]) -> None:
    """Serve any application until SIGTERM or ctrl-c; then finish the requests in flight."""
    server = QuietServer(app, stop_s=STOP_S, lifespan=True)
    server.on_started = on_ready
    asyncio.run(server.serve(sockets=[listener]))


class QuietServer(uvicorn.Server):
    """Stops on a signal and lets its caller go on: uvicorn's own would send the signal again to end the process."""

    on_started: Callable[[], None]
    """Called once requests are taken."""

    def __init__(self, app: ASGIApp, *, stop_s: int, dated: bool = True, lifespan: bool = False) -> None:
        """Serve an application that says nothing by itself.

        `stop_s` is how long requests in flight may take at the end; `dated` whether answers carry the time; `lifespan`
        whether the application has something to begin and to end.
        """
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="on" if lifespan else "off",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                date_header=dated,
                proxy_headers=False,
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=stop_s,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self.on_started()

    def stop(self) -> None:
        """End after the requests in flight."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT for the length of a block."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def address_of(listener: socket.socket) -> str:
    """Return the URL of what listens, as seen from where it listens."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
