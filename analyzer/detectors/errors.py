"""The share of trajectories that ended in an error, against the agent's own history (catalogue M4)."""

from __future__ import annotations

from dataclasses import dataclass

from analyzer.detectors.kernels.detector import EventDetector
from analyzer.types.metric import Signal


@dataclass(frozen=True, slots=True)
class ErrorsDetector(EventDetector):
    """See the module's text and docs/detectors/errors.md."""

    signal: Signal = Signal.ERRORS
