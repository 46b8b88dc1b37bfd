"""A run's own figures to a Prometheus Pushgateway: cron jobs end before anyone can scrape them.

Names follow Prometheus's conventions for batch jobs: everything is a gauge of the last run, for a gateway keeps the
last value it was given, and a counter that starts anew with every process would never rise.
"""

from __future__ import annotations

import socket
import time
from urllib.error import URLError

from prometheus_client import CollectorRegistry, Gauge, push_to_gateway

from analyzer.types.report import ACTIVE, Gap, Report

JOB = "analyzer"
TIMEOUT_S = 5.0
"""A gateway that does not answer must not hold up a run for longer."""


def push(report: Report, url: str) -> tuple[Gap, ...]:
    """Push the figures of a run, grouped by job and instance; return a Gap where the gateway did not take them."""
    try:
        push_to_gateway(url, JOB, figures(report), {"instance": socket.gethostname()}, timeout=TIMEOUT_S)
    except (OSError, URLError, ValueError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        why = f"the Pushgateway did not take them: {reason}"
        return (Gap("the analyst's own metrics", why, "check ANALYZER_PUSHGATEWAY_URL"),)
    return ()


def figures(report: Report) -> CollectorRegistry:
    """Return the figures of a run as metrics."""
    registry = CollectorRegistry()
    run, use = report.run, report.run.llm

    def gauge(name: str, text: str, value: float) -> None:
        Gauge(f"analyzer_{name}", text, registry=registry).set(value)

    gauge("last_success_timestamp_seconds", "When the last run was finished: the dead man's switch.", time.time())
    gauge("run_duration_seconds", "How long the last run took.", run.duration_s)
    gauge("run_trajectories", "Trajectories that the last run looked at.", run.trajectories_seen)
    gauge("run_gaps", "Things that the last run could not see.", len(report.gaps))
    gauge("run_llm_calls", "Model calls of the last run.", use.calls)
    gauge(
        "run_llm_tokens",
        "Tokens of the last run's model calls, input and output.",
        use.input_tokens + use.output_tokens,
    )
    if use.cost_usd is not None:
        gauge("run_llm_cost_usd", "USD spent on the model by the last run.", use.cost_usd)
    active = Gauge("analyzer_incidents_active", "Incidents that are open.", ["kind", "severity"], registry=registry)
    for incident in report.incidents:
        if incident.state in ACTIVE:
            active.labels(incident.kind.value, incident.severity.value).inc()
    return registry
