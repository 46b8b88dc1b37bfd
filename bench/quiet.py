"""Count what people would have been told about a fleet in which nothing is wrong.

    python bench/quiet.py --seeds 3 --keep /tmp/quiet --fill
    python bench/quiet.py --seeds 3 --keep /tmp/quiet

Every fleet has weeks of healthy, noisy agents and look-alikes of faults. It goes in as OTLP and is judged by a backtest
as a schedule would judge it; after each run delivery tells a route that people read by the default policy, and one that
a program reads everything. Prints what was told above the digest, and a line a seed, as Markdown: incidents, messages
above the digest, digests, messages without a plan, and processor time. With `--fill` it only fills the kept stores, so
that a long measurement can be had in pieces.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

from fleets import fill, settings_of

from analyzer.notify.base import RecordedDigests, RecordedNotifier, Route
from analyzer.notify.deliver import deliver
from analyzer.pipeline import backtest
from analyzer.pipeline.memory import Memory
from analyzer.simulation.fleet import Fleet
from analyzer.simulation.scenario import DEFAULT_NOW, random_fleet
from analyzer.wiring.building import build_reader

HEAD = "| seed | trajectories | incidents | above the digest | digests | without a plan | above, a week | CPU s |"


def main() -> None:
    """Draw, judge, deliver, count."""
    given = _arguments()
    print(HEAD + "\n" + "|---" * HEAD.count(" | ") + "|---|", flush=True)
    for seed in range(given.first, given.first + given.seeds):
        began = time.process_time()
        fleet = random_fleet(
            seed,
            given.agents,
            given.history + given.days,
            0,
            runs_per_hour=tuple(given.rate),
            decoys=given.decoys,
            now=DEFAULT_NOW + timedelta(days=seed % 7),
        )
        with tempfile.TemporaryDirectory() as folder:
            store = Path(folder) / "s.db"
            drawn = (seed, given.agents, given.decoys, given.days, given.history, *given.rate)
            kept = f"{'-'.join(f'{part:g}' for part in drawn)}.db"
            fill(store, fleet, given.keep / kept if given.keep else None)
            if not given.fill:
                cells = _judged(store, fleet, given)
                print(f"| {seed} | {' | '.join(map(str, cells))} | {time.process_time() - began:.0f} |", flush=True)


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seeds", type=int, default=1)
    arguments.add_argument("--first", type=int, default=300)
    arguments.add_argument("--agents", type=int, default=20)
    arguments.add_argument("--decoys", type=int, default=8)
    arguments.add_argument("--days", type=float, default=30.0, help="judged")
    arguments.add_argument("--history", type=float, default=8.0, help="days before that")
    arguments.add_argument("--every", type=float, default=3.0, help="hours between runs")
    arguments.add_argument("--rate", type=float, nargs=2, default=(1.0, 3.0), help="runs an hour of an agent, from, to")
    arguments.add_argument("--keep", type=Path, help="folder of filled stores, used again where they are there")
    arguments.add_argument("--fill", action="store_true", help="only fill the stores")
    return arguments.parse_args()


def _judged(store: Path, fleet: Fleet, given: argparse.Namespace) -> tuple[object, ...]:
    people, plain = RecordedDigests(), RecordedNotifier()
    routes = [Route("people", people), Route("plain", plain)]
    memory = Memory()

    def told(at, incidents) -> None:
        memory.save_incidents(incidents, run_trace_id="")
        gaps = deliver(incidents, routes, memory, at).gaps
        if gaps:
            raise SystemExit(f"delivery failed: {gaps}")

    start = fleet.now - timedelta(days=given.days)
    with build_reader(settings_of(store)) as app:
        seen, _ = app.trajectories.count(start, fleet.now)
        done = backtest(app, start, fleet.now, timedelta(hours=given.every), on_incidents=told)
    digests = Counter("storm" if one.storm else "digest" for one in people.digests)
    above = len(people.messages) + digests["storm"]
    for message in people.messages:
        found = message.incident
        print(f"  {message.at:%m-%d %H:%M} {message.reason.value} {found.severity.value}: {found.title}", flush=True)
    week = f"{above / (given.days / 7):.2f}"
    return seen, len(done.incidents), above, digests["digest"], len(plain.messages), week


if __name__ == "__main__":
    main()
