"""`analyzer watch`: runs on a schedule, for places without cron."""

from __future__ import annotations

import json
import math
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import IO, Any, Self

import click

from analyzer.cli import logs
from analyzer.cli.common import DONE, FAIL_ON, FAILED, GAPS, USAGE, json_option, settings_from, store_option
from analyzer.errors import UsageError

EVERY_MIN_S = 1.0
RUN_S = 3600.0
"""A run that takes longer hangs: it is ended, and the next one goes on from what it kept."""
AGAIN_S = 30.0
"""Before the next try after a run that failed; each time twice as long, and never later than the next mark."""
STOP_S = 20.0
"""That a run may take to break off what it is at, once it is told to stop."""
_FOREVER_S = 86_400.0


@click.command("watch")
@click.option("--every", default="15m", show_default=True, metavar="DURATION", help="Between two runs (15m, 1h).")
@store_option
@logs.log_format_option
@json_option
def command(every: str, store: str | None, log_format: str | None, as_json: bool) -> int:
    """Do a run now, and then one at each mark of the clock (UTC): with 15m at :00, :15, :30 and :45.

    Each run is `analyzer run` as a process of its own: it reads the settings anew, and gives its memory back. A mark
    that passes while a run is under way is left out. After a run that failed the next try comes sooner than the next
    mark: after 30 s, then twice as long each time. A run that takes more than an hour is ended.

    On SIGTERM or ctrl-c a run under way has 20 s to break off what it is at; what it did is kept, and what it had not
    told yet the next run tells. A second signal ends it at once. One run at a time over a store, whatever started it
    (docs/running.md).

    With --json each run prints its report on one line. Exit codes: 0 it was told to stop; 2 the settings of the first
    run are wrong; 4 it was told to stop, and the run under way had to be killed.
    """
    from analyzer.config import parse_duration

    length_s = parse_duration(every).total_seconds()
    if length_s < EVERY_MIN_S:
        raise UsageError(f"--every: '{every}' is too short: a second at least")
    settings = settings_from(store=store, log_format=log_format).settings
    logs.begin(settings)
    program = [sys.executable, "-m", "analyzer", "run", "--log-format", settings.log_format]
    program += ["--store", str(settings.store)] if store is not None else []
    program += ["--json"] if as_json else []
    line = f"a run every {every}, at the marks of the clock; ctrl-c stops"
    if settings.log_format == logs.PLAIN:
        click.echo(line, err=True)
    else:
        logs.info(line)
    return Watch(program, length_s, out=_print_line if as_json else None).work()


def _print_line(document: str) -> None:
    if document.strip():
        click.echo(json.dumps(json.loads(document), ensure_ascii=False, allow_nan=False))


def next_mark(now_s: float, every_s: float) -> float:
    """Return the next multiple of an interval, in Unix seconds: it never drifts, and a restart does not move it."""
    mark = (math.floor(now_s / every_s) + 1) * every_s
    return mark if mark > now_s else mark + every_s


def next_try(now_s: float, every_s: float, failures: int) -> float:
    """Return when to run next, in Unix seconds, after so many runs in a row that failed."""
    mark = next_mark(now_s, every_s)
    return mark if not failures else min(mark, now_s + AGAIN_S * 2.0 ** min(failures - 1, 20))


@dataclass(frozen=True, slots=True)
class Watch:
    """Starts one run after the other until it is told to stop."""

    program: Sequence[str]
    every_s: float
    out: Callable[[str], None] | None = None
    """Gets what a run printed, as a whole; None: runs print it themselves."""
    clock: Callable[[], float] = time.time
    run_s: float = RUN_S
    stop_s: float = STOP_S

    def work(self) -> int:
        """Go on until SIGTERM or SIGINT; return the exit code. From the main thread only."""
        failures = 0
        is_first = True
        with _Signals() as signals:
            while True:
                code = self._run(signals)
                if signals.told():
                    return DONE if code != -signal.SIGKILL else FAILED
                if is_first and code == USAGE:
                    return USAGE
                is_first = False
                failures = 0 if code in {DONE, FAIL_ON, GAPS} else failures + 1
                due_s = next_try(self.clock(), self.every_s, failures)
                if failures:
                    wait = f"the next try is in {due_s - self.clock():.0f} s"
                    logs.warning(f"a run failed ({_said(code)}); {wait}", prefix="analyzer watch: ", exit_code=code)
                # The clock may be set meanwhile: it is asked again, at the latest after a minute.
                while not signals.told() and (left_s := due_s - self.clock()) > 0:
                    signals.wait(min(left_s, 60.0))
                if signals.told():
                    return DONE

    def _run(self, signals: _Signals) -> int:
        """Do a run and return its exit code, negative where a signal ended it."""
        with tempfile.TemporaryFile() as printed:
            process = subprocess.Popen(  # noqa: S603 - this program again
                self.program,
                stdin=subprocess.DEVNULL,
                stdout=None if self.out is None else printed,
                # Ctrl-c in a terminal is for us; we end the run ourselves.
                start_new_session=True,
            )
            try:
                code = self._awaited(process, signals)
            finally:
                _kill(process)
            if self.out is not None:
                self.out(_text(printed))
        return code

    def _awaited(self, process: subprocess.Popen[bytes], signals: _Signals) -> int:
        """Wait for a run, and end it where it takes too long, or where we are told to stop: with a while to do it."""
        kill_at = time.monotonic() + self.run_s
        is_told = False
        while (code := process.poll()) is None:
            now = time.monotonic()
            if signals.stops and not is_told:
                is_told = True
                kill_at = now + self.stop_s
                process.terminate()
            if signals.stops > 1 or now >= kill_at:
                why = "it was told to stop" if signals.stops else f"it takes more than {self.run_s:.0f} s"
                logs.warning(f"the run under way is killed: {why}", prefix="analyzer watch: ")
                _kill(process)
                continue
            signals.wait(kill_at - now)
        return code


class _Signals:
    """Counts what tells us to stop, and wakes whoever waits; the end of a child wakes too."""

    def __init__(self) -> None:
        self.stops = 0
        self._reader, self._writer = socket.socketpair()
        self._before: dict[int, Any] = {}
        self._wakeup = -1

    def __enter__(self) -> Self:
        """Take the signals."""
        self._reader.settimeout(0)
        self._writer.settimeout(0)
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number, heard in ((signal.SIGTERM, self._stop), (signal.SIGINT, self._stop), (signal.SIGCHLD, self._wake)):
            self._before[number] = signal.signal(number, heard)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give them back."""
        for number, heard in self._before.items():
            signal.signal(number, heard)
        signal.set_wakeup_fd(self._wakeup)
        self._reader.close()
        self._writer.close()

    def told(self) -> bool:
        """Return whether we are to stop."""
        return self.stops > 0

    def wait(self, seconds: float) -> None:
        """Wait for a signal, or for so long."""
        if select.select([self._reader], [], [], max(0.0, min(seconds, _FOREVER_S)))[0]:
            with suppress(BlockingIOError):
                self._reader.recv(4096)

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self.stops += 1

    def _wake(self, _signal: int, _frame: FrameType | None) -> None:
        pass


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a run with all that it started, and wait for its end."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _text(printed: IO[bytes]) -> str:
    printed.seek(0)
    return printed.read().decode("utf-8", "replace")


def _said(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
