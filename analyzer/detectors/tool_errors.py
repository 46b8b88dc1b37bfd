"""The share of failed calls of one tool of one agent, against its own history."""

from __future__ import annotations

from dataclasses import dataclass

from analyzer.detectors.kernels.detector import EventDetector
from analyzer.types.metric import Signal


@dataclass(frozen=True, slots=True)
class ToolErrorsDetector(EventDetector):
    """See the module's text and docs/detectors/tool_errors.md."""

    signal: Signal = Signal.TOOL_ERRORS
