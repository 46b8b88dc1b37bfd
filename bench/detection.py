"""How often the detectors raise a false alarm, and how fast they find a fault, on simulated fleets.

Prints a Markdown table: for each detector and volume false alarms per agent-week on healthy agents, the share of faults
found within 24 and 72 hours and the median delay; on the cases of the reference, beside the rules of `_rules.py`.
Alarms closer than 12 hours count as one. False alarms are counted after the first fortnight, with those of the
first fortnight (while the detector still learns) beside them.

`python bench/detection.py [--quick] [--alone] [--healthy] [--seed N] [--agents N]
[--volumes 5,20,...] [--detectors cost,...]`
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import _fleet_sim as sim
import numpy as np
from _fleet_sim import DAYS, START_S, TICKS, Amount, Fault, Rate, amount_series, event_series, volume_series
from _rules import RULES, merged

from analyzer.detectors.cost import CostDetector
from analyzer.detectors.errors import ErrorsDetector
from analyzer.detectors.kernels.amount_baseline import AmountSettings
from analyzer.detectors.kernels.detector import AmountDetector, EventDetector
from analyzer.detectors.kernels.findings import amount_episodes, event_episodes
from analyzer.detectors.kernels.grid import grid_of
from analyzer.detectors.kernels.silences import Silences, SilenceSettings
from analyzer.detectors.kernels.walk import Walk
from analyzer.detectors.latency import LatencyDetector
from analyzer.detectors.retries import RetriesDetector
from analyzer.detectors.silence import SilenceDetector
from analyzer.detectors.steps import StepsDetector
from analyzer.detectors.success import SuccessDetector
from analyzer.detectors.tokens import TokensDetector
from analyzer.detectors.tool_cost import ToolCostDetector
from analyzer.detectors.tool_errors import ToolErrorsDetector
from analyzer.detectors.tool_latency import ToolLatencyDetector
from analyzer.detectors.truncation import TruncationDetector
from analyzer.types.metric import TICK_S, Series

END = datetime.fromtimestamp(START_S + TICKS * TICK_S, tz=UTC)
DAY = 96
LEARNT = 14 * DAY
AGENTS = {5: 16, 20: 16, 100: 16, 500: 16, 5000: 3}
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
        if not self.faults:
            return "not run"
        within = [sum(1 for delay in self.delays_h if delay <= hours) / self.faults for hours in (24, 72)]
        middle = float(np.median(self.delays_h)) if self.delays_h else float("nan")
        dated = f"; onset off by {np.median(self.onsets_h):.1f} h" if self.onsets_h else ""
        return f"{within[0]:.2f}/{within[1]:.2f}, {middle:.1f} h{dated}"


@dataclass(frozen=True, slots=True)
class Case:
    """A detector on the kind of series it is for, with the fault it should find."""

    detector: AmountDetector | EventDetector | SilenceDetector
    kind: Amount | Rate | None
    """None for what begins."""
    fault: Callable[[int], Fault]
    what: str

    def series(self, rng: np.random.Generator, per_hour: float, fault: Fault | None) -> Series:
        """Return one simulated agent."""
        if self.kind is None:
            return volume_series(rng, per_hour, fault)
        if isinstance(self.kind, Amount):
            return amount_series(rng, self.kind, per_hour, fault)
        return event_series(rng, self.kind, per_hour, fault)

    def alarms(self, series: Series) -> tuple[list[int], list[int]]:
        """Return the ticks of alarm and the dated onsets of our episodes."""
        settings = self.detector.settings
        if isinstance(settings, AmountSettings):
            found = [(one.alarmed, one.onset) for one in amount_episodes(series, END, settings)]
        elif isinstance(settings, SilenceSettings):
            walk = Walk(Silences(grid_of(series, END), settings)).run()
            found = [(one.alarmed, one.onset) for one in walk.episodes]
        else:
            found = [(one.alarmed, one.onset) for one in event_episodes(series, END, settings)]
        return [alarm for alarm, _ in found], [onset for _, onset in found]


CASES = (
    Case(CostDetector(), sim.COST, Fault, "x2"),
    Case(CostDetector(), sim.COST, lambda onset: Fault(onset, 0.2, 6.0), "20 % of trajectories x6"),
    Case(TokensDetector(), sim.TOKENS, Fault, "x2"),
    Case(StepsDetector(), sim.STEPS, Fault, "x2"),
    Case(StepsDetector(), sim.STEPS, lambda onset: Fault(onset, factor=1.5), "x1.5"),
    Case(LatencyDetector(), sim.LATENCY, Fault, "x2"),
    Case(LatencyDetector(), sim.LATENCY, lambda onset: Fault(onset, factor=1.5), "x1.5"),
    Case(ToolLatencyDetector(), sim.TOOL_LATENCY, Fault, "x2"),
    Case(ToolLatencyDetector(), sim.TOOL_LATENCY, lambda onset: Fault(onset, factor=1.5), "x1.5"),
    Case(ToolCostDetector(), sim.TOOL_COST, Fault, "x2"),
    Case(ErrorsDetector(), sim.ERRORS, lambda onset: Fault(onset, rate=0.08), "2 -> 8 %"),
    Case(ToolErrorsDetector(), sim.TOOL_ERRORS, lambda onset: Fault(onset, rate=0.08), "2 -> 8 %"),
    Case(SuccessDetector(), sim.SUCCESS, lambda onset: Fault(onset, rate=0.5), "25 -> 50 % missed"),
    Case(RetriesDetector(), sim.RETRIES, lambda onset: Fault(onset, rate=0.2), "5 -> 20 %"),
    Case(TruncationDetector(), sim.TRUNCATION, lambda onset: Fault(onset, rate=0.08), "0.2 -> 8 %"),
    Case(SilenceDetector(), None, Fault, "nothing begins"),
)
COMPARED = {0, 1, 10}
"""Cases that the other rules are run on, too: those of the reference tables."""


def run(case: Case, volume: int, agents: int, seed: int, *, compare: bool, healthy_only: bool = False) -> list[str]:
    """Return the table's rows for one case and volume."""
    rules = ["ours", *(RULES if compare else ())]
    tallies = {rule: Tally() for rule in rules}
    for agent in range(agents):
        healthy = case.series(np.random.default_rng([seed, volume, agent]), volume, None)
        began = time.perf_counter()
        alarms, _ = case.alarms(healthy)
        tallies["ours"].spent_s += time.perf_counter() - began
        tallies["ours"].runs += 1
        tallies["ours"].clean(merged(alarms))
        for rule in rules[1:]:
            tallies[rule].clean(RULES[rule](healthy))
        if healthy_only:
            continue
        onset = int(np.random.default_rng([seed, agent]).integers(14 * DAY, 20 * DAY))
        faulty = case.series(np.random.default_rng([seed, volume, agent]), volume, case.fault(onset))
        alarms, onsets = case.alarms(faulty)
        tallies["ours"].faulty(alarms, onset, onsets)
        for rule in rules[1:]:
            tallies[rule].faulty(RULES[rule](faulty), onset)
    spent = tallies["ours"]
    speed = 1000 * spent.spent_s / spent.runs
    print(f"<!-- {case.detector.name} {volume}/h: {agents} agents, {speed:.0f} ms a series -->", flush=True)
    name = f"{case.detector.name}, {case.what}"
    return [
        f"| {name} | {volume} | {rule} | {tally.false_alarms()} | {tally.recall()} |" for rule, tally in tallies.items()
    ]


def main() -> None:
    """Run the cases and volumes asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="few agents, some minutes")
    parser.add_argument("--seed", type=int, default=9000)
    parser.add_argument("--agents", type=int, help="agents per volume")
    parser.add_argument("--volumes", default="", help="units per hour, comma-separated")
    parser.add_argument("--alone", action="store_true", help="without the other rules, which take most of the time")
    parser.add_argument("--healthy", action="store_true", help="false alarms only: no agent has a fault")
    parser.add_argument("--detectors", default="", help="names, comma-separated")
    given = parser.parse_args()
    plan = QUICK if given.quick else AGENTS
    volumes = [int(part) for part in given.volumes.split(",")] if given.volumes else list(plan)
    names = given.detectors.split(",") if given.detectors else [case.detector.name for case in CASES]
    rows: list[str] = []
    for index, case in enumerate(CASES):
        if case.detector.name in names:
            for volume in volumes:
                agents = given.agents or plan.get(volume, 8)
                compare = index in COMPARED and not given.alone
                rows += run(case, volume, agents, given.seed, compare=compare, healthy_only=given.healthy)
    print(f"Seed {given.seed}.\n")
    print("| detector, fault | per hour | rule | false alarms | found within 24 h/72 h, median delay |")
    print("|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
