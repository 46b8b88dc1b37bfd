"""False alarms, power and delay of the detectors of choices and of runaways, on simulated agents.

    PYTHONPATH=. python bench/choices.py [--seed 9000] [--agents 24]

Choices: six kinds of task, each with a table of its own, a day's shares from a beta (correlation 2.4 % within a day),
daily and weekly traffic, four weeks; once with the kind of each task known, once without. Beside ours a G-test at
p < 1e-4 on the last 24 hours, every hour, as the textbook has it. Runaways: log-normal steps, seven in a thousand ten
times as long at all times, and trajectories in flight; looked at every three hours for two weeks after a fortnight.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from scipy import stats

from analyzer.detectors.choosing.tables import tables
from analyzer.detectors.choosing.walk import shifts_of
from analyzer.detectors.runaway import RunawayDetector
from analyzer.detectors.tool_choice import ToolChoiceDetector
from analyzer.types.metric import BIN_WIDTH, HOUR_S, TICK_S, Choices, OpenTrajectory, Series, Signal, Usual, Window
from analyzer.types.report import Subject
from analyzer.types.trajectory import summarise

START_S = 1_767_571_200
DAY_H, DAYS = 24, 28
HOURS = DAYS * DAY_H
STICKY, WOBBLE = 0.97, 40.0
FAULT_DAY = 14
READER = Subject("a", tool="run_sql")
Parts = tuple[Choices, ...]


def at(hour: float) -> datetime:
    """Return the time at an hour of the simulation."""
    return datetime.fromtimestamp(START_S + hour * HOUR_S, UTC)


def traffic(per_hour: float) -> np.ndarray:
    """Return trajectories per hour: a daily wave, and two fifths at weekends."""
    hours = np.arange(HOURS)
    return per_hour * (1 + 0.6 * np.sin(hours / DAY_H * 2 * math.pi)) * np.where(hours // DAY_H % 7 >= 5, 0.4, 1.0)


def agent(
    rng: np.random.Generator,
    per_hour: float,
    *,
    picked: str = "",
    begin: int = HOURS,
    share: float = 1.0,
    kinds: int = 6,
) -> Parts:
    """Return the strata of one agent; from hour `begin` on a share of each usual choice becomes `picked`."""
    weights, hours = rng.dirichlet(np.full(kinds, 2.0)), np.arange(HOURS)
    parts = []
    for kind in range(kinds):
        of = rng.poisson(traffic(per_hour) * weights[kind])
        day = rng.beta(STICKY * WOBBLE, (1 - STICKY) * WOBBLE, DAYS).repeat(DAY_H)
        usual = rng.binomial(of, day)
        counts = {f"t{kind % 3}": usual.astype(float), f"t{(kind + 1) % 3}": (of - usual).astype(float)}
        if picked:
            moved = rng.binomial(usual, share) * (hours >= begin)
            counts[f"t{kind % 3}"] = counts[f"t{kind % 3}"] - moved
            counts[picked] = counts.get(picked, np.zeros(HOURS)) + moved
        failed = {value: rng.binomial(row.astype(int), 0.05).astype(float) for value, row in counts.items()}
        parts.append(Choices(READER, "tables", f"kind {kind}", START_S, counts, of.astype(float), failed))
    return (*parts, total(parts))


def total(parts: Sequence[Choices]) -> Choices:
    """Return the choice over all kinds of task."""
    values = sorted({value for part in parts for value in part.picked})
    none = np.zeros(HOURS)
    picked = {value: sum((np.asarray(part.picked.get(value, none)) for part in parts), none) for value in values}
    failed = {value: sum((np.asarray(part.failed.get(value, none)) for part in parts), none) for value in values}
    return Choices(READER, "tables", None, START_S, picked, sum((np.asarray(p.of) for p in parts), none), failed)


def as_tools(part: Choices) -> Choices:
    """Return a choice of a table as one of a tool."""
    return replace(part, subject=Subject("a"), what="tool")


def launch(rng: np.random.Generator, per_hour: float, begin: int, value: str) -> Choices:
    """Return a kind of task that begins with a table of its own."""
    of = rng.poisson(traffic(per_hour)) * (np.arange(HOURS) >= begin)
    return Choices(READER, "tables", "new", START_S, {value: of.astype(float)}, of.astype(float))


def rename(part: Choices, old: str, new: str, begin: int) -> Choices:
    """Return a choice with one value under another name from an hour on."""
    before = np.arange(HOURS) < begin
    moved = [{**rows, old: rows[old] * before, new: rows[old] * ~before} if old in rows else rows
             for rows in (part.picked, part.failed)]  # fmt: skip
    return replace(part, picked=moved[0], failed=moved[1], offered_s={new: at(begin).timestamp()})


def found(parts: Parts, begin: int, stop: int) -> list[tuple[int, int]]:
    """Return (hour of the alarm, onset) of every episode whose alarm lies in the hours."""
    shifts = (shift for _, shift in shifts_of(tables(parts, at(stop)), ToolChoiceDetector().settings))
    alarms = [(shift.found.hour + 1, shift.onset) for shift in shifts]
    return sorted(alarm for alarm in alarms if begin <= alarm[0] <= stop)


def textbook(part: Choices) -> int:
    """Return on how many of the last 14 days a G-test of 24 hours against the fortnight before says p < 1e-4."""
    counts = np.stack([np.asarray(row) for row in part.picked.values()])
    days = set()
    for hour in range(FAULT_DAY * DAY_H, HOURS):
        now, before = (
            counts[:, hour - DAY_H : hour].sum(axis=1),
            counts[:, hour - 15 * DAY_H : hour - DAY_H].sum(axis=1),
        )
        table = np.stack([now, before])[:, (now + before) > 0]
        if table.shape[1] > 1 and table.min(axis=0).sum() > 0 and now.sum() >= 30:
            p = stats.chi2_contingency(table, lambda_="log-likelihood", correction=False).pvalue
            if p < 1e-4:
                days.add(hour // DAY_H)
    return len(days)


def choices(seed: int, agents: int) -> None:
    """Print the table of choices."""
    rates = (3.0, 20.0, 100.0, 1000.0)
    print("| per hour | false alarms: kinds known | not known | tools | G-test, days a week | launch | rename |")
    print("|---|---|---|---|---|---|---|")
    weeks = agents * (DAYS - 4) / 7
    for rate in rates:
        counts: Counter[str] = Counter()
        for number in range(agents):
            rng = np.random.default_rng([seed, number, int(rate)])
            clean = agent(rng, rate)
            counts["known"] += len(found(clean, 0, HOURS))
            counts["unknown"] += len(found(clean[-1:], 0, HOURS))
            counts["tools"] += len(found(tuple(as_tools(part) for part in clean), 0, HOURS))
            counts["textbook"] += textbook(clean[-1]) if number < 4 else 0
            begin = FAULT_DAY * DAY_H + number
            new = launch(rng, rate / 2, begin, "loans")
            counts["launch"] += bool(found((*clean[:-1], new, total((*clean[:-1], new))), begin, begin + 72))
            renamed = tuple(as_tools(rename(part, "t1", "t9", begin)) for part in clean)
            counts["rename"] += bool(found(renamed, begin, begin + 72))
        shown = " | ".join(f"{counts[name] / weeks:.3f}" for name in ("known", "unknown", "tools"))
        looks_alike = " | ".join(f"{counts[name]}/{agents}" for name in ("launch", "rename"))
        print(f"| {rate:g} | {shown} | {counts['textbook'] / 8:.1f} | {looks_alike} |")
    print()
    print("| per hour | fault | kinds known: found in 24 h / 72 h, median delay, onset off by | not known |")
    print("|---|---|---|---|")
    for rate in rates:
        for picked, name in (("bad", "unseen table"), ("t1", "known table")):
            for share in (1.0, 0.3):
                cells = [_power(seed, agents, rate, picked, share, known) for known in (True, False)]
                print(f"| {rate:g} | {name}, {share:.0%} of runs | {' | '.join(cells)} |")


def _power(seed: int, agents: int, rate: float, picked: str, share: float, known: bool) -> str:
    delays, off = [], []
    for number in range(agents):
        rng = np.random.default_rng([seed + 1, number, int(rate)])
        begin = FAULT_DAY * DAY_H + int(rng.integers(0, 6 * DAY_H))
        parts = agent(rng, rate, picked=picked, begin=begin, share=share)
        alarms = found(parts if known else parts[-1:], begin, begin + 72)
        if alarms:
            hour, onset = alarms[0]
            delays.append(hour - begin)
            off.append(abs(onset - begin))
    early = sum(delay <= DAY_H for delay in delays)
    if not delays:
        return "0.00/0.00"
    return f"{early / agents:.2f}/{len(delays) / agents:.2f}, {np.median(delays):.1f} h, {np.median(off):.1f} h"


def runaways(seed: int, agents: int) -> None:
    """Print the table of runaways: findings of a healthy agent, and what is found of two faults in a day."""
    print("| per hour | false alarms an agent-week | 3 x p99 alone | 3 % of runs x10 for a day | one run at 60 x p99 |")
    print("|---|---|---|---|---|")
    for rate in (5.0, 100.0, 1000.0):
        counts: Counter[str] = Counter()
        for number in range(agents):
            rng = np.random.default_rng([seed + 2, number, int(rate)])
            clean, p50, p99 = _steps(rng, rate, 0.007)
            usual = _usual(p50, p99, sum(clean.count))
            said: set[str] = set()
            for tick in range(14 * 96, DAYS * 96, 12):
                window = _look(rng, clean, usual, rate, tick)
                said |= {trace_id for one in RunawayDetector().detect(window) for trace_id in one.trace_ids[:1]}
                counts["plain"] += sum(one.steps > 3 * p99 for one in window.summaries.values())
            counts["false"] += len(said)
            worse, _, _ = _steps(rng, rate, 0.007, late=0.03)
            counts["tail"] += bool(RunawayDetector().detect(_look(rng, worse, usual, rate, DAYS * 96)))
            wild = OpenTrajectory(_one("wild", int(60 * p99)), _now_ns(DAYS * 96))
            lonely = replace(_look(rng, clean, usual, rate, DAYS * 96), running=(wild,))
            counts["wild"] += bool(RunawayDetector().detect(lonely))
        weeks = agents * 2
        print(
            f"| {rate:g} | {counts['false'] / weeks:.3f} | {counts['plain'] / weeks:.2f}"
            f" | {counts['tail']}/{agents} | {counts['wild']}/{agents} |"
        )


def _steps(rng: np.random.Generator, rate: float, tail: float, late: float = 0.0) -> tuple[Series, float, float]:
    """Return steps on the grid, with their median and 99th percentile; `late`: more in the tail on the last day."""
    counts, totals, sketches, seen = [], [], [], []
    for tick in range(DAYS * 96):
        values = _draw(rng, int(rng.poisson(rate / 4)), tail + (late if tick >= (DAYS - 1) * 96 else 0.0))
        counts.append(float(len(values)))
        totals.append(float(values.sum()))
        sketches.append(dict(Counter(np.floor(np.log(values) / BIN_WIDTH).astype(int).tolist())))
        seen.append(values)
    every = np.concatenate(seen)
    series = Series(Signal.STEPS, Subject("a"), "steps", "store", "", START_S, counts, totals, tuple(sketches))
    return series, float(np.median(every)), float(np.quantile(every, 0.99))


def _draw(rng: np.random.Generator, n: int, tail: float) -> np.ndarray:
    return np.maximum(np.exp(rng.normal(math.log(12), 0.7, n)) * np.where(rng.random(n) < tail, 10, 1), 1.0)


def _usual(p50: float, p99: float, n: float) -> Usual:
    return Usual("a", int(n), p50, p99, 0, 0, None, None, 0, 0, 0)


def _look(rng: np.random.Generator, series: Series, usual: Usual, rate: float, tick: int) -> Window:
    """Return what a run at a tick sees: the last day's long ones, and those in flight (long ones more often)."""
    finished = [
        _one(f"f{at_}-{index}", math.exp((index + 0.5) * BIN_WIDTH))
        for at_ in range(tick - 96, tick)
        for index in (series.sketches or ())[at_]
        if (index + 0.5) * BIN_WIDTH > math.log(usual.steps_p99)
    ]
    flying = _draw(rng, int(rng.poisson(rate / 60)), 0.066) * rng.random(1)
    running = tuple(OpenTrajectory(_one(f"r{tick}-{n}", steps), _now_ns(tick)) for n, steps in enumerate(flying))
    start, now = (datetime.fromtimestamp(START_S + t * TICK_S, UTC) for t in (tick - 96, tick))
    summaries = {one.trace_id: one for one in finished}
    return Window(start, now, series=(series,), summaries=summaries, running=running, usual={"a": usual})


def _one(trace_id: str, steps: float):
    return replace(summarise(trace_id, ()), agent="a", steps=int(steps), start_ns=START_S * 10**9)


def _now_ns(tick: int) -> int:
    return (START_S + tick * TICK_S) * 10**9


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=9000)
    parser.add_argument("--agents", type=int, default=24)
    parser.add_argument("--only", choices=("choices", "runaways"))
    given = parser.parse_args()
    if given.only != "runaways":
        choices(given.seed, given.agents)
    if given.only != "choices":
        runaways(given.seed, given.agents)
