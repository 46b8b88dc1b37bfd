"""Several servers as one: what adds up is added, replicas stand in, and nothing is guessed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.errors import MetricsError, MetricsPartError, MetricsQueryError
from analyzer.metrics.base import Points
from analyzer.metrics.several import Several, quotient

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SUM = "sum by (agent) (increase(agent_cost_usd_total[900s]))"
COUNT = "sum by (agent) (increase(agent_trajectories_total[900s]))"


@dataclass
class Known:
    """A server that knows the answers to some queries, or fails."""

    answers: dict[str, dict[str, dict[float, float]]] = field(default_factory=dict)
    """Query -> agent -> time -> value."""
    error: MetricsError | None = None
    asked: list[str] = field(default_factory=list)

    def query(self, promql: str, at: datetime) -> list[Points]:
        """See `MetricSource.query`."""
        self.asked.append(promql)
        if self.error is not None:
            raise self.error
        return [
            Points({"agent": agent}, tuple(values), tuple(values.values()))
            for agent, values in self.answers.get(promql, {}).items()
        ]

    def query_range(self, promql: str, start: datetime, end: datetime, step_s: float) -> list[Points]:
        """See `MetricSource.query_range`."""
        return self.query(promql, start)


def values(found: list[Points]) -> dict[str, dict[float, float]]:
    """Return an answer by agent and time."""
    return {one.labels["agent"]: dict(zip(one.times_s, one.values, strict=True)) for one in found}


def test_what_two_servers_know_of_one_agent_is_added() -> None:
    """Moment by moment; what only one knows stays as it is."""
    east = Known({SUM: {"billing": {0: 1.0, 900: 2.0}, "triage": {0: 5.0}}})
    west = Known({SUM: {"billing": {900: 3.0, 1800: 4.0}}})
    found = Several({"east": [east], "west": [west]}).query_range(SUM, NOW, NOW, 900)
    assert values(found) == {"billing": {0: 1.0, 900: 5.0, 1800: 4.0}, "triage": {0: 5.0}}


def test_a_quotient_is_that_of_the_sums_and_no_sum_of_quotients() -> None:
    """Its sides are asked for one by one; with one server that knows the agent, the quotient itself is its answer."""
    ratio = f"{SUM} / {COUNT}"
    east = Known({ratio: {"billing": {0: 2.0}}, SUM: {"billing": {0: 20.0}}, COUNT: {"billing": {0: 10.0}}})
    west = Known({ratio: {"billing": {0: 8.0}}, SUM: {"billing": {0: 8.0}}, COUNT: {"billing": {0: 1.0}}})
    assert values(Several({"east": [east], "west": [west]}).query(ratio, NOW)) == {
        "billing": {0: pytest.approx(28 / 11)}
    }
    alone = Several({"east": [east], "west": [Known()]})
    assert values(alone.query(ratio, NOW)) == {"billing": {0: 2.0}}
    assert east.asked[-1] == ratio


def test_what_cannot_be_added_up_is_refused_with_the_servers_names() -> None:
    """A mean over two servers is nobody's guess; a largest value is the largest."""
    mean, largest = "avg by (agent) (x)", "max by (agent, version) (agent_build_info)"
    east = Known({mean: {"billing": {0: 1.0}}, largest: {"billing": {0: 1.0}}})
    west = Known({mean: {"billing": {0: 3.0}}, largest: {"billing": {0: 0.0}}})
    both = Several({"east": [east], "west": [west]})
    with pytest.raises(MetricsQueryError, match=r"several servers \(east, west\) know \{'agent': 'billing'\}"):
        both.query(mean, NOW)
    assert values(both.query(largest, NOW)) == {"billing": {0: 1.0}}


def test_a_replica_answers_where_its_original_does_not() -> None:
    """Also where that answers in part; it is never added to it, and a wrong query is wrong at once."""
    replica = Known({SUM: {"billing": {0: 7.0}}})
    for error in (MetricsError("dead"), MetricsPartError("in part")):
        assert values(Several({"east": [Known(error=error), replica]}).query(SUM, NOW)) == {"billing": {0: 7.0}}
    original = Known({SUM: {"billing": {0: 6.0}}})
    asked = len(replica.asked)
    assert values(Several({"east": [original, replica]}).query(SUM, NOW)) == {"billing": {0: 6.0}}
    assert len(replica.asked) == asked
    with pytest.raises(MetricsQueryError, match="parse"):
        Several({"east": [Known(error=MetricsQueryError("parse error")), replica]}).query("sum(", NOW)
    assert len(replica.asked) == asked


def test_without_one_of_them_the_whole_is_unknown() -> None:
    """What only the dead one knows would look like a fall."""
    with pytest.raises(MetricsError, match="dead"):
        Several({"east": [Known({SUM: {"billing": {0: 1.0}}})], "west": [Known(error=MetricsError("dead"))]}).query(
            SUM, NOW
        )


@pytest.mark.parametrize(
    ("promql", "sides"),
    [
        ("sum(a) / sum(b)", ("sum(a)", "sum(b)")),
        ('sum(a{path="/x/y"}) / (sum(b) / 2)', ('sum(a{path="/x/y"})', "(sum(b) / 2)")),
        ("sum(a) / sum(b) / sum(c)", None),
        ("sum(a) + sum(b) / sum(c)", None),
        ("sum(a) / on (agent) sum(b)", None),
        ("sum(a / b)", None),
        ("sum(a) /", None),
        ("sum(a)", None),
    ],
)
def test_only_one_plain_division_has_two_sides(promql: str, sides: tuple[str, str] | None) -> None:
    """Whatever stands in parentheses, braces and quotes is left alone."""
    assert quotient(promql) == sides


@given(st.text(alphabet="ab/()[]{}'\"`+ 1", max_size=30))
def test_any_text_has_two_sides_that_stand_in_it_or_none(promql: str) -> None:
    """A query from the settings may be anything."""
    sides = quotient(promql)
    if sides is not None:
        assert promql.replace(" ", "") == "/".join(sides).replace(" ", "")


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 1000), min_size=1), min_size=1, max_size=4))
def test_a_fleet_split_over_servers_sums_to_the_whole(parts: list[dict[str, int]]) -> None:
    """However its runs are split, and in whatever order the servers are named."""
    servers = {
        f"s{index}": [Known({SUM: {k: {0.0: float(v)} for k, v in part.items()}})] for index, part in enumerate(parts)
    }
    whole = {
        agent: {0.0: float(sum(part.get(agent, 0) for part in parts))} for agent in {k for part in parts for k in part}
    }
    assert values(Several(servers).query(SUM, NOW)) == whole
    assert values(Several(dict(reversed(servers.items()))).query(SUM, NOW)) == whole
