"""The hours of one agent's choices, one after the other: what scheduled runs would have found.

At every hour only what had ended by then counts. The tests of an hour are judged together (Benjamini and Hochberg), so
that an agent with forty choices is not forty times as often wrong. Hours of an episode never enter a later baseline.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from analyzer.detectors.choosing.candidates import Candidate, Look, Looked
from analyzer.detectors.choosing.likelihood import ChoiceSettings, discovered
from analyzer.detectors.choosing.openings import Opening
from analyzer.detectors.choosing.tables import DAY_H, Table
from analyzer.detectors.kernels.episode import date_onset, rate_gain
from analyzer.detectors.kernels.grid import Bools, Floats
from analyzer.detectors.kernels.walk import RECOVERY_NATS

REBASE_H = 14 * DAY_H
"""What has lasted the length of a baseline is the new normal."""
SETTLED_H, SETTLED_N_MIN = 6, 5
"""An episode ends when at least six hours with at least five trajectories show less than half of the shift ..."""
SETTLED_SHARE = 0.5
"""... and a CUSUM of "as usual" against half of the shift has reached `walk.RECOVERY_NATS`."""


@dataclass(frozen=True, slots=True)
class Shift:
    """One episode of a choice, in hours of its table. Ranges are [onset, recovered)."""

    found: Candidate
    onset: int
    onset_low: int
    onset_high: int
    score: float
    threshold: float
    recovered: int | None = None
    closed: int | None = None
    """The hour at whose end the recovery was confirmed."""
    rebased: bool = False

    @property
    def usual(self) -> int | None:
        """Index of the value that gave way: what lost most from the onset to the alarm.

        The window of the alarm may begin hours before the onset, in which chance alone says who lost.
        """
        one = self.found
        if one.picked is None or one.usual is None:
            return one.usual
        cut = slice(self.onset, one.hour + 1)
        lost = (one.view.expected[:, cut] - one.view.picked[:, cut]).sum(axis=1)
        lost[one.picked] = 0
        most = int(np.argmax(lost))
        return most if lost[most] > 0 else one.usual


@dataclass(slots=True)
class _Course:
    """Where the walk stands with one table."""

    table: Table
    masked: Bools
    candidates: Sequence[Candidate]
    tests: Floats
    shifts: list[Shift]
    free_from: int = 0
    """The first hour at which it may alarm again."""


def shifts_of(tables: Sequence[Table], settings: ChoiceSettings) -> list[tuple[Table, Shift]]:
    """Walk the choices of one agent and return every episode, in order of their alarms within a table."""
    return shifts_among([(table, first_look(table, settings)) for table in tables], settings)


def first_look(table: Table, settings: ChoiceSettings) -> Looked:
    """Test every hour of a table as if nothing had ever been found: most of the work, and each table's own."""
    return Look(table, np.zeros(table.hours, dtype=np.bool_), settings).run(0)


def openings(table: Table, settings: ChoiceSettings) -> dict[str, Opening]:
    """Return when a first look at a table with each value would open a test of it."""
    found = Look(table, np.zeros(table.hours, dtype=np.bool_), settings).openings()
    return dict(zip(table.values, found, strict=True))


def shifts_among(looked_at: Sequence[tuple[Table, Looked]], settings: ChoiceSettings) -> list[tuple[Table, Shift]]:
    """Walk the hours of tables that were looked at; see `shifts_of`."""
    courses = [
        _Course(table, np.zeros(table.hours, dtype=np.bool_), looked.candidates, looked.tests, [])
        for table, looked in looked_at
    ]
    hour = -1
    while (following := _next_hour(courses, hour)) is not None:
        hour = following
        _judge(courses, hour, settings)
    return [(course.table, shift) for course in courses for shift in course.shifts]


def past(found: Sequence[tuple[Table, Shift]], end: datetime) -> list[tuple[Table, Shift]]:
    """Return what a walk would have found had its tables ended at a moment: it is causal."""
    tables = {id(table): table.until(end) for table, _ in found}
    by_then = []
    for table, shift in found:
        then = tables[id(table)]
        if shift.found.hour < then.hours:
            over = shift.closed is not None and shift.closed < then.hours
            by_then.append((then, shift if over else replace(shift, recovered=None, closed=None, rebased=False)))
    return by_then


def _next_hour(courses: Sequence[_Course], after: int) -> int | None:
    ahead = [one.hour for course in courses for one in course.candidates if one.hour > after]
    return min(ahead, default=None)


def _judge(courses: Sequence[_Course], hour: int, settings: ChoiceSettings) -> None:
    """Judge the tests of one hour together, and follow those that pass."""
    open_ = [course for course in courses if hour >= course.free_from]
    pairs = [(course, one) for course in open_ for one in course.candidates if one.hour == hour]
    if not pairs:
        return
    tests = sum(float(course.tests[hour]) for course in open_ if hour < course.table.hours)
    # A window of 24 hours is looked at anew once a day, one of six hours four times.
    log_p = np.array([one.log_p + math.log(DAY_H / min(one.window_h, DAY_H)) for _, one in pairs])
    passed = discovered(log_p, round(max(tests, len(pairs))), settings.false_per_day)
    threshold = -math.log(settings.false_per_day / max(tests, 1.0))
    done: set[int] = set()
    for at in np.argsort(log_p, kind="stable").tolist():
        course, one = pairs[at]
        if passed[at] and id(course) not in done:
            done.add(id(course))
            _follow(course, one, min(threshold, -float(log_p[at])), -float(log_p[at]), settings)


def _follow(course: _Course, one: Candidate, threshold: float, score: float, settings: ChoiceSettings) -> None:
    """Open an episode, find its end, and look at what comes after with its hours left out."""
    table = course.table
    shift = _ended(table, _dated(one, score, threshold))
    course.shifts.append(shift)
    stop = table.hours if shift.recovered is None else shift.recovered
    if not shift.rebased:
        course.masked[max(shift.onset - 1, 0) : stop] = True
    if shift.closed is None:
        course.free_from = table.hours
        course.candidates = ()
        return
    course.free_from = shift.closed + 1
    looked = Look(table, course.masked, settings).run(course.free_from)
    course.candidates, course.tests = looked.candidates, looked.tests


def _events(one: Candidate) -> tuple[Floats, Floats]:
    """Return per hour the trajectories that made the new choice, or not the usual one, and how many would have."""
    seen = one.view
    if one.picked is not None:
        return seen.picked[one.picked], seen.expected[one.picked]
    assert one.usual is not None  # noqa: S101 - a candidate has at least one of the two
    return seen.of - seen.picked[one.usual], seen.of - seen.expected[one.usual]


def _dated(one: Candidate, score: float, threshold: float) -> Shift:
    """Date the onset by the likelihood of a change at each hour of the window and the day before."""
    events, expected = _events(one)
    start = max(one.hour - one.window_h - DAY_H, 0)
    cut = slice(start, one.hour + 1)
    n = one.view.of[cut]
    rate = np.clip(np.divide(expected[cut], n, out=np.full(len(n), 0.01), where=n > 0), 0.01, 0.99)
    dated = date_onset(rate_gain(events[cut], n, rate, np.ones(len(n))), n > 0)
    low, high = start + dated.low, start + dated.high
    return Shift(one, start + dated.tick, low, high, score, threshold)


def _ended(table: Table, shift: Shift) -> Shift:
    """Find when the choice came back to what was usual, with the baseline of the hour of the alarm."""
    one = shift.found
    events, expected = _events(one)
    alarm, seen = one.hour, one.view
    n_before = max(float(seen.of[shift.onset : alarm + 1].sum()), 1e-9)
    usual_rate = float(expected[shift.onset : alarm + 1].sum()) / n_before
    shifted = float(events[shift.onset : alarm + 1].sum()) / n_before
    limit = usual_rate + SETTLED_SHARE * max(shifted - usual_rate, 0)
    last = min(table.hours, shift.onset + REBASE_H)
    units, hits = (np.concatenate(([0.0], np.cumsum(part))) for part in (seen.of, events))
    llr = _llr(events, seen.of, usual_rate, limit)
    evidence = 0.0
    for hour in range(alarm + 1, last):
        evidence = max(0.0, evidence + float(llr[hour]))
        if evidence < RECOVERY_NATS or hour < alarm + SETTLED_H:
            continue
        enough = int(np.searchsorted(units, units[hour + 1] - SETTLED_N_MIN, side="right")) - 1
        first = min(enough, hour + 1 - SETTLED_H)
        settled = hits[hour + 1] - hits[first] <= limit * (units[hour + 1] - units[first])
        if first > alarm and settled:
            return _closed(shift, hour, events, seen.of, usual_rate, shifted)
    return replace(shift, recovered=last, closed=last, rebased=True) if last < table.hours else shift


def _closed(shift: Shift, hour: int, events: Floats, of: Floats, usual_rate: float, shifted: float) -> Shift:
    """Date the end to where "shifted until then, usual from then on" is likeliest."""
    cut = slice(shift.onset, hour + 1)
    until = int(np.argmax(np.concatenate(([-math.inf], np.cumsum(-_llr(events, of, usual_rate, shifted)[cut])[:-1]))))
    return replace(shift, recovered=shift.onset + until, closed=hour)


def _llr(events: Floats, of: Floats, usual_rate: float, shifted: float) -> Floats:
    """Return the log-likelihood ratio of the usual rate against the shifted one, per hour."""
    p0, p1 = (min(max(rate, 0.01), 0.99) for rate in (usual_rate, shifted))
    return np.asarray(events * math.log(p0 / p1) + (of - events) * math.log((1 - p0) / (1 - p1)))
