"""Series on a grid of ticks, and the window of them that one run looks at."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import overload

from analyzer.types.hourly import HourlyCounts, beginning
from analyzer.types.loops import Looked
from analyzer.types.report import Change, Gap, Subject
from analyzer.types.steps import Step
from analyzer.types.trajectory import UNKNOWN_AGENT, TrajectorySummary

TICK_S = 900
"""Length of a tick in seconds. 15 minutes: the grid on which the detectors' figures were simulated."""

HOUR_S = 3600

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


@dataclass(frozen=True, slots=True)
class FlatSketches(Sequence[Sketch]):
    """The sketches of all ticks as three arrays with an entry per used bin, by tick: weeks of them are some megabytes.

    Reads like a list of sketches.
    """

    length: int
    """How many ticks there are."""
    ticks: Sequence[int]
    """Ascending."""
    bins: Sequence[int]
    units: Sequence[int]

    def __len__(self) -> int:
        """Return how many ticks there are."""
        return self.length

    @overload
    def __getitem__(self, index: int) -> Sketch: ...

    @overload
    def __getitem__(self, index: slice) -> list[Sketch]: ...

    def __getitem__(self, index: int | slice) -> Sketch | list[Sketch]:
        """Return the sketch of a tick."""
        if isinstance(index, slice):
            return [self[tick] for tick in range(*index.indices(self.length))]
        tick = range(self.length)[index]
        first, stop = bisect_left(self.ticks, tick), bisect_left(self.ticks, tick + 1)
        return dict(zip(self.bins[first:stop], self.units[first:stop], strict=True))

    @classmethod
    def of(cls, sketches: Sequence[Sketch]) -> FlatSketches:
        """Return a list of sketches in this form."""
        used = [(tick, bin_, units) for tick, sketch in enumerate(sketches) for bin_, units in sorted(sketch.items())]
        ticks, bins, units = zip(*used, strict=True) if used else ((), (), ())
        return cls(len(sketches), ticks, bins, units)

    def until(self, tick: int) -> FlatSketches:
        """Return the sketches of the ticks before one."""
        stop = bisect_left(self.ticks, tick)
        parts = (beginning(part, stop) for part in (self.ticks, self.bins, self.units))
        return FlatSketches(min(tick, self.length), *parts)


class Signal(StrEnum):
    """What a series measures. Amounts have a value per unit; events are counted among the units.

    A trajectory counts in the tick in which it ended, a call in the tick in which the call ended.
    """

    COST = "cost"
    """USD per finished trajectory. Amount; unit: trajectory."""
    TOKENS = "tokens"
    """Input and output tokens per finished trajectory. Amount; unit: trajectory."""
    STEPS = "steps"
    """Inferences and tool calls per finished trajectory. Amount; unit: trajectory."""
    LATENCY = "latency"
    """Seconds from first start to last end per finished trajectory. Amount; unit: trajectory."""
    GAP = "gap"
    """The longest pause in seconds between the spans of a finished trajectory. Amount; unit: trajectory. No detector
    judges it as a series: it is the measure of trajectories that seem to be stuck."""
    TOOL_LATENCY = "tool-latency"
    """Seconds per call, per tool. Amount; unit: call."""
    TOOL_COST = "tool-cost"
    """USD per call, per tool that has a price. Amount; unit: call."""
    PRICE = "price"
    """USD per finished trajectory, of those alone whose every inference has a known price, with their tokens beside it:
    what a token costs is nearly without noise. Unit: trajectory."""
    ERRORS = "errors"
    """Trajectories that ended in an error, among finished trajectories."""
    SUCCESS = "success"
    """Trajectories that missed their goal or broke, among finished trajectories of agents that say how runs end: by an
    evaluation or an outcome. The event is the failure, so that a rise is bad here too."""
    TOOL_ERRORS = "tool-errors"
    """The failed share of each trajectory's calls of a tool, per tool. The calls of one trajectory fail together, so
    each trajectory weighs one, however often it calls."""
    RETRIES = "retries"
    """Trajectories that had to try something again, among finished trajectories."""
    TRUNCATION = "truncation"
    """Trajectories with a reply cut at the limit of tokens or a context that overflowed, among finished ones."""
    VOLUME = "volume"
    """Trajectories that began. Only `count` has a meaning, `total` repeats it; the query gives trajectories per hour.
    A tick in which nobody looked is not finite: zero means that nothing began."""


AMOUNTS = frozenset({
    Signal.COST, Signal.TOKENS, Signal.STEPS, Signal.LATENCY, Signal.GAP, Signal.TOOL_LATENCY, Signal.TOOL_COST
})  # fmt: skip
"""Signals with a value per unit."""

MONEY = frozenset({Signal.COST, Signal.TOOL_COST, Signal.PRICE})
"""Signals in USD: what lies beyond the expected is money lost."""


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
class Bought:
    """The tokens that the money of a series bought, per tick, by what has a price of its own."""

    fresh: Sequence[float]
    """Input that was neither read from a cache nor written to one."""
    output: Sequence[float]
    cache_read: Sequence[float]
    cache_write: Sequence[float]

    @property
    def parts(self) -> tuple[Sequence[float], ...]:
        """Return the four in the order of the fields."""
        return self.fresh, self.output, self.cache_read, self.cache_write


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
    counted: str = ""
    """From Prometheus: PromQL of the units alone."""
    summed: str = ""
    """From Prometheus: PromQL of the amounts alone."""
    bought: Bought | None = None
    """The tokens of `Signal.PRICE`; else None."""

    @property
    def end_s(self) -> int:
        """Unix seconds at the end of the last tick."""
        return self.start_s + len(self.count) * TICK_S

    def until(self, end_s: float) -> Series:
        """Return the ticks that had ended by a moment, in Unix seconds."""
        ended = max(min(len(self.count), math.floor((end_s - self.start_s) / TICK_S)), 0)
        if ended == len(self.count):
            return self
        sketches, unpriced = self.sketches, self.unpriced
        if unpriced is not None:
            known = unpriced.trajectories, unpriced.calls, unpriced.inferences
            parts = (beginning(part, ended) for part in known)
            unpriced = Unpriced(*parts)
            unpriced = unpriced if any(unpriced.calls) else None
        return replace(
            self,
            count=beginning(self.count, ended),
            total=beginning(self.total, ended),
            sketches=sketches.until(ended) if isinstance(sketches, FlatSketches) else sketches and sketches[:ended],
            hit=None if self.hit is None else beginning(self.hit, ended),
            bought=None if self.bought is None else Bought(*(beginning(part, ended) for part in self.bought.parts)),
            unpriced=unpriced,
        )


@dataclass(frozen=True, slots=True)
class Choices:
    """What an agent chose among in one place, per hour: which tool it called, or which value it gave an argument.

    Hour i covers [start_s + i * HOUR_S, start_s + (i + 1) * HOUR_S) in Unix seconds; all sequences have one length.
    """

    subject: Subject
    """The agent; and the tool, where the choice is of an argument's value."""
    what: str
    """"tool", or the argument's name: "tables" for the tables that a statement reads."""
    task: str | None
    """The kind of task (a key that is equal for goals of the same form), or None over all tasks."""
    start_s: int
    picked: Mapping[str, Sequence[float]]
    """Choice -> trajectories per hour that chose it. From the store these are `HourlyCounts`."""
    of: Sequence[float]
    """Trajectories per hour that had the choice."""
    failed: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Choice -> those of `picked` that missed their goal or broke."""

    def until(self, end_s: float) -> Choices:
        """Return the hours that had ended by a moment, in Unix seconds, and what had been chosen by then."""
        ended = max(min(len(self.of), math.floor((end_s - self.start_s) / HOUR_S)), 0)
        if ended == len(self.of):
            return self
        picked, failed = (HourlyCounts.of(part, len(self.of)).until(ended) for part in (self.picked, self.failed))
        return replace(self, picked=picked, of=beginning(self.of, ended), failed=failed)

    offered_s: Mapping[str, float] = field(default_factory=dict)
    """Tool -> Unix seconds at which it was first among the definitions sent to the model, as far as traces hold them: a
    tool that came with a deploy may be a new name, one that was there all the time is another choice."""


@dataclass(frozen=True, slots=True)
class OpenTrajectory:
    """A trajectory whose top span has not arrived: as far as anyone can see, it still runs."""

    summary: TrajectorySummary
    seen_ns: int
    """When its latest span ended."""


@dataclass(frozen=True, slots=True)
class Usual:
    """What finished trajectories of one agent took in the history: the measure of those that still run."""

    agent: str
    trajectories: int
    steps_p50: float
    steps_p99: float
    tokens_p50: float
    tokens_p99: float
    cost_p50: float | None
    cost_p99: float | None
    """USD; None where nothing was priced."""
    duration_p50_s: float
    duration_p99_s: float
    gap_p99_s: float
    """Of the longest pause in each trajectory, in seconds."""
    lost_share: float = 0.0
    """Which share of its trajectories never ends: their process died, or their root is exported elsewhere."""


@dataclass(frozen=True, slots=True)
class Window:
    """What one run looks at: values only. Detectors get this and nothing else."""

    start: datetime
    """Beginning of the part that is judged; what is older is history."""
    end: datetime
    """The run's "now" (`--at`)."""
    series: tuple[Series, ...] = ()
    """Each reaches back over the history that the detectors learn from."""
    stored: tuple[Series, ...] = ()
    metered: tuple[Series, ...] = ()
    """Both sides of it, the store's and Prometheus', of which `series` has one for each subject. Empty where nothing
    was metered: there are no two sides then."""
    suspects: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    """Steps of the trajectories in [start, end) that repeat enough to be worth a closer look, by trace id. Of those in
    `looked` only the worst have any: the steps of the others were not read, or not kept."""
    looked: Mapping[str, Looked] = field(default_factory=dict)
    """What is to be seen in suspects, where it was looked at when their steps were read."""
    steered: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    """Steps of the trajectories in [start, end) in which a tool returned an order to the model, by trace id."""
    summaries: Mapping[str, TrajectorySummary] = field(default_factory=dict)
    """The summaries of the suspects and of the largest trajectories of the last day, by trace id."""
    choices: tuple[Choices, ...] = ()
    """Reach back over the history, like series."""
    running: tuple[OpenTrajectory, ...] = ()
    """Trajectories that had begun and not ended at `end`."""
    usual: Mapping[str, Usual] = field(default_factory=dict)
    """By agent."""
    builds: Mapping[str | None, tuple[Change, ...]] = field(default_factory=dict)
    """Versions that a build-info metric saw first in the history, by agent; None: of every agent."""
    gaps: tuple[Gap, ...] = ()

    def agent_of(self, trace_id: str) -> str:
        """Return the agent of a suspect, by its summary or else by its steps."""
        summary = self.summaries.get(trace_id)
        if summary is not None:
            return summary.agent
        steps = self.suspects.get(trace_id) or self.steered.get(trace_id, ())
        return next((step.agent for step in steps if step.agent), UNKNOWN_AGENT)

    def agents(self) -> list[str]:
        """Return every agent that anything in the window is about, sorted."""
        named = {one.subject.agent for one in self.series} | {one.subject.agent for one in self.choices}
        named |= {one.subject.agent for one in self.metered} | set(self.usual)
        named |= {self.agent_of(trace_id) for trace_id in (*self.suspects, *self.steered)}
        return sorted(agent for agent in named | {one.summary.agent for one in self.running} if agent is not None)

    def narrowed(self, keep: Callable[[str | None], bool]) -> Window:
        """Return what concerns the agents that `keep` says yes to, and when the others began something.

        The volume of all stays: whether an agent is silent by itself shows only beside the others. So do the two sides
        of what was metered: whether one of them misses an agent shows only beside the others, too.
        """
        suspects = {trace_id: steps for trace_id, steps in self.suspects.items() if keep(self.agent_of(trace_id))}
        steered = {trace_id: steps for trace_id, steps in self.steered.items() if keep(self.agent_of(trace_id))}
        return replace(
            self,
            series=tuple(one for one in self.series if one.signal is Signal.VOLUME or keep(one.subject.agent)),
            suspects=suspects,
            looked={trace_id: one for trace_id, one in self.looked.items() if trace_id in suspects},
            steered=steered,
            summaries={trace_id: one for trace_id, one in self.summaries.items() if keep(one.agent)},
            choices=tuple(one for one in self.choices if keep(one.subject.agent)),
            running=tuple(one for one in self.running if keep(one.summary.agent)),
            usual={agent: one for agent, one in self.usual.items() if keep(agent)},
        )

    def only(self, keep: Callable[[str | None], bool]) -> Window:
        """Return what concerns the agents that `keep` says yes to and nothing beside, to judge each by itself."""
        narrowed = self.narrowed(keep)
        own = tuple(one for one in narrowed.series if keep(one.subject.agent))
        return replace(narrowed, series=own, stored=(), metered=(), builds={}, gaps=())
