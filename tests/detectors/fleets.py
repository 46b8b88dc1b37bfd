"""Small fleets with known faults, as series on the tick grid."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from analyzer.types.metric import BIN_WIDTH, TICK_S, Series, Signal, Window
from analyzer.types.report import Subject

START_S = 1_767_571_200 // 86_400 // 7 * 7 * 86_400 + 4 * 86_400
"""A Monday at midnight, UTC."""
HOUR, DAY, WEEK = 4, 96, 7 * 96
"""In ticks."""


def time_of(tick: int, start_s: int = START_S) -> datetime:
    """Return when a tick begins."""
    return datetime.fromtimestamp(start_s + tick * TICK_S, tz=UTC)


def costs(
    level: Callable[[np.ndarray], np.ndarray],
    *,
    seed: int = 1,
    per_hour: float = 40.0,
    days: float = 18,
    sigma: float = 0.8,
    agent: str = "a",
    share: float = 1.0,
    start_s: int = START_S,
) -> Series:
    """Return cost per trajectory: log-normal around 5 cents; `level(ticks)` multiplies a `share` of them."""
    rng = np.random.default_rng(seed)
    ticks = np.arange(int(days * DAY))
    shape = 1 + 0.4 * np.sin(ticks / DAY * 2 * math.pi)
    counts = rng.poisson(per_hour / 4 * shape)
    factors = level(ticks)
    sketches, totals = [], []
    for count, factor in zip(counts.tolist(), factors.tolist(), strict=True):
        x = math.log(0.05) + sigma * rng.normal(size=count)
        x = x + np.where(rng.random(count) < share, math.log(factor), 0.0)
        sketches.append(dict(Counter(np.floor(x / BIN_WIDTH).astype(int).tolist())))
        totals.append(float(np.exp(x).sum()))
    return Series(
        signal=Signal.COST,
        subject=Subject(agent=agent),
        unit="USD",
        source="store",
        query='sum(increase(agent_cost_usd_total{agent="a"}[$range])) / sum(increase(runs{agent="a"}[$range]))',
        start_s=start_s,
        count=[float(count) for count in counts],
        total=totals,
        sketches=tuple(sketches),
    )


def failures(
    rate: Callable[[np.ndarray], np.ndarray],
    *,
    seed: int = 1,
    per_hour: float = 60.0,
    days: float = 18,
    signal: Signal = Signal.ERRORS,
    subject: Subject | None = None,
    start_s: int = START_S,
) -> Series:
    """Return failures among units, with the given rate per tick."""
    rng = np.random.default_rng(seed)
    ticks = np.arange(int(days * DAY))
    counts = rng.poisson(per_hour / 4, len(ticks))
    events = rng.binomial(counts, rate(ticks))
    return Series(
        signal=signal,
        subject=subject or Subject(agent="a"),
        unit="trajectories",
        source="store",
        query="sum(increase(errors[$range])) / sum(increase(runs[$range]))",
        start_s=start_s,
        count=[float(count) for count in counts],
        total=[float(count) for count in events],
    )


def arrivals(
    rate: Callable[[np.ndarray], np.ndarray],
    *,
    seed: int = 1,
    days: float = 18,
    agent: str = "a",
    start_s: int = START_S,
) -> Series:
    """Return what begins per tick: Poisson with the given rate per hour."""
    counts = np.random.default_rng(seed).poisson(rate(np.arange(int(days * DAY))) / HOUR)
    return begun(counts, agent=agent, start_s=start_s)


def begun(counts: np.ndarray, *, agent: str = "a", start_s: int = START_S) -> Series:
    """Return a series of volume with the given counts per tick."""
    return Series(
        signal=Signal.VOLUME,
        subject=Subject(agent=agent),
        unit="trajectories",
        source="store",
        query=f'sum(rate(agent_runs_total{{agent="{agent}"}}[$range])) * 3600',
        start_s=start_s,
        count=counts.astype(float).tolist(),
        total=counts.astype(float).tolist(),
    )


def flat(value: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return the same value at every tick."""
    return lambda ticks: np.full(len(ticks), value)


def step(onset: int, before: float, after: float, end: int = 10**9) -> Callable[[np.ndarray], np.ndarray]:
    """Return `after` from tick `onset` until `end`, else `before`."""
    return lambda ticks: np.where((ticks >= onset) & (ticks < end), after, before)


def window(*series: Series, end: int | None = None, hours: float = 24.0) -> Window:
    """Return the window of a run at the end of the series, or at a tick."""
    first = series[0]
    stop = len(first.count) if end is None else end
    return Window(
        start=time_of(stop - int(hours * HOUR), first.start_s), end=time_of(stop, first.start_s), series=series
    )


def counters_only(series: Series) -> Series:
    """Return what Prometheus would have of a series: counts and totals."""
    return replace(series, sketches=None, source="prometheus")
