"""The price index of an agent: what its tokens cost over what the same tokens cost at the baseline's prices.

A price index at the prices of the base period, by Laspeyres' principle (International Monetary Fund 2004, Producer
Price Index Manual, chapter 1); its basket are the tokens of each tick: the question is whether these became dearer.
While a token of a part costs what it did it is 1, however many tokens, steps and tries there are and whatever part of
them comes from a cache. It moves with the prices of the models, and with the share of the work that each of them does.

The index of the ticks is judged as any amount is (`amounts`), by kernels A and B, with three differences: an hour of
the day has its own centre from few units on, so that a nightly batch on another model is known; the drift between hours
is measured and not assumed, for where there is one model there is none; and some trajectories must have been seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import ClassVar

import numpy as np

from analyzer.detectors.kernels.amount_baseline import AmountBaseline, AmountSettings
from analyzer.detectors.kernels.amount_view import AmountView, Weekly
from analyzer.detectors.kernels.amounts import Amounts
from analyzer.detectors.kernels.blocks import P_MAX
from analyzer.detectors.kernels.grid import TICKS_PER_DAY, TICKS_PER_HOUR, Bools, Floats, Grid, by_hour
from analyzer.detectors.kernels.learning import Learning, learning_ticks, limit, predictive
from analyzer.detectors.kernels.model import Block, Cusum, Masks
from analyzer.detectors.kernels.spread import TAU_DEFAULT, TAU_HIGH, TAU_HOURS_MIN, TAU_LOW
from analyzer.detectors.kernels.tariff import tariff_of
from analyzer.types.metric import TICK_S, Series


@dataclass(frozen=True, slots=True)
class PriceSettings(AmountSettings):
    """When a rise of the price index is an anomaly."""

    shift: float = math.log(1.3)
    """D: the rise in ln(index) that kernel A looks for: the least of those that the detector is made for (a price list
    that rises by 1.3; from a model to the next dearer one it is 1.67 and more)."""
    alarm_nats: float = math.log(10 * 35_040)
    """12.8: one false alarm in 10 years of 35,040 ticks each, were the model exact; as of `cost`."""
    ratio_min: float = 1.2
    """A rise below this is not reported, however certain: a little work that moves between models is no incident.
    Where the mix of models drifts by itself it is more, as of `cost`."""
    block_p_max: float = P_MAX
    """Alarm level of kernel B, per window and tick; as of `cost`."""
    history_days_min: float = 3.0
    """The catalogue's minimum: with fewer days a nightly batch on another model is no habit yet."""
    units_min: float = 30.0
    """Trajectories the baseline must hold: prices scatter little, but the mix of models has to be seen."""
    risen_units_min: float = 5.0
    """Trajectories that must have been seen since the rise: fewer may be one user's choice of a model."""


ALIKE = 0.01
"""Where one list of prices gives what every tick cost to this part of it, nothing has become dearer, however little the
baseline could say of a part that it hardly bought."""
STEADY = 0.001
"""... and where it does so to this, on all there is, no stretch of it holds a rise: most agents are done with that."""


@dataclass(frozen=True, slots=True)
class PriceBaseline(AmountBaseline):
    """What is normal for a price index, and the index at the prices of that time."""

    index: Index = field(kw_only=True)
    """The index of every tick."""
    usd: Floats = field(kw_only=True)
    """What the tokens of each tick cost at the baseline's prices, shape (ticks,)."""


class Index(Amounts):
    """The index of each tick, as a value of every trajectory in it."""

    centre_prior_units: ClassVar[float] = 3.0
    """A nightly batch of five runs is known by the fourth night, where a price of its own stands out in every run."""
    weekly: ClassVar[Weekly] = Weekly(prior_units=2.0, rise_min=math.log(1.1))
    """... and a weekly one by the second time: half of the least rise that is reported, from a few runs an hour."""

    def _widened(self, drift: float, days: float) -> float:
        """Return how far the level may be from what few days say: prices drift with the own mix, not as others' do."""
        return drift * math.sqrt(predictive(days))

    def learnt(self, day: int, masked: Bools) -> AmountBaseline | None:
        """Return a baseline whose drift between hours was measured, from hours of any volume."""
        base = self.baseline(day, masked)
        if base is None:
            return None
        days = learning_ticks(day)
        seen = self.features(base, days.start, days.stop, masked[days])
        return replace(base, tau2=_tau2(by_hour(seen.units), by_hour(seen.residuals), base.sigma2))


def _tau2(units: Floats, residuals: Floats, unit_variance: float) -> float:
    """Return the variance of the hours' levels after removing that of sampling, as `spread.between_hours` does."""
    seen = units > 0
    if int(seen.sum()) < TAU_HOURS_MIN:
        return TAU_DEFAULT**2
    means = residuals[seen] / units[seen]
    drift = float(means.var(ddof=1) - (unit_variance / units[seen]).mean())
    return min(max(drift, TAU_LOW**2), TAU_HIGH**2)


class Prices(Learning[PriceSettings]):
    """A series of `Signal.PRICE` as the walk sees it."""

    unlearnt: ClassVar[str] = "what its tokens cost is not known yet: too few hours with a cost"

    def __init__(self, grid: Grid, series: Series, settings: PriceSettings) -> None:
        self.grid, self.settings = grid, settings
        self.warm = grid.first + int(settings.history_days_min * TICKS_PER_DAY)
        self._bought = np.zeros((len(grid.n), 4))
        first = (series.start_s - grid.start_s) // TICK_S
        for part, tokens in enumerate(series.bought.parts if series.bought is not None else ()):
            self._bought[first : grid.stop, part] = tokens[: grid.stop - first]
        self._bought[grid.n <= 0] = 0.0

    def scatter(self, stop: int) -> float:
        """Return how far the ticks before one are at most off what one list of prices for all of them gives, in ln."""
        bought, usd = self._bought[:stop], self.grid.total[:stop]
        seen = usd > 0
        tariff = tariff_of(bought, usd)
        if tariff is None:
            return math.inf
        usual = bought[seen] @ tariff.prices
        return float(np.abs(np.log(usd[seen] / np.maximum(usual, 1e-300))).max())

    def baseline(self, day: int, masked: Bools) -> PriceBaseline | None:
        """Learn prices, and how the index at these prices scatters, from the trailing 14 days less the last one."""
        days = learning_ticks(day)
        if self.units_learnt(day, masked) < self.settings.units_min:
            return None
        keep = np.flatnonzero(~masked[days]) + days.start
        fall = self._fall(days.start, day * TICKS_PER_DAY, masked)
        tariff = tariff_of(self._bought[keep], self.grid.total[keep])
        if tariff is None:
            return None
        usd = tariff.cost(self._bought)
        if fall is not None:
            since = tariff_of(self._bought[fall[0]], self.grid.total[fall[0]])
            before = tariff_of(self._bought[fall[1]], self.grid.total[fall[1]])
            if since is not None and before is not None:
                first = fall[0][0]
                masked = masked | self._day_of_the_fall(first)
                usd = np.concatenate((before.cost(self._bought[:first]), since.cost(self._bought[first:])))
        with np.errstate(divide="ignore", invalid="ignore"):
            level = np.where(usd > 0, self.grid.total / usd, 0.0)
        index = Index(replace(self.grid, total=self.grid.n * level, hist=None, x=np.empty(0)), self.settings)
        base = index.learnt(day, masked)
        if base is None:
            return None
        return PriceBaseline(**{one.name: getattr(base, one.name) for one in fields(base)}, index=index, usd=usd)

    def _day_of_the_fall(self, first: int) -> Bools:
        """Return the whole day before a tick: it has both prices, and is learnt from by neither."""
        ticks = np.arange(len(self.grid.n))
        began = first // TICKS_PER_DAY * TICKS_PER_DAY
        return np.asarray((ticks < first) & (ticks >= began - TICKS_PER_DAY))

    def _fall(self, start: int, stop: int, masked: Bools) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the ticks of the last whole days that have one list of prices, and those before, if they were dearer.

        A price that fell is the price from then on: against a fortnight that was dearer the next rise would be none. So
        the index is chained there, each side at its own prices. The last day counts too: a fall hides no rise.
        """
        seen = ~masked & (self.grid.total > 0)
        for first in range(start + TICKS_PER_DAY, stop, TICKS_PER_DAY):
            since = np.flatnonzero(seen[first:stop]) + first
            tariff = tariff_of(self._bought[since], self.grid.total[since])
            if tariff is None or self.grid.n[since].sum() < self.settings.units_min:
                return None
            if np.abs(np.log(self.grid.total[since] / tariff.cost(self._bought[since]))).max() < ALIKE:
                old = np.flatnonzero(seen[start : first - TICKS_PER_DAY]) + start
                fell = self.grid.total[old].sum() > self.settings.ratio_min * tariff.cost(self._bought[old]).sum()
                return (since, old) if fell else None
        return None

    def view(self, baseline: PriceBaseline, start: int, stop: int, masks: Masks) -> PriceView:
        """Judge ticks [start, stop) by a baseline."""
        return PriceView(self, baseline, baseline.index.view(baseline, start, stop, masks), start)

    def measured(self, baseline: PriceBaseline, first: int, stop: int) -> tuple[float, float]:
        """Return USD per trajectory over ticks [first, stop), and what their tokens cost by the baseline.

        Where nothing ran there are no tokens: then it is what a trajectory of the baseline cost.
        """
        cut = slice(max(first, 0), stop)
        of = float(self.grid.n[cut].sum())
        if of <= 0:
            return 0.0, self.measured(baseline, baseline.start, baseline.stop)[1]
        hours = np.arange(cut.start, cut.stop) % TICKS_PER_DAY // TICKS_PER_HOUR
        usual = float((baseline.usd[cut] * np.exp(baseline.centre[hours])).sum()) * baseline.mean
        return float(self.grid.total[cut].sum()) / of, usual / of

    def detectable(self, baseline: PriceBaseline) -> str:
        """Say how long a rise by the shift looked for takes to confirm at this volume."""
        hours = max(
            baseline.hours_to_confirm(self.settings),
            self.settings.risen_units_min / max(baseline.units_per_hour, 1e-9),
        )
        return limit(baseline.units_per_hour, f"a price {math.exp(self.settings.shift):.2g} times as high", hours)


class PriceView:
    """Ticks of a price index judged by one baseline: those of the index, with what they are in money."""

    def __init__(self, model: Prices, baseline: PriceBaseline, index: AmountView, start: int) -> None:
        self._model, self._baseline, self._index, self._start = model, baseline, index, start

    @property
    def cusums(self) -> tuple[Cusum, ...]:
        """Kernel A."""
        return self._index.cusums

    def blocks(self) -> tuple[Block, ...]:
        """Kernel B."""
        return tuple(replace(block, fires=self._dearer(block.fires)) for block in self._index.blocks())

    def _dearer(self, fires: Bools) -> Bools:
        """Return which of some alarms are none of what one list of prices explains, up to their own tick."""
        kept = fires.copy()
        for at in np.flatnonzero(fires).tolist():
            if self._model.scatter(self._start + at + 1) > ALIKE:
                break
            kept[at] = False
        return kept

    def rises(self, first: int, last: int) -> bool:
        """Tell whether prices have risen by what matters, over more than a few trajectories."""
        enough = self._units(first, last) >= self._model.settings.risen_units_min
        return enough and self._index.rises(first, last) and self._model.scatter(last + 1) > ALIKE

    def _units(self, first: int, last: int) -> float:
        return float(self._model.grid.n[max(first, 0) : last + 1].sum())

    def back(self, index: int, size: float) -> Floats:
        """See `walk.View`."""
        return self._index.back(index, size)

    def settled(self, tick: int) -> bool:
        """See `walk.View`."""
        return self._index.settled(tick)

    def measured(self, first: int, last: int) -> tuple[float | None, float]:
        """Return USD per trajectory over ticks [first, last], and what their tokens would have cost before."""
        value, expected = self._model.measured(self._baseline, first, last + 1)
        return value if self._units(first, last) > 0 else None, expected

    def effect(self, first: int, last: int) -> str:
        """Say how many times as dear tokens are, and how many times they must be."""
        return self._index.effect(first, last)
