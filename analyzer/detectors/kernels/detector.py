"""What detectors of one family of kernels share; a detector's own file names its signal, its settings and its words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from analyzer.detectors.base import Detector, Replay
from analyzer.detectors.kernels.amount_baseline import AmountSettings
from analyzer.detectors.kernels.amounts import Amounts
from analyzer.detectors.kernels.events import Events, EventSettings
from analyzer.detectors.kernels.findings import amount_findings, event_findings
from analyzer.detectors.kernels.grid import Grid, grid_of, ticks_ended
from analyzer.detectors.kernels.readings import Explaining, no_series, reading
from analyzer.detectors.kernels.remembered import Midnights
from analyzer.detectors.kernels.walk import Past, Walk
from analyzer.types.metric import Series, Signal, Window
from analyzer.types.reading import Reading
from analyzer.types.report import Finding, Kind, Subject


@dataclass(frozen=True, slots=True)
class SeriesDetector(ABC):
    """A detector that judges each series of one signal by itself. A subclass has the kernels."""

    signal: Signal
    """The signal of the series it judges."""
    midnights: Midnights | None = field(default=None, kw_only=True, compare=False, repr=False)
    """What earlier runs know of the same series; None where every walk begins at the beginning."""
    by_agent: ClassVar[bool] = True
    """See `base.is_by_agent`."""

    @property
    def name(self) -> str:
        """The signal's name: one signal has one detector."""
        return self.signal.value

    @property
    def kind(self) -> Kind:
        """The kind of the same name."""
        return Kind(self.signal.value)

    @property
    def rules(self) -> str:
        """What tells it from a detector that judges the same series in another way, the code aside."""
        return f"{type(self).__qualname__} {self!r}"

    @abstractmethod
    def model(self, series: Series, grid: Grid) -> Any:
        """Return the model of a series that was laid on a grid, as the walk wants it."""

    def is_steady(self, model: Any) -> bool:  # noqa: ARG002 - a subclass may know a short way
        """Tell whether a walk over the model can find nothing, where that is cheaper to know than to walk."""
        return False

    @abstractmethod
    def findings(self, past: Past[Any], model: Any, series: Series, window: Window) -> list[Finding]:
        """Report the episodes that concern a window."""

    def detect(self, window: Window) -> tuple[Finding, ...]:
        """Return one finding per episode that is open, or was seen to end inside the window."""
        return _Walked(self).detect(window)

    def replay(self, whole: Window) -> Replay:
        """See `base.Replaying`."""
        return _Walked(self, whole.series)

    def explain(self, window: Window, agent: str) -> tuple[Reading, ...]:
        """Return where the detector stands with each series of an agent."""
        return _readings(self, window, agent)


@dataclass(frozen=True, slots=True)
class AmountDetector(SeriesDetector):
    """Kernels A, B and C over one signal with a value per unit. Only rises are anomalies.

    `value` and `baseline` are winsorised means per unit, the baseline for the same hours of the day; the evidence holds
    the plain means. `of` counts the units since the onset, `affected` those above the baseline's 90th percentile;
    `excess_usd` is (value - baseline) x `of` where the value is money.
    """

    settings: AmountSettings = field(default_factory=AmountSettings)

    def model(self, series: Series, grid: Grid) -> Amounts:  # noqa: ARG002 - the grid holds all of an amount
        """See `SeriesDetector.model`."""
        return Amounts(grid, self.settings)

    def findings(self, past: Past[Any], model: Amounts, series: Series, window: Window) -> list[Finding]:
        """See `SeriesDetector.findings`."""
        return amount_findings(past, model, series, window, self.kind, self.name)


@dataclass(frozen=True, slots=True)
class EventDetector(SeriesDetector):
    """Kernels A' and D and the burst rule over one signal that counts events among units. Only rises are anomalies.

    `value` and `baseline` are rates; `of` counts the units since the onset, `affected` those with the event.
    """

    settings: EventSettings = field(default_factory=EventSettings)
    said: str = "failed"
    """What happened to a unit with the event, for the note."""

    def model(self, series: Series, grid: Grid) -> Events:  # noqa: ARG002 - the grid holds all of an event
        """See `SeriesDetector.model`."""
        return Events(grid, self.settings)

    def is_steady(self, model: Events) -> bool:
        """See `SeriesDetector.is_steady`."""
        return model.is_quiet()

    def findings(self, past: Past[Any], model: Events, series: Series, window: Window) -> list[Finding]:
        """See `SeriesDetector.findings`."""
        return event_findings(past, model, series, window, self.kind, self.name, self.said)


SeriesKey = tuple[Subject, str, int]
"""What makes two series one that was cut at different moments: subject, source and beginning."""


def key_of(series: Series) -> SeriesKey:
    """Return the key of a series among those of its signal."""
    return series.subject, series.source, series.start_s


class _Walked:
    """A detector that walks each series once, whole where it is known, and reports as of each window's end."""

    def __init__(self, detector: SeriesDetector, series: Sequence[Series] = ()) -> None:
        self._detector = detector
        self._whole = {key_of(one): one for one in series if one.signal is detector.signal}
        self._walks: dict[SeriesKey, Walk[Any] | None] = {}
        """None where nothing was ever found: the histograms of most series need not be held for all moments."""

    def detect(self, window: Window) -> tuple[Finding, ...]:
        found: list[Finding] = []
        for series in window.series:
            if series.signal is self._detector.signal:
                walk = self._walk(series, window)
                if walk is not None:
                    stop = walk.model.grid.tick(series.start_s) + ticks_ended(series, window.end)
                    found += self._detector.findings(walk.past(stop), walk.model, series, window)
        return tuple(found)

    def _walk(self, series: Series, window: Window) -> Walk[Any] | None:
        """Return the walk over a series; None where it found nothing."""
        key = key_of(series)
        whole = self._whole.get(key)
        if whole is None:
            return self._walked(series, grid_of(series, window.end), self._detector.midnights)
        if key not in self._walks:
            self._walks[key] = self._walked(whole, grid_of(whole))
        return self._walks[key]

    def _walked(self, series: Series, grid: Grid, midnights: Midnights | None = None) -> Walk[Any] | None:
        model = self._detector.model(series, grid)
        if self._detector.is_steady(model):
            return None
        walk = Walk(model).run() if midnights is None else midnights.walked(model, series, self._detector.rules)
        return walk if walk.episodes else None


def resuming(detectors: Sequence[Detector], midnights: Midnights) -> tuple[Detector, ...]:
    """Return the detectors, those of series with what earlier runs know."""
    return tuple(replace(one, midnights=midnights) if isinstance(one, SeriesDetector) else one for one in detectors)


def _readings(detector: SeriesDetector, window: Window, agent: str) -> tuple[Reading, ...]:
    found = []
    for series in window.series:
        if series.signal is detector.signal and series.subject.agent == agent:
            model: Explaining[Any] = detector.model(series, grid_of(series, window.end))
            found.append(reading(model, Walk(model).run(), series, window, detector.name, detector.kind))
    return tuple(found) or (no_series(detector.name, detector.kind, agent),)
