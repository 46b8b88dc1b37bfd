"""Several servers as one: what adds up is added, replicas stand in, and nothing is guessed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.config import DEFAULT_QUERIES
from analyzer.errors import MetricsError, MetricsPartError, MetricsQueryError
from analyzer.metrics.base import Exemplar, Points
from analyzer.metrics.series import narrowed
from analyzer.metrics.several import Several, parted
from analyzer.types.promql import pinned
from analyzer.types.report import Subject

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

    def exemplars(self, promql: str, start: datetime, end: datetime) -> list[Exemplar]:
        """See `MetricSource.exemplars`: one for each agent, the agent's name its id."""
        return [Exemplar(one.labels, one.labels["agent"], one.values[0], 0.0) for one in self.query(promql, start)]


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
    """Its sides are asked for one by one, also where only one server has a quotient: the other has no error yet."""
    ratio = f"{SUM} / {COUNT}"
    east = Known({ratio: {"billing": {0: 2.0}}, SUM: {"billing": {0: 20.0}}, COUNT: {"billing": {0: 10.0}}})
    west = Known({ratio: {"billing": {0: 8.0}}, SUM: {"billing": {0: 8.0}}, COUNT: {"billing": {0: 1.0}}})
    assert values(Several({"east": [east], "west": [west]}).query(ratio, NOW)) == {
        "billing": {0: pytest.approx(28 / 11)}
    }
    calls_alone = Known({COUNT: {"billing": {0: 990.0}}})
    assert values(Several({"east": [east], "west": [calls_alone]}).query(ratio, NOW)) == {"billing": {0: 0.02}}
    assert ratio not in east.asked


@pytest.mark.parametrize(
    "promql",
    [
        f"{SUM} / {COUNT} * 100",
        f"{SUM} / {COUNT} > 0.01",
        f"{SUM} / on (agent) {COUNT}",
        "avg by (agent) (x)",
        "sum by (agent) (histogram_quantile(0.95, x))",
        "sum by (agent) (errors / calls)",
        "sum by (agent) (avg_over_time(x[1h]))",
        "count(count by (agent) (x))",
        "1 - sum(a) / sum(b)",
        "agent_build_info",
    ],
)
def test_what_is_not_known_to_add_up_is_refused_with_the_servers_names(promql: str) -> None:
    """Whoever answers it, and before anyone is asked."""
    east, west = Known({promql: {"billing": {0: 0.5}}}), Known()
    with pytest.raises(MetricsQueryError, match=r"what several servers \(east, west\) answer to"):
        Several({"east": [east], "west": [west]}).query(promql, NOW)
    assert not any(promql in one.asked for one in (east, west))


def test_each_names_exemplars_of_its_own() -> None:
    """Also for a query that does not add up; a replica names them where its original does not answer."""
    promql = "histogram_quantile(0.95, x)"
    east = [Known(error=MetricsError("dead")), Known({promql: {"billing": {0: 1.0}}})]
    west = [Known({promql: {"triage": {0: 2.0}}})]
    found = Several({"east": east, "west": west}).exemplars(promql, NOW, NOW)
    assert [(one.trace_id, one.value) for one in found] == [("billing", 1.0), ("triage", 2.0)]


def test_of_largest_values_the_largest_is_that_of_the_whole() -> None:
    """So versions are seen that run on one of them alone."""
    largest = "max by (agent, version) (agent_build_info)"
    east, west = Known({largest: {"billing": {0: 1.0}}}), Known({largest: {"billing": {0: 0.0}}})
    assert values(Several({"east": [east], "west": [west]}).query(largest, NOW)) == {"billing": {0: 1.0}}


@pytest.mark.parametrize("promql", sorted(query for queries in DEFAULT_QUERIES.values() for query in queries))
def test_every_query_that_is_asked_by_default_adds_up(promql: str) -> None:
    """Also narrowed to one agent where a matcher can be put in, and pinned to a moment as it stands in reports."""
    asked = promql.replace("$range", "900s")
    both = Several({"east": [Known()], "west": [Known()]})
    assert both.query(asked, NOW) == []
    one = narrowed(promql, Subject(agent='we"ird', tool=None)).replace("$range", "7d")
    if "label_replace" not in one:
        for text in (one, pinned(one, NOW), f"{one} / {one}"):
            assert text is None or both.query(text, NOW) == []


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
        ("sum(a) / sum(b)", ("sum(a)", "/", "sum(b)")),
        ("sum(a) + sum(b)", ("sum(a)", "+", "sum(b)")),
        ('sum(a{path="/x/y"}) / (sum(b) / 2)', ('sum(a{path="/x/y"})', "/", "(sum(b) / 2)")),
        ("sum(a) / sum(b) / sum(c)", None),
        ("sum(a) + sum(b) / sum(c)", None),
        ("sum(a) / on (agent) sum(b)", None),
        ("sum(a / b)", None),
        ("sum(a) /", None),
        ("sum(a)", None),
    ],
)
def test_only_one_plain_division_or_sum_has_two_sides(promql: str, sides: tuple[str, str, str] | None) -> None:
    """Whatever stands in parentheses, braces and quotes is left alone."""
    assert parted(promql) == sides


@given(st.text(alphabet="ab/()[]{}'\"`+ 1", max_size=30))
def test_any_text_has_two_sides_that_stand_in_it_or_none(promql: str) -> None:
    """A query from the settings may be anything."""
    sides = parted(promql)
    if sides is not None:
        assert promql.replace(" ", "") == "".join(sides).replace(" ", "")


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
