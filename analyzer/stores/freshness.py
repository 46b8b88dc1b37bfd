"""Which counts are good enough for another question of the same run."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

FRESH_S = 60
"""Counts that were brought up to date this long ago are good enough for another question of the same run."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Which stretch of time was counted, and when."""

    span: tuple[int, int] = (0, 0)
    """Unix nanoseconds."""
    at_s: float = -math.inf
    """By the monotonic clock."""

    def hold(self, span: tuple[int, int]) -> bool:
        """Tell whether the counts of a stretch are still good enough."""
        return self.span[0] <= span[0] and span[1] <= self.span[1] and time.monotonic() - self.at_s < FRESH_S
