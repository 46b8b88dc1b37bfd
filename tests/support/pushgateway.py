"""Debian's Pushgateway on loopback."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAM = "prometheus-pushgateway"
READY_S = 20.0


@contextmanager
def pushgateway(folder: Path) -> Iterator[str]:
    """Start a gateway and give its URL; skip with a clear line where it is not installed."""
    if shutil.which(PROGRAM) is None:
        pytest.skip(f"{PROGRAM} is not installed (Debian: apt-get install {PROGRAM})")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [PROGRAM, f"--web.listen-address={address}", f"--persistence.file={folder / 'gateway.bin'}"]
    with (folder / "gateway.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + READY_S
            while not _is_ready(f"http://{address}"):
                if time.monotonic() > deadline or server.poll() is not None:
                    pytest.fail("the Pushgateway did not become ready on loopback")
                time.sleep(0.05)
            yield f"http://{address}"
        finally:
            server.terminate()
            server.wait(20)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=1) as answer:  # noqa: S310 - loopback
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
