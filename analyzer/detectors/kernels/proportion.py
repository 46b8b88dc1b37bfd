"""Kernel A': the CUSUM of a proportion, with the over-dispersion that real rates have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from analyzer.detectors.kernels.episode import rate_gain
from analyzer.detectors.kernels.grid import Floats, by_hour
from analyzer.detectors.kernels.model import Cusum

_T = TypeVar("_T", float, Floats)

DISCOUNT_BASE = 1.2
"""Even without drift the evidence of a tick counts 1 / 1.2: units are never quite independent."""
PRIOR_EVENTS = 300.0
"""The measured drift of a rate weighs as much as its prior when this many events were seen; below, moments of hourly
rates are mostly noise."""
PRIOR_HOURS = 48.0
"""... and this many hours were: a busy agent has many events in few hours, each with one draw of the drift."""
PRIOR_DRIFT = 0.5
"""Prior standard deviation of an hour's rate, relative to the rate."""
STEP_NATS_MAX = 4.0


def overdispersion(events: Floats, units: Floats, rate: Floats) -> float:
    """Return tau^2, the variance of the hourly rates beyond the binomial, relative to the squared rate.

    All arrays have shape (ticks,), whole hours. By moments over the hours, pooled: the sum of (y - n p)^2 - n p q over
    the sum of n (n - 1) p^2, shrunk to the prior where few events were seen. 0 where nothing was seen.
    """
    y, n, expected, variance = (by_hour(part) for part in (events, units, units * rate, units * rate * (1 - rate)))
    # Hours differ in volume a hundredfold; a pooled sum lets the busiest hours speak, with one weight for each pair.
    pairs = float(
        (np.maximum(expected**2 - expected * np.divide(expected, n, where=n > 0, out=np.zeros_like(n)), 0)).sum()
    )
    measured = max(float(((y - expected) ** 2 - variance).sum()) / pairs, 0.0) if pairs > 0 else 0.0
    hours = float((n > 0).sum())
    weight = float(y.sum()) / (float(y.sum()) + PRIOR_EVENTS) * hours / (hours + PRIOR_HOURS)
    return weight * measured + (1 - weight) * PRIOR_DRIFT**2


def discount(tau2: float, units: _T, rate: _T) -> _T:
    """Return D_n = 1.2 + 4 tau^2 n p / q."""
    return DISCOUNT_BASE + 4 * tau2 * units * rate / (1 - rate)


@dataclass(frozen=True, slots=True)
class Proportion:
    """A proportion per tick against its usual rate; all arrays have shape (ticks,)."""

    events: Floats
    units: Floats
    rate: Floats
    tau2: float
    """Relative variance of an hour's rate beyond the binomial."""
    step_nats_max: float = STEP_NATS_MAX
    """No single tick contributes more."""

    @property
    def discount(self) -> Floats:
        """D_n = 1.2 + 4 tau^2 n p / q turns the binomial likelihood into a quasi-likelihood.

        tau^2 is relative to the squared rate, and the four quarter-hours of an hour share their level.
        """
        return discount(self.tau2, self.units, self.rate)

    def llr(self, risen: Floats, margin: float = 1.0) -> Floats:
        """Return the discounted log-likelihood ratio of `risen` against `margin` times the usual rate, per tick."""
        usual = np.minimum(self.rate * margin, (self.rate + risen) / 2)
        misses = self.units - self.events
        ratio = self.events * np.log(risen / usual) + misses * np.log((1 - risen) / (1 - usual))
        return np.asarray(np.clip(ratio / self.discount, -self.step_nats_max, self.step_nats_max))

    def cusum(self, kernel: str, threshold: float, up: Floats) -> Cusum:
        """Return the CUSUM that sums `up` over this proportion."""
        effect = np.where(self.units > 0, self.events / np.maximum(self.units, 1e-9) - self.rate, 0.0)
        precision = self.units / (self.rate * (1 - self.rate) * self.discount)
        return Cusum(
            kernel,
            threshold,
            up,
            effect,
            precision,
            lambda: rate_gain(self.events, self.units, self.rate, self.discount),
        )
