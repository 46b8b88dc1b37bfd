"""Series on the tick grid, put together from the rollups of the days."""

from __future__ import annotations

import re
import sqlite3
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from analyzer.stores import rollups
from analyzer.stores.cells import TICKS_PER_DAY, Cells
from analyzer.stores.summaries import nanoseconds
from analyzer.types.metric import AMOUNTS, TICK_S, Bought, FlatSketches, Series, Signal, Unpriced
from analyzer.types.promql import quoted
from analyzer.types.report import Subject

UNITS: Mapping[Signal, str] = {
    Signal.COST: "USD",
    Signal.TOKENS: "tokens",
    Signal.STEPS: "steps",
    Signal.LATENCY: "s",
    Signal.GAP: "s",
    Signal.TOOL_LATENCY: "s",
    Signal.TOOL_COST: "USD",
    Signal.PRICE: "USD",
}
"""Of the values of amounts; events are counted in trajectories."""

QUERIES: Mapping[Signal, str] = {
    Signal.COST: "sum(increase(agent_cost_usd_total{AGENT}[$range])) / RUNS",
    Signal.PRICE: "sum(increase(agent_cost_usd_total{AGENT}[$range])) / RUNS",
    Signal.TOKENS: "sum(increase(agent_tokens_total{AGENT}[$range])) / RUNS",
    Signal.STEPS: "sum(increase(agent_steps_sum{AGENT}[$range])) / sum(increase(agent_steps_count{AGENT}[$range]))",
    Signal.LATENCY: (
        "sum(increase(agent_trajectory_seconds_sum{AGENT}[$range]))"
        " / sum(increase(agent_trajectory_seconds_count{AGENT}[$range]))"
    ),
    Signal.GAP: (
        "sum(increase(agent_trajectory_gap_seconds_sum{AGENT}[$range]))"
        " / sum(increase(agent_trajectory_gap_seconds_count{AGENT}[$range]))"
    ),
    Signal.TOOL_LATENCY: (
        "sum(increase(agent_tool_seconds_sum{AGENT, TOOL}[$range]))"
        " / sum(increase(agent_tool_seconds_count{AGENT, TOOL}[$range]))"
    ),
    Signal.TOOL_COST: (
        "sum(increase(agent_tool_cost_usd_total{AGENT, TOOL}[$range]))"
        " / sum(increase(agent_tool_seconds_count{AGENT, TOOL}[$range]))"
    ),
    Signal.ERRORS: 'sum(increase(agent_trajectories_total{AGENT, outcome="error"}[$range])) / RUNS',
    Signal.SUCCESS: 'sum(increase(agent_trajectories_total{AGENT, outcome=~"failure|error"}[$range])) / RUNS',
    Signal.RETRIES: "sum(increase(agent_trajectories_retried_total{AGENT}[$range])) / RUNS",
    Signal.TRUNCATION: "sum(increase(agent_trajectories_truncated_total{AGENT}[$range])) / RUNS",
    Signal.TOOL_ERRORS: (
        "sum(increase(agent_tool_failed_share_sum{AGENT, TOOL}[$range]))"
        " / sum(increase(agent_tool_failed_share_count{AGENT, TOOL}[$range]))"
    ),
    Signal.VOLUME: "sum(increase(agent_trajectories_started_total{AGENT}[$range]))",
}
"""PromQL on the names of the contract that says what a series says; AGENT, TOOL and RUNS are filled in."""
_RUNS = "sum(increase(agent_trajectories_total{AGENT}[$range]))"


Floats = npt.NDArray[np.float64]
_Key = tuple[str, str, str]
"""Signal or another name, agent, tool."""
_SIGNALS = frozenset(signal.value for signal in Signal)


@dataclass(slots=True)
class _Growing:
    """One series while its days are laid one after the other."""

    ticks: int
    count: Floats = field(init=False)
    total: Floats = field(init=False)
    at: array[int] = field(default_factory=lambda: array("i"))
    bins: array[int] = field(default_factory=lambda: array("h"))
    units: array[int] = field(default_factory=lambda: array("I"))

    def __post_init__(self) -> None:
        """Begin with ticks that saw nothing."""
        self.count, self.total = np.zeros(self.ticks), np.zeros(self.ticks)

    def lay(self, cells: Cells, offset: int, keep: np.ndarray) -> None:
        """Add the cells of a day whose first tick is `offset`; `keep` says which ticks of the day are wanted."""
        ticks = np.frombuffer(cells.ticks, np.uint8)
        wanted = keep[ticks]
        places = ticks[wanted].astype(np.int64) + offset
        self.count[places] = np.frombuffer(cells.count, np.float64)[wanted]
        self.total[places] = np.frombuffer(cells.total, np.float64)[wanted]
        if not cells.at:
            return
        at = np.frombuffer(cells.at, np.uint8)
        wanted = keep[at]
        self.at.frombytes((at[wanted].astype(np.int32) + offset).tobytes())
        self.bins.frombytes(np.frombuffer(cells.bins, np.int16)[wanted].tobytes())
        self.units.frombytes(np.frombuffer(cells.units, np.uint32)[wanted].tobytes())

    def sketches(self) -> FlatSketches:
        """Return the distribution, by tick: hours that were counted just now were laid last."""
        order = np.argsort(np.frombuffer(self.at, np.int32), kind="stable")
        parts = (np.frombuffer(part, np.dtype(part.typecode))[order] for part in (self.at, self.bins, self.units))
        return FlatSketches(self.ticks, *map(_packed, parts))


def series(
    raw: sqlite3.Connection, start: datetime, end: datetime, *, agent: str | None = None, marked: bool = True
) -> list[Series]:
    """Return every signal of an agent or of the fleet's agents, and of every tool, on the tick grid.

    The grid begins with the tick that holds `start`; the last tick is the last whole one before `end`. Of `marked` see
    `rollups.unsettled`.
    """
    start_s = int(start.timestamp()) // TICK_S * TICK_S
    ticks = max(0, int(end.timestamp() - start_s) // TICK_S)
    end_s = start_s + ticks * TICK_S
    at_ns = nanoseconds(end)
    growing: dict[_Key, _Growing] = {}
    hours = rollups.unsettled(raw, start_s, end_s, at_ns, marked=marked)
    wanted = cache(lambda day_s: _wanted(day_s, start_s, end_s, hours, fresh=False))
    for day_s, key, day in rollups.days(raw, start_s, end_s, agent):
        keep = wanted(day_s)
        for name, cells in day.items():
            one = growing.setdefault((name, *key), _Growing(ticks))
            one.lay(cells, (day_s - start_s) // TICK_S, keep)
    for day_s, key, tallies in rollups.counted_now(raw, hours, at_ns, agent):
        keep = _wanted(day_s, start_s, end_s, hours, fresh=True)
        for name, tally in tallies.items():
            one = growing.setdefault((name, *key), _Growing(ticks))
            one.lay(tally.cells(), (day_s - start_s) // TICK_S, keep)
    return [
        _series(key, start_s, growing) for key in sorted(growing) if key[0] in _SIGNALS and growing[key].count.any()
    ]


def _wanted(day_s: int, start_s: int, end_s: int, hours: frozenset[int], *, fresh: bool) -> np.ndarray:
    """Return for each tick of a day whether it lies in the range, and is one of `hours` or none of them."""
    times = day_s + np.arange(TICKS_PER_DAY) * TICK_S
    counted_now = np.isin(times // 3600, list(hours))
    return np.asarray((times >= start_s) & (times < end_s) & (counted_now if fresh else ~counted_now))


def _series(key: _Key, start_s: int, growing: Mapping[_Key, _Growing]) -> Series:
    name, agent, tool = key
    signal, grown = Signal(name), growing[key]
    total = _packed(grown.total)
    hit = _packed(growing[rollups.HIT, agent, tool].total) if signal is Signal.TOOL_ERRORS else None
    return Series(
        signal=signal,
        subject=Subject(agent=agent, tool=tool or None),
        unit=UNITS.get(signal, "trajectories"),
        source="store",
        query=_query(signal, agent, tool),
        start_s=start_s,
        count=_packed(grown.count),
        total=total,
        sketches=grown.sketches() if signal in AMOUNTS else None,
        hit=hit if hit != total else None,
        unpriced=_unpriced(growing, agent) if signal in {Signal.COST, Signal.PRICE} else None,
        bought=_bought(growing, agent) if signal is Signal.PRICE else None,
    )


def _unpriced(growing: Mapping[_Key, _Growing], agent: str) -> Unpriced | None:
    """Return how much of an agent's cost is not known, where some of it is not."""
    calls = growing[rollups.UNPRICED, agent, ""]
    if not calls.total.any():
        return None
    unknown = growing[rollups.UNKNOWN, agent, ""]
    return Unpriced(*map(_packed, (unknown.total, calls.total, calls.count)))


def _bought(growing: Mapping[_Key, _Growing], agent: str) -> Bought:
    """Return the tokens that an agent's priced trajectories took."""
    taken, cached = (growing[name, agent, ""] for name in (rollups.TAKEN, rollups.CACHED))
    return Bought(*map(_packed, (taken.count, taken.total, cached.count, cached.total)))


def _packed(values: np.ndarray) -> Sequence[Any]:
    """Return a view of values as plain numbers: it is cut without a copy, and cannot be written to."""
    return values.data.toreadonly()


def _query(signal: Signal, agent: str, tool: str) -> str:
    labels = {"AGENT": f"agent={quoted(agent)}", "TOOL": f"tool={quoted(tool)}"}
    return re.sub("AGENT|TOOL", lambda found: labels[found[0]], QUERIES[signal].replace("RUNS", _RUNS))
