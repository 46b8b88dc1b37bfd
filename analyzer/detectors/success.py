"""The share of trajectories that missed their goal, against the agent's own history (catalogue M5).

Known only of agents that say how runs end, by an evaluation or an outcome. `value` is the share that missed, so that a
rise is bad here too. Many agents miss every third goal: half as many more, and five points, is what counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyzer.detectors.kernels.detector import EventDetector
from analyzer.detectors.kernels.events import EventSettings
from analyzer.types.metric import Signal


@dataclass(frozen=True, slots=True)
class SuccessDetector(EventDetector):
    """See the module's text and docs/detectors/success.md."""

    signal: Signal = Signal.SUCCESS
    settings: EventSettings = EventSettings(ratio_min=1.5, rise_min=0.05, risen_ratio=1.75)
    said: str = "missed their goal"
