"""Orders in data: a tool returned text that speaks to the model, and whether the agent did as it was told.

Looks at the trajectories in which such text was noted when it arrived (`types.orders` says what counts). One finding
per agent and tool: `value` is in how many trajectories the agent acted on it, `affected` in how many it stands, `of`
how many the agent had. Acting is: one of the next steps calls a tool that the text names, or with an address that it
names, which stood nowhere in the trajectory before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from analyzer.types.metric import Window
from analyzer.types.orders import Order, order_in
from analyzer.types.reading import Gate, Reading
from analyzer.types.report import Finding, Kind, SpanEvidence, Subject
from analyzer.types.steps import Step
from analyzer.types.trace import Operation

NOTHING = "no tool returned text that speaks to the model"
DETECTABLE = "One trajectory is enough; it is seen by the next run, whatever the volume."


@dataclass(frozen=True, slots=True)
class InjectionSettings:
    """How far is looked, and what is quoted."""

    steps_after: int = 4
    """Steps after the order in which an agent that follows it acts: a reply, a call, and the same once more."""
    trajectories_quoted_max: int = 3
    """Trajectories quoted in one finding: more prove no more."""


@dataclass(frozen=True, slots=True)
class _Met:
    """An order, where it stands, and the step by which the agent followed it."""

    trace_id: str
    step: Step
    order: Order
    followed: Step | None


@dataclass(frozen=True, slots=True)
class InjectionDetector:
    """See the module's text and docs/detectors/injection.md."""

    settings: InjectionSettings = InjectionSettings()
    name: str = "injection"
    kind: Kind = Kind.INJECTION
    by_agent: ClassVar[bool] = True
    """See `base.is_by_agent`."""

    def detect(self, window: Window) -> tuple[Finding, ...]:
        """Return one finding per agent and tool, those that were acted on first."""
        groups: dict[tuple[str, str | None], list[_Met]] = defaultdict(list)
        for trace_id, steps in sorted(window.steered.items()):
            agent = window.agent_of(trace_id)
            for met in self._met(trace_id, steps):
                groups[agent, met.step.name].append(met)
        found = [self._finding(window, Subject(agent=agent, tool=tool), met) for (agent, tool), met in groups.items()]
        return tuple(sorted(found, key=lambda one: (-one.value, -one.affected, str(one.subject))))

    def explain(self, window: Window, agent: str) -> tuple[Reading, ...]:
        """Return how many of the agent's trajectories hold an order."""
        own = {trace_id: steps for trace_id, steps in window.steered.items() if window.agent_of(trace_id) == agent}
        hits = sum(bool(self._met(trace_id, steps)) for trace_id, steps in own.items())
        why = f"a tool returned an order to the model in {hits} trajectories" if hits else NOTHING
        gate = Gate.FOUND if hits else Gate.NO_SERIES
        subject = Subject(agent=agent)
        return (
            Reading(
                self.name,
                self.kind,
                subject,
                gate,
                why,
                value=float(hits) if hits else None,
                baseline=0.0 if hits else None,
                unit="trajectories",
                score=float(hits) if hits else None,
                threshold=1.0,
                detectable=DETECTABLE,
            ),
        )

    def _met(self, trace_id: str, steps: Sequence[Step]) -> list[_Met]:
        met = []
        for place, step in enumerate(steps):
            order = order_in(step.output) if step.operation is Operation.TOOL else None
            if order is not None:
                met.append(_Met(trace_id, step, order, self._followed(order, steps, place)))
        return met

    def _followed(self, order: Order, steps: Sequence[Step], place: int) -> Step | None:
        """Return the call by which the agent did what it was told: a target that only the order can have given it."""
        before = [text.lower() for step in steps[: place + 1] for text in (step.name, step.input)]
        new = {target for target in order.targets if not any(target in text for text in before)}
        for step in steps[place + 1 : place + 1 + self.settings.steps_after]:
            if step.operation is Operation.TOOL and any(
                target == step.name.lower() or target in step.input.lower() for target in new
            ):
                return step
        return None

    def _finding(self, window: Window, subject: Subject, met: Sequence[_Met]) -> Finding:
        worst = sorted(met, key=lambda one: (one.followed is None, one.trace_id, one.step.number))
        trace_ids = tuple(dict.fromkeys(one.trace_id for one in worst))
        followed = {one.trace_id for one in met if one.followed is not None}
        begun = [one.step.start_ns for one in met if one.step.start_ns is not None]
        onset = datetime.fromtimestamp(min(begun) / 1e9, tz=UTC) if begun else window.start
        first = worst[0]
        note = f"Step {first.step.number}: the result holds {first.order.what}."
        if first.followed is not None:
            note += f" The agent acts on it in step {first.followed.number}."
        return Finding(
            detector=self.name,
            kind=self.kind,
            subject=subject,
            onset=onset,
            onset_low=onset,
            onset_high=onset,
            value=float(len(followed)),
            baseline=0.0,
            threshold=1.0,
            score=float(len(trace_ids)),
            unit="trajectories",
            affected=len(trace_ids),
            of=len(trace_ids),
            evidence=self._evidence(worst),
            trace_ids=trace_ids,
            note=note,
        )

    def _evidence(self, worst: Sequence[_Met]) -> tuple[SpanEvidence, ...]:
        """Quote the order, and the call that followed it."""
        found: list[SpanEvidence] = []
        quoted: set[str] = set()
        for one in worst:
            if one.trace_id in quoted or len(quoted) >= self.settings.trajectories_quoted_max:
                continue
            quoted.add(one.trace_id)
            if one.order.quote:
                found.append(SpanEvidence("", one.trace_id, one.step.span_id, "output", one.order.quote))
            if one.followed is not None and one.followed.input.strip():
                line = one.followed.input.strip().splitlines()[0][:200].strip()
                found.append(SpanEvidence("", one.trace_id, one.followed.span_id, "input", line))
        return tuple(found)
