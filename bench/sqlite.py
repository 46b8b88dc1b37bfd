"""What `bench/clickhouse.py` measures, from a SQLite store: the same fleet, hour of news and questions.

    python bench/sqlite.py --spans 200000
    python bench/sqlite.py --spans 5000000 --folder stores

The day and its copies, under the same trace ids, and the last day with its faults are those of ClickHouse; a copy is
made in SQL, and all that is counted of it is counted anew by the store. A text that several days have is stored once,
which real days would not share: what the texts would take on days of their own is computed, and said beside the size.
Processor time is that of the command's process, its start included. Prints Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from clickhouse import BATCH, DAYS, HOUR, began_in, by_id_ms_of, fleets, once
from run_cost import DAY_NS, NOW, PRODUCTS, command, copy_rows, pace

from analyzer.ingest.otlp import spans_from_json
from analyzer.ingest.pricing import Pricer
from analyzer.simulation.fleet import Fleet
from analyzer.stores import rollups
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import Span

HOUR_NS = DAY_NS // 24
TEXTS = ("blocks", "threads")
"""Tables of texts, which copies of a day share."""


def main() -> None:
    """Fill, run, print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--spans", type=int, default=200_000)
    arguments.add_argument("--folder", type=Path, help="keeps the filled store, used again where it is there")
    arguments.add_argument("--fill-only", action="store_true")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (given.folder or Path(scratch)) / f"sqlite-{given.spans}"
        folder.mkdir(parents=True, exist_ok=True)
        _fill(folder, given.spans)
        if not given.fill_only:
            _measure(folder, given.spans)


def _fill(folder: Path, spans: int) -> None:
    """Take in what is not there yet: each part once, so that a long filling can be done in pieces."""
    base, last = fleets(spans)
    with once(folder, "base") as due, closing(_store(folder)) as store:
        if due:
            began = time.process_time()
            taken = _taken(store, base, base.start, base.now)
            with store.connection.writing() as raw:
                step = raw.execute("SELECT MAX(id) FROM trajectories").fetchone()[0]
            (folder / "base.txt").write_text(f"{taken} {step} {time.process_time() - began:.0f}", encoding="utf-8")
    step = int((folder / "base.txt").read_text(encoding="utf-8").split()[1])
    for day in range(1, DAYS - 1):
        with once(folder, f"day-{day}") as due, closing(_store(folder)) as store:
            if due:
                with store.connection.writing() as raw:
                    copy_rows(raw, day, step, -day * DAY_NS)
                    first_ns = int(base.start.timestamp() * 1e9) - day * DAY_NS
                    # What began in the day may end after it.
                    rollups.mark(raw, range(first_ns, first_ns + 2 * DAY_NS, HOUR_NS))
    with once(folder, "last") as due, closing(_store(folder)) as store:
        if due:
            _taken(store, last, last.start, NOW - HOUR)


def _store(folder: Path) -> SqliteTrajectories:
    return SqliteTrajectories(folder / "store.db")


def _taken(store: SqliteTrajectories, fleet: Fleet, start: datetime, end: datetime) -> int:
    """Take in a fleet's spans that began in a stretch of time, as ever; return how many there were."""
    pricer, count = Pricer({}), 0
    held: list[Span] = []
    for request in fleet.requests():
        held += spans_from_json(began_in(request, start.timestamp() * 1e9, end.timestamp() * 1e9), pricer=pricer).spans
        if len(held) >= BATCH:
            count += len(held)
            store.add(held)
            held = []
    store.add(held)
    return count + len(held)


def _measure(folder: Path, spans: int) -> None:
    environment = {"ANALYZER_STORE": str(folder / "store.db"), "ANALYZER_REPORTS": str(folder / "reports")}
    with once(folder, "followed") as due:
        if due:
            # As cron would have: the history was looked at before, and what is new was not.
            cpu_s, mib, _ = command("run", "--json", "--at", (NOW - HOUR).isoformat(), **environment)
            _say("first look at the history", f"{cpu_s:.0f} CPU s, {mib:.0f} MiB")
    with once(folder, "news") as due, closing(_store(folder)) as store:
        if due:
            began = time.process_time()
            taken = _taken(store, fleets(spans)[1], NOW - HOUR, NOW)
            _say("1 h of news taken in", f"{taken:,} spans, {time.process_time() - began:.0f} CPU s")
    before = pace()
    cpu_s, mib, report = command("run", "--json", "--at", NOW.isoformat(), **environment)
    _say("run with 1 h of news", f"{cpu_s:.1f} CPU s, {mib:.0f} MiB")
    _say("its incidents", str(len(report["incidents"])))
    _say("a trajectory by id", f"{by_id_ms_of(environment):.1f} ms")
    week = ("--from", (NOW - timedelta(days=7)).isoformat(), "--to", NOW.isoformat(), "--every", "1h")
    cpu_s, mib, done = command("backtest", *week, "--json", **environment)
    _say("backtest of a week", f"{cpu_s:.1f} CPU s, {mib:.0f} MiB, {done['runs']} runs")
    _say("its incidents over the week", str(len(done["incidents"])))
    _say(f"{PRODUCTS:,} products in plain Python, before the run, at the end", f"{before}, {pace()}")
    for name, value in _sizes(folder).items():
        _say(name, value)


def _sizes(folder: Path) -> Mapping[str, str]:
    """Return what the store holds and takes, as it is and with the texts of a day for every day."""
    marks = ",".join("?" * len(TEXTS))
    with closing(_store(folder)) as store, store.connection.reading() as raw:
        rows = raw.execute("SELECT COUNT(*) FROM spans").fetchone()[0]
        shared = raw.execute(
            f"SELECT SUM(s.pgsize) FROM dbstat s JOIN sqlite_schema m ON m.name = s.name"  # noqa: S608 - question marks
            f" WHERE s.aggregate = TRUE AND m.tbl_name IN ({marks})",
            TEXTS,
        ).fetchone()[0]
    size = (folder / "store.db").stat().st_size
    # Two days of texts are there: that of the copies, and the last.
    apart = size + shared / 2 * (DAYS - 2)
    return {
        "spans": f"{rows:,}",
        "store": f"{size / 1e9:.2f} GB, {size / rows:.0f} bytes a span; of it texts {shared / 1e9:.2f} GB",
        "store, texts apart (computed)": f"{apart / 1e9:.2f} GB, {apart / rows:.0f} bytes a span",
    }


def _say(name: str, value: str) -> None:
    print(f"| {name} | {value} |", flush=True)


if __name__ == "__main__":
    main()
