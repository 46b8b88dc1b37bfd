"""`backtest`: what scheduled runs would have filed, and how often. Keeps nothing, sends nothing, asks no model.

Each simulated run goes through the same computed phases as a real one, with a memory of its own. What makes it fast:
the series are loaded once, each detector walks them once and is asked about every moment (`detectors.base.Replaying`),
and each trajectory is read and scanned once. Explanations, by rules, come at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

from analyzer.detectors.base import Detector, Replay, replay_of
from analyzer.errors import UsageError
from analyzer.metrics.loaded import Loaded, load
from analyzer.metrics.window import history_start, window_of
from analyzer.pipeline.app import App
from analyzer.pipeline.investigated import no_surer
from analyzer.pipeline.memory import Memory
from analyzer.pipeline.phases import detected, examined, reach_of, triaged, with_beginnings
from analyzer.triage import newest_first
from analyzer.types.metric import Window
from analyzer.types.reading import Reading
from analyzer.types.report import Finding, Gap, Incident, Kind

RUNS_MAX = 20_000
"""Two years of hourly runs. More is a slip of the pen."""
WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Backtest:
    """What that many runs would have left."""

    start: datetime
    """Of the first run."""
    end: datetime
    """No run is later."""
    every: timedelta
    runs: int
    incidents: tuple[Incident, ...]
    """All that were filed, in their last form, newest first."""
    gaps: tuple[Gap, ...]
    """What any of the runs could not see, each once, with how many could not."""

    @property
    def per_week(self) -> float:
        """How many incidents a week would have been opened."""
        return len(self.incidents) * (WEEK / max(self.end - self.start, self.every))


def backtest(
    app: App,
    start: datetime,
    end: datetime,
    every: timedelta,
    *,
    on_run: Callable[[int, int], None] = lambda _done, _of: None,
    on_incidents: Callable[[datetime, Sequence[Incident]], None] = lambda _at, _incidents: None,
    on_findings: Callable[[Sequence[Finding]], None] = lambda _findings: None,
) -> Backtest:
    """Repeat a run every so often from `start` to `end`, both included; `on_run` hears of each that is done.

    `on_incidents` gets each run's now and incidents: what a delivery would have been given. `on_findings` gets what the
    detectors found in each, before any of it was put together.
    Raises UsageError where that is no time or too many runs, StoreError.
    """
    moments = _moments(start, end, every)
    memory = Memory()
    shadow = replace(app, incidents=memory)
    gaps: dict[str, tuple[Gap, int]] = {}
    done = 0
    for history, stretch in groupby(moments, key=lambda at: history_start(reach_of(app, at))):
        steps = list(stretch)
        loaded = load(app.trajectories, app.metrics, app.queries, history, steps[-1])
        shadow = replace(shadow, detectors=_replayed(app.detectors, loaded))
        for at in steps:
            for gap in _stepped(shadow, loaded.until(at), at, on_incidents, on_findings):
                gaps[gap.what] = gap, gaps.get(gap.what, (gap, 0))[1] + 1
            done += 1
            on_run(done, len(moments))
    found = newest_first(_explained(app, incident) for incident in memory.incidents())
    told = (*(_times(gap, count, done) for gap, count in gaps.values()), *app.gaps())
    return Backtest(start, end, every, done, tuple(found), told)


def _moments(start: datetime, end: datetime, every: timedelta) -> list[datetime]:
    if end < start:
        raise UsageError(f"--to {end:%Y-%m-%dT%H:%M:%SZ} lies before --from {start:%Y-%m-%dT%H:%M:%SZ}")
    runs = (end - start) // every + 1
    if runs > RUNS_MAX:
        raise UsageError(f"that would be {runs:,} runs, and {RUNS_MAX:,} is the most: choose a longer --every")
    return [start + every * index for index in range(runs)]


def _stepped(
    app: App,
    loaded: Loaded,
    at: datetime,
    on_incidents: Callable[[datetime, Sequence[Incident]], None],
    on_findings: Callable[[Sequence[Finding]], None],
) -> Iterator[Gap]:
    """Do what a run does up to triage, and remember its incidents; yield what it could not see."""
    window = window_of(app.trajectories, loaded, reach_of(app, at))
    findings, blind_spots = with_beginnings(app, *detected(app, window), at)
    on_findings(findings)
    incidents = triaged(app, examined(app, findings, window), window, blind_spots)
    app.incidents.save_incidents(incidents, run_trace_id=app.run_trace_id)
    on_incidents(at, incidents)
    yield from (*window.gaps, *blind_spots)


@dataclass(frozen=True, slots=True)
class _Replayed:
    """A detector that was walked over a stretch of time."""

    detector: Detector
    over: Replay

    @property
    def name(self) -> str:
        return self.detector.name

    @property
    def kind(self) -> Kind:
        return self.detector.kind

    def detect(self, window: Window) -> tuple[Finding, ...]:
        return self.over.detect(window)

    def explain(self, window: Window, agent: str) -> tuple[Reading, ...]:
        return self.detector.explain(window, agent)


def _replayed(detectors: Sequence[Detector], loaded: Loaded) -> tuple[Detector, ...]:
    whole = Window(loaded.start, loaded.end, series=loaded.series, choices=tuple(loaded.choices))
    return tuple(_Replayed(detector, replay_of(detector, whole)) for detector in detectors)


def _explained(app: App, incident: Incident) -> Incident:
    explained = app.explainer.explain_by_rules(incident)
    at = incident.resolved_at or incident.last_seen_at
    diagnosis = replace(explained.diagnosis, as_of=at, observed=incident.observed)
    return no_surer(replace(incident, diagnosis=diagnosis, evidence=(*incident.evidence, *explained.evidence)))


def _times(gap: Gap, count: int, runs: int) -> Gap:
    return gap if runs == 1 else replace(gap, why=f"{gap.why} (in {count} of {runs} runs, the last such is told)")
