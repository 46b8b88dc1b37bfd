"""The kernels of silence: an empty stretch that is too long for the hours of the week it lies in.

gap       sums over the empty ticks how improbable they are (`arrivals`), of 0.7 times what is usual: a quiet week is
          no outage. Where the history holds stretches that were themselves improbable, the bar is one and a half
          times the worst of them: arrivals that come in batches have long pauses.
interval  for agents that run on a schedule: a wait longer than one and a half times the longest, and twice the usual.
          A wait begins anew after days off on which nothing runs, and after a first weekend.

A fleet is a series, too: the sum of its agents. While it is silent, its agents are not judged: nobody can tell then
which of them would have spoken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from analyzer.detectors.kernels.arrivals import (
    Arrivals,
    Interval,
    by_hour_of_week,
    by_kind,
    days_off,
    empty_days,
    empty_ticks_of_hour,
    hours_of_week,
    learn,
    own,
    since,
)
from analyzer.detectors.kernels.grid import TICKS_PER_DAY, TICKS_PER_HOUR, Bools, Floats, Grid
from analyzer.detectors.kernels.holidays import Holidays
from analyzer.detectors.kernels.learning import Learning, learning_ticks, waiting
from analyzer.detectors.kernels.model import Block, Cusum, Masks
from analyzer.detectors.kernels.walk import RECOVERY_NATS
from analyzer.types.holidays import Calendar

REST_NATS_MIN = 3.0
"""Evidence (p < 5 %) that the other agents are silent, too: else it is not the fleet that is, but its largest agent."""
HABIT_DAYS = 3
"""Days with arrivals before more are expected."""
_EARLIER_DAYS = 10
"""Before a baseline's 13: then there are three of each day of the week, and what lies beside them."""
_SPOKEN = 1e9
"""Nats by which an arrival refutes a silence."""
_DAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
_TIE = 1e-9
"""Breaks ties between ticks in which nothing was expected: the silence begins with the last of them."""


@dataclass(frozen=True, slots=True)
class SilenceSettings:
    """When nothing is an anomaly."""

    p_max: float = 1e-5
    """Of the empty stretch. The reference's: no false alarm in 1,200 simulated agent-weeks at any volume."""
    usual_share: float = 0.7
    """Part of the usual arrivals that a quiet week still brings."""
    hours_min: float = 1.0
    """No shorter stretch is a silence: spans arrive late."""
    gap_factor: float = 1.5
    """Over the most improbable stretch of the history, and over the longest wait of a schedule."""
    interval_factor: float = 2.0
    """Over the usual wait of a schedule."""
    history_days_min: float = 3.0
    """The catalogue's minimum: with fewer days a night is not told from a silence."""
    units_min: float = 10.0
    """Arrivals the baseline must hold."""


@dataclass(frozen=True, slots=True)
class Hush:
    """A silence of the whole fleet, in ticks of an agent's grid: [onset, stop), known from `alarmed` on."""

    onset: int
    alarmed: int
    stop: int


@dataclass(frozen=True, slots=True)
class SilenceBaseline:
    """What is normal for arrivals on a day."""

    start: int
    stop: int
    arrivals: Arrivals
    scale: float
    """What the evidence counts: less than 1 where the history has improbable stretches."""
    rest: Floats | None
    """Of a fleet: what is usual without the largest agent of each hour of the week, shape (168,)."""
    units_per_hour: float


class Silences(Learning[SilenceSettings]):
    """A series of arrivals as the walk sees it. `parts` are the agents of a fleet, shape (agents, ticks)."""

    unlearnt: ClassVar[str] = f"arrivals on {HABIT_DAYS} days needed before more are expected"

    def __init__(
        self,
        grid: Grid,
        settings: SilenceSettings,
        *,
        unseen: Bools | None = None,
        hushes: Sequence[Hush] = (),
        parts: Floats | None = None,
        calendar: Calendar = Calendar(),
    ) -> None:
        self.grid, self.settings = grid, settings
        self.warm = grid.first + int(settings.history_days_min * TICKS_PER_DAY)
        ticks = len(grid.n)
        ahead = calendar.ahead_min(grid.start_s) * TICKS_PER_HOUR // 60
        self.hours = hours_of_week(grid.start_s, ticks, ahead)
        self.holidays = Holidays(calendar, grid.start_s, self.hours)
        self.spoken = grid.n > 0
        self.unseen = np.zeros(ticks, dtype=np.bool_) if unseen is None else unseen
        self.in_hour = empty_ticks_of_hour(self.spoken, ahead)
        self._hushes, self._parts = hushes, parts
        self._off: dict[int, Bools] = {}
        """The days of the week that are days off, by the day whose baseline knows them."""

    def baseline(self, day: int, masked: Bools) -> SilenceBaseline | None:
        """Learn from the trailing 14 days less the last one; None with too few arrivals in them."""
        days = learning_ticks(day)
        start = max(days.start, self.grid.first)
        keep = self._counting(day, masked)
        if (
            days.stop <= start
            or self.units_learnt(day, masked) < self.settings.units_min
            or not self._recurs(day, keep)
        ):
            return None
        n, hours = self.grid.n[days], self.hours[days]
        arrivals = learn(n, keep, hours, self._days_off(day))
        rest = None
        if self._parts is not None:
            seen = by_hour_of_week(keep.astype(np.float64), hours)
            sums = [by_hour_of_week(part[days] * keep, hours) for part in self._parts]
            each = [own(part, seen, by_kind(part, seen)[0]) for part in sums]
            rest = np.maximum(arrivals.usual - np.max(each, axis=0), 0.0)
        steps = self._steps(arrivals, arrivals.usual, days)
        worst = float(since(self.spoken[days] | ~keep, steps).max(initial=0.0))
        return SilenceBaseline(
            start=start,
            stop=days.stop,
            arrivals=arrivals,
            scale=min(self.alarm_nats / max(self.settings.gap_factor * worst, 1e-9), 1.0),
            rest=rest,
            units_per_hour=float((n * keep).sum()) / max(float(keep.sum()), 1.0) * TICKS_PER_HOUR,
        )

    @property
    def alarm_nats(self) -> float:
        """The evidence that makes a silence: 11.5 nats."""
        return -math.log(self.settings.p_max)

    def _counting(self, day: int, masked: Bools) -> Bools:
        """Tell which ticks a baseline learns from: seen, no holiday's, of no episode nor of what was the fleet's.

        Those of days off are learnt from all the same: else they would be found silent for ever. Once something ran on
        such a day its name is a day at work; the empty ones of before, on which nobody waited, are no pauses of it.
        """
        days = learning_ticks(day)
        looked, off = self._looked(days), self._days_off(day)[self.hours[days] // 24]
        keep = looked & ~masked[days] & ~self._were_off(days)
        for hush in self._hushes:
            if hush.alarmed < day * TICKS_PER_DAY:
                keep[max(hush.onset - days.start, 0) : max(hush.stop - days.start, 0)] = False
        return np.asarray(keep | (looked & off))

    def _looked(self, ticks: slice) -> Bools:
        """Tell at which ticks of a slice somebody looked, on a day that is no holiday."""
        looked = ~(self.unseen[ticks] | self.holidays.off[ticks])
        looked[: max(self.grid.first - ticks.start, 0)] = False
        return np.asarray(looked)

    def _days_off(self, day: int) -> Bools:
        """Return the days of the week that are days off, shape (7,), by what a day's baseline may know.

        It looks further back than the baseline: two of each, and what lies beside them, are wanted on any day.
        """
        if day not in self._off:
            days = learning_ticks(day)
            ticks = slice(max(days.start - _EARLIER_DAYS * TICKS_PER_DAY, 0), days.stop)
            self._off[day] = days_off(self.grid.n[ticks], self._looked(ticks), self.hours[ticks])
        return self._off[day]

    def _were_off(self, ticks: slice) -> Bools:
        """Tell which ticks of whole days were those of days off by what was known then, and stayed empty."""
        days = range(ticks.start // TICKS_PER_DAY, ticks.stop // TICKS_PER_DAY)
        hours = self.hours[ticks]
        known = np.array([self._days_off(day) for day in days], dtype=np.bool_).reshape(-1, 7)
        off = known[np.arange(len(hours)) // TICKS_PER_DAY, hours // 24]
        return np.asarray(off & empty_days(self.grid.n[ticks], hours))

    def _recurs(self, day: int, keep: Bools) -> bool:
        """Tell whether there were arrivals on three days, or on all there were: a single batch is no habit."""
        days = (self.grid.n[learning_ticks(day)] * keep).reshape(-1, TICKS_PER_DAY).sum(axis=1)
        seen = int(keep.reshape(-1, TICKS_PER_DAY).any(axis=1).sum())
        return int((days > 0).sum()) >= min(HABIT_DAYS, seen)

    def _steps(self, arrivals: Arrivals, usual: Floats, ticks: slice) -> Floats:
        """Return what each tick adds to the evidence while nothing arrives."""
        mean = self.settings.usual_share * usual[self.holidays.asked(usual)[ticks]]
        now = arrivals.surprise(mean, self.in_hour[ticks])
        return np.asarray(now - arrivals.surprise(mean, np.maximum(self.in_hour[ticks] - 1, 0)))

    def units_learnt(self, day: int, masked: Bools) -> float:
        """Return how many arrivals a day's baseline would rest on."""
        return float((self.grid.n[learning_ticks(day)] * self._counting(day, masked)).sum())

    def detectable(self, baseline: SilenceBaseline) -> str:
        """Say how long a silence lasts before it can be told from a quiet stretch."""
        interval = baseline.arrivals.interval
        if interval is not None:
            hours = self.longest_wait(baseline) / TICKS_PER_HOUR
            return (
                f"It runs every {waiting(interval.usual / TICKS_PER_HOUR)}; a run is missed after {waiting(hours)}"
                f" without one{_days_off(interval)}."
            )
        mean = np.array([self.settings.usual_share * baseline.units_per_hour])
        nats = float(baseline.arrivals.surprise(mean, np.array([float(TICKS_PER_HOUR)]))[0]) * baseline.scale
        hours = max(self.alarm_nats / max(nats, 1e-9), self.settings.hours_min)
        return (
            f"At {baseline.units_per_hour:.3g} trajectories an hour a silence takes about {waiting(hours)} to be told"
            " from a quiet stretch."
        )

    def expected(self, baseline: SilenceBaseline, first: int, stop: int) -> float:
        """Return how many arrivals are usual in ticks [first, stop)."""
        usual = baseline.arrivals.usual
        return float(usual[self.holidays.asked(usual)[first:stop]].sum()) / TICKS_PER_HOUR

    def longest_wait(self, baseline: SilenceBaseline) -> float:
        """Return the ticks without an arrival that a schedule may leave; infinite where there is no schedule."""
        interval = baseline.arrivals.interval
        if interval is None:
            return math.inf
        factors = self.settings.gap_factor, self.settings.interval_factor
        return max(factors[0] * interval.longest, factors[1] * interval.usual)

    def view(self, baseline: SilenceBaseline, start: int, stop: int, masks: Masks) -> SilenceView:  # noqa: ARG002 - an arrival ends a stretch, so that episodes need no mask
        """Judge ticks [start, stop) by a baseline."""
        whole = slice(0, stop)
        steps = self._steps(baseline.arrivals, baseline.arrivals.usual, whole) * baseline.scale
        known = baseline.arrivals.known[self.hours[whole]]
        increments = self._judged(steps)
        rest = None
        if baseline.rest is not None:
            rest = since(self.spoken[whole], self._judged(self._steps(baseline.arrivals, baseline.rest, whole)))
        gap = since(self.spoken[whole], self._judged(np.ones(stop)))
        rested = self.holidays.rested(baseline.arrivals.usual, self.settings.usual_share)[whole]
        interval, spoken = baseline.arrivals.interval, self.spoken[whole]
        off = np.zeros(stop, dtype=np.bool_) if interval is None else interval.off(spoken, self.hours[whole] // 24)
        wait = since(spoken | off, self._judged((known & ~rested & ~off).astype(np.float64)))
        return SilenceView(self, baseline, start, increments, gap, wait, rest)

    def _judged(self, steps: Floats) -> Floats:
        """Return the increments without the ticks in which nobody looked, or the whole fleet was silent.

        That the fleet is silent is known only once it is alarmed: then what was gathered since its onset is taken back.
        """
        found = np.where(self.unseen[: len(steps)], 0.0, steps)
        for hush in self._hushes:
            if hush.alarmed < len(found):
                gathered = found[max(hush.onset, 0) : hush.alarmed]
                mute = ~self.spoken[max(hush.onset, 0) : hush.alarmed]
                found[hush.alarmed : hush.stop] = 0.0
                found[hush.alarmed] = -float(gathered[mute].sum())
        return found


def _days_off(interval: Interval) -> str:
    """Say which days a schedule is not waited for on, and where nobody knows that yet."""
    if interval.unseen:
        return ", weekends not counted until a whole one was seen"
    names = " and ".join(name for name, rests in zip(_DAYS, interval.rests, strict=True) if rests)
    return f", not counting {names}, on which nothing ran" if names else ""


class SilenceView:
    """Ticks [start, stop) of a series of arrivals, judged by one baseline; arrays begin with the grid."""

    def __init__(
        self,
        model: Silences,
        baseline: SilenceBaseline,
        start: int,
        increments: Floats,
        gap: Floats,
        wait: Floats,
        rest: Floats | None,
    ) -> None:
        self._model, self._baseline, self._start = model, baseline, start
        self._increments, self._gap, self._wait, self._rest = increments, gap, wait, rest

    @property
    def cusums(self) -> tuple[Cusum, ...]:
        """The improbability of the empty stretch, gone with the first arrival."""
        cut = slice(self._start, len(self._increments))
        spoken = self._model.spoken[cut]
        up = np.where(spoken, -_SPOKEN, self._increments[cut])
        # A schedule is not late before its next run is due, though runs are usual in the hour of its last one.
        interval = self._baseline.arrivals.interval
        due = np.ones(len(up)) if interval is None else self._wait[cut] >= interval.usual
        gain = np.where(spoken, -np.inf, np.cumsum((np.maximum(up, 0.0) * due)[::-1])[::-1])
        last = np.flatnonzero(spoken)
        if len(last):
            gain[: last[-1] + 1] = -np.inf
        gain = gain + _TIE * np.arange(len(gain))
        ones = np.ones(len(up))
        return (Cusum("gap", self._model.alarm_nats, up, np.zeros(len(up)), ones, lambda: gain),)

    def blocks(self) -> tuple[Block, ...]:
        """Compare the wait with the schedule's longest, in hours."""
        limit = self._model.longest_wait(self._baseline) / TICKS_PER_HOUR
        wait = self._wait[self._start :] / TICKS_PER_HOUR
        fires = (wait > limit) & ~self._model.spoken[self._start : len(self._wait)] & self._long(self._start)
        return (Block("interval", limit, wait, np.asarray(fires), 1),) if math.isfinite(limit) else ()

    def _long(self, start: int) -> Bools:
        long = self._gap[start:] >= self._model.settings.hours_min * TICKS_PER_HOUR
        return np.asarray(long if self._rest is None else long & (self._rest[start:] >= REST_NATS_MIN))

    def measured(self, first: int, last: int) -> tuple[float, float]:
        """Return what began per hour over ticks [first, last] and what usually does."""
        hours = (last + 1 - max(first, 0)) / TICKS_PER_HOUR
        began = float(self._model.grid.n[max(first, 0) : last + 1].sum())
        return began / hours, self._model.expected(self._baseline, max(first, 0), last + 1) / hours

    def effect(self, first: int, last: int) -> str:  # noqa: ARG002 - the stretch that ends with the last tick
        """Say how long nothing has begun, and how long that must be."""
        return (
            f"nothing began for {self._gap[last] / TICKS_PER_HOUR:.2g} h, {self._model.settings.hours_min:g} h needed"
        )

    def rises(self, first: int, last: int) -> bool:  # noqa: ARG002 - the stretch that ends with the last tick
        """Tell whether the stretch is as long as a silence must be, and a fleet's is not that of one agent."""
        return bool(self._long(last)[0])

    def back(self, index: int, size: float) -> Floats:  # noqa: ARG002 - an arrival is an arrival
        """Return the evidence for "it speaks": all of it with the first arrival."""
        spoken = self._model.spoken[self._start : len(self._increments)]
        return np.where(spoken, 2 * RECOVERY_NATS, 0.0)

    def settled(self, tick: int) -> bool:  # noqa: ARG002 - see above
        """Tell whether it is over: an arrival ends it."""
        return True
