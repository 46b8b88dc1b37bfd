"""An instance whose turn it is not stands by: it takes over a run that breaks off, and else says who ran."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support import postgres
from support.cli import Ended, analyzer

from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.postgres import PostgresState
from analyzer.stores.rounds import PostgresRounds
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.stores.turn import WATCH_S, Process, alone, this_process

pytestmark = pytest.mark.server
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOLD = """
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path
from analyzer.stores.postgres import PostgresState
from analyzer.stores.rounds import PostgresRounds
from analyzer.stores.turn import alone, this_process
url, store, at = sys.argv[1:]
with alone(Path(store), state=url) as turn, closing(PostgresState(url)) as state:
    rounds = PostgresRounds(state, this_process("analyzer run"), turn.token)
    rounds.open(datetime.fromisoformat(at), live=False)
    print("held", flush=True)
    if sys.stdin.readline():
        rounds.done()
"""
"""A run that has opened its round, and is over when it is told so."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Give the URL of a PostgreSQL."""
    with postgres.server() as url:
        yield url


@pytest.fixture
def url(server: str) -> str:
    """Return the URL of an empty state."""
    return postgres.database(server)


@contextmanager
def running(url: str, store: Path) -> Iterator[subprocess.Popen[str]]:
    """Give a process that has the turn and runs as of noon."""
    command = [sys.executable, "-c", HOLD, url, str(store), NOON.isoformat()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def stood_by(url: str, store: Path, at: str, ends: subprocess.Popen[str] | None = None, *, told: bool = False) -> Ended:
    """Run an instance; once it stands by, end the other: told to be done, or killed."""
    command = [sys.executable, "-m", "analyzer", "run", "--store", str(store), "--at", at]
    env = {"ANALYZER_STATE": url, "ANALYZER_LLM": "off"}
    if ends is None:
        return analyzer(*command[3:], env=env)
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, text=True, env={**os.environ, **env}, **both)
    with closing(PostgresState(url)) as state:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with state.reading() as raw:
                if raw.execute("SELECT 1 FROM helpers").fetchone():
                    break
            time.sleep(0.05)
    if told:
        ends.communicate("done\n")
    else:
        ends.kill()
        ends.wait()
    out, error = process.communicate(timeout=60)
    return Ended(process.returncode, out, error)


def has_report(url: str) -> bool:
    """Tell whether a run was filed."""
    with closing(PostgresState(url)) as state:
        return SqliteIncidents(state).latest_report() is not None


def test_a_run_that_is_killed_is_taken_over(url: str, tmp_path: Path) -> None:
    """The one that stood by does the run as of the same moment, and says nothing of the other."""
    began = time.monotonic()
    with running(url, tmp_path / "a.db") as other:
        ended = stood_by(url, tmp_path / "b.db", "2026-11-20T12:00:00Z", other)
    assert time.monotonic() - began < WATCH_S, "a process of this machine that is gone is not watched"
    assert has_report(url)
    assert "another run" not in ended.stderr
    with closing(PostgresState(url)) as state:
        assert SqliteIncidents(state).latest_run_at() == NOON


def test_a_run_that_ends_is_not_done_again(url: str, tmp_path: Path) -> None:
    """Where there was nothing to help with, the other is named, nothing is filed, and the exit code is 3."""
    with running(url, tmp_path / "a.db") as other:
        ended = stood_by(url, tmp_path / "b.db", "2026-11-20T12:00:00Z", other, told=True)
    assert (ended.code, ended.stdout) == (3, "")
    assert "another run over postgresql://" in ended.stderr
    assert not has_report(url)


def test_a_run_of_another_moment_is_not_waited_for(url: str, tmp_path: Path) -> None:
    """One that was asked about another time does nothing while a run is under way, and does not stand by."""
    with running(url, tmp_path / "a.db"):
        ended = stood_by(url, tmp_path / "b.db", "2026-11-20T13:00:00Z")
    assert ended.code == 3
    assert "this one did nothing" in ended.stderr


def test_doctor_says_how_far_a_round_is(url: str, tmp_path: Path) -> None:
    """Who has the turn is told with the parts that are done, and by which machines."""
    with SqliteTrajectories(tmp_path / "b.db"):
        pass
    with (
        alone(tmp_path / "a.db", state=url) as turn,
        closing(PostgresState(url)) as state,
        closing(PostgresState(url)) as far,
    ):
        assert turn is not None
        rounds = PostgresRounds(state, this_process("analyzer run"), turn.token)
        rounds.open(NOON, live=True)
        rounds.divide(["p", "q", "r"])
        PostgresRounds(far, Process("analyzer run", "far-1", 1, "its boot", "7")).hand_in("q", "[]")
        told = analyzer("doctor", "--store", str(tmp_path / "b.db"), env={"ANALYZER_STATE": url}).stdout
    assert "; 1 of 3 parts are done by far-1" in " ".join(told.split())
