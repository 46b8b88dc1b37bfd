"""What usually begins in an hour of the week, how much that scatters, and how improbable an empty hour is.

An hour's number of arrivals is negative binomial around the mean of its hour of the week, so that no arrival in m of
its four ticks has the probability (1 + mu m / 4 r)^-r. Hours of the week that were never seen borrow from days of their
kind; a weekend that was never seen is a guess, and of an agent that sleeps at night nothing is expected on it.

A schedule may rest at weekends. A wait over days on which it does is none: it begins anew behind them, so that a run
that is missed on a Wednesday is missed as soon as that of a schedule that never rests.

What was found silent teaches nothing of what is usual, but for days off: whole days that stay empty between others that
do not. A whole weekend is learnt by once, and any day by itself by twice: once may be an outage of a young agent.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter

import numpy as np

from analyzer.detectors.kernels.grid import DAY_S, TICKS_PER_DAY, TICKS_PER_HOUR, Bools, Floats

HOURS_PER_WEEK = 168
SIZE_MAX, SIZE_MIN = 10.0, 0.5
"""Bounds of r. Ten is the reference simulation's; a burst of traffic does not make a silence impossible to see."""
UNSEEN_WEEKEND_SHARE = 0.05
"""What a first weekend is taken to bring of a working day's arrivals: agents that people use may have next to none. A
silence that begins on one is found on Monday, or at a hundred an hour after three hours."""
ASLEEP_SHARE, ASLEEP_HOURS_MIN = 0.05, 6
"""An agent sleeps at night if six hours of its day hold less than a twentieth of the average hour."""
REGULAR_INTERVALS_MIN = 5
REGULAR_TICKS_MIN = 2
"""Below half an hour between runs the grid cannot tell a regular interval from a busy agent."""
REGULAR_SPREAD = 0.1
"""Interquartile range over median of a regular interval. Poisson arrivals have 1.6."""


RESTING_WAIT_MAX = 0.75 * TICKS_PER_DAY
"""A day off shows in an empty day only where a run is due on every day, with some room for a late one."""
SPILL_HOURS = 2
"""A run so near to midnight may be that of the day before or after: one that began late, or early."""
_WEEKEND = (5, 6)
DAYS_OFF_MAX = 2
"""So many days in a row may be days off; what lasts longer is an outage."""
DAYS_OFF_MIN = 2
"""Empty days of one name, one after the other, before they count as days off, but for whole weekends: one may be an
outage."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A regular wait between ticks with arrivals, in ticks, none of them over days off: a scheduled agent."""

    usual: float
    longest: float
    rests: Bools
    """Days of the week on which it is not waited for, shape (7,): those of a weekend on which nothing ran, and others
    that were empty `DAYS_OFF_MIN` times."""
    unseen: bool
    """Whether one of these is a guess: it was not seen yet, and may be a day off as well as not."""

    def off(self, spoken: Bools, days: np.ndarray) -> Bools:
        """Return at which ticks it is not waited for; `days` are the days of the week of the ticks.

        Who runs on a day off after all is waited for from then on until that day is over.
        """
        at = np.arange(len(days))
        begins = np.maximum.accumulate(np.where(np.diff(days, prepend=-1) != 0, at, 0))
        last = np.maximum.accumulate(np.where(spoken, at, -1))
        return np.asarray(self.rests[days] & (last < begins + SPILL_HOURS * TICKS_PER_HOUR))


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What is normal for arrivals; arrays have shape (168,), from Monday midnight."""

    usual: Floats
    """Mean per hour."""
    known: Bools
    """Hours about which anything can be said."""
    size: float
    """r of the negative binomial."""
    interval: Interval | None

    def surprise(self, mean: Floats, ticks: Floats) -> Floats:
        """Return -ln P(no arrival in so many ticks of an hour with that mean)."""
        return np.asarray(self.size * np.log1p(mean * ticks / TICKS_PER_HOUR / self.size))


def learn(n: Floats, keep: Bools, hours: np.ndarray, off: Bools | None = None) -> Arrivals:
    """Learn from whole days of ticks: arrivals, which ticks count, and the hour of the week of each.

    `off` are the days of the week that are known as `days_off`, shape (7,).
    """
    sums, seen = by_hour_of_week(n * keep, hours), by_hour_of_week(keep.astype(np.float64), hours)
    means, known = by_kind(sums, seen)
    usual = own(sums, seen, means)
    # One look at an hour of the week says nothing of its scatter: there the days of its kind do.
    often = (seen >= 2 * TICKS_PER_HOUR)[hours]
    return Arrivals(
        usual,
        known,
        _size(n, keep, np.where(often, usual[hours], means[hours]), often),
        _interval(n, keep, hours, np.zeros(7, dtype=np.bool_) if off is None else off),
    )


def by_hour_of_week(values: Floats, hours: np.ndarray) -> Floats:
    """Return the sums of values per tick by hour of the week, shape (168,)."""
    return np.asarray(np.bincount(hours, values, HOURS_PER_WEEK), dtype=np.float64)


def by_kind(sums: Floats, seen: Floats) -> tuple[Floats, Bools]:
    """Return the mean per hour over days of its kind (working days, weekends), and which hours are more than a guess.

    `sums` are arrivals by hour of the week, `seen` the ticks that hold them; all arrays have shape (168,).
    """
    by_day, ticks = sums.reshape(7, 24), seen.reshape(7, 24)
    known = np.ones((7, 24), dtype=np.bool_)
    workday = _per_hour(by_day[:5].sum(axis=0), ticks[:5].sum(axis=0))
    weekend = _per_hour(by_day[5:].sum(axis=0), ticks[5:].sum(axis=0))
    if not ticks[:5].any():
        workday = weekend
    elif not ticks[5:].any():
        asleep = int((workday < ASLEEP_SHARE * workday.mean()).sum()) >= ASLEEP_HOURS_MIN
        weekend = np.zeros(24) if asleep else UNSEEN_WEEKEND_SHARE * workday
        known[5:] = not asleep
    return np.concatenate([np.tile(workday, 5), np.tile(weekend, 2)]), known.ravel()


def own(sums: Floats, seen: Floats, otherwise: Floats) -> Floats:
    """Return the mean per hour of each hour of the week; `otherwise` where it was never seen."""
    return np.where(seen > 0, _per_hour(sums, seen), otherwise)


def empty_ticks_of_hour(spoken: Bools, ahead: int = 0) -> Floats:
    """Return at each tick how many ticks of its hour, up to it, came after the last arrival; `ahead` as below."""
    at = np.arange(len(spoken))
    last = np.maximum.accumulate(np.where(spoken, at, -1))
    return np.minimum(at - last, (at + ahead) % TICKS_PER_HOUR + 1).astype(np.float64)


def since(reset: Bools, increments: Floats) -> Floats:
    """Return the sum of the increments since the last reset, shape (ticks,)."""
    cumulated = np.cumsum(np.where(reset, 0.0, increments))
    at = np.maximum.accumulate(np.where(reset, np.arange(len(reset)), -1))
    return np.asarray(cumulated - np.where(at >= 0, cumulated[np.maximum(at, 0)], 0.0))


def _per_hour(arrivals: Floats, ticks: Floats) -> Floats:
    return np.asarray(arrivals / np.maximum(ticks, 1.0) * TICKS_PER_HOUR)


def _size(n: Floats, keep: Bools, usual: Floats, often: Bools) -> float:
    """Return r by moments over whole hours: the sum of (y - m)^2 - m over that of m^2 is 1 / r.

    Where the mean is that of two looks at the hour itself (`often`), it has taken half of their variance.
    """
    whole = keep.reshape(-1, TICKS_PER_HOUR).all(axis=1)
    y = n.reshape(-1, TICKS_PER_HOUR).sum(axis=1)[whole]
    # Where clocks are half an hour off UTC, an hour of the grid lies in two hours of the week.
    mean = ((usual[::TICKS_PER_HOUR] + usual[TICKS_PER_HOUR - 1 :: TICKS_PER_HOUR]) / 2)[whole]
    squares = float((mean**2).sum())
    freedom = np.where(often[::TICKS_PER_HOUR][whole], 2.0, 1.0)
    excess = float((freedom * (y - mean) ** 2 - mean).sum())
    return SIZE_MAX if excess <= 0 or squares <= 0 else min(max(squares / excess, SIZE_MIN), SIZE_MAX)


def _interval(n: Floats, keep: Bools, hours: np.ndarray, off: Bools) -> Interval | None:
    """Return the regular interval, or None. A wait that spans ticks which do not count says nothing."""
    at = np.flatnonzero((n > 0) & keep)
    hidden = np.cumsum(~keep)
    whole = np.diff(hidden[at]) == 0
    rests, unseen = _rests(n, keep, hours, off)
    spanning = np.diff(np.cumsum(rests[hours // 24])[at]) > 0
    working = _regular(np.diff(at)[whole & ~spanning])
    if working is not None and working[0] <= RESTING_WAIT_MAX:
        return Interval(*working, rests, unseen)
    always = _regular(np.diff(at)[whole])
    return None if always is None else Interval(*always, np.zeros(7, dtype=np.bool_), unseen=False)


def _regular(waits: np.ndarray) -> tuple[float, float] | None:
    """Return the usual and the longest of regular waits, or None."""
    if len(waits) < REGULAR_INTERVALS_MIN:
        return None
    low, middle, high = np.quantile(waits, (0.25, 0.5, 0.75)).tolist()
    if middle < REGULAR_TICKS_MIN or high - low > max(REGULAR_SPREAD * middle, 1.0):
        return None
    return middle, float(waits.max())


def _rests(n: Floats, keep: Bools, hours: np.ndarray, off: Bools) -> tuple[Bools, bool]:
    """Return the days of the week on which nothing runs, shape (7,), and whether nobody knows that yet.

    Days of a weekend, of which one that was not seen whole may be a day off; on others an empty day is a silence, until
    it came again.
    """
    by_day, ticks = (by_hour_of_week(one, hours).reshape(7, 24) for one in (n * keep, keep.astype(np.float64)))
    runs, ticks = by_day[:, SPILL_HOURS:-SPILL_HOURS].sum(axis=1), ticks.sum(axis=1)
    rests = (runs == 0) & (np.isin(np.arange(7), _WEEKEND) | off)
    return rests, bool((rests & (ticks < TICKS_PER_DAY)).any())


def empty_days(n: Floats, hours: np.ndarray) -> Bools:
    """Tell which ticks lie on a day, by the hours given, without arrivals but what may be a neighbour's."""
    day = np.cumsum(np.diff(hours // 24, prepend=hours[:1] // 24) != 0)
    own_hour = (hours % 24 >= SPILL_HOURS) & (hours % 24 < 24 - SPILL_HOURS)
    return np.asarray((np.bincount(day, n * own_hour) == 0)[day])


def days_off(n: Floats, looked: Bools, hours: np.ndarray) -> Bools:
    """Return which days of the week are days off, found silent or not, shape (7,): see the module's text.

    From the arrivals, whether anybody looked, and the hour of the week of each tick. The last two of a name of which
    that is known say it. An empty day has no arrivals but what may be a neighbour's.
    """
    edges = [*np.flatnonzero(np.diff(hours // 24, prepend=-1)).tolist(), len(hours)]
    spill = SPILL_HOURS * TICKS_PER_HOUR
    # Of each day in order: whether it was empty; None where nobody knows.
    empty = [
        bool(n[first + spill : stop - spill].sum() == 0)
        if stop - first == TICKS_PER_DAY and looked[first:stop].all()
        else None
        for first, stop in pairwise(edges)
    ]
    days = zip((hours[edges[:-1]] // 24).tolist(), empty, strict=True)
    stretches = [(one, [name for name, _ in same]) for one, same in groupby(days, key=itemgetter(1))]
    known: list[list[tuple[bool, bool]]] = [[] for _ in range(7)]
    """Of each name, in order: whether it was a day off, and whether as one of a whole weekend."""
    for place, (one, names) in enumerate(stretches):
        beside = {other for other, _ in (*stretches[max(place - 1, 0) : place], *stretches[place + 1 : place + 2])}
        is_ended = 0 < place < len(stretches) - 1 and beside == {False}
        # Whoever is not back yet may be away for longer than days off.
        for name in names if one is False or (one and is_ended) else ():
            known[name].append((bool(one) and len(names) <= DAYS_OFF_MAX, tuple(names) == _WEEKEND))
    last = [one[-DAYS_OFF_MIN:] for one in known]
    return np.array(
        [
            all(is_off for is_off, _ in one) and (len(one) >= DAYS_OFF_MIN or any(is_weekend for _, is_weekend in one))
            for one in last
        ]
    )


def hours_of_week(start_s: int, ticks: int, ahead: int = 0) -> np.ndarray:
    """Return the hour of the week of each tick of a grid that begins at a midnight; the epoch was a Thursday.

    `ahead` are the ticks by which the clocks that people live by are ahead of UTC.
    """
    first = (start_s // DAY_S + 3) % 7 * 24 * TICKS_PER_HOUR + ahead
    return (first + np.arange(ticks)) // TICKS_PER_HOUR % HOURS_PER_WEEK
