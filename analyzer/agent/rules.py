"""The explanation without a model: short true sentences from what was computed, and quotes from the spans.

It is what goes out when there is no key, no budget or no usable answer, and what stands in for any part of a model's
answer that the gate struck out. It never says *confirmed*: coinciding in time and being concentrated in a place are
not yet cause, and nothing here compares old and new side by side in the same hours.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from analyzer.agent.case import loop_start
from analyzer.agent.facts import amount, evidence_of, main_factor, moment, near_onset, number, short
from analyzer.agent.growth import growth
from analyzer.agent.text import Mask, has_hidden, plain, text_of
from analyzer.agent.verdict import MAIN_SHARE, Standing, verdict_of
from analyzer.types.report import (
    Claim,
    Diagnosis,
    Ending,
    Evidence,
    Incident,
    Kind,
    MetricEvidence,
    Responsible,
    SpanEvidence,
)
from analyzer.types.steps import Step
from analyzer.types.trace import Status
from analyzer.types.trajectory import Trajectory

QUOTE_CHARS_MAX = 240
QUOTE_CHARS_MIN = 8
AGAINST_SHARE = 1.005
"""Shares sum to 1, so one above it (as printed) means that others are negative: readers stumble over 110 %."""

ENDINGS: dict[Ending, str] = {
    Ending.ANSWERED: "",
    Ending.STEPS: "the model did not answer within its steps",
    Ending.TOKENS: "the model's limit of tokens was reached",
    Ending.SECONDS: "the model did not answer in time",
    Ending.USD: "the budget for the model was used up",
    Ending.REFUSED: "the model refused to answer",
    Ending.INVALID: "the model gave no answer that could be checked",
    Ending.UNAVAILABLE: "the model could not be reached",
    Ending.OFF: "no model was asked",
}
"""How an ending reads in a report."""

_ACTIONS: dict[Kind, tuple[str, ...]] = {
    Kind.LOOP: (
        "Give the loop a way out: stop after the second identical call with an identical result.",
        "Tell the agent in the tool's result what to do when the call gives nothing new.",
    ),
    Kind.RUNAWAY: ("Cap steps and cost per trajectory where the agent is run.",),
    Kind.TOOL_CHOICE: (
        "Compare what the agent is told about the two choices: prompt, tool descriptions, schema.",
        "Check answers that were given since then: a wrong table or tool leaves no error.",
    ),
    Kind.BUDGET: (
        "Look at the worst trajectories of the day, then raise the budget or cap the agent where it is run.",
    ),
    Kind.ERRORS: ("Read the quoted error where it is raised, and fix or roll back what raises it.",),
    Kind.TOOL_ERRORS: ("Check the tool's backend and its last deployment; the quoted error says what it refused.",),
    Kind.SUCCESS: ("Compare a trajectory that missed its goal with a healthy peer: `analyzer traces diff`.",),
    Kind.RETRIES: ("Read what is tried again; back off between tries, and stop after a few.",),
    Kind.TRUNCATION: ("Raise the limit of output tokens, or drop what the context carries along.",),
    Kind.TOOL_LATENCY: ("Check the tool's backend: its load, its last deployment, what the arguments ask for.",),
    Kind.TOOL_COST: ("Look at what the calls ask for: without a filter a tool reads everything.",),
    Kind.SILENCE: ("Check that the agent runs and that its exporter can reach the collector.",),
}

_MEASURED: dict[Kind, str] = {Kind.SUCCESS: "missed goals", Kind.TRUNCATION: "cut replies"}
"""What is measured of a kind that is named after something else."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A diagnosis and the evidence it adds to what is filed."""

    diagnosis: Diagnosis
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    """Something read off the spans: a sentence, its quotes and the step it points to."""

    text: str
    quotes: tuple[SpanEvidence, ...]
    trace_id: str
    step: Step
    is_loop: bool


def explain(
    incident: Incident,
    trajectories: Sequence[Trajectory],
    healthy: Sequence[Trajectory],
    *,
    ending: Ending = Ending.OFF,
    note: str = "",
    struck_out: int = 0,
    mask: Mask = plain,
) -> Explanation:
    """Return the explanation by rules. `trajectories` come worst first; `ending` says why no model explained it."""
    filed = evidence_of(incident)
    next_id = _next_ids(filed)
    read = (_loop(trajectories, mask), _growth(incident, trajectories, healthy, mask), _error(trajectories, mask))
    seen = [found for found in read if found is not None]
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
        claims.append(Claim(one.text, tuple(names)))
    claims += _computed_claims(incident)
    factor = main_factor(incident)
    singled_out = bool(near_onset(incident)) and factor is not None and factor.share >= MAIN_SHARE
    quoted = any(one.quotes for one in seen) or any(isinstance(entry, SpanEvidence) for entry in filed)
    standing = Standing(
        len(claims) + quoted, 0, quoted, decisive=False, contradicted=False, undecided=not (quoted or singled_out)
    )
    first = seen[0] if seen else None
    responsible = Responsible(
        first.step.agent or incident.subject.agent, first.trace_id, first.step.span_id, first.step.number
    ) if first else None  # fmt: skip
    return Explanation(
        Diagnosis(
            verdict=verdict_of(standing, incident),
            by="rules",
            ending=ending,
            summary=summary_of(incident),
            cause=_cause(incident, seen, trajectories, healthy),
            claims=tuple(claims),
            responsible=responsible,
            actions=_actions(incident, first),
            check=_check(incident, trajectories),
            struck_out=struck_out,
            note=note or ENDINGS[ending],
            category=_category(incident, seen),
            refutation=_refutation(incident),
        ),
        tuple(new),
    )


def summary_of(incident: Incident) -> str:
    """Return what happened, since when and how bad it is, in up to three sentences."""
    subject = short(str(incident.subject))
    observed = amount(incident.observed, incident.unit, incident.kind)
    expected = amount(incident.expected, incident.unit, incident.kind)
    what = _MEASURED.get(incident.kind, incident.kind.value)
    text = f"{subject}: {what} at {observed}, expected {expected}"
    if incident.ratio is not None:
        text += f" ({number(incident.ratio)}x)"
    text += f", since about {moment(incident.onset)}."
    if incident.affected.of:
        text += f" {number(incident.affected.trajectories)} of {number(incident.affected.of)} are affected."
    if incident.excess_usd:
        text += f" About {number(incident.excess_usd)} USD were spent beyond what was expected."
    return text


def quotable(text: str, wanted: str = r"error|exception|fail|denied|timeout|refused|invalid|not found") -> str | None:
    """Return one line of a text worth quoting, verbatim, or None where there is none of enough characters.

    The first line that matches `wanted`, else the first line; never one with hidden characters.
    """
    lines = [line.strip()[:QUOTE_CHARS_MAX].strip() for line in text.splitlines()]
    lines = [line for line in lines if not has_hidden(line) and len("".join(line.split())) >= QUOTE_CHARS_MIN]
    matching = [line for line in lines if re.search(wanted, line, re.IGNORECASE)]
    if matching or lines:
        return (matching or lines)[0]
    whole = text.strip()
    return whole if whole and len(whole) < QUOTE_CHARS_MAX and not has_hidden(whole) else None


def quote_of(trajectory: Trajectory, step: Step, fields: Sequence[str], mask: Mask) -> SpanEvidence | None:
    """Return a quote from the first of the fields that has one, still without an id."""
    span = trajectory.span(step.span_id)
    if span is None:
        return None
    for field in fields:
        words = quotable(text_of(span, field, mask))
        if words is not None:
            return SpanEvidence("", span.trace_id, span.span_id, field, words)
    return None


def prefix(trace_id: str) -> str:
    """Return the beginning of a trace id: enough for every command, and short enough for a sentence."""
    return trace_id[:12]


def loop_sentence(trajectory: Trajectory, step: Step, times: int) -> str:
    """Return what a loop looks like, for a claim."""
    one = prefix(trajectory.summary.trace_id)
    return (
        f"Trajectory {one} calls {short(step.name, 60)} {times} times with the same arguments "
        f"and gets the same answer each time, first at step {step.number}."
    )


def _loop(trajectories: Sequence[Trajectory], mask: Mask) -> _Seen | None:
    for one in trajectories:
        found = loop_start(one.steps)
        if found is None:
            continue
        step, times = found
        quotes = [quote_of(one, step, fields, mask) for fields in (("input",), ("output", "status_message"))]
        text = loop_sentence(one, step, times)
        return _Seen(
            text, tuple(quote for quote in quotes if quote is not None), one.summary.trace_id, step, is_loop=True
        )
    return None


def _growth(
    incident: Incident, trajectories: Sequence[Trajectory], healthy: Sequence[Trajectory], mask: Mask
) -> _Seen | None:
    """Return what the costly trajectories are sent and the healthy are not, where the account says tokens grew."""
    factor = main_factor(incident)
    if factor is None or factor.share < MAIN_SHARE or "tokens" not in factor.factor:
        return None
    found = growth(trajectories, healthy, mask)
    if found is None:
        return None
    one, step = prefix(found.trajectory.summary.trace_id), found.step
    times = f", with {found.lines} lines like it," if found.lines > 1 else ""
    many = f" {found.shared} of {found.of} costly trajectories looked at hold such text." if found.of > 1 else ""
    text = (
        f"Step {step.number} of trajectory {one} is sent text{times} that no healthy peer was sent: "
        f'"{found.quote.quote}".{many}'
    )
    return _Seen(text, (found.quote,), found.trajectory.summary.trace_id, step, is_loop=False)


def _error(trajectories: Sequence[Trajectory], mask: Mask) -> _Seen | None:
    """Return the error text that occurs most often; of equals the one that occurs first."""
    first: dict[str, tuple[Trajectory, Step, SpanEvidence]] = {}
    counts: Counter[str] = Counter()
    failed = 0
    for one in trajectories:
        for step in one.steps:
            if step.status is not Status.ERROR:
                continue
            failed += 1
            quote = quote_of(one, step, ("status_message", "output"), mask)
            shape = re.sub(r"\d+|[0-9a-f]{8,}", "#", quote.quote) if quote is not None else ""
            if quote is not None:
                counts[shape] += 1
                first.setdefault(shape, (one, step, quote))
    if not counts:
        return None
    shape, times = counts.most_common(1)[0]
    one, step, quote = first[shape]
    tool = short(step.name, 60)
    where = f"Step {step.number} of trajectory {prefix(one.summary.trace_id)}, {tool}, failed"
    many = f"; {times} of {failed} failed steps in the trajectories looked at read alike" if failed > 1 else ""
    return _Seen(f'{where}: "{quote.quote}"{many}.', (quote,), one.summary.trace_id, step, is_loop=False)


def _computed_claims(incident: Incident) -> list[Claim]:
    """Return the account and the change as claims, where filed queries bear out the numbers behind them."""
    metric = tuple(entry.id for entry in evidence_of(incident) if isinstance(entry, MetricEvidence))[:3]
    if not metric:
        return []
    sentences = [_factor_sentence(incident), _change_sentence(incident)]
    return [Claim(sentence, metric) for sentence in sentences if sentence]


def _factor_sentence(incident: Incident) -> str:
    factor = main_factor(incident)
    if factor is None or factor.share < MAIN_SHARE:
        return ""
    against = ", against what other factors took back" if factor.share >= AGAINST_SHARE else ""
    share = f"{number(factor.share * 100)} % of the change comes from {short(factor.factor, 60)}{against}"
    if factor.from_value is None or factor.to_value is None:
        return f"{share}."
    return f"{share}: from {number(factor.from_value)} to {number(factor.to_value)}."


def _change_sentence(incident: Incident) -> str:
    changes = near_onset(incident)
    if not changes:
        return ""
    change = changes[0]
    before = f" from {short(change.from_value, 80)}" if change.from_value else ""
    after = f" to {short(change.to_value, 80)}" if change.to_value else ""
    others = [f"{short(one.what, 60)} {short(one.to_value, 80)}" for one in changes[1:4] if one.to_value]
    more = f" Also new then: {', '.join(others)}." if others else ""
    return (
        f"It coincides with a change of {short(change.what, 60)}{before}{after}, first seen {moment(change.at)}.{more}"
    )


def _cause(
    incident: Incident, seen: Sequence[_Seen], trajectories: Sequence[Trajectory], healthy: Sequence[Trajectory]
) -> str:
    parts = [_factor_sentence(incident), _change_sentence(incident), *(one.text for one in seen[:1])]
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


def _category(incident: Incident, seen: Sequence[_Seen]) -> str:
    kinds = {finding.kind for finding in incident.findings} | {incident.kind}
    factor = main_factor(incident)
    more_steps = factor is not None and factor.share >= MAIN_SHARE and "steps" in factor.factor
    if seen and seen[0].is_loop and (kinds & {Kind.LOOP, Kind.RUNAWAY} or more_steps):
        return "loop"
    if Kind.TOOL_ERRORS in kinds:
        return "tool_failure"
    changes = near_onset(incident)
    for word in ("prompt", "model", "version", "price"):
        if changes and word in changes[0].what:
            return f"{word}_change"
    return "unknown"


def _actions(incident: Incident, seen: _Seen | None) -> tuple[str, ...]:
    actions: list[str] = []
    changes = near_onset(incident)
    if changes and changes[0].from_value:
        change = changes[0]
        before = f"{short(change.what, 60)} {short(change.from_value or '', 80)}"
        actions.append(f"Compare with {before}; roll back if it does not show this.")
    if seen is not None:
        actions.append(f"Look at step {seen.step.number} of trajectory {prefix(seen.trace_id)}.")
    actions += _ACTIONS.get(incident.kind, ())
    if not actions:
        actions.append("Compare the worst trajectory with a healthy peer step by step.")
    return tuple(actions[:5])


def _check(incident: Incident, trajectories: Sequence[Trajectory]) -> str:
    query = next((entry.promql for entry in evidence_of(incident) if isinstance(entry, MetricEvidence)), "")
    if query:
        return query
    trace_id = trajectories[0].summary.trace_id if trajectories else next(iter(incident.trace_ids), "")
    return f"analyzer traces show {trace_id}" if trace_id else f"analyzer incidents show {incident.id}"


def _refutation(incident: Incident) -> str:
    changes = near_onset(incident)
    if changes:
        return f"Trajectories without the change of {short(changes[0].what, 60)} would show the same in the same hours."
    return "Healthy peers from before the onset would show the same steps."


def _next_ids(filed: Sequence[Evidence]) -> Callable[[], str]:
    taken = {entry.id for entry in filed}

    def take() -> str:
        number_ = len(taken) + 1
        while f"E{number_}" in taken:
            number_ += 1
        taken.add(f"E{number_}")
        return f"E{number_}"

    return take
