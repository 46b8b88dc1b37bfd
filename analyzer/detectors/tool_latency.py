"""Seconds per call of one tool of one agent against its own history (catalogue M6).

A tool needs a hundred calls in the baseline: the tail of a duration is not known from fewer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from analyzer.detectors.kernels.amount_baseline import AmountSettings
from analyzer.detectors.kernels.detector import AmountDetector
from analyzer.types.metric import Signal


@dataclass(frozen=True, slots=True)
class ToolLatencyDetector(AmountDetector):
    """See the module's text and docs/detectors/tool_latency.md."""

    signal: Signal = Signal.TOOL_LATENCY
    settings: AmountSettings = AmountSettings(shift=math.log(1.5), ratio_min=1.4, units_min=100.0)
