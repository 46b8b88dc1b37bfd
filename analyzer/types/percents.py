"""Shares as per cent: written in one way by detectors, titles, charts and reports, which stand beside each other."""

from __future__ import annotations

import math

UNKNOWN = "unknown"
_WHOLE_MIN = 10
"""From here on a decimal is noise."""
_TENTHS_MIN = 0.1
_NOTHING_MAX = 1e-12
"""Nothing to anyone."""


def percent(share: float | None) -> str:
    """Return a share of 1 as per cent: `34 %`, `2.5 %`, `0.03 %`."""
    if share is None or not math.isfinite(share):
        return UNKNOWN
    value = share * 100
    size = abs(value)
    if size >= _WHOLE_MIN or value == round(value):
        return f"{value:.0f} %"
    if size >= _TENTHS_MIN or size < _NOTHING_MAX:
        return f"{value if size >= _TENTHS_MIN else 0:.1f} %"
    return f"{value:.{-math.floor(math.log10(size))}f} %"
