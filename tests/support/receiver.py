"""A running receiver: in a thread where a test looks inside, as a process where it kills it."""

from __future__ import annotations

import http.client
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.cli import announced

from analyzer.server.alerts import AlertInbox
from analyzer.server.limits import Limits
from analyzer.server.listen import Listening, bind, listen
from analyzer.server.metrics import Scrapes
from analyzer.server.pages.site import Site
from analyzer.server.receiver import Receiver
from analyzer.stores.base import Added
from analyzer.types.trace import Span

PROTO, JSON = "application/x-protobuf", "application/json"


@dataclass(frozen=True)
class Told:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Running:
    """A receiver that listens."""

    where: Listening
    receiver: Receiver
    said: list[str] = field(default_factory=list)

    def post(self, body: Any, *, path: str = "/v1/traces", kind: str | None = PROTO, **headers: str) -> Told:
        """Send one request and return the answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.where.url, "POST", path, body, {**({"Content-Type": kind} if kind else {}), **named})


def ask(url: str, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Told:
    """Send any request and return the answer; a body that is no bytes is sent in chunks without a length."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Told(response.status, {key.lower(): value for key, value in response.getheaders()}, response.read())
    finally:
        connection.close()


@contextmanager
def running(
    add: Callable[[Sequence[Span]], Added],
    *,
    mask: Callable[[str], str] = lambda text: text,
    token: str | None = None,
    limits: Limits | None = None,
    grpc: bool = False,
    site: Site | None = None,
    alerts: AlertInbox | None = None,
    scrapes: Scrapes | None = None,
) -> Iterator[Running]:
    """Serve on a free port for the length of a block."""
    said: list[str] = []
    receiver = Receiver(add, mask=mask, token=token, limits=limits, say=said.append)
    listener = bind("127.0.0.1", 0, token=token)
    ready: queue.Queue[Listening] = queue.Queue()
    where_grpc = ("127.0.0.1", 0) if grpc else None
    thread = threading.Thread(
        target=listen,
        args=(receiver, listener),
        kwargs={"site": site, "scrapes": scrapes, "alerts": alerts, "grpc": where_grpc, "on_ready": ready.put},
        daemon=True,
    )
    thread.start()
    where = ready.get(timeout=10)
    try:
        yield Running(where, receiver, said)
    finally:
        where.stop()
        thread.join(20)
        assert not thread.is_alive()


@dataclass
class Process:
    """`analyzer serve` as a process of its own."""

    process: subprocess.Popen[str]
    url: str
    grpc: str | None
    store: Path

    def peak_mib(self) -> float:
        """Return the largest resident memory so far."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


@contextmanager
def serving(store: Path, *arguments: str, port: int = 0) -> Iterator[Process]:
    """Run `analyzer serve` for the length of a block; it is killed at the end where the block has not ended it."""
    command = [sys.executable, "-m", "analyzer", "serve", "--json", "--port", str(port), "--store", str(store)]
    process = subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        document = announced(process)
        yield Process(process, document["url"], document["grpc"], store)
    finally:
        process.kill()
        process.communicate(timeout=20)
