"""Whether a rise of the known costs is a rise of the costs, where a part of them has no known price.

Work that moves to a model without a price leaves the series. If it was the cheap part, the mean of the rest rises and
nothing has become dearer. An unknown cost is at least 0, so the rise is certain where it stands even if all that has
left the series since the baseline cost nothing at all (the sharp lower bound of Manski 1990). Work that comes from
there has no such bound: what it used to cost can have been anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from analyzer.detectors.kernels.grid import Bools, Floats, Grid
from analyzer.types.metric import TICK_S, Series

SHARE_MIN = 0.05
"""A share of unknown costs that has moved by less is no reason for a rise by the ratio that is reported."""
NOISE_SIGMAS = 3.0
"""... and one that has moved by less than this many standard errors has not moved at all."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """What is not known of the costs of a stretch of ticks."""

    trajectories: float
    """All of them."""
    unknown: float
    """Those of which no cost is known."""
    calls: float
    """Inferences without a known price."""
    inferences: float
    """All of them."""


def unknown_of(series: Series, grid: Grid, start: int, stop: int, masked: Bools | None = None) -> Unknown:
    """Count over ticks [start, stop) of the grid, masked ones left out. Without `series.unpriced` all is known."""
    if series.unpriced is None:
        return Unknown(0.0, 0.0, 0.0, 0.0)
    offset = (series.start_s - grid.start_s) // TICK_S
    cut = slice(max(start - offset, 0), max(stop - offset, 0))
    keep = np.ones(stop - start, dtype=np.bool_) if masked is None else ~masked[start:stop]

    def total(values: Floats) -> float:
        return float(values[keep[len(keep) - len(values) :]].sum())

    own = series.unpriced
    known, unknown, calls, inferences = (
        total(np.asarray(part[cut], dtype=np.float64))
        for part in (series.count, own.trajectories, own.calls, own.inferences)
    )
    return Unknown(known + unknown, unknown, calls, inferences)


def least_part(before: Unknown, after: Unknown) -> float:
    """Return which part of a rise of the known costs is at least one of all costs, 0 to 1.

    1 where as much was known before as after, and 0 where inferences that had no price have one now.
    """
    if not before.trajectories or not after.trajectories:
        return 1.0
    sizes = before.trajectories, after.trajectories
    per_run = max(before.inferences / before.trajectories, 1e-9)
    calls = [min(one.calls / one.trajectories / per_run, 1.0) for one in (before, after)]
    if -_moved(calls, sizes) > SHARE_MIN:
        return 0.0
    shares = [one.unknown / one.trajectories for one in (before, after)]
    return (1 - shares[1]) / (1 - shares[0]) if _moved(shares, sizes) > SHARE_MIN else 1.0


def _moved(shares: list[float], sizes: tuple[float, float]) -> float:
    """Return by how much a share has risen from the first to the second, 0 where that may be noise."""
    pooled = (shares[0] * sizes[0] + shares[1] * sizes[1]) / sum(sizes)
    noise = math.sqrt(pooled * (1 - pooled) * sum(1 / size for size in sizes))
    rise = shares[1] - shares[0]
    return rise if abs(rise) > NOISE_SIGMAS * noise else 0.0
