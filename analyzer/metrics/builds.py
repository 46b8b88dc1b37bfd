"""Versions by a build-info metric: a change that Prometheus saw, of agents whose spans name no version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from analyzer.errors import MetricsQueryError
from analyzer.metrics.base import MetricSource, Points
from analyzer.metrics.series import AGENT_LABELS
from analyzer.types.metric import TICK_S
from analyzer.types.report import Change, Gap

VERSION_LABELS = ("version", "gen_ai_agent_version", "agent_version", "service_version", "revision")
"""Labels that name the version, first match first."""


def build_changes(
    source: MetricSource, queries: Sequence[str], start: datetime, end: datetime
) -> tuple[dict[str | None, tuple[Change, ...]], list[Gap]]:
    """Return by agent the first sights of versions in the range; those of a metric without an agent under None.

    What is there at the beginning is no change. First sights are as fine as a tick. Raises MetricsError when the
    server is dead; a refused query is a Gap.
    """
    gaps: list[Gap] = []
    for query in queries:
        try:
            answer = source.query_range(query.replace("$range", f"{TICK_S}s"), start, end, TICK_S)
        except MetricsQueryError as error:
            gaps.append(Gap("a Prometheus query", str(error), error.hint))
            continue
        if answer:
            return _first_sights(answer), gaps
    return {}, gaps


def _first_sights(answer: Sequence[Points]) -> dict[str | None, tuple[Change, ...]]:
    first: dict[str | None, dict[str, float]] = {}
    for points in answer:
        version = _label(points.labels, VERSION_LABELS)
        # A gauge of 0 says that this build does not run.
        seen = [at_s for at_s, value in zip(points.times_s, points.values, strict=True) if value > 0]
        if version is None or not seen:
            continue
        of_agent = first.setdefault(_label(points.labels, AGENT_LABELS), {})
        of_agent[version] = min(seen[0], of_agent.get(version, seen[0]))
    changes = {}
    for agent, sights in first.items():
        ordered = sorted(sights.items(), key=lambda entry: (entry[1], entry[0]))
        changes[agent] = tuple(
            Change("version", before, version, datetime.fromtimestamp(at_s, UTC))
            for (before, began_s), (version, at_s) in pairwise(ordered)
            if at_s > began_s
        )
    return {agent: found for agent, found in changes.items() if found}


def _label(labels: Mapping[str, str], names: Sequence[str]) -> str | None:
    return next((labels[name] for name in names if labels.get(name)), None)
