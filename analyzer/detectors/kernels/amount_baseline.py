"""What is asked of an amount, what is normal for it, and what a tick is reduced to."""

from __future__ import annotations

import math
from dataclasses import dataclass

from analyzer.detectors.kernels.blocks import P_MAX
from analyzer.detectors.kernels.grid import TICKS_PER_HOUR, Bools, Floats

TAIL_SHARE = 0.05
STEP_NATS_MAX = 4.0
"""No single tick contributes more: one quarter of an hour is never proof."""


@dataclass(frozen=True, slots=True)
class AmountSettings:
    """When a rise of an amount is an anomaly."""

    shift: float = math.log(2)
    """D: the rise in ln(value) that kernel A looks for. The requirement: cost per trajectory doubled."""
    alarm_nats: float = math.log(10 * 35_040)
    """12.8: one false alarm in 10 years of 35,040 ticks each, were the model exact. Between the reference's sensitive
    (2 years) and default (50): the gate above the agent's own drift pays for it."""
    ratio_min: float = 1.6
    """A rise below this is not reported, however certain: it is within the drift of healthy agents over weeks."""
    block_p_max: float = P_MAX
    """Alarm level of kernel B, per window and tick; with the gates it gives the false alarms of docs/detectors."""
    history_days_min: float = 3.0
    """The catalogue's minimum: with fewer days a nightly batch is no habit yet."""
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
    gate: float
    """The rise of the mean below which nothing is reported: `ratio_min`, or more where the level drifts by itself."""
    gate_whole: float
    """The same, were as much known of a whole baseline: less than `gate` in an agent's first fortnight."""

    def hours_to_confirm(self, settings: AmountSettings) -> float:
        """Return how long kernel A needs for a rise by its shift: threshold over the divergence of a tick."""
        units = max(self.units_per_hour / TICKS_PER_HOUR, 1e-9)
        variance = 4 * self.tau2 + self.deff * self.sigma2 / units
        nats = min(settings.shift**2 / (2 * variance), STEP_NATS_MAX)
        return settings.alarm_nats / nats / TICKS_PER_HOUR


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
