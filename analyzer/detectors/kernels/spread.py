"""Centre and spread of an amount: hours of the day, scatter within hours, drift between them."""

from __future__ import annotations

import math

import numpy as np

from analyzer.detectors.kernels.grid import TICKS_PER_HOUR, Floats, binned_quantile, by_hour, weighted_quantile

CENTRE_PRIOR_UNITS = 30.0
"""An hour's own centre weighs n / (n + 30) against the centre of all hours."""
TAU_DEFAULT, TAU_LOW, TAU_HIGH = 0.15, 0.05, 5.0
TAU_HOURS_MIN = 24
"""Fewer well-filled hours than this say too little about the drift between hours."""
TAU_PRIOR_HOURS = 48.0
"""Two days of hours weigh as much as the default: they hold two draws of a day's level."""
HOUR_UNITS_MIN = 10
LEVEL_TICKS, LEVELS_MIN = 6 * TICKS_PER_HOUR, 8
SIGMA_MIN = 0.05
"""Least spread of ln(value): an agent whose runs all cost the same is still judged in steps of the sketch."""


def centres(values: Floats, weights: Floats, hours: np.ndarray, prior_units: float = CENTRE_PRIOR_UNITS) -> Floats:
    """Return the median by hour of the day, shrunk to the median of all, shape (24,). No weight is 0.

    An hour of `prior_units` lies half way between the two.
    """
    overall = weighted_quantile(values, weights, 0.5)
    order = np.lexsort((values, hours))
    cumulated = np.concatenate(([0.0], np.cumsum(weights[order])))
    first, stop = (np.searchsorted(hours[order], np.arange(24), side=side) for side in ("left", "right"))
    n = cumulated[stop] - cumulated[first]
    middle = np.searchsorted(cumulated[1:], cumulated[first] + 0.5 * n)
    own = values[order[np.clip(middle, first, np.maximum(stop - 1, 0))]] if len(order) else np.zeros(24)
    return _shrunk(np.where(stop > first, own, overall), n, overall, prior_units)


def binned_centres(x: Floats, hourly: Floats) -> Floats:
    """Return the same of histograms by hour of the day, shape (24, bins), with bins at `x`. There is some weight."""
    overall = binned_quantile(x, hourly.sum(axis=0), 0.5)
    cumulated = np.cumsum(hourly, axis=1)
    n = cumulated[:, -1]
    middle = (cumulated >= 0.5 * n[:, None]).argmax(axis=1)
    return _shrunk(np.where(n > 0, x[middle], overall), n, overall)


def _shrunk(medians: Floats, units: Floats, overall: float, prior_units: float = CENTRE_PRIOR_UNITS) -> Floats:
    return np.asarray(overall + (medians - overall) * units / (units + prior_units))


def within_hours(units: Floats, residuals: Floats, sigma2: float, *, averaged: bool) -> tuple[float, float]:
    """Return the variance per unit and the design effect, from the scatter of ticks within their hours.

    Units that come in correlated groups scatter the ticks' means more than their own spread explains. Where only the
    means are known, that scatter is the spread, and the design effect is in it.
    """
    n, r = units.reshape(-1, TICKS_PER_HOUR), residuals.reshape(-1, TICKS_PER_HOUR)
    seen = n > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        means = by_hour(residuals) / by_hour(units)
        scatter = np.where(seen, n * (r / n - means[:, None]) ** 2, 0.0)
    freedom = float(np.maximum(by_hour(seen.astype(np.float64)) - 1, 0).sum())
    if freedom < TAU_HOURS_MIN:
        return sigma2, 1.0
    scattered = float(scatter.sum()) / freedom
    if averaged:
        return max(scattered, SIGMA_MIN**2), 1.0
    return sigma2, min(max(scattered / sigma2, 1.0), 4.0)


def between_hours(units: Floats, residuals: Floats, unit_variance: float) -> float:
    """Return the variance of the hours' levels after removing that of sampling (DerSimonian and Laird 1986)."""
    n, r = by_hour(units), by_hour(residuals)
    full = n >= HOUR_UNITS_MIN
    if int(full.sum()) < TAU_HOURS_MIN:
        return TAU_DEFAULT**2
    means = r[full] / n[full]
    drift = max(float(means.var(ddof=1) - (unit_variance / n[full]).mean()), TAU_LOW**2)
    weight = len(means) / (len(means) + TAU_PRIOR_HOURS)
    return min(weight * drift + (1 - weight) * TAU_DEFAULT**2, TAU_HIGH**2)


def level_drift(units: Floats, residuals: Floats, unit_variance: float) -> float:
    """Return the standard deviation of the level over stretches of six hours, without that of sampling.

    An hour's drift goes on into the next ones: what lasts for six hours is the drift that a rise could be mistaken for.
    0 where there are too few well-filled stretches to say.
    """
    n, r = units.reshape(-1, LEVEL_TICKS).sum(axis=1), residuals.reshape(-1, LEVEL_TICKS).sum(axis=1)
    full = n >= HOUR_UNITS_MIN
    if int(full.sum()) < LEVELS_MIN:
        return 0.0
    drift = float((r[full] / n[full]).var(ddof=1) - (unit_variance / n[full]).mean())
    return math.sqrt(max(drift, 0.0))
