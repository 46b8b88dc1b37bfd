"""What is usual for an agent's trajectories, read off the series' sketches: the measure of those that still run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from analyzer.types.metric import FlatSketches, Series, Signal, Usual, bin_value

HELD_OUT_S = 86_400
"""The last day is left out where there is an earlier one: runaways of today must not become the measure of today."""
_SIGNALS = (Signal.STEPS, Signal.TOKENS, Signal.COST, Signal.LATENCY, Signal.GAP)


def usual_of(series: Sequence[Series], end: datetime, lost: Mapping[str, float]) -> dict[str, Usual]:
    """Return by agent the quantiles of finished trajectories, as far as the store's series know them.

    `lost` is the share of trajectories that never end, by agent.
    """
    found: dict[str, dict[Signal, Counter[int]]] = defaultdict(dict)
    for one in series:
        if one.signal in _SIGNALS and one.subject.agent is not None and isinstance(one.sketches, FlatSketches):
            found[one.subject.agent][one.signal] = _merged(one, int(end.timestamp()))
    return {
        agent: replace(_usual(agent, by_signal), lost_share=lost.get(agent, 0.0))
        for agent, by_signal in sorted(found.items())
        if Signal.STEPS in by_signal
    }


def _merged(series: Series, end_s: int) -> Counter[int]:
    assert isinstance(series.sketches, FlatSketches)  # noqa: S101 - the caller has looked
    ticks = len(series.count)
    held_out = series.sketches.until(max(0, ticks - (series.end_s - (end_s - HELD_OUT_S)) // 900))
    known = held_out if held_out.units else series.sketches
    bins, units = (np.asarray(part, dtype=np.int64) for part in (known.bins, known.units))
    if not len(bins):
        return Counter()
    lowest = int(bins.min())
    counts = np.bincount(bins - lowest, weights=units)
    return Counter({lowest + at: round(counts[at]) for at in np.flatnonzero(counts).tolist()})


def _usual(agent: str, by_signal: dict[Signal, Counter[int]]) -> Usual:
    def quantile(signal: Signal, share: float) -> float | None:
        return quantile_of(by_signal.get(signal, Counter()), share)

    return Usual(
        agent=agent,
        trajectories=by_signal[Signal.STEPS].total(),
        steps_p50=quantile(Signal.STEPS, 0.5) or 0.0,
        steps_p99=quantile(Signal.STEPS, 0.99) or 0.0,
        tokens_p50=quantile(Signal.TOKENS, 0.5) or 0.0,
        tokens_p99=quantile(Signal.TOKENS, 0.99) or 0.0,
        cost_p50=quantile(Signal.COST, 0.5),
        cost_p99=quantile(Signal.COST, 0.99),
        duration_p50_s=quantile(Signal.LATENCY, 0.5) or 0.0,
        duration_p99_s=quantile(Signal.LATENCY, 0.99) or 0.0,
        gap_p99_s=quantile(Signal.GAP, 0.99) or 0.0,
    )


def quantile_of(sketch: Counter[int], share: float) -> float | None:
    """Return the value below or at which at least this share of a sketch lies, or None for an empty one."""
    left = share * sketch.total()
    for bin_ in sorted(sketch):
        left -= sketch[bin_]
        if left <= 0:
            return bin_value(bin_)
    return None
