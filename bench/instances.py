"""Several instances over one PostgreSQL, of which one is killed in the middle of its run, again and again.

    python bench/instances.py --kills 50

Needs Debian's postgresql. Each round has a database of its own, three stores with the same trajectories and a webhook
on loopback. The three instances begin together; the one that has the turn is killed (SIGKILL) after a part of a run's
time, or with `--victim helper` one that helps it, with a part where it gets one before all is done. The others go on,
and run again until one has filed a report and once more each. Printed are, per round, what was filed and told, and how
long after the death the next run was done. A round is wrong where an incident is missing, was told another number of
times than once, or the log does not verify.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support import postgres
from support.drawn import REVIEWER, looping, stored
from support.http import Answer, Asked, loopback

from analyzer.stores.audit import SqliteAudit
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.postgres import PostgresState
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.stores.turn import holder

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
INSTANCES = 3
FINISH_S = 60.0


@dataclass(frozen=True)
class Round:
    """What came of one death."""

    was_running: bool
    """Whether the one that was killed had not ended yet."""
    had_part: bool
    """Whether it was killed for having claimed a part of another one's run."""
    incidents: int
    told: dict[str, int]
    """By incident, how many messages the webhook got that say it is new."""
    runs: int
    faults: int
    """What the verification of the log found."""
    taken_over_s: float
    """From the death to the end of the next run."""

    @property
    def is_right(self) -> bool:
        """Whether everything was filed once and told once."""
        return (
            self.incidents > 0
            and len(self.told) == self.incidents
            and set(self.told.values()) == {1}
            and not self.faults
        )


def filled(folder: Path) -> Path:
    """Return a store of a small fleet in which one agent loops."""
    return stored(looping(NOW, days=2, beside=(REVIEWER,)), folder / "fleet.db")


def one_round(server: str, fleet: Path, folder: Path, after_s: float, *, helper: bool = False) -> Round:
    """Let three instances run over one state, kill the one that has the turn so long after it began, and look.

    With `helper` it is one of those that stand by, as soon as one has claimed a part or, where none does, at the end.
    """
    state = postgres.database(server)
    folder.mkdir()
    with closing(PostgresState(state)) as opened, loopback(lambda _: Answer()) as hook:
        env = {
            **os.environ,
            "ANALYZER_STATE": state,
            "ANALYZER_LLM": "off",
            "ANALYZER_WEBHOOK_URL": hook.url,
            "PYTHONPATH": str(Path(__file__).parents[1]),
        }
        stores = [Path(shutil.copy(fleet, folder / f"{number}.db")) for number in range(INSTANCES)]
        running = [_begun(store, env) for store in stores]
        first = _with_turn(opened, running)
        helping = _helping(opened, running, first) if helper else None
        beside = next(process for process in running if process is not first)
        victim = (helping or beside) if helper else first
        time.sleep(after_s)
        was_running = victim.poll() is None
        victim.kill()
        died = time.monotonic()
        memory = SqliteIncidents(opened)
        for process in running:
            process.wait(FINISH_S)
        # The victim is not started again: its part is the others'.
        left = [store for store, process in zip(stores, running, strict=True) if process is not victim]
        while memory.latest_report() is None and time.monotonic() - died < FINISH_S:
            _begun(left[0], env).wait(FINISH_S)
        taken_over_s = time.monotonic() - died
        # And once more by each: whatever was missed would be told now, and whatever is told twice as well.
        for store in left:
            _begun(store, env).wait(FINISH_S)
        with SqliteTrajectories(stores[0]) as masks, opened.reading() as raw:
            verified = SqliteAudit(opened, masks.masker).verify()
            runs = raw.execute("SELECT count(*) FROM reports").fetchone()[0]
        return Round(
            was_running,
            helping is not None,
            len(memory.incidents()),
            _told(hook.asked),
            runs,
            len(verified.faults),
            taken_over_s,
        )


def _begun(store: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "analyzer", "run", "--store", str(store), "--at", f"{NOW:%Y-%m-%dT%H:%M:%SZ}"]
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=store.parent)


def _with_turn(state: PostgresState, running: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Return the instance that has the turn, as soon as one has."""
    until = time.monotonic() + FINISH_S
    while time.monotonic() < until:
        held = holder(state)
        if held is not None:
            return next(process for process in running if process.pid == held.process.pid)
        time.sleep(0.01)
    raise RuntimeError("no instance took the turn")


def _helping(
    state: PostgresState, running: list[subprocess.Popen[bytes]], first: subprocess.Popen[bytes]
) -> subprocess.Popen[bytes] | None:
    """Return an instance that has claimed a part of the first one's run; None where that ends without one."""
    while first.poll() is None:
        with state.reading() as raw:
            claimed = {row[0] for row in raw.execute("SELECT claim FROM parts WHERE found IS NULL").fetchall()}
        for process in running:
            if process is not first and any(name and f" {process.pid} " in name for name in claimed):
                return process
        time.sleep(0.002)
    return None


def _told(asked: list[Asked]) -> dict[str, int]:
    """Count messages by incident."""
    found: dict[str, int] = {}
    for one in asked:
        name = json.loads(one.body)["incident"]["id"]
        found[name] = found.get(name, 0) + 1
    return found


def main() -> int:
    """Do the rounds and print what came of each; return 1 where one was wrong."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=50)
    options.add_argument("--from", dest="first", type=int, default=0, help="the first round, where it is done in parts")
    options.add_argument("--longest", type=float, default=3.0, help="seconds after the beginning of the last death")
    options.add_argument("--victim", choices=("holder", "helper"), default="holder", help="which one is killed")
    asked = options.parse_args()
    helper = asked.victim == "helper"
    wrong = killed = parts = 0
    with tempfile.TemporaryDirectory() as name, postgres.server() as server:
        fleet = filled(Path(name))
        for number in range(asked.first, asked.first + asked.kills):
            # Spread over the run, in an order that is the same each time.
            after_s = (0.2 if helper else asked.longest) * (number * 0.618034 % 1)
            one = one_round(server, fleet, Path(name) / str(number), after_s, helper=helper)
            wrong += not one.is_right
            killed += one.was_running
            parts += one.had_part
            print(
                f"{number}: killed after {after_s:.2f} s{'' if one.was_running else ' (done already)'}: {one}",
                flush=True,
            )
    held = f", in {parts} with a part of another one's" if helper else ""
    print(f"{asked.kills - wrong} of {asked.kills} rounds right; in {killed} the instance was killed in its run{held}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
