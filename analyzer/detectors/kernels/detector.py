"""What detectors of one family of kernels share; a detector's own file names its signal, its settings and its words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from analyzer.detectors.kernels.amount_baseline import AmountSettings
from analyzer.detectors.kernels.amounts import Amounts
from analyzer.detectors.kernels.events import Events, EventSettings
from analyzer.detectors.kernels.findings import amount_findings, event_findings
from analyzer.detectors.kernels.grid import grid_of
from analyzer.detectors.kernels.readings import Explaining, no_series, reading
from analyzer.detectors.kernels.walk import Walk
from analyzer.types.metric import Series, Signal, Window
from analyzer.types.reading import Reading
from analyzer.types.report import Finding, Kind


@dataclass(frozen=True, slots=True)
class AmountDetector:
    """Kernels A, B and C over one signal with a value per unit. Only rises are anomalies.

    `value` and `baseline` are winsorised means per unit, the baseline for the same hours of the day; the evidence holds
    the plain means. `of` counts the units since the onset, `affected` those above the baseline's 90th percentile;
    `excess_usd` is (value - baseline) x `of` where the value is money.
    """

    signal: Signal
    settings: AmountSettings = field(default_factory=AmountSettings)

    @property
    def name(self) -> str:
        """The signal's name: one signal has one detector."""
        return self.signal.value

    @property
    def kind(self) -> Kind:
        """The kind of the same name."""
        return Kind(self.signal.value)

    def detect(self, window: Window) -> tuple[Finding, ...]:
        """Return one finding per episode that is open, or was seen to end inside the window."""
        return tuple(
            finding
            for series in window.series
            if series.signal is self.signal
            for finding in amount_findings(window, series, self.kind, self.settings, self.name)
        )

    def explain(self, window: Window, agent: str) -> tuple[Reading, ...]:
        """Return where the detector stands with each series of an agent."""
        return _readings(self, window, agent, lambda series: Amounts(grid_of(series, window.end), self.settings))


@dataclass(frozen=True, slots=True)
class EventDetector:
    """Kernels A' and D and the burst rule over one signal that counts events among units. Only rises are anomalies.

    `value` and `baseline` are rates; `of` counts the units since the onset, `affected` those with the event.
    """

    signal: Signal
    settings: EventSettings = field(default_factory=EventSettings)
    said: str = "failed"
    """What happened to a unit with the event, for the note."""

    @property
    def name(self) -> str:
        """The signal's name: one signal has one detector."""
        return self.signal.value

    @property
    def kind(self) -> Kind:
        """The kind of the same name."""
        return Kind(self.signal.value)

    def detect(self, window: Window) -> tuple[Finding, ...]:
        """Return one finding per episode that is open, or was seen to end inside the window."""
        return tuple(
            finding
            for series in window.series
            if series.signal is self.signal
            for finding in event_findings(window, series, self.kind, self.settings, self.name, self.said)
        )

    def explain(self, window: Window, agent: str) -> tuple[Reading, ...]:
        """Return where the detector stands with each series of an agent."""
        return _readings(self, window, agent, lambda series: Events(grid_of(series, window.end), self.settings))


def _readings(
    detector: AmountDetector | EventDetector, window: Window, agent: str, model_of: Callable[[Series], Explaining[Any]]
) -> tuple[Reading, ...]:
    found = []
    for series in window.series:
        if series.signal is detector.signal and series.subject.agent == agent:
            model = model_of(series)
            found.append(reading(model, Walk(model).run(), series, window, detector.name, detector.kind))
    return tuple(found) or (no_series(detector.name, detector.kind, agent),)
