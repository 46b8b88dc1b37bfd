"""What the unit of a tool's failures should be: calls, trajectories with a failed call, or the failed share of each.

The calls of one trajectory fail together: arguments that the tool refuses are tried again, and again. Prints a Markdown
table for simulated agents: false alarms per agent-week on healthy ones, and the share found within 24 and 72 hours with
the median delay where the calls' failure rate rises fourfold, for everybody or in whole trajectories.

Usage: `python bench/tool_errors.py [--seed N] [--agents N]`
"""

from __future__ import annotations

import argparse

import numpy as np
from _fleet_sim import START_S, TICKS, arrivals
from detection import DAY, END, Tally, merged

from analyzer.detectors.kernels.events import EventSettings
from analyzer.detectors.kernels.findings import event_episodes
from analyzer.types.metric import Series, Signal
from analyzer.types.report import Subject

AGENTS = ((5, 4, 0.02), (20, 4, 0.02), (20, 20, 0.02), (20, 20, 0.1), (100, 4, 0.02), (100, 20, 0.1))
"""Trajectories an hour, calls in each, and the share of calls that usually fail."""
CORRELATION = 0.4
"""Of the failures of two calls of one trajectory: most trajectories fail nowhere, some nearly everywhere."""
UNITS = ("calls", "failed trajectories", "failed share")


def counted(rng: np.random.Generator, per_hour: float, calls: int, rate: np.ndarray) -> dict[str, Series]:
    """Return one agent's failures in each unit. `rate` is the calls' failure rate, shape (ticks,)."""
    runs = arrivals(rng, per_hour)
    drifting = np.clip(rate * np.repeat(rng.gamma(4.0, 0.25, TICKS // 4), 4), 1e-6, 0.95)
    tick = np.repeat(np.arange(TICKS), runs)
    made = rng.geometric(1 / calls, len(tick))
    size = 1 / CORRELATION - 1
    failing = rng.beta(drifting[tick] * size, (1 - drifting[tick]) * size)
    failed = rng.binomial(made, failing)
    units = {
        "calls": (made, failed),
        "failed trajectories": (np.ones(len(tick)), failed > 0),
        "failed share": (np.ones(len(tick)), failed / made),
    }
    return {name: _series(*(np.bincount(tick, part, TICKS) for part in pair)) for name, pair in units.items()}


def _series(count: np.ndarray, total: np.ndarray) -> Series:
    subject = Subject(agent="sim", tool="sim")
    return Series(Signal.TOOL_ERRORS, subject, "", "store", "", START_S, count.tolist(), total.tolist())


def alarms(series: Series) -> list[int]:
    """Return the ticks of the alarms of the detector as it is."""
    return [episode.alarmed for episode in event_episodes(series, END, EventSettings())]


def main() -> None:
    """Print one row an agent and unit."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=9000)
    parser.add_argument("--agents", type=int, default=24)
    given = parser.parse_args()
    print("| runs/h, calls each, usual | unit | false alarms | four times the rate | every second run fails wholly |")
    print("|---|---|---|---|---|", flush=True)
    for per_hour, calls, usual in AGENTS:
        healthy, risen, broken = ({unit: Tally() for unit in UNITS} for _ in range(3))
        for agent in range(given.agents):
            onset = int(np.random.default_rng([given.seed, agent]).integers(14 * DAY, 20 * DAY))
            flat = np.full(TICKS, usual)
            after = np.arange(TICKS) >= onset
            quiet, more, half = (
                counted(np.random.default_rng([given.seed, per_hour, calls, agent]), per_hour, calls, rate)
                for rate in (flat, np.where(after, 4 * usual, usual), np.where(after, 0.5, usual))
            )
            for unit in UNITS:
                healthy[unit].clean(merged(alarms(quiet[unit])))
                risen[unit].faulty(alarms(more[unit]), onset)
                broken[unit].faulty(alarms(half[unit]), onset)
        for unit in UNITS:
            cells = [f"{per_hour}, {calls}, {usual:.0%}", unit, healthy[unit].false_alarms()]
            print("| " + " | ".join([*cells, risen[unit].recall(), broken[unit].recall()]) + " |", flush=True)


if __name__ == "__main__":
    main()
