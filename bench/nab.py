"""Score the kernel of amounts on the Numenta Anomaly Benchmark, by its own rules, as a check that nothing is broken.

    python bench/nab.py [DATA]

NAB's series are no trajectories: one value in five minutes, falls that count as much as rises, and one or two days of
"probation". Each value is laid on the grid as one unit; the detector runs as it is, with its defaults, once on the
values (rises) and once also on their reciprocals (falls). Whoever scores well here by tuning for it has tuned for
something else than a fleet: nothing in the detectors was ever set by these series.

Scoring as defined by Lavin & Ahmad (2015), "Evaluating Real-time Anomaly Detection Algorithms": in each window the
first detection counts, the earlier the more, by a sigmoid over the window; a detection outside costs, the more the
farther it is behind the last window; a missed window costs its weight. 0 is a detector that never speaks, 100 one that
speaks at the first record of each window. The two, and one that speaks at random, are scored beside ours.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from analyzer.detectors.kernels.amount_baseline import AmountSettings
from analyzer.detectors.kernels.amounts import Amounts
from analyzer.detectors.kernels.grid import grid_of
from analyzer.detectors.kernels.walk import Walk
from analyzer.types.metric import TICK_S, Series, Signal, bin_of
from analyzer.types.report import Subject

PROBATION_SHARE, PROBATION_MAX = 0.15, 750
"""The first part of a series is for learning: 15 %, at most 750 records. What is said in it does not count."""
RANDOM_SHARE = 0.001
PUBLISHED = {
    "Numenta HTM": (70.5, 62.6, 75.2),
    "windowed Gaussian": (39.6, 20.9, 47.4),
    "Twitter ADVec": (47.1, 33.6, 53.5),
    "Bayes changepoint": (17.7, 3.2, 32.2),
    "random": (11.0, 1.2, 19.5),
}
"""Of all 58 series, from NAB's scoreboard: standard, few false positives, few false negatives."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a detection, a false one and a missed window weigh."""

    name: str
    false_positive: float
    missed: float
    hit: float = 1.0


PROFILES = (Profile("standard", 0.11, 1.0), Profile("few false", 0.22, 1.0), Profile("few missed", 0.11, 2.0))


@dataclass(frozen=True, slots=True)
class Labelled:
    """One series: the records, and the windows as [first, last] indices of records."""

    name: str
    times: tuple[datetime, ...]
    values: tuple[float, ...]
    windows: tuple[tuple[int, int], ...]

    @property
    def probation(self) -> int:
        """Return how many records come before the first that counts."""
        return int(min(PROBATION_SHARE * len(self.times), PROBATION_MAX))


Detections = Callable[[Labelled], set[int]]
"""A series -> the records at which a detector speaks."""


def sigmoid(position: float) -> float:
    """Return what a detection is worth: most at -1, the first record of a window; less than 0 from 0 on, behind it."""
    return 2 / (1 + math.exp(5 * position)) - 1 if position <= 3 else -1.0


def score(series: Labelled, spoken: set[int], profile: Profile) -> float:
    """Return the sum over a series, not normalised."""
    total = 0.0
    counted = sorted(index for index in spoken if index >= series.probation)
    windows = [window for window in series.windows if window[1] >= series.probation]
    for first, last in windows:
        inside = [index for index in counted if first <= index <= last]
        if inside:
            position = -(last - inside[0] + 1) / (last - first + 1)
            total += profile.hit * sigmoid(position) / sigmoid(-1.0)
        else:
            total -= profile.missed
    for index in counted:
        if any(first <= index <= last for first, last in windows):
            continue
        before = [window for window in windows if window[1] < index]
        if before:
            first, last = before[-1]
            total += profile.false_positive * sigmoid((index - last) / max(last - first, 1))
        else:
            total -= profile.false_positive
    return total


def normalised(data: Sequence[Labelled], detections: Detections) -> tuple[list[float], int, int, int]:
    """Return the score of each profile (0 silent, 100 perfect), windows found, windows in all, detections outside."""
    spoken = {series.name: detections(series) for series in data}
    scores = []
    for profile in PROFILES:
        windows = sum(sum(last >= series.probation for _, last in series.windows) for series in data)
        raw = sum(score(series, spoken[series.name], profile) for series in data)
        silent, perfect = -profile.missed * windows, profile.hit * windows
        scores.append(100 * (raw - silent) / (perfect - silent))
    found = outside = total = 0
    for series in data:
        counted = {index for index in spoken[series.name] if index >= series.probation}
        held = [set(range(first, last + 1)) for first, last in series.windows if last >= series.probation]
        total += len(held)
        found += sum(bool(counted & window) for window in held)
        outside += len(counted - set().union(*held))
    return scores, found, total, outside


def rises(series: Labelled) -> set[int]:
    """Return the records at which the kernel confirms a rise."""
    return _alarms(series, _positive(series))


def both(series: Labelled) -> set[int]:
    """Return those of rises and of falls: a fall is a rise of the reciprocal."""
    values = _positive(series)
    return _alarms(series, values) | _alarms(series, [1 / value for value in values])


def at_random(series: Labelled) -> set[int]:
    """Return records drawn at random, one in a thousand."""
    chance = random.Random(series.name)
    return {index for index in range(len(series.times)) if chance.random() < RANDOM_SHARE}


def perfect(series: Labelled) -> set[int]:
    """Return the first record of each window."""
    return {max(first, series.probation) for first, _ in series.windows}


def _positive(series: Labelled) -> list[float]:
    """Return the values as amounts, which are above zero: shifted by what the probation shows, where some are not."""
    learnt = series.values[: series.probation]
    low, usual = min(learnt), median(abs(value) for value in learnt) or 1.0
    shift = usual - low if low <= 0 else 0.0
    return [max(value + shift, usual / 1000) for value in series.values]


def _alarms(series: Labelled, values: Sequence[float]) -> set[int]:
    start = int(series.times[0].timestamp()) // TICK_S * TICK_S
    ticks = [(int(time.timestamp()) - start) // TICK_S for time in series.times]
    count, total = [0.0] * (ticks[-1] + 1), [0.0] * (ticks[-1] + 1)
    sketches: list[Counter[int]] = [Counter() for _ in count]
    last_of: dict[int, int] = {}
    for index, (tick, value) in enumerate(zip(ticks, values, strict=True)):
        count[tick] += 1
        total[tick] += value
        sketches[tick][bin_of(value)] += 1
        last_of[tick] = index
    laid = Series(Signal.COST, Subject(agent="nab"), "", "store", "", start, count, total, sketches)
    grid = grid_of(laid)
    offset = grid.tick(start)
    episodes = Walk(Amounts(grid, AmountSettings())).run().episodes
    # An alarm is known when its tick has ended: at its last record, or the last one before where the tick has none.
    known = [max(tick for tick in last_of if tick <= episode.alarmed - offset) for episode in episodes]
    return {last_of[tick] for tick in known}


def read(folder: Path) -> list[Labelled]:
    """Return the series of a folder with `windows_dev.json` and `data/`."""
    windows = json.loads((folder / "windows_dev.json").read_text())
    found = []
    for name, spans in sorted(windows.items()):
        with (folder / "data" / name).open(newline="") as file:
            rows = list(csv.DictReader(file))
        times = tuple(datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC) for row in rows)
        bounds = [[datetime.fromisoformat(end).replace(tzinfo=UTC) for end in span] for span in spans]
        inside = [[i for i, time in enumerate(times) if low <= time <= high] for low, high in bounds]
        found.append(
            Labelled(
                name,
                times,
                tuple(float(row["value"]) for row in rows),
                tuple((indices[0], indices[-1]) for indices in inside),
            )
        )
    return found


def main() -> None:
    """Read, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data/nab"))
    data = read(parser.parse_args().data)
    print(
        f"| {len(data)} series | standard | few false | few missed | windows found | false |\n|---|---|---|---|---|---|"
    )
    rows: dict[str, Detections] = {
        "rises": rises,
        "rises and falls": both,
        "one record in 1,000 at random": at_random,
        "never": lambda _series: set(),
        "perfect": perfect,
    }
    for name, detections in rows.items():
        scores, found, total, outside = normalised(data, detections)
        print(f"| {name} | {' | '.join(f'{one:.1f}' for one in scores)} | {found} of {total} | {outside} |")
    for name, published in PUBLISHED.items():
        print(f"| {name}, published, all 58 | {' | '.join(map(str, published))} | | |")


if __name__ == "__main__":
    main()
