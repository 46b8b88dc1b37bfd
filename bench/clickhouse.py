"""What a scheduled run costs over the Collector's tables in ClickHouse, and what it reads of them.

    python bench/clickhouse.py --spans 200000
    python bench/clickhouse.py --spans 5000000 --folder stores

Twenty agents over 14 days, with prompts and results of some kB (`full` texts of the simulation, shortened): a day is
written as the exporter would, and copied in SQL to the days before it, under trace ids of their own; the last day is a
day of its own with four faults. The engine is chdb behind HTTP in a process of its own, which is what a server looks
like from outside: our figures are those of our process alone. First the history is followed and looked at; then the
last hour is written, and one more run is measured. A copy has the texts of its day, so that a part
compresses as it would, and the whole table too.

Read bytes are those of the engine's counter of compressed bytes read, and what its queries say that they read unpacked.
Processor time is that of the command's process, its start included. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from run_cost import NOW, PRODUCTS, SEED, command, copied_id, drawn_agents, pace, with_faults

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.clickhouse import LOOKUP, TRACES, connected, served, write

from analyzer.config import load
from analyzer.simulation.agents import Agent
from analyzer.simulation.fleet import Fleet
from analyzer.stores.clickhouse import ClickHouse
from analyzer.wiring.building import build

DAYS = 14
HOUR = timedelta(hours=1)
SPANS_PER_RUN = 7.5
"""Of the drawn agents' trajectories."""
SHORTER = 0.2
"""Of what the usage says, texts have this share: some 4 kB a span, 7 kB an inference."""
BATCH = 10_000


@dataclass(frozen=True)
class Read:
    """What the engine has read since it began."""

    packed: int
    unpacked: int
    sent: int
    """What it answered with, unpacked: a server packs it on the way."""
    cpu_s: float


def main() -> None:
    """Fill, follow, run, print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--spans", type=int, default=200_000)
    arguments.add_argument(
        "--folder", type=Path, help="keeps the filled table and the index, used again where they are"
    )
    arguments.add_argument("--fill-only", action="store_true")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (given.folder or Path(scratch)) / f"clickhouse-{given.spans}"
        folder.mkdir(parents=True, exist_ok=True)
        fresh = not (folder / "clickhouse").exists()
        with served(folder, tables=fresh) as url, connected(url) as client:
            _fill(client, folder, given.spans)
            if not given.fill_only:
                _measure(url, client, folder, _environment(url, folder))


def _fill(client: Any, folder: Path, spans: int) -> None:
    """Write what is not there yet: each part once, so that a long filling can be done in pieces."""
    base, last = fleets(spans)
    with once(folder, "base") as due:
        if due:
            _written(client, base, base.start, base.now)
    for day in range(1, DAYS - 1):
        with once(folder, f"day-{day}") as due:
            if due:
                client.command(
                    f"INSERT INTO {TRACES} (Timestamp, TraceId, {_names(client)}) SELECT Timestamp - "  # noqa: S608
                    f"toIntervalDay({day}), {copied_id('TraceId', day)}, {_names(client)} FROM {TRACES} "
                    f"WHERE Timestamp >= toDateTime64({base.start.timestamp():.0f}, 9) "
                    f"AND Timestamp < toDateTime64({base.now.timestamp():.0f}, 9)"
                )
    with once(folder, "last") as due:
        if due:
            _written(client, last, last.start, NOW - HOUR)


def _names(client: Any) -> str:
    """Return the table's columns but the two that a copy changes."""
    rows = client.query(f"SELECT name FROM system.columns WHERE table = '{TRACES}' AND default_kind = ''").result_rows  # noqa: S608
    return ", ".join(f"`{name}`" for (name,) in rows if name not in ("Timestamp", "TraceId"))


@contextmanager
def once(folder: Path, what: str) -> Iterator[bool]:
    """Say whether a part is still to be done, and note when it was."""
    done = folder / f"{what}.done"
    yield not done.exists()
    done.touch()


def fleets(spans: int) -> tuple[Fleet, Fleet]:
    """Return the fleet of the day that is copied and that of the last day, for so many spans in all."""
    agents = _agents(spans / DAYS)
    base = Fleet(agents, (), (), 1.0, SEED, NOW - timedelta(days=1), texts="full")
    return base, replace(with_faults(Fleet(agents, (), (), 1.0, SEED + 1, NOW)), texts="full")


def _agents(spans_a_day: float) -> tuple[Agent, ...]:
    """Draw the fleet, its texts shortened."""
    return tuple(
        replace(
            agent,
            prompt_tokens=round(agent.prompt_tokens * SHORTER),
            step_tokens=round(agent.step_tokens * SHORTER),
        )
        for agent in drawn_agents(round(spans_a_day / SPANS_PER_RUN))
    )


def _written(client: Any, fleet: Fleet, start: datetime, end: datetime) -> None:
    """Write a fleet's spans that began in a stretch of time."""
    held: list[Mapping[str, Any]] = []
    count = 0
    for request in fleet.requests():
        kept = began_in(request, start.timestamp() * 1e9, end.timestamp() * 1e9)
        held.append(kept)
        count += _count(kept)
        if count >= BATCH:
            write(client, *held)
            held, count = [], 0
    write(client, *held)


def began_in(request: Mapping[str, Any], start_ns: float, end_ns: float) -> Mapping[str, Any]:
    """Return a request with only the spans of a stretch of time."""

    def stays(span: Mapping[str, Any]) -> bool:
        return start_ns <= int(span["startTimeUnixNano"]) < end_ns

    return {
        "resourceSpans": [
            {
                **group,
                "scopeSpans": [
                    {**one, "spans": [span for span in one["spans"] if stays(span)]} for one in group["scopeSpans"]
                ],
            }
            for group in request["resourceSpans"]
        ]
    }


def _count(request: Mapping[str, Any]) -> int:
    return sum(len(one["spans"]) for group in request["resourceSpans"] for one in group["scopeSpans"])


def _environment(url: str, folder: Path) -> dict[str, str]:
    return {
        "ANALYZER_CLICKHOUSE_URL": f"{url.replace('//', '//default@')}/default",
        "ANALYZER_STORE": str(folder / "index.db"),
        "ANALYZER_REPORTS": str(folder / "reports"),
    }


def _measure(url: str, client: Any, folder: Path, environment: Mapping[str, str]) -> None:
    first = "before"
    _moved(folder / "index.db", environment)
    with once(folder, "followed") as due:
        if due:
            until = (NOW - HOUR).isoformat()
            at = _read(url, client)
            cpu_s, mib, _ = command("store", "follow", "--json", "--at", until, **environment)
            after = _read(url, client)
            first = (
                f"{cpu_s:.0f} CPU s, {mib:.0f} MiB; {_sent(at, after)}, the engine {after.cpu_s - at.cpu_s:.0f} CPU s"
            )
            # As cron would have: the history was looked at before, and what is new was not.
            command("run", "--json", "--at", until, **environment)
    with once(folder, "news") as due:
        if due:
            _written(client, fleets(int(folder.name.split("-")[1]))[1], NOW - HOUR, NOW)
    rows, packed, unpacked = _stored(client)
    at, before = _read(url, client), pace()
    began = time.perf_counter()
    cpu_s, mib, report = command("run", "--json", "--at", NOW.isoformat(), **environment)
    wall_s, after = time.perf_counter() - began, _read(url, client)
    during = pace()
    index = (folder / "index.db").stat().st_size
    by_id_ms = by_id_ms_of(environment)
    week = ("--from", (NOW - timedelta(days=7)).isoformat(), "--to", NOW.isoformat(), "--every", "1h")
    week_cpu_s, week_mib, done = command("backtest", *week, "--json", **environment)
    figures = {
        "spans": f"{rows:,}",
        "stored, packed": f"{packed / 1e9:.2f} GB, {packed / rows:.0f} bytes a span",
        "stored, unpacked": f"{unpacked / 1e9:.2f} GB, {unpacked / rows:.0f} bytes a span",
        "index in SQLite": f"{index / 1e9:.2f} GB, {index / rows:.0f} bytes a span",
        "history followed": first,
        "run with 1 h of news": f"{cpu_s:.1f} CPU s, {wall_s:.1f} s, {mib:.0f} MiB",
        "its incidents": str(len(report["incidents"])),
        "it read, packed": _share(after.packed - at.packed, packed),
        "it read, unpacked": _share(after.unpacked - at.unpacked, unpacked),
        "it was sent": _sent(at, after),
        "the engine's CPU in it": f"{after.cpu_s - at.cpu_s:.1f} s",
        "a trajectory by id": f"{by_id_ms:.0f} ms",
        "backtest of a week": f"{week_cpu_s:.1f} CPU s, {week_mib:.0f} MiB, {done['runs']} runs",
        "its incidents over the week": str(len(done["incidents"])),
        f"{PRODUCTS:,} products in plain Python, before the run, after it, at the end": f"{before}, {during}, {pace()}",
    }
    for name, value in figures.items():
        print(f"| {name} | {value} |", flush=True)


def _moved(index: Path, environment: Mapping[str, str]) -> None:
    """Note where the engine is now: it has another port each time, and one that was never followed is read anew."""
    if not index.exists():
        return
    settings = load(environ={**os.environ, **environment}).settings
    place = ClickHouse(str(settings.clickhouse_url), None, settings.clickhouse).place
    with closing(sqlite3.connect(index)) as raw, raw:
        raw.execute("UPDATE OR REPLACE followed SET place = ?", (place,))


def _share(read: int, stored: int) -> str:
    return f"{read / 1e6:.1f} MB, {read / stored:.2%}"


def _sent(at: Read, after: Read) -> str:
    return f"{(after.sent - at.sent) / 1e6:.1f} MB"


def _read(url: str, client: Any) -> Read:
    with urllib.request.urlopen(f"{url}/counted") as answer:  # noqa: S310 - loopback
        counted = json.loads(answer.read())
    rows = client.query(
        "SELECT event, value FROM system.events WHERE event IN ('ReadCompressedBytes', 'OSCPUVirtualTimeMicroseconds')"
    ).result_rows
    events = dict(rows)
    cpu_s = events["OSCPUVirtualTimeMicroseconds"] / 1e6
    return Read(events["ReadCompressedBytes"], counted["read_bytes"], counted["sent_bytes"], cpu_s)


def _stored(client: Any) -> tuple[int, int, int]:
    """Return rows of the traces table, and the bytes of both tables on disk and unpacked."""
    return client.query(
        f"SELECT sumIf(rows, table = '{TRACES}'), sum(bytes_on_disk), sum(data_uncompressed_bytes) "  # noqa: S608
        f"FROM system.parts WHERE active AND table IN ('{TRACES}', '{LOOKUP}')"
    ).result_rows[0]


def by_id_ms_of(environment: Mapping[str, str]) -> float:
    """Return the milliseconds that one trajectory by id takes, the middle of twenty."""
    settings = load(environ={**os.environ, **environment}).settings
    with build(settings, out=None) as app:
        ids = [one.trace_id for one in app.trajectories.summaries(order="oldest", limit=2_000)][::100]
        app.trajectories.trajectory(ids.pop())
        taken = []
        for trace_id in ids:
            began = time.perf_counter()
            app.trajectories.trajectory(trace_id)
            taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
