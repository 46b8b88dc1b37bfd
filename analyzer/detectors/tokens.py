"""Tokens per trajectory against the agent's own history (catalogue M1).

Input and output tokens together. Tokens rise where no price is known, and before a bill does.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyzer.detectors.kernels.detector import AmountDetector
from analyzer.types.metric import Signal


@dataclass(frozen=True, slots=True)
class TokensDetector(AmountDetector):
    """See the module's text and docs/detectors/tokens.md."""

    signal: Signal = Signal.TOKENS
