"""How often the detectors raise a false alarm, and how fast they find a fault, on simulated fleets.

Prints a Markdown table: false alarms per agent-week on healthy agents, then for each fault the share found within 24
and 72 hours and the median delay, beside the rule most people start with (mean of 1 h above twice the mean of 7 d).
Alarms closer than 12 hours count as one. False alarms are counted after the first fortnight, with those of the
first fortnight (while the detector still learns) beside them.

Usage: `python bench/detection.py [--quick] [--seed N] [--agents N] [--volumes 5,20,...]`
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from _fleet_sim import DAYS, START_S, TICKS, Fault, cost_series, error_series

from analyzer.detectors.kernels.amount_baseline import AmountSettings
from analyzer.detectors.kernels.events import EventSettings
from analyzer.detectors.kernels.findings import amount_episodes, event_episodes
from analyzer.types.metric import TICK_S, Series

END = datetime.fromtimestamp(START_S + TICKS * TICK_S, tz=UTC)
DAY, MERGE = 96, 48
LEARNT = 14 * DAY
AGENTS = {5: 48, 20: 48, 100: 48, 500: 24, 5000: 8}
QUICK = {5: 8, 20: 8, 100: 8, 500: 4}


@dataclass(slots=True)
class Tally:
    """What one rule did on one kind of agent."""

    alarms: int = 0
    early: int = 0
    weeks: float = 0.0
    early_weeks: float = 0.0
    delays_h: list[float] = field(default_factory=list)
    onsets_h: list[float] = field(default_factory=list)
    faults: int = 0
    spent_s: float = 0.0
    runs: int = 0

    def clean(self, alarms: Sequence[int]) -> None:
        """Count the alarms on a healthy agent."""
        self.alarms += sum(1 for tick in alarms if tick >= LEARNT)
        self.early += sum(1 for tick in alarms if tick < LEARNT)
        self.weeks += (DAYS - 14) / 7
        self.early_weeks += (14 - 3) / 7

    def faulty(self, alarms: Sequence[int], onset: int, onsets: Sequence[int] = ()) -> None:
        """Take the first alarm after the onset as the one that found the fault."""
        self.faults += 1
        found = [index for index, tick in enumerate(alarms) if tick >= onset]
        if found:
            self.delays_h.append((alarms[found[0]] + 1 - onset) / 4)
            if onsets:
                self.onsets_h.append(abs(onsets[found[0]] - onset) / 4)

    def false_alarms(self) -> str:
        """Return false alarms per agent-week, after the first fortnight and within it."""
        return f"{self.alarms / self.weeks:.3f} ({self.early / self.early_weeks:.3f})"

    def recall(self) -> str:
        """Return recall within 24 h and 72 h, the median delay, and how well the onset was dated."""
        within = [sum(1 for delay in self.delays_h if delay <= hours) / self.faults for hours in (24, 72)]
        middle = float(np.median(self.delays_h)) if self.delays_h else float("nan")
        dated = f"; onset off by {np.median(self.onsets_h):.1f} h" if self.onsets_h else ""
        return f"{within[0]:.2f}/{within[1]:.2f}, {middle:.1f} h{dated}"


def naive(series: Series, factor: float = 2.0) -> list[int]:
    """Return the ticks at which the mean of the last hour is above twice the mean of the last seven days."""
    count, total = np.asarray(series.count), np.asarray(series.total)
    sums = [np.concatenate(([0.0], np.cumsum(part))) for part in (total, count)]
    ticks = np.arange(7 * DAY, len(count))
    with np.errstate(divide="ignore", invalid="ignore"):
        hour, week = (
            (sums[0][ticks + 1] - sums[0][ticks + 1 - width]) / (sums[1][ticks + 1] - sums[1][ticks + 1 - width])
            for width in (4, 7 * DAY)
        )
        high = ticks[np.nan_to_num(hour) > factor * week]
    return merged(high.tolist())


def merged(ticks: Sequence[int]) -> list[int]:
    """Return the first tick of each group of alarms closer than twelve hours."""
    kept: list[int] = []
    last = -MERGE - 1
    for tick in ticks:
        if tick - last > MERGE:
            kept.append(tick)
        last = tick
    return kept


def ours(series: Series, *, amounts: bool) -> tuple[list[int], list[int]]:
    """Return the ticks of alarm and the dated onsets of our episodes."""
    if amounts:
        found = [(episode.alarmed, episode.onset) for episode in amount_episodes(series, END, AmountSettings())]
    else:
        found = [(episode.alarmed, episode.onset) for episode in event_episodes(series, END, EventSettings())]
    return [alarm for alarm, _ in found], [onset for _, onset in found]


Make = Callable[[np.random.Generator, float, Fault | None], Series]
FAULTS: tuple[tuple[str, Make, Callable[[int], Fault]], ...] = (
    ("cost x2", cost_series, Fault),
    ("20 % of trajectories x6", cost_series, lambda onset: Fault(onset, 0.2, 6.0)),
    ("errors 2 -> 8 %", error_series, lambda onset: Fault(onset, error_rate=0.08)),
)


def run(volume: int, agents: int, seed: int) -> list[str]:
    """Return the table's rows for one volume."""
    tallies = {(name, rule): Tally() for name, _, _ in FAULTS for rule in ("ours", "naive")}
    healthy = {(kind, rule): Tally() for kind in ("cost", "errors") for rule in ("ours", "naive")}
    for agent in range(agents):
        for kind, make in (("cost", cost_series), ("errors", error_series)):
            series = make(np.random.default_rng([seed, volume, agent]), volume, None)
            began = time.perf_counter()
            alarms, _ = ours(series, amounts=kind == "cost")
            healthy[kind, "ours"].spent_s += time.perf_counter() - began
            healthy[kind, "ours"].runs += 1
            healthy[kind, "ours"].clean(merged(alarms))
            healthy[kind, "naive"].clean(naive(series))
        for name, make, fault in FAULTS:
            rng = np.random.default_rng([seed, volume, agent])
            onset = int(np.random.default_rng([seed, agent]).integers(14 * DAY, 20 * DAY))
            series = make(rng, volume, fault(onset))
            alarms, onsets = ours(series, amounts=make is cost_series)
            tallies[name, "ours"].faulty(alarms, onset, onsets)
            tallies[name, "naive"].faulty(naive(series), onset)
    rows = []
    for rule in ("ours", "naive"):
        cells = [f"{volume}/h, {rule}", healthy["cost", rule].false_alarms()]
        cells += [tallies[name, rule].recall() for name, _, _ in FAULTS[:2]]
        cells += [healthy["errors", rule].false_alarms(), tallies[FAULTS[2][0], rule].recall()]
        rows.append("| " + " | ".join(cells) + " |")
    spent = healthy["cost", "ours"]
    print(f"<!-- {volume}/h: {agents} agents, {1000 * spent.spent_s / spent.runs:.0f} ms per cost series -->")
    return rows


def main() -> None:
    """Run the volumes asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="few agents, under two minutes")
    parser.add_argument("--seed", type=int, default=9000)
    parser.add_argument("--agents", type=int, help="agents per volume")
    parser.add_argument("--volumes", default="", help="trajectories per hour, comma-separated")
    given = parser.parse_args()
    plan = QUICK if given.quick else AGENTS
    volumes = [int(part) for part in given.volumes.split(",")] if given.volumes else list(plan)
    rows: list[str] = []
    for volume in volumes:
        rows += run(volume, given.agents or plan.get(volume, 8), given.seed)
    print(f"Seed {given.seed}.\n")
    print("| volume, rule | cost: false alarms | cost x2 | 20 % x6 | errors: false alarms | errors 2 -> 8 % |")
    print("|---|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
