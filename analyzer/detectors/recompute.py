"""The numbers of a finding, computed again from the series alone: what the evidence gate compares with."""

from __future__ import annotations

import math
from datetime import datetime

from analyzer.types.metric import HOUR_S, TICK_S, Series, Signal
from analyzer.types.report import MetricEvidence


def measured(series: Series, start: datetime, end: datetime) -> float | None:
    """Return the plain value per unit over the ticks that begin in [start, end): sum of totals over sum of counts.

    Of volume it is what began per hour of the ticks that were seen. No winsorising, no weights: the same number that
    `series.query` gives over the range. Ticks that cannot be (not finite, negative) count as unseen. None where no unit
    was seen.
    """
    first = max(math.ceil((start.timestamp() - series.start_s) / TICK_S), 0)
    stop = max(math.ceil((end.timestamp() - series.start_s) / TICK_S), 0)
    if series.signal is Signal.VOLUME:
        counts = [count for count in series.count[first:stop] if math.isfinite(count)]
        return math.fsum(counts) / len(counts) * (HOUR_S / TICK_S) if counts else None
    pairs = [
        (count, total)
        for count, total in zip(series.count[first:stop], series.total[first:stop], strict=True)
        if math.isfinite(count) and math.isfinite(total) and count > 0 and total >= 0
    ]
    units = math.fsum(count for count, _ in pairs)
    return math.fsum(total for _, total in pairs) / units if units > 0 else None


def recompute(evidence: MetricEvidence, series: Series) -> float | None:
    """Return what a piece of evidence says, from the series it was taken from."""
    return measured(series, evidence.start, evidence.end)


def range_query(series: Series, seconds: int) -> str:
    """Return the series' PromQL over a range; evaluated at the range's end it gives the value per unit."""
    return series.query.replace("$range", f"{seconds}s")
