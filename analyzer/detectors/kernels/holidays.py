"""Holidays on a grid: which ticks they take, and the hour of the week that each is held against.

What a holiday brings nobody knows before: some agents rest on it, others work as ever. Each hour is held against the
quietest that it may be: its own, or the same hour of a Saturday or a Sunday. A false silence wakes somebody at home.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from analyzer.detectors.kernels.arrivals import HOURS_PER_WEEK
from analyzer.detectors.kernels.grid import Bools, Floats
from analyzer.types.holidays import Calendar
from analyzer.types.metric import TICK_S

_WEEKEND = (5, 6)


class Holidays:
    """A calendar laid on the ticks of a grid; `hours` is the hour of the week of each tick."""

    def __init__(self, calendar: Calendar, start_s: int, hours: np.ndarray) -> None:
        self._hours = hours
        self._spans = list(_on_grid(calendar, start_s, len(hours)))
        self.off: Bools = np.zeros(len(hours), dtype=np.bool_)
        for ticks, _ in self._spans:
            self.off[ticks] = True

    def asked(self, usual: Floats) -> np.ndarray:
        """Return the hour of the week that each tick is held against, by what is usual in each, shape (168,).

        A day is moved by whole days, so that an hour stays the same hour of the day.
        """
        found = self._hours
        for ticks, weekday in self._spans:
            own = self._hours[ticks]
            moved = [(own + 24 * (day - weekday)) % HOURS_PER_WEEK for day in _WEEKEND]
            choices = np.stack([own, *moved])
            if found is self._hours:
                found = found.copy()
            found[ticks] = np.take_along_axis(choices, np.argmin(usual[choices], axis=0)[None], axis=0)[0]
        return found

    def rested(self, usual: Floats, share: float) -> Bools:
        """Tell which ticks lie on a holiday that may bring less than a share of what its day of the week does."""
        found = np.zeros(len(self._hours), dtype=np.bool_)
        asked = self.asked(usual)
        for ticks, _ in self._spans:
            found[ticks] = usual[asked[ticks]].sum() < share * usual[self._hours[ticks]].sum()
        return found


def _on_grid(calendar: Calendar, start_s: int, ticks: int) -> Iterable[tuple[slice, int]]:
    """Yield the ticks of each holiday that the grid holds, and its day of the week."""
    for first_s, last_s, weekday in calendar.spans():
        first, stop = (min(max(int((at - start_s) // TICK_S), 0), ticks) for at in (first_s, last_s))
        if first < stop:
            yield slice(first, stop), weekday
