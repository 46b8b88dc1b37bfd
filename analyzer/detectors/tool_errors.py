"""The share of failed calls of one tool of one agent, against its own history.

Kernels A' and D and the burst rule, per agent and tool. `value` and `baseline` are the failed share of a trajectory's
calls, each trajectory weighing the same; `of` counts the trajectories that called the tool since the onset, `affected`
those in which a call failed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from analyzer.detectors.kernels.events import EventSettings
from analyzer.detectors.kernels.findings import event_findings
from analyzer.types.metric import Signal, Window
from analyzer.types.report import Finding, Kind


@dataclass(frozen=True, slots=True)
class ToolErrorsDetector:
    """See the module's text and docs/detectors/tool_errors.md."""

    settings: EventSettings = field(default_factory=EventSettings)
    name: str = "tool-errors"
    kind: Kind = Kind.TOOL_ERRORS

    def detect(self, window: Window) -> tuple[Finding, ...]:
        """Return one finding per episode that is open, or was seen to end inside the window."""
        return tuple(
            finding
            for series in window.series
            if series.signal is Signal.TOOL_ERRORS
            for finding in event_findings(window, series, self.kind, self.settings, self.name)
        )
