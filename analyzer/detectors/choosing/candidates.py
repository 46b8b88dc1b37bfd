"""Hours at which one choice looks unlike itself, with how unlikely that is: what the walk chooses alarms from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from analyzer.detectors.choosing.likelihood import (
    ChoiceSettings,
    Windowed,
    log_fallen,
    log_mix,
    log_unseen,
    log_worse,
    quasi_g,
    replaced,
    strength,
    variation,
    windowed,
    windows,
)
from analyzer.detectors.choosing.openings import VALUES_USUAL_MAX, Opening
from analyzer.detectors.choosing.tables import (
    BASELINE_DAYS,
    DAY_H,
    DAYS_MIN,
    HELD_OUT_DAYS,
    TRAJECTORIES_MIN,
    UNSORTED_DAYS_MIN,
    Table,
    View,
    by_day,
    usual,
    view,
)
from analyzer.detectors.kernels.grid import Bools, Floats
from analyzer.types.choices import TOOL
from analyzer.types.metric import HOUR_S

WINDOWS_H = (6, 24, 72)
MIX_WINDOW_H = 24
DISPLACED_SHARE = 0.5
"""A new choice must take from a usual one, at least half of what it gains. Else something was added: a feature, or a
kind of task that is not known as one."""
DISPLACED_SIGMA = 3.0
"""... and more than arrivals vary by chance (their standard deviation is the root of what was due)."""
RENAMED_SHARE, RENAMED_GRACE_H, RENAMED_N_MIN = 0.05, 2, 5
"""A tool was renamed or replaced where, two hours after the new one came, less than this is left of the old one, of
five that were due."""
NEW_DEFINITION_H = 24
"""A tool first called within a day of its first definition came with a deploy."""
RECURRING_SHARE = 0.5
"""A shift half as large at the same hours before is a schedule."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One test that came out unlikely at the end of an hour."""

    hour: int
    log_p: float
    rule: str
    window_h: int
    picked: int | None
    """Index of the value that came; None where nothing took the place of what went."""
    usual: int | None
    """Index of the value that gave way."""
    view: View
    worse: bool
    """Whether trajectories of the new choice fail more often."""


@dataclass(frozen=True, slots=True)
class Looked:
    """All candidates of a table, and how many tests there were at each hour."""

    candidates: tuple[Candidate, ...]
    tests: Floats


class Look:
    """One table with the hours of its episodes left out."""

    def __init__(self, table: Table, masked: Bools, settings: ChoiceSettings) -> None:
        self.table, self.masked, self.settings = table, masked, settings
        self._usual = usual(table, masked)
        pooled = tuple(range(len(table.tasks)))
        self._pooled = view(table, self._usual, pooled, masked)
        # Of a kind of task that is never known nothing can be said: not all are worth a view of their own.
        named = [row for row in pooled if table.tasks[row] is not None and self._usual.known[row].any()]
        single = [(row,) for row in named] if len(pooled) > 1 else []
        self._views = [self._pooled, *(view(table, self._usual, rows, masked) for rows in single)]
        total = table.picked.sum(axis=0)
        self._before = np.cumsum(total, axis=1) - total
        """Trajectories that picked each value in any earlier hour, episodes included: what was seen is not unseen."""
        self._first = np.array([int(np.argmax(row > 0)) for row in total])
        self._new_days = self._days_with_news(total)
        self._replacing = self._replacements()

    def run(self, start: int) -> Looked:
        """Test every hour from `start` on."""
        found: list[Candidate] = []
        tests = np.zeros(self.table.hours)
        for seen, sums, enough in self._windows():
            tests += 2.0 * enough / len(WINDOWS_H)
            if enough.any():
                found += self._fallen(seen, sums, enough, start)
                found += self._unseen(seen, sums, enough, start)
        if self.table.what == TOOL:
            found += self._drifted(self._pooled, tests, start)
        return Looked(tuple(sorted(found, key=_order)), np.ceil(tests))

    def openings(self) -> list[Opening]:
        """Return, for each value, when a test of it is opened, whichever others are looked at beside it."""
        fallen, unseen = (np.zeros(self._before.shape, dtype=np.bool_) for _ in range(2))
        for _, sums, enough in self._windows():
            fallen |= self._low(sums.usual, sums.share, sums.of) & enough
            unseen |= self._new(sums) & enough
        known = (self._before == 0).sum(axis=1)
        return [
            Opening(bool(falls.any()), int(np.argmax(comes)) if comes.any() else None, int(since))
            for falls, comes, since in zip(fallen, unseen, known, strict=True)
        ]

    def _windows(self) -> Iterator[tuple[View, Windowed, Bools]]:
        """Yield the windows of each view, with the hours at which they hold enough to be tested."""
        for seen in self._views:
            known = seen.units >= TRAJECTORIES_MIN
            for sums in windows(seen, WINDOWS_H) if known.any() else ():
                yield seen, sums, (sums.of >= self.settings.fallen_n_min) & known

    def _low(self, expected: Floats, share: Floats, of: Floats) -> Bools:
        """Return where a share that makes a value the usual one has given way to another."""
        own = self.settings
        low = (share <= own.fallen_max) | ((expected - share >= own.fall_min) & (of >= own.fall_n_min))
        return np.asarray((expected >= own.dominant_min) & low)

    def _new(self, sums: Windowed) -> Bools:
        """Return where a value is picked often that was not picked in any hour before the window: (values, hours)."""
        own = self.settings
        many = (sums.picked >= own.unseen_n_min) & (sums.picked >= own.unseen_share_min * sums.of)
        return np.asarray((self._before_window(sums.hours) == 0) & many)

    def _before_window(self, hours: int) -> Floats:
        before: Floats = np.zeros(self._before.shape)
        if hours <= self.table.hours:
            before[:, hours - 1 :] = self._before[:, : self.table.hours - hours + 1]
        return before

    def _fallen(self, seen: View, sums: Windowed, enough: Bools, start: int) -> Iterator[Candidate]:
        """Yield where the usual choice has given way."""
        own, sums = self.settings, self._folded(sums)
        picked, usual_share = sums.picked, sums.usual
        dominant = usual_share.argmax(axis=0)
        hours = np.arange(self.table.hours)
        expected = usual_share[dominant, hours]
        share = picked[dominant, hours] / np.maximum(sums.of, 1e-9)
        open_ = enough & self._low(expected, share, sums.of)
        for hour in self._open(open_, start):
            d = int(dominant[hour])
            size = float(expected[hour] - share[hour])
            fallen = partial(_fall, d, float(expected[hour]))
            if self._recurs(seen, sums.hours, hour, size, fallen) or not self._displaced(seen, sums, hour):
                continue
            pseudo = strength(float(seen.units[hour]), float(seen.dispersion[hour]))
            log_p = log_fallen(round(picked[d, hour]), round(sums.of[hour]), float(expected[hour]), pseudo)
            if log_p <= np.log(own.fallen_p_max):
                yield self._candidate("fallen", seen, sums, hour, log_p, self._risen(sums, hour, d), d)

    def _unseen(self, seen: View, sums: Windowed, enough: Bools, start: int) -> Iterator[Candidate]:
        """Yield where something is picked that was not picked in any hour before the window."""
        own, before = self.settings, self._before_window(sums.hours)
        known_values = (self._before > 0).sum(axis=0)
        open_ = enough & self._new(sums) & (known_values <= VALUES_USUAL_MAX)
        for hour in self._open(open_.any(axis=0), start):
            c = int(np.argmax(np.where(open_[:, hour], sums.picked[:, hour], -1)))
            fallen = np.where(before[:, hour] > 0, sums.expected[:, hour] - sums.picked[:, hour], -np.inf)
            d = int(np.argmax(fallen))
            if self._new_days[hour // DAY_H] > 0 or not np.isfinite(fallen[d]):
                continue
            lost = float(np.maximum(fallen, 0).sum())
            if lost < DISPLACED_SHARE * sums.picked[c, hour] or not self._displaced(seen, sums, hour):
                continue
            log_p = log_unseen(round(sums.picked[c, hour]), round(sums.of[hour]), float(seen.units[hour]), 0.0)
            found = self._candidate("unseen", seen, sums, hour, log_p, c, d)
            # A deploy that gives a tool another name is no fault while its runs end as well as before.
            if log_p <= np.log(own.unseen_p_max) and (found.worse or not self._replacing[c, hour]):
                yield found

    def _drifted(self, seen: View, tests: Floats, start: int) -> Iterator[Candidate]:
        """Yield where the mix of tools has drifted; `tests` is told of the tests made."""
        own, sums = self.settings, self._folded(windowed(seen, MIX_WINDOW_H))
        picked = sums.picked
        drift = variation(picked, sums.expected)
        aged = np.arange(self.table.hours) >= self.table.first + UNSORTED_DAYS_MIN * DAY_H
        enough = (sums.of >= own.drift_n_min) & (sums.expected.sum(axis=0) > 0) & aged
        tests += enough
        phi: dict[int, tuple[float, int]] = {}
        for hour in self._open(enough & (drift >= own.drift_min), start):
            if not _gave_way(picked[:, hour], sums.expected[:, hour]):
                continue
            drifted = partial(_drift, sums.expected[:, hour])
            if self._recurs(seen, sums.hours, hour, float(drift[hour]), drifted):
                continue
            statistic, freedom = quasi_g(picked[:, hour], sums.expected[:, hour])
            if not freedom:
                continue
            day = hour // DAY_H
            if day not in phi:
                phi[day] = self._phi(day)
            log_p = log_mix(statistic, freedom, *phi[day])
            if log_p <= np.log(own.mix_p_max):
                d = int(np.argmax(sums.expected[:, hour] - picked[:, hour]))
                yield self._candidate("mix", seen, sums, hour, log_p, self._risen(sums, hour, d), d)

    def _candidate(
        self, rule: str, seen: View, sums: Windowed, hour: int, log_p: float, c: int | None, d: int
    ) -> Candidate:
        return Candidate(
            hour,
            log_p,
            rule,
            sums.hours,
            c,
            d,
            seen,
            is_worse(self.table, c, slice(max(hour + 1 - sums.hours, 0), hour + 1), self.settings),
        )

    def _folded(self, sums: Windowed) -> Windowed:
        """Return a window in which tools that replaced others count for what they took the place of."""
        if not self._replacing.any():
            return sums
        picked = replaced(sums.picked, sums.expected, sums.of, self._replacing)
        return replace(sums, picked=picked, expected=np.where(self._replacing, 0, sums.expected))

    def _replacements(self) -> Bools:
        """Return where a tool stands in the place of another that is gone, until it is usual itself: (values, hours).

        Only tools whose definition is as new as their first call. One that was offered all the time was not renamed,
        and of one whose definition was not recorded nobody can say. That a table was renamed would be worth a look.
        """
        seen = self._pooled
        found = np.zeros(seen.picked.shape, dtype=np.bool_)
        if self.table.what != TOOL:
            return found
        for c, first in enumerate(self._first.tolist()):
            since = first + RENAMED_GRACE_H
            offered_s = self.table.offered_s.get(self.table.values[c], -math.inf)
            came_s = self.table.start_s + (first - NEW_DEFINITION_H) * HOUR_S
            if offered_s < came_s or first < self.table.first + DAYS_MIN * DAY_H:
                continue
            stop = first + (BASELINE_DAYS + HELD_OUT_DAYS) * DAY_H
            left, due = (np.cumsum(part[:, since:stop], axis=1) for part in (seen.picked, seen.expected))
            found[c, first:since] = True
            old = (due - left).argmax(axis=0), np.arange(due.shape[1])
            found[c, since:stop] = (due[old] < RENAMED_N_MIN) | (left[old] <= RENAMED_SHARE * due[old])
        return found

    def _open(self, open_: Bools, start: int) -> list[int]:
        return [int(hour) for hour in np.flatnonzero(open_) if hour >= start and not self.masked[hour]]

    def _risen(self, sums: Windowed, hour: int, d: int) -> int | None:
        """Return the value that rose most, if one did."""
        rise = sums.picked[:, hour] - sums.expected[:, hour]
        rise[d] = 0
        best = int(np.argmax(rise))
        return best if rise[best] >= 1 else None

    def _earlier(self, seen: View, hours: int, hour: int, days: int) -> tuple[Floats, float] | None:
        """Return the plain picks of the same hours some days ago, and of how many; None where they cannot be known.

        Plain: whether or not anything was usual by then. Hours of episodes and from before the first are no measure.
        """
        stop = hour + 1 - days * DAY_H
        cut = slice(stop - hours, stop)
        if stop - hours < self.table.first or self.masked[cut].any():
            return None
        rows = list(seen.strata)
        return self.table.picked[rows, :, cut].sum(axis=(0, 2)), float(self.table.of[rows, cut].sum())

    def _recurs(self, seen: View, hours: int, hour: int, size: float, shift: Callable[[Floats, float], float]) -> bool:
        """Tell whether the same hours before were shifted too: one or two weeks ago, or on two nights of the last."""

        def before(days: int) -> bool:
            earlier = self._earlier(seen, hours, hour, days)
            enough = earlier is not None and earlier[1] >= self.settings.unseen_n_min
            return earlier is not None and enough and shift(*earlier) >= RECURRING_SHARE * size

        if before(7) or before(14):
            return True
        return hours < DAY_H and sum(before(days) for days in range(1, 7)) > 1

    def _displaced(self, seen: View, sums: Windowed, hour: int) -> bool:
        """Tell whether the choices that lost in share lost trajectories, too, and not only had more beside them.

        Half of those that others gained, against the same hours of the weeks before.
        """
        if not seen.unsorted:
            return True
        weeks = [self._earlier(seen, sums.hours, hour, days) for days in (7, 14)]
        # The days just before stand in for weeks that are not known yet: they may be of another part of the week.
        known = weeks if any(weeks) else [self._earlier(seen, sums.hours, hour, max(sums.hours // DAY_H, 1))]
        earlier = [found for found in known if found is not None]
        if not earlier:
            return True
        now, expected = sums.picked[:, hour], sums.expected[:, hour]
        losers = expected > now
        due = float(np.mean([picked[losers].sum() for picked, _ in earlier]))
        gained = float(np.maximum(now - expected, 0).sum())
        return due - float(now[losers].sum()) >= max(DISPLACED_SHARE * gained, DISPLACED_SIGMA * math.sqrt(due))

    def _phi(self, day: int) -> tuple[float, int]:
        """Return the dispersion of the mix of tools over the days of a baseline, and how many they are.

        The days scatter about their own mean, whatever was asked of the agent on them.
        """
        cut = slice(max(day - BASELINE_DAYS, 0), max(day - HELD_OUT_DAYS, 0))
        days = by_day(self.table.picked.sum(axis=0) * ~self.masked)[:, cut]
        found = [quasi_g(one, days.sum(axis=1)) for one in days.T]
        ratios = [statistic for statistic, freedom in found if freedom]
        return (float(np.mean(ratios)), len(ratios)) if ratios else (1.0, DAYS_MIN)

    def _days_with_news(self, total: Floats) -> Floats:
        """Return, for each day, how many days of its baseline brought values that `_unseen` would report."""
        news = np.zeros(max(self.table.hours // DAY_H + 1, 1))
        for row, hour in zip(total, self._first.tolist(), strict=True):
            came = row[hour : hour + DAY_H].sum()
            settled = hour >= self.table.first + DAYS_MIN * DAY_H
            if settled and came >= self.settings.unseen_n_min and not self.masked[hour]:
                news[hour // DAY_H] += 1
        day = np.arange(len(news))
        sums = np.concatenate(([0.0], np.cumsum(news)))
        return sums[np.maximum(day - HELD_OUT_DAYS, 0)] - sums[np.maximum(day - BASELINE_DAYS, 0)]


def is_worse(table: Table, c: int | None, now: slice, settings: ChoiceSettings) -> bool:
    """Tell whether trajectories with a choice in some hours fail more often than all others in the fortnight before."""
    if c is None or table.picked[:, c, now].sum() < settings.worse_n_min:
        return False
    before = slice(max(now.start - BASELINE_DAYS * DAY_H, 0), now.start)
    others = np.arange(len(table.values)) != c
    failed, total = (float(part[:, others, before].sum()) for part in (table.failed, table.picked))
    if total < TRAJECTORIES_MIN:
        return False
    hits, picks = float(table.failed[:, c, now].sum()), float(table.picked[:, c, now].sum())
    more = hits / picks - failed / total >= settings.worse_points_min
    return bool(more and log_worse(hits, picks, failed, total) <= math.log(settings.worse_p_max))


def _fall(d: int, usual_share: float, picked: Floats, of: float) -> float:
    return usual_share - float(picked[d]) / of


def _gave_way(picked: Floats, expected: Floats) -> bool:
    """Tell whether what lost share lost trajectories, half as many as came to others.

    An agent that does more work calls more tools beside those it always calls: none of them stands in another's place.
    """
    lost, gained = (float(np.maximum(part, 0).sum()) for part in (expected - picked, picked - expected))
    return lost >= DISPLACED_SHARE * gained


def _drift(mix: Floats, picked: Floats, _of: float) -> float:
    return float(variation(picked, mix))


def _order(one: Candidate) -> tuple[int, float, str, int, tuple[int, ...]]:
    return (one.hour, one.log_p, one.rule, one.window_h, one.view.strata)
