"""A series of amounts such as cost per trajectory, and what is normal for it, for kernels A, B and C.

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
from functools import lru_cache
from typing import ClassVar

import numpy as np

from analyzer.detectors.kernels.amount_baseline import TAIL_SHARE, AmountBaseline, AmountSettings, Features
from analyzer.detectors.kernels.amount_view import AmountView, Size, Weekly
from analyzer.detectors.kernels.grid import (
    TICKS_PER_DAY,
    TICKS_PER_HOUR,
    Bools,
    Floats,
    Grid,
    Ints,
    binned_quantile,
    weighted_quantile,
    weighted_quantiles,
)
from analyzer.detectors.kernels.learning import HELD_OUT_DAYS, LEARNT_DAYS, Learning, learning_ticks, limit, predictive
from analyzer.detectors.kernels.model import Masks
from analyzer.detectors.kernels.proportion import overdispersion
from analyzer.detectors.kernels.spread import (
    CENTRE_PRIOR_UNITS,
    SIGMA_MIN,
    TAU_DEFAULT,
    between_hours,
    binned_centres,
    centres,
    level_drift,
    within_hours,
)

CONTEXT_DAYS = 15
"""A window of 24 h, 14 days ago, begins 15 days ago."""
CLIP_SIGMAS = 3.0
WINSOR_FACTOR = 1.5
"""Values above 1.5 times the baseline's 99th percentile count as that much: one runaway is no shift of the mean."""
SINGLE_MAX, SINGLE_SHARE = 3, 0.01
"""More units above the cap, and a larger share, are no single runaways: above a 99th percentile lies by its definition
less than one in a hundred, and three are what a small sample has of them by chance (Poisson of mean 1: 98 %)."""
AMOUNT_MIN = 1e-12
"""A tick whose amounts add up to less has none: what is left of a subtraction of counters is no price."""
CAP_MIN = 4.0
"""... but four times the usual always counts in full: where no run differs from another, a doubling must still show."""
GATE_DEVIATIONS = 4.5
GATE_MAX = 1.8
"""... but a doubling is never within the drift."""
DRIFT_PRIOR = 0.12
"""Deviation of ln(level) over six hours of an agent that is not known yet: hours of 5 to 15 % and days of 6 % together,
as the reference's fleets have them."""
DRIFT_PRIOR_DAYS = 13.0
"""What that is worth in days. The variances of those fleets' levels scatter by 0.4 of their mean, that of a variance
measured over n days by sqrt(2 / n): 2 / 0.4^2 = 12.5, about a whole baseline. The two are averaged by their days, as
under a scaled inverse chi-square prior (Gelman and others 2013, section 2.6)."""
_HOUR = np.arange(TICKS_PER_DAY) // TICKS_PER_HOUR


@lru_cache(maxsize=8)
def _hours(ticks: int) -> np.ndarray:
    """Return the hour of the day of each tick of whole days."""
    return np.tile(_HOUR, ticks // TICKS_PER_DAY)


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


class Amounts(Learning[AmountSettings]):
    """A series of amounts as the walk sees it."""

    centre_prior_units: ClassVar[float] = CENTRE_PRIOR_UNITS
    """Units of an hour of the day from which on its own centre counts for more than that of all hours."""
    weekly: ClassVar[Weekly] = Weekly()

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
        self._by_hour = None if grid.hist is None else _by_hour(grid.hist)
        """Units by hour of the day, day and quarter of the hour, shape (24, days, 4, bins): laid once for all days."""
        self._before = np.empty(0) if self._by_hour is None else _cumulated(self._by_hour)
        """Units by hour of the day and bin before each day, shape (days + 1, 24, bins): baselines differ by a day."""

    def baseline(self, day: int, masked: Bools) -> AmountBaseline | None:
        """Learn from the trailing 14 days less the last one; None with fewer than 50 units in them."""
        grid = self.grid
        days = learning_ticks(day)
        start, stop = days.start, days.stop
        if stop <= max(start, grid.first):
            return None
        keep = ~masked[start:stop]
        units = float(self._valued[start:stop][keep].sum())
        if units < self.settings.units_min:
            return None
        by_hour = self._hourly(start, stop, keep)
        values, weights, hours = self._samples(by_hour, start, stop, keep)
        if by_hour is None:
            centre, high = centres(values, weights, hours, self.centre_prior_units), -math.inf
        else:
            centre, high = binned_centres(self.grid.x, by_hour), binned_quantile(self.grid.x, by_hour.sum(axis=0), 0.9)
        residuals = values - centre[hours]
        scale = 1.4826 * weighted_quantile(np.abs(residuals), weights, 0.5)
        clip = max(CLIP_SIGMAS * scale, 2 * self.settings.shift)
        clipped, weight = np.clip(residuals, -clip, clip), weights.sum()
        offset = float((clipped * weights).sum() / weight)
        sigma2 = max(float(((clipped - offset) ** 2 * weights).sum() / weight), SIGMA_MIN**2)
        highest, tail = weighted_quantiles(residuals, weights, (0.99, 1 - TAIL_SHARE))
        draft = AmountBaseline(
            start=max(start, grid.first),
            stop=stop,
            centre=centre,
            offset=offset,
            clip=clip,
            sigma2=sigma2,
            deff=1.0,
            tau2=TAU_DEFAULT**2,
            tail=tail,
            tail_tau2=0.0,
            cap=max(WINSOR_FACTOR * math.exp(highest), CAP_MIN),
            mean=1.0,
            cv2=0.0,
            high=high,
            gate=self.settings.ratio_min,
            gate_whole=self.settings.ratio_min,
            units_per_hour=units / max(float(keep[max(grid.first - start, 0) :].sum()), 1.0) * TICKS_PER_HOUR,
        )
        return self._calibrated(draft, start, stop, keep)

    @property
    def learnt_from(self) -> Floats:
        """Units with a value per tick: the others tell nothing of what is normal."""
        return self._valued

    def detectable(self, baseline: AmountBaseline) -> str:
        """Say how long a rise by the shift looked for takes to confirm at this volume."""
        factor = math.exp(self.settings.shift)
        what = "a doubling" if math.isclose(factor, 2.0) else f"a rise to {factor:.2g} times as much"
        return limit(baseline.units_per_hour, what, baseline.hours_to_confirm(self.settings))

    def _hourly(self, start: int, stop: int, keep: Bools) -> Floats | None:
        """Return the units of whole days by hour of the day and bin; None where there is no distribution."""
        if self.grid.hist is None:
            return None
        by_hour = np.asarray(self._before[stop // TICKS_PER_DAY] - self._before[start // TICKS_PER_DAY])
        if not keep.all():
            np.subtract.at(by_hour, _hours(stop - start)[~keep], self.grid.hist[start:stop][~keep])
        return by_hour

    def _samples(self, by_hour: Floats | None, start: int, stop: int, keep: Bools) -> tuple[Floats, Floats, np.ndarray]:
        """Return ln(values), weights and hours of the day of whole days: bins by hour, or the ticks' means."""
        if by_hour is None:
            seen = keep & np.isfinite(self._means[start:stop])
            return self._means[start:stop][seen], self.grid.n[start:stop][seen], _hours(stop - start)[seen]
        hours, bins = np.nonzero(by_hour)
        return self.grid.x[bins], by_hour[hours, bins], hours

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
        drift = level_drift(seen.units, seen.residuals, sigma2 * deff)
        return replace(
            draft,
            sigma2=sigma2,
            deff=deff,
            tau2=between_hours(seen.units, seen.residuals, sigma2 * deff),
            gate=self._gate(self._widened(drift, (stop - draft.start) / TICKS_PER_DAY)),
            gate_whole=self._gate(drift),
            tail_tau2=overdispersion(seen.tails, seen.units, np.full(len(seen.units), TAIL_SHARE)),
            mean=mean,
            cv2=unit_variance / mean**2,
        )

    def _gate(self, drift: float) -> float:
        """Return the rise that must be exceeded: so many deviations of what the level does by itself."""
        return max(self.settings.ratio_min, min(math.exp(GATE_DEVIATIONS * drift), GATE_MAX))

    def _widened(self, drift: float, days: float) -> float:
        """Return how far the level may be from what a baseline of few days expects of it.

        It has seen few of the days that it will see, so that its agent may drift as much as others do; and its level is
        a mean of as few, which drifted too.
        """
        if days >= LEARNT_DAYS:
            return drift
        prior = max(drift, DRIFT_PRIOR)
        variance = (days * drift**2 + DRIFT_PRIOR_DAYS * prior**2) / (days + DRIFT_PRIOR_DAYS)
        return math.sqrt(variance * predictive(days))

    def size(self, baseline: AmountBaseline, start: int, stop: int, masked: Bools | None = None) -> Size:
        """Measure ticks [start, stop): at their true mean, unless only single runaways lie above the cap.

        Of what is measured the figures of findings and of `why-not` are made: `masked` ticks are in neither.
        """
        masked = np.zeros(stop - start, dtype=np.bool_) if masked is None else masked
        kept = np.flatnonzero(~masked) + start
        base = self._moved(baseline, kept)
        seen = self.features(base, start, stop, masked)
        of, centre = float(seen.count.sum()), np.exp(base.centre[_HOUR[np.arange(start, stop) % TICKS_PER_DAY]])
        if of <= 0:
            return Size(0.0, 0.0, float(centre.mean()) * base.mean, is_capped=False)
        expected = float((seen.count * centre).sum()) * base.mean / of
        is_capped = self._only_singles(base, kept)
        total = float((seen.usd if is_capped else self.grid.total[kept]).sum())
        return Size(of, total / of, expected, is_capped)

    def _moved(self, baseline: AmountBaseline, ticks: Ints) -> AmountBaseline:
        """Return the baseline with its cap raised by what the median of some ticks lies above its own.

        A cap made for the old level would hide how far a whole distribution has moved.
        """
        hours = _HOUR[ticks % TICKS_PER_DAY]
        if self.grid.hist is None:
            seen = np.isfinite(self._means[ticks])
            residuals = self._means[ticks][seen] - baseline.centre[hours][seen]
            weights = self.grid.n[ticks][seen]
        else:
            residuals = (self.grid.x[None, :] - baseline.centre[hours][:, None]).ravel()
            weights = self.grid.hist[ticks].ravel()
        if not weights.any():
            return baseline
        rise = max(weighted_quantile(residuals, weights, 0.5), 0.0)
        return replace(baseline, cap=baseline.cap * math.exp(rise))

    def _only_singles(self, baseline: AmountBaseline, ticks: Ints) -> bool:
        """Tell whether what lies above the cap in some ticks is a few runaways, and not how the agent now is.

        Without a distribution a runaway cannot be told from the rest of its tick: then ticks are counted.
        """
        centre = baseline.centre[_HOUR[ticks % TICKS_PER_DAY]]
        if self.grid.hist is None:
            means = self._means[ticks]
            dear, units = np.sum(means > centre + math.log(baseline.cap)), np.isfinite(means).sum()
        else:
            hist = self.grid.hist[ticks]
            dear, units = hist[self.grid.x[None, :] > centre[:, None] + math.log(baseline.cap)].sum(), hist.sum()
        return bool(dear <= SINGLE_MAX or dear <= SINGLE_SHARE * units)

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
        assert self._by_hour is not None  # noqa: S101 - the caller asked
        x = self.grid.x
        residual = x[None, :] - baseline.centre[:, None]
        w = np.minimum(np.exp(np.minimum(residual, 700.0)), baseline.cap)
        clipped = np.clip(residual, -baseline.clip, baseline.clip) - baseline.offset
        usd = w * np.exp(baseline.centre)[:, None]
        weights = np.empty((*residual.shape, 6))
        for at, part in enumerate((1.0, clipped, residual > baseline.tail, w, w * w, usd)):
            weights[..., at] = part
        whole = slice(days.start // TICKS_PER_DAY, days.stop // TICKS_PER_DAY)
        sums = self._by_hour[:, whole].reshape(24, -1, len(x)) @ weights
        sums = sums.reshape(24, -1, TICKS_PER_HOUR, weights.shape[-1]).transpose(1, 0, 2, 3)
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
        return AmountView(
            baseline,
            self.settings,
            features,
            history,
            start - context,
            start,
            has_tail=has_tail,
            weekly=self.weekly,
            size=lambda first, stop: self.size(baseline, first, stop, masks.episodes[first:stop]),
        )


def _by_hour(hist: Floats) -> Floats:
    return np.ascontiguousarray(hist.reshape(-1, 24, TICKS_PER_HOUR, hist.shape[1]).transpose(1, 0, 2, 3))


def _cumulated(by_hour: Floats) -> Floats:
    hours = by_hour.sum(axis=2).transpose(1, 0, 2)
    return np.concatenate((np.zeros((1, *hours.shape[1:])), np.cumsum(hours, axis=0)))
