"""Series from Prometheus on the detectors' grid."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from analyzer.config import DEFAULT_QUERIES
from analyzer.errors import MetricsError, MetricsQueryError
from analyzer.metrics.base import Exemplar, Points
from analyzer.metrics.series import chosen, narrowed, prometheus_series
from analyzer.types.metric import TICK_S, Series, Signal
from analyzer.types.report import Subject

START = datetime(2026, 11, 16, tzinfo=UTC)
END = START + timedelta(hours=1)


class RecordedMetrics:
    """A metric source that answers from a table; what is not in it has no series."""

    def __init__(self, answers: Mapping[str, list[Points] | Exception]) -> None:
        self.answers = answers

    def query(self, promql: str, at: datetime) -> list[Points]:
        """Answer as `query_range`."""
        return self.query_range(promql, at, at, 1)

    def query_range(self, promql: str, start: datetime, end: datetime, step_s: float) -> list[Points]:
        """Answer from the table."""
        answer = next((answer for part, answer in self.answers.items() if part in promql), [])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def exemplars(self, promql: str, start: datetime, end: datetime) -> list[Exemplar]:
        """Know none."""
        return []


def ticks(*values: float, label: str = "agent", agent: str = "shop") -> list[Points]:
    """Return one series with a value at the end of each tick."""
    times = tuple(START.timestamp() + TICK_S * (i + 1) for i in range(len(values)))
    return [Points({label: agent}, times, values)]


def test_a_value_stands_in_the_tick_that_it_covers() -> None:
    """`increase(x[15m])` at the end of a tick is that tick's amount; a missing point is nothing."""
    source = RecordedMetrics({"agent_cost_usd_total": ticks(1, 2, 3), "agent_trajectories_total[": ticks(10, 20, 30)})
    series, gaps = prometheus_series(source, DEFAULT_QUERIES, START, END)
    cost = next(one for one in series if one.signal is Signal.COST)
    assert (cost.start_s, list(cost.count), list(cost.total)) == (int(START.timestamp()), [10, 20, 30, 0], [1, 2, 3, 0])
    assert (cost.source, gaps) == ("prometheus", [])
    assert cost.query == (
        'sum(increase(agent_cost_usd_total{agent="shop"}[$range]))'
        ' / sum(increase(agent_trajectories_total{agent="shop"}[$range]))'
    )


def test_the_next_query_is_tried_where_the_first_finds_nothing() -> None:
    """A fleet that counts trajectories only in its steps histogram is counted there."""
    source = RecordedMetrics({"agent_cost_usd_total": ticks(1), "agent_steps_count": ticks(4)})
    [series] = [one for one in prometheus_series(source, DEFAULT_QUERIES, START, END)[0] if one.signal is Signal.COST]
    assert series.count[0] == 4
    assert "agent_steps_count" in series.query


def test_no_failed_trajectory_is_a_count_of_zero_not_an_unknown() -> None:
    """A counter that never rose has no series: the error rate is 0 where trajectories are counted."""
    source = RecordedMetrics({"agent_trajectories_total[": ticks(4, 4)})
    [errors] = prometheus_series(source, DEFAULT_QUERIES, START, END)[0]
    assert (errors.signal, list(errors.total[:2]), list(errors.count[:2])) == (Signal.ERRORS, [0, 0], [4, 4])


def test_a_refused_query_is_a_gap_and_a_dead_server_an_error() -> None:
    """One bad query does not hide the others; a dead server is for the caller to handle."""
    refused = RecordedMetrics({"agent_cost": MetricsQueryError("parse error"), "agent_trajectories_total[": ticks(1)})
    series, gaps = prometheus_series(refused, DEFAULT_QUERIES, START, END)
    assert [one.signal for one in series] == [Signal.ERRORS]
    assert ["parse error" in gap.why for gap in gaps] == [True]
    with pytest.raises(MetricsError):
        prometheus_series(RecordedMetrics({"agent": MetricsError("dead")}), DEFAULT_QUERIES, START, END)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sum by (agent) (increase(c_total[$range]))", 'sum(increase(c_total{agent="a\\"b"}[$range]))'),
        (
            'sum by (agent) (increase(c_total{outcome=~"x|y"}[$range]))',
            'sum(increase(c_total{agent="a\\"b", outcome=~"x|y"}[$range]))',
        ),
        (
            "sum by (gen_ai_agent_name) (rate(c[$range])) * 900",
            (
                "sum((sum by (gen_ai_agent_name) (rate(c[$range])) * 900) and on (gen_ai_agent_name)"
                ' label_replace(vector(1), "gen_ai_agent_name", "a\\"b", "", ""))'
            ),
        ),
    ],
)
def test_a_query_is_narrowed_to_one_agent_whatever_its_name_holds(query: str, expected: str) -> None:
    """Evidence names the query of the one agent; a quote in its name cannot break out of the matcher."""
    assert narrowed(query, Subject(agent='a"b')) == expected


def one_series(source: str, *counts: float) -> Series:
    """Return a cost series with some counts."""
    return Series(Signal.COST, Subject(agent="shop"), "USD", source, "q", 0, counts, counts)


@pytest.mark.parametrize(("kept", "source"), [(100, "store"), (91, "store"), (80, "prometheus"), (0, "prometheus")])
def test_the_store_speaks_where_it_saw_nearly_everything(kept: float, source: str) -> None:
    """The store's series carry distributions, so they are preferred unless it holds only a part."""
    own = [one_series("store", kept)] if kept else []
    assert [one.source for one in chosen(own, [one_series("prometheus", 100)])] == [source]


def test_without_prometheus_the_store_speaks() -> None:
    """What only the store knows is used as it is."""
    assert [one.source for one in chosen([one_series("store", 1)], [])] == ["store"]


def test_tools_have_series_of_their_own() -> None:
    """Seconds per call stand with agent and tool, and the query that proves them names both."""
    labelled = [
        Points({"agent": "shop", "tool": "search"}, (START.timestamp() + TICK_S,), (value,)) for value in (6, 3)
    ]
    source = RecordedMetrics({"agent_tool_seconds_sum": labelled[:1], "agent_tool_seconds_count": labelled[1:]})
    [series] = prometheus_series(source, DEFAULT_QUERIES, START, END)[0]
    assert (series.signal, series.subject) == (Signal.TOOL_LATENCY, Subject(agent="shop", tool="search"))
    assert (series.count[0], series.total[0], series.unit) == (3, 6, "s")
    assert series.query == (
        'sum(increase(agent_tool_seconds_sum{agent="shop", tool="search"}[$range]))'
        ' / sum(increase(agent_tool_seconds_count{agent="shop", tool="search"}[$range]))'
    )


def test_an_amount_that_nobody_counts_is_unknown_and_not_zero() -> None:
    """Where only trajectories are metered, there is a series of errors and none of tokens, steps or cost."""
    source = RecordedMetrics({"agent_trajectories_total[": ticks(4, 4)})
    assert [one.signal for one in prometheus_series(source, DEFAULT_QUERIES, START, END)[0]] == [Signal.ERRORS]
