"""An instance whose turn it is not stands by: it takes over a run that breaks off, and else says who ran."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support import postgres
from support.cli import Ended, analyzer
from support.incidents import incident

from analyzer.stores.database import Connection
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.postgres import PostgresState
from analyzer.stores.rounds import PostgresRounds, Round, Stage
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.stores.turn import WATCH_S, Holder, Process, alone, holder, this_process
from analyzer.types.report import Severity, State
from analyzer.wiring.standing import Other, Watched

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
url, store, at, live = sys.argv[1:]
with alone(Path(store), state=url) as turn, closing(PostgresState(url)) as state:
    rounds = PostgresRounds(state, this_process("analyzer run"), turn.token)
    rounds.open(datetime.fromisoformat(at), live=bool(live))
    print("held", flush=True)
    if sys.stdin.readline():
        rounds.done()
"""
"""A run that has opened its round, and is over when it is told so."""


DIVIDE = """
import sys, time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from analyzer.config import load
from analyzer.pipeline.parts import parts_of
from analyzer.pipeline.phases import collected
from analyzer.stores.postgres import PostgresState
from analyzer.stores.rounds import PostgresRounds
from analyzer.stores.turn import alone, this_process
from analyzer.wiring.standing import build_helper
url, store, at = sys.argv[1], sys.argv[2], datetime.fromisoformat(sys.argv[3])
settings = load({"store": store, "state": url, "llm": "off"}).settings
with alone(Path(store), state=url) as turn, closing(PostgresState(url)) as state, build_helper(settings) as app:
    rounds = PostgresRounds(state, this_process("analyzer run"), turn.token)
    rounds.open(at, live=False)
    rounds.divide([part.digest for part in parts_of(collected(app, at), app.division.program())])
    print("held", flush=True)
    while not rounds.handed_in():
        time.sleep(0.05)
    rounds.done()
"""
"""A run that lets others do all of its parts."""


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
def running(url: str, store: Path, program: str = HOLD, *, live: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Give a process that has the turn and runs as of noon."""
    command = [sys.executable, "-c", program, url, str(store), NOON.isoformat(), "live" if live else ""]
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
    process = begun(url, *command[3:])
    if told:
        ends.communicate("done\n")
    else:
        ends.kill()
        ends.wait()
    out, error = process.communicate(timeout=60)
    return Ended(process.returncode, out, error)


def begun(url: str, *arguments: str) -> subprocess.Popen[str]:
    """Begin a run; returns once it stands by."""
    env = {**os.environ, "ANALYZER_STATE": url, "ANALYZER_LLM": "off"}
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-m", "analyzer", *arguments], text=True, env=env, **both)
    with closing(PostgresState(url)) as state:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with state.reading() as raw:
                if raw.execute("SELECT 1 FROM helpers").fetchone():
                    break
            time.sleep(0.05)
    return process


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


def test_a_run_that_others_went_on_from_is_not_taken_back(url: str, tmp_path: Path) -> None:
    """One that stood still while another did the next run begins none of before that: it runs as of its own now."""
    with running(url, tmp_path / "a.db", live=True) as other:
        process = begun(url, "run", "--store", str(tmp_path / "b.db"))
        process.send_signal(signal.SIGSTOP)
        other.kill()
        other.wait()
        later = analyzer(
            *("run", "--store", str(tmp_path / "c.db"), "--at", "2026-11-20T12:30:00Z"),
            env={"ANALYZER_STATE": url, "ANALYZER_LLM": "off"},
        )
        assert later.code in {0, 3}
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=60)
    with closing(PostgresState(url)) as state:
        times = SqliteIncidents(state).run_times(9)
    assert NOON not in times
    assert NOON + timedelta(minutes=30) in times


def test_a_run_elsewhere_is_watched_by_its_beats(url: str, tmp_path: Path) -> None:
    """One on another machine goes on while its turn is renewed, and no more once that stands still or is another's."""
    far = Process("analyzer run", "far", 1, "another boot", "7")
    with closing(PostgresState(url)) as state:
        rounds = PostgresRounds(state, this_process("analyzer run"))
        for beat_s, goes_on in ((0.1, True), (60.0, False)):
            with alone(tmp_path / "a.db", state=url, me=far, beat_s=beat_s, watch_s=0.1) as turn:
                assert turn is not None
                other = Other(Watched(state, rounds), Round(turn.token, NOON, live=True, stage=Stage.OPEN), watch_s=1.0)
                assert other.goes_on()
                until = time.monotonic() + 2.0
                while time.monotonic() < until and other.goes_on():
                    time.sleep(0.1)
                assert other.goes_on() is goes_on
        with alone(tmp_path / "a.db", state=url, me=far):
            assert not other.goes_on()
            late = Other(Watched(state, rounds), Round("another turn", NOON, live=True, stage=Stage.OPEN))
            assert not late.goes_on()


def test_a_run_opens_its_round_and_ends_it(url: str, tmp_path: Path) -> None:
    """Others see as of when it runs, and that it is over; one that repeats history for its report alone opens none."""
    env = {"ANALYZER_STATE": url, "ANALYZER_LLM": "off"}
    with closing(PostgresState(url)) as state:
        rounds = PostgresRounds(state, this_process("analyzer run"))
        for at in (NOON, NOON - timedelta(hours=1)):
            ended = analyzer("run", "--store", str(tmp_path / "a.db"), "--at", at.isoformat(), env=env)
            assert ended.code in {0, 3}
            found = rounds.current()
            assert found is not None
            assert (found.at, found.live, found.stage) == (NOON, False, Stage.DONE)


def test_one_stands_by_for_each_store(url: str, tmp_path: Path) -> None:
    """Where the run hangs, starts by cron do not pile up behind it: the second one over a store says who stands by."""
    store = tmp_path / "b.db"
    with SqliteTrajectories(store), running(url, tmp_path / "a.db") as other:
        first = begun(url, "run", "--store", str(store), "--at", NOON.isoformat())
        try:
            until = time.monotonic() + 60
            while holder_of(store) is None and time.monotonic() < until:
                time.sleep(0.05)
            second = analyzer(
                *("run", "--store", str(store), "--at", NOON.isoformat()), env={"ANALYZER_STATE": url}, timeout_s=30
            )
            assert (second.code, second.stdout) == (3, "")
            assert f"process {first.pid}" in second.stderr
            assert first.poll() is None
        finally:
            other.communicate("done\n")
            first.communicate(timeout=60)
    assert first.returncode == 3
    assert holder_of(store) is None


def holder_of(store: Path) -> Holder | None:
    """Return who stands by over a store."""
    with closing(Connection(store)) as own:
        return holder(own)


def test_what_is_recorded_is_no_other_run_s(url: str, tmp_path: Path) -> None:
    """A run that was to record its conversation does not help with another: nothing would be recorded, and exit 0."""
    with running(url, tmp_path / "a.db"):
        ended = analyzer(
            *(
                "run",
                "--store",
                str(tmp_path / "b.db"),
                "--at",
                NOON.isoformat(),
                "--record",
                str(tmp_path / "r.jsonl"),
            ),
            env={"ANALYZER_STATE": url},
            timeout_s=30,
        )
    assert ended.code == 3
    assert "this one did nothing" in ended.stderr


@pytest.mark.parametrize(
    ("state", "fail_on", "code"), [("open", "high", 1), ("open", None, 0), ("resolved", "high", 0)]
)
def test_one_that_helped_answers_fail_on_by_what_was_filed(
    url: str, tmp_path: Path, state: str, fail_on: str | None, code: int
) -> None:
    """A gate on its exit code is not let through while an incident goes on: whoever filed it. It says nothing."""
    filed = replace(incident(), state=State(state), severity=Severity.HIGH)
    with closing(PostgresState(url)) as shared:
        SqliteIncidents(shared).save_incidents([filed], run_trace_id="1" * 32)
    stores = [tmp_path / "a.db", tmp_path / "b.db"]
    for store in stores:
        with SqliteTrajectories(store):
            pass
    with running(url, stores[0], DIVIDE):
        ended = analyzer(
            *("run", "--store", str(stores[1]), "--at", NOON.isoformat()),
            *(("--fail-on", fail_on) if fail_on else ()),
            env={"ANALYZER_STATE": url, "ANALYZER_LLM": "off"},
        )
    assert (ended.code, ended.stdout, ended.stderr) == (code, "", "")


def test_doctor_says_how_far_a_round_is(url: str, tmp_path: Path) -> None:
    """Who has the turn is told with the parts that are done, and by which machines: also before there is a store."""
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
        told = analyzer("doctor", "--store", str(tmp_path / "none.db"), env={"ANALYZER_STATE": url}).stdout
        assert "; 1 of 3 parts are done by far-1" in " ".join(told.split())
    with alone(tmp_path / "a.db", state=url):
        told = analyzer("doctor", "--store", str(tmp_path / "b.db"), env={"ANALYZER_STATE": url}).stdout
    assert "parts are done" not in told, "those of a run that broke off are not the next one's"
