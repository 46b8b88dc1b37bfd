"""Budgets that were exceeded: of a day of UTC, and of single trajectories. An exact rule; nothing is estimated.

`value` is what was spent, `baseline` and `threshold` the budget. Days in a row over budget are one episode: it began
when the first of them passed its limit and ends at the midnight after the last, once a whole day has stayed below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import numpy as np

from analyzer.detectors.base import Detector
from analyzer.detectors.wording import rounded, still_running
from analyzer.types.budget import Budget, budget_of
from analyzer.types.metric import TICK_S, OpenTrajectory, Series, Signal, Window
from analyzer.types.reading import Gate, Reading
from analyzer.types.report import Finding, Kind, Subject
from analyzer.types.trajectory import TrajectorySummary

DAY_S = 86_400
TRACE_IDS_MAX = 50


@dataclass(frozen=True, slots=True)
class _Days:
    """What was spent on each day of UTC, the last one as far as it has gone."""

    first: int
    """Days since 1970 of the first one."""
    spent: Sequence[float]
    passed_s: Sequence[float | None]
    """When each passed its budget, in Unix seconds; None where it did not."""


@dataclass(frozen=True, slots=True)
class BudgetDetector:
    """See the module's text and docs/detectors/budget.md. Without budgets it finds nothing."""

    budgets: Mapping[str, Budget] = field(default_factory=dict)
    name: str = "budget"
    kind: Kind = Kind.BUDGET
    by_agent: ClassVar[bool] = True
    """See `base.is_by_agent`."""

    def detect(self, window: Window) -> tuple[Finding, ...]:
        """Return at most one finding per agent, that of the day before those of single trajectories."""
        if not self.budgets:
            return ()
        agents = {one.subject.agent for one in window.series if one.signal in {Signal.COST, Signal.TOKENS}}
        agents |= {one.summary.agent for one in window.running} | {one.agent for one in window.summaries.values()}
        found = []
        for agent in sorted(agent for agent in agents if agent):
            budget = budget_of(self.budgets, agent)
            candidates = [
                self._day(window, agent, Signal.COST, budget.usd_per_day, "USD"),
                self._day(window, agent, Signal.TOKENS, budget.tokens_per_day, "tokens"),
                self._single(window, agent, "USD", budget.usd_per_trajectory),
                self._single(window, agent, "steps", budget.steps_per_trajectory),
                self._single(window, agent, "retries", budget.retries_per_trajectory),
            ]
            exceeded = [one for one in candidates if one is not None]
            if exceeded:
                note = " ".join(dict.fromkeys(one.note for one in exceeded))
                ids = tuple(dict.fromkeys(trace_id for one in exceeded for trace_id in one.trace_ids))
                found.append(replace(exceeded[0], note=note, trace_ids=ids))
        return tuple(found)

    def explain(self, window: Window, agent: str) -> tuple[Reading, ...]:
        """Return what was spent of each budget of an agent, and when that of the day would be gone at today's rate."""
        budget = budget_of(self.budgets, agent)
        limits = (
            (budget.usd_per_day, "USD", Signal.COST),
            (budget.tokens_per_day, "tokens", Signal.TOKENS),
            (budget.usd_per_trajectory, "USD", None),
            (budget.steps_per_trajectory, "steps", None),
            (budget.retries_per_trajectory, "retries", None),
        )
        found = tuple(
            self._reading(window, agent, limit, unit, signal) for limit, unit, signal in limits if limit is not None
        )
        why = f'no budget is set: [budgets.{agent}] or [budgets."*"] in analyzer.toml'
        return found or (Reading(self.name, self.kind, Subject(agent=agent), Gate.NO_SERIES, why),)

    def _reading(self, window: Window, agent: str, limit: float, unit: str, signal: Signal | None) -> Reading:
        blank = Reading(self.name, self.kind, Subject(agent=agent), Gate.SCORE, "", baseline=limit, threshold=limit)
        if signal is None:
            finding = self._single(window, agent, unit, limit)
            most = max((_spent(one, unit) or 0.0 for one in _trajectories(window, agent)), default=0.0)
            why = f"the worst trajectory looked at took {rounded(most, 6)} of {rounded(limit, 6)} {unit}"
            detectable = "Of finished trajectories, those that repeat a call are looked at."
            unit = f"{unit} a trajectory"
        else:
            finding = self._day(window, agent, signal, limit, unit)
            series = next((s for s in window.series if s.signal is signal and s.subject == Subject(agent=agent)), None)
            running = sum(_spent(one.summary, unit) or 0.0 for one in window.running if one.summary.agent == agent)
            most = _days(series, window.end, limit, running).spent[-1]
            why = f"{rounded(most, 6)} of {rounded(limit, 6)} {unit} since midnight (UTC)"
            detectable = _forecast(most, limit, window.end)
        gate = Gate.FOUND if finding is not None and finding.recovered is None else Gate.SCORE
        return replace(blank, gate=gate, why=why, value=most, score=most, unit=unit, detectable=detectable)

    def _day(self, window: Window, agent: str, signal: Signal, budget: float | None, unit: str) -> Finding | None:
        series = next((s for s in window.series if s.signal is signal and s.subject == Subject(agent=agent)), None)
        running = [one.summary for one in window.running if one.summary.agent == agent]
        if budget is None or (series is None and not running):
            return None
        spending = sum(_spent(one, unit) or 0.0 for one in running)
        days = _days(series, window.end, budget, spending)
        over = [at for at, passed in enumerate(days.passed_s) if passed is not None]
        if not over:
            return None
        last = over[-1]
        first = last
        while first - 1 in over:
            first -= 1
        ended_s = (days.first + last + 1) * DAY_S
        # A whole day below has to pass: each morning begins below.
        recovered = _time(ended_s) if window.end.timestamp() >= ended_s + DAY_S else None
        if recovered is not None and recovered + timedelta(days=1) <= window.start:
            return None
        onset = _time(days.passed_s[first] or 0.0)
        spent = days.spent[last]
        day = _time((days.first + last) * DAY_S)
        row = f", the {_ordinal(last - first + 1)} day in a row" if last > first else ""
        return Finding(
            detector=self.name,
            kind=self.kind,
            subject=Subject(agent=agent),
            onset=onset,
            onset_low=onset - timedelta(seconds=TICK_S),
            onset_high=onset,
            value=spent,
            baseline=budget,
            threshold=budget,
            score=spent,
            unit=unit,
            recovered=recovered,
            excess_usd=sum(max(days.spent[at] - budget, 0.0) for at in range(first, last + 1))
            if unit == "USD"
            else None,
            note=(
                f"{rounded(spent, 6)} {unit} on {day:%Y-%m-%d} (UTC) of {rounded(budget, 6)} a day, passed at"
                f" {_time(days.passed_s[last] or 0.0):%H:%M}{row}."
            ),
        )

    def _single(self, window: Window, agent: str, unit: str, budget: float | None) -> Finding | None:
        if budget is None:
            return None
        over = [
            (spent, one)
            for one in _trajectories(window, agent)
            if (spent := _spent(one, unit)) is not None and spent > budget
        ]
        if not over:
            return None
        over.sort(key=lambda pair: (-pair[0], pair[1].trace_id))
        begun = [one.start_ns for _, one in over if one.start_ns is not None]
        onset = _time(min(begun) / 1e9) if begun else window.start
        still = _still(over, window.running)
        return Finding(
            detector=self.name,
            kind=self.kind,
            subject=Subject(agent=agent),
            onset=onset,
            onset_low=onset,
            onset_high=onset,
            value=over[0][0],
            baseline=budget,
            threshold=budget,
            score=over[0][0],
            unit=f"{unit} a trajectory",
            affected=len(over),
            excess_usd=sum(spent - budget for spent, _ in over) if unit == "USD" else None,
            trace_ids=tuple(one.trace_id for _, one in over[:TRACE_IDS_MAX]),
            note=(
                f"{len(over):,} {'trajectory' if len(over) == 1 else 'trajectories'} took more than"
                f" {rounded(budget, 6)} {unit}, the worst {rounded(over[0][0], 6)}.{still_running(still, len(over))}"
            ),
        )


def budgeted(detectors: Sequence[Detector], budgets: Mapping[str, Budget]) -> tuple[Detector, ...]:
    """Return the detectors, the one of budgets with those that were set."""
    return tuple(replace(one, budgets=budgets) if isinstance(one, BudgetDetector) else one for one in detectors)


def _days(series: Series | None, end: datetime, budget: float, spending: float) -> _Days:
    """Sum what was spent by day of UTC; what still runs counts today, at the run's now."""
    now_s = end.timestamp()
    today = math.floor(now_s / DAY_S)
    if series is None:
        return _Days(today, [spending], [now_s if spending > budget else None])
    first = series.start_s // DAY_S
    count = today - first + 1
    spent, passed = [0.0] * count, [None] * count
    found: list[float | None] = list(passed)
    totals = np.nan_to_num(np.asarray(series.total, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    for tick, total in enumerate(totals.tolist()):
        stop_s = series.start_s + (tick + 1) * TICK_S
        if stop_s > now_s:
            break
        day = (stop_s - TICK_S) // DAY_S - first
        spent[day] += max(total, 0.0)
        if found[day] is None and spent[day] > budget:
            found[day] = float(stop_s)
    spent[-1] += spending
    if found[-1] is None and spent[-1] > budget:
        found[-1] = now_s
    return _Days(first, spent, found)


def _trajectories(window: Window, agent: str) -> list[TrajectorySummary]:
    both = {one.summary.trace_id: one.summary for one in window.running} | dict(window.summaries)
    return [one for one in both.values() if one.agent == agent]


def _forecast(spent: float, budget: float, now: datetime) -> str:
    """Say when the budget of the day would be gone at the rate since midnight, where that is today."""
    elapsed_s = now.timestamp() % DAY_S
    if spent <= 0 or spent > budget or elapsed_s / spent * budget >= DAY_S:
        return "At the rate since midnight it lasts the day." if spent <= budget else ""
    gone = now + timedelta(seconds=elapsed_s * (budget / spent - 1))
    return f"At the rate since midnight it is gone at {gone:%H:%M} UTC."


def _spent(summary: TrajectorySummary, unit: str) -> float | None:
    if unit == "USD":
        return summary.cost_usd
    return float({"tokens": summary.tokens, "steps": summary.steps, "retries": summary.retries}[unit])


def _still(over: Sequence[tuple[float, TrajectorySummary]], running: Sequence[OpenTrajectory]) -> int:
    open_ids = {one.summary.trace_id for one in running}
    return sum(one.trace_id in open_ids for _, one in over)


def _ordinal(number: int) -> str:
    return {2: "2nd", 3: "3rd"}.get(number, f"{number}th")


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
