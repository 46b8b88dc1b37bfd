"""Series from Prometheus on the detectors' grid, from the queries in the settings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from analyzer.errors import MetricsQueryError
from analyzer.metrics.base import MetricSource, Points
from analyzer.types.metric import TICK_S, Series, Signal
from analyzer.types.report import Gap, Subject

AGENT_LABELS = ("agent", "gen_ai_agent_name", "agent_name")
"""Labels that name the agent, first match first."""

RECIPES: Mapping[Signal, tuple[str, str, str]] = {
    Signal.COST: ("cost", "trajectories", "USD"),
    Signal.ERRORS: ("errors", "trajectories", "trajectories"),
}
"""By signal: the query of the amounts or events, the query of the units, and the unit."""

_SIMPLE = re.compile(r"sum by \((\w+)\) \(increase\((\w+)(?:\{(.*)\})?\[\$range\]\)\)")
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
    found: dict[str, tuple[str, dict[str, list[float]]]] = {}
    if ticks:
        for name in sorted({query for recipe in RECIPES.values() for query in recipe[:2]}):
            answer = _first_that_answers(source, queries[name], start_s, ticks, gaps)
            if answer is not None:
                found[name] = answer
    series = []
    for signal, (amounts, units, unit) in RECIPES.items():
        if units not in found:
            continue
        unit_query, per_agent = found[units]
        amount_query, amount_of = found.get(amounts, (queries[amounts][0], {}))
        if signal is Signal.COST and not amount_of:
            continue
        for agent in sorted(per_agent):
            if signal is Signal.COST and agent not in amount_of:
                continue
            series.append(
                Series(
                    signal=signal,
                    subject=Subject(agent=agent),
                    unit=unit,
                    source="prometheus",
                    query=f"{for_agent(amount_query, agent)} / {for_agent(unit_query, agent)}",
                    start_s=start_s,
                    count=per_agent[agent],
                    total=amount_of.get(agent, [0.0] * ticks),
                )
            )
    return series, gaps


def _first_that_answers(
    source: MetricSource, queries: Sequence[str], start_s: int, ticks: int, gaps: list[Gap]
) -> tuple[str, dict[str, list[float]]] | None:
    first = datetime.fromtimestamp(start_s + TICK_S, UTC)
    last = first + timedelta(seconds=TICK_S * (ticks - 1))
    for query in queries:
        try:
            answer = source.query_range(query.replace("$range", f"{TICK_S}s"), first, last, TICK_S)
        except MetricsQueryError as error:
            gaps.append(Gap("a Prometheus query", str(error), "mend it under [queries] in analyzer.toml"))
            continue
        if answer:
            return query, _by_agent(answer, start_s, ticks)
    return None


def _by_agent(answer: Sequence[Points], start_s: int, ticks: int) -> dict[str, list[float]]:
    by_agent: dict[str, list[float]] = {}
    for points in answer:
        agent = next((points.labels[label] for label in AGENT_LABELS if points.labels.get(label)), None)
        if agent is None:
            continue
        values = by_agent.setdefault(agent, [0.0] * ticks)
        for time_s, value in zip(points.times_s, points.values, strict=True):
            tick = round((time_s - start_s) / TICK_S) - 1
            if 0 <= tick < ticks:
                values[tick] += max(0.0, value)
    return by_agent


def for_agent(query: str, agent: str) -> str:
    """Return the query narrowed to one agent; it still holds `$range`."""
    label_value = agent.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    simple = _SIMPLE.fullmatch(query)
    if simple is None:
        label = next((name for name in AGENT_LABELS if re.search(rf"\b{name}\b", query)), AGENT_LABELS[0])
        return f'sum(({query}) and on ({label}) label_replace(vector(1), "{label}", "{label_value}", "", ""))'
    label, metric, matchers = simple.groups()
    inside = ", ".join(part for part in (f'{label}="{label_value}"', matchers) if part)
    return f"sum(increase({metric}{{{inside}}}[$range]))"


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
