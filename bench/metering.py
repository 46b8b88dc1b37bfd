"""How often metrics and traces of healthy agents are said to disagree, and how soon they are when they do.

    python bench/metering.py --agents 24
    python bench/metering.py --agents 12 --fault none --rates 1 20 500

Pairs of sides over four weeks at the level of ticks: daily traffic, amounts with heavy tails; Prometheus counts a run
at its next scrape (one or five minutes apart), and loses what was counted since the last one at restarts; 0.5 % of the
runs lose their trace. Asked every six hours from the third day on. A false alarm is a new episode of any measure in an
agent that has no fault. Prints Markdown: false alarms per agent-week, and by fault the share found, the median delay in
hours, and how many had the right verdict; then the processor time of one look at one agent.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from analyzer.detectors.kernels.sides import compared
from analyzer.detectors.metering import MeteringDetector
from analyzer.types.metering import Accord
from analyzer.types.metric import TICK_S, Series, Signal, Window, bin_of
from analyzer.types.report import Subject

DAYS, DAY = 28, 96
TICKS = DAYS * DAY
START_S = 1_767_571_200
EVERY = 24
"""Ticks between two looks: six hours."""
ONSET = 18 * DAY
LOST = 0.005
RATES = (1.0, 5.0, 20.0, 100.0, 500.0)


@dataclass(frozen=True)
class Fault:
    """What goes wrong from ONSET on, and the verdict that is right."""

    name: str
    right: Accord
    traced: float = 1.0
    metered: float = 1.0
    tokens: float = 1.0
    skew: int = 0


HEALTHY = Fault("none", Accord.AGREE)
FAULTS = (
    Fault("20 % of traces lost", Accord.UNDER_TRACED, traced=0.8),
    Fault("half of the metrics lost", Accord.UNDER_METERED, metered=0.5),
    Fault("no traces any more", Accord.BLIND, traced=0.0),
    Fault("traces count twice", Accord.UNDER_METERED, tokens=2.0),
    Fault("clocks 2 h apart", Accord.AGREE, skew=8),
)


def main() -> None:
    """Draw, look, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=24, help="agents per rate and fault")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rates", type=float, nargs="+", default=RATES, help="runs an hour")
    parser.add_argument("--fault", choices=[one.name for one in (HEALTHY, *FAULTS)], help="only this one")
    given = parser.parse_args()
    print("| runs an hour | fault | false alarms per agent-week | found | delay, median h | right verdict |")
    print("|---|---|---|---|---|---|")
    looks, spent = 0, 0.0
    for rate in given.rates:
        for fault in (one for one in (HEALTHY, *FAULTS) if given.fault in {None, one.name}):
            rows = []
            for index in range(given.agents):
                stored, metered = drawn(rate, fault, np.random.default_rng([given.seed, int(rate), index]))
                began = time.process_time()
                rows.append(judged(stored, metered, fault))
                spent += time.process_time() - began
                looks += len(range(3 * DAY, TICKS + 1, EVERY))
            print(line(rate, fault, rows), flush=True)
    print(f"\n{spent / looks * 1000:.1f} ms of processor time a look at an agent's four measures")


def line(rate: float, fault: Fault, rows: list[tuple[int, float | None, Accord]]) -> str:
    """Return a row of the table."""
    weeks = len(rows) * (ONSET if fault.right is not Accord.AGREE else TICKS) / (7 * DAY)
    false = sum(row[0] for row in rows) / weeks
    head = f"| {rate:g} | {fault.name} | {false:.3f} |"
    if fault.right is Accord.AGREE:
        return f"{head} | | {sum(row[2] is Accord.AGREE for row in rows)} of {len(rows)} |"
    delays = [row[1] for row in rows if row[1] is not None]
    median = f"{statistics.median(delays):.0f}" if delays else "-"
    right = Counter(row[2] for row in rows)[fault.right]
    return f"{head} {len(delays)} of {len(rows)} | {median} | {right} of {len(rows)} |"


def judged(stored: tuple[Series, ...], metered: tuple[Series, ...], fault: Fault) -> tuple[int, float | None, Accord]:
    """Return false alarms, the delay of the first right one in hours, and the last verdict of the leading measure."""
    detector, told, false, delay = MeteringDetector(), False, 0, None
    verdict = Accord.AGREE
    for at in range(3 * DAY, TICKS + 1, EVERY):
        end_s = START_S + at * TICK_S
        window = Window(
            datetime.fromtimestamp(end_s - DAY * TICK_S, UTC),
            datetime.fromtimestamp(end_s, UTC),
            stored=tuple(one.until(end_s) for one in stored),
            metered=tuple(one.until(end_s) for one in metered),
        )
        apart = [row for row in compared(window, detector.settings) if row.now is not Accord.AGREE]
        verdict = apart[0].accord if apart else Accord.AGREE
        if apart and not told:
            if at <= ONSET or fault.right is Accord.AGREE:
                false += 1
            elif delay is None:
                delay = (at - ONSET) * TICK_S / 3600
        told = bool(apart)
    return false, delay, verdict


def drawn(rate: float, fault: Fault, rng: np.random.Generator) -> tuple[tuple[Series, ...], tuple[Series, ...]]:
    """Return what the store and Prometheus hold of one agent."""
    shape = 1 + 0.7 * np.sin(np.arange(TICKS) / DAY * 2 * math.pi)
    per_tick = rng.poisson(rate / 4 * shape * rng.gamma(8, 1 / 8, size=TICKS))
    when = np.repeat(np.arange(TICKS), per_tick) + rng.random(int(per_tick.sum()))
    size = np.exp(7.5 + 1.0 * rng.normal(size=len(when))) * np.where(rng.random(len(when)) < 0.007, 10, 1)
    ill = when >= ONSET
    traced = rng.random(len(when)) < np.where(ill, fault.traced, 1.0) * (1 - LOST)
    scrape = rng.choice([1 / 15, 5 / 15])
    scraped = np.ceil(when / scrape) * scrape
    # A restart a day or so: what was counted since the last scrape is gone.
    restarts = np.sort(rng.uniform(0, TICKS, size=DAYS))
    following = np.searchsorted(restarts, when)
    gone = (following < len(restarts)) & (restarts[np.minimum(following, len(restarts) - 1)] < scraped)
    metered = ~gone & (rng.random(len(when)) < np.where(ill, fault.metered, 1.0))
    tokens = size * np.where(ill, fault.tokens, 1.0)
    moved = when + np.where(ill, fault.skew, 0)
    return sided("store", moved[traced], tokens[traced]), sided("prometheus", scraped[metered], size[metered])


def sided(source: str, when: np.ndarray, size: np.ndarray) -> tuple[Series, ...]:
    """Return the series of one side."""
    ticks = when.astype(int)
    kept = ticks < TICKS
    ticks, size = ticks[kept], size[kept]
    count = np.bincount(ticks, minlength=TICKS).astype(float).tolist()
    tokens = np.bincount(ticks, weights=size, minlength=TICKS)
    sketches: list[dict[int, int]] = [{} for _ in range(TICKS)]
    for tick, value in zip(ticks.tolist(), size.tolist(), strict=True):
        index = bin_of(value)
        sketches[tick][index] = sketches[tick].get(index, 0) + 1
    runs = Series(Signal.ERRORS, Subject(agent="a"), "trajectories", source, "", START_S, count, [0.0] * TICKS)
    known = tuple(sketches) if source == "store" else None
    amounts = replace(runs, signal=Signal.TOKENS, unit="tokens", total=tokens.tolist(), sketches=known)
    costs = replace(runs, signal=Signal.COST, unit="USD", total=(tokens * 3e-6).tolist())
    calls = replace(runs, signal=Signal.TOOL_LATENCY, subject=Subject(agent="a", tool="t"), total=count)
    return runs, amounts, costs, calls


if __name__ == "__main__":
    main()
