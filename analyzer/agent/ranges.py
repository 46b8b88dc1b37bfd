"""The range of time that the words of a question name: a date, a weekday, since when, or how far back. All in UTC."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from analyzer.config import YEARS

_DAY = timedelta(days=1)
_FAR = timedelta(days=365)
"""How far back reaches what lies before a date: as far as any range that can be asked for."""
_UNITS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": _DAY,
    "week": timedelta(weeks=1),
    "month": timedelta(days=30),
}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTH = rf"(?:{'|'.join(MONTHS)})[a-z]*\.?"
_LAST = re.compile(r"\b(?:last|past|previous)\s+(\d{1,4})\s*(minutes?|hours?|days?|weeks?|months?)\b", re.IGNORECASE)
_NAMED = re.compile(
    r"\b(today|yesterday|this week|last week|past week|this month|last month|past month|last hour|last day|past day)\b",
    re.IGNORECASE,
)
_MOMENT = re.compile(
    r"\b(?P<date>\d{4}-\d{2}-\d{2})(?:[T ](?P<time>\d{1,2}:\d{2}(?::\d{2})?)(?:Z| ?UTC\b)?)?"
    rf"|\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s+(?P<month>{_MONTH})(?=\W|$)"
    rf"|\b(?P<month_first>{_MONTH})\s+(?P<day_after>\d{{1,2}})(?:st|nd|rd|th)?\b"
    rf"|\b(?:last\s+|on\s+|since\s+)(?P<weekday>{'|'.join(WEEKDAYS)})\b",
    re.IGNORECASE,
)
COMPARED = re.compile(
    r"\b(?:compar\w*|versus|vs|against|than|slower|faster|quicker|cheaper|dearer|pricier|costlier|longer|shorter|more"
    r"|less|fewer|higher|lower|better|worse|up(?!\s+to\b)|down|gr[eo]w(?:s|n|ing)?|growth|rise|rises|rose|risen|rising"
    r"|increas\w+|decreas\w+|drop|drops|dropped|fell|fallen|chang\w+|doubled)\b",
    re.IGNORECASE,
)
"""Words of a question that asks for two ranges: the one it names, and the one before."""
_AGAINST = re.compile(r"\b(?:compared|with|versus|vs|against|than)\b", re.IGNORECASE)
"""What stands between two dates that are compared; between the ends of one range it is "to" or "and"."""
_SINCE = re.compile(r"\b(?:since|after|from)\s+(?:last\s+|the\s+)?\Z|^since\s", re.IGNORECASE)
_UNTIL = re.compile(r"\b(?:until|till|before|up to)\s+(?:the\s+)?\Z", re.IGNORECASE)


def range_in(question: str, now: datetime) -> tuple[datetime, datetime] | None:
    """Return the range that a question names, or None. Days are of UTC, weeks begin on Monday.

    Two dates are a range that holds both days; one is its day, or what lies since or before it as the words say. Of two
    ranges that are compared it is the later. What is to come is left out.
    """
    compared = _two_in(question, now)
    if compared is not None:
        return compared[1]
    moments = list(_moments(question, now))
    if moments:
        start, end = _range(question, moments, now)
        return (start, min(end, now)) if start < now else None
    last = _LAST.search(question)
    if last is not None:
        return now - int(last.group(1)) * _UNITS[last.group(2).lower().removesuffix("s")], now
    named = _NAMED.search(question)
    return None if named is None else _named(named.group(1).lower(), now)


def before_in(question: str, start: datetime, end: datetime, now: datetime) -> tuple[datetime, datetime]:
    """Return what a range is compared with: the other one that the question names, else the same length before.

    A day, week or month that is not over is held against as much of the one before: a Tuesday's noon against a
    Tuesday's noon. `now` is the end that the range was read from the question with.
    """
    length = end - start
    two = _two_in(question, now)
    if two is not None and two[1] == (start, end):
        (first, last), _ = two
        return first, min(last, first + length) if end == now else last
    said = _NAMED.search(question)
    words = "" if said is None else said.group(1).lower()
    if words in _PERIODS and (start, end) == _named(words, now):
        first, last = _named(_PERIODS[words], now)
        return first, min(last, first + length)
    return start - length, start


_PERIODS = {"today": "yesterday", "this week": "last week", "this month": "last month"}
"""What is not over -> the whole one before it."""


def _two_in(question: str, now: datetime) -> tuple[tuple[datetime, datetime], tuple[datetime, datetime]] | None:
    """Return two ranges that a question compares, the earlier first; None where it names others than two."""
    if COMPARED.search(question) is None:
        return None
    moments = list(_moments(question, now))
    if not moments:
        found = [_named(said.group(1).lower(), now) for said in _NAMED.finditer(question)]
    elif _AGAINST.search(question[moments[0][0].end() : moments[-1][0].start()]):
        found = [(first, min(first + (length or _DAY), now)) for _, first, length in moments if first < now]
    else:
        return None
    match sorted(set(found)):
        case [earlier, later] if earlier[1] <= later[0]:
            return earlier, later
    return None


def without_ranges(question: str) -> str:
    """Return a question without the words that name a range: a "last day" asks for no row of each day."""
    return _NAMED.sub(" ", _LAST.sub(" ", _MOMENT.sub(" ", question)))


def _range(
    question: str, moments: list[tuple[re.Match[str], datetime, timedelta]], now: datetime
) -> tuple[datetime, datetime]:
    (found, first, length), (_, last, last_length) = moments[0], moments[-1]
    if len(moments) > 1:
        return (first, last + last_length) if first <= last else (last, first + length)
    before = question[: found.start()]
    if _UNTIL.search(before):
        return first - _FAR, first
    if _SINCE.search(before) or _SINCE.search(found.group()) or length < _DAY:
        return first, now
    return first, first + length


def _moments(question: str, now: datetime) -> Iterator[tuple[re.Match[str], datetime, timedelta]]:
    """Yield each date of a question with how long it is: a day, or nothing where it says a time. No date: left out."""
    for found in _MOMENT.finditer(question):
        try:
            yield found, _moment(found, now), timedelta() if found["time"] else _DAY
        except ValueError:
            continue


def _moment(found: re.Match[str], now: datetime) -> datetime:
    """Return when a date begins; one without a year is the latest that is not to come. Raises ValueError."""
    if found["date"]:
        time = found["time"] or "00:00"
        said = datetime.fromisoformat(f"{found['date']}T{time if time.index(':') > 1 else f'0{time}'}")
        if not YEARS[0] <= said.year <= YEARS[1]:
            raise ValueError("nothing is stored of then")
        return said.replace(tzinfo=UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if found["weekday"]:
        return midnight - ((now.weekday() - WEEKDAYS.index(found["weekday"].lower())) % 7) * _DAY
    if found["month_first"] == "may":
        raise ValueError("the verb: 'may 3 agents fail' names no day")
    month = MONTHS.index((found["month"] or found["month_first"])[:3].lower()) + 1
    this_year = midnight.replace(month=month, day=int(found["day"] or found["day_after"]))
    return this_year if this_year <= now else this_year.replace(year=now.year - 1)


def _named(words: str, now: datetime) -> tuple[datetime, datetime]:
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    week = day - timedelta(days=day.weekday())
    month = day.replace(day=1)
    before = (month - _DAY).replace(day=1)
    ranges: Mapping[str, tuple[datetime, datetime]] = {
        "today": (day, now),
        "yesterday": (day - _DAY, day),
        "this week": (week, now),
        "last week": (week - timedelta(days=7), week),
        "past week": (now - timedelta(days=7), now),
        "this month": (month, now),
        "last month": (before, month),
        "past month": (now - timedelta(days=30), now),
        "last hour": (now - timedelta(hours=1), now),
        "last day": (now - _DAY, now),
        "past day": (now - _DAY, now),
    }
    start, end = ranges[words]
    # On the stroke of midnight a day has just begun, and there is nothing of it yet.
    return (start, end) if start < end else (end - _DAY, end)
