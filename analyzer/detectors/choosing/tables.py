"""The counts of one choice by kind of task, and what was usual for it on each day.

All of it is stratified by the kind of task. What an agent picks depends on what it is asked, so a shift of the tasks
must not look like a shift of the choice: each kind is expected to choose as it did, and a new kind takes no part.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from analyzer.detectors.kernels.grid import DAY_S, Bools, Floats
from analyzer.types.hourly import HourlyCounts
from analyzer.types.metric import HOUR_S, Choices

DAY_H = 24
BASELINE_DAYS, HELD_OUT_DAYS = 14, 1
TRAJECTORIES_MIN, DAYS_MIN = 8, 3
"""What a kind of task must show before anything is usual for it."""
UNSORTED_DAYS_MIN = 7
"""Trajectories whose kind of task is not known are judged after a week: weekends ask for other things."""
VALUES_MAX = 64
"""Values of one choice that are looked at, the most frequent ones. With more, none is usual."""
DISPERSION_PRIOR, DISPERSION_PRIOR_PAIRS, DISPERSION_PRIOR_DAYS = 0.02, 100.0, 7.0
"""Correlation of the choices of one day; it weighs as much as a hundred pairs of trajectories of one day, and as much
as a week: a busy agent shows many pairs, but each day only one draw of what days have in common."""


@dataclass(frozen=True, slots=True)
class Table:
    """One choice of one agent. Hours are UTC and begin at a midnight; arrays are indexed [stratum, value, hour]."""

    agent: str | None
    tool: str | None
    what: str
    start_s: int
    hours: int
    """Hours that had ended at the run's now."""
    values: tuple[str, ...]
    tasks: tuple[str | None, ...]
    """The kind of task of each stratum; None: all that have none of the others."""
    of: Floats
    """Trajectories that had the choice, shape (strata, hours)."""
    picked: Floats
    failed: Floats
    offered_s: Mapping[str, float]
    """When each tool was first offered, where that is known."""

    def time(self, hour: int) -> datetime:
        """Return when an hour begins."""
        return datetime.fromtimestamp(self.start_s + hour * HOUR_S, tz=UTC)

    def until(self, end: datetime) -> Table:
        """Return the hours that had ended by a moment."""
        hours = min(max(math.floor((end.timestamp() - self.start_s) / HOUR_S), 0), self.hours)
        of, picked, failed = (part[..., :hours] for part in (self.of, self.picked, self.failed))
        return replace(self, hours=hours, of=of, picked=picked, failed=failed)

    @property
    def first(self) -> int:
        """The first hour in which anything was chosen."""
        seen = np.flatnonzero(self.of.sum(axis=0))
        return int(seen[0]) if len(seen) else self.hours


@dataclass(frozen=True, slots=True)
class Usual:
    """What was usual, by day; arrays are indexed [stratum, ..., day], and hold for the hours of that day."""

    known: Bools
    """Whether a stratum has been seen enough, shape (strata, days)."""
    share: Floats
    """Share of the trajectories that pick each value, shape (strata, values, days)."""
    units: Floats
    """Trajectories the shares rest on, shape (strata, days)."""
    scatter: Floats
    """What the days scatter beyond the binomial, (strata, days): sum of (k - n p)^2 - n p q over days and values."""
    room: Floats
    """What that would be at a correlation of one: sum of n (n - 1) p q."""
    pairs: Floats
    """Pairs of trajectories of one day that this rests on."""


@dataclass(frozen=True, slots=True)
class View:
    """Some strata of a table, pooled; only where they are known. Arrays end with the hours."""

    strata: tuple[int, ...]
    of: Floats
    picked: Floats
    expected: Floats
    """Trajectories that would have picked each value, had each kind of task chosen as usual: (values, hours)."""
    units: Floats
    """Trajectories the expectation rests on, shape (hours,)."""
    dispersion: Floats
    unsorted: bool
    """Whether trajectories without a kind of task are among them."""


def tables(choices: Iterable[Choices], end: datetime, values: Sequence[str] | None = None) -> tuple[Table, ...]:
    """Put the strata of each choice together, as known at `end`, with the given values or the commonest."""
    groups: dict[tuple[str, str, str], list[Choices]] = defaultdict(list)
    for one in choices:
        groups[one.subject.agent or "", one.subject.tool or "", one.what].append(one)
    found = (_table(sorted(groups[key], key=lambda one: one.task or ""), end, values) for key in sorted(groups))
    return tuple(table for table in found if table.hours > 0 and table.values)


def _table(parts: Sequence[Choices], end: datetime, given: Sequence[str] | None) -> Table:
    start_s = min(part.start_s for part in parts) // DAY_S * DAY_S
    hours = max(math.floor((end.timestamp() - start_s) / HOUR_S), 0)
    values = commonest(parts, hours - (parts[0].start_s - start_s) // HOUR_S) if given is None else tuple(given)
    of = np.stack([_cut(part.of, part.start_s, start_s, hours) for part in parts])
    picked = np.stack([_by_value(part.picked, part, values, start_s, hours) for part in parts])
    failed = np.stack([_by_value(part.failed, part, values, start_s, hours) for part in parts])
    tasks = tuple(part.task for part in parts)
    if None in tasks and len(tasks) > 1:
        # "Over all tasks" becomes "of no task that is listed": the strata must not overlap.
        rest, listed = tasks.index(None), [at for at, task in enumerate(tasks) if task is not None]
        for array in (of, picked, failed):
            array[rest] = np.maximum(array[rest] - array[listed].sum(axis=0), 0)
    subject = parts[0].subject
    offered: dict[str, float] = {}
    for part in parts:
        for value, first_s in part.offered_s.items():
            offered[value] = min(first_s, offered.get(value, first_s))
    return Table(subject.agent, subject.tool, parts[0].what, start_s, hours, values, tasks, of, picked, failed, offered)


def commonest(parts: Sequence[Choices], hours: int | None = None) -> tuple[str, ...]:
    """Return the values of one choice that were picked most, as many as a table has room for, sorted by name.

    Counted are the first `hours` of the choices, or all of them.
    """
    known = set().union(*(part.picked for part in parts))
    if len(known) <= VALUES_MAX:
        return tuple(sorted(known))
    totals: dict[str, float] = defaultdict(float)
    for part in parts:
        picked = HourlyCounts.of(part.picked, len(part.of))
        stop = len(picked.hours) if hours is None else bisect_left(picked.hours, hours)
        taken = np.asarray(picked.counts[:stop], dtype=np.float64)
        taken = np.where((taken > 0) & (taken < math.inf), taken, 0.0)
        sums = np.bincount(np.asarray(picked.ranks[:stop], dtype=np.int64), weights=taken, minlength=len(picked))
        for value, total in zip(picked, sums.tolist(), strict=True):
            totals[value] += total
    least = sorted(totals.values(), reverse=True)[VALUES_MAX - 1]
    more = [value for value, total in totals.items() if total > least]
    level = sorted(value for value, total in totals.items() if total == least)
    return tuple(sorted(more + level[: VALUES_MAX - len(more)]))


def _cut(counts: Sequence[float], own_s: int, start_s: int, hours: int) -> Floats:
    row = np.zeros(hours)
    offset = (own_s - start_s) // HOUR_S
    taken = _possible(counts[: max(hours - offset, 0)])
    row[offset : offset + len(taken)] = taken
    return row


def _possible(counts: Sequence[float]) -> Floats:
    """Return counts as an array, 0 for those that no number of trajectories can be."""
    taken = np.asarray(counts, dtype=np.float64)
    return np.where(np.isfinite(taken), np.maximum(taken, 0), 0)


def _by_value(
    counts: Mapping[str, Sequence[float]], part: Choices, values: Sequence[str], start_s: int, hours: int
) -> Floats:
    """Return the counts of some values, shape (values, hours)."""
    rows = np.zeros((len(values), hours))
    own = HourlyCounts.of(counts, len(part.of))
    offset = (part.start_s - start_s) // HOUR_S
    stop = bisect_left(own.hours, hours - offset)
    row_of = np.full(len(own.rank), -1)
    for row, value in enumerate(values):
        if value in own:
            row_of[own.rank[value]] = row
    slot = row_of[np.asarray(own.ranks[:stop], dtype=np.int64)]
    hour = np.asarray(own.hours[:stop], dtype=np.int64) + offset
    rows[slot[slot >= 0], hour[slot >= 0]] = _possible(own.counts[:stop])[slot >= 0]
    return rows


def by_day(counts: Floats) -> Floats:
    """Return sums over whole days along the last axis; a day that has not ended counts as far as it went."""
    days = math.ceil(counts.shape[-1] / DAY_H)
    padded = np.zeros((*counts.shape[:-1], days * DAY_H))
    padded[..., : counts.shape[-1]] = counts
    return np.asarray(padded.reshape(*counts.shape[:-1], days, DAY_H).sum(axis=-1))


def usual(table: Table, masked: Bools) -> Usual:
    """Learn, for each day, from the trailing 14 days less the last one, without the hours of episodes."""
    keep = ~masked
    of, picked = by_day(table.of * keep), by_day(table.picked * keep)
    units, chosen = _trailing(of), _trailing(picked)
    age = np.arange(of.shape[-1]) - table.first // DAY_H
    unsorted = np.array([task is None for task in table.tasks])[:, None]
    old_enough = ~unsorted | (age[None, :] >= UNSORTED_DAYS_MIN)
    known = (units >= TRAJECTORIES_MIN) & (_trailing((of > 0).astype(np.float64)) >= DAYS_MIN) & old_enough
    share = chosen / np.maximum(units, 1)[:, None, :]
    square_of, pairs = _trailing(of**2), _trailing(of * np.maximum(of - 1, 0))
    scatter = (
        _trailing(picked**2) - 2 * share * _trailing(picked * of[:, None, :]) + share**2 * square_of[:, None, :]
    ) - share * (1 - share) * units[:, None, :]
    room = share * (1 - share) * pairs[:, None, :]
    return Usual(known, share, units, scatter.sum(axis=1), room.sum(axis=1), pairs)


def _trailing(days: Floats) -> Floats:
    """Return, for each day, the sum over the days that its baseline rests on."""
    cumulated = np.concatenate([np.zeros((*days.shape[:-1], 1)), np.cumsum(days, axis=-1)], axis=-1)
    at = np.arange(days.shape[-1])
    stop = np.maximum(at - HELD_OUT_DAYS, 0)
    return np.asarray(cumulated[..., stop] - cumulated[..., np.maximum(at - BASELINE_DAYS, 0)])


def _dispersion(usual_: Usual, rows: Sequence[int]) -> Floats:
    """Return the correlation of the choices of one day over some strata, by moments, shrunk to its prior: (days,).

    Of a beta-binomial, E (k - n p)^2 = n p q (1 + (n - 1) rho).
    """
    known = usual_.known[rows]
    scatter, room, pairs = (
        np.where(known, part[rows], 0).sum(axis=0) for part in (usual_.scatter, usual_.room, usual_.pairs)
    )
    measured = np.clip(np.divide(scatter, room, out=np.zeros_like(room), where=room > 0), 0, 1)
    days = BASELINE_DAYS - HELD_OUT_DAYS
    weight = pairs / (pairs + DISPERSION_PRIOR_PAIRS) * days / (days + DISPERSION_PRIOR_DAYS)
    return np.asarray(np.clip(weight * measured + (1 - weight) * DISPERSION_PRIOR, 1e-3, 0.9))


def view(table: Table, usual_: Usual, strata: Sequence[int], masked: Bools) -> View:
    """Pool strata, each hour with what was usual for each of them on that day; strata not known take no part."""
    day = np.arange(table.hours) // DAY_H
    rows = list(strata)
    known = usual_.known[rows][:, day] & ~masked
    of = table.of[rows] * known
    expected = np.einsum("sh,svh->vh", of, usual_.share[rows][:, :, day])
    units = (usual_.units[rows][:, day] * known).sum(axis=0)
    return View(
        tuple(rows),
        of.sum(axis=0),
        (table.picked[rows] * known[:, None, :]).sum(axis=0),
        expected,
        units,
        _dispersion(usual_, rows)[day],
        unsorted=any(table.tasks[row] is None for row in rows),
    )
