"""USD per call of one tool of one agent against its own history (catalogue M7): a search that scans the whole table.

Thirty calls are enough: what a tool costs scatters little, and a scan costs many times as much.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyzer.detectors.kernels.amount_baseline import AmountSettings
from analyzer.detectors.kernels.detector import AmountDetector
from analyzer.types.metric import Signal


@dataclass(frozen=True, slots=True)
class ToolCostDetector(AmountDetector):
    """See the module's text and docs/detectors/tool_cost.md."""

    signal: Signal = Signal.TOOL_COST
    settings: AmountSettings = AmountSettings(units_min=30.0)
