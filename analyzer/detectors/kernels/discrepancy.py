"""Two counts of the same work, tick by tick: since when one of them misses more than it may.

Page's CUSUM for the share that is missing. Of `full` units the other side has `short`; if each is missed with
probability p, what is missing is nearly Poisson with mean p x full (the two count the same events, so that nothing else
is random), and a tick adds `missing x ln(p1 / p0) - (p1 - p0) x full` nats for p1 over p0. Between its ends the sum is
blind to when a unit was counted: what one side counts a little later cancels. At both ends of a stretch everything that
was counted within `edge` ticks may belong to the other side of the boundary, and is given away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_SMOOTHED = 4
"""Ticks of an hour."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shares:
    """Which shares are told apart, and how surely."""

    usual: float
    """Share that may be missing at all times (p0)."""
    missing: float
    """Share that is one too many (p1)."""
    alarm_nats: float
    """Evidence that opens an episode, and as much closes it."""


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A stretch in which one side is short."""

    onset: int
    """First tick."""
    stop: int
    """One past the last tick: the recovery, or the end of what was seen."""
    score: float
    closed: int | None
    """The tick that showed the recovery; None while it goes on."""


def discrepancies(full: Floats, short: Floats, unit: float, edge: int, shares: Shares) -> list[Discrepancy]:
    """Return the stretches in which `short` misses too much of `full`, in order of time.

    Both have a value per tick, `unit` is how much of it is one independent event: 1 for counts, E[x^2] / E[x] for sums
    of amounts x, whose variance it restores. A stretch is over when the evidence against it, since the most that was
    for it, is as strong as what opened it.
    """
    if unit <= 0 or len(full) == 0:
        return []
    weight = math.log(shares.missing / shares.usual)
    gains = ((full - short) * weight - (shares.missing - shares.usual) * full) / unit
    total = np.concatenate(([0.0], np.cumsum(gains)))
    given = weight * np.maximum(_around(full, edge), _around(short, edge)) / unit
    high, low = total + given, total - given
    found: list[Discrepancy] = []
    begin = 0
    while begin < len(total):
        risen = low[begin:] - np.minimum.accumulate(high[begin:])
        over = np.flatnonzero(risen > shares.alarm_nats)
        if not len(over):
            break
        alarmed = begin + int(over[0])
        onset = begin + int(np.argmin(high[begin : alarmed + 1]))
        fallen = np.maximum.accumulate(low[onset:]) - high[onset:]
        back = np.flatnonzero(fallen[alarmed - onset :] > shares.alarm_nats)
        if not len(back):
            found.append(Discrepancy(onset, len(full), float(low[-1] - high[onset]), None))
            break
        closed = alarmed + int(back[0])
        stop = onset + int(np.argmax(low[onset : closed + 1]))
        found.append(Discrepancy(onset, stop, float(low[stop] - high[onset]), closed))
        begin = closed
    return found


def _around(values: Floats, edge: int) -> Floats:
    """Return for each of the n + 1 boundaries the larger of what lies within `edge` ticks before and after it."""
    sums = np.concatenate(([0.0], np.cumsum(values)))
    places = np.arange(len(sums))
    before = sums - sums[np.maximum(places - edge, 0)]
    after = sums[np.minimum(places + edge, len(values))] - sums
    found: Floats = np.maximum(before, after)
    return found


def lag_between(first: Floats, second: Floats, most: int) -> int:
    """Return by how many ticks `second` is later than `first`, at most `most` either way; 0 where that explains little.

    The shift that leaves the least apart, hour by hour (a scrape puts many runs into the next tick); it must halve what
    is apart without one. A loss is the same at every shift, other clocks are not.
    """
    hour = np.ones(_SMOOTHED)
    if len(first) < 2 * _SMOOTHED:
        return 0
    first, second = np.convolve(first, hour, "valid"), np.convolve(second, hour, "valid")

    def apart(lag: int) -> float:
        left, right = shifted(first, second, lag)
        return float(np.abs(left - right).sum()) / max(float(left.sum() + right.sum()), 1.0)

    reach = min(most, len(first) // 2)
    lags = range(-reach, reach + 1)
    best = min(lags, key=lambda lag: (apart(lag), abs(lag)))
    return best if apart(best) < apart(0) / 2 else 0


def shifted(first: Floats, second: Floats, lag: int) -> tuple[Floats, Floats]:
    """Return what of the two lies over each other when `second` is moved back by `lag` ticks."""
    if lag == 0:
        return first, second
    return (first[:-lag], second[lag:]) if lag > 0 else (first[-lag:], second[:lag])
