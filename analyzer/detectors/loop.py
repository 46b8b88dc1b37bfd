"""Loops: trajectories in which an agent repeats itself without getting anywhere.

Looks at the suspects of the window with all rules of `loops` (catalogue T1). One finding per agent and repeating tool:
`value` is the most repeats in any of its trajectories and `baseline` the limit of the rule that counted them;
`affected` counts looping trajectories, `of` the agent's suspects; `excess_usd` is what every step after the limit cost.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from analyzer.detectors.loops.classify import is_failing
from analyzer.detectors.loops.reading import reading_of
from analyzer.detectors.loops.scan import look
from analyzer.types.loops import Looked, Loop, badness
from analyzer.types.metric import TICK_S, Signal, Window
from analyzer.types.reading import Gate, Reading
from analyzer.types.report import Finding, Kind, SpanEvidence, Subject
from analyzer.types.steps import Step

UNSHOWN_P = 0.05
GAPS_MIN = 2
"""Fewer gaps between looping trajectories tell nothing of how far apart they come."""
UNSHOWN_MAX = timedelta(hours=12)
"""What loops once a day is dated by its first loop, not by a guess of days."""


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """What is quoted, and how sure a rule must be."""

    quote_chars_max: int = 160
    """Length of a quote in a finding: one line of a report."""
    trajectories_quoted_max: int = 3
    """Trajectories quoted in one finding: more prove no more. At most `types.loops.WORST_KEPT` have their steps."""
    confidence_min: float = 0.4
    """Below this a hit is not reported: `fix_attempts_same_failure` at its limit has 0.45, the least of all rules."""
    anecdote_of_min: int = 100
    """From so many trajectories of its agent in the window on, a single one that stopped by itself as soon as it was
    plain is not reported: it lost nothing, and one in a hundred is within what healthy agents do."""


@dataclass(frozen=True, slots=True)
class _Looping:
    """One loop and the trajectory it is in."""

    trace_id: str
    loop: Loop


@dataclass(frozen=True, slots=True)
class LoopDetector:
    """See the module's text and docs/detectors/loop.md."""

    settings: LoopSettings = LoopSettings()
    name: str = "loop"
    kind: Kind = Kind.LOOP
    by_agent: ClassVar[bool] = True
    """See `base.is_by_agent`."""

    def detect(self, window: Window) -> tuple[Finding, ...]:
        """Return one finding per agent and repeating tool, the most wasteful first."""
        groups: dict[tuple[str, str | None], list[_Looping]] = defaultdict(list)
        suspects: dict[str, int] = defaultdict(int)
        for trace_id in sorted(window.suspects):
            agent = window.agent_of(trace_id)
            suspects[agent] += 1
            for loop in _looked(window, trace_id).loops:
                if loop.confidence >= self.settings.confidence_min:
                    groups[agent, loop.tool].append(_Looping(trace_id, loop))
        found = [
            self._finding(window, Subject(agent=agent, tool=tool), looping, suspects[agent])
            for (agent, tool), looping in groups.items()
            if not self._is_anecdote(window, agent, looping)
        ]
        return tuple(sorted(found, key=lambda one: (-(one.excess_usd or 0.0), -one.value, one.subject.agent or "")))

    def explain(self, window: Window, agent: str) -> tuple[Reading, ...]:
        """Return where the rules stand with the agent's suspects."""
        suspects = [_looked(window, trace_id) for trace_id in window.suspects if window.agent_of(trace_id) == agent]
        reading = reading_of(suspects, agent, self.settings.confidence_min, self.name)
        if reading.gate is Gate.FOUND and all(one.subject.agent != agent for one in self.detect(window)):
            why = (
                f"{reading.why}; but it is one of {_ended(window, agent):.0f} trajectories, and stopped by itself there"
            )
            return (replace(reading, gate=Gate.EFFECT, why=why),)
        return (reading,)

    def _is_anecdote(self, window: Window, agent: str, looping: Sequence[_Looping]) -> bool:
        """Tell whether a finding would be about one trajectory of many that stopped when it was plain."""
        if any(one.loop.wasted_steps or one.trace_id != looping[0].trace_id for one in looping):
            return False
        return _ended(window, agent) >= self.settings.anecdote_of_min

    def _finding(self, window: Window, subject: Subject, looping: Sequence[_Looping], of: int) -> Finding:
        worst = sorted(looping, key=lambda one: badness(one.trace_id, one.loop))
        trace_ids = tuple(dict.fromkeys(one.trace_id for one in worst))
        # The dearest loop leads the note and the quotes; another may be the longest, and "up to" must hold for all.
        loop, longest = worst[0].loop, max((one.loop for one in worst), key=lambda one: one.repeats)
        begun = _first_by_trajectory(looping)
        onset = datetime.fromtimestamp(begun[0] / 1e9, tz=UTC) if begun else window.start
        wasted = sum(one.loop.wasted_steps for one in looping)
        where = "In the worst, steps" if len(trace_ids) > 1 else "Steps"
        others = f" {len(trace_ids)} trajectories do so." if len(trace_ids) > 1 else ""
        return Finding(
            detector=self.name,
            kind=self.kind,
            subject=subject,
            onset=onset,
            onset_low=onset - _unshown(begun),
            onset_high=onset,
            value=float(longest.repeats),
            baseline=float(longest.limit),
            threshold=float(longest.limit),
            score=float(longest.repeats),
            unit="repeats",
            affected=len(trace_ids),
            of=max(of, len(trace_ids)),
            excess_usd=sum(one.loop.wasted_usd for one in looping),
            evidence=self._evidence(window, worst),
            trace_ids=trace_ids,
            note=(
                f"{where} {loop.first_step} to {loop.last_step}: {loop.what} (rule {loop.rule})."
                f"{others} {wasted} steps came after the point at which it was plain."
            ),
        )

    def _evidence(self, window: Window, worst: Sequence[_Looping]) -> tuple[SpanEvidence, ...]:
        """Quote what was asked and what came back, twice in the worst trajectory and once in the next ones."""
        found: list[SpanEvidence] = []
        quoted: set[str] = set()
        for one in worst:
            steps = window.suspects[one.trace_id]
            if not steps or one.trace_id in quoted or len(quoted) >= self.settings.trajectories_quoted_max:
                continue
            by_id = {step.span_id: step for step in steps}
            ids = one.loop.example_span_ids[: 1 if quoted else 2]
            quoted.add(one.trace_id)
            for step in (by_id[span_id] for span_id in ids):
                found.extend(self._quotes(one.trace_id, step))
        return tuple(found)

    def _quotes(self, trace_id: str, step: Step) -> list[SpanEvidence]:
        fields = {"input": step.input, "output": step.output}
        if not step.output.strip():
            fields["status_message"] = step.status_message
        quotes = {name: _quote(text, self.settings.quote_chars_max) for name, text in fields.items()}
        return [SpanEvidence("", trace_id, step.span_id, name, quote) for name, quote in quotes.items() if quote]


def _looked(window: Window, trace_id: str) -> Looked:
    """Return what is to be seen in a suspect: as it was seen when its steps were read, or now."""
    known = window.looked.get(trace_id)
    return look(window.suspects[trace_id]) if known is None else known


def _first_by_trajectory(looping: Sequence[_Looping]) -> list[int]:
    """Return when each trajectory began to loop, in Unix nanoseconds, earliest first."""
    first: dict[str, int] = {}
    for one in looping:
        began_ns = one.loop.began_ns
        if began_ns is not None:
            first[one.trace_id] = min(began_ns, first.get(one.trace_id, began_ns))
    return sorted(first.values())


def _unshown(begun: Sequence[int]) -> timedelta:
    """Return for how long before the first loop its cause may have been there without showing.

    Where looping trajectories come at random, a mean gap apart, three such gaps without one have a chance of 5 %.
    """
    if len(begun) < GAPS_MIN + 1:
        return timedelta(0)
    gap_ns = (begun[-1] - begun[0]) / (len(begun) - 1)
    return min(timedelta(microseconds=-math.log(UNSHOWN_P) * gap_ns / 1000), UNSHOWN_MAX)


def _ended(window: Window, agent: str) -> float:
    """Return how many trajectories of an agent ended in the window, as far as a series counts them."""
    return max(
        (
            sum(one.count[max(0, int(window.start.timestamp() - one.start_s) // TICK_S) :])
            for one in window.series
            if one.signal is Signal.ERRORS and one.subject.agent == agent and one.subject.tool is None
        ),
        default=0.0,
    )


def dated(findings: Sequence[Finding], earlier: Sequence[Finding]) -> list[Finding]:
    """Return findings of a window with their beginnings, as far as findings from the history before it show them."""
    began: dict[tuple[Kind, Subject], Finding] = {}
    for one in sorted(earlier, key=lambda one: one.onset):
        began.setdefault((one.kind, one.subject), one)
    return [
        _dated(one, first)
        if one.kind is Kind.LOOP
        and (first := began.get((one.kind, one.subject))) is not None
        and first.onset < one.onset
        else one
        for one in findings
    ]


def _dated(one: Finding, first: Finding) -> Finding:
    note = f"{one.note} It began before the window: first seen {first.onset:%Y-%m-%d %H:%M} UTC."
    return replace(one, began=first.onset, onset_low=first.onset_low, note=note)


def _quote(text: str, chars_max: int) -> str:
    """Return a verbatim piece of one line: the first that speaks of failure, else the first that says anything."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = next((line for line in lines[:40] if is_failing(line)), lines[0] if lines else "")
    return line[:chars_max].strip()
