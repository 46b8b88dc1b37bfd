"""Metrics and traces side by side, for every agent that either of them knows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from analyzer.detectors.kernels.discrepancy import (
    Discrepancy,
    Floats,
    Shares,
    discrepancies,
    lag_between,
    shifted,
)
from analyzer.types.metering import Accord, Compared, Measure, Side
from analyzer.types.metric import BIN_WIDTH, TICK_S, FlatSketches, Series, Signal, Window
from analyzer.types.report import Subject

SOURCES: Mapping[Measure, Signal] = {
    Measure.TRAJECTORIES: Signal.ERRORS,
    Measure.TOOL_CALLS: Signal.TOOL_LATENCY,
    Measure.TOKENS: Signal.TOKENS,
    Measure.COST: Signal.COST,
}
"""The series that holds a measure: counts are its units, sums its totals. Among errors every trajectory is a unit."""
DAY_S = 86_400
EDGE_TICKS_MAX = 16
"""Four hours: an agent whose runs take longer has edges as wide as this, and not half of its history."""
SKEW_TICKS_MAX = 14 * 3600 // TICK_S
"""Time zones end at UTC+14: a clock that shows local time as UTC is off by no more."""
SPREAD = 2.35
"""E[x^2] / E[x]^2 of amounts whose distribution nobody knows: log-normal with a spread of 0.92 in ln(x)."""
BLIND_MIN = 0.9
"""Share of a stretch that lies after the last unit of a side that has stopped altogether; before, it is only short."""
TWICE = (1.85, 2.15)
"""From sums whose ratio lies here each amount is counted twice; a price list is seldom off by just that."""


@dataclass(frozen=True, slots=True)
class MeteringSettings:
    """When metrics and traces are said to disagree."""

    counts_usual: float = 0.02
    """Share of trajectories or calls that may be missing at all times: what a counter had gathered between the last
    scrape and a restart, spans in a queue that died with its process."""
    counts_missing: float = 0.1
    """Share of trajectories or calls that is one too many. The same tenth that a store may
    lack and still be judged by (COVERAGE_MIN in metrics/series.py). In balance between the two lie 5 %."""
    sums_usual: float = 0.05
    """Share of tokens or USD that may be missing at all times: two tokenizers, cached tokens, rounded prices."""
    sums_missing: float = 0.25
    """Share of tokens or USD that is one too many. In balance lie 12 %: two price lists may differ by that."""
    alarm_nats: float = 10.5
    """Evidence that opens an episode, as of every detector here: by chance once in e^10.5 = 36,000 beginnings."""
    edge_ticks: int = 1
    """Quarters of an hour by which one side may count later than the other, besides how long the agent's runs take:
    scrapes are a minute or a few apart."""
    lag_hours: int = 24
    """How late all of one side may be before that counts as missing: traces are often brought in once a day."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What both sides hold, to be looked up, and how many seconds 99 % of the runs of each agent take."""

    stored: Mapping[tuple[Signal, Subject], Series]
    metered: Mapping[tuple[Signal, Subject], Series]
    runs_s: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Pair:
    """One measure of one subject on both sides, on common ticks."""

    subject: Subject
    measure: Measure
    traced: Floats
    metered: Floats
    unit: float
    edge: int
    first: int = 0
    """The common tick of the first value."""
    lag: int = 0
    """By how many ticks the traces were moved back."""


@dataclass(frozen=True, slots=True)
class _Grid:
    """The common ticks: those that both sides know."""

    start_s: int
    late: int
    """One past the last one that is compared where one side is late."""
    stop: int
    """One past the last one that had ended at the window's end."""

    def time(self, tick: int) -> datetime:
        return datetime.fromtimestamp(self.start_s + tick * TICK_S, UTC)


def compared(window: Window, settings: MeteringSettings) -> tuple[Compared, ...]:
    """Return what metrics and traces come to: by agent its trajectories, then tools, tokens and USD.

    The latest stretch of each: the one in which they disagree, or all that both sides know. Empty where one side knows
    nothing at all: there is nothing to hold anything against.
    """
    grid = _common(window, settings)
    if grid is None:
        return ()
    stored, metered = ({(one.signal, one.subject): one for one in side} for side in (window.stored, window.metered))
    known = _Known(stored, metered, {agent: one.duration_p99_s for agent, one in window.usual.items()})
    tools: dict[str, set[str]] = {}
    for signal, subject in (*known.stored, *known.metered):
        if subject.agent and signal in {Signal.ERRORS, Signal.TOOL_LATENCY}:
            tools.setdefault(subject.agent, set()).update({subject.tool} if subject.tool else ())
    rows: list[Compared] = []
    for agent in sorted(tools):
        rows += _of_agent(known, agent, sorted(tools[agent]), grid, settings)
    return tuple(rows)


def _of_agent(
    known: _Known, agent: str, tools: Sequence[str], grid: _Grid, settings: MeteringSettings
) -> list[Compared]:
    runs = _pair(known, Subject(agent=agent), Measure.TRAJECTORIES, grid, settings)
    if runs is None:
        return []
    row = _judged(runs, grid, settings)
    first, lag = _clocks(runs, grid, row)
    if lag:
        row = _judged(_moved(runs, first, lag), grid, settings)
    if row.now is Accord.BLIND:
        return [row]
    wanted = [(Measure.TOOL_CALLS, Subject(agent=agent, tool=tool)) for tool in tools]
    wanted += [(measure, Subject(agent=agent)) for measure in (Measure.TOKENS, Measure.COST)]
    rows = []
    for measure, subject in wanted:
        pair = _pair(known, subject, measure, grid, settings)
        if pair is not None and pair.traced.any() and pair.metered.any():
            rows.append(_judged(_moved(pair, first, lag), grid, settings))
    return [row, *(_with_doubling(one, row) for one in rows)]


def _clocks(runs: _Pair, grid: _Grid, row: Compared) -> tuple[int, int]:
    """Return from which tick on the clocks are apart, and by how many; (0, 0) where that does not explain a row.

    They always were, or since the moment from which on the two disagree.
    """
    if row.short is None or not (runs.traced.any() and runs.metered.any()):
        return 0, 0
    onset = round((row.start.timestamp() - grid.start_s) / TICK_S)
    for first in (0, onset):
        if lag := lag_between(runs.metered[first:], runs.traced[first:], SKEW_TICKS_MAX):
            return first, lag
    return 0, 0


def _moved(pair: _Pair, first: int, lag: int) -> _Pair:
    """Return what both sides hold from a tick on, the traces moved back by a lag."""
    if not lag:
        return pair
    metered, traced = shifted(pair.metered[first:], pair.traced[first:], lag)
    return replace(pair, traced=traced, metered=metered, first=first + max(0, -lag), lag=lag)


def _judged(pair: _Pair, grid: _Grid, settings: MeteringSettings) -> Compared:
    """Return the latest stretch in which one of two is short, or what they come to where none is."""
    usual, missing = (
        (settings.sums_usual, settings.sums_missing)
        if pair.measure.is_sum
        else (settings.counts_usual, settings.counts_missing)
    )
    shares = Shares(usual, missing, settings.alarm_nats)
    stop = min(_reach(pair.metered, pair.traced, grid.late - pair.first), len(pair.metered))
    metered, traced = pair.metered[:stop], pair.traced[:stop]
    found: list[tuple[Discrepancy, Side]] = []
    for short, full, less in ((Side.TRACES, metered, traced), (Side.METRICS, traced, metered)):
        found += [(one, short) for one in discrepancies(full, less, pair.unit, pair.edge, shares)[-1:]]
    # Of two, the one that goes on; else the later one.
    latest = max(found, key=lambda one: (one[0].closed is None, one[0].stop, one[0].score), default=None)
    since, until = (0, stop) if latest is None else (latest[0].onset, latest[0].stop)
    is_blind = False
    if latest is not None:
        # The edge that a stretch gives away may hold the last units: after them there is nothing.
        less, more = (traced, metered) if latest[1] is Side.TRACES else (metered, traced)
        ended = since + int(np.max(np.flatnonzero(less[since:until]), initial=-1)) + 1
        is_blind = bool(more[ended:until].sum() >= BLIND_MIN * more[since:until].sum())
        since = ended if is_blind else since
    row = Compared(
        subject=pair.subject,
        measure=pair.measure,
        accord=Accord.AGREE,
        start=grid.time(since + pair.first),
        end=grid.time(until + pair.first),
        traced=float(traced[since:until].sum()),
        metered=float(metered[since:until].sum()),
        skew_s=pair.lag * TICK_S,
    )
    if latest is None:
        return row
    one, short = latest
    accord = Accord.UNDER_TRACED if short is Side.TRACES else Accord.UNDER_METERED
    return replace(
        row,
        accord=Accord.BLIND if is_blind else accord,
        short=short,
        score=one.score,
        since_ever=one.onset + pair.first <= DAY_S // TICK_S,
        closed_at=None if one.closed is None else grid.time(one.closed + pair.first),
    )


def _with_doubling(row: Compared, runs: Compared) -> Compared:
    """Say of a sum that stands two to one, where the runs agree, that it is counted twice."""
    least, most = TWICE
    if row.short is None or not row.measure.is_sum or runs.now is not Accord.AGREE or row.share <= 0:
        return row
    return replace(row, doubled=least <= 1 / row.share <= most)


def _common(window: Window, settings: MeteringSettings) -> _Grid | None:
    """Return the ticks from which on both sides hold anything of the fleet; None where one never does."""
    begins = []
    for side in (window.stored, window.metered):
        held = [(one.start_s, np.flatnonzero(_finite(one.count) > 0)) for one in side if one.signal is Signal.ERRORS]
        known = [start_s + int(ticks[0]) * TICK_S for start_s, ticks in held if len(ticks)]
        if not known:
            return None
        begins.append(min(known))
    start_s = max(begins)
    stop = math.floor((window.end.timestamp() - start_s) / TICK_S)
    return _Grid(start_s, stop - settings.lag_hours * 3600 // TICK_S, stop) if stop > 0 else None


def _reach(metered: Floats, traced: Floats, late: int) -> int:
    """Return how far two are compared: as far as both hold anything, or longer than one may be late."""
    held = [np.flatnonzero(side > 0) for side in (metered, traced)]
    return max(min(int(ticks[-1]) + 1 if len(ticks) else 0 for ticks in held), late, 0)


def _pair(known: _Known, subject: Subject, measure: Measure, grid: _Grid, settings: MeteringSettings) -> _Pair | None:
    """Return both sides of a measure; None where neither has it, or where not all of it can be known."""
    key = SOURCES[measure], subject
    sides = [known.stored.get(key), known.metered.get(key)]
    traced, metered = (_laid(one, measure, grid) for one in sides)
    stored = sides[0]
    if not (traced.any() or metered.any()) or (stored is not None and stored.unpriced is not None):
        return None
    runs_s = known.runs_s.get(subject.agent or "", 0.0)
    edge = settings.edge_ticks + min(math.ceil(runs_s / TICK_S), EDGE_TICKS_MAX)
    return _Pair(subject, measure, traced, metered, _unit(sides, measure), edge)


def _laid(series: Series | None, measure: Measure, grid: _Grid) -> Floats:
    """Return a measure on the common ticks, 0 where the series has none."""
    found: Floats = np.zeros(grid.stop)
    if series is not None:
        values = _finite(series.total if measure.is_sum else series.count)
        offset = (series.start_s - grid.start_s) // TICK_S
        cut = values[max(0, -offset) : max(0, grid.stop - offset)]
        found[max(0, offset) : max(0, offset) + len(cut)] = cut
    return found


def _finite(values: Sequence[float]) -> Floats:
    found: Floats = np.nan_to_num(np.asarray(values, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    return np.maximum(found, 0.0)


def _unit(sides: Sequence[Series | None], measure: Measure) -> float:
    """Return how much of a measure comes and goes at once: E[x^2] / E[x] of a trajectory's amount x.

    The calls of one trajectory are lost together; a run of ten calls is one event, and not ten.
    """
    if measure is Measure.TRAJECTORIES:
        return 1.0
    known = next((one for one in sides if one is not None and any(one.count)), None)
    if known is None or measure is Measure.TOOL_CALLS:
        return SPREAD
    stored = sides[0]
    if stored is not None and stored.sketches is not None:
        sketches = stored.sketches if isinstance(stored.sketches, FlatSketches) else FlatSketches.of(stored.sketches)
        values, units = np.exp((np.asarray(sketches.bins) + 0.5) * BIN_WIDTH), np.asarray(sketches.units, np.float64)
        first, second = float((units * values).sum()), float((units * values**2).sum())
        if first > 0:
            return second / first
    return SPREAD * math.fsum(_finite(known.total)) / max(math.fsum(_finite(known.count)), 1.0)
