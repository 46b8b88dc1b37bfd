"""Why a detector over a series is silent: the walk's state at its last tick, put into words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from analyzer.detectors.kernels.grid import TICKS_PER_DAY, Bools
from analyzer.detectors.kernels.learning import DAYS_MIN_WHY
from analyzer.detectors.kernels.model import Block, Masks, Model, View
from analyzer.detectors.kernels.walk import Walk
from analyzer.types.metric import Series, Window
from analyzer.types.reading import Gate, Reading
from analyzer.types.report import Kind, Subject

BaselineT = TypeVar("BaselineT")


class Measuring(View, Protocol):
    """A view that can say what it measures."""

    def measured(self, first: int, last: int) -> tuple[float | None, float]:
        """Return what is observed and what is expected over ticks [first, last], in the series' unit.

        Nothing is observed (None) where nothing ran: a mean of no runs is not 0.
        """

    def effect(self, first: int, last: int) -> str:
        """Say how large the effect over ticks [first, last] is, and how large it must be."""


class Explaining(Model[BaselineT], Protocol[BaselineT]):
    """A model that can say what it learns from and what it could see."""

    @property
    def history_days_min(self) -> float:
        """Days that must lie before the first tick that is judged."""

    def shortage(self, day: int, masked: Bools) -> str:
        """Say why there is no baseline for a day."""

    def detectable(self, baseline: BaselineT) -> str:
        """Say what takes how long to be seen at this volume."""

    def view(self, baseline: BaselineT, start: int, stop: int, masks: Masks) -> Measuring:
        """Judge ticks [start, stop) by a baseline."""


@dataclass(frozen=True, slots=True)
class _Nearest:
    """The rule that is nearest to its threshold, and the ticks from which on it looks."""

    kernel: str
    score: float
    threshold: float
    first: int
    is_block: bool


def no_series(detector: str, kind: Kind, agent: str) -> Reading:
    """Return the reading of a detector that has nothing of an agent to look at."""
    why = f"nothing is known of this agent that {detector} looks at"
    return Reading(detector, kind, Subject(agent=agent), Gate.NO_SERIES, why)


def reading(
    model: Explaining[BaselineT], walk: Walk[BaselineT], series: Series, window: Window, detector: str, kind: Kind
) -> Reading:
    """Return where a detector stands with a series after its walk to the window's end."""
    grid, last = model.grid, model.grid.stop - 1
    blank = Reading(
        detector, kind, replace(series.subject, version=None, model=None), Gate.NO_SERIES, "no units were ever seen"
    )
    if grid.first >= grid.stop:
        return blank
    episode = walk.episodes[-1] if walk.episodes else None
    if episode is not None and episode.closed is None:
        view = model.view(episode.baseline, min(episode.onset, last), grid.stop, walk.masks)
        value, expected = view.measured(episode.onset, last)
        why = f"an episode is open since {grid.time(episode.onset):%Y-%m-%d %H:%M} UTC"
        found = replace(blank, gate=Gate.FOUND, why=why, value=value, baseline=expected, unit=series.unit)
        found = replace(found, kernel=episode.kernel, score=episode.score, threshold=episode.threshold)
        return replace(found, detectable=model.detectable(episode.baseline))
    if grid.stop <= model.warm:
        days = (grid.stop - grid.first) / TICKS_PER_DAY
        return replace(blank, gate=Gate.HISTORY, why=DAYS_MIN_WHY.format(needed=model.history_days_min, there=days))
    day = last // TICKS_PER_DAY
    if walk.baseline is None:
        return replace(blank, gate=Gate.UNITS, why=model.shortage(day, walk.masks.episodes))
    start = max(day * TICKS_PER_DAY, model.warm)
    view = model.view(walk.baseline, start, grid.stop, walk.masks)
    nearest = _nearest(walk, view, last)
    value, expected = view.measured(nearest.first, last)
    unseen = f"nothing ran since {grid.time(nearest.first):%Y-%m-%d %H:%M} UTC" if value is None else ""
    gate, why = _gate(view, nearest, last, unseen)
    if episode is not None and episode.closed is not None and grid.time(episode.closed + 1) > window.start:
        began, ended = grid.time(episode.onset), grid.time(episode.recovered or episode.closed)
        span = f"{began:%Y-%m-%d %H:%M} to {ended:%Y-%m-%d %H:%M} UTC"
        gate, why = Gate.MASK, f"an episode from {span} is over; what lies in it counts as unseen. Since then: {why}"
    return replace(
        blank,
        gate=gate,
        why=why,
        value=value,
        baseline=expected,
        unit=series.unit,
        kernel=nearest.kernel,
        score=nearest.score,
        threshold=nearest.threshold,
        detectable=model.detectable(walk.baseline),
    )


def _nearest(walk: Walk[BaselineT], view: Measuring, last: int) -> _Nearest:
    day, cusums = last - TICKS_PER_DAY + 1, view.cusums
    # In the tick in which an episode ends, nothing has been gathered yet.
    levels = walk.levels() or [(last, 0.0)] * len(cusums)
    found = [
        # A CUSUM at zero sees nothing: then the last day is what is shown.
        _Nearest(cusum.kernel, level, cusum.threshold, max(zero, day) if level > 0 else day, is_block=False)
        for cusum, (zero, level) in zip(cusums, levels, strict=True)
    ]
    found += [_of_block(block, last) for block in view.blocks()]
    return max(found, key=lambda one: one.score / one.threshold)


def _of_block(block: Block, last: int) -> _Nearest:
    return _Nearest(
        block.kernel, max(float(block.score[-1]), 0.0), block.threshold, last - block.width + 1, is_block=True
    )


def _gate(view: Measuring, nearest: _Nearest, last: int, unseen: str) -> tuple[Gate, str]:
    """Return the gate and its words; `unseen` stands in for an effect where there is none to speak of."""
    effect = unseen or view.effect(nearest.first, last)
    score = f"score {nearest.score:.1f} of {nearest.threshold:.1f}"
    if nearest.score < nearest.threshold:
        return Gate.SCORE, f"{score}; {effect}"
    if nearest.is_block and view.rises(nearest.first, last):
        return Gate.PERSISTENCE, f"{score} is enough, but not for long enough yet; {effect}"
    return Gate.EFFECT, f"{effect}; {score}"
