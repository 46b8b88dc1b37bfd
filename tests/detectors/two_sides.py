"""One agent's work as two sides count it, tick by tick, with what can go wrong between them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from detectors.fleets import DAY, HOUR, START_S, time_of

from analyzer.types.metric import TICK_S, Series, Signal, Window, bin_of
from analyzer.types.report import Subject


@dataclass(frozen=True)
class Sides:
    """Series of one agent, from the store and from Prometheus."""

    stored: tuple[Series, ...]
    metered: tuple[Series, ...]


def work(
    *,
    agent: str = "a",
    per_hour: float = 20.0,
    days: float = 16,
    seed: int = 1,
    traced: Callable[[int], float] = lambda _tick: 1.0,
    metered: Callable[[int], float] = lambda _tick: 1.0,
    skew: int = 0,
    late: int = 0,
    tokens_traced: float = 1.0,
    tokens_metered: float = 1.0,
    tool: str = "",
) -> Sides:
    """Return both sides of one agent: `traced` and `metered` give, by tick, the share that each side keeps.

    The times of traces are `skew` ticks later, some runs are counted up to `late` ticks later by Prometheus, and tokens
    are multiplied.
    """
    rng = np.random.default_rng(seed)
    ticks = int(days * DAY)
    shape = 1 + 0.6 * np.sin(np.arange(ticks) / DAY * 2 * math.pi)
    began = np.repeat(np.arange(ticks), rng.poisson(per_hour / HOUR * shape))
    size = np.exp(math.log(2000) + 0.8 * rng.normal(size=len(began)))
    seen = rng.random(len(began)) < np.array([traced(tick) for tick in range(ticks)])[began]
    counted = rng.random(len(began)) < np.array([metered(tick) for tick in range(ticks)])[began]
    when = began + (rng.integers(0, late + 1, size=len(began)) if late else 0)
    stored = _side("store", agent, tool, ticks, began[seen] + skew, size[seen] * tokens_traced)
    other = _side("prometheus", agent, tool, ticks, when[counted], size[counted] * tokens_metered)
    return Sides(stored, other)


def _side(source: str, agent: str, tool: str, ticks: int, when: np.ndarray, size: np.ndarray) -> tuple[Series, ...]:
    kept = (when >= 0) & (when < ticks)
    when, size = when[kept], size[kept]
    count = np.bincount(when, minlength=ticks).astype(float)
    tokens = np.bincount(when, weights=size, minlength=ticks)
    sketches = None
    if source == "store":
        sketches = tuple(dict(Counter(bin_of(value) for value in size[when == tick])) for tick in range(ticks))
    runs = Series(
        signal=Signal.ERRORS,
        subject=Subject(agent=agent),
        unit="trajectories",
        source=source,
        query="errors / runs",
        start_s=START_S,
        count=count.tolist(),
        total=[0.0] * ticks,
        counted=f'sum(increase(agent_trajectories_total{{agent="{agent}"}}[$range]))' if source != "store" else "",
        summed="errors",
    )
    found = [
        runs,
        replace(runs, signal=Signal.TOKENS, unit="tokens", total=tokens.tolist(), sketches=sketches),
        replace(runs, signal=Signal.COST, unit="USD", total=(tokens * 3e-6).tolist()),
    ]
    if tool:
        found.append(
            replace(
                runs,
                signal=Signal.TOOL_LATENCY,
                subject=Subject(agent=agent, tool=tool),
                unit="s",
                count=(3 * count).tolist(),
                total=count.tolist(),
            )
        )
    return tuple(one for one in found if any(one.count))


def both(*sides: Sides, at: int | None = None, lookback: int = DAY) -> Window:
    """Return the window of a run at the end of a tick, over one or more agents."""
    stored = tuple(one for side in sides for one in side.stored)
    metered = tuple(one for side in sides for one in side.metered)
    stop = max(len(one.count) for one in (*stored, *metered)) if at is None else at
    end = time_of(stop)
    end_s = START_S + stop * TICK_S
    return Window(
        start=time_of(stop - lookback),
        end=end,
        series=tuple(one.until(end_s) for one in stored),
        stored=tuple(one.until(end_s) for one in stored) if metered else (),
        metered=tuple(one.until(end_s) for one in metered),
    )
