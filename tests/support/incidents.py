"""Findings, incidents and reports to make tests of: the smallest sensible ones, and one of each demo fault."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from analyzer.types.alerts import PrometheusAlert
from analyzer.types.audit import Head
from analyzer.types.choices import Shifted
from analyzer.types.diagnosis import Claim, Diagnosis, Ending, Responsible, Verdict
from analyzer.types.doubt import Doubt
from analyzer.types.drawn import Curve, Drawn, Strip
from analyzer.types.report import (
    Affected,
    Change,
    Factor,
    Finding,
    Gap,
    Incident,
    Kind,
    MetricEvidence,
    Report,
    Run,
    Severity,
    SpanEvidence,
    State,
    Subject,
)
from analyzer.types.spending import Left, ModelUse
from analyzer.types.word import Episode, Said, Word

NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
ONSET = datetime(2026, 11, 23, 8, 10, tzinfo=UTC)


def trace(number: int) -> str:
    """Return a trace id."""
    return f"{number:032x}"


def finding(kind: Kind = Kind.COST, agent: str | None = "support-triage", **fields: Any) -> Finding:
    """Return a finding that began at ONSET, give or take half an hour."""
    onset = fields.pop("onset", ONSET)
    values: dict[str, Any] = {
        "detector": kind.value,
        "kind": kind,
        "subject": Subject(agent=agent, tool=fields.pop("tool", None)),
        "onset": onset,
        "onset_low": onset - timedelta(minutes=30),
        "onset_high": onset + timedelta(minutes=30),
        "value": 0.31,
        "baseline": 0.135,
        "threshold": 14.4,
        "score": 51.2,
        "unit": "USD",
    }
    return Finding(**(values | fields))


def metric(name: str = "", *, value: float = 0.31, hours: float = 9.75) -> MetricEvidence:
    """Return a number and its query."""
    query = 'sum(increase(agent_cost_usd_total{agent="support-triage"}[35100s]))'
    return MetricEvidence(name, query, NOW - timedelta(hours=hours), NOW, hours * 3600, value)


def quote(name: str = "", text: str = "order not found: 4711", number: int = 1) -> SpanEvidence:
    """Return a quote from a span."""
    return SpanEvidence(name, trace(number), f"{number:016x}", "output", text)


def incident(**fields: Any) -> Incident:
    """Return an open cost incident without an explanation."""
    found = fields.pop("findings", (finding(affected=212, of=260, excess_usd=45.5),))
    values: dict[str, Any] = {
        "id": "inc-0123456789",
        "fingerprint": "00112233aabbccdd",
        "state": State.OPEN,
        "severity": Severity.HIGH,
        "kind": Kind.COST,
        "title": "support-triage: cost per trajectory 2.3x since 2026-11-23 08:10 UTC, $111 a day too much",
        "subject": Subject(agent="support-triage"),
        "onset": ONSET,
        "opened_at": NOW,
        "last_seen_at": NOW,
        "observed": 0.31,
        "expected": 0.135,
        "ratio": 0.31 / 0.135,
        "unit": "USD",
        "affected": Affected(212, 260),
        "excess_usd": 45.5,
        "findings": found,
    }
    return Incident(**(values | fields))


def cost_incident() -> Incident:
    """Return a cost incident with everything an incident can have."""
    evidence = (
        metric("E1"),
        metric("E2", value=0.135, hours=24 * 13),
        quote("E3", "Loaded 48 similar tickets into the context.\nContinuing with all of them.", 7),
    )
    diagnosis = Diagnosis(
        verdict=Verdict.CONFIRMED,
        by="claude-sonnet-5-5",
        ending=Ending.ANSWERED,
        summary="Since version 2.4.0 each step carries 48 similar tickets; the number of steps is unchanged.",
        cause="Version 2.4.0 loads 48 similar tickets into every prompt.",
        claims=(
            Claim("Cost per trajectory rose from $0.135 to $0.31.", ("E1", "E2")),
            Claim("A step of the new version loads 48 tickets.", ("E3",)),
        ),
        responsible=Responsible("support-triage", trace(7), f"{7:016x}", 3),
        actions=("Roll back to 2.3.1, or limit the tickets to 5.", "Watch cost per trajectory for an hour."),
        check='sum(increase(agent_cost_usd_total{agent="support-triage"}[1h]))',
        struck_out=1,
        note="One claim quoted a text that is in no span.",
        category="context-growth",
        refutation="Version 2.3.1 costs as much in the same hours.",
    )
    return incident(
        severity=Severity.HIGH,
        subject=Subject("support-triage", "2.4.0", None, None),
        findings=(
            finding(affected=212, of=260, excess_usd=45.5, evidence=evidence[:2], note="A doubling shows in 3 h."),
        ),
        account=(
            Factor("tokens per step", 1840.0, 4120.0, 0.94),
            Factor("steps per run", 6.1, 6.3, 0.05),
            Factor("price", 0.0000031, 0.0000031, 0.01),
            Factor("model mix", None, None, 0.0),
        ),
        changes=(Change("version", "2.3.1", "2.4.0", ONSET - timedelta(minutes=4)),),
        trace_ids=tuple(trace(number) for number in range(7, 14)),
        healthy_trace_ids=(trace(1), trace(2)),
        diagnosis=diagnosis,
        evidence=evidence,
        curve=curve(),
    )


def curve(**fields: Any) -> Curve:
    """Return two days of cost, hour by hour, and the ten hours since the onset; one hour had no trajectory."""
    start = ONSET - timedelta(days=2)
    usual = tuple(0.13 + 0.01 * (hour % 3) for hour in range(58))
    values: tuple[float | None, ...] = (*usual[:20], None, *usual[21:48], *(0.3 + 0.01 * hour for hour in range(10)))
    low, high = (tuple(round(value * part, 4) for value in usual) for part in (0.8, 1.25))
    of = {"kind": "cost", "agent": "support-triage", "tool": None, "unit": "USD", "start": start, "step_s": 3600}
    return Curve(**{**of, "values": values, "usual": usual, "low": low, "high": high, **fields})


def strip() -> Strip:
    """Return a loop of twelve steps, of which the last call failed."""
    steps = [
        Drawn(
            step,
            "lookup_order" if step % 2 else "claude-sonnet-5-5",
            step % 2 == 1,
            step == 17,
            step % 2 == 1 and step > 7,
        )
        for step in range(7, 19)
    ]
    return Strip(trace(21), 24, tuple(steps))


def loop_incident() -> Incident:
    """Return a loop incident that rules explained."""
    found = finding(
        Kind.LOOP,
        "billing-bot",
        tool="lookup_order",
        onset=NOW - timedelta(days=1, hours=3),
        value=25.0,
        baseline=8.0,
        threshold=8.0,
        score=25.0,
        unit="repeats",
        affected=14,
        of=90,
        excess_usd=3.2,
        trace_ids=(trace(21), trace(22)),
        evidence=(quote("E1", number=21),),
    )
    diagnosis = Diagnosis(
        verdict=Verdict.LIKELY,
        by="rules",
        ending=Ending.UNAVAILABLE,
        summary="lookup_order is called again with the same arguments after it said that there is no such order.",
        cause="The agent does not take `not found` for an answer.",
        claims=(Claim("lookup_order answers the same every time.", ("E1",)),),
        responsible=Responsible("billing-bot", trace(21), f"{21:016x}", 7),
        actions=("Tell the agent to ask the customer after the first `not found`.",),
        check=f"analyzer traces show {trace(21)}",
        struck_out=0,
        note="The server did not answer within 30 s.",
    )
    return incident(
        id="inc-00000000ab",
        state=State.ONGOING,
        severity=Severity.MEDIUM,
        kind=Kind.LOOP,
        title="billing-bot: lookup_order repeated up to 25x in 14 of 90 trajectories since 2026-11-22 15:00 UTC",
        subject=Subject("billing-bot", None, None, "lookup_order"),
        onset=found.onset,
        observed=25.0,
        expected=8.0,
        ratio=25 / 8,
        unit="repeats",
        affected=Affected(14, 90),
        excess_usd=3.2,
        findings=(found,),
        trace_ids=found.trace_ids,
        diagnosis=diagnosis,
        evidence=found.evidence,
        strip=strip(),
    )


def report(*incidents: Incident, **fields: Any) -> Report:
    """Return a report of a run that saw 1,204 trajectories."""
    run = Run(
        trace_id=trace(0xABC),
        at=NOW,
        start=NOW - timedelta(days=1),
        end=NOW,
        duration_s=3.25,
        trajectories_seen=1204,
        spans_seen=18_000,
        llm=ModelUse(3, 41_200, 1850, 0.162, 1.0, 30_000, 9000),
    )
    values: dict[str, Any] = {"run": run, "incidents": incidents, "gaps": (), "notes": {}}
    return Report(**(values | fields))


def full_report() -> Report:
    """Return a report with two incidents, a gap and a note; its keys are all that there are."""
    looping = loop_incident()
    shifted = Shifted("tables", "orders", "orders_archive")
    doubt = Doubt("The figures come from the traces, and metrics and traces disagree.", from_short=True)
    first = replace(looping.findings[0], shifted=shifted, doubt=doubt)
    looping = replace(looping, findings=(first, *looping.findings[1:]))
    word = Word(3, Said.CONFIRMED, NOW, "jo", "the deploy is rolled back")
    looping = replace(looping, word=word, past=(Episode(ONSET - timedelta(days=9), ONSET - timedelta(days=8), 17.0),))
    fired = PrometheusAlert(
        "53c9dfc1093686c7",
        "AgentStepsHigh",
        "billing-bot",
        ONSET + timedelta(hours=1),
        summary="billing-bot takes 90 steps",
        url="http://prometheus.example:9090/graph?g0.expr=agent_steps_max+%3E+50&g0.tab=1",
        alertmanager_url="http://alertmanager.example:9093",
    )
    looping = replace(looping, alerts=(fired,))
    gap = Gap(
        "metrics of Prometheus", "http://127.0.0.1:9090 did not answer", "start it, or check ANALYZER_PROMETHEUS_URL"
    )
    dear = cost_incident()
    named = (replace(metric("E1"), agent="support-triage"), *dear.evidence[1:])
    whole = report(
        replace(dear, evidence=named, owner="@data-team"),
        looping,
        gaps=(gap,),
        notes={"sql-analyst": "a doubling would show in 19 h"},
    )
    llm = replace(whole.run.llm, left=Left(2_900_000, 4.875))
    return replace(whole, run=replace(whole.run, llm=llm, audit=Head(42, "5f" * 32)))


def resolved(one: Incident, at: datetime) -> Incident:
    """Return an incident as resolved."""
    return replace(one, state=State.RESOLVED, resolved_at=at)
