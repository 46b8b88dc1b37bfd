"""What a run adds to the analyst's own metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from analyzer.types import measures
from analyzer.types.measures import Amount
from analyzer.types.report import ACTIVE, Report, State
from analyzer.types.sent import Delivered

DONE, WITH_GAPS, FAILED = "done", "gaps", "failed"


def of_run(report: Report, told: Delivered, seconds: Mapping[str, float], finished_s: float) -> Iterator[Amount]:
    """Yield what a finished run adds, and what its gauges stand at; `finished_s` is in Unix seconds."""
    run, use = report.run, report.run.llm
    gaps = len(report.gaps) + len(told.gaps)
    for outcome in (DONE, WITH_GAPS, FAILED):
        # Outcomes that never were stand at 0: an alert on the first failure needs the series before it.
        yield Amount(measures.RUNS.name, (outcome,), float(outcome == (WITH_GAPS if gaps else DONE)))
    for incident in report.incidents:
        severity = (incident.kind.value, incident.severity.value)
        if incident.state is State.OPEN and incident.opened_at == run.at:
            yield Amount(measures.OPENED.name, severity, 1.0)
        for finding in incident.findings if incident.last_seen_at == run.at else ():
            yield Amount(measures.FINDINGS.name, (finding.kind.value,), 1.0)
    for route, count in Counter(one.route for one in told.deliveries).items():
        yield Amount(measures.DELIVERIES.name, (route, "sent"), float(count))
    for route, count in Counter(one.route for one in told.held).items():
        yield Amount(measures.DELIVERIES.name, (route, "held"), float(count))
    for route, count in told.missed:
        yield Amount(measures.DELIVERIES.name, (route, "failed"), float(count))
    for phase, took_s in seconds.items():
        yield Amount(measures.PHASE_SECONDS.name, (phase,), took_s)
    yield Amount(measures.GAPS.name, (), float(gaps))
    yield Amount(measures.LLM_CALLS.name, (), float(use.calls))
    yield Amount(measures.LLM_TOKENS.name, ("input",), float(use.input_tokens))
    yield Amount(measures.LLM_TOKENS.name, ("output",), float(use.output_tokens))
    if use.cost_usd is not None:
        yield Amount(measures.LLM_COST.name, (), use.cost_usd)
    yield Amount(measures.LAST_SUCCESS.name, (), finished_s)
    yield Amount(measures.LAST_DURATION.name, (), sum(seconds.values()))
    yield Amount(measures.LAST_TRAJECTORIES.name, (), float(run.trajectories_seen))
    yield Amount(measures.LAST_GAPS.name, (), float(gaps))


def active(report: Report) -> Iterator[Amount]:
    """Yield how many incidents go on, by kind and severity."""
    counts = Counter((one.kind.value, one.severity.value) for one in report.incidents if one.state in ACTIVE)
    for labels, count in counts.items():
        yield Amount(measures.ACTIVE.name, labels, float(count))


def of_failure(seconds: Mapping[str, float]) -> Iterator[Amount]:
    """Yield what a run adds that broke off."""
    yield Amount(measures.RUNS.name, (FAILED,), 1.0)
    for phase, took_s in seconds.items():
        yield Amount(measures.PHASE_SECONDS.name, (phase,), took_s)
