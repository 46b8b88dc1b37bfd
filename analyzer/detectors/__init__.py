"""Detectors: one anomaly a file; pure functions from a Window to Findings.

To add one: write the file, its test and its page in docs/detectors, and name it in `DETECTORS`.
"""

from __future__ import annotations

from analyzer.detectors.base import Detector
from analyzer.detectors.budget import BudgetDetector
from analyzer.detectors.cost import CostDetector
from analyzer.detectors.errors import ErrorsDetector
from analyzer.detectors.injection import InjectionDetector
from analyzer.detectors.latency import LatencyDetector
from analyzer.detectors.loop import LoopDetector
from analyzer.detectors.metering import MeteringDetector
from analyzer.detectors.price import PriceDetector
from analyzer.detectors.retries import RetriesDetector
from analyzer.detectors.runaway import RunawayDetector
from analyzer.detectors.silence import SilenceDetector
from analyzer.detectors.steps import StepsDetector
from analyzer.detectors.success import SuccessDetector
from analyzer.detectors.tokens import TokensDetector
from analyzer.detectors.tool_choice import ToolChoiceDetector
from analyzer.detectors.tool_cost import ToolCostDetector
from analyzer.detectors.tool_errors import ToolErrorsDetector
from analyzer.detectors.tool_latency import ToolLatencyDetector
from analyzer.detectors.truncation import TruncationDetector

DETECTORS: tuple[Detector, ...] = (
    CostDetector(),
    PriceDetector(),
    TokensDetector(),
    StepsDetector(),
    LatencyDetector(),
    ToolLatencyDetector(),
    ToolCostDetector(),
    ErrorsDetector(),
    SuccessDetector(),
    RetriesDetector(),
    TruncationDetector(),
    ToolErrorsDetector(),
    ToolChoiceDetector(),
    SilenceDetector(),
    LoopDetector(),
    InjectionDetector(),
    RunawayDetector(),
    BudgetDetector(),
    MeteringDetector(),
)

__all__ = ["DETECTORS", "Detector"]
