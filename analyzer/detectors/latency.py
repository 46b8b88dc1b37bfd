"""Seconds per trajectory against the agent's own history (catalogue M6).

Durations have heavy tails; the kernels work on their logarithm and cap single runaways, so that half as long again is
seen while one trajectory that hung for an hour is not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from analyzer.detectors.kernels.amount_baseline import AmountSettings
from analyzer.detectors.kernels.detector import AmountDetector
from analyzer.types.metric import Signal


@dataclass(frozen=True, slots=True)
class LatencyDetector(AmountDetector):
    """See the module's text and docs/detectors/latency.md."""

    signal: Signal = Signal.LATENCY
    settings: AmountSettings = AmountSettings(shift=math.log(1.5), ratio_min=1.4)
