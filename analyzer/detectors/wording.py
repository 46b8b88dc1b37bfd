"""Numbers in the notes of detectors, as people read them."""

from __future__ import annotations

import math


def rounded(value: float, digits: int = 4) -> str:
    """Return a number with so many significant digits and no exponent: `278,700`, `40`, `0.0031`."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    text = f"{round(value, decimals):,.{max(decimals, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def still_running(still: int, of: int) -> str:
    """Return the end of a note that says how many trajectories of `of` go on: nothing where none does."""
    if not still:
        return ""
    return " It still runs." if of == 1 else f" {still:,} of them still {'runs' if still == 1 else 'run'}."
