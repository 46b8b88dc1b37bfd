"""The phase `investigate`: which incidents a model is asked about, in which order, and what becomes of the answer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from analyzer.pipeline.app import App
from analyzer.pipeline.proof import still_proven
from analyzer.stores.summaries import OWN_AGENT
from analyzer.triage import as_of
from analyzer.types.basis import facts_of, joined, new_facts
from analyzer.types.diagnosis import Diagnosis, Ending, Verdict
from analyzer.types.explained import Explained
from analyzer.types.report import ACTIVE, Gap, Incident, State
from analyzer.types.spending import ModelUse

_NOT_ASKED = frozenset({Ending.OFF, Ending.UNAVAILABLE})
"""Endings after which a later run asks again: nobody was there, so that nothing was answered."""
_LIMITED = frozenset({Ending.USD, Ending.TOKENS})


def investigated(
    app: App, incidents: Sequence[Incident], at: datetime, *, first: Collection[str] = ()
) -> tuple[tuple[Incident, ...], ModelUse]:
    """Have every incident explained that this run saw, worst first: the model is asked within the run's limits.

    Incidents come by severity, then by what they cost beyond what was expected; those whose ids are in `first` come
    before the others: somebody waits for an answer about them. Rules explain the rest, anew in each
    run, so that what they say agrees with the figures. What a model said is kept while its incident goes on, and it is
    asked again only about new facts: it was paid for, and it says of which time it is.
    """
    use = ModelUse(budget_usd=app.budget_usd)
    before = {one.id: one for one in as_of(app.incidents.incidents(), at)}
    done: dict[str, Incident] = {}
    asked = 0
    for incident in sorted(incidents, key=lambda one: one.id not in first):
        known = before.get(incident.id)
        # About the analyst itself no model is asked: that would make it dearer, and each answer a new fact about it.
        asks = asked < app.investigations_max and incident.subject.agent != OWN_AGENT
        asks = asks and incident.state in ACTIVE and _is_open_question(incident, known)
        if incident.state is State.DISMISSED or (incident.diagnosis is not None and not asks):
            done[incident.id] = incident
            continue
        if asks:
            left_usd = max(0.0, app.budget_usd - (use.cost_usd or 0.0))
            explained = app.explainer.explain(incident, budget_usd=left_usd, history_start=at - app.history)
            use = added(use, explained.use)
            asked += 1
            done[incident.id] = _answered(incident, known, explained, at)
        else:
            explained = app.explainer.explain_by_rules(incident)
            done[incident.id] = _with(incident, explained, _with_earlier_ending(explained.diagnosis, known), at)
    proven = (still_proven(done[incident.id], before.get(incident.id)) for incident in incidents)
    return tuple(no_surer(one) for one in proven), replace(use, left=app.purse.left())


def no_surer(incident: Incident) -> Incident:
    """Return an incident whose explanation is at most likely where its figures are those of the side that is short.

    Every claim may be borne out: what they are about is not all of what happened.
    """
    diagnosis = incident.diagnosis
    if diagnosis is None or diagnosis.verdict is not Verdict.CONFIRMED:
        return incident
    if not any(found.doubt is not None and found.doubt.from_short for found in incident.findings):
        return incident
    return replace(incident, diagnosis=replace(diagnosis, verdict=Verdict.LIKELY))


def unpriced(use: ModelUse) -> tuple[Gap, ...]:
    """Return the gap that the analyst's own model has no price: limits in USD cannot hold then."""
    if not use.calls or use.cost_usd is not None:
        return ()
    why = "the analyst's own model has no known price: its limits in USD cannot hold, those in tokens do"
    return (Gap("what explaining costs", why, "set the price of ANALYZER_MODEL under [prices] in analyzer.toml"),)


def out_of_budget(incidents: Sequence[Incident], at: datetime) -> dict[str, str]:
    """Return the note that a limit kept the model from explaining what this run saw; empty where none did."""
    held = [
        one.diagnosis
        for one in incidents
        if one.diagnosis is not None and one.diagnosis.ending in _LIMITED and one.diagnosis.as_of == at
    ]
    if not held:
        return {}
    many = "1 incident was" if len(held) == 1 else f"{len(held)} incidents were"
    return {"budget": f"{many} explained by rules, because a limit was reached: {held[0].note}"}


def added(left: ModelUse, right: ModelUse) -> ModelUse:
    """Add up two uses of the model; a cost that is not known makes the sum unknown."""
    costs = (left.cost_usd, right.cost_usd)
    return ModelUse(
        calls=left.calls + right.calls,
        input_tokens=left.input_tokens + right.input_tokens,
        output_tokens=left.output_tokens + right.output_tokens,
        cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
        budget_usd=left.budget_usd,
        cache_read_tokens=left.cache_read_tokens + right.cache_read_tokens,
        cache_write_tokens=left.cache_write_tokens + right.cache_write_tokens,
    )


def _is_open_question(incident: Incident, known: Incident | None) -> bool:
    """Whether there is something about an incident that no model was asked yet.

    It is new or back; or there was no model to be reached, or no budget for a single call; or there are new facts. One
    that refused, or used up its limits, is not asked the same again: each run would spend the same for the same.
    """
    if known is None or known.state not in ACTIVE or known.diagnosis is None:
        return True
    asked = _asked_about(known)
    return not asked or bool(new_facts(incident, asked))


def _asked_about(known: Incident) -> tuple[str, ...]:
    """Return the facts that a model was asked about; documents of older releases have only those of their run."""
    diagnosis = known.diagnosis
    if diagnosis is None or diagnosis.basis:
        return diagnosis.basis if diagnosis is not None else ()
    spoke = not diagnosis.by_rules or diagnosis.ending not in (_NOT_ASKED | _LIMITED)
    return facts_of(known) if spoke else ()


def _answered(incident: Incident, known: Incident | None, explained: Explained, at: datetime) -> Incident:
    """Return an incident after a model was asked about it."""
    diagnosis = explained.diagnosis
    was_asked = diagnosis.ending not in _NOT_ASKED and (explained.use.calls or diagnosis.ending not in _LIMITED)
    earlier = _asked_about(known) if known is not None and known.state in ACTIVE else ()
    basis = joined(earlier, incident) if was_asked else earlier
    if diagnosis.by_rules and incident.diagnosis is not None:
        # A model's older explanation says more than rules do; why there is no newer one is said beside it.
        note = f"asked again because of {', '.join(new_facts(incident, earlier))}: {diagnosis.note}"
        return replace(incident, diagnosis=replace(incident.diagnosis, note=note, basis=basis))
    return _with(incident, explained, replace(diagnosis, basis=basis), at)


def _with(incident: Incident, explained: Explained, diagnosis: Diagnosis, at: datetime) -> Incident:
    diagnosis = replace(diagnosis, as_of=at, observed=incident.observed)
    return replace(incident, diagnosis=diagnosis, evidence=(*incident.evidence, *explained.evidence))


def _with_earlier_ending(diagnosis: Diagnosis, known: Incident | None) -> Diagnosis:
    """Return an explanation by rules that still says how the model failed when it was asked about this incident."""
    earlier = known.diagnosis if known is not None and known.state in ACTIVE else None
    if earlier is None or earlier.ending in {Ending.OFF, Ending.ANSWERED}:
        return diagnosis
    return replace(
        diagnosis, ending=earlier.ending, note=earlier.note, struck_out=earlier.struck_out, basis=earlier.basis
    )
