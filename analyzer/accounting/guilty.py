"""Which trajectories carry a finding, worst first, and what they say in common."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal

from analyzer.accounting.chosen import making
from analyzer.stores.base import Order, TrajectoryStore
from analyzer.types.report import OF_CALLS, Finding, Kind, SpanEvidence
from analyzer.types.steps import Step
from analyzer.types.trace import Outcome, Status

WORST = 5
LOOKED_AT = 100
"""Failed trajectories whose steps are read to find what they have in common."""
SHARED_MIN = 0.5
"""Part of the trajectories that missed their goal whose commonest error is what they have in common."""
QUOTE_MAX = 300
_VARYING = re.compile(r"[0-9a-f]{8,}|\d+")

_ORDERS: Mapping[Kind, Order] = {
    Kind.COST: "cost",
    Kind.BUDGET: "cost",
    Kind.TOKENS: "tokens",
    Kind.STEPS: "steps",
    Kind.LATENCY: "duration",
    Kind.RETRIES: "retries",
    Kind.TRUNCATION: "truncated",
}
"""By what the trajectories of a kind are put in order, worst first."""


def at_fault(
    store: TrajectoryStore, finding: Finding, agent: str, end: datetime
) -> tuple[tuple[str, ...], tuple[SpanEvidence, ...]]:
    """Return the trajectories that carry the finding, worst first, and what they say in common."""
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
        start = finding.onset
        if finding.kind is Kind.BUDGET:
            start = start.replace(hour=0, minute=0, second=0, microsecond=0)
        worst = store.summaries(agent=agent, start=start, end=end, order=_ORDERS[finding.kind], limit=WORST)
        return tuple(one.trace_id for one in worst), ()
    if finding.kind in OF_CALLS and finding.subject.tool is not None:
        by: Literal["seconds", "cost"] = "cost" if finding.kind is Kind.TOOL_COST else "seconds"
        return tuple(store.worst_callers(agent, finding.subject.tool, finding.onset, end, by=by, limit=WORST)), ()
    if finding.kind is Kind.SILENCE:
        return (), ()
    return _failing(store, finding, agent, end)


def _failing(
    store: TrajectoryStore, finding: Finding, agent: str, end: datetime
) -> tuple[tuple[str, ...], tuple[SpanEvidence, ...]]:
    """Return the trajectories that failed, and the error that they share."""
    failed = store.summaries(
        agent=agent, start=finding.onset, end=end, order="errors", errors_only=True, limit=LOOKED_AT
    )
    steps = store.steps([one.trace_id for one in failed])
    ids, evidence, sharing = _sharing_the_commonest_error(steps, lambda step: finding.subject.tool in {None, step.name})
    if finding.kind is Kind.SUCCESS and sharing < SHARED_MIN * len(steps):
        # Most missed their goal without that error: it is the noise that is always there, and says nothing of them.
        return tuple(sorted(steps, key=lambda trace_id: trace_id in ids)[:WORST]), ()
    return ids[:WORST], evidence


def commonest_error(steps: dict[str, tuple[Step, ...]]) -> tuple[SpanEvidence, ...]:
    """Return quotes of the error that most of these trajectories share, and of the next; empty where none failed."""
    return _sharing_the_commonest_error(steps, lambda _step: True)[1]


def _sharing_the_commonest_error(
    steps: dict[str, tuple[Step, ...]], concerned: Callable[[Step], bool]
) -> tuple[tuple[str, ...], tuple[SpanEvidence, ...], int]:
    """Return the trajectories with an error, those with the commonest first, its quotes, and how many have it."""
    said: Counter[str] = Counter()
    first: dict[str, SpanEvidence] = {}
    guilty: dict[str, Counter[str]] = {}
    for trace_id, sequence in steps.items():
        for step in sequence:
            quoted = _error_quote(step) if step.status is Status.ERROR and concerned(step) else None
            if quoted is None:
                continue
            field, quote = quoted
            shape = folded(quote)
            said[shape] += 1
            guilty.setdefault(trace_id, Counter())[shape] += 1
            first.setdefault(shape, SpanEvidence("", trace_id, step.span_id, field, quote))
    common = [shape for shape, _ in sorted(said.items(), key=lambda entry: (-entry[1], entry[0]))]
    if not common:
        return tuple(steps), (), 0
    worst = sorted(guilty, key=lambda trace_id: (-guilty[trace_id][common[0]], -guilty[trace_id].total(), trace_id))
    sharing = sum(shapes[common[0]] > 0 for shapes in guilty.values())
    return tuple(worst), tuple(first[shape] for shape in common[:2]), sharing


def _error_quote(step: Step) -> tuple[str, str] | None:
    """Return the field and the first telling line of an error, verbatim."""
    for field, text in (("status_message", step.status_message), ("output", step.output)):
        line = next((line.strip() for line in text.splitlines() if line.strip()), "")
        if line:
            return field, line[:QUOTE_MAX]
    return None


def folded(message: str) -> str:
    """Return an error without what differs between two of one cause: numbers and ids."""
    return _VARYING.sub("#", message.casefold())
