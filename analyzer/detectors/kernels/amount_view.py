"""A day of a series of amounts as kernels A, B and C see it, the gate, and the expectation that goes with them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analyzer.detectors.kernels.amount_baseline import (
    STEP_NATS_MAX,
    TAIL_SHARE,
    AmountBaseline,
    AmountSettings,
    Features,
)
from analyzer.detectors.kernels.blocks import PERSISTENCE_TICKS, WINDOWS_H, Sums, block_scores, persistent
from analyzer.detectors.kernels.episode import level_gain
from analyzer.detectors.kernels.grid import TICKS_PER_DAY, TICKS_PER_HOUR, Floats, by_hour, running_sum, settled_ticks
from analyzer.detectors.kernels.model import Block, Cusum
from analyzer.detectors.kernels.proportion import Proportion

WEEK_TICKS, WEEK_HOURS = 7 * TICKS_PER_DAY, 7 * 24


@dataclass(frozen=True, slots=True)
class Weekly:
    """When what the same hour one or two weeks ago lay above its centre is expected again."""

    prior_units: float = 15.0
    """Units of that hour from which on it counts for more than its centre."""
    rise_min: float = math.log(1.25)
    """What it must have lain above, in ln(value)."""


LASTING_TICKS = 4 * TICKS_PER_HOUR
"""Until an agent's week is known a rise may be a weekly job's: then the mean of the last four hours must lie above the
gate as well. A doubling needs 2.4 of them for that."""
JOB_TICKS = 2 * TICKS_PER_HOUR
"""... and what is left of them without their dearest two must lie above its root: the drift beside a job of two hours
is no rise. A doubling needs 2.6 hours for that. A mean above the gate times its root is more than both can do."""
UNITS_LEFT_MIN = 1.0
"""Less is what is left of a difference of sums."""
TAIL_RISE = 2.5
"""Kernel C looks for 12.5 % of the units above what used to be the 95th percentile."""
WEEKLY_TAIL_MIN = 1.5


@dataclass(frozen=True, slots=True)
class Size:
    """What the units of some ticks are, and what they were expected to be, in the series' unit."""

    of: float
    """Units."""
    value: float
    """Mean of a unit; 0 where there is none."""
    expected: float
    """In those hours of the day."""
    is_capped: bool
    """Whether single runaways count as much as the cap. The true mean where many units are dear: they are the rise."""


class AmountView:
    """Ticks [start, stop) of a series of amounts, judged by one baseline."""

    def __init__(
        self,
        baseline: AmountBaseline,
        settings: AmountSettings,
        features: Features,
        history: Features,
        lead: int,
        start: int,
        *,
        has_tail: bool,
        weekly: Weekly,
        size: Callable[[int, int], Size],
    ) -> None:
        """Judge by `features`; `size` measures ticks [first, stop) as a finding would."""
        self._baseline, self._settings, self._features, self._history = baseline, settings, features, history
        self._lead, self._start, self._has_tail, self._weekly = lead, start, has_tail, weekly
        self._size = size
        units = features.units[lead:]
        with np.errstate(divide="ignore", invalid="ignore"):
            means = np.where(units > 0, features.residuals[lead:] / units, 0.0)
            variance = 4 * baseline.tau2 + baseline.deff * baseline.sigma2 / units
        self._precision = np.where(units > 0, 1 / variance, 0.0)
        self._effect = np.where(units > 0, means - self._usual_level(), 0.0)
        self._units = units
        self._tail = Proportion(features.tails[lead:], units, self._usual_tail(), baseline.tail_tau2)

    def _a_week_ago(self, sums: Floats, usual: float) -> Floats:
        """Return a mean per unit in the same hour of the week one or two weeks ago, the higher, shrunk to `usual`."""
        # The context is a whole number of days before the tick's own day, so that hours align.
        first, last = self._lead // TICKS_PER_HOUR, (len(sums) - 1) // TICKS_PER_HOUR
        expected = np.full(last + 1 - first, usual)
        for weeks in (1, 2):
            past = max(first - weeks * WEEK_HOURS, 0)
            hours = slice(past * TICKS_PER_HOUR, (last + 1 - weeks * WEEK_HOURS) * TICKS_PER_HOUR)
            if hours.stop > hours.start:
                units = by_hour(self._history.units[hours])
                prior = self._weekly.prior_units
                shrunk = (by_hour(sums[hours]) + usual * prior) / (units + prior)
                known = expected[past + weeks * WEEK_HOURS - first :]
                np.maximum(known, shrunk, out=known)
        return expected[np.arange(self._lead, len(sums)) // TICKS_PER_HOUR - first]

    def _usual_level(self) -> Floats:
        """Return what the level lay above its centre at this hour of the week: 0 unless there is a weekly job."""
        level = self._a_week_ago(self._history.residuals, 0.0)
        return np.where(level > self._weekly.rise_min, level, 0.0)

    def _usual_tail(self) -> Floats:
        """Return the share of dear units that this hour of the week usually has."""
        share = self._a_week_ago(self._history.tails, TAIL_SHARE)
        return np.where(share > TAIL_SHARE * WEEKLY_TAIL_MIN, np.minimum(share, 0.9), TAIL_SHARE)

    @property
    def cusums(self) -> tuple[Cusum, ...]:
        """Kernel A and, where there is a distribution, kernel C."""
        shift = self._settings.shift
        up = np.clip(shift * self._precision * (self._effect - shift / 2), -STEP_NATS_MAX, STEP_NATS_MAX)
        effect, precision = self._effect, self._precision
        location = Cusum("A", self._settings.alarm_nats, up, effect, precision, lambda: level_gain(effect, precision))
        if not self._has_tail:
            return (location,)
        tail = self._tail
        return location, tail.cusum("C", self._settings.alarm_nats, tail.llr(self._tail_risen(0.0)))

    def blocks(self) -> tuple[Block, ...]:
        """Kernel B over one, four and twenty-four hours."""
        features, base = self._features, self._baseline
        sums = Sums.of(features.count, features.w, features.w2 if self._has_tail else None)
        # On most days no tick is masked: then the two are one.
        history = sums if self._history is features else Sums.of(self._history.count, self._history.w)
        lead = max(self._lead - PERSISTENCE_TICKS, 0)
        threshold = -math.log(self._settings.block_p_max)
        found = []
        for hours, units_min in WINDOWS_H:
            score = block_scores(sums, history, lead, hours, units_min, base.cv2, base.deff, base.gate)
            fires = persistent(score >= threshold, PERSISTENCE_TICKS)[self._lead - lead :]
            for at in np.flatnonzero(fires).tolist():
                fires[at] = self._lasts(self._start + at)
            width = hours * TICKS_PER_HOUR
            found.append(Block("B", threshold, score[self._lead - lead :], fires, width))
        return tuple(found)

    def _lasts(self, tick: int) -> bool:
        """Tell whether a rise up to a tick could be no weekly job: the same hour a week ago is known, or it lasts."""
        if tick - WEEK_TICKS >= self._baseline.start:
            return True
        gate, root = self._baseline.gate, math.sqrt(self._baseline.gate)
        lately = self.ratio(tick - LASTING_TICKS + 1, tick)
        if lately < gate or self.ratio(tick - TICKS_PER_HOUR + 1, tick) < root:
            return False
        return lately >= gate * root or self._beside_a_job(tick) >= root

    def _beside_a_job(self, tick: int) -> float:
        """Return the ratio over the last four hours without the two that lower it most: 1 where no unit is left."""
        cut = slice(max(tick + 1 - LASTING_TICKS - self._start + self._lead, 0), tick + 1 - self._start + self._lead)
        count, w = (
            part[cut].sum() - running_sum(part[cut], JOB_TICKS)[JOB_TICKS - 1 :]
            for part in (self._features.count, self._features.w)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            left = np.where(count >= UNITS_LEFT_MIN, w / count / self._baseline.mean, 1.0)
        return float(left.min(initial=math.inf))

    def ratio(self, first: int, last: int) -> float:
        """Return the winsorised mean over ticks [first, last] over what is expected, the hour of the day aside."""
        cut = slice(max(first - self._start + self._lead, 0), last + 1 - self._start + self._lead)
        count = float(self._features.count[cut].sum())
        return float(self._features.w[cut].sum()) / count / self._baseline.mean if count > 0 else 1.0

    def measured(self, first: int, last: int) -> tuple[float | None, float]:
        """Return the mean over ticks [first, last], as a finding would tell it, and what is expected in those hours."""
        size = self._size(max(first, self._start - self._lead), last + 1)
        return size.value if size.of > 0 else None, size.expected

    def effect(self, first: int, last: int) -> str:
        """Say how many times as much it is, and how many times it must be."""
        gate, whole = self._baseline.gate, self._baseline.gate_whole
        said = f"{self.ratio(first, last):.2f} times as much, {gate:.2f} needed"
        if gate > whole:
            days = (self._baseline.stop - self._baseline.start) / TICKS_PER_DAY
            said += f" ({whole:.2f} when a fortnight is known: {days:.1f} days say little of how far it drifts)"
        if self._lasts(last):
            return said
        lately = self.ratio(last - LASTING_TICKS + 1, last)
        if lately < gate:
            return f"{said}; {lately:.2f} times over the last four hours, as much needed until a week is known"
        return f"{said}; until a week is known it must last longer than a weekly job of two hours could"

    def rises(self, first: int, last: int) -> bool:
        """Tell whether the mean has risen by the ratio that matters, for as long as tells it from a weekly job."""
        return self.ratio(first, last) >= self._baseline.gate and self._lasts(last)

    def back(self, index: int, size: float) -> Floats:
        """Return the evidence for "as usual" against "off by half of `size`, at least the shift looked for"."""
        if index == 0:
            shift = max(size / 2, self._settings.shift)
            down = shift * self._precision * (shift / 2 - self._effect)
            return np.asarray(np.clip(down, -STEP_NATS_MAX, STEP_NATS_MAX))
        return -self._tail.llr(self._tail_risen(size / 2))

    def _tail_risen(self, size: float) -> Floats:
        usual = self._tail.rate
        return np.asarray(np.minimum(np.maximum(usual + size, usual * TAIL_RISE), (1 + usual) / 2))

    def settled(self, tick: int) -> bool:
        """Tell whether the mean of the last hours is nearer to the usual one than to the least rise reported."""
        cut = settled_ticks(self._features.count, tick - self._start + self._lead)
        first = cut.start - self._lead + self._start
        return self.ratio(first, tick) <= math.sqrt(self._baseline.gate)
