"""The share of trajectories with a reply cut short or a context that overflowed, against the agent's own history (T4).

The usual rate is next to nothing, so that any cut reply is many times the usual: what counts are three points and at
least five trajectories.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyzer.detectors.kernels.detector import EventDetector
from analyzer.types.metric import Signal


@dataclass(frozen=True, slots=True)
class TruncationDetector(EventDetector):
    """See the module's text and docs/detectors/truncation.md."""

    signal: Signal = Signal.TRUNCATION
    said: str = "were cut short"
