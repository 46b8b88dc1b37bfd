"""What is asked of an amount, what is normal for it, and what a tick is reduced to."""

from __future__ import annotations

import math
from dataclasses import dataclass

from analyzer.detectors.kernels.blocks import P_MAX
from analyzer.detectors.kernels.grid import Bools, Floats

TAIL_SHARE = 0.05


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
