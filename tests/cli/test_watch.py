"""`analyzer watch`: one run after the other, at the marks of the clock, until it is told to stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cli import analyzer

from analyzer.cli.watch import AGAIN_S, next_mark, next_try

NOW_S = 1_764_194_400.0
"""A full hour."""


@given(st.floats(0, 4e9), st.floats(1, 1e6))
def test_marks_are_multiples_and_lie_ahead(now_s: float, every_s: float) -> None:
    """The next run is later than now, at most one interval later, and where it would be after any restart."""
    mark = next_mark(now_s, every_s)
    assert now_s < mark <= now_s + every_s * (1 + 1e-6) + 1e-3
    assert mark == pytest.approx(round(mark / every_s) * every_s)
    assert next_mark(mark - every_s / 2, every_s) == pytest.approx(mark)


def test_a_quarter_of_an_hour_means_the_quarters_of_the_hour() -> None:
    """With 15m a run that took seven minutes from :00 is followed by one at :15, one of 20 minutes by one at :30."""
    assert next_mark(NOW_S + 7 * 60, 900) == NOW_S + 900
    assert next_mark(NOW_S + 20 * 60, 900) == NOW_S + 1800
    assert next_mark(NOW_S, 900) == NOW_S + 900


@given(st.floats(0, 4e9), st.floats(1, 1e6), st.integers(0, 5000))
def test_a_failure_brings_the_next_try_forward_and_never_puts_it_off(now_s: float, every_s: float, times: int) -> None:
    """Tries come in longer and longer pauses, the first after half a minute, and none after the next mark."""
    due = next_try(now_s, every_s, times)
    assert now_s < due <= next_mark(now_s, every_s)
    assert due <= next_try(now_s, every_s, times + 1) or times == 0
    assert next_try(NOW_S, 1e6, 1) == NOW_S + AGAIN_S
    assert next_try(NOW_S, 1e6, 3) == NOW_S + 4 * AGAIN_S


PROGRAM = """
import sys
from analyzer.cli.watch import Watch
options = {"run_s": float(sys.argv[2]), "stop_s": float(sys.argv[3])}
sys.exit(Watch([sys.executable, "-c", sys.argv[1]], float(sys.argv[4]), **options).work())
"""
HEEDS = """
import time
try:
    print("began", flush=True)
    time.sleep(60)
except BaseException:
    print("bye")
"""
STOPS = f"import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(4))\n{HEEDS}"
DEAF = f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{HEEDS}"


@contextmanager
def watching(
    run: str, *, every_s: float = 3600, run_s: float = 60, stop_s: float = 20
) -> Iterator[subprocess.Popen[str]]:
    """Watch over runs that are a Python program."""
    command = [sys.executable, "-c", PROGRAM, run, str(run_s), str(stop_s), str(every_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=20)


def began(process: subprocess.Popen[str]) -> None:
    """Wait until a run is under way."""
    assert process.stdout is not None
    assert process.stdout.readline() == "began\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_lets_the_run_break_off(number: signal.Signals) -> None:
    """The run under way hears of it, says goodbye, and the end is exit 0: a service that was stopped did not fail."""
    with watching(STOPS) as process:
        began(process)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "bye\n", "")


def test_a_run_that_does_not_heed_is_killed_in_time() -> None:
    """A run that goes on after it was told to stop ends after the time it has; the exit code says so."""
    with watching(DEAF, stop_s=0.5) as process:
        began(process)
        process.terminate()
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (4, "")
    assert err == "analyzer watch: the run under way is killed: it was told to stop\n"


def test_a_second_signal_ends_it_at_once() -> None:
    """Whoever tells it twice does not wait for the time that a run has."""
    with watching(DEAF, stop_s=60) as process:
        began(process)
        process.terminate()
        time.sleep(0.5)
        assert process.poll() is None
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 4


def test_between_two_runs_it_stops_at_once() -> None:
    """While it waits for the next mark there is nothing to break off."""
    with watching("print('began', flush=True)") as process:
        began(process)
        time.sleep(0.5)
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 0


def test_runs_follow_each_other_one_at_a_time(tmp_path: Path) -> None:
    """With runs longer than the interval marks are left out, and never do two overlap."""
    log = tmp_path / "log"
    run = f"import time\nf = open({str(log)!r}, 'a')\nf.write('<'); f.flush(); time.sleep(1.3); f.write('>'); f.close()"
    with watching(run, every_s=1) as process:
        deadline = time.monotonic() + 40
        while not (log.exists() and log.read_text().count(">") >= 3):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.terminate()
        process.communicate(timeout=30)
    assert log.read_text().startswith("<><><>")


def test_a_run_that_failed_is_tried_again_and_one_that_hangs_is_ended() -> None:
    """It says why and when; a hanging run is a failed one."""
    with watching("import time; time.sleep(60)", run_s=0.3) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "analyzer watch: the run under way is killed: it takes more than 0 s\n"
        assert process.stderr.readline() == "analyzer watch: a run failed (signal 9); the next try is in 30 s\n"


def test_wrong_settings_end_it_at_once(tmp_path: Path) -> None:
    """What no later run could mend is told at the start, with exit 2."""
    where = ("--store", str(tmp_path / "s.db"))
    assert analyzer("watch", "--every", "soon", *where).code == 2
    assert "a second at least" in analyzer("watch", "--every", "0.1s", *where).stderr
    ended = analyzer("watch", *where, env={"ANALYZER_WEBHOOK_SECRET": "s"})
    assert ended.code == 2
    assert "ANALYZER_WEBHOOK_SECRET is set without ANALYZER_WEBHOOK_URL" in ended.stderr


def test_it_runs_the_analyst_and_stops_when_told(tmp_path: Path) -> None:
    """As a user starts it: a report on one line, log lines with the run's id, and SIGTERM ends it with exit 0."""
    command = [sys.executable, "-m", "analyzer", "watch", "--every", "1h", "--json", "--log-format", "json"]
    process = subprocess.Popen(
        [*command, "--store", str(tmp_path / "s.db")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "ANALYZER_LLM": "off"},
    )
    try:
        assert process.stdout is not None
        report = json.loads(process.stdout.readline())
        process.terminate()
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out) == (0, "")
    assert report["schema"] == "analyzer.report/1"
    first, *others = [json.loads(line) for line in err.splitlines()]
    assert (first["run"], first["message"]) == (None, "a run every 1h, at the marks of the clock; ctrl-c stops")
    assert {line["run"] for line in others} == {report["run"]["trace_id"]}
