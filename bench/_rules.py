"""The rules that the detectors are compared with, on the same series and ticks; each returns the ticks of its alarms.

    naive         mean of 1 h above twice the mean of 7 d: the rule most people start with
    z-score 3     mean of 1 h more than 3 standard deviations above the mean of the hourly means of 7 d
    Mann-Whitney  values of 1 h against the values of the 7 d before, one-sided, p < 1e-3, as if they were independent
    adaptive      Grafana's promql-anomaly-detection, rules/adaptive.yml: 1 h mean + 2 smoothed deviations, 1.5 times
                  that mean, the same hour a day and a week ago, whichever is highest (only rises, as with all of them)

Alarms closer than twelve hours count as one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import special

from analyzer.types.metric import Series

HOUR, DAY = 4, 96
WEEK = 7 * DAY
MERGE = 48


def merged(ticks: Sequence[int]) -> list[int]:
    """Return the first tick of each group of alarms closer than twelve hours."""
    kept: list[int] = []
    last = -MERGE - 1
    for tick in ticks:
        if tick - last > MERGE:
            kept.append(tick)
        last = tick
    return kept


def naive(series: Series, factor: float = 2.0) -> list[int]:
    """Return the ticks at which the mean of the last hour is above twice the mean of the last seven days."""
    hour, week = _mean(series, HOUR), _mean(series, WEEK)
    with np.errstate(invalid="ignore"):
        return _alarms(hour > factor * week)


def z_score(series: Series, deviations: float = 3.0) -> list[int]:
    """Return the ticks at which the mean of the last hour is three deviations above that of a week of hourly means."""
    hour = _mean(series, HOUR)
    past = sliding_window_view(np.concatenate((np.full(WEEK, np.nan), hour)), WEEK)[: len(hour)]
    filled = np.nan_to_num(past)
    known = np.isfinite(past).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = filled.sum(axis=1) / known
        spread = np.sqrt(np.maximum((filled**2).sum(axis=1) / known - middle**2, 0))
        return _alarms(hour > middle + deviations * spread)


def mann_whitney(series: Series, p_max: float = 1e-3) -> list[int]:
    """Return the ticks at which the values of the last hour rank above those of the seven days before.

    Amounts are ranked by their sketches' bins, events as zeros and ones; the variance is corrected for ties.
    """
    hist = _histogram(series)
    cumulated = np.concatenate((np.zeros((1, hist.shape[1])), np.cumsum(hist, axis=0)))
    ticks = np.arange(WEEK + HOUR, len(hist) + 1)
    hour = cumulated[ticks] - cumulated[ticks - HOUR]
    week = cumulated[ticks - HOUR] - cumulated[ticks - HOUR - WEEK]
    n, m = hour.sum(axis=1), week.sum(axis=1)
    below = np.cumsum(week, axis=1) - week / 2
    u = (hour * below).sum(axis=1)
    both, total = hour + week, n + m
    with np.errstate(divide="ignore", invalid="ignore"):
        ties = (both**3 - both).sum(axis=1) / (total * (total - 1))
        z = (u - n * m / 2) / np.sqrt(n * m / 12 * (total + 1 - ties))
    high = np.zeros(len(hist), dtype=np.bool_)
    high[ticks - 1] = np.nan_to_num(special.ndtr(-z), nan=1.0) < p_max
    return _alarms(high)


def adaptive(series: Series) -> list[int]:
    """Return the ticks at which the level is above the upper band of Grafana's adaptive rule."""
    level = _mean(series, 1)
    hours = sliding_window_view(np.concatenate((np.full(HOUR - 1, np.nan), level)), HOUR)
    known = np.maximum(np.isfinite(hours).sum(axis=1), 1)
    middle = np.where(np.isfinite(hours).any(axis=1), np.nan_to_num(hours).sum(axis=1) / known, np.nan)
    spread = np.sqrt(np.nan_to_num((hours - middle[:, None]) ** 2).sum(axis=1) / known)
    with np.errstate(invalid="ignore"):
        filtered = np.where(spread > 0.5 * middle, spread, np.nan)
    width = 26 * HOUR
    recent = sliding_window_view(np.concatenate((np.full(width - 1, np.nan), filtered)), width)
    count = np.isfinite(recent).sum(axis=1)
    smoothed = np.where(count > 0, np.nan_to_num(recent).sum(axis=1) / np.maximum(count, 1), np.nan)
    bands = [middle + 2 * smoothed, 1.5 * middle]
    for back in (DAY - HOUR // 2, WEEK - HOUR // 2):
        band = np.full(len(level), np.nan)
        band[back:] = (middle + 2 * spread)[:-back]
        bands.append(band)
    with np.errstate(invalid="ignore"):
        return _alarms(level > np.fmax.reduce(bands))


def _mean(series: Series, width: int) -> np.ndarray:
    """Return the mean per unit over the last `width` ticks; not a number where there were no units."""
    sums = [np.concatenate(([0.0], np.cumsum(part))) for part in (series.total, series.count)]
    ends = np.arange(1, len(series.count) + 1)
    total, count = (part[ends] - part[np.maximum(ends - width, 0)] for part in sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(count > 0, total / count, np.nan)


def _histogram(series: Series) -> np.ndarray:
    """Return the units per tick and bin, in rising order of value."""
    if series.sketches is None:
        events, units = np.asarray(series.total), np.asarray(series.count)
        return np.stack([units - events, events], axis=1)
    used = [index for sketch in series.sketches for index in sketch]
    low = min(used)
    hist = np.zeros((len(series.sketches), max(used) - low + 1))
    for tick, sketch in enumerate(series.sketches):
        for index, count in sketch.items():
            hist[tick, index - low] = count
    return hist


def _alarms(high: np.ndarray) -> list[int]:
    """Return the merged alarms; nothing is judged in the first week."""
    ticks = np.flatnonzero(high)
    return merged(ticks[ticks >= WEEK].tolist())


RULES = {"naive": naive, "z-score 3": z_score, "Mann-Whitney": mann_whitney, "adaptive": adaptive}
