"""`replay INCIDENT`: affected steps sent again, as they were and with one factor changed back, to prove a cause.

The replies are held against each other by `proving`; the outcome stays with the diagnosis as long as it is the
same one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from analyzer.agent.investigate import Means
from analyzer.agent.model import PROVIDER
from analyzer.errors import UsageError
from analyzer.pipeline.proving import outcome_of
from analyzer.pipeline.replay import Replayed, StepReplay, prepared, replayed, worst_case
from analyzer.replay.proof import Measure, changed_back, factor_of, measure_of, step_of
from analyzer.replay.recording import Recording, Request
from analyzer.types.diagnosis import Counted, Diagnosis, Proof, ProofFactor, ProofOutcome, Verdict
from analyzer.types.report import ACTIVE, Incident
from analyzer.types.spending import Amount

STEPS_MAX = 3
"""Affected runs of which a step is sent: five replies of each side from one already decide a clear case."""


@dataclass(frozen=True, slots=True)
class ProofPlan:
    """What is to be sent to prove a cause."""

    incident: Incident
    factor: ProofFactor
    measure: Measure
    pairs: tuple[tuple[StepReplay, StepReplay], ...]
    """Of each step: as it was, and with the factor changed back."""
    times: int

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that is to be asked, once."""
        return tuple(dict.fromkeys(one.model for pair in self.pairs for one in pair))


@dataclass(frozen=True, slots=True)
class Tried:
    """A proof, and what went wrong on the way to it."""

    proof: Proof
    problems: tuple[str, ...]


def planned(
    incident: Incident, worst: Sequence[Recording], healthy: Sequence[Recording], *, times: int, factor: str | None
) -> ProofPlan:
    """Return what would prove the cause of an incident. Raises UsageError where it cannot be judged, with the reason.

    `worst` are affected trajectories, worst first, and `healthy` peers from before the onset.
    """
    if incident.diagnosis is None:
        raise UsageError(f"cannot judge {incident.id}: it is not explained yet, so there is no cause to prove")
    measure = measure_of(incident)
    chosen = None if factor is None else ProofFactor(factor)
    pairs: list[tuple[StepReplay, StepReplay]] = []
    problems: list[str] = []
    for recording in worst:
        call = step_of(recording, incident, measure)
        if call is None:
            problems.append(f"cannot judge: no model call of {recording.trace_id} shows {measure.says}")
            continue
        try:
            chosen = chosen or factor_of(incident, call, healthy)
            made = changed_back(call, chosen, healthy, _old_model(incident))
            plain = prepared(recording, call.number, model=None, edit=None, times=times)
            pairs.append((plain, _restored(plain, made, chosen)))
        except UsageError as error:
            problems.append(str(error))
        if len(pairs) == STEPS_MAX:
            break
    if not pairs or chosen is None:
        raise UsageError(problems[0] if problems else f"cannot judge {incident.id}: none of its trajectories is stored")
    return ProofPlan(incident, chosen, measure, tuple(pairs), times)


def at_most(plan: ProofPlan, means: Mapping[str, Means]) -> Amount:
    """Return what all of the calls may use at most; `means` by model. Raises UsageError without a model or a price."""
    if any(one.model is None for one in means.values()):
        raise UsageError("no model can be asked, so nothing can be proven; `analyzer doctor` says what is missing")
    amounts = [worst_case(one, means[one.model]) for pair in plan.pairs for one in pair]
    prices = [one.usd for one in amounts]
    known = [usd for usd in prices if usd is not None]
    if plan.measure.in_usd and len(known) < len(prices):
        raise UsageError(f"cannot judge {plan.incident.id}: a model has no known price, and the fault is one of cost")
    return Amount(sum(one.tokens for one in amounts), sum(known) if len(known) == len(prices) else None)


def tried(plan: ProofPlan, means: Mapping[str, Means], at: datetime) -> Tried:
    """Send everything and return what it shows. Raises ModelError, StoreError."""
    shown: tuple[list[bool], list[bool]] = ([], [])
    problems: list[str] = []
    costs: list[float | None] = []
    for plain, restored in plan.pairs:
        for side, one in enumerate((plain, restored)):
            done = replayed(one, means[one.model])
            problems += done.problems
            costs.append(done.use.cost_usd if done.use.calls else 0.0)
            shown[side].extend(_shown(plan.measure, plain, done, means))
    unchanged, restored_counted = (Counted(sum(side), len(side)) for side in shown)
    outcome, chance, why = outcome_of(unchanged, restored_counted)
    diagnosis = plan.incident.diagnosis
    known = [usd for usd in costs if usd is not None]
    proof = Proof(
        factor=plan.factor,
        steps=tuple((plain.trace_id, plain.call.number) for plain, _ in plan.pairs),
        times=plan.times,
        measure=plan.measure.says,
        unchanged=unchanged,
        restored=restored_counted,
        chance=chance,
        outcome=outcome,
        why=why,
        at=at,
        explained=_without(diagnosis).verdict if diagnosis is not None else Verdict.INCONCLUSIVE,
        cost_usd=sum(known) if len(known) == len(costs) else None,
    )
    return Tried(proof, tuple(problems))


def with_proof(diagnosis: Diagnosis, proof: Proof) -> Diagnosis:
    """Return an explanation with a proof: *confirmed* where it proves the cause, *inconclusive* where it refutes it."""
    plain = _without(diagnosis)
    moved = {ProofOutcome.PROVEN: Verdict.CONFIRMED, ProofOutcome.REFUTED: Verdict.INCONCLUSIVE}
    verdict = moved.get(proof.outcome, plain.verdict)
    return replace(plain, verdict=verdict, proof=replace(proof, explained=plain.verdict))


def still_proven(incident: Incident, known: Incident | None) -> Incident:
    """Return an incident with the proof that it had before, where its explanation is still the same one.

    Rules explain anew in every run, with the figures of the run: it is the same explanation where its kind of cause
    and the changes near the onset are.
    """
    new = incident.diagnosis
    old = known.diagnosis if known is not None and known.state in ACTIVE else None
    if known is None or new is None or new.proof is not None or old is None or old.proof is None:
        return incident
    is_same = new.category == old.category and _changed(incident) == _changed(known)
    return replace(incident, diagnosis=with_proof(new, old.proof)) if is_same else incident


def _without(diagnosis: Diagnosis) -> Diagnosis:
    """Return an explanation as it was before it was put to a proof."""
    if diagnosis.proof is None:
        return diagnosis
    return replace(diagnosis, verdict=diagnosis.proof.explained, proof=None)


def _changed(incident: Incident) -> set[tuple[str, str | None, str | None]]:
    return {(one.what, one.from_value, one.to_value) for one in incident.changes}


def _restored(plain: StepReplay, made: Request, factor: ProofFactor) -> StepReplay:
    """Return a call with one factor changed back. Raises UsageError where that would ask another provider."""
    if made.provider not in ("", PROVIDER):
        raise UsageError(f"cannot judge: healthy runs asked {made.provider}, and only {PROVIDER} is asked here")
    return replace(plain, request=made, model=made.model, changed=factor.value)


def _old_model(incident: Incident) -> str | None:
    return next((one.from_value for one in incident.changes if one.what == "model" and one.from_value), None)


def _shown(measure: Measure, plain: StepReplay, done: Replayed, means: Mapping[str, Means]) -> list[bool]:
    """Return of each reply whether it shows the fault; without those of which that is not known."""
    was, now = means[plain.model].price, means[done.replay.model].price
    found = (
        measure.is_shown(plain.call, decision, tokens, was, now)
        for decision, tokens in zip(done.decisions, done.tokens, strict=True)
    )
    return [one for one in found if one is not None]
