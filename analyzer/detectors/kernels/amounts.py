"""Kernels A and C for amounts such as cost per trajectory, and the gate and the expectation that go with them.

A, the random-effect CUSUM, sums the evidence that the location of ln(value) has risen by D = ln 2. Its variance knows
that quarter-hours of one hour share their level (4 tau^2) and that units come in correlated groups (deff): on real
fleets the drift between hours, and not the noise within them, is what raises false alarms.
C is the CUSUM of a proportion: the share of units above the baseline's 95th percentile.
Where only counters are known (no distribution), A works on the mean of each tick and C is silent.

All statistics are taken on residuals: ln(value) less the centre of its hour of the day.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from analyzer.detectors.kernels.blocks import P_MAX, PERSISTENCE_TICKS, WINDOWS_H, Sums, block_scores, persistent
from analyzer.detectors.kernels.episode import level_gain
from analyzer.detectors.kernels.grid import TICKS_PER_DAY, TICKS_PER_HOUR, Bools, Floats, Grid, weighted_quantile
from analyzer.detectors.kernels.proportion import Proportion, overdispersion
from analyzer.detectors.kernels.spread import SIGMA_MIN, TAU_DEFAULT, between_hours, centres, within_hours
from analyzer.detectors.kernels.walk import Block, Cusum, Masks, settled_ticks

BASELINE_DAYS = 14
HELD_OUT_DAYS = 1
"""The last day before a baseline's midnight is left out: a rise under way must not become the norm."""
CONTEXT_DAYS = 15
"""A window of 24 h, 14 days ago, begins 15 days ago."""
WEEK_PRIOR_UNITS = 15.0
WEEKLY_RISE_MIN = math.log(1.25)
"""What the same hour one or two weeks ago lay above its centre is expected again, if it was this much."""
CLIP_SIGMAS = 3.0
STEP_NATS_MAX = 4.0
"""No single tick contributes more: one quarter of an hour is never proof."""
TAIL_SHARE = 0.05
TAIL_RISE = 2.5
"""Kernel C looks for 12.5 % of the units above what used to be the 95th percentile."""
WEEKLY_TAIL_MIN = 1.5
WINSOR_FACTOR = 1.5
"""Values above 1.5 times the baseline's 99th percentile count as that much: one runaway is no shift of the mean."""
AMOUNT_MIN = 1e-12
"""A tick whose amounts add up to less has none: what is left of a subtraction of counters is no price."""
CAP_MIN = 4.0
"""... but four times the usual always counts in full: where no run differs from another, a doubling must still show."""
_HOUR = np.arange(TICKS_PER_DAY) // TICKS_PER_HOUR


@dataclass(frozen=True, slots=True)
class AmountSettings:
    """When a rise of an amount is an anomaly."""

    shift: float = math.log(2)
    """D: the rise in ln(value) that kernel A looks for. The requirement: cost per trajectory doubled."""
    alarm_nats: float = math.log(50 * 35_040)
    """14.4: one false alarm in 50 years of 35,040 ticks each, were the model exact."""
    ratio_min: float = 1.6
    """A rise below this is not reported, however certain: it is within the drift of healthy agents over weeks."""
    block_p_max: float = P_MAX
    history_days_min: float = 3.0
    units_min: float = 50.0
    """Units the baseline must hold. With fewer the spread itself is not known."""


@dataclass(frozen=True, slots=True)
class AmountBaseline:
    """What is normal for an amount; residuals are ln(value) less `centre` of the hour."""

    start: int
    stop: int
    """Ticks [start, stop) it was learnt from, masked ones aside."""
    centre: Floats
    """ln(value), shape (24,)."""
    offset: float
    """Mean clipped residual: skew moves it off zero."""
    clip: float
    sigma2: float
    deff: float
    tau2: float
    tail: float
    """Residual above which a unit counts as dear (95th percentile)."""
    tail_tau2: float
    cap: float
    """exp(residual) at which values are winsorised."""
    mean: float
    """Mean winsorised exp(residual)."""
    cv2: float
    """Squared coefficient of variation of the winsorised values."""
    high: float
    """ln of the 90th percentile of the values; -inf where there is no distribution."""
    units_per_hour: float

    def units_to_confirm(self, settings: AmountSettings) -> float:
        """Return how many units kernel A needs for a rise by its shift: threshold over Kullback-Leibler divergence."""
        return settings.alarm_nats * 2 * self.sigma2 * self.deff / settings.shift**2


@dataclass(frozen=True, slots=True)
class Features:
    """Per tick, for one baseline: units with a value, their clipped residuals, dear ones, winsorised sums."""

    units: Floats
    residuals: Floats
    """Sum over the units, less the baseline's offset each."""
    tails: Floats
    count: Floats
    """Units with and without a value: those that cost nothing lower the mean."""
    w: Floats
    """Sum of winsorised exp(residual)."""
    w2: Floats
    usd: Floats
    """Sum of winsorised values, in the series' own unit."""

    def without(self, masked: Bools) -> Features:
        """Return the same with masked ticks unseen."""
        if not masked.any():
            return self
        keep = ~masked
        return Features(
            self.units * keep,
            self.residuals * keep,
            self.tails * keep,
            self.count * keep,
            self.w * keep,
            self.w2 * keep,
            self.usd * keep,
        )


@dataclass(frozen=True, slots=True)
class _Memo:
    """The last sums over bins, for days [first, last) under one centre and cap."""

    centre: Floats
    cap: float
    first: int
    last: int
    sums: tuple[Floats, ...]

    def covers(self, baseline: AmountBaseline, first: int, last: int) -> bool:
        same = self.centre is baseline.centre and self.cap == baseline.cap
        return same and self.first <= first and last <= self.last


class Amounts:
    """A series of amounts as the walk sees it."""

    def __init__(self, grid: Grid, settings: AmountSettings) -> None:
        self.grid = grid
        self.settings = settings
        self.warm = grid.first + int(settings.history_days_min * TICKS_PER_DAY)
        with np.errstate(divide="ignore", invalid="ignore"):
            self._means = np.where((grid.n > 0) & (grid.total > AMOUNT_MIN), np.log(grid.total / grid.n), np.nan)
        self._memo = _Memo(np.empty(0), 0.0, 0, 0, ())
        self._valued = (
            grid.hist.sum(axis=1) if grid.hist is not None else np.where(np.isfinite(self._means), grid.n, 0.0)
        )

    def baseline(self, day: int, masked: Bools) -> AmountBaseline | None:
        """Learn from the trailing 14 days less the last one; None with fewer than 50 units in them."""
        grid = self.grid
        start = max((day - BASELINE_DAYS) * TICKS_PER_DAY, 0)
        stop = (day - HELD_OUT_DAYS) * TICKS_PER_DAY
        if stop <= max(start, grid.first):
            return None
        keep = ~masked[start:stop]
        units = float(self._valued[start:stop][keep].sum())
        if units < self.settings.units_min:
            return None
        values, weights, hours = self._samples(start, stop, keep)
        centre = centres(values, weights, hours)
        residuals = values - centre[hours]
        scale = 1.4826 * weighted_quantile(np.abs(residuals), weights, 0.5)
        clip = max(CLIP_SIGMAS * scale, 2 * self.settings.shift)
        clipped = np.clip(residuals, -clip, clip)
        offset = float(np.average(clipped, weights=weights))
        sigma2 = max(float(np.average((clipped - offset) ** 2, weights=weights)), SIGMA_MIN**2)
        cap = max(WINSOR_FACTOR * math.exp(weighted_quantile(residuals, weights, 0.99)), CAP_MIN)
        draft = AmountBaseline(
            start=max(start, grid.first),
            stop=stop,
            centre=centre,
            offset=offset,
            clip=clip,
            sigma2=sigma2,
            deff=1.0,
            tau2=TAU_DEFAULT**2,
            tail=weighted_quantile(residuals, weights, 1 - TAIL_SHARE),
            tail_tau2=0.0,
            cap=cap,
            mean=1.0,
            cv2=0.0,
            high=weighted_quantile(values, weights, 0.9) if grid.hist is not None else -math.inf,
            units_per_hour=units / max(float(keep[max(grid.first - start, 0) :].sum()), 1.0) * TICKS_PER_HOUR,
        )
        return self._calibrated(draft, start, stop, keep)

    def _samples(self, start: int, stop: int, keep: Bools) -> tuple[Floats, Floats, np.ndarray]:
        """Return ln(values), weights and hours of the day: bins by hour, or the ticks' means."""
        hours = np.tile(_HOUR, (stop - start) // TICKS_PER_DAY)
        if self.grid.hist is None:
            seen = keep & np.isfinite(self._means[start:stop])
            return self._means[start:stop][seen], self.grid.n[start:stop][seen], hours[seen]
        hist = self.grid.hist[start:stop]
        if not keep.all():
            hist = hist * keep[:, None]
        by_hour = hist.reshape(-1, 24, TICKS_PER_HOUR, hist.shape[1]).sum(axis=(0, 2))
        return np.tile(self.grid.x, 24), by_hour.ravel(), np.repeat(np.arange(24), hist.shape[1])

    def _calibrated(self, draft: AmountBaseline, start: int, stop: int, keep: Bools) -> AmountBaseline:
        """Fill in what needs the residuals of each tick: design effect, drift, winsorised mean."""
        seen = self.features(draft, start, stop, ~keep)
        sigma2, deff = within_hours(seen.units, seen.residuals, draft.sigma2, averaged=self.grid.hist is None)
        count, w = float(seen.count.sum()), float(seen.w.sum())
        mean = w / count
        if self.grid.hist is None:
            ticks = seen.count > 0
            means = seen.w[ticks] / seen.count[ticks]
            unit_variance = float((seen.count[ticks] * (means - mean) ** 2).sum()) / max(int(ticks.sum()) - 1, 1)
        else:
            unit_variance = max(float(seen.w2.sum()) / count - mean**2, 0.0)
        return replace(
            draft,
            sigma2=sigma2,
            deff=deff,
            tau2=between_hours(seen.units, seen.residuals, sigma2 * deff),
            tail_tau2=overdispersion(seen.tails, seen.units, np.full(len(seen.units), TAIL_SHARE)),
            mean=mean,
            cv2=unit_variance / mean**2,
        )

    def moved(self, baseline: AmountBaseline, start: int, stop: int) -> AmountBaseline:
        """Return the baseline with its cap raised by what the median of ticks [start, stop) lies above its own.

        A cap made for the old level would hide how far a whole distribution has moved.
        """
        hours = _HOUR[np.arange(start, stop) % TICKS_PER_DAY]
        if self.grid.hist is None:
            seen = np.isfinite(self._means[start:stop])
            residuals = self._means[start:stop][seen] - baseline.centre[hours][seen]
            weights = self.grid.n[start:stop][seen]
        else:
            residuals = (self.grid.x[None, :] - baseline.centre[hours][:, None]).ravel()
            weights = self.grid.hist[start:stop].ravel()
        rise = max(weighted_quantile(residuals, weights, 0.5), 0.0)
        return replace(baseline, cap=baseline.cap * math.exp(rise))

    def features(self, baseline: AmountBaseline, start: int, stop: int, masked: Bools) -> Features:
        """Reduce whole or part days [start, stop) to sums per tick; masked ticks (of that range) count as unseen."""
        first, last = start // TICKS_PER_DAY, -(-stop // TICKS_PER_DAY)
        if not self._memo.covers(baseline, first, last):
            # A baseline is calibrated on its own days and then judges the day after next: one sum serves both.
            first, last = max(first - 1, 0), min(last + HELD_OUT_DAYS + 1, self.grid.days)
            wide = slice(first * TICKS_PER_DAY, last * TICKS_PER_DAY)
            sums = self._averaged(baseline, wide) if self.grid.hist is None else self._summed(baseline, wide)
            self._memo = _Memo(baseline.centre, baseline.cap, first, last, sums)
        offset = self._memo.first * TICKS_PER_DAY
        cut = slice(start - offset, stop - offset)
        units, residuals, tails, w, w2, usd = (part[cut] for part in self._memo.sums)
        count = np.maximum(self.grid.n[start:stop], self._valued[start:stop])
        return Features(units, residuals, tails, count, w, w2, usd).without(masked)

    def _summed(self, baseline: AmountBaseline, days: slice) -> tuple[Floats, ...]:
        """Sum over the bins: one small matrix product per hour of the day."""
        assert self.grid.hist is not None  # noqa: S101 - the caller asked
        x = self.grid.x
        residual = x[None, :] - baseline.centre[:, None]
        w = np.minimum(np.exp(np.minimum(residual, 700.0)), baseline.cap)
        clipped = np.clip(residual, -baseline.clip, baseline.clip) - baseline.offset
        usd = w * np.exp(baseline.centre)[:, None]
        weights = np.stack([np.ones_like(residual), clipped, residual > baseline.tail, w, w * w, usd], axis=-1)
        hist = self.grid.hist[days]
        by_hour = hist.reshape(-1, 24, TICKS_PER_HOUR, len(x)).transpose(1, 0, 2, 3).reshape(24, -1, len(x))
        sums = (by_hour @ weights).reshape(24, -1, TICKS_PER_HOUR, weights.shape[-1]).transpose(1, 0, 2, 3)
        return tuple(sums.reshape(-1, weights.shape[-1]).T)

    def _averaged(self, baseline: AmountBaseline, days: slice) -> tuple[Floats, ...]:
        """Take each tick's mean for the value of all its units."""
        n, means = self._valued[days], self._means[days]
        centre = np.tile(baseline.centre[_HOUR], len(n) // TICKS_PER_DAY)
        residual = np.where(n > 0, means - centre, 0.0)
        w = np.minimum(np.exp(residual), baseline.cap)
        clipped = np.clip(residual, -baseline.clip, baseline.clip) - baseline.offset
        return n, n * clipped, np.zeros_like(n), n * w, n * w * w, n * w * np.exp(centre)

    def view(self, baseline: AmountBaseline, start: int, stop: int, masks: Masks) -> AmountView:
        """Judge ticks [start, stop) by a baseline."""
        context = max((start // TICKS_PER_DAY - CONTEXT_DAYS) * TICKS_PER_DAY, 0)
        every = self.features(baseline, context, stop, np.zeros(stop - context, dtype=np.bool_))
        history = every.without(masks.lasting[context:stop])
        features = every.without(masks.episodes[context:stop])
        has_tail = self.grid.hist is not None
        return AmountView(baseline, self.settings, features, history, start - context, start, has_tail=has_tail)


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
    ) -> None:
        self._baseline, self._settings, self._features, self._history = baseline, settings, features, history
        self._lead, self._start, self._has_tail = lead, start, has_tail
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
        hour = np.arange(self._lead, len(sums)) // TICKS_PER_HOUR
        starts = np.arange(0, len(sums), TICKS_PER_HOUR)
        units = np.add.reduceat(self._history.units, starts)
        shrunk = (np.add.reduceat(sums, starts) + usual * WEEK_PRIOR_UNITS) / (units + WEEK_PRIOR_UNITS)
        expected = np.full(len(hour), usual)
        for weeks in (1, 2):
            past = hour - weeks * 7 * 24
            expected = np.maximum(expected, np.where(past >= 0, shrunk[np.maximum(past, 0)], usual))
        return expected

    def _usual_level(self) -> Floats:
        """Return what the level lay above its centre at this hour of the week: 0 unless there is a weekly job."""
        level = self._a_week_ago(self._history.residuals, 0.0)
        return np.where(level > WEEKLY_RISE_MIN, level, 0.0)

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
        sums = Sums(features.count, features.w, features.w2 if self._has_tail else None)
        history = Sums(self._history.count, self._history.w, None)
        lead = max(self._lead - PERSISTENCE_TICKS, 0)
        threshold = -math.log(self._settings.block_p_max)
        found = []
        for hours, units_min in WINDOWS_H:
            score = block_scores(sums, history, lead, hours, units_min, base.cv2, base.deff, self._settings.ratio_min)
            fires = persistent(score >= threshold, PERSISTENCE_TICKS)[self._lead - lead :]
            width = hours * TICKS_PER_HOUR
            found.append(Block("B", threshold, score[self._lead - lead :], fires, width))
        return tuple(found)

    def ratio(self, first: int, last: int) -> float:
        """Return the winsorised mean over ticks [first, last] over what is expected, the hour of the day aside."""
        cut = slice(max(first - self._start + self._lead, 0), last + 1 - self._start + self._lead)
        count = float(self._features.count[cut].sum())
        return float(self._features.w[cut].sum()) / count / self._baseline.mean if count > 0 else 1.0

    def rises(self, first: int, last: int) -> bool:
        """Tell whether the mean has risen by the ratio that matters."""
        return self.ratio(first, last) >= self._settings.ratio_min

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
        return self.ratio(first, tick) <= math.sqrt(self._settings.ratio_min)
