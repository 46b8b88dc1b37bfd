"""Steps per trajectory against the agent's own history (catalogue M2).

Steps scatter less than tokens do, so that half as many more is already news: an agent that needs nine steps where six
were enough has lost its way before it has doubled its bill.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from analyzer.detectors.kernels.amount_baseline import AmountSettings
from analyzer.detectors.kernels.detector import AmountDetector
from analyzer.types.metric import Signal


@dataclass(frozen=True, slots=True)
class StepsDetector(AmountDetector):
    """See the module's text and docs/detectors/steps.md."""

    signal: Signal = Signal.STEPS
    settings: AmountSettings = AmountSettings(shift=math.log(1.5), ratio_min=1.4)
