"""Cost per trajectory in USD against the agent's own history (catalogue M1).

A doubling of all trajectories, a rise of the mean by a few very dear ones, and a growing share of dear ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyzer.detectors.kernels.detector import AmountDetector
from analyzer.types.metric import Signal


@dataclass(frozen=True, slots=True)
class CostDetector(AmountDetector):
    """See the module's text and docs/detectors/cost.md."""

    signal: Signal = Signal.COST
