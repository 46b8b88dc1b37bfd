"""What is usual for an agent's trajectories, read off the series' sketches: the measure of those that still run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt

from analyzer.types.metric import TICK_S, FlatSketches, Series, Signal, Usual, bin_value

HELD_OUT_S = 86_400
"""The last day is left out where there is an earlier one: runaways of today must not become the measure of today."""
_SIGNALS = (Signal.STEPS, Signal.TOKENS, Signal.COST, Signal.LATENCY, Signal.GAP)


@dataclass(frozen=True, slots=True, eq=False)
class _Merged:
    """The sketches of a series, added up."""

    lowest: int
    """The bin of the first sum."""
    sums: npt.NDArray[np.int64]
    """How many units lie in each bin or below it, ascending; empty where there is no unit."""

    @staticmethod
    def of(series: Series, end_s: int) -> _Merged:
        """Add up the sketches of all days but the last."""
        assert isinstance(series.sketches, FlatSketches)  # noqa: S101 - the caller has looked
        ticks = len(series.count)
        held_out = series.sketches.until(max(0, ticks - (series.end_s - (end_s - HELD_OUT_S)) // TICK_S))
        known = held_out if held_out.units else series.sketches
        bins = np.array(known.bins, dtype=np.int64)
        lowest = int(bins.min()) if len(bins) else 0
        bins -= lowest
        return _Merged(lowest, np.cumsum(np.bincount(bins, weights=known.units)).astype(np.int64))

    @property
    def total(self) -> int:
        return int(self.sums[-1]) if len(self.sums) else 0

    def quantile(self, share: float) -> float | None:
        """Return the value below or at which at least this share lies, above 0 and at most 1; None of nothing."""
        if not self.total:
            return None
        return bin_value(self.lowest + int(np.searchsorted(self.sums, share * self.total)))


def usual_of(series: Sequence[Series], end: datetime, lost: Mapping[str, float]) -> dict[str, Usual]:
    """Return by agent the quantiles of finished trajectories, as far as the store's series know them.

    `lost` is the share of trajectories that never end, by agent.
    """
    found: dict[str, dict[Signal, _Merged]] = defaultdict(dict)
    for one in series:
        if one.signal in _SIGNALS and one.subject.agent is not None and isinstance(one.sketches, FlatSketches):
            found[one.subject.agent][one.signal] = _Merged.of(one, int(end.timestamp()))
    return {
        agent: replace(_usual(agent, by_signal), lost_share=lost.get(agent, 0.0))
        for agent, by_signal in sorted(found.items())
        if Signal.STEPS in by_signal
    }


def _usual(agent: str, by_signal: Mapping[Signal, _Merged]) -> Usual:
    def quantile(signal: Signal, share: float) -> float | None:
        return by_signal[signal].quantile(share) if signal in by_signal else None

    return Usual(
        agent=agent,
        trajectories=by_signal[Signal.STEPS].total,
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
