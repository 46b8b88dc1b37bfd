"""Numbers as evidence: those of Prometheus are the answers to the queries they name, the store's are computed."""

from __future__ import annotations

from dataclasses import replace

from analyzer.errors import MetricsError
from analyzer.metrics.base import MetricSource
from analyzer.types.report import PROMETHEUS, Evidence, Finding, MetricEvidence


def evaluated(finding: Finding, source: MetricSource | None) -> Finding:
    """Return the finding with the numbers from Prometheus replaced by the answers to the queries they name.

    A detector adds up ticks; Prometheus extrapolates over the whole range, so its answer differs by a little. What
    stands in the report must be what a reader gets who asks the same.
    """
    if source is None:
        return finding
    return replace(finding, evidence=tuple(_evaluated(one, source) for one in finding.evidence))


def _evaluated(evidence: Evidence, source: MetricSource) -> Evidence:
    if not isinstance(evidence, MetricEvidence) or evidence.source != PROMETHEUS:
        return evidence
    value = value_of(evidence, source)
    return evidence if value is None else replace(evidence, value=value)


def value_of(evidence: MetricEvidence, source: MetricSource) -> float | None:
    """Ask the query again at the end of its range; None where it has no single answer or nobody answers."""
    try:
        answer = source.query(evidence.promql, evidence.end)
    except MetricsError:
        return None
    values = [points.values[-1] for points in answer if points.values]
    return values[0] if len(values) == 1 else None
