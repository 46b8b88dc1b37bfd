"""Kernel B: tells whether a window's mean is outside what the same clock window of earlier days predicts.

A prediction interval for one more draw from a random-effects model (Higgins, Thompson and Spiegelhalter 2009): the
same window on K earlier days gives a centre (median) and a spread between days; to it come the sampling variance of
the window itself and the uncertainty of the centre; the tail is Student's t with K - 1 degrees of freedom. It looks at
means, so it sees a few very dear trajectories among many cheap ones, which a location statistic does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special

from analyzer.detectors.kernels.grid import TICKS_PER_DAY, Bools, Floats, windowed

WINDOWS_H: tuple[tuple[int, int], ...] = ((1, 60), (4, 60), (24, 30))
"""Length of each window in hours and the fewest units it must hold."""
EARLIER_DAYS = 14
BLOCKS_MIN = 5
BLOCK_UNITS_MIN = 5
P_MAX = 3e-4
"""Alarm level; with the gates it gives the default false-alarm budget (docs/detectors/README.md)."""
PERSISTENCE_TICKS = 3
"""Consecutive ticks that must agree: one dear quarter of an hour stays in a window for as long as the window."""
RECURRENCE_RATIO_MIN = 1.25
"""The window must also exceed the same window one and two weeks ago by this: a weekly job is no anomaly."""
TAU_MIN = 0.05
"""Least spread between days in ln(mean): no fleet is steadier than 5 %."""
_NO_BLOCK = -1.0
_ROUNDED = 1e-9
"""More than a logarithm and a difference are rounded by."""


@dataclass(frozen=True, slots=True)
class Sums:
    """What kernel B adds up over the context [0, ticks): units, winsorised values, and their squares."""

    n: Floats
    w: Floats
    w2: Floats | None
    """None where the values themselves are not known, only their mean."""

    @staticmethod
    def of(n: Floats, w: Floats, w2: Floats | None = None) -> Sums:
        """Return the sums of values per tick. They are cumulated once, for windows of every length."""
        return Sums(np.cumsum(n), np.cumsum(w), None if w2 is None else np.cumsum(w2))

    def over(self, width: int) -> tuple[Floats, Floats]:
        """Return units and values of the `width` ticks that end with each tick."""
        return windowed(self.n, width), windowed(self.w, width)


def block_scores(
    sums: Sums, history: Sums, start: int, hours: int, units_min: int, cv2: float, deff: float, ratio_min: float
) -> Floats:
    """Return -ln p per tick from `start` on for one window length; -1 where the window is silent or gated out.

    `history` is `sums` with the short episodes left in: what came back at the same hour of the week is a schedule.
    """
    width = hours * TICKS_PER_DAY // 24
    n, w = sums.over(width)
    if not (n[start:] >= units_min).any():
        return np.full(len(n) - start, _NO_BLOCK)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_mean = np.where((n > 0) & (w > 0), np.log(w / n), np.nan)
    now_n, now = n[start:], log_mean[start:]
    past, known = _earlier(start, len(n), width)
    past_n = np.where(known, n[past], 0.0)
    past_mean = np.where(known, log_mean[past], np.nan)
    usable = (past_n >= np.maximum(BLOCK_UNITS_MIN, now_n / 4)) & np.isfinite(past_mean)
    count = usable.sum(axis=0)
    out = np.full(len(now), _NO_BLOCK)
    least = math.log(ratio_min)
    # A median lies below a level only where half of what it is of does: most days are done with a count.
    below = (usable & (past_mean <= now - least + _ROUNDED)).sum(axis=0)
    open_ = (count >= BLOCKS_MIN) & (now_n >= units_min) & np.isfinite(now) & (2 * below >= count)
    if not open_.any():
        return out
    centre = median(past_mean[:, open_], usable[:, open_])
    rise_all = now[open_] - centre
    ticks_high = np.flatnonzero(open_)[rise_all >= least]
    if not len(ticks_high):
        return out
    means, use = past_mean[:, ticks_high], usable[:, ticks_high]
    k, n_high = count[ticks_high], now_n[ticks_high]
    rise = rise_all[rise_all >= least]
    spread = 1.4826 * median(np.abs(means - median(means, use)), use)
    inverse = median(1 / np.maximum(past_n[:, ticks_high], 1e-9), use)
    own = np.full(len(rise), cv2)
    if sums.w2 is not None:
        w_high, w2_high = w[start:][ticks_high], windowed(sums.w2, width)[start:][ticks_high]
        own = np.maximum(own, n_high * w2_high / np.maximum(w_high, 1e-300) ** 2 - 1)
    tau2 = np.maximum(spread**2 - cv2 * deff * inverse, TAU_MIN**2)
    variance = tau2 + own * deff / n_high + spread**2 / k
    p = special.stdtr(k - 1, -rise / np.sqrt(variance))
    score = -np.log(np.maximum(p, 1e-300))
    usual = centre[rise_all >= least]
    recurring = _recurs(now[ticks_high], usual, history, start + ticks_high, width, ratio_min)
    out[ticks_high] = np.where(recurring, _NO_BLOCK, score)
    return out


@lru_cache(maxsize=64)
def _earlier(start: int, stop: int, width: int) -> tuple[np.ndarray, Bools]:
    """Return for ticks [start, stop) the same tick of each earlier day, 0 where there is none, and where one is known.

    Nearly every day asks for the same; both have shape (days, ticks).
    """
    past = np.arange(start, stop)[None, :] - TICKS_PER_DAY * np.arange(1, EARLIER_DAYS + 1)[:, None]
    # A window that would begin before the context has seen only part of its hours: it is no block.
    return np.maximum(past, 0), past >= width - 1


def median(values: Floats, usable: Bools) -> Floats:
    """Return the median of the usable values of each column; every column has at least one."""
    ordered = np.sort(np.where(usable, values, np.inf), axis=0)
    k = usable.sum(axis=0)
    columns = np.arange(values.shape[1])
    return np.asarray((ordered[(k - 1) // 2, columns] + ordered[k // 2, columns]) / 2)


def _recurs(now: Floats, usual: Floats, history: Sums, at: np.ndarray, width: int, ratio_min: float) -> Bools:
    """Tell at which ticks the same window one or two weeks ago was almost as high.

    Where that window stood out itself, the rise over it must be one that would be reported: a weekly job that takes a
    third more this week is as much within the drift as any other hour.
    """
    n, w = history.over(width)
    recurring = np.zeros(len(at), dtype=np.bool_)
    for weeks in (1, 2):
        past = at - weeks * 7 * TICKS_PER_DAY
        known = np.maximum(past, 0)
        seen = (past >= width - 1) & (n[known] >= BLOCK_UNITS_MIN) & (w[known] > 0)
        before = np.log(np.where(seen, w[known] / np.maximum(n[known], 1e-9), 1.0))
        stood_out = before - usual >= math.log(RECURRENCE_RATIO_MIN)
        needed = np.where(stood_out, math.log(ratio_min), math.log(RECURRENCE_RATIO_MIN))
        recurring |= seen & (now - before < needed)
    return recurring


def persistent(high: Bools, ticks: int) -> Bools:
    """Return where the last `ticks` ticks are all high."""
    lasting = high.copy()
    for back in range(1, ticks):
        lasting[back:] &= high[:-back]
    lasting[: ticks - 1] = False
    return lasting
