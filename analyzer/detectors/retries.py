"""The share of trajectories that had to try something again, against the agent's own history (catalogue M3).

Twice as many, three points more, and five of them: an agent that never retried may do so three times unremarked.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyzer.detectors.kernels.detector import EventDetector
from analyzer.types.metric import Signal


@dataclass(frozen=True, slots=True)
class RetriesDetector(EventDetector):
    """See the module's text and docs/detectors/retries.md."""

    signal: Signal = Signal.RETRIES
    said: str = "had to try again"
