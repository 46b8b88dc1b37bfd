"""What the tokens of each agent cost against what the same tokens used to cost: a dearer model, or a dearer price.

Cost per trajectory scatters by its length, the price of a token hardly does: a switch to a model that costs 1.67 times
as much drowns in the one for days and stands out of the other within hours.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from analyzer.detectors.kernels.credible import least_part, unknown_of
from analyzer.detectors.kernels.detector import SeriesDetector
from analyzer.detectors.kernels.findings import Reported, common, heading, reported
from analyzer.detectors.kernels.grid import Grid
from analyzer.detectors.kernels.prices import STEADY, PriceBaseline, Prices, PriceSettings
from analyzer.detectors.kernels.walk import Past
from analyzer.types.metric import Series, Signal, Window
from analyzer.types.report import Finding, Kind


@dataclass(frozen=True, slots=True)
class PriceDetector(SeriesDetector):
    """See the module's text and docs/detectors/price.md.

    `value` is USD per trajectory since the onset, `baseline` what the same tokens cost at the prices of before; `of`
    and `affected` are the trajectories since, those with an unknown price left out; `excess_usd` is the difference.
    """

    signal: Signal = Signal.PRICE
    settings: PriceSettings = field(default_factory=PriceSettings)

    @property
    def kind(self) -> Kind:
        """What people feel is the cost: one incident with what the detector of costs finds."""
        return Kind.COST

    def model(self, series: Series, grid: Grid) -> Prices:
        """See `SeriesDetector.model`."""
        return Prices(grid, series, self.settings)

    def is_steady(self, model: Prices) -> bool:
        """See `SeriesDetector.is_steady`."""
        return model.scatter(model.grid.stop) < STEADY

    def findings(self, past: Past[Any], model: Prices, series: Series, window: Window) -> list[Finding]:
        """See `SeriesDetector.findings`."""
        return [
            _finding(one, model, self.kind, self.name)
            for one in reported(past, series, window)
            if _credible(one, model)
        ]


def _credible(one: Reported, model: Prices) -> bool:
    """Tell whether the money says so too, at the alarm or since, whatever the trajectories of unknown cost took.

    The index is a mean over trajectories: one very long one on the cheap model can cost more than all on the dear one.
    """
    base: PriceBaseline = one.episode.baseline
    before = unknown_of(one.series, one.grid, base.start, base.stop, one.masked)
    for stop in (min(one.episode.alarmed + 1, one.stop), one.stop):
        value, usual = model.measured(base, one.episode.onset, stop)
        part = least_part(before, unknown_of(one.series, one.grid, one.episode.onset, stop))
        if part * value >= model.settings.ratio_min * usual:
            return True
    return False


def _finding(one: Reported, model: Prices, kind: Kind, detector: str) -> Finding:
    base: PriceBaseline = one.episode.baseline
    value, usual = model.measured(base, one.episode.onset, one.stop)
    of = float(one.grid.n[one.episode.onset : one.stop].sum())
    note = (
        f"{heading(one)} The tokens since cost {value / usual:.2f} times what the same tokens, input, output and cached"
        f" ones by their own prices, cost in the two weeks before. {model.detectable(base)}"
    )
    unknown = unknown_of(one.series, one.grid, one.episode.onset, one.stop)
    if unknown.calls:
        note += " Trajectories with calls of no known price are in no figure."
    return replace(
        common(one, kind, detector),
        value=value,
        baseline=usual,
        affected=round(of),
        of=round(of),
        excess_usd=max(value - usual, 0.0) * of,
        note=note,
    )
