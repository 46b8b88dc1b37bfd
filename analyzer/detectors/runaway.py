"""Single trajectories far beyond anything usual, finished or still running; and runs that have all fallen silent.

Catalogue T2 and S3. Three times the 99th percentile flags 0.4 to 0.9 of a thousand healthy runs: heavy tails are always
there. So a trajectory beyond it is reported only where there are more of them than this agent always has, where it is
far beyond all that ever ended, or where it costs more than `usd_cap`. `value` is that of the worst one, `baseline` what
99 % stay below.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple

from analyzer.detectors.kernels.events import log_tail
from analyzer.detectors.kernels.grid import TICKS_PER_DAY, TICKS_PER_HOUR
from analyzer.detectors.kernels.tail import Tail
from analyzer.detectors.wording import rounded, still_running
from analyzer.types.metric import BIN_WIDTH, OpenTrajectory, Series, Signal, Usual, Window
from analyzer.types.reading import Gate, Reading
from analyzer.types.report import Finding, Kind, Subject
from analyzer.types.trajectory import TrajectorySummary


class _Size(NamedTuple):
    """One way in which a trajectory can be large."""

    unit: str
    of: Callable[[TrajectorySummary], Any]
    """Returns it, or None. A trajectory that runs has lasted until its last sign of life: it may be lost."""
    usual: Callable[[Usual], tuple[float | None, float | None]]
    """Returns the median and the 99th percentile."""


MEASURES: Mapping[Signal, _Size] = {
    Signal.COST: _Size("USD", attrgetter("cost_usd"), attrgetter("cost_p50", "cost_p99")),
    Signal.TOKENS: _Size("tokens", attrgetter("tokens"), attrgetter("tokens_p50", "tokens_p99")),
    Signal.STEPS: _Size("steps", attrgetter("steps"), attrgetter("steps_p50", "steps_p99")),
    Signal.LATENCY: _Size("s", attrgetter("duration_s"), attrgetter("duration_p50_s", "duration_p99_s")),
}
"""What a trajectory is measured by; money first, because it is what is paid."""
WINDOWS_H = (1, 24)
_ByMeasure = Mapping[tuple[Signal, str | None], Series]
"""Series by signal and agent."""


@dataclass(frozen=True, slots=True)
class RunawaySettings:
    """When a trajectory has run away."""

    usd_cap: float = 25.0
    """A trajectory that costs more is reported, if it is unusual at all."""
    p99_ratio: float = 3.0
    """Beyond the 99th percentile of finished trajectories, with `finished_min` of them."""
    finished_min: int = 200
    median_ratio: float = 6.0
    """Beyond the median, with fewer: a percentile of few is a guess."""
    few_finished_min: int = 50
    record_ratio: float = 3.0
    """Beyond the largest value that ever ended ..."""
    record_p_max: float = 3e-5
    """... and so far that a trajectory is by chance with this probability only: 0.025 an agent-week at 5 an hour."""
    tail_index: float = 2.0
    """How heavy the tail is taken to be: of Pareto's with index a, the next of n + 1 is beyond r times the largest with
    p = r^-a / (n + 1). 2 is the heaviest whose mean settles; after 500 trajectories r is 8, from 3,700 on 3."""
    more_p_max: float = 1e-5
    """More of them than usual: per hour of window, so that an hour and a day have the same budget of false alarms."""
    more_ratio_min: float = 3.0
    more_n_min: int = 3
    silent_ratio: float = 3.0
    """A run is silent when nothing ended for this many times the 99th percentile of its pauses."""
    silent_share_min: float = 0.5
    silent_n_min: int = 3
    lost_ratio: float = 3.0
    """Silent runs beyond this many times those that are always lost in a day."""
    lost_share_max: float = 0.2
    """From here on the roots of an agent are exported elsewhere: what seems to run has ended."""
    trace_ids_max: int = 50


@dataclass(frozen=True, slots=True)
class _Far:
    """One trajectory beyond the limit of a measure."""

    summary: TrajectorySummary
    value: float
    running: bool


@dataclass(frozen=True, slots=True)
class _Measure:
    """A measure of one agent: its limit, and how many are beyond it."""

    agent: str
    signal: Signal
    usual: float
    """The 99th percentile, or the median where there are few."""
    ratio: float
    """Times `usual` is the limit."""
    few: bool
    """Whether the agent has finished too few for a percentile."""
    record: float = 0.0
    """The largest value that ended before the last day; 0 where the source has no distribution."""
    past: int = 0
    """Of how many trajectories it is the largest."""
    many: bool = False
    """Whether more are beyond the limit than always were."""
    finished: int = 0
    """Trajectories of the last day, and ..."""
    beyond: int = 0
    """... those beyond the limit."""

    @property
    def limit(self) -> float:
        """What a trajectory must be beyond to be looked at."""
        return self.usual * self.ratio


class _Runs(NamedTuple):
    """What is looked at one by one of an agent: all that runs, and some of what ended."""

    running: Sequence[OpenTrajectory]
    open_: Mapping[str, TrajectorySummary]
    """The same by trace id."""
    ended: Sequence[TrajectorySummary]
    """None of those that run."""

    @staticmethod
    def of(window: Window, agent: str, ended: Sequence[TrajectorySummary]) -> _Runs:
        """Return those of an agent; what runs counts as that alone."""
        running = [one for one in window.running if one.summary.agent == agent]
        open_ = {one.summary.trace_id: one.summary for one in running}
        return _Runs(running, open_, [one for one in ended if one.trace_id not in open_])


@dataclass(frozen=True, slots=True)
class RunawayDetector:
    """See the module's text and docs/detectors/runaway.md."""

    settings: RunawaySettings = RunawaySettings()
    name: str = "runaway"
    kind: Kind = Kind.RUNAWAY
    by_agent: ClassVar[bool] = True
    """See `base.is_by_agent`."""

    def detect(self, window: Window) -> tuple[Finding, ...]:
        """Return at most one finding per agent: its worst measure, its trajectories worst first."""
        found = []
        ended, series = _by_agent(window), _measured(window)
        for agent in sorted(window.usual):
            runs = _Runs.of(window, agent, ended.get(agent, ()))
            candidates = [
                *(self._far(window, measure, runs) for measure in self._measures(window, agent, runs, series)),
                self._silent(window, window.usual[agent], runs.running),
            ]
            best = [one for one in candidates if one is not None]
            if best:
                found.append(max(best, key=lambda one: (one.excess_usd or 0.0, one.score / one.threshold)))
        return tuple(found)

    def explain(self, window: Window, agent: str) -> tuple[Reading, ...]:
        """Return, for each measure of an agent, its farthest trajectory and what holds it back."""
        own, usual = self.settings, window.usual.get(agent)
        blank = Reading(self.name, self.kind, Subject(agent=agent), Gate.NO_SERIES, "no trajectory of it has ended")
        if usual is None:
            return (blank,)
        if usual.trajectories < own.few_finished_min:
            why = f"{usual.trajectories} trajectories have ended, {own.few_finished_min} are needed"
            return (replace(blank, gate=Gate.UNITS, why=why),)
        runs = _Runs.of(window, agent, _by_agent(window).get(agent, ()))
        measures = self._measures(window, agent, runs, _measured(window))
        hanging = (self._hanging(window, usual, runs.running, blank),) if runs.running and usual.gap_p99_s > 0 else ()
        return (*(self._reading(window, measure, runs, blank) for measure in measures), *hanging)

    def _reading(self, window: Window, measure: _Measure, runs: _Runs, blank: Reading) -> Reading:
        far = _beyond(measure, runs)
        unit = MEASURES[measure.signal].unit
        found = self._far(window, measure, runs) is not None
        if not far:
            gate, why = Gate.EFFECT, f"no trajectory looked at is beyond {rounded(measure.limit)} {unit}"
        else:
            gate, why = Gate.SCORE, f"{len(far)} beyond {rounded(measure.limit)} {unit}, as there always are"
        worst = far[0].value if far else None
        return replace(
            blank,
            gate=Gate.FOUND if found else gate,
            why=why,
            value=worst,
            baseline=measure.usual,
            unit=unit,
            kernel="median" if measure.few else "p99",
            score=None if worst is None else worst / measure.usual,
            threshold=measure.ratio,
            detectable=self._detectable(measure),
        )

    def _detectable(self, measure: _Measure) -> str:
        """Say what a single trajectory must exceed to be reported by itself."""
        if not measure.record:
            return f"A single trajectory is reported from {self.settings.usd_cap:g} USD on."
        least, unit = rounded(self._least(measure)), MEASURES[measure.signal].unit
        return f"A single trajectory is reported beyond {least} {unit}."

    def _measures(self, window: Window, agent: str, runs: _Runs, series: _ByMeasure) -> Iterator[_Measure]:
        usual, own = window.usual[agent], self.settings
        few = usual.trajectories < own.finished_min
        if usual.trajectories < own.few_finished_min:
            return
        for signal, size in MEASURES.items():
            median, p99 = size.usual(usual)
            base, ratio = (median, own.median_ratio) if few else (p99, own.p99_ratio)
            if not base or not math.isfinite(base):
                continue
            measured = series.get((signal, agent))
            blank = _Measure(agent, signal, base, ratio, few)
            open_ = sum(1 for one in runs.running if (size.of(one.summary) or 0.0) > blank.limit)
            yield blank if measured is None else self._counted(window, measured, blank, open_)

    def _counted(self, window: Window, series: Series, measure: _Measure, open_: int) -> _Measure:
        """Count those beyond the limit in the last hour and day, and compare with how many there always were."""
        tail = Tail.of(series, window.end, measure.limit)
        # What is judged must not be what it is judged by.
        past = max(tail.stop - TICKS_PER_DAY, 0) // TICKS_PER_HOUR * TICKS_PER_HOUR
        highest = tail.highest(past)
        if highest is None:
            return measure
        units = tail.seen(0, past)
        rate = (tail.beyond(0, past) + 0.5) / (units + 1)
        return replace(
            measure,
            record=math.exp((highest + 1) * BIN_WIDTH),
            past=round(units),
            many=any(self._more(tail, hours, open_, rate, past) for hours in WINDOWS_H),
            finished=round(tail.seen(past, tail.stop)),
            beyond=round(tail.beyond(past, tail.stop)),
        )

    def _more(self, tail: Tail, hours: int, open_: int, rate: float, past: int) -> bool:
        """Tell whether more are beyond the limit in a window than the agent always has."""
        own, first = self.settings, max(tail.stop - hours * TICKS_PER_HOUR, 0)
        k = tail.beyond(first, tail.stop) + open_
        if k < own.more_n_min or k < own.more_ratio_min * rate * (n := tail.seen(first, tail.stop) + open_):
            return False
        return log_tail(round(k), round(n), rate, tail.drift(past, rate)) <= math.log(own.more_p_max * hours)

    def _far(self, window: Window, measure: _Measure, runs: _Runs) -> Finding | None:
        """Return the finding of one measure, where any of its trajectories is worth one."""
        far = _beyond(measure, runs)
        if not measure.many:
            far = [one for one in far if self._stands_out(one, measure)]
        if not far:
            return None
        worst, unit = far[0], MEASURES[measure.signal].unit
        begun = [one.summary.start_ns for one in far if one.summary.start_ns is not None]
        onset = datetime.fromtimestamp(min(begun) / 1e9, tz=UTC) if begun else window.start
        cost = window.usual[measure.agent].cost_p50 or 0.0
        still = sum(one.running for one in far)
        hit = max(len(far), measure.beyond + still if measure.many else 0)
        return Finding(
            detector=self.name,
            kind=self.kind,
            subject=Subject(agent=measure.agent),
            onset=onset,
            onset_low=onset,
            onset_high=onset,
            value=worst.value,
            baseline=measure.usual,
            threshold=measure.ratio,
            score=worst.value / measure.usual,
            unit=unit,
            affected=hit,
            of=max(measure.finished + len(runs.running), hit),
            excess_usd=sum(max((one.summary.cost_usd or 0.0) - cost, 0.0) for one in far),
            trace_ids=tuple(one.summary.trace_id for one in far[: self.settings.trace_ids_max]),
            note=self._note(measure, worst, still, hit),
        )

    def _stands_out(self, one: _Far, measure: _Measure) -> bool:
        usd = one.summary.cost_usd or 0.0
        return usd >= self.settings.usd_cap or one.value > self._least(measure)

    def _least(self, measure: _Measure) -> float:
        """Return what a single trajectory must exceed by itself; infinite where no distribution is known."""
        own = self.settings
        by_chance = math.pow(own.record_p_max * (measure.past + 1), -1 / own.tail_index)
        return max(max(own.record_ratio, by_chance) * (measure.record or math.inf), measure.limit)

    def _note(self, measure: _Measure, worst: _Far, still: int, hit: int) -> str:
        unit = MEASURES[measure.signal].unit
        usual = "half of its trajectories end" if measure.few else "99 % of its trajectories end"
        state = "still running" if worst.running else "ended"
        why = (
            f"{hit} are that far in the last day, more than this agent always has"
            if measure.many
            else f"the most that ever ended was {rounded(measure.record)} {unit}"
            if measure.record
            else f"it costs more than {self.settings.usd_cap:g} USD"
        )
        return (
            f"{rounded(worst.value)} {unit}, {state}, where {usual} below {rounded(measure.usual)}; {why}."
            f"{still_running(still, hit)}"
        )

    def _silent(self, window: Window, usual: Usual, running: Sequence[OpenTrajectory]) -> Finding | None:
        """Return a finding where most of an agent's running trajectories have fallen silent: something hangs."""
        own = self.settings
        limit_s = own.silent_ratio * usual.gap_p99_s
        if limit_s <= 0 or usual.trajectories < own.few_finished_min or usual.lost_share > own.lost_share_max:
            return None
        stuck = [(s, one) for s, one in _pauses(window, running) if s > limit_s]
        # How many began need not be counted where too few are silent even for those that never are.
        if len(stuck) < own.silent_n_min or len(stuck) < self._needed(window, usual, running):
            return None
        worst_s = stuck[0][0]
        onset = datetime.fromtimestamp(min(one.seen_ns for _, one in stuck) / 1e9, tz=UTC)
        return Finding(
            detector=self.name,
            kind=self.kind,
            subject=Subject(agent=usual.agent),
            onset=onset,
            onset_low=onset,
            onset_high=onset,
            value=worst_s,
            baseline=usual.gap_p99_s,
            threshold=own.silent_ratio,
            score=worst_s / usual.gap_p99_s,
            unit="s",
            affected=len(stuck),
            of=len(running),
            trace_ids=tuple(one.summary.trace_id for _, one in stuck[: own.trace_ids_max]),
            note=(
                f"{len(stuck)} of {len(running)} running trajectories have not ended a step for up to {worst_s:,.0f} s,"
                f" where 99 % of the pauses are below {rounded(usual.gap_p99_s, 3)} s: something hangs."
            ),
        )

    def _needed(self, window: Window, usual: Usual, running: Sequence[OpenTrajectory]) -> float:
        """Return how many running trajectories must be silent: more than a few, most of them, and than always are."""
        own = self.settings
        lost = own.lost_ratio * usual.lost_share * _begun(window, usual.agent)
        return max(own.silent_n_min, own.silent_share_min * len(running), lost)

    def _hanging(self, window: Window, usual: Usual, running: Sequence[OpenTrajectory], blank: Reading) -> Reading:
        """Return how long running trajectories have ended no step, and what keeps that from being a finding."""
        own = self.settings
        limit_s = own.silent_ratio * usual.gap_p99_s
        pauses = [s for s, _ in _pauses(window, running)]
        stuck, needed = sum(s > limit_s for s in pauses), math.ceil(self._needed(window, usual, running))
        score: float | None = pauses[0] / usual.gap_p99_s
        threshold = own.silent_ratio
        why = f"{stuck} of {len(running)} running trajectories have not ended a step for {rounded(limit_s)} s"
        gate = Gate.FOUND
        if usual.lost_share > own.lost_share_max:
            gate, score = Gate.MASK, None
            why = f"{rounded(usual.lost_share * 100)} % of its trajectories never end here: those that run may have"
        elif not stuck:
            gate, why = Gate.EFFECT, f"every running trajectory has ended a step in the last {rounded(limit_s)} s"
        elif stuck < needed:
            gate, why, score, threshold = Gate.SCORE, f"{why}, {needed:,} are needed", float(stuck), float(needed)
        shown = replace(blank, gate=gate, why=why, value=pauses[0], baseline=usual.gap_p99_s, unit="s")
        return replace(shown, kernel="pauses", score=score, threshold=threshold)


def _by_agent(window: Window) -> Mapping[str, list[TrajectorySummary]]:
    """Return the trajectories of a window that are looked at one by one."""
    found = defaultdict(list)
    for one in window.summaries.values():
        found[one.agent].append(one)
    return found


def _measured(window: Window) -> _ByMeasure:
    """Return the series of what whole agents are measured by, as far as their distribution is known."""
    known = (one for one in window.series if one.signal in MEASURES and one.sketches is not None)
    return {(one.signal, one.subject.agent): one for one in known if one.subject == Subject(agent=one.subject.agent)}


def _beyond(measure: _Measure, runs: _Runs) -> list[_Far]:
    """Return trajectories beyond the limit, the farthest first."""
    size, limit = MEASURES[measure.signal].of, measure.limit
    both = (*runs.open_.values(), *runs.ended)
    far = [_Far(one, float(size(one)), one.trace_id in runs.open_) for one in both if (size(one) or 0.0) > limit]
    return sorted(far, key=lambda one: (-one.value, one.summary.trace_id))


def _pauses(window: Window, running: Sequence[OpenTrajectory]) -> list[tuple[float, OpenTrajectory]]:
    """Return for how many seconds each running trajectory has ended no step, the longest first."""
    pauses = ((window.end.timestamp() - one.seen_ns / 1e9, one) for one in running)
    return sorted(pauses, key=lambda pair: (-pair[0], pair[1].summary.trace_id))


def _begun(window: Window, agent: str) -> float:
    """Return how many trajectories of an agent began in the last day."""
    volume = (s for s in window.series if s.signal is Signal.VOLUME and s.subject == Subject(agent=agent))
    return sum(count for one in volume for count in one.count[-TICKS_PER_DAY:] if math.isfinite(count))
