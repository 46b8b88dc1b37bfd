"""A loopback HTTP server that answers as a test says and remembers what it was asked."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """One answer."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


@dataclass
class Loopback:
    """A running server."""

    url: str
    asked: list[Asked]


@contextmanager
def loopback(answer: Callable[[Asked], Answer], tls: ssl.SSLContext | None = None) -> Iterator[Loopback]:
    """Serve `answer` on a free loopback port for the length of a block; with `tls` over HTTPS."""
    asked: list[Asked] = []
    stopping = threading.Event()

    class _Responder(BaseHTTPRequestHandler):
        def _respond(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            one = Asked(self.command, self.path, dict(self.headers), self.rfile.read(length))
            asked.append(one)
            given = answer(one)
            if given.delay_s and stopping.wait(given.delay_s):
                return
            self.send_response(given.status)
            for name, value in given.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(given.body)))
            self.end_headers()
            self.wfile.write(given.body)

        do_GET = do_POST = do_PUT = do_PATCH = _respond  # noqa: N815 - the names http.server looks for

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Responder)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        scheme = "http" if tls is None else "https"
        yield Loopback(f"{scheme}://127.0.0.1:{server.server_address[1]}", asked)
    finally:
        stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
