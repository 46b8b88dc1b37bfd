"""Which trajectories carry a finding, worst first, and what they say in common."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from analyzer.accounting.chosen import making
from analyzer.stores.base import Order, TrajectoryStore
from analyzer.types.report import OF_CALLS, Finding, Kind, SpanEvidence
from analyzer.types.steps import Step
from analyzer.types.trace import Outcome, Status

WORST = 5
DEAREST = 2
"""Trajectories that used up a budget whose dearest step is quoted: one may be a chance, and all of them is a list."""
LOOKED_AT = 100
"""Failed trajectories whose steps are read to find what they have in common."""
SHARED_MIN = 0.5
"""Part of the trajectories that missed their goal whose commonest error is what they have in common."""
RISEN_MIN = 0.25
"""Part of a rise that an error which was there before must make up: less is how often it happens to occur."""
BEFORE = timedelta(days=7)
"""How far back errors are looked for that were always there."""
QUOTE_MAX = 300
_VARYING = re.compile(r"[0-9a-f]{8,}|\d+")

_ORDERS: Mapping[Kind, Order] = {
    Kind.COST: "cost",
    Kind.TOKENS: "tokens",
    Kind.STEPS: "steps",
    Kind.LATENCY: "duration",
    Kind.RETRIES: "retries",
    Kind.TRUNCATION: "truncated",
}
"""By what the trajectories of a kind are put in order, worst first."""
_FAILED: Mapping[Kind, frozenset[Outcome]] = {
    Kind.ERRORS: frozenset({Outcome.ERROR}),
    Kind.SUCCESS: frozenset({Outcome.ERROR, Outcome.FAILURE}),
}
"""How the trajectories ended that a kind counts; of others it does not matter."""
_RATES = frozenset({Kind.ERRORS, Kind.SUCCESS, Kind.TOOL_ERRORS})
"""Kinds whose figures are shares of what fails."""


def at_fault(
    store: TrajectoryStore, finding: Finding, agent: str, end: datetime
) -> tuple[tuple[str, ...], tuple[SpanEvidence, ...]]:
    """Return the trajectories that carry the finding, worst first, and what they say in common.

    Of a budget it is what the dearest of them spent the most on: a new agent has no usual figures to point to.
    """
    if finding.kind is Kind.BUDGET:
        return _dearest(store, finding, agent, end)
    if finding.trace_ids:
        return finding.trace_ids, ()
    if finding.shifted is not None:
        recent = store.summaries(agent=agent, start=finding.onset, end=end, limit=LOOKED_AT)
        # The kind of task as it was counted: on another kind the same choice may be right.
        on_task = [one for one in recent if finding.shifted.task in {None, one.task}] or recent
        failed_first = sorted(on_task, key=lambda one: one.outcome not in {Outcome.ERROR, Outcome.FAILURE})
        ids, evidence = making(
            store.steps([one.trace_id for one in failed_first]), finding.shifted, finding.subject.tool
        )
        return ids[:WORST], evidence
    if finding.kind in _ORDERS:
        worst = store.summaries(agent=agent, start=finding.onset, end=end, order=_ORDERS[finding.kind], limit=WORST)
        return tuple(one.trace_id for one in worst), ()
    if finding.kind in OF_CALLS and finding.subject.tool is not None:
        by: Literal["seconds", "cost"] = "cost" if finding.kind is Kind.TOOL_COST else "seconds"
        return tuple(store.worst_callers(agent, finding.subject.tool, finding.onset, end, by=by, limit=WORST)), ()
    blameless = finding.kind in {Kind.SILENCE, Kind.METERING}
    return ((), ()) if blameless else _failing(store, finding, agent, end)


def _dearest(
    store: TrajectoryStore, finding: Finding, agent: str, end: datetime
) -> tuple[tuple[str, ...], tuple[SpanEvidence, ...]]:
    """Return the trajectories that used up a budget, the dearest first, and of the first two what the most went on."""
    by_tokens = finding.unit.startswith("tokens")
    ids = finding.trace_ids
    if not ids:
        midnight = finding.onset.replace(hour=0, minute=0, second=0, microsecond=0)
        order: Order = "tokens" if by_tokens else "cost"
        worst = store.summaries(agent=agent, start=midnight, end=end, order=order, limit=WORST)
        ids = tuple(one.trace_id for one in worst)
    evidence = []
    for trace_id, steps in store.steps(list(ids[:DEAREST])).items():
        # What has no price is told apart by its tokens. Outputs alone are quoted: an input in evidence is a choice's.
        dear = sorted(steps, key=lambda step: (0.0 if by_tokens else step.cost_usd or 0.0, step.tokens), reverse=True)
        said = next(((step, line) for step in dear if (line := _first_line(step.output))), None)
        if said is not None:
            evidence.append(SpanEvidence("", trace_id, said[0].span_id, "output", said[1]))
    return ids, tuple(sorted(evidence, key=lambda one: ids.index(one.trace_id)))


def _failing(
    store: TrajectoryStore, finding: Finding, agent: str, end: datetime
) -> tuple[tuple[str, ...], tuple[SpanEvidence, ...]]:
    """Return the trajectories that failed, and the errors that rose with the finding, the commonest first.

    An error that is as common as it was before says nothing of what began: it is neither quoted nor looked for.
    """
    steps = _failed_steps(store, finding, agent, finding.onset, end)
    since = _Errors.of(steps, finding)
    known = _Errors.of(_failed_steps(store, finding, agent, finding.onset_low - BEFORE, finding.onset_low), finding)
    rose = [shape for shape in since.commonest if _rose(shape, since, known, finding)]
    if not rose:
        return tuple(steps)[:WORST], ()
    sharing = sum(rose[0] in shapes for shapes in since.by_trajectory.values())
    ids = since.worst(rose[0])
    if finding.kind is Kind.SUCCESS and sharing < SHARED_MIN * len(steps):
        # Most missed their goal without that error: it is the noise that is always there, and says nothing of them.
        return tuple(sorted(steps, key=lambda trace_id: trace_id in ids)[:WORST]), ()
    return ids[:WORST], tuple(since.first[shape] for shape in rose[:2])


def _failed_steps(
    store: TrajectoryStore, finding: Finding, agent: str, start: datetime, end: datetime
) -> dict[str, tuple[Step, ...]]:
    """Return the steps of the trajectories with the most errors that failed in a range; of a tool's, that have one.

    Where an error was overcome, as some always were, a trajectory did not fail: those that did are read, if any did.
    """
    listed = store.summaries(agent=agent, start=start, end=end, order="errors", errors_only=True, limit=LOOKED_AT)
    failed = [one for one in listed if one.outcome in _FAILED.get(finding.kind, frozenset(Outcome))]
    return store.steps([one.trace_id for one in failed or listed])


@dataclass(frozen=True, slots=True)
class _Errors:
    """What failed trajectories say: each error without numbers and ids."""

    trajectories: int
    """Those looked at, with and without an error."""
    by_trajectory: dict[str, Counter[str]]
    """How often each error occurs in a trajectory."""
    first: dict[str, SpanEvidence]
    """The first quote of each error."""

    @classmethod
    def of(cls, steps: dict[str, tuple[Step, ...]], finding: Finding | None = None) -> _Errors:
        """Read the errors of trajectories; of a finding about a tool only those of its calls."""
        tool = finding.subject.tool if finding is not None else None
        guilty: dict[str, Counter[str]] = {}
        first: dict[str, SpanEvidence] = {}
        for trace_id, sequence in steps.items():
            for step in sequence:
                concerned = step.status is Status.ERROR and tool in {None, step.name}
                quoted = _error_quote(step) if concerned else None
                if quoted is None:
                    continue
                field, quote = quoted
                shape = folded(quote)
                guilty.setdefault(trace_id, Counter())[shape] += 1
                first.setdefault(shape, SpanEvidence("", trace_id, step.span_id, field, quote))
        return cls(len(guilty) if tool is not None else len(steps), guilty, first)

    @property
    def commonest(self) -> list[str]:
        """All errors, the one with most calls first."""
        said = sum(self.by_trajectory.values(), Counter[str]())
        return [shape for shape, _ in sorted(said.items(), key=lambda entry: (-entry[1], entry[0]))]

    def share(self, shape: str) -> float:
        """Return in which part of the trajectories an error occurs."""
        holders = sum(shape in shapes for shapes in self.by_trajectory.values())
        return holders / self.trajectories if holders else 0.0

    def worst(self, shape: str) -> tuple[str, ...]:
        """Return the trajectories with an error, those in which this one is most frequent first."""
        return tuple(sorted(self.by_trajectory, key=lambda one: self._order(one, shape)))

    def _order(self, trace_id: str, shape: str) -> tuple[int, int, str]:
        shapes = self.by_trajectory[trace_id]
        return -shapes[shape], -shapes.total(), trace_id


def _rose(shape: str, since: _Errors, known: _Errors, finding: Finding) -> bool:
    """Say whether an error has its part in a rise: it is new, or makes up enough of what fails more often than before.

    How often it occurs among all trajectories is its part of those that failed times how many fail, since and before.
    """
    if not known.share(shape) or finding.kind not in _RATES:
        return True
    more = finding.value * since.share(shape) - finding.baseline * known.share(shape)
    return more > 0 and more >= RISEN_MIN * (finding.value - finding.baseline)


def commonest_error(steps: dict[str, tuple[Step, ...]]) -> tuple[SpanEvidence, ...]:
    """Return quotes of the error that most of these trajectories share, and of the next; empty where none failed."""
    found = _Errors.of(steps)
    return tuple(found.first[shape] for shape in found.commonest[:2])


def _error_quote(step: Step) -> tuple[str, str] | None:
    """Return the field and the first telling line of an error, verbatim."""
    for field, text in (("status_message", step.status_message), ("output", step.output)):
        line = _first_line(text)
        if line:
            return field, line
    return None


def _first_line(text: str) -> str:
    """Return the first line that says something, or its beginning; "" where there is none."""
    return next((line.strip()[:QUOTE_MAX] for line in text.splitlines() if line.strip()), "")


def folded(message: str) -> str:
    """Return an error without what differs between two of one cause: numbers and ids."""
    return _VARYING.sub("#", message.casefold())
