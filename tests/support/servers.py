"""Debian's servers on loopback: started, waited for until they are ready, and ended."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

READY_S = 30.0


def need(program: str, package: str) -> None:
    """Skip with a clear line where a server is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (Debian: apt-get install {package})")


def free_address() -> str:
    """Return a loopback address with a port that is free now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def asked(url: str, body: bytes | None = None) -> bytes:
    """GET, or POST JSON, and return the answer's body."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - loopback
        return answer.read()


@contextmanager
def started(command: Sequence[str], address: str, log: Path) -> Iterator[str]:
    """Run a server that answers at an address under `/-/ready`, and give its URL."""
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            _wait_until_ready(f"http://{address}", server, log)
            yield f"http://{address}"
        finally:
            server.terminate()
            server.wait(20)


def _wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        assert server.poll() is None, f"the server ended: {log.read_text('utf-8')[-500:]}"
        try:
            asked(f"{url}/-/ready")
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"{server.args} is not ready")
