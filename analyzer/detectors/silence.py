"""Agents that have stopped, and a fleet of which nothing arrives (catalogue S1).

Looks at the trajectories that began. `value` is what began per hour since the onset: nothing; `baseline` what usually
begins in those hours of the week. The onset is the first quarter of an hour in which something usually begins. Where
the whole fleet is silent at once it is one finding without an agent: its agents are not to be blamed for a collector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from analyzer.detectors.base import Detector, Replay
from analyzer.detectors.kernels.findings import Reported, common, evidence_of, heading, reported
from analyzer.detectors.kernels.grid import TICKS_PER_HOUR, grid_of, ticks_ended
from analyzer.detectors.kernels.learning import waiting
from analyzer.detectors.kernels.model import Model
from analyzer.detectors.kernels.readings import no_series, reading
from analyzer.detectors.kernels.silences import Hush, SilenceBaseline, Silences, SilenceSettings
from analyzer.detectors.kernels.walk import Past, Walk
from analyzer.types.holidays import Calendar
from analyzer.types.metric import TICK_S, Series, Signal, Window
from analyzer.types.reading import Gate, Reading
from analyzer.types.report import Finding, Kind, Subject

UNIT = "trajectories per hour"
FLEET_EVIDENCE_MAX = 3
"""Agents whose queries prove that the fleet is silent."""


@dataclass(frozen=True, slots=True)
class _Fleet:
    """All agents as one series, and its walk."""

    total: Series
    model: Silences
    walk: Walk[SilenceBaseline]


@dataclass(frozen=True, slots=True)
class _Watched:
    """A fleet and its agents, walked."""

    fleet: _Fleet | None
    """None where there is no other agent to compare with."""
    agents: Mapping[Subject, Walk[SilenceBaseline]]


@dataclass(frozen=True, slots=True)
class SilenceDetector:
    """See the module's text and docs/detectors/silence.md."""

    settings: SilenceSettings = SilenceSettings()
    name: str = "silence"
    kind: Kind = Kind.SILENCE
    calendar: Calendar = Calendar()

    def detect(self, window: Window) -> tuple[Finding, ...]:
        """Return one finding per silence that lasts, or was seen to end inside the window; the fleet's first."""
        agents = [series for series in window.series if series.signal is Signal.VOLUME]
        return self.findings(self.watched(agents, window.end), agents, window)

    def replay(self, whole: Window) -> Replay:
        """See `base.Replaying`."""
        return _Replayed(self, whole)

    def watched(self, agents: Sequence[Series], end: datetime | None) -> _Watched:
        """Walk the arrivals of a fleet and of each of its agents up to a moment; None: all that there are."""
        fleet = self._fleet(agents, end)
        return _Watched(fleet, {one.subject: Walk(self._model(one, end, fleet)).run() for one in agents})

    def findings(self, watched: _Watched, agents: Sequence[Series], window: Window) -> tuple[Finding, ...]:
        """Report what a walk had found by the window's end; `agents` are the window's own."""
        fleet = watched.fleet
        found = [] if fleet is None else self._fleet_findings(fleet, agents, window)
        for series in agents:
            walk = watched.agents[series.subject]
            found += [self._finding(one, walk.model) for one in reported(_past(walk, series, window), series, window)]
        return tuple(found)

    def explain(self, window: Window, agent: str) -> tuple[Reading, ...]:
        """Return where the detector stands with an agent; while the whole fleet is silent that hides it."""
        agents = [series for series in window.series if series.signal is Signal.VOLUME]
        fleet = self._fleet(agents, window.end)
        found = []
        for series in agents:
            if series.subject.agent == agent:
                model = self._model(series, window.end, fleet)
                one = reading(model, Walk(model).run(), series, window, self.name, self.kind)
                found.append(replace(one, unit=UNIT if one.value is not None else ""))
        last = fleet.walk.episodes[-1] if fleet is not None and fleet.walk.episodes else None
        if fleet is not None and last is not None and last.closed is None:
            why = f"the whole fleet is silent since {fleet.model.grid.time(last.onset):%Y-%m-%d %H:%M} UTC"
            found = [one if one.gate is Gate.FOUND else replace(one, gate=Gate.MASK, why=why) for one in found]
        return tuple(found) or (no_series(self.name, self.kind, agent),)

    def _fleet(self, agents: Sequence[Series], end: datetime | None) -> _Fleet | None:
        """Walk the sum of the agents; None where there is no other agent to compare with."""
        if sum(any(count > 0 for count in series.count) for series in agents) < 2:  # noqa: PLR2004 - one is no fleet
            return None
        total, parts = summed(agents)
        grid = grid_of(total, end)
        padded = np.zeros((len(parts), len(grid.n)))
        offset = (total.start_s - grid.start_s) // TICK_S
        padded[:, offset : grid.stop] = np.nan_to_num(parts[:, : grid.stop - offset])
        unseen = _unseen(total, offset, len(grid.n))
        model = Silences(grid, self.settings, unseen=unseen, parts=padded, calendar=self.calendar)
        return _Fleet(total, model, Walk(model).run())

    def _model(self, series: Series, end: datetime | None, fleet: _Fleet | None) -> Silences:
        """Return an agent's arrivals; what the fleet's silences hide is not held against it."""
        grid = grid_of(series, end)
        hushes = []
        if fleet is not None:
            moved = (fleet.model.grid.start_s - grid.start_s) // TICK_S
            hushes = [
                Hush(one.onset + moved, one.alarmed + moved, (one.recovered or fleet.model.grid.stop) + moved)
                for one in fleet.walk.episodes
            ]
        unseen = _unseen(series, (series.start_s - grid.start_s) // TICK_S, len(grid.n))
        return Silences(grid, self.settings, unseen=unseen, hushes=hushes, calendar=self.calendar)

    def _finding(self, one: Reported, model: Model[SilenceBaseline]) -> Finding:
        assert isinstance(model, Silences)  # noqa: S101 - this file made it
        episode = one.episode
        hours = (one.stop - episode.onset) / TICKS_PER_HOUR
        missed = model.expected(episode.baseline, episode.onset, one.stop)
        note = (
            f"{heading(one)} Nothing began for {waiting(hours)} in which about {missed:.0f} trajectories usually do."
            f" {model.detectable(episode.baseline)}"
        )
        return replace(
            common(one, self.kind, self.name),
            baseline=missed / max(hours, 1 / TICKS_PER_HOUR),
            unit=UNIT,
            note=note,
        )

    def _fleet_findings(self, fleet: _Fleet, agents: Sequence[Series], window: Window) -> list[Finding]:
        busiest = sorted(agents, key=lambda one: (-float(np.nansum(one.count)), one.subject))[:FLEET_EVIDENCE_MAX]
        found = []
        total = fleet.total.until(window.end.timestamp())
        for one in reported(_past(fleet.walk, total, window), total, window):
            proof = [
                replace(piece, agent=series.subject.agent)
                for series in busiest
                for piece in evidence_of(replace(one, series=series))
            ]
            why = f"All {len(agents)} agents stopped at once: what collects the traces may be down."
            finding = self._finding(one, fleet.model)
            found.append(replace(finding, evidence=tuple(proof), note=f"{finding.note} {why}"))
        return found


def resting(detectors: Sequence[Detector], calendar: Calendar) -> tuple[Detector, ...]:
    """Return the detectors, the one of silences with the holidays that were set."""
    return tuple(replace(one, calendar=calendar) if isinstance(one, SilenceDetector) else one for one in detectors)


class _Replayed:
    """The detector over arrivals that are walked once for each set of agents that are known: it grows by new ones."""

    def __init__(self, detector: SilenceDetector, whole: Window) -> None:
        self._detector = detector
        self._whole = {(one.subject, one.start_s): one for one in whole.series if one.signal is Signal.VOLUME}
        self._watched: dict[tuple[tuple[Subject, int], ...], _Watched] = {}

    def detect(self, window: Window) -> tuple[Finding, ...]:
        agents = [series for series in window.series if series.signal is Signal.VOLUME]
        known = tuple((series.subject, series.start_s) for series in agents)
        if not all(key in self._whole for key in known):
            return self._detector.detect(window)
        if known not in self._watched:
            self._watched[known] = self._detector.watched([self._whole[key] for key in known], None)
        return self._detector.findings(self._watched[known], agents, window)


def _past(walk: Walk[SilenceBaseline], series: Series, window: Window) -> Past[SilenceBaseline]:
    """Return what a walk had found by the window's end."""
    return walk.past(walk.model.grid.tick(series.start_s) + ticks_ended(series, window.end))


def summed(agents: Sequence[Series]) -> tuple[Series, np.ndarray]:
    """Return the arrivals of all agents as one series, and of each on its ticks: not finite where nobody looked."""
    start_s = min(series.start_s for series in agents)
    ticks = (max(series.end_s for series in agents) - start_s) // TICK_S
    parts = np.full((len(agents), ticks), np.nan)
    for row, series in zip(parts, agents, strict=True):
        first = (series.start_s - start_s) // TICK_S
        row[first : first + len(series.count)] = series.count
    seen = np.isfinite(parts).any(axis=0)
    count = np.where(seen, np.nansum(np.where(np.isfinite(parts), parts, 0.0), axis=0), np.nan).tolist()
    total = replace(agents[0], subject=Subject(), start_s=start_s, count=count, total=count, sketches=None)
    return total, parts


def _unseen(series: Series, offset: int, ticks: int) -> np.ndarray:
    """Return the ticks of a grid in which nobody looked."""
    found = np.zeros(ticks, dtype=np.bool_)
    known = ~np.isfinite(np.asarray(series.count, dtype=np.float64))[: ticks - offset]
    found[offset : offset + len(known)] = known
    return found
