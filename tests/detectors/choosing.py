"""Small fleets of choices with known faults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from detectors.fleets import START_S

from analyzer.types.hourly import HourlyCounts
from analyzer.types.metric import HOUR_S, Choices, Window
from analyzer.types.report import Subject

DAY_H, WEEK_H = 24, 168
READER = Subject("a", tool="run_sql")
Counts = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Fault:
    """From hour `begin` to `end` a share of what would have picked `usual` picks `picked`."""

    usual: str
    picked: str
    begin: int
    end: int = 10**6
    share: float = 1.0
    fails: float = 0.05


def time_at(hour: float) -> datetime:
    """Return when an hour begins."""
    return datetime.fromtimestamp(START_S + hour * HOUR_S, UTC)


def choices(
    mix: Mapping[str, float],
    *,
    task: str | None = None,
    per_hour: float | np.ndarray = 20.0,
    days: int = 21,
    seed: int = 1,
    faults: tuple[Fault, ...] = (),
    subject: Subject = READER,
    what: str = "tables",
    wobble: float = 60.0,
) -> Choices:
    """Return one stratum: Poisson arrivals of a daily and weekly shape, shares that differ from day to day."""
    rng = np.random.default_rng(seed)
    hours = np.arange(days * DAY_H)
    shape = (1 + 0.6 * np.sin(hours / DAY_H * 2 * math.pi)) * np.where(hours // DAY_H % 7 >= 5, 0.4, 1.0)
    of = rng.poisson(per_hour * shape)
    shares = rng.dirichlet(np.array(list(mix.values())) * wobble + 1e-9, size=days).repeat(DAY_H, axis=0)
    drawn = np.stack([rng.multinomial(n, row) for n, row in zip(of.tolist(), shares, strict=True)])
    picked = {value: drawn[:, at].astype(float) for at, value in enumerate(mix)}
    failed = {value: rng.binomial(counts.astype(int), 0.05).astype(float) for value, counts in picked.items()}
    for fault in faults:
        active = (hours >= fault.begin) & (hours < fault.end)
        moved = rng.binomial(picked[fault.usual].astype(int), fault.share) * active
        picked[fault.usual] = picked[fault.usual] - moved
        failed[fault.usual] = np.minimum(failed[fault.usual], picked[fault.usual])
        picked[fault.picked] = picked.get(fault.picked, np.zeros(len(hours))) + moved
        failed[fault.picked] = failed.get(fault.picked, np.zeros(len(hours))) + rng.binomial(moved, fault.fails)
    return Choices(subject, what, task, START_S, picked, of.astype(float), failed)


def passing(one: Choices, value: str, hours: int) -> Choices:
    """Return the same with an id in the place of a value, another one every few hours."""

    def renamed(counts: Counts) -> dict[str, np.ndarray]:
        rows = {name: row for name, row in counts.items() if name != value}
        own = counts.get(value, np.zeros(len(one.of)))
        turn = np.arange(len(own)) // hours
        return rows | {f"{value}-{at}": own * (turn == at) for at in range(turn[-1] + 1) if own[turn == at].any()}

    return replace(one, picked=renamed(one.picked), failed=renamed(one.failed))


def stored(one: Choices) -> Choices:
    """Return the same as a store gives it."""
    picked, failed = (HourlyCounts.of(counts, len(one.of)) for counts in (one.picked, one.failed))
    return replace(one, picked=picked, failed=failed)


def over_all(parts: tuple[Choices, ...]) -> Choices:
    """Return the sum of strata: what a store counts over all tasks."""
    first = parts[0]

    def summed(name: str) -> dict[str, np.ndarray]:
        values = sorted({value for part in parts for value in getattr(part, name)})
        empty = np.zeros(len(first.of))
        return {value: sum((getattr(part, name).get(value, empty) for part in parts), empty) for value in values}

    of = sum((np.asarray(part.of) for part in parts), np.zeros(len(first.of)))
    return Choices(first.subject, first.what, None, first.start_s, summed("picked"), of, summed("failed"))


def window(*parts: Choices, end_h: int, lookback_h: int = DAY_H) -> Window:
    """Return what a run at an hour looks at."""
    return Window(start=time_at(end_h - lookback_h), end=time_at(end_h), choices=parts)
