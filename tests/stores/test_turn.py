"""One run at a time, whatever becomes of the one before it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from support.cli import analyzer
from support.threads import at_once

from analyzer.errors import StoreBusyError, TurnTakenError
from analyzer.stores.database import Connection
from analyzer.stores.turn import Holder, Process, alone, holder, this_process

ELSEWHERE = Process("analyzer run", "far", 1, "another boot 4026531836", "7")
"""A process that cannot be looked for from here."""
HOLD = "import sys, time; from pathlib import Path; from analyzer.stores.turn import alone\n"
HOLD += "with alone(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)\n"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a path at which there is no store yet."""
    return tmp_path / "store.db"


def held_by(store: Path) -> Holder | None:
    """Return who has the turn."""
    with closing(Connection(store)) as connection:
        return holder(connection)


def holding(store: Path) -> subprocess.Popen[str]:
    """Return a process that holds the turn."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(store)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    """Kill a process and take what is left of it."""
    process.kill()
    process.communicate()


def move(store: Path, beats: int) -> None:
    """Renew a turn as its holder would."""
    with closing(Connection(store)) as connection, connection.writing() as raw:
        raw.execute("UPDATE leases SET beats = ?", (beats,))


def left_behind(store: Path, process: Process) -> None:
    """Leave a turn that nobody gives back, as after a crash."""
    with alone(store, me=process), closing(Connection(store)) as connection, connection.writing() as raw:
        raw.execute("CREATE TABLE kept AS SELECT * FROM leases")
    with closing(Connection(store)) as connection, connection.writing() as raw:
        raw.execute("INSERT INTO leases SELECT * FROM kept")
        raw.execute("DROP TABLE kept")


def test_a_second_run_says_who_has_the_turn_and_does_nothing(store: Path) -> None:
    """It names process, host and time, exits 3 at once, and leaves no trace of its own."""
    process = holding(store)
    try:
        held = held_by(store)
        assert held is not None
        began = time.monotonic()
        ended = analyzer("run", "--store", str(store), "--json")
    finally:
        end(process)
    assert (ended.code, ended.stdout) == (3, "")
    assert ended.stderr == f"analyzer: another run over {store} is under way: {held}; this one did nothing\n"
    assert f"analyzer run, process {process.pid} on {held.process.host}, since 20" in ended.stderr
    assert time.monotonic() - began < 20


def test_a_scheduler_may_be_spared_the_exit_codes(store: Path) -> None:
    """With --exit-zero a run that found another one under way still says so, and is no failure of its job."""
    process = holding(store)
    try:
        ended = analyzer("run", "--store", str(store), "--exit-zero")
    finally:
        end(process)
    assert (ended.code, ended.stdout) == (0, "")
    assert ended.stderr.startswith(f"analyzer: another run over {store} is under way: analyzer run, process ")


def test_the_turn_is_given_back(store: Path) -> None:
    """After a block, and after one that failed, the next one has the turn at once."""
    with pytest.raises(ValueError, match="broken"), alone(store):
        raise ValueError("broken")
    with alone(store, watch_s=0):
        assert held_by(store) is not None
    assert held_by(store) is None


def test_after_kill_9_the_next_run_takes_over_at_once(store: Path) -> None:
    """A process that was killed cannot give its turn back: that it is gone is seen without waiting."""
    process = holding(store)
    os.kill(process.pid, signal.SIGKILL)
    # Not waited for yet: what is left of a process in the table of processes holds no turn.
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
    try:
        with alone(store, watch_s=60) as turn:
            turn.check()
            mine = held_by(store)
    finally:
        end(process)
    assert mine is not None
    assert mine.process.pid == os.getpid()


def test_a_number_that_was_given_out_again_is_no_holder(store: Path) -> None:
    """A process that has the number of the dead holder, and began at another time, holds nothing."""
    left_behind(store, replace(this_process("analyzer run"), started="1"))
    with alone(store, watch_s=60):
        pass


def test_a_holder_elsewhere_that_renews_its_turn_is_respected(store: Path) -> None:
    """On another machine or in another container a holder counts as alive as soon as its turn moves."""
    left_behind(store, ELSEWHERE)
    mover = threading.Timer(0.3, move, (store, 5))
    mover.start()
    with pytest.raises(TurnTakenError, match="analyzer run, process 1 on far"), alone(store, watch_s=30):
        pass
    mover.join()


def test_a_holder_elsewhere_that_stands_still_is_dead(store: Path) -> None:
    """Its turn is taken once it has not moved for the time that is waited."""
    left_behind(store, ELSEWHERE)
    with alone(store, watch_s=1):
        mine = held_by(store)
    assert mine is not None
    assert mine.process.pid == os.getpid()


@pytest.mark.parametrize("since", ["1999-01-01T00:00:00+00:00", "2199-01-01T00:00:00+00:00"])
def test_no_clock_is_believed(store: Path, since: str) -> None:
    """A holder whose clock is years behind or ahead is neither taken for dead nor waited for any longer."""
    left_behind(store, ELSEWHERE)
    with closing(Connection(store)) as connection, connection.writing() as raw:
        raw.execute("UPDATE leases SET since = ?", (since,))
    mover = threading.Timer(0.3, move, (store, 5))
    mover.start()
    with pytest.raises(TurnTakenError), alone(store, watch_s=30):
        pass
    mover.join()
    with alone(store, watch_s=1):
        pass


def test_a_long_run_renews_its_turn(store: Path) -> None:
    """A run that takes longer than anybody waits keeps its turn."""
    with alone(store, beat_s=0.05, me=ELSEWHERE):
        with pytest.raises(TurnTakenError), alone(store, watch_s=3):
            pass
        held = held_by(store)
    assert held is not None
    assert held.beats >= 1


def test_who_stood_still_and_lost_its_turn_learns_it(store: Path) -> None:
    """A process that wakes up after another took its turn is told before its next phase, and takes nothing away."""
    with alone(store, beat_s=0.05) as turn:
        turn.check()
        with closing(Connection(store)) as connection, connection.writing() as raw:
            raw.execute("UPDATE leases SET token = 'another', host = 'far'")
        time.sleep(1)
        with pytest.raises(StoreBusyError, match="another run took its turn"):
            turn.check()
    held = held_by(store)
    assert held is not None
    assert held.process.host == "far"


def test_of_many_that_come_at_once_one_has_the_turn(store: Path) -> None:
    """Eight at the same moment over a turn that was left behind: never two at a time."""
    left_behind(store, ELSEWHERE)
    inside: list[int] = []
    most: list[int] = []
    refused: list[TurnTakenError] = []

    def attempt() -> None:
        try:
            with alone(store, watch_s=0.5, me=replace(ELSEWHERE, host="third"), beat_s=0.05):
                inside.append(1)
                most.append(len(inside))
                time.sleep(1)
                inside.pop()
        except TurnTakenError as error:
            refused.append(error)

    at_once(attempt, 8)
    assert set(most) == {1}
    assert len(most) + len(refused) == 8
