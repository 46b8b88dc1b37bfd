"""A simulated fleet at the level of ticks, with the drift that real fleets have.

15-minute ticks; negative-binomial arrivals with a daily and a weekly shape; log-normal amounts from a mixture of easy
and hard goals, 0.7 % of them tenfold runaways at all times; hour-level AR(1) drift, day effects, a level that depends
on the hour of the day; half the agents work in correlated groups of four; half run a weekly job (Sunday 02-04 h, x1.8).
A fault begins at a random time in days 14 to 20. Rates drift from hour to hour by a gamma factor. Signals differ in the
spread of their values, or in their usual rate and its drift.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from analyzer.types.metric import BIN_WIDTH, Series, Signal, Sketch
from analyzer.types.report import Subject

DAYS = 28
TICKS = DAYS * 96
START_S = 1_767_571_200 - 1_767_571_200 % (7 * 86_400) + 4 * 86_400
"""A Monday at midnight (the epoch was a Thursday)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong from tick `onset` on: a unit is hit with probability `share` and takes `factor` times as much."""

    onset: int
    share: float = 1.0
    factor: float = 2.0
    rate: float = 0.0
    """Of events: the usual rate is replaced by this one."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How the values of a signal are spread."""

    signal: Signal
    unit: str
    median: float
    easy: tuple[float, float] = (0.6, 0.8)
    hard: tuple[float, float] = (0.6, 0.9)
    """Bounds of the agents' standard deviations of ln(value), of easy and of hard goals."""
    step: float = 1.2
    """What hard goals take more, in ln(value)."""
    whole: bool = False
    """Values are whole numbers from 1 on."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How often the event of a signal happens, and the coefficient of variation of an hour's rate."""

    signal: Signal
    unit: str
    usual: float
    variation: float


COST = Amount(Signal.COST, "USD per trajectory", 0.05)
TOKENS = Amount(Signal.TOKENS, "tokens", 9_000.0)
STEPS = Amount(Signal.STEPS, "steps", 6.0, (0.3, 0.5), (0.3, 0.5), 0.7, whole=True)
LATENCY = Amount(Signal.LATENCY, "s", 20.0, (0.7, 1.0), (0.8, 1.1))
TOOL_LATENCY = Amount(Signal.TOOL_LATENCY, "s", 0.8, (0.5, 1.0), (0.8, 1.2), 1.5)
TOOL_COST = Amount(Signal.TOOL_COST, "USD", 0.01, (0.2, 0.5), (0.3, 0.6), 1.0)
ERRORS = Rate(Signal.ERRORS, "trajectories", 0.02, 0.5)
TOOL_ERRORS = Rate(Signal.TOOL_ERRORS, "calls", 0.02, 0.5)
SUCCESS = Rate(Signal.SUCCESS, "trajectories", 0.25, 0.2)
RETRIES = Rate(Signal.RETRIES, "trajectories", 0.05, 0.4)
TRUNCATION = Rate(Signal.TRUNCATION, "trajectories", 0.002, 0.5)


def arrivals(rng: np.random.Generator, per_hour: float, ticks: int = TICKS) -> np.ndarray:
    """Return units per tick: negative binomial around a daily and weekly shape, shape (ticks,)."""
    tick = np.arange(ticks)
    hour, weekday = (tick / 4) % 24, (tick // 96) % 7
    depth = rng.uniform(0.2, 0.8)
    shape = 1 + depth * np.sin((hour - rng.uniform(6, 12)) / 24 * 2 * np.pi)
    shape *= np.where(weekday >= 5, rng.uniform(0.3, 1.0), 1.0)
    mean = per_hour / 4 * shape / shape.mean()
    size = 10.0
    return rng.poisson(mean * rng.gamma(size, 1 / size, ticks))


def drift(rng: np.random.Generator, ticks: int = TICKS) -> np.ndarray:
    """Return the drift of ln(level) per tick: AR(1) over hours (phi 0.8), day effects, hour of the day."""
    sd = rng.uniform(0.05, 0.15)
    hours = ticks // 4 + 1
    steps = rng.normal(0, sd * math.sqrt(1 - 0.8**2), hours)
    level = np.zeros(hours)
    for index in range(1, hours):
        level[index] = 0.8 * level[index - 1] + steps[index]
    days = rng.normal(0, 0.06, ticks // 96 + 1)
    tick = np.arange(ticks)
    daily = rng.uniform(0, 0.2) * np.sin(((tick / 4) % 24 - rng.uniform(0, 24)) / 24 * 2 * np.pi)
    return level[tick // 4] + days[tick // 96] + daily


def amount_series(rng: np.random.Generator, kind: Amount, per_hour: float, fault: Fault | None = None) -> Series:
    """Return the values per unit of one simulated agent, with their sketches."""
    n = arrivals(rng, per_hour)
    level = drift(rng)
    grouped, weekly = rng.random() < 0.5, rng.random() < 0.5
    tick = np.arange(TICKS)
    if weekly:
        sunday = ((tick // 96) % 7 == 6) & ((tick // 4) % 24 >= 2) & ((tick // 4) % 24 < 4)
        level = level + np.where(sunday, math.log(1.8), 0.0)
    sketches: list[Sketch] = []
    totals = np.zeros(TICKS)
    sigma_easy, sigma_hard = rng.uniform(*kind.easy), rng.uniform(*kind.hard)
    base = math.log(kind.median) + rng.normal(0, 1)
    for index in range(TICKS):
        k = int(n[index])
        if not k:
            sketches.append({})
            continue
        hard = rng.random(k) < 0.25
        x = np.where(hard, kind.step + sigma_hard * rng.normal(size=k), sigma_easy * rng.normal(size=k))
        if grouped:
            x = x + 0.4 * np.repeat(rng.normal(size=-(-k // 4)), 4)[:k]
        x = x + base + level[index] + np.where(rng.random(k) < 0.007, math.log(10), 0.0)
        if fault is not None and index >= fault.onset:
            x = x + np.where(rng.random(k) < fault.share, math.log(fault.factor), 0.0)
        if kind.whole:
            x = np.log(np.maximum(np.round(np.exp(x)), 1.0))
        totals[index] = float(np.exp(x).sum())
        sketches.append(dict(Counter(np.floor(x / BIN_WIDTH).astype(int).tolist())))
    return _series(kind, n, totals, tuple(sketches))


def event_series(rng: np.random.Generator, kind: Rate, per_hour: float, fault: Fault | None = None) -> Series:
    """Return the events of one simulated agent: hourly gamma drift, half the agents with groups of four."""
    n = arrivals(rng, per_hour)
    rate = np.full(TICKS, kind.usual)
    if fault is not None:
        rate[fault.onset :] = fault.rate
    shape = kind.variation**-2
    rate = rate * np.repeat(rng.gamma(shape, 1 / shape, TICKS // 4), 4)
    bounded = np.clip(rate, 1e-6, 0.95)
    correlated = rng.random() < 0.5
    events = np.array(
        [_failures(rng, int(k), float(p), correlated=correlated) for k, p in zip(n, bounded, strict=True)]
    )
    return _series(kind, n, events.astype(float))


def volume_series(rng: np.random.Generator, per_hour: float, fault: Fault | None = None) -> Series:
    """Return what begins of one simulated agent; with a fault nothing does."""
    n = arrivals(rng, per_hour)
    if fault is not None:
        n[fault.onset :] = 0
    return _series(Rate(Signal.VOLUME, "trajectories", 1.0, 0.0), n, n.astype(float))


def _series(
    kind: Amount | Rate, n: np.ndarray, totals: np.ndarray, sketches: tuple[Sketch, ...] | None = None
) -> Series:
    return Series(
        signal=kind.signal,
        subject=Subject(agent="sim"),
        unit=kind.unit,
        source="store",
        query="sum(increase(value[$range])) / sum(increase(units[$range]))",
        start_s=START_S,
        count=n.astype(float).tolist(),
        total=totals.tolist(),
        sketches=sketches,
    )


def _failures(rng: np.random.Generator, units: int, rate: float, *, correlated: bool) -> int:
    """Draw failures among units; correlated ones in groups of four with intra-class correlation 0.1 (a + b = 9)."""
    if not correlated:
        return int(rng.binomial(units, rate))
    sizes = np.full(-(-units // 4), 4)
    if units % 4:
        sizes[-1] = units % 4
    return int(rng.binomial(sizes, rng.beta(rate * 9, (1 - rate) * 9, len(sizes))).sum())
