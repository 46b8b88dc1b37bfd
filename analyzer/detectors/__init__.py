"""Detectors: one anomaly a file; pure functions from a Window to Findings.

To add one: write the file, its test and its page in docs/detectors, and name it in `DETECTORS`.
"""

from __future__ import annotations

from analyzer.detectors.base import Detector
from analyzer.detectors.budget import BudgetDetector
from analyzer.detectors.cost import CostDetector
from analyzer.detectors.errors import ErrorsDetector
from analyzer.detectors.loop import LoopDetector
from analyzer.detectors.runaway import RunawayDetector
from analyzer.detectors.tool_choice import ToolChoiceDetector
from analyzer.detectors.tool_errors import ToolErrorsDetector

DETECTORS: tuple[Detector, ...] = (
    CostDetector(),
    ErrorsDetector(),
    ToolErrorsDetector(),
    ToolChoiceDetector(),
    LoopDetector(),
    RunawayDetector(),
    BudgetDetector(),
)

__all__ = ["DETECTORS", "Detector"]
