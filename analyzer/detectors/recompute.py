"""The numbers of a finding, computed again from the series alone: what the evidence gate compares with."""

from __future__ import annotations

import math
from datetime import datetime

import numpy as np

from analyzer.detectors.kernels.grid import possible
from analyzer.types.metric import HOUR_S, TICK_S, Series, Signal
from analyzer.types.report import MetricEvidence


def measured(series: Series, start: datetime, end: datetime) -> float | None:
    """Return the plain value per unit over the ticks that begin in [start, end): sum of totals over sum of counts.

    Of volume it is what began per hour of the ticks that were seen. No winsorising, no weights: the same number that
    `series.query` gives over the range. Ticks that cannot be (`grid.possible`) count as unseen. None where no unit was
    seen.
    """
    first = max(math.ceil((start.timestamp() - series.start_s) / TICK_S), 0)
    stop = max(math.ceil((end.timestamp() - series.start_s) / TICK_S), 0)
    count, total = (np.asarray(part[first:stop], dtype=np.float64) for part in (series.count, series.total))
    if series.signal is Signal.VOLUME:
        began = count[np.isfinite(count)]
        return math.fsum(began) / len(began) * (HOUR_S / TICK_S) if len(began) else None
    seen = possible(count, total)
    units = math.fsum(count[seen])
    return math.fsum(total[seen]) / units if units > 0 else None


def recompute(evidence: MetricEvidence, series: Series) -> float | None:
    """Return what a piece of evidence says, from the series it was taken from."""
    return measured(series, evidence.start, evidence.end)


def range_query(series: Series, seconds: int) -> str:
    """Return the series' PromQL over a range; evaluated at the range's end it gives the value per unit."""
    return series.query.replace("$range", f"{seconds}s")
