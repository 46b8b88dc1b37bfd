"""Score the whole walk on fleets drawn at random: what is found, what is not, and what is found that is not there.

    python bench/fleets.py --seeds 20 --agents 12 --faults 10
    python bench/fleets.py --seeds 10 --faults 0 --days 21 --judged 432
    python bench/fleets.py --first 400 --seeds 4 --store both

Every fleet holds each kind of look-alike and, as far as there are enough faults, each kind of fault. It goes in as OTLP
through ingest and store and is judged every few hours over the last three days; the incidents are compared with what
was planted. Seeds end on different days, so that weekends fall into each part of the history. A backtest does the
judging, which a test holds to what scheduled runs file (`tests/test_backtest.py`); `--runs` makes the real runs, in ten
times the time. With `--store clickhouse` the fleet lies in the Collector's tables, is followed and judged from there;
with `both` it is judged from either, and every line in which incidents and findings differ is printed. Prints one line
a seed, with our processor time, what went wrong in it, and the totals, as Markdown.
"""

from __future__ import annotations

import argparse
import difflib
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from _collected import collected, follow, told

from analyzer.config import Settings, load
from analyzer.ingest.otlp import spans_from_json
from analyzer.ingest.pricing import Pricer
from analyzer.pipeline import backtest, run
from analyzer.simulation.evaluate import Score, evaluate
from analyzer.simulation.fleet import Fleet
from analyzer.simulation.scenario import DEFAULT_NOW, random_fleet
from analyzer.types.document import finding_document, incident_document
from analyzer.wiring.building import build, build_reader

FALSE_PER_H = 60
"""Hours over which false incidents are counted."""
HEAD = "| seed | planted | found | missed | false | doubles | onset off, h | delay, h | cause named | CPU s |"


@dataclass(frozen=True, slots=True)
class Row:
    """How one fleet came out."""

    seed: int
    store: str
    score: Score
    titles: dict[str, str]
    seconds: float
    told: tuple[str, ...]
    """All incidents with their findings, and what the detectors found in each run, line by line."""


def main() -> None:
    """Draw, run, compare, print."""
    given = _arguments()
    print(HEAD + "\n" + "|---" * HEAD.count(" | ") + "|---|")
    rows: list[Row] = []
    with ProcessPoolExecutor(given.workers) as pool:
        for fleet in pool.map(partial(_rows, given=given), range(given.first, given.first + given.seeds)):
            rows += fleet
            for row in fleet:
                print(_line(f"{row.seed} {row.store}", [row], f"{row.seconds:.0f}"), flush=True)
                for line in _wrong(row):
                    print(f"  {line}", flush=True)
            for line in differing(fleet):
                print(f"  {line}", flush=True)
    for store in dict.fromkeys(row.store for row in rows):
        own = [row for row in rows if row.store == store]
        print(_line(f"all {store}", own, f"{sum(row.seconds for row in own):.0f}"))
    print()
    for store in dict.fromkeys(row.store for row in rows):
        print(_false([row for row in rows if row.store == store], given))


def _false(rows: Sequence[Row], given: argparse.Namespace) -> str:
    hours = given.judged * len(rows)
    false = sum(len(row.score.false) for row in rows)
    weekly = 7 * false / (hours / 24 * given.agents)
    per = f"{false / hours * FALSE_PER_H:.2f} in {FALSE_PER_H} h over {given.agents} agents"
    return f"false incidents, {rows[0].store}: {per}, {weekly:.3f} an agent-week"


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seeds", type=int, default=5)
    arguments.add_argument("--first", type=int, default=100)
    arguments.add_argument("--agents", type=int, default=12)
    arguments.add_argument("--faults", type=int, default=10)
    arguments.add_argument("--decoys", type=int, default=4)
    arguments.add_argument(
        "--rate", type=float, nargs=2, default=(3.0, 15.0), help="runs an hour of an agent, from, to"
    )
    arguments.add_argument("--days", type=float, default=8.0)
    arguments.add_argument("--judged", type=float, default=72.0, help="hours before now over which it runs")
    arguments.add_argument("--every", type=float, default=3.0, help="hours between runs")
    arguments.add_argument("--runs", action="store_true", help="real runs in place of a backtest")
    arguments.add_argument("--store", choices=("sqlite", "clickhouse", "both"), default="sqlite")
    arguments.add_argument("--workers", type=int, default=1)
    arguments.add_argument("--keep", type=Path, help="folder of filled stores, used again where they are there")
    return arguments.parse_args()


def _rows(seed: int, *, given: argparse.Namespace) -> list[Row]:
    now = DEFAULT_NOW + timedelta(days=seed % 7)
    fleet = random_fleet(
        seed, given.agents, given.days, given.faults, runs_per_hour=tuple(given.rate), decoys=given.decoys, now=now
    )
    stores = ("sqlite", "clickhouse") if given.store == "both" else (given.store,)
    return [_row(seed, fleet, store, given) for store in stores]


def _row(seed: int, fleet: Fleet, store: str, given: argparse.Namespace) -> Row:
    began = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "s.db"
        if store == "sqlite":
            kept = f"{seed}-{given.agents}-{given.faults}-{given.decoys}-{given.days:g}.db"
            fill(path, fleet, given.keep / kept if given.keep else None)
            document = _judged(settings_of(path), fleet, given)
        else:
            # What is read there is priced when it is read.
            with collected(Path(scratch), fleet, replace(settings_of(path), prices=_prices(fleet))) as settings:
                if not given.runs:
                    follow(settings, fleet.now)
                document = _judged(settings, fleet, given)
    if given.keep:
        beside = "" if store == "sqlite" else f"-{store}"
        (given.keep / f"{seed}{beside}.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    titles = {one["id"]: f"{one['title']} (opened {one['opened_at'][5:16]})" for one in document["incidents"]}
    score = evaluate(document, fleet.truths)
    parts = told([document["incidents"], document.get("found", [])])
    lines = tuple(json.dumps(parts, indent=1, ensure_ascii=False).splitlines())
    return Row(seed, store, score, titles, time.process_time() - began, lines)


def _judged(settings: Settings, fleet: Fleet, given: argparse.Namespace) -> dict:
    judge = scheduled if given.runs else backtested
    return judge(settings, fleet.now - timedelta(hours=given.judged), fleet.now, timedelta(hours=given.every))


def differing(rows: Sequence[Row]) -> list[str]:
    """Return what the second store says otherwise than the first, as lines of a diff; or that they say the same."""
    if len(rows) < 2:
        return []
    one, other = (row.told for row in rows)
    lines = list(difflib.unified_diff(one, other, rows[0].store, rows[1].store, n=2, lineterm=""))
    return lines or [f"the same from both, {len(one):,} lines"]


def _line(name: str, rows: list[Row], seconds: str) -> str:
    scores = [row.score for row in rows]
    matched = [match for score in scores for match in score.matched]
    missed, false, doubles = (sum(len(getattr(s, part)) for s in scores) for part in ("missed", "false", "echoes"))
    planted = len(matched) + missed
    share = f" ({len(matched) / planted:.2f})" if planted else ""
    off = f"{statistics.median(abs(m.onset_error_s) for m in matched) / 3600:.1f}" if matched else ""
    delay = f"{statistics.median(m.delay_s or 0.0 for m in matched) / 3600:.1f}" if matched else ""
    named = [match.named for match in matched if match.named is not None]
    cause = f"{sum(named)} of {len(named)} ({sum(named) / len(named):.2f})" if named else ""
    cells = (name, planted, f"{len(matched)}{share}", missed, false, doubles, off, delay, cause, seconds)
    return f"| {' | '.join(map(str, cells))} |"


def _wrong(row: Row) -> list[str]:
    """Return a line for everything that is not as it should be."""
    lines = []
    for truth in row.score.missed:
        what = f"{truth.kind} {truth.agent} {truth.tool or ''} {truth.version or ''}"
        lines.append(f"missed {what} {truth.onset:%m-%d %H:%M} to {truth.end or 'now'}, {len(truth.trace_ids)} runs")
    lines += [f"false {one} {row.titles[one]}" for one in row.score.false]
    lines += [f"double {one} {row.titles[one]}" for one in row.score.echoes]
    for match in row.score.matched:
        what = f"{match.truth.kind} {match.truth.onset:%m-%d %H:%M}: {row.titles[match.incident_id]}"
        if match.named is False:
            culprit = match.truth.model or match.truth.tool or match.truth.version
            lines.append(f"unnamed {culprit}: {what}")
        if abs(match.onset_error_s) > 2 * 3600:
            lines.append(f"onset off {match.onset_error_s / 3600:.1f} h: {what}")
    return lines


def fill(store: Path, fleet: Fleet, kept: Path | None) -> None:
    """Take a fleet in, or copy the store in which it was kept."""
    if kept is None or not kept.exists():
        pricer = Pricer(_prices(fleet))
        with build(settings_of(store), out=None) as app:
            for request in fleet.requests():
                app.trajectories.add(spans_from_json(request, pricer=pricer).spans)
        if kept is not None:
            shutil.copy(store, kept)
    else:
        shutil.copy(kept, store)


def _prices(fleet: Fleet) -> dict[str, list[dict[str, object]]]:
    """Return price overrides for the models that became cheaper."""
    overrides: dict[str, list[dict[str, object]]] = {}
    for model, onset, factor in fleet.price_falls:
        price = Pricer().price_of(model, at=fleet.now)
        if price is None or price.output is None:
            raise SystemExit(f"{model} has no list price to fall to")
        usd = {"input": price.input, "output": price.output, "cache_read": price.cache_read}
        usd["cache_write"] = price.cache_write
        dearer = {name: factor * amount for name, amount in usd.items()}
        overrides[model] = [dict(dearer), {"from": onset, **usd}]
    return overrides


def settings_of(store: Path) -> Settings:
    """Return settings with this store and no model."""
    return replace(load({}, {}).settings, store=store, reports=store.parent / "r", llm="off")


def backtested(settings: Settings, start: datetime, end: datetime, every: timedelta) -> dict:
    """Return what runs would have filed as one backtest document, and what the detectors found in each of them."""
    found: list[list[dict]] = []
    with build_reader(settings) as app:
        done = backtest(
            app,
            start,
            end,
            every,
            on_findings=lambda findings: found.append([finding_document(one) for one in findings]),
        )
        incidents = [incident_document(one) for one in done.incidents]
    return {"schema": "analyzer.backtest/1", "incidents": incidents, "found": found}


def scheduled(settings: Settings, start: datetime, end: datetime, every: timedelta) -> dict:
    """Run on the schedule and return all incidents as one report document, each in its last form."""
    incidents: dict[str, dict] = {}
    document: dict = {}
    at = start
    while at <= end:
        # Each run has a trace of its own, as one from cron has.
        with build(settings, out=None) as app:
            document = json.loads(app.document(run(app, at)))
        incidents.update({one["id"]: one for one in document["incidents"]})
        at += every
    return {**document, "incidents": list(incidents.values())}


if __name__ == "__main__":
    main()
