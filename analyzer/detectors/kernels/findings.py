"""From an episode to a finding: its size, its money and the numbers that anyone can recompute."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from analyzer.detectors.kernels.amount_baseline import AmountBaseline, AmountSettings
from analyzer.detectors.kernels.amounts import Amounts
from analyzer.detectors.kernels.credible import least_part, unknown_of
from analyzer.detectors.kernels.episode import Episode
from analyzer.detectors.kernels.events import EventBaseline, Events, EventSettings
from analyzer.detectors.kernels.grid import TICKS_PER_DAY, Bools, Grid, grid_of
from analyzer.detectors.kernels.walk import Past, Walk
from analyzer.detectors.recompute import measured, range_query
from analyzer.types.metric import MONEY, TICK_S, Series, Window
from analyzer.types.percents import percent
from analyzer.types.report import Finding, Kind, MetricEvidence

_HOW = {
    "A": "the level of the values (CUSUM)",
    "B": "the mean against the same hours of earlier days",
    "C": "the share of dear units (CUSUM)",
    "A'": "the rate (CUSUM)",
    "D": "the count of the last hours against the usual rate",
    "burst": "a burst within 15 minutes",
    "gap": "the empty hours against what usually begins in them",
    "interval": "the wait against the regular interval",
}


@dataclass(frozen=True, slots=True)
class Reported:
    """What all findings share: an episode on its series, and the ticks it is measured over."""

    series: Series
    grid: Grid
    episode: Episode[Any]
    stop: int
    """One past the last tick of the episode: its recovery, or the end of what was seen."""
    masked: Bools


def amount_findings(
    past: Past[AmountBaseline], model: Amounts, series: Series, window: Window, kind: Kind, detector: str
) -> list[Finding]:
    """Report the episodes of a series of amounts that concern the window."""
    return [_amount(one, model, kind, detector) for one in reported(past, series, window) if _credible(one, model)]


def event_findings(
    past: Past[EventBaseline], model: Events, series: Series, window: Window, kind: Kind, detector: str, said: str
) -> list[Finding]:
    """Report the episodes of a series of events that concern the window; `said` is what happened to a unit."""
    return [_event(one, model, kind, detector, said) for one in reported(past, series, window)]


def amount_episodes(series: Series, end: datetime, settings: AmountSettings) -> list[Episode[AmountBaseline]]:
    """Return every episode of a series of amounts up to `end`, in ticks of its grid."""
    return Walk(Amounts(grid_of(series, end), settings)).run().episodes


def event_episodes(series: Series, end: datetime, settings: EventSettings) -> list[Episode[EventBaseline]]:
    """Return every episode of a series of events up to `end`, in ticks of its grid."""
    return Walk(Events(grid_of(series, end), settings)).run().episodes


def reported(past: Past[Any], series: Series, window: Window) -> list[Reported]:
    """Choose the episodes that are open at the window's end or were seen to end within it.

    An end counts when it was confirmed: it is dated back to when it happened, and a run in between still had the
    episode open.
    """
    grid = past.grid
    return [
        Reported(series, grid, episode, grid.stop if episode.recovered is None else episode.recovered, past.masked)
        for episode in past.episodes
        if episode.closed is None or grid.time(episode.closed + 1) > window.start
    ]


def _credible(one: Reported, model: Amounts) -> bool:
    """Tell whether what is not known could not explain the rise, at the alarm or since.

    At the alarm: what was right to say then has not recovered because half of the work has gone to where no price is
    known.
    """
    if one.series.unpriced is None:
        return True
    base = one.episode.baseline
    before = unknown_of(one.series, one.grid, base.start, base.stop, one.masked)
    for stop in (min(one.episode.alarmed + 1, one.stop), one.stop):
        size = model.size(base, one.episode.onset, stop)
        part = least_part(before, unknown_of(one.series, one.grid, one.episode.onset, stop))
        if part == 1.0 or part * size.value / size.expected >= model.settings.ratio_min:
            return True
    return False


def _amount(one: Reported, model: Amounts, kind: Kind, detector: str) -> Finding:
    episode, grid = one.episode, one.grid
    base: AmountBaseline = episode.baseline
    size = model.size(base, episode.onset, one.stop)
    of, value, expected = size.of, size.value, size.expected
    cut = slice(episode.onset, one.stop)
    if grid.hist is None:
        affected = of
        caveat = " The source has no distribution: the tick means were judged, and all units count as affected."
    else:
        affected, caveat = float(grid.hist[cut][:, grid.x > base.high].sum()), ""
    unknown = unknown_of(one.series, grid, episode.onset, one.stop)
    if unknown.unknown:
        share = f"{unknown.unknown:,.0f} of {unknown.trajectories:,.0f}"
        caveat += f" {share} trajectories have no known price and are in no figure."
    counted = "single runaways capped" if size.is_capped else "every trajectory counted in full"
    note = (
        f"{heading(one)} The mean is {value / expected:.2f} times what these hours of the day had before, {counted}."
        f" {model.detectable(base)}{caveat}"
    )
    return replace(
        common(one, kind, detector),
        value=value,
        baseline=expected,
        affected=round(affected),
        of=round(of),
        excess_usd=max(value - expected, 0.0) * of if one.series.signal in MONEY else None,
        note=note,
    )


def _event(one: Reported, model: Events, kind: Kind, detector: str, said: str) -> Finding:
    episode = one.episode
    base: EventBaseline = episode.baseline
    cut = slice(episode.onset, one.stop)
    n, y = model.grid.n[cut], model.events[cut]
    hours = (np.arange(episode.onset, one.stop) % TICKS_PER_DAY) // (TICKS_PER_DAY // 24)
    of = float(n.sum())
    expected = float((n * base.hourly[hours]).sum()) / of
    rate = float(y.sum()) / of
    note = f"{heading(one)} {percent(rate)} {said} where {percent(expected)} is usual. {model.detectable(base)}"
    return replace(
        common(one, kind, detector),
        value=rate,
        baseline=expected,
        affected=round(_hit(one, float(y.sum()))),
        of=round(of),
        note=note,
    )


def _hit(one: Reported, total: float) -> float:
    """Return how many units of an episode had any of the event: more than the total where a unit can in part."""
    if one.series.hit is None:
        return total
    offset = (one.series.start_s - one.grid.start_s) // TICK_S
    return float(sum(one.series.hit[max(one.episode.onset - offset, 0) : one.stop - offset]))


def common(one: Reported, kind: Kind, detector: str) -> Finding:
    """Return what findings of all kernels share; its size is still to be filled in."""
    episode, grid = one.episode, one.grid
    return Finding(
        detector=detector,
        kind=kind,
        subject=replace(one.series.subject, version=None, model=None),
        onset=grid.time(episode.onset),
        onset_low=grid.time(episode.onset_low),
        onset_high=grid.time(episode.onset_high),
        value=0.0,
        baseline=0.0,
        threshold=episode.threshold,
        score=episode.score,
        unit=one.series.unit,
        recovered=None if episode.recovered is None else grid.time(episode.recovered),
        evidence=evidence_of(one),
    )


def heading(one: Reported) -> str:
    """Say how an episode was found, and what became of it."""
    episode = one.episode
    how = f"Found by {_HOW[episode.kernel]} at {one.grid.time(episode.alarmed + 1):%Y-%m-%d %H:%M} UTC."
    return f"{how} After 14 days the new level counts as normal." if episode.rebased else how


def evidence_of(one: Reported) -> tuple[MetricEvidence, ...]:
    """Return the plain value since the onset and over the baseline, each with the query that gives it."""
    base = one.episode.baseline
    usual = _longest_unmasked(one.masked, base.start, base.stop)
    found = []
    for first, stop in ((one.episode.onset, one.stop), usual):
        start, end = one.grid.time(first), one.grid.time(stop)
        value = measured(one.series, start, end)
        if value is not None:
            seconds = (stop - first) * TICK_S
            query = range_query(one.series, seconds)
            found.append(MetricEvidence("", query, start, end, float(seconds), value, one.series.source))
    return tuple(found)


def _longest_unmasked(masked: Bools, start: int, stop: int) -> tuple[int, int]:
    """Return the longest stretch of a baseline without an earlier episode: a PromQL range has no holes."""
    edges = np.flatnonzero(np.concatenate(([True], masked[start:stop], [True])))
    gaps = np.diff(edges)
    longest = int(np.argmax(gaps))
    return start + int(edges[longest]), start + int(edges[longest]) + int(gaps[longest]) - 1
