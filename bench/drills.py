"""Drill fleets of several kinds, and print what was found, what was false, what leaked, and the processor time.

    python bench/drills.py --fleet demo --seeds 6
    python bench/drills.py --fleet random --fleet small --fleet few-tools --fleet quiet --seeds 3
    python bench/drills.py --store analyzer.db --seeds 6

`demo` is the demo's fleet with its faults; `random` has ten agents drawn at random, four of them with a fault; `small`
three agents; `few-tools` agents that mostly call one tool, once; `quiet` agents with one or two runs an hour. For those
but the demo the fleet's seed is the drill's. A store is copied first. Prints a line a drill, as Markdown, and below it
what was missed, what was false and what was not drawn. Time is that of the processor, all of the command's; disk is the
most that the scratch folder held, looked at twice a second.
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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fleets import fill

from analyzer.simulation.agents import Agent
from analyzer.simulation.fleet import Fleet
from analyzer.simulation.scenario import DEFAULT_NOW, demo_path, random_fleet, read_scenario

HEAD = "| fleet | seed | drawn | found | recall | precision | delay, h | leaked | rounds | CPU s | RAM, MB | disk, MB |"
ROLES = ("support", "billing", "sql", "research")


def _plain(*, count: int, per_hour: float, days: float, calls: float, seed: int) -> Fleet:
    agents = tuple(
        Agent(f"agent-{number}", ROLES[number % len(ROLES)], runs_per_hour=per_hour, calls=calls, evaluated_share=0.9)
        for number in range(count)
    )
    return Fleet(agents, days=days, seed=seed, now=DEFAULT_NOW)


FLEETS: Mapping[str, Callable[[int], Fleet]] = {
    "demo": lambda _seed: read_scenario(demo_path()),
    "random": lambda seed: random_fleet(seed, agents=10, days=10.0, faults=4, runs_per_hour=(2.0, 8.0)),
    "small": lambda seed: _plain(count=3, per_hour=5.0, days=10.0, calls=2.0, seed=seed),
    "few-tools": lambda seed: _plain(count=5, per_hour=6.0, days=10.0, calls=1.0, seed=seed),
    "quiet": lambda seed: _plain(count=4, per_hour=1.5, days=14.0, calls=2.0, seed=seed),
}


def main() -> None:
    """Draw, drill, print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--fleet", action="append", choices=sorted(FLEETS), default=[])
    arguments.add_argument("--store", type=Path, action="append", default=[], help="a store to drill; it is copied")
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--first", type=int, default=1)
    given = arguments.parse_args()
    print(HEAD + "\n" + "|---" * (HEAD.count("|") - 1) + "|", flush=True)
    for name in (*given.fleet, *given.store):
        for seed in range(given.first, given.first + given.seeds):
            with tempfile.TemporaryDirectory(prefix="drills-") as folder:
                store = Path(folder) / "fleet.db"
                if isinstance(name, Path):
                    shutil.copyfile(name, store)
                else:
                    fill(store, FLEETS[name](seed), None)
                for line in _drilled(name if isinstance(name, str) else name.stem, seed, store):
                    print(line, flush=True)


def _drilled(name: str, seed: int, store: Path) -> Iterator[str]:
    """Run the command as people do, and yield what to print."""
    scratch = store.parent / "scratch"
    scratch.mkdir()
    command = (sys.executable, "-m", "analyzer", "drill", "--store", str(store), "--seed", str(seed), "--json")
    largest = 0
    with (store.parent / "drill.json").open("w+b") as said, (store.parent / "drill.err").open("w+b") as errors:
        running = subprocess.Popen(command, stdout=said, stderr=errors, env={**os.environ, "TMPDIR": str(scratch)})
        # Not `Popen.wait`: this one says what the process used.
        while not (waited := os.wait4(running.pid, os.WNOHANG))[0]:
            largest = max(largest, _bytes_in(scratch))
            time.sleep(0.5)
        _, status, used = waited
        code = running.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        errors.seek(0)
        if code not in {0, 1}:
            yield f"| {name} | {seed} | exit {code}: {errors.read().decode()[-200:].strip()} |"
            return
        drill = json.load(said)
    yield _row(
        name, seed, drill, f"{used.ru_utime + used.ru_stime:.0f} | {used.ru_maxrss / 1024:.0f} | {largest / 1e6:.0f}"
    )
    for fault in drill["faults"]:
        if not fault["found"]:
            unseen = f" by {', '.join(fault['unseen'])}" if fault["unseen"] else ""
            yield f"  missed{unseen}: {fault['kind']} of {fault['agent']} / {fault['tool']}, onset {fault['onset']}"
    yield from (f"  false: {one['kind']}: {one['title']}" for one in drill["false"])
    yield from (f"  not drawn: {one['kind']}: {one['why']}" for one in drill["not_drawn"])
    yield from (f"  {sentence}" for sentence in drill["failures"])


def _row(name: str, seed: int, drill: Mapping[str, Any], used: str) -> str:
    faults = drill["faults"]
    found = sum(fault["found"] for fault in faults)
    shares = [f"{drill[share]:.2f}" if drill[share] is not None else "-" for share in ("recall", "precision")]
    delay = "-" if drill["delay_s"] is None else f"{drill['delay_s'] / 3600:.1f}"
    cells = (name, seed, len(faults), found, *shares, delay, len(drill["canaries"]["leaked"]))
    return f"| {' | '.join(map(str, cells))} | {drill['shadow']['rounds']} | {used} |"


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


if __name__ == "__main__":
    main()
