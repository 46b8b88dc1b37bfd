"""A mail server on a loopback port, with STARTTLS and a login where a test wants them."""

from __future__ import annotations

import shutil
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

LOGIN = "AGFuYWx5c3QAaHVudGVyMg=="
"""`analyst` and `hunter2` for AUTH PLAIN, in base64."""


@dataclass
class Letterbox:
    """A running fake."""

    port: int = 0
    letters: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    """Verbs in their order."""
    answers: dict[str, str] = field(default_factory=dict)
    """What a verb gets instead of being heard."""

    @property
    def url(self) -> str:
        """The server as a setting names it."""
        return f"smtp://127.0.0.1:{self.port}"


class _Session(socketserver.StreamRequestHandler):
    server: _Server
    timeout = 10

    def handle(self) -> None:
        self.encrypted, self.to = False, []
        self._say("220 here")
        while line := self.rfile.readline():
            verb = line.decode().split()[0].upper()
            self.server.box.commands.append(verb)
            if verb in self.server.box.answers:
                self._say(self.server.box.answers[verb])
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                getattr(self, f"_{verb.lower()}", self._ok)(line.decode().strip())

    def finish(self) -> None:
        """Close what STARTTLS put in place of what the server itself would close."""
        for one in (self.rfile, self.wfile, self.connection):
            one.close()

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def _ok(self, _line: str) -> None:
        self._say("250 ok")

    def _ehlo(self, _line: str) -> None:
        offers = []
        if self.server.context is not None:
            offers = ["AUTH PLAIN"] if self.encrypted else ["STARTTLS"]
        lines = ["here", *offers, "8BITMIME"]
        for index, text in enumerate(lines):
            self._say(f"250{' ' if index == len(lines) - 1 else '-'}{text}")

    def _starttls(self, _line: str) -> None:
        assert self.server.context is not None
        self._say("220 go")
        self.rfile.close()
        self.wfile.close()
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.encrypted = True

    def _auth(self, line: str) -> None:
        self._say("235 welcome" if line.endswith(LOGIN) else "535 no")

    def _rcpt(self, line: str) -> None:
        self.to.append(line.partition("<")[2].partition(">")[0])
        self._say("250 ok")

    def _data(self, _line: str) -> None:
        self._say("354 go")
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line[1:] if line.startswith(b"..") else line)
        self.server.box.letters.append(message_from_bytes(b"".join(lines), policy=policy.default))
        self.server.box.recipients.append(self.to)
        self._say("250 taken")


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, box: Letterbox, context: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.box, self.context = box, context

    def handle_error(self, *_args: object) -> None:
        """Say nothing: a client that goes away is what some tests are about."""


@contextmanager
def letterbox(context: ssl.SSLContext | None = None) -> Iterator[Letterbox]:
    """Run a server for the length of a block; with a context it offers STARTTLS, and a login behind it."""
    box = Letterbox()
    with _Server(box, context) as server:
        box.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield box
        finally:
            server.shutdown()
            thread.join(5)


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return contexts of a server on 127.0.0.1 and of a client that trusts it; skips where openssl is missing."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed (Debian: apt-get install openssl)")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", str(key), "-out", str(cert), "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    return server, ssl.create_default_context(cafile=str(cert))
