"""Series from Prometheus on the detectors' grid, from the queries in the settings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from analyzer.errors import MetricsQueryError
from analyzer.metrics.base import MetricSource, Points
from analyzer.types.metric import AMOUNTS, TICK_S, Series, Signal
from analyzer.types.promql import quoted
from analyzer.types.report import Gap, Subject

AGENT_LABELS = ("agent", "gen_ai_agent_name", "agent_name")
TOOL_LABELS = ("tool", "gen_ai_tool_name", "tool_name")
"""Labels that name the agent and the tool, first match first."""

RECIPES: Mapping[Signal, tuple[str, str, str]] = {
    Signal.COST: ("cost", "trajectories", "USD"),
    Signal.TOKENS: ("tokens", "trajectories", "tokens"),
    Signal.STEPS: ("steps", "trajectories", "steps"),
    Signal.ERRORS: ("errors", "trajectories", "trajectories"),
    Signal.TOOL_LATENCY: ("tool_seconds", "tool_calls", "s"),
}
"""By signal: the query of the amounts or events, the query of the units, and the unit."""

_SIMPLE = re.compile(r"sum by \((\w+(?:, ?\w+)*)\) \(increase\((\w+)(?:\{(.*)\})?\[\$range\]\)\)")
"""The form of the default queries: a matcher can be put in; other queries are wrapped."""


def prometheus_series(
    source: MetricSource, queries: Mapping[str, Sequence[str]], start: datetime, end: datetime
) -> tuple[list[Series], list[Gap]]:
    """Return the series Prometheus can give, and a Gap for each query it refused. Raises MetricsError when it is dead.

    The grid is the store's: ticks of TICK_S seconds that begin at whole multiples of it. Each value of
    `increase(...[15m])` at the end of a tick covers that tick.
    """
    start_s = int(start.timestamp()) // TICK_S * TICK_S
    ticks = max(0, int(end.timestamp() - start_s) // TICK_S)
    gaps: list[Gap] = []
    found: dict[str, tuple[str, dict[Subject, list[float]]]] = {}
    if ticks:
        for name in sorted({query for recipe in RECIPES.values() for query in recipe[:2]}):
            answer = _first_that_answers(source, queries[name], start_s, ticks, gaps)
            if answer is not None:
                found[name] = answer
    series = []
    for signal, (amounts, units, unit) in RECIPES.items():
        if units not in found:
            continue
        unit_query, unit_of = found[units]
        amount_query, amount_of = found.get(amounts, (queries[amounts][0], {}))
        for subject in sorted(unit_of):
            # A counter of events that never rose has no series and is 0; amounts that nobody counts are unknown.
            if signal in AMOUNTS and subject not in amount_of:
                continue
            summed, counted = narrowed(amount_query, subject), narrowed(unit_query, subject)
            series.append(
                Series(
                    signal=signal,
                    subject=subject,
                    unit=unit,
                    source="prometheus",
                    query=f"{summed} / {counted}",
                    counted=counted,
                    summed=summed,
                    start_s=start_s,
                    count=unit_of[subject],
                    total=amount_of.get(subject, [0.0] * ticks),
                )
            )
    return series, gaps


def _first_that_answers(
    source: MetricSource, queries: Sequence[str], start_s: int, ticks: int, gaps: list[Gap]
) -> tuple[str, dict[Subject, list[float]]] | None:
    first = datetime.fromtimestamp(start_s + TICK_S, UTC)
    last = first + timedelta(seconds=TICK_S * (ticks - 1))
    for query in queries:
        try:
            answer = source.query_range(query.replace("$range", f"{TICK_S}s"), first, last, TICK_S)
        except MetricsQueryError as error:
            gaps.append(Gap("a Prometheus query", str(error), error.hint))
            continue
        if answer:
            return query, _by_subject(answer, start_s, ticks)
    return None


def _by_subject(answer: Sequence[Points], start_s: int, ticks: int) -> dict[Subject, list[float]]:
    found: dict[Subject, list[float]] = {}
    for points in answer:
        agent, tool = (
            next((points.labels[label] for label in labels if points.labels.get(label)), None)
            for labels in (AGENT_LABELS, TOOL_LABELS)
        )
        if agent is None:
            continue
        values = found.setdefault(Subject(agent=agent, tool=tool), [0.0] * ticks)
        for time_s, value in zip(points.times_s, points.values, strict=True):
            tick = round((time_s - start_s) / TICK_S) - 1
            if 0 <= tick < ticks:
                values[tick] += max(0.0, value)
    return found


def narrowed(query: str, subject: Subject) -> str:
    """Return the query narrowed to one agent, and to its tool where it has one; it still holds `$range`."""
    simple = _SIMPLE.fullmatch(query)
    grouped = simple[1].replace(" ", "").split(",") if simple is not None else re.findall(r"\w+", query)
    wanted = []
    for value, labels in ((subject.agent, AGENT_LABELS), (subject.tool, TOOL_LABELS)):
        if value is not None:
            wanted.append((next((name for name in labels if name in grouped), labels[0]), quoted(value)))
    if simple is not None:
        _, metric, matchers = simple.groups()
        inside = ", ".join([*(f"{label}={value}" for label, value in wanted), *([matchers] if matchers else [])])
        return f"sum(increase({metric}{{{inside}}}[$range]))"
    one = "vector(1)"
    for label, value in wanted:
        one = f'label_replace({one}, "{label}", {value}, "", "")'
    return f"sum(({query}) and on ({', '.join(label for label, _ in wanted)}) {one})"


def chosen(store: Sequence[Series], prometheus: Sequence[Series]) -> list[Series]:
    """Return one series per signal and subject: the store's where it saw nearly all that was metered.

    The store knows each trajectory, so its series carry the distribution of the values, which the sums of
    Prometheus do not. But a store that holds a sample, or only the last days, says less than the counters.
    """
    metered = {(series.signal, series.subject): series for series in prometheus}
    series = []
    for own in store:
        other = metered.pop((own.signal, own.subject), None)
        # Trajectories of unknown cost were seen all the same: counters hold 0 for them and would be a worse source.
        unknown = sum(own.unpriced.trajectories) if own.unpriced is not None else 0.0
        enough = other is None or sum(own.count) + unknown >= COVERAGE_MIN * sum(other.count)
        series.append(own if enough or other is None else other)
    return series + list(metered.values())


COVERAGE_MIN = 0.9
"""Share of the metered trajectories that the store must hold. Counters at scrape edges are off by a few percent."""
