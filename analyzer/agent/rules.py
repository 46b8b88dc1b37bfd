"""The explanation without a model: short true sentences from what was computed, and quotes from the spans.

It is what goes out when there is no key, no budget or no usable answer, and what stands in for any part of a model's
answer that the gate struck out. It never says *confirmed*: coinciding in time and being concentrated in a place are
not yet cause, and nothing here compares old and new side by side in the same hours.

    kinds       the table: what is read for which kind of incident, and what to do about it
    readings    what can be read off the spans
    sentences   what was computed, in words
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from analyzer.agent.facts import evidence_of, named_factors, near_onset, number, short
from analyzer.agent.kinds import Row, read, row_of
from analyzer.agent.quoting import prefix
from analyzer.agent.readings import FAILING, Scene, Seen, erred, failed
from analyzer.agent.sentences import (
    change_sentence,
    check_of,
    choice_sentence,
    factor_sentence,
    mover_of,
    place_sentence,
    refutation_of,
    summary_of,
    telling_changes,
)
from analyzer.agent.text import Mask, plain
from analyzer.agent.verdict import MAIN_SHARE, Standing, lacking, verdict_of
from analyzer.types.diagnosis import Claim, Diagnosis, Ending, Responsible
from analyzer.types.report import Evidence, Incident, Kind, MetricEvidence, SpanEvidence
from analyzer.types.trajectory import Trajectory

ENDINGS: dict[Ending, str] = {
    Ending.ANSWERED: "",
    Ending.STEPS: "the model did not answer within its steps",
    Ending.TOKENS: "the model's limit of tokens was reached",
    Ending.SECONDS: "the model did not answer in time",
    Ending.USD: "the budget for the model was used up",
    Ending.REFUSED: "the model refused to answer",
    Ending.INVALID: "the model gave no answer that could be checked",
    Ending.INJECTED: "the model followed an order that stood in the data",
    Ending.UNAVAILABLE: "the model could not be reached",
    Ending.OFF: "no model was asked",
}
"""How an ending reads in a report."""

_CHANGES = ("prompt", "model", "version", "price")
"""Changes that are a class of cause by themselves: `prompt_change`, ..."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A diagnosis and the evidence it adds to what is filed."""

    diagnosis: Diagnosis
    evidence: tuple[Evidence, ...]


def explain(
    incident: Incident,
    trajectories: Sequence[Trajectory],
    healthy: Sequence[Trajectory],
    *,
    ending: Ending = Ending.OFF,
    note: str = "",
    struck_out: int = 0,
    mask: Mask = plain,
    row: Row | None = None,
) -> Explanation:
    """Return the explanation by rules. `trajectories` come worst first; `ending` says why no model explained it.

    `row` says what is read, in place of what the table has for the incident's kind.
    """
    row = row or row_of(incident.kind)
    seen = read(Scene(incident, trajectories, healthy, mask), row.looks)
    claims, new = _quoted_claims(incident, seen)
    claims += _filed_claim(incident, row) if not seen else []
    quoted = bool(claims)
    claims += _choice_claim(incident)
    claims += _computed_claims(incident)
    account = sum(factor.share for factor in named_factors(incident))
    singled_out = bool(near_onset(incident)) and account >= MAIN_SHARE
    standing = Standing(
        len(claims), 0, quoted, decisive=False, contradicted=False, undecided=not (quoted or singled_out)
    )
    first = seen[0] if seen else None
    return Explanation(
        Diagnosis(
            verdict=verdict_of(standing, incident),
            by="rules",
            ending=ending,
            summary=summary_of(incident),
            cause=_cause(incident, claims[0].text if quoted else "", trajectories, healthy),
            claims=tuple(claims),
            responsible=_responsible(incident, first) if first is not None else None,
            actions=_actions(incident, first, row),
            check=check_of(incident, trajectories, healthy),
            struck_out=struck_out,
            note=note or ENDINGS[ending],
            category=_category(incident, first),
            refutation=refutation_of(incident),
            missing=lacking(standing, incident),
        ),
        tuple(new),
    )


def _quoted_claims(incident: Incident, seen: Sequence[Seen]) -> tuple[list[Claim], list[SpanEvidence]]:
    """Return a claim for each thing read that has a quote, and the quotes that are not on file yet."""
    filed = evidence_of(incident)
    next_id = _next_ids(filed)
    new: list[SpanEvidence] = []
    claims: list[Claim] = []
    for one in seen:
        names = []
        for quote in one.quotes:
            known = next(
                (e for e in (*filed, *new) if isinstance(e, SpanEvidence) and replace(e, id="") == quote), None
            )
            if known is None:
                known = replace(quote, id=next_id())
                new.append(known)
            names.append(known.id)
        if names:
            claims.append(Claim(one.text, tuple(names)))
    return claims, new


def _filed_claim(incident: Incident, row: Row) -> list[Claim]:
    """Return the error, or the order to the model, that was filed when the incident was found.

    Of errors for when its trajectories can no longer be read; an order is only ever quoted from what is on file.
    """
    if incident.kind is Kind.INJECTION:
        orders = [e for e in evidence_of(incident) if isinstance(e, SpanEvidence) and e.field == "output"]
        return [Claim(f'A tool returned: "{short(orders[0].quote, 240)}".', (orders[0].id,))] if orders else []
    if not any(look.reading in {failed, erred} and not look.kinds for look in row.looks):
        return []
    errors = [e for e in evidence_of(incident) if isinstance(e, SpanEvidence) and e.field == "status_message"]
    return [Claim(f'The error on file reads: "{short(errors[0].quote, 240)}".', (errors[0].id,))] if errors else []


def _choice_claim(incident: Incident) -> list[Claim]:
    """Return which choice took the place of which, on the calls on file that made it and the values it was counted by.

    It says what happened, in full, and not why: it makes no verdict better.
    """
    sentence = choice_sentence(incident)
    filed = evidence_of(incident)
    calls = [entry.id for entry in filed if isinstance(entry, SpanEvidence) and entry.field == "input"][:2]
    counted = [entry.id for entry in filed if isinstance(entry, MetricEvidence)][:2]
    return [Claim(sentence, (*calls, *counted))] if sentence and (calls or counted) else []


def _computed_claims(incident: Incident) -> list[Claim]:
    """Return the account and the change as claims, where filed queries bear out the numbers behind them."""
    metric = tuple(entry.id for entry in evidence_of(incident) if isinstance(entry, MetricEvidence))[:3]
    if not metric:
        return []
    sentences = [factor_sentence(incident), place_sentence(incident), change_sentence(incident)]
    return [Claim(sentence, metric) for sentence in sentences if sentence]


def _cause(incident: Incident, seen: str, trajectories: Sequence[Trajectory], healthy: Sequence[Trajectory]) -> str:
    """Return the cause: the account first where there is one, else what was seen: of failing calls, the error."""
    factors, place, change = factor_sentence(incident), place_sentence(incident), change_sentence(incident)
    seen = seen or choice_sentence(incident)
    accounted = row_of(incident.kind).accounted and factors
    parts = (factors, place, change, seen) if accounted else (seen, place, change, factors)
    text = " ".join(part for part in parts if part)
    if text:
        return text
    if trajectories and healthy:
        worst, peer = trajectories[0].summary, healthy[0].summary
        return (
            f"Nothing computed singles out a cause. The worst trajectory took {worst.steps} steps and "
            f"{number(worst.tokens)} tokens, a healthy peer {peer.steps} steps and {number(peer.tokens)} tokens."
        )
    return "Nothing computed singles out a cause."


def _category(incident: Incident, seen: Seen | None) -> str:
    """Return the class of the cause.

    A change that moves the largest factor by itself, then a loop or, of an incident of failures, what failed, then what
    changed near the onset, then what was read.
    """
    moved = mover_of(incident)
    if moved is not None:
        return f"{moved.what}_change"
    if incident.kind is Kind.INJECTION:
        return "injection"
    failures = FAILING & {incident.kind, *(finding.kind for finding in incident.findings)}
    read_off = seen.category if seen is not None else "unknown"
    if read_off == "loop" or (failures and read_off != "unknown"):
        return read_off
    if not failures:
        changes = near_onset(incident)
        word = next((word for word in _CHANGES if changes and word in changes[0].what), None)
        if word is not None:
            return f"{word}_change"
    largest = next(iter(named_factors(incident)), None)
    if read_off == "unknown" and largest is not None and largest.factor == "runs":
        return "traffic"
    return read_off


def _responsible(incident: Incident, seen: Seen) -> Responsible:
    agent = seen.step.agent or incident.subject.agent
    return Responsible(agent, seen.trajectory.summary.trace_id, seen.step.span_id, seen.step.number)


def _actions(incident: Incident, seen: Seen | None, row: Row) -> tuple[str, ...]:
    actions: list[str] = []
    changes = telling_changes(incident)
    if changes and changes[0].from_value:
        change = changes[0]
        before = f"{short(change.what, 60)} {short(change.from_value or '', 80)}"
        actions.append(f"Compare with {before}; roll back if it does not show this.")
    if seen is not None:
        actions.append(f"Look at step {seen.step.number} of trajectory {prefix(seen.trajectory.summary.trace_id)}.")
    actions += row.actions
    if not actions:
        actions.append("Compare the worst trajectory with a healthy peer step by step.")
    return tuple(actions[:5])


def _next_ids(filed: Sequence[Evidence]) -> Callable[[], str]:
    taken = {entry.id for entry in filed}

    def take() -> str:
        number_ = len(taken) + 1
        while f"E{number_}" in taken:
            number_ += 1
        taken.add(f"E{number_}")
        return f"E{number_}"

    return take
