"""What a finding of one agent comes from that other agents may use too: a tool, a model, a provider.

Each is proven within the agent: by its account (the price of a model, work that moved to one), by its place, by what
the failing calls say, or by where the time went. That others are hit by the same at the same time is looked at
afterwards (`fleetwide`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from analyzer.accounting.guilty import commonest_error, folded
from analyzer.accounting.lmdi import Account
from analyzer.accounting.places import PRICE_RATIO_MIN
from analyzer.errors import AnalyzerError
from analyzer.stores.base import TrajectoryStore
from analyzer.types.place import Place
from analyzer.types.report import Finding, Kind, SpanEvidence
from analyzer.types.shared import Shared
from analyzer.types.steps import Step
from analyzer.types.trace import ErrorClass, Operation, Span

MAIN_SHARE = 0.5
"""Part of the rise that comes from it: less is not what the finding is about."""
TIMED = 25
"""Trajectories before and since the onset whose inferences are timed."""
TIMED_DAYS = 7
SLOWER_MIN = 1.3
"""How much longer a call of the model must take for it to be slow: the detector's own least effect (1.4) less the part
of a trajectory that is no inference."""
_BY_TOOL = frozenset({Kind.TOOL_LATENCY, Kind.TOOL_COST})
_OWN_FAULT = frozenset({ErrorClass.BAD_REQUEST, ErrorClass.CONTEXT_LENGTH, ErrorClass.REFUSAL})
"""What a model answers to what an agent sent: no fault of the model or its provider."""
_FAILING = frozenset({Kind.ERRORS, Kind.TOOL_ERRORS, Kind.RETRIES})


def suspects_of(
    store: TrajectoryStore,
    finding: Finding,
    account: Account,
    places: Sequence[Place],
    worst: Sequence[str],
    evidence: Sequence[SpanEvidence],
    end: datetime,
) -> tuple[Shared, ...]:
    """Return what a finding comes from that is not the agent's own, sorted; `worst` and `evidence` are at fault."""
    found = {Shared("model", name) for name in _accounted(account)}
    found |= {Shared("model", name) for one in places if one.share >= MAIN_SHARE and (name := one.value("model"))}
    tool = finding.subject.tool
    if finding.kind in _BY_TOOL and tool is not None:
        found.add(Shared("tool", tool))
    elif finding.kind in _FAILING:
        found.update(_failing(store, finding, worst, evidence))
    elif finding.kind is Kind.LATENCY:
        found |= {Shared("model", name) for name in _slow_models(store, finding, end)}
    return tuple(sorted(found))


def _accounted(account: Account) -> Iterable[str]:
    """Yield the model whose price rose, or that work moved to, where that is most of the change."""
    shares = {one.factor: one.share for one in account.factors}
    moved = account.price
    priced = shares.get("price", 0.0) >= MAIN_SHARE
    if priced and moved is not None and moved.model and moved.to_value >= PRICE_RATIO_MIN * moved.from_value:
        yield moved.model
    if account.gained and shares.get("model mix", 0.0) >= MAIN_SHARE:
        yield account.gained


def _failing(
    store: TrajectoryStore, finding: Finding, worst: Sequence[str], evidence: Sequence[SpanEvidence]
) -> Iterable[Shared]:
    """Yield what the call was of that fails, with what it says: a tool, or a model and its provider."""
    # Of retries nothing was quoted yet; of what fails, the errors that are as common as before were left out.
    quotes = commonest_error(store.steps(worst)) if finding.kind is Kind.RETRIES else evidence
    if not quotes:
        return
    said = folded(quotes[0].quote)
    span = _span(store, quotes[0])
    if span is None:
        return
    if span.operation is Operation.TOOL:
        if name := finding.subject.tool or span.tool:
            yield Shared("tool", name, said)
        return
    if span.error in _OWN_FAULT:
        return
    if span.model:
        yield Shared("model", span.model, said)
    if span.provider:
        yield Shared("provider", span.provider, said)


def _span(store: TrajectoryStore, quote: SpanEvidence) -> Span | None:
    """Return the span of a quote; None where it was deleted between two reads."""
    try:
        return store.span(quote.trace_id, quote.span_id)
    except AnalyzerError:
        return None


def _slow_models(store: TrajectoryStore, finding: Finding, end: datetime) -> Iterable[str]:
    """Yield the model whose calls take most of the added time of trajectories, each call longer than before."""
    agent = finding.subject.agent
    before = store.summaries(
        agent=agent, start=finding.onset_low - timedelta(days=TIMED_DAYS), end=finding.onset_low, limit=TIMED
    )
    since = store.summaries(agent=agent, start=finding.onset_high, end=end, limit=TIMED)
    if not before or not since:
        return
    old, new = (_timed(store.light_steps([one.trace_id for one in those]).values()) for those in (before, since))
    added = finding.value - finding.baseline
    for model, (calls, seconds) in sorted(new.items()):
        was_calls, was_seconds = old.get(model, (0, 0.0))
        if not calls or not was_calls or added <= 0:
            continue
        longer = seconds / calls - was_seconds / was_calls
        slower = longer >= (SLOWER_MIN - 1) * was_seconds / was_calls
        if slower and longer * calls / len(since) >= MAIN_SHARE * added:
            yield model


def _timed(trajectories: Iterable[Sequence[Step]]) -> dict[str, tuple[int, float]]:
    """Return calls and seconds of each model."""
    found: dict[str, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
    for steps in trajectories:
        for step in steps:
            if step.operation is Operation.TOOL or step.start_ns is None or step.end_ns is None:
                continue
            calls, seconds = found[step.name]
            found[step.name] = calls + 1, seconds + (step.end_ns - step.start_ns) / 1e9
    return found
