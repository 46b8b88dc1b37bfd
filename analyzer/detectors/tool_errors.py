"""The share of failed calls of one tool of one agent, against its own history.

`value` and `baseline` are the failed share of a trajectory's
calls, each trajectory weighing the same; `of` counts the trajectories that called the tool since the onset, `affected`
those in which a call failed.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyzer.detectors.kernels.detector import EventDetector
from analyzer.types.metric import Signal


@dataclass(frozen=True, slots=True)
class ToolErrorsDetector(EventDetector):
    """See the module's text and docs/detectors/tool_errors.md."""

    signal: Signal = Signal.TOOL_ERRORS
