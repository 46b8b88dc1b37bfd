"""Debian's Alertmanager on loopback."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAM = "prometheus-alertmanager"
READY_S = 30.0


def need_alertmanager() -> None:
    """Skip with a clear line where the server is not installed."""
    if shutil.which(PROGRAM) is None:
        pytest.skip(f"{PROGRAM} is not installed (Debian: apt-get install {PROGRAM})")


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
def alertmanager(folder: Path, webhook: str) -> Iterator[str]:
    """Start one that tells everything to a webhook at once, and give its URL."""
    config = folder / "alertmanager.yml"
    config.write_text(
        "route: {receiver: hook, group_by: [incident, alertname], group_wait: 0s, group_interval: 1s}\n"
        f"receivers: [{{name: hook, webhook_configs: [{{url: '{webhook}'}}]}}]\n"
    )
    address = free_address()
    with (folder / "alertmanager.log").open("wb") as log:
        server = subprocess.Popen(
            [
                PROGRAM,
                f"--config.file={config}",
                f"--storage.path={folder / 'alerts'}",
                f"--web.listen-address={address}",
                "--cluster.listen-address=",
            ],
            stdout=log,
            stderr=log,
        )
        try:
            _wait_until_ready(f"http://{address}", server)
            yield f"http://{address}"
        finally:
            server.terminate()
            server.wait(20)


def _wait_until_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        assert server.poll() is None, "alertmanager ended"
        try:
            asked(f"{url}/-/ready")
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("alertmanager is not ready")
