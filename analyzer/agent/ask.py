"""What is asked about one trajectory or one incident: its case, and what can be answered without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from analyzer.agent.case import LOOKBACK, TOKENS_MAX, CaseFile, build_case
from analyzer.agent.facts import Fact, evidence_of, facts_of, number, short
from analyzer.agent.incident_words import EXAMPLES, chosen
from analyzer.agent.investigate import Means
from analyzer.agent.kinds import QUESTION
from analyzer.agent.numbers import COUNT, SECONDS, TOKENS, USD, Quantity
from analyzer.agent.rules import Explanation, explain
from analyzer.agent.session import Session, Topic
from analyzer.agent.text import Mask, plain
from analyzer.agent.tools.catalogue import CASE, TRAJECTORY
from analyzer.agent.wanted import CHOSEN, askable
from analyzer.prompts import load
from analyzer.types.diagnosis import Claim, Ending, Verdict
from analyzer.types.explained import Answer
from analyzer.types.report import Affected, Evidence, Finding, Incident, Kind, Severity, State, Subject
from analyzer.types.spending import ModelUse
from analyzer.types.steps import Step
from analyzer.types.trace import Status
from analyzer.types.trajectory import Trajectory

NO_MODEL = "no model is set up, so the question itself was not answered: `analyzer doctor` says what is missing"
EPOCH = datetime.fromtimestamp(0, UTC)


def ask(
    trajectory: Trajectory,
    question: str,
    means: Means,
    *,
    peers: Sequence[Trajectory] = (),
    findings: Sequence[Finding] = (),
    tokens_max: int = TOKENS_MAX,
) -> Answer:
    """Answer one question about a trajectory. Never raises because of what the model does."""
    topic = trajectory_topic(trajectory, means, peers=peers, findings=findings, tokens_max=tokens_max)
    return Session(topic, means).ask(question)


def trajectory_topic(
    trajectory: Trajectory,
    means: Means,
    *,
    peers: Sequence[Trajectory] = (),
    findings: Sequence[Finding] = (),
    tokens_max: int = TOKENS_MAX,
) -> Topic:
    """Return a trajectory to ask about. `findings` are what the detectors say of it (loops), `peers` did well."""
    case = case_of(trajectory, peers=peers, findings=findings, tokens_max=tokens_max, mask=means.mask)
    incident, facts = case.incident, case.facts
    return Topic(
        case=case,
        system=load("ask_system").text,
        opening=f"The mark of this case file is {case.markers.mark}.",
        tools=TRAJECTORY,
        fallback=explain(incident, (trajectory,), peers, mask=means.mask, row=QUESTION).diagnosis,
        by_rules=lambda _question: _by_rules(case, facts, means),
    )


def case_of(
    trajectory: Trajectory,
    *,
    peers: Sequence[Trajectory] = (),
    findings: Sequence[Finding] = (),
    tokens_max: int = TOKENS_MAX,
    mask: Mask = plain,
) -> CaseFile:
    """Return the case file of a question about a trajectory: what the model is shown before it asks for more."""
    incident = _as_incident(trajectory, peers, findings)
    return build_case(
        incident,
        trajectories=(trajectory,),
        healthy=peers,
        tokens_max=tokens_max,
        mask=mask,
        window=(_earlier(incident.onset, LOOKBACK), max(incident.last_seen_at, incident.onset)),
        facts=_facts(incident, trajectory, peers),
    )


def incident_topic(
    incident: Incident,
    trajectories: Sequence[Trajectory],
    healthy: Sequence[Trajectory],
    means: Means,
    *,
    window: tuple[datetime, datetime],
    tokens_max: int = TOKENS_MAX,
) -> Topic:
    """Return an incident to ask about: its case is the one that an investigation of it gets."""
    case = build_case(
        incident, trajectories=trajectories, healthy=healthy, tokens_max=tokens_max, mask=means.mask, window=window
    )
    explained = explain(incident, trajectories, healthy, mask=means.mask)
    opening = load("ask_incident").render(
        mark=case.markers.mark,
        window=f"{case.start.isoformat()} to {case.end.isoformat()}",
        trace_ids=", ".join(sorted(case.trace_ids)[:30]) or "none",
    )

    def by_rules(question: str) -> Answer:
        return _of_incident(question, incident, explained, means, window)

    return Topic(case, load("ask_system").text, opening, CASE, explained.diagnosis, by_rules)


def _of_incident(
    question: str, incident: Incident, explained: Explanation, means: Means, window: tuple[datetime, datetime]
) -> Answer:
    """Return what was computed about an incident, as far as the words of the question ask for it."""
    start, end = window
    found = chosen(question, incident, means.store, means.past, history_start=start, end=end)
    told = incident.diagnosis or explained.diagnosis
    texts = [incident.title, *found.sentences, *((told.summary, told.cause) if found.explained else ())]
    known = {entry.id for entry in evidence_of(incident)}
    new = () if incident.diagnosis is not None else explained.evidence
    answer = _without_a_model(
        "\n".join(means.mask(text) for text in texts if text),
        claims=told.claims if found.explained else (),
        evidence=(*evidence_of(incident), *(entry for entry in new if entry.id not in known))
        if found.explained
        else (),
    )
    if not found.fits:
        return replace(answer, text=answer.text + askable(EXAMPLES))
    names = [*(["sentences on the incident"] if found.sentences else []), *(table.title for table in found.tables)]
    names += ["its explanation by rules"] if found.explained else []
    return replace(answer, note=CHOSEN.format(tables="; ".join(names)), tables=found.tables)


def _earlier(when: datetime, length: timedelta) -> datetime:
    """Return a moment before; the beginning of time where there is none: a trajectory may have no times."""
    return when - length if when > EPOCH + length else EPOCH


def _as_incident(trajectory: Trajectory, peers: Sequence[Trajectory], findings: Sequence[Finding]) -> Incident:
    """Return the trajectory in the form the case file and the gate work on. It is never filed."""
    summary = trajectory.summary
    start = _moment(summary.start_ns)
    end = max(_moment(summary.end_ns), start)
    evidence = {entry.id: entry for finding in findings for entry in finding.evidence if entry.id}
    return Incident(
        id=f"question-{summary.trace_id}",
        fingerprint=summary.trace_id,
        state=State.OPEN,
        severity=Severity.LOW,
        kind=findings[0].kind if findings else Kind.STEPS,
        title=f"Question about trajectory {summary.trace_id}",
        subject=Subject(agent=summary.agent, version=summary.version, model=summary.model),
        onset=start,
        opened_at=start,
        last_seen_at=end,
        observed=float(summary.steps),
        expected=float(summary.steps),
        ratio=None,
        unit="steps",
        affected=Affected(1, 1),
        excess_usd=None,
        findings=tuple(findings),
        trace_ids=(summary.trace_id,),
        healthy_trace_ids=tuple(peer.summary.trace_id for peer in peers),
        evidence=tuple(evidence.values()),
    )


def _facts(incident: Incident, trajectory: Trajectory, peers: Sequence[Trajectory]) -> tuple[Fact, ...]:
    """Return the facts of the trajectory, of what was found in it, and of its most notable steps."""
    general = facts_of(incident, (trajectory,), peers, role="the one asked about")
    kept = [fact for fact in general if fact.text.startswith(("Trajectory ", "Detector ", "Evidence "))]
    steps = trajectory.steps
    slowest = max(
        (step for step in steps if _seconds(step) is not None), key=lambda step: _seconds(step) or 0, default=None
    )
    if slowest is not None:
        seconds = _seconds(slowest) or 0.0
        text = f"Slowest step: step {slowest.number} ({short(slowest.name)}), {number(seconds)} s."
        kept.append(Fact("", text, frozenset({Quantity(seconds, SECONDS)})))
    dearest = max((step for step in steps if step.cost_usd), key=lambda step: step.cost_usd or 0, default=None)
    if dearest is not None and dearest.cost_usd:
        text = (
            f"Dearest step: step {dearest.number} ({short(dearest.name)}), {number(dearest.cost_usd)} USD, "
            f"{dearest.tokens} tokens."
        )
        kept.append(Fact("", text, frozenset({Quantity(dearest.cost_usd, USD), Quantity(dearest.tokens, TOKENS)})))
    failed = [step for step in steps if step.status is Status.ERROR]
    if failed:
        first = failed[0]
        text = f"{len(failed)} of {len(steps)} steps failed, first step {first.number} ({short(first.name)})."
        kept.append(Fact("", text, frozenset({Quantity(len(failed), COUNT), Quantity(len(steps), COUNT)})))
    return tuple(
        Fact(f"F{index}", fact.text, fact.quantities, fact.evidence, fact.times) for index, fact in enumerate(kept, 1)
    )


def _by_rules(case: CaseFile, facts: tuple[Fact, ...], means: Means) -> Answer:
    """Return what was computed as sentences, with the quotes that the rules find."""
    explained = explain(case.incident, case.trajectories, case.healthy, mask=means.mask, row=QUESTION)
    own = [fact.text for fact in facts if not fact.text.startswith("Evidence ")]
    sentences = [*own, *(claim.text for claim in explained.diagnosis.claims)]
    return _without_a_model(
        means.mask("\n".join(sentences)),
        claims=explained.diagnosis.claims,
        evidence=(*case.incident.evidence, *explained.evidence),
    )


def _without_a_model(text: str, *, claims: tuple[Claim, ...], evidence: tuple[Evidence, ...]) -> Answer:
    return Answer(
        text=text,
        claims=claims,
        evidence=evidence,
        verdict=Verdict.LIKELY if claims else Verdict.INCONCLUSIVE,
        by="rules",
        ending=Ending.OFF,
        struck_out=0,
        note=NO_MODEL,
        use=ModelUse(),
    )


def _seconds(step: Step) -> float | None:
    if step.start_ns is None or step.end_ns is None:
        return None
    return (step.end_ns - step.start_ns) / 1e9


def _moment(at_ns: int | None) -> datetime:
    """Return a time; the epoch where there is none or none that a calendar has."""
    try:
        return datetime.fromtimestamp((at_ns or 0) / 1e9, UTC)
    except (OverflowError, OSError, ValueError):
        return datetime.fromtimestamp(0, UTC)
