"""Kernels A', D and the burst rule for rates such as errors per trajectory.

A' is a CUSUM of the rate. D asks at every tick whether the events of the last 1, 4 and 24 hours could come from the
usual rate, as it drifts from hour to hour, by the beta-binomial's upper tail. The burst rule catches a storm of a few
minutes that would be diluted in any of these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from analyzer.detectors.kernels.blocks import persistent
from analyzer.detectors.kernels.grid import (
    TICKS_PER_DAY,
    TICKS_PER_HOUR,
    Bools,
    Floats,
    Grid,
    running_sum,
    settled_ticks,
    windowed,
)
from analyzer.detectors.kernels.learning import Learning, learning_ticks, limit, predictive
from analyzer.detectors.kernels.model import Block, Cusum, Masks
from analyzer.detectors.kernels.proportion import Proportion, discount, overdispersion
from analyzer.types.percents import percent

WINDOWS_H: tuple[tuple[int, int, float], ...] = ((1, 40, 1.0), (4, 30, 0.76), (24, 20, 0.31))
"""For each window of kernel D: its length in hours, the fewest units it must hold, and how much of the variance of an
hour's rate is left in the mean of that many hours when the drift is AR(1) with phi 0.8."""
PERSISTENCE_TICKS = 2
REACH_TICKS = TICKS_PER_DAY + 1
"""The most ticks that any rule counts events over: kernel D's day, and the day before the tick of a CUSUM's alarm."""
EXACT = 1e-6
BASE_MARGIN = 1.1
"""The CUSUM's "as usual" is 10 % above the estimate: the estimate has an error too."""
HOUR_PRIOR_EVENTS = 10.0
"""An hour of the day has a rate of its own as far as its events outweigh ten events at the rate of all hours."""
RATE_PRIOR_EVENTS, RATE_PRIOR_UNITS = 0.5, 25.0
"""A rate of zero in the past is no promise: half an event at 2 % is added to what was seen."""
BURST_EVENTS_MIN, BURST_RATE_MIN, BURST_UNITS_MIN = 5, 0.30, 10
BURST_H = 0.25
"""The burst must also be unlikely, as a window of a quarter of an hour: where a third always fails it is no burst."""
RISEN_RATE_MAX = 0.98
STEP_NATS_MAX = 2.75
"""An hour's rate is one draw of its drift, whatever its volume: its four ticks alone must not make an alarm."""
_TAIL_TERMS_MAX = 4096
_HOUR = np.arange(TICKS_PER_DAY) // TICKS_PER_HOUR


@dataclass(frozen=True, slots=True)
class EventSettings:
    """When a rise of a rate is an anomaly."""

    alarm_nats: float = math.log(2 * 35_040)
    """11.2: the value behind the rate table of the reference simulation, one false alarm in two years of ticks were the
    model exact. The discount for drift makes rates conservative already."""
    tail_p_max: float = 1e-5
    """Kernel D, per hour of window: each window then has the same budget of false alarms a week."""
    ratio_min: float = 2.0
    """A rise below twice the usual rate is not reported, however certain."""
    rise_min: float = 0.03
    """Share of the units: three points. 0.1 % to 0.3 % is a tripling nobody is woken for."""
    events_min: int = 5
    """Fewer events are an anecdote."""
    risen_ratio: float = 2.5
    """The CUSUM looks for 2.5 times the usual rate, or three points more, whichever is higher."""
    history_days_min: float = 3.0
    """The catalogue's minimum: with fewer days a nightly batch is no habit yet."""
    units_min: float = 100.0
    """Units the baseline must hold: with fewer a rate of some per cent is a guess."""


@dataclass(frozen=True, slots=True)
class EventBaseline:
    """What is normal for a rate."""

    start: int
    stop: int
    rate: float
    """Events per unit."""
    hourly: Floats
    """The same by hour of the day, shape (24,)."""
    tau2: float
    """Variance of an hour's rate beyond the binomial, relative to the squared rate; more in an agent's first
    fortnight: what is expected of an hour is a mean of as few days."""
    units_per_hour: float
    unsure: float = 0.0
    """Relative variance of the estimate itself: that of a gamma of as many events as were seen and the prior's."""

    def hours_to_confirm(self, settings: EventSettings) -> float:
        """Return how long the CUSUM needs for the rise it looks for: threshold over the divergence of a tick."""
        p, q, n = self.rate, self.risen(settings), self.units_per_hour / TICKS_PER_HOUR
        divergence = q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))
        nats = min(max(n, 1e-9) * divergence / discount(self.tau2, n, p), STEP_NATS_MAX)
        return settings.alarm_nats / nats / TICKS_PER_HOUR

    def risen(self, settings: EventSettings) -> float:
        """Return the rate that the CUSUM looks for."""
        return float(_risen(np.array([self.rate]), settings)[0])


class Events(Learning[EventSettings]):
    """A series of events as the walk sees it."""

    def __init__(self, grid: Grid, settings: EventSettings) -> None:
        self.grid = grid
        self.settings = settings
        self.warm = grid.first + int(settings.history_days_min * TICKS_PER_DAY)
        self.events = np.minimum(grid.total, grid.n)

    def baseline(self, day: int, masked: Bools) -> EventBaseline | None:
        """Learn from the trailing 14 days less the last one; None with fewer than 100 units in them."""
        grid = self.grid
        learnt = learning_ticks(day)
        start, stop = learnt.start, learnt.stop
        if stop <= max(start, grid.first):
            return None
        keep = ~masked[start:stop]
        n, y = grid.n[start:stop] * keep, self.events[start:stop] * keep
        units, events = float(n.sum()), float(y.sum())
        if units < self.settings.units_min:
            return None
        rate = (events + RATE_PRIOR_EVENTS) / (units + RATE_PRIOR_UNITS)
        days = (stop - start) // TICKS_PER_DAY
        known = (stop - max(start, grid.first)) / TICKS_PER_DAY
        by_hour = [part.reshape(days, 24, TICKS_PER_HOUR).sum(axis=(0, 2)) for part in (y, n)]
        hourly = (by_hour[0] + HOUR_PRIOR_EVENTS) / (by_hour[1] + HOUR_PRIOR_EVENTS / rate)
        return EventBaseline(
            start=max(start, grid.first),
            stop=stop,
            rate=min(rate, RISEN_RATE_MAX),
            hourly=np.minimum(hourly, RISEN_RATE_MAX),
            tau2=overdispersion(y, n, np.tile(hourly[_HOUR], days)) * predictive(known),
            units_per_hour=units / max(float(keep[max(grid.first - start, 0) :].sum()), 1.0) * TICKS_PER_HOUR,
            unsure=1 / (events + RATE_PRIOR_EVENTS),
        )

    def detectable(self, baseline: EventBaseline) -> str:
        """Say how long the rise that the CUSUM looks for takes to confirm at this volume."""
        what = f"a rise from {percent(baseline.rate)} to {percent(baseline.risen(self.settings))}"
        return limit(baseline.units_per_hour, what, baseline.hours_to_confirm(self.settings))

    def is_quiet(self) -> bool:
        """Tell whether no rule can fire anywhere: each wants `events_min` events, within a day and a tick at most.

        True of most agents most of the time, and a sum beside a walk. Shares of events add up inexactly: hence the
        margin, far below one of them.
        """
        most = float(running_sum(self.events, REACH_TICKS).max(initial=0.0))
        return most < self.settings.events_min - EXACT

    def view(self, baseline: EventBaseline, start: int, stop: int, masks: Masks) -> EventView:
        """Judge ticks [start, stop) by a baseline."""
        context = max(start - TICKS_PER_DAY - PERSISTENCE_TICKS, 0)
        keep = ~masks.episodes[context:stop]
        n, y = self.grid.n[context:stop] * keep, self.events[context:stop] * keep
        rate = baseline.hourly[_HOUR[np.arange(context, stop) % TICKS_PER_DAY]]
        return EventView(baseline, self.settings, n, y, rate, lead=start - context, start=start)


class EventView:
    """Ticks [start, stop) of a series of events, judged by one baseline."""

    def __init__(
        self,
        baseline: EventBaseline,
        settings: EventSettings,
        n: Floats,
        y: Floats,
        rate: Floats,
        *,
        lead: int,
        start: int,
    ) -> None:
        self._baseline, self._settings = baseline, settings
        self._n, self._y, self._rate = n, y, rate
        self._lead, self._start = lead, start

    @property
    def cusums(self) -> tuple[Cusum, ...]:
        """Kernel A'."""
        seen = self._seen()
        up = seen.llr(_risen(seen.rate * BASE_MARGIN, self._settings), BASE_MARGIN)
        return (seen.cusum("A'", self._settings.alarm_nats, up),)

    def _seen(self) -> Proportion:
        lead = self._lead
        return Proportion(self._y[lead:], self._n[lead:], self._rate[lead:], self._baseline.tau2, STEP_NATS_MAX)

    def blocks(self) -> tuple[Block, ...]:
        """Kernel D over one, four and twenty-four hours, and the burst rule over one tick."""
        lead = max(self._lead - PERSISTENCE_TICKS, 0)
        found = [self._burst()]
        cumulated = [np.cumsum(part) for part in (self._n, self._y, self._n * self._rate)]
        for hours, units_min, left in WINDOWS_H:
            width = hours * TICKS_PER_HOUR
            n, y, expected = (windowed(part, width) for part in cumulated)
            notable = self._notable(n, y, expected) & (n >= units_min)
            threshold = -math.log(self._settings.tail_p_max * hours)
            score = self._surprise(np.flatnonzero(notable[lead:]) + lead, n, y, expected, left)[lead:]
            fires = persistent(score >= threshold, PERSISTENCE_TICKS)[self._lead - lead :]
            found.append(Block("D", threshold, score[self._lead - lead :], fires, width))
        return tuple(found)

    def _burst(self) -> Block:
        n, y = self._n, self._y
        with np.errstate(divide="ignore", invalid="ignore"):
            high = (n >= BURST_UNITS_MIN) & (y >= BURST_EVENTS_MIN) & (y >= BURST_RATE_MIN * n)
        high &= self._notable(n, y, n * self._rate)
        score = self._surprise(np.flatnonzero(high), n, y, n * self._rate, 1.0)
        threshold = -math.log(self._settings.tail_p_max * BURST_H)
        return Block("burst", threshold, score[self._lead :], (score >= threshold)[self._lead :], 1)

    def _notable(self, n: Floats, y: Floats, expected: Floats) -> Bools:
        """Tell where the rise is large enough to matter: twice, three points, five events."""
        settings = self._settings
        large = (y >= settings.ratio_min * expected) & (y - expected >= settings.rise_min * n)
        return np.asarray(large & (y >= settings.events_min))

    def _surprise(self, ticks: np.ndarray, n: Floats, y: Floats, expected: Floats, left: float) -> Floats:
        """Return -ln P(at least y events) at the given ticks, 0 elsewhere.

        What is not known of the rate counts as its drift does: of no event in a few days it may be many times as high.
        """
        score = np.zeros(len(n))
        tau2 = self._baseline.tau2 * left + self._baseline.unsure
        for tick in ticks.tolist():
            rate = float(expected[tick] / n[tick])
            score[tick] = -log_tail(round(y[tick]), round(n[tick]), rate, tau2)
        return score

    def measured(self, first: int, last: int) -> tuple[float | None, float]:
        """Return the rate over ticks [first, last] and what is expected in those hours of the day."""
        n, y, expected = self._sums(first, last)
        return (y / n, expected / n) if n > 0 else (None, self._baseline.rate)

    def effect(self, first: int, last: int) -> str:
        """Say how far the rate is from what it must be."""
        settings = self._settings
        rate, usual = self.measured(first, last)
        return (
            f"{percent(rate)} where {percent(usual)} is usual, {self._sums(first, last)[1]:.0f} events;"
            f" {settings.ratio_min:g} times, {settings.rise_min * 100:g} points more and {settings.events_min} needed"
        )

    def _sums(self, first: int, last: int) -> tuple[float, float, float]:
        """Return units, events and expected events over ticks [first, last]."""
        cut = slice(max(first - self._start + self._lead, 0), last + 1 - self._start + self._lead)
        n, y, expected = (float(part[cut].sum()) for part in (self._n, self._y, self._n * self._rate))
        return n, y, expected

    def rises(self, first: int, last: int) -> bool:
        """Tell whether the rate over the ticks has risen enough to matter."""
        n, y, expected = (np.array([part]) for part in self._sums(first, last))
        return bool(self._notable(n, y, expected)[0])

    def back(self, index: int, size: float) -> Floats:  # noqa: ARG002 - one CUSUM, index 0
        """Return the evidence for "as usual" against "higher by half of `size`, at least the rise looked for"."""
        seen = self._seen()
        risen = np.maximum(_risen(seen.rate, self._settings), seen.rate + size / 2)
        return -seen.llr(np.minimum(risen, (1 + seen.rate) / 2))

    def settled(self, tick: int) -> bool:
        """Tell whether the last hours hold no more events than half-way to the least rise that matters."""
        cut = settled_ticks(self._n, tick - self._start + self._lead)
        n, y, expected = (float(part[cut].sum()) for part in (self._n, self._y, self._n * self._rate))
        return y <= max(1.5 * expected, expected + self._settings.rise_min / 2 * n)


def _risen(rate: Floats, settings: EventSettings) -> Floats:
    """Return the rate to look for above a usual one, always below 1: a margin on a high rate may lie above it."""
    rate = np.minimum(rate, RISEN_RATE_MAX)
    return np.minimum(np.maximum(settings.risen_ratio * rate, rate + settings.rise_min), (1 + rate) / 2)


def log_tail(y: int, n: int, rate: float, tau2: float) -> float:
    """Return ln P(Y >= y) for a beta-binomial with n units, mean `rate` and relative variance tau2 of the rate.

    Summed upwards from y by the ratio of neighbouring terms; what lies beyond 4,096 terms is bounded by a geometric
    series, so the result is never too small by more than rounding. Skellam (1948).
    """
    if y <= 0:
        return 0.0
    if y > n:
        return -math.inf
    rate = min(max(rate, 1e-9), RISEN_RATE_MAX)
    # A rate cannot vary more than between 0 and 1: below one pseudo-unit the beta has both its masses at the ends.
    total = max((1 - rate) / (rate * max(tau2, 1e-9)) - 1, 1.0)
    a, b = rate * total, (1 - rate) * total
    log_first = float(
        special.gammaln(n + 1)
        - special.gammaln(y + 1)
        - special.gammaln(n - y + 1)
        + special.betaln(y + a, n - y + b)
        - special.betaln(a, b)
    )
    terms = np.arange(y, min(n, y + _TAIL_TERMS_MAX))
    ratios = (n - terms) * (a + terms) / ((terms + 1) * (b + n - terms - 1))
    products = np.cumprod(ratios)
    mass = 1.0 + float(products.sum())
    if len(products) == _TAIL_TERMS_MAX and ratios[-1] < 1:
        mass += float(products[-1] * ratios[-1] / (1 - ratios[-1]))
    return min(log_first + math.log(mass), 0.0)
