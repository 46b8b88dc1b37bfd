"""What one scheduled run costs, and whether that grows with what is stored; and what a backtest of a week costs.

    python bench/run_cost.py --stored 100000 1000000 --folder stores
    python bench/run_cost.py --stored 1000000 --per-day 40000
    python bench/run_cost.py --backtest

A fleet of 20 agents is taken in for one day, as OTLP through ingest and store, and that day is written again for every
later day in SQL: the same rows and counts a day later, under trace ids of their own, with the texts they share. Then
`--new` trajectories with four faults among them are taken in as ever, and `analyzer run` is timed in a process of its
own: after what is new, and once more a quarter of an hour later with nothing new. `--folder` keeps the filled stores.

Processor time, the process's start included; peak memory is that of the process. Other programs on the machine change
the first little and the second not at all. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from analyzer.ingest.otlp import spans_from_json
from analyzer.ingest.pricing import Pricer
from analyzer.simulation.agents import Agent
from analyzer.simulation.faults import Fault, FaultKind
from analyzer.simulation.fleet import Fleet
from analyzer.simulation.scenario import random_fleet
from analyzer.stores.trajectories import SqliteTrajectories

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)
DAY_NS, DAY_H = 86_400 * 10**9, 24
AGENTS = 20
SEED = 77
MIB = 1024
PRODUCTS = 20_000_000
"""Of numbers, in a loop that is timed beside what is measured."""
STRUCK = (FaultKind.COST_STEP, FaultKind.LOOP, FaultKind.TOOL_ERRORS, FaultKind.LATENCY)
"""So that a run has something to account for, to explain and to file."""
_INSTALLED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""As where it is installed: modules are compiled once, and not at every start, which takes half a second more."""
COPIED = (("trajectories", "id"), ("spans", "trajectory"), ("uses", "trajectory"), ("steered", "trajectory"))
"""Tables with a row or more a trajectory, and which column names it."""
TIMED = ("trajectories.start_ns", "trajectories.end_ns", "spans.start_ns", "spans.end_ns")


def main() -> None:
    """Fill, run, print."""
    given = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        if given.backtest:
            _print_backtest(Path(scratch), given.folder)
            return
        print(
            "| stored | a day | new | GB | run after it, CPU s | MiB | run with nothing new, CPU s | MiB | incidents |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        for stored in given.stored:
            _print_run(Path(scratch), given.folder, stored, given)


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--stored", type=int, nargs="+", default=[100_000, 1_000_000], help="trajectories")
    arguments.add_argument("--per-day", type=int, default=2_500, help="trajectories a day of all agents")
    arguments.add_argument("--new", type=int, default=5_000)
    arguments.add_argument("--folder", type=Path, help="keeps filled stores, used again where they are there")
    arguments.add_argument("--backtest", action="store_true", help="a week at steps of an hour over 200,000 spans")
    arguments.add_argument("--profile", action="store_true", help="where the time of the run after what is new goes")
    return arguments.parse_args()


def _print_run(scratch: Path, folder: Path | None, stored: int, given: argparse.Namespace) -> None:
    agents = drawn_agents(given.per_day)
    path = _kept(folder, scratch, f"{stored}-{given.per_day}.db", lambda at: fill(at, agents, stored, given.per_day))
    store = scratch / "run.db"
    shutil.copy(path, store)
    fresh = timedelta(days=given.new / given.per_day)
    # As cron would have: the history was looked at before, and what is new was not.
    _measured(store, NOW - fresh)
    fleet = with_faults(Fleet(agents, (), (), fresh / DAY, SEED, NOW))
    new = _take_in(store, fleet)
    if given.profile:
        _profiled(store)
    first, second = _measured(store, NOW), _measured(store, NOW + timedelta(minutes=15))
    cells = (f"{stored:,}", f"{given.per_day:,}", f"{new:,}", f"{path.stat().st_size / 1e9:.1f}", *first[:2], *second)
    print(f"| {' | '.join(cells)} |", flush=True)
    store.unlink()


def _print_backtest(scratch: Path, folder: Path | None) -> None:
    fleet = random_fleet(SEED, 12, 14.0, 10, runs_per_hour=(3.0, 12.0), now=NOW)
    path = _kept(folder, scratch, "backtest.db", lambda at: _take_in(at, fleet))
    with SqliteTrajectories(path) as store:
        trajectories, spans = store.count(fleet.start, NOW)
    times = ["--from", (NOW - 7 * DAY).isoformat(), "--to", NOW.isoformat(), "--every", "1h"]
    cpu_s, mib, done = command("backtest", "--store", str(path), *times, "--json")
    print("| spans | trajectories | runs | incidents | CPU s | MiB |\n|---|---|---|---|---|---|")
    print(f"| {spans:,} | {trajectories:,} | {done['runs']} | {len(done['incidents'])} | {cpu_s:.1f} | {mib:.0f} |")


def _kept(folder: Path | None, scratch: Path, name: str, make: Callable[[Path], object]) -> Path:
    """Return a filled store, from the folder where it is there."""
    path = (folder or scratch) / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        make(draft)
        draft.rename(path)
    return path


def drawn_agents(per_day: int) -> tuple[Agent, ...]:
    """Draw agents that make so many trajectories a day together, the busiest ten times as many as the least busy."""
    drawn = random_fleet(SEED, AGENTS, 1.0, 0, decoys=0, now=NOW).agents
    # A nightly batch would make a day of its own; a weekend would make days unlike.
    served = [replace(agent, batch_hour=None, weekend=1.0) for agent in drawn]
    scale = per_day / 24 / sum(agent.runs_per_hour for agent in served)
    return tuple(replace(agent, runs_per_hour=agent.runs_per_hour * scale) for agent in served)


def with_faults(fleet: Fleet) -> Fleet:
    """Let four agents go wrong halfway through what is new."""
    onset = fleet.start + (fleet.now - fleet.start) / 2
    faults = [
        Fault(kind, agent.name, onset, share=0.5, version="9.9.9", input_factor=3.0, factor=5.0)
        for kind, agent in zip(STRUCK, fleet.agents, strict=False)
    ]
    return replace(fleet, faults=tuple(faults))


def _take_in(path: Path, fleet: Fleet) -> int:
    """Take a fleet in as ever, and return how many trajectories it made."""
    pricer, seen = Pricer({}), 0
    with SqliteTrajectories(path) as store:
        for request in fleet.requests():
            seen += store.add(spans_from_json(request, pricer=pricer).spans).trajectories
    return seen


def fill(path: Path, agents: Sequence[Agent], stored: int, per_day: int) -> None:
    """Make a store of so many trajectories: a day that was taken in, and its copies on the days after."""
    days = max(1, round(stored / per_day))
    end = (NOW - timedelta(days=5_000 / per_day)).replace(hour=0, minute=0, second=0, microsecond=0)
    start = end - days * DAY
    _take_in(path, Fleet(tuple(agents), (), (), 1.0, SEED, start + DAY))
    with SqliteTrajectories(path) as store:
        with store.connection.writing() as raw:
            # What midnight cut off would be cut off again every midnight.
            for table, key in reversed(COPIED):
                raw.execute(f"DELETE FROM {table} WHERE {key} IN (SELECT id FROM trajectories WHERE NOT complete)")  # noqa: S608 - own names
        store.series(start, start + DAY)
        connection = store.connection
        first = start.timestamp() // 86_400
        with connection.reading() as raw:
            step = raw.execute("SELECT MAX(id) FROM trajectories").fetchone()[0]
        for day in range(1, days):
            with connection.writing() as raw:
                copy_rows(raw, day, step, day * DAY_NS)
                _copy_counts(raw, int(first), day)


def copy_rows(raw, copy: int, step: int, by_ns: int) -> None:
    """Write the trajectories and spans of the first day again, as a copy of this number, so much later or earlier.

    `step` is the highest row id of the first day. What is counted of them is the caller's to see to.
    """
    for table, key in COPIED:
        names = [row[1] for row in raw.execute(f"PRAGMA table_info({table})")]
        values = [_moved(table, name, key, copy, step, by_ns) for name in names]
        raw.execute(f"INSERT INTO {table} SELECT {', '.join(values)} FROM {table} WHERE {key} <= {step}")  # noqa: S608 - own names


def _moved(table: str, name: str, key: str, copy: int, step: int, by_ns: int) -> str:
    if name == key:
        return f"{name} + {copy * step}"
    if f"{table}.{name}" in TIMED:
        return f"{name} + {by_ns}"
    return copied_id(name, copy) if name == "trace_id" else name


def copied_id(trace_id: str, copy: int) -> str:
    """Return SQL for the trace id of a copy, for SQLite and ClickHouse.

    It is in any order with those of other copies: of trajectories that repeat as much the smaller id is looked at
    first, and no day may win all of them.
    """
    turned = copy % 26
    return f"substr({trace_id}, {turned + 1}, {26 - turned}) || substr({trace_id}, 1, {turned}) || '{copy:06x}'"


def _copy_counts(raw, first: int, day: int) -> None:
    """Write what was counted of the first day again; choices and sightings hold their hours and first moments."""
    raw.execute("INSERT INTO rollups SELECT day + ?, agent, tool, body FROM rollups WHERE day = ?", (day, first))
    for agent, body in raw.execute("SELECT agent, body FROM choices WHERE day = ?", (first,)).fetchall():
        moved = [[one[0] + day * DAY_H, *one[1:]] for one in orjson.loads(body)]
        raw.execute("INSERT INTO choices VALUES (?, ?, ?)", (first + day, agent, orjson.dumps(moved)))
    for agent, body in raw.execute("SELECT agent, body FROM sightings WHERE day = ?", (first,)).fetchall():
        moved = [[one[0] + day * DAY_H, *one[1:-1], one[-1] + day * DAY_NS] for one in orjson.loads(body)]
        raw.execute("INSERT INTO sightings VALUES (?, ?, ?)", (first + day, agent, orjson.dumps(moved)))


def _measured(store: Path, at: datetime) -> tuple[str, str, str]:
    """Run as of a moment; return processor seconds, peak MiB and how many incidents there were."""
    reports = str(store.parent / "reports")
    cpu_s, mib, report = command(
        "run", "--json", "--at", at.isoformat(), "--store", str(store), ANALYZER_REPORTS=reports
    )
    return f"{cpu_s:.1f}", f"{mib:.0f}", str(len(report["incidents"]))


def command(*arguments: str, **environment: str) -> tuple[float, float, dict]:
    """Run a command in a process of its own; return its processor seconds, its peak memory in MiB and its JSON."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "analyzer", *arguments],
            stdout=out,
            env={**_INSTALLED, "ANALYZER_LLM": "off", **environment},
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read()
    if process.returncode not in (0, 3):
        raise SystemExit(f"analyzer {arguments[0]} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / MIB, orjson.loads(text)


def pace() -> str:
    """Return how fast the machine is at the moment: the same code has taken half as long, and twice, within hours."""
    began, total = time.process_time(), 0
    for number in range(PRODUCTS):
        total += number * number
    return f"{time.process_time() - began:.1f} s"


def _profiled(store: Path) -> None:
    """Print what takes the time of a run, on a copy."""
    copy = store.with_suffix(".profiled")
    shutil.copy(store, copy)
    began = time.process_time()
    subprocess.run(
        [sys.executable, "-m", "cProfile", "-s", "cumtime", "-m", "analyzer", "run", "--json",
         "--at", NOW.isoformat(), "--store", str(copy)],
        check=False,
        stdout=sys.stderr,
        env={**os.environ, "ANALYZER_LLM": "off", "ANALYZER_REPORTS": str(store.parent / "reports")},
    )  # fmt: skip
    print(f"<!-- {time.process_time() - began:.1f} -->", file=sys.stderr)
    copy.unlink()


if __name__ == "__main__":
    main()
