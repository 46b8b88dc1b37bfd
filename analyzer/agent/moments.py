"""Times in prose, and what they are said to be the time of.

A day and an hour beside each other are one time. The time of a beginning must be that of the onset: that something was
last seen at noon does not bear out that it began then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

from analyzer.agent.ranges import MONTHS, WEEKDAYS

_CLOCKS = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})(?:[T ](?P<clock>\d{1,2}:\d{2})(?::\d{2}(?:\.\d+)?)?)?(?:\s?(?:Z|UTC)\b|\+00:?00)?"
    r"|(?<![\d:])(?P<alone>\d{1,2}:\d{2})(?::\d{2})?(?![\d:])(?:\s?(?:Z|UTC)\b)?"
)
_MONTH = rf"(?:{'|'.join(name.capitalize() for name in MONTHS)})[a-z]{{0,6}}\.?"
_DAYS = re.compile(
    rf"(?P<before>\d{{1,2}})(?:st|nd|rd|th)?\s(?:of\s)?(?P<month>{_MONTH})(?:,?\s\d{{4}})?"
    rf"|(?P<late_month>{_MONTH})\s(?P<after>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s\d{{4}})?"
    r"|(?P<hour>\d{1,2})\s?(?P<noon>[ap]\.?m\b\.?|o'clock)"
    rf"|\b(?P<weekday>{'|'.join(name.capitalize() for name in WEEKDAYS)})s?\b"
    r"|\b(?P<word>yesterday|midnight|noon|last (?:week|night|month))\b"
)
"""Days and hours as people write them."""
_BESIDE = re.compile(r"[\s,(]*(?:(?:at|on|around|about|of)\s+)?")
"""What stands between a day and its hour."""
_BEGAN = re.compile(
    r"\b(?:beg[aiu]n\w*|start\w*|onset|since|set in|from|until|broke out|first appeared)\b", re.IGNORECASE
)
_OF_ANOTHER = re.compile(
    r"\b(?:versions?|models?|prompts?|prices?|chang\w+|releas\w+|deploy\w*|roll\w*|runs?|trajector\w+|traces?|spans?"
    r"|steps?|calls?|peers?|window|quer\w+|seen|opened|detect\w*|found|noticed|between|quotes?|baseline|interval)\b",
    re.IGNORECASE,
)
"""Of these a beginning may be another one than the incident's."""
_PART = re.compile(r"[;.!?]\s|,\s|\s(?:and|but|while)\s")

_SHIFT = re.compile(r"(?P<count>\d+)\s+(?P<unit>minute|hour|day|week)s?\s+(?P<way>before|after)\s+(?:about\s+)?$")

_ABOUT = timedelta(minutes=30)
"""How far a beginning may lie from "two hours before"."""

Fits = Callable[[datetime], bool]


def untimely(text: str, times: Collection[datetime], onsets: Collection[datetime]) -> tuple[str, list[str]]:
    """Return a text without its times, and those that nothing known bears out.

    `onsets` are the times between which the incident began; empty where there is none.
    """
    known = [time.astimezone(UTC) for time in times]
    began = [time.astimezone(UTC) for time in onsets]
    wrong: list[str] = []
    found = sorted(
        [(match, _clock(match)) for match in _CLOCKS.finditer(text)]
        + [(match, _day(match, known)) for match in _DAYS.finditer(text) if not _within(match, text)],
        key=lambda pair: pair[0].start(),
    )
    for group in _beside(found, text):
        start, end = group[0][0].start(), group[-1][0].end()
        before = _PART.split(text[:start])[-1]
        of_onset = began and _BEGAN.search(before) and not _OF_ANOTHER.search(before)
        meant = _told_by(before, known, began) if of_onset else known
        if not any(all(fits(time) for _, fits in group) for time in meant):
            wrong.append(text[start:end].strip())
    for match, _ in found:
        text = text[: match.start()] + " " * len(match.group()) + text[match.end() :]
    return text, wrong


def _told_by(before: str, known: list[datetime], began: list[datetime]) -> list[datetime]:
    """Return the times by which a beginning may be told: its own, or known ones that lie as far off as is said."""
    by = _shift(before)
    if not by:
        return began
    return [time for time in known if any(abs(time - by - one) <= _ABOUT for one in began)]


def _shift(before: str) -> timedelta:
    """Return by how much a time lies off the beginning that is told by it: `a day before 14:15`."""
    match = _SHIFT.search(before)
    if match is None:
        return timedelta(0)
    by = timedelta(**{f"{match.group('unit')}s": min(int(match.group("count")[:6]), 10_000)})
    return by if match.group("way") == "before" else -by


def _within(match: re.Match[str], text: str) -> bool:
    """Tell whether a day is a part of a date that was read already."""
    return any(one.start() <= match.start() < one.end() for one in _CLOCKS.finditer(text))


def _beside(found: list[tuple[re.Match[str], Fits]], text: str) -> list[list[tuple[re.Match[str], Fits]]]:
    """Return the matches, those that make one time together: a day and an hour."""
    groups: list[list[tuple[re.Match[str], Fits]]] = []
    for one in found:
        last = groups[-1][-1][0] if groups else None
        near = last is not None and _BESIDE.fullmatch(text, last.end(), one[0].start())
        if near and len(groups[-1]) == 1 and last is not None and _hourly(last) != _hourly(one[0]):
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def _hourly(match: re.Match[str]) -> bool:
    found = match.groupdict()
    return any(found.get(name) for name in ("clock", "alone", "hour")) or found.get("word") in {"noon", "midnight"}


def _clock(match: re.Match[str]) -> Fits:
    day, clock = match.group("date"), match.group("clock") or match.group("alone")
    clock = clock.zfill(5) if clock else None
    return lambda time: (
        (day is None or time.strftime("%Y-%m-%d") == day) and (clock is None or time.strftime("%H:%M") == clock)
    )


def _day(match: re.Match[str], times: Collection[datetime]) -> Fits:
    """Return what tells whether a time lies on the day, or in the hour, that words name."""
    found = match.groupdict()
    if found["weekday"]:
        weekday = WEEKDAYS.index(found["weekday"].lower())
        return lambda time: time.weekday() == weekday
    if found["hour"]:
        hour, half = int(found["hour"]), (found["noon"] or "").lower()[:1]
        hours = {hour % 12 + 12 * (half == "p")} if half in {"a", "p"} else {hour % 24, (hour + 12) % 24}
        return lambda time: time.hour in hours
    if found["word"]:
        hours = {"midnight": {23, 0}, "noon": {11, 12}}.get(found["word"], set())
        past = max(times).date() - timedelta(days=1) if times and found["word"] == "yesterday" else None
        return lambda time: time.hour in hours or time.date() == past
    day, month = int(found["before"] or found["after"]), found["month"] or found["late_month"]
    number = MONTHS.index(month[:3].lower()) + 1
    return lambda time: (time.day, time.month) == (day, number)
