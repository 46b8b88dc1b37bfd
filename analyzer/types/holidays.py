"""The days on which people do not work, as they set them: `[calendar]`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from analyzer.errors import UsageError

_KNOWN = ("holidays", "time_zone")
STANDARD_MONTHS_MIN = 3
"""No zone has less of the year without summer time, and none spends as much of it in Ramadan."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """Public holidays, and where they begin and end at midnight."""

    holidays: tuple[date, ...] = ()
    """In order, each once."""
    zone: tzinfo = UTC
    """Where weekends are, too."""

    def ahead_min(self, at_s: float) -> int:
        """Return the whole minutes by which standard time there is ahead of UTC; Unix seconds.

        Without summer time: what machines start by UTC would be late on the day on which the clocks change. Standard
        is the least offset that the middles of three months of the year have. The zone's own word for it does not do:
        by law it is winter that is moved in Ireland, and Ramadan in Morocco.
        """
        year = datetime.fromtimestamp(at_s, self.zone).year
        middles = (datetime(year, month, 15, 12, tzinfo=self.zone) for month in range(1, 13))
        offsets = Counter((at.utcoffset() or timedelta()) // timedelta(minutes=1) for at in middles)
        return min(offset for offset, months in offsets.items() if months >= STANDARD_MONTHS_MIN)

    def spans(self) -> Iterator[tuple[float, float, int]]:
        """Yield of each holiday its two midnights in Unix seconds and its day of the week, Monday 0."""
        for day in self.holidays:
            first, last = (datetime.combine(one, time(), self.zone) for one in (day, day + timedelta(days=1)))
            yield first.timestamp(), last.timestamp(), day.weekday()

    def __str__(self) -> str:
        """Say in a few words what is set, for `analyzer doctor`."""
        if not self.holidays:
            return "no holidays"
        days = f"{self.holidays[0]} to {self.holidays[-1]}" if len(self.holidays) > 1 else str(self.holidays[0])
        return f"{len(self.holidays)} holiday{'s' * (len(self.holidays) > 1)}, {days} ({self.zone})"


def read_calendar(table: Mapping[str, Any], place: str) -> Calendar:
    """Return the calendar of a `[calendar]` table, its days as dates or texts. Raises UsageError."""
    for name in table:
        if name not in _KNOWN:
            raise UsageError(f"{place}.{name}: there is no such setting; there are {', '.join(_KNOWN)}")
    days = table.get("holidays", [])
    if not isinstance(days, list):
        raise UsageError(f'{place}.holidays: expected a list of days such as ["2026-12-25"]')
    zone = _zone(table, place)
    return Calendar(tuple(sorted({_day(one, zone, f"{place}.holidays") for one in days})), zone)


def _day(value: Any, zone: tzinfo, place: str) -> date:
    try:
        day = value if isinstance(value, date) and not isinstance(value, datetime) else date.fromisoformat(value)
        # The first and the last day of all have no midnight on one side.
        list(Calendar((day,), zone).spans())
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"{place}: expected a day such as 2026-12-25, not {value!r}") from None
    return day


def _zone(table: Mapping[str, Any], place: str) -> tzinfo:
    if "time_zone" not in table:
        return UTC
    try:
        return ZoneInfo(str(table["time_zone"]))
    except (ValueError, KeyError, OSError):
        # A KeyError for a zone that is not known, an OSError for a folder of zones.
        wanted = f"expected a time zone such as Europe/Berlin, not {table['time_zone']!r}"
        raise UsageError(f"{place}.time_zone: {wanted}") from None
