"""Runs the program on a pseudo-terminal: what a person sees, and what they type, key by key."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

WIPED = re.compile(r"[^\r\n]*\r\x1b\[K")
"""A line that moves, and what takes it away."""


@dataclass
class Screen:
    """A program on a terminal."""

    process: subprocess.Popen[bytes]
    own: int
    seen: str = ""
    """Everything that was written, as it came."""
    at: int = 0
    """How far it was waited for."""

    def wait_for(self, text: str, seconds: float = 60) -> str:
        """Return what was written up to a text, from where the last wait ended. Fails where it does not come."""
        ends = time.monotonic() + seconds
        while text not in self.seen[self.at :]:
            assert time.monotonic() < ends, self.seen
            assert self._read(ends - time.monotonic()), self.seen
        self.at = self.seen.index(text, self.at) + len(text)
        return self.seen

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.own, keys.encode())

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Do what Ctrl-C does, or another signal.

        A signal between the prompt and the wait for keys is only seen with the next key: that is Python's `input`.
        """
        time.sleep(0.3)
        self.process.send_signal(number)

    def end(self, seconds: float = 60) -> int:
        """Wait for the end; return the exit code."""
        ends = time.monotonic() + seconds
        while self._read(ends - time.monotonic()):
            pass
        return self.process.wait(seconds)

    @property
    def lines(self) -> str:
        """What stays on the screen: moving lines gone, line ends plain."""
        return WIPED.sub("", self.seen.replace("\r\n", "\n"))

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self.own], [], [], max(seconds, 0.0))
        try:
            given = os.read(self.own, 65_536) if ready else b""
        except OSError:
            # Linux says so where the other side is closed.
            given = b""
        self.seen += given.decode("utf-8", "replace")
        return bool(given)


def _heeds_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def on_a_terminal(
    *arguments: str, env: Mapping[str, str] | None = None, typed: bool = False, errors: bool = True
) -> Iterator[Screen]:
    """Run `analyzer` with its output on a terminal: `errors` with standard error as well, `typed` with its input."""
    own, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "analyzer", *arguments],
        stdin=other if typed else subprocess.DEVNULL,
        stdout=other,
        stderr=other if errors else subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm", **(env or {})},
        start_new_session=True,
        # Whoever runs the tests in the background has them ignore Ctrl-C; a person at a terminal does not.
        preexec_fn=_heeds_interrupts,  # noqa: PLW1509 - it only sets a signal
    )
    os.close(other)
    try:
        yield Screen(process, own)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)
        os.close(own)
