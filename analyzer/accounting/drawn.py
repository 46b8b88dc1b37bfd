"""What the charts of a finding are drawn from: its metric around the onset beside what was usual, and a loop's steps.

The band says the same for every detector and every source, so that whoever reads one chart can read them all: of ten
such hours before the onset, eight lay in it. It is for the eye and decides nothing; the detectors have baselines of
their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from analyzer.types.drawn import NAME_CHARACTERS_MAX, SLOTS_MAX, STEPS_MAX, Curve, Drawn, Strip
from analyzer.types.metric import HOUR_S, TICK_S, Choices, Series, Signal, Window
from analyzer.types.report import Examined, Finding, Kind, SpanEvidence
from analyzer.types.steps import Step
from analyzer.types.trace import Operation, Status

Floats = npt.NDArray[np.float64]

STEPS_S = (900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
"""Lengths of a slot. Each divides a day, so that slots of several days lie on the same hours."""
UNITS_MIN = 5
"""Units that the median slot should hold: a mean over fewer is mostly noise."""
SLOTS_MIN = 12
"""Fewer are no course but a few points: before that a slot may hold fewer units."""
DAY_S = 86_400
BEFORE_S, BEFORE_MAX_S = 2 * DAY_S, 14 * DAY_S
"""Shown before the onset: as long as it has gone on, two days at least."""
AFTER_S = DAY_S
"""Shown after the recovery, as far as it is known."""
USUAL_MIN = 5
"""Of so many like it a slot can be said to be usual."""
BESIDE_S = 2 * HOUR_S
"""Slots within these two hours of the time of day are alike."""
BAND = (10.0, 50.0, 90.0)
"""Percentiles of the band: its lower edge, its middle, its upper edge."""
LEAD = 4
"""Steps shown before the first that is quoted."""
_RATES = frozenset({Signal.VOLUME})
_ASKED_VOLUME = frozenset({Kind.SILENCE, Kind.VOLUME})


def with_charts(examined: Examined, window: Window) -> Examined:
    """Return what was examined with what its charts are drawn from, as far as the window holds it."""
    finding = examined.finding
    return replace(examined, curve=curve_of(finding, window), strip=strip_of(finding, window))


def curve_of(finding: Finding, window: Window) -> Curve | None:
    """Return the finding's metric around its onset; None where nothing is measured over time."""
    if finding.kind is Kind.TOOL_CHOICE:
        return _of_choices(finding, window)
    name = Signal.VOLUME.value if finding.kind in _ASKED_VOLUME else finding.kind.value
    wanted = (finding.subject.agent, finding.subject.tool)
    for series in window.series:
        if series.signal.value == name and (series.subject.agent, series.subject.tool) == wanted:
            return _of_series(finding, series, window.end)
    return None


def _of_series(finding: Finding, series: Series, end: datetime) -> Curve | None:
    count, total = (np.asarray(part, dtype=np.float64) for part in (series.count, series.total))
    unit = "trajectories per hour" if series.signal in _RATES else series.unit
    if series.signal in _RATES:
        # What is counted is the metric itself: the units are the hours in which somebody looked.
        looked = np.isfinite(count)
        count, total = np.where(looked, TICK_S / HOUR_S, 0.0), np.where(looked, count, 0.0)
    return _Ticks(series.start_s, TICK_S, count, total, is_rate=series.signal in _RATES).curve(finding, unit, end)


def _of_choices(finding: Finding, window: Window) -> Curve | None:
    """Return which share of the trajectories made the choice that became usual; of one that is gone, the old one's."""
    shifted = finding.shifted
    if shifted is None:
        return None
    value = shifted.picked or shifted.usual
    for one in window.choices:
        if value is not None and value in one.picked and _is_about(one, finding):
            picked = np.asarray(one.picked[value], dtype=np.float64)
            ticks = _Ticks(one.start_s, HOUR_S, np.asarray(one.of, dtype=np.float64), picked)
            return ticks.curve(finding, f"trajectories that chose {value}"[:NAME_CHARACTERS_MAX], window.end)
    return None


def _is_about(choices: Choices, finding: Finding) -> bool:
    shifted = finding.shifted
    return (
        shifted is not None
        and (choices.what, choices.task) == (shifted.what, shifted.task)
        and choices.subject.agent == finding.subject.agent
        and choices.subject.tool in {None, finding.subject.tool}
    )


class _Ticks:
    """Sums per tick, and what they give over slots of several ticks."""

    def __init__(self, start_s: int, tick_s: int, count: Floats, total: Floats, *, is_rate: bool = False) -> None:
        sound = np.isfinite(count) & np.isfinite(total)
        self._start_s, self._tick_s, self._is_rate = start_s, tick_s, is_rate
        self._count, self._total = np.where(sound, count, 0.0), np.where(sound, total, 0.0)

    def curve(self, finding: Finding, unit: str, end: datetime) -> Curve | None:
        """Return the course around the onset of a finding, with the band of the time before."""
        onset = int(finding.onset.timestamp() - self._start_s) // self._tick_s
        stop = min(int(end.timestamp() - self._start_s) // self._tick_s, len(self._count))
        if finding.recovered is not None:
            stop = min(stop, int(finding.recovered.timestamp() + AFTER_S - self._start_s) // self._tick_s)
        if not 0 < onset < stop:
            return None
        before = min(max((stop - onset) * self._tick_s, BEFORE_S), BEFORE_MAX_S) // self._tick_s
        size = self._size(max(onset - before, 0), onset, stop)
        # Slots are counted from the onset, so that no slot mixes what was before with what came after.
        ahead = min(max(round(before / size), 1), onset // size)
        # A last slot of which less than half is over would say little, and that by chance.
        behind = min(max(round((stop - onset) / size), 1), SLOTS_MAX - ahead)
        values = self._values(onset - ahead * size, ahead + behind, size)
        low, usual, high = self._usual(finding, onset, ahead, behind, size)
        if not np.isfinite(values).any():
            return None
        return Curve(
            kind=finding.kind.value,
            agent=finding.subject.agent,
            tool=finding.subject.tool,
            unit=unit,
            start=datetime.fromtimestamp(self._start_s + (onset - ahead * size) * self._tick_s, UTC),
            step_s=size * self._tick_s,
            values=_rounded(values),
            usual=_rounded(usual),
            low=_rounded(low),
            high=_rounded(high),
        )

    def _size(self, first: int, onset: int, stop: int) -> int:
        """Return the ticks of a slot: the fewest with enough units each, and no more slots than can be told apart."""
        fitting = [
            step_s // self._tick_s
            for step_s in STEPS_S
            if step_s >= self._tick_s and (stop - first) * self._tick_s / step_s <= SLOTS_MAX - 1
        ]
        chosen = fitting[0] if fitting else -(-(stop - first) // (SLOTS_MAX - 1))
        for size in fitting:
            if size != chosen and (stop - first) / size < SLOTS_MIN:
                break
            chosen = size
            units = self._summed(self._count, onset - (onset - first) // size * size, (onset - first) // size, size)
            if self._is_rate or (units.size and np.median(units) >= UNITS_MIN):
                break
        return chosen

    def _values(self, first: int, slots: int, size: int) -> Floats:
        """Return the mean of each slot; NaN where it holds nothing."""
        count, total = (self._summed(part, first, slots, size) for part in (self._count, self._total))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(count > 0, total / count, np.nan))

    def _summed(self, part: Floats, first: int, slots: int, size: int) -> Floats:
        cut = part[first : first + slots * size]
        return np.asarray(np.pad(cut, (0, slots * size - len(cut))).reshape(slots, size).sum(axis=1))

    def _usual(self, finding: Finding, onset: int, ahead: int, behind: int, size: int) -> tuple[Floats, Floats, Floats]:
        """Return the band of each slot, from the slots of the same hours that were over before it can have begun."""
        sure = min(int(finding.onset_low.timestamp() - self._start_s) // self._tick_s, onset)
        known = sure // size
        past = self._values(onset - onset // size * size, onset // size, size)[:known]
        seen = np.isfinite(past)
        none = (np.empty(0), np.empty(0), np.empty(0))
        if seen.sum() < USUAL_MIN:
            return none
        day = max(DAY_S // (size * self._tick_s), 1)
        # Two hours before and after, so that a week of history is thirty values and the band no comb.
        beside = BESIDE_S // (size * self._tick_s)
        # Places of a slot in its day, counted from the onset as slots are.
        places = (np.arange(len(past)) - onset // size) % day
        by_place: dict[int, Floats] = {}
        for place in range(day):
            away = np.minimum((places - place) % day, (place - places) % day)
            alike = past[seen & (away <= beside)]
            by_place[place] = np.percentile(alike if len(alike) >= USUAL_MIN else past[seen], BAND)
        band = np.array([by_place[slot % day] for slot in range(-ahead, behind)])
        return band[:, 0], band[:, 1], band[:, 2]


def _rounded(values: Floats) -> tuple[float | None, ...]:
    """Return values with the four digits that a chart can show: documents stay small."""
    return tuple(float(f"{value:.4g}") if np.isfinite(value) else None for value in values.tolist())


def strip_of(finding: Finding, window: Window) -> Strip | None:
    """Return the steps of a loop's worst trajectory, from shortly before the first that is quoted."""
    trace_id = finding.trace_ids[0] if finding.trace_ids else ""
    steps = window.suspects.get(trace_id, ())
    if finding.kind is not Kind.LOOP or not steps:
        return None
    quoted = {one.span_id for one in finding.evidence if isinstance(one, SpanEvidence)}
    drawn = _drawn(steps)
    first = next((index for index, step in enumerate(steps) if step.span_id in quoted), 0)
    first = min(max(first - LEAD, 0), max(len(steps) - STEPS_MAX, 0))
    return Strip(trace_id, max(step.number for step in steps), tuple(drawn[first : first + STEPS_MAX]))


def _drawn(steps: Sequence[Step]) -> list[Drawn]:
    asked: set[tuple[str, str]] = set()
    drawn = []
    for step in steps:
        is_tool = step.operation is Operation.TOOL
        key = (step.name, step.input)
        # What an inference is asked grows with the run and is never the same; of calls it is the arguments.
        again = is_tool and key in asked
        asked.add(key)
        drawn.append(Drawn(step.number, step.name[:NAME_CHARACTERS_MAX], is_tool, step.status is Status.ERROR, again))
    return drawn
