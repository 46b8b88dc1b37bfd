"""Series on a grid of ticks, and the window of them that one run looks at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from analyzer.types.report import Gap, Subject
from analyzer.types.steps import Step
from analyzer.types.trajectory import TrajectorySummary

TICK_S = 900
"""Length of a tick in seconds. 15 minutes: the grid on which the detectors' figures were simulated."""

BIN_WIDTH = 0.05
"""Width of a sketch bin in ln(value): a value read back from its bin is at most 2.5 % off."""

Sketch = Mapping[int, int]
"""A histogram of ln(value): bin index -> count. Two sketches are merged by adding their counts."""


def bin_of(value: float) -> int:
    """Return the sketch bin of a positive value."""
    return math.floor(math.log(value) / BIN_WIDTH)


def bin_value(index: int) -> float:
    """Return the value in the (logarithmic) middle of a bin."""
    return math.exp((index + 0.5) * BIN_WIDTH)


class Signal(StrEnum):
    """What a series measures. Amounts have a value per unit; events are counted among the units."""

    COST = "cost"
    """USD per finished trajectory. Amount; unit: trajectory."""
    ERRORS = "errors"
    """Trajectories that ended in an error, among finished trajectories."""
    TOOL_ERRORS = "tool-errors"
    """The failed share of each trajectory's calls of a tool, per tool. The calls of one trajectory fail together, so
    each trajectory weighs one, however often it calls."""


@dataclass(frozen=True, slots=True)
class Unpriced:
    """What an agent did at an unknown price, per tick, beside a series of its costs.

    An unknown cost is not 0 and not the mean of the others: work that moves to or from a model without a price moves
    the known costs, and nothing has become dearer.
    """

    trajectories: Sequence[float]
    """Trajectories of which no cost at all is known: they are not in the series' count."""
    calls: Sequence[float]
    """Inferences with tokens and no price, in all trajectories."""
    inferences: Sequence[float]
    """All inferences of all trajectories."""


@dataclass(frozen=True, slots=True)
class Series:
    """One signal of one subject, a value per tick; all sequences have the same length.

    Tick i covers [start_s + i * TICK_S, start_s + (i + 1) * TICK_S) in Unix seconds.
    """

    signal: Signal
    subject: Subject
    unit: str
    source: str
    """"store" or "prometheus"."""
    query: str
    """PromQL on the names of the contract that gives the value per unit over a range of `[$range]`. Counters of tool
    calls know no trajectories: there it is the value per call."""
    start_s: int
    count: Sequence[float]
    """Units (trajectories, calls) that ended in each tick. Fractional where Prometheus extrapolated."""
    total: Sequence[float]
    """Amounts: the sum of the values. Events: how many of the units had the event, in parts where it can be partial."""
    sketches: Sequence[Sketch] | None = None
    """Amounts from the store: the distribution of the values. Prometheus counters cannot give it."""
    hit: Sequence[float] | None = None
    """Events: how many of the units had any of it, where `total` adds up parts; None where it is the total."""
    unpriced: Unpriced | None = None
    """Costs from the store, where anything has no known price; else None."""

    @property
    def end_s(self) -> int:
        """Unix seconds at the end of the last tick."""
        return self.start_s + len(self.count) * TICK_S


@dataclass(frozen=True, slots=True)
class Window:
    """What one run looks at: values only. Detectors get this and nothing else."""

    start: datetime
    """Beginning of the part that is judged; what is older is history."""
    end: datetime
    """The run's "now" (`--at`)."""
    series: tuple[Series, ...] = ()
    """Each reaches back over the history that the detectors learn from."""
    suspects: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    """Steps of the trajectories in [start, end) that repeat enough to be worth a closer look, by trace id."""
    summaries: Mapping[str, TrajectorySummary] = field(default_factory=dict)
    """The summaries of the suspects, by trace id."""
    gaps: tuple[Gap, ...] = ()
