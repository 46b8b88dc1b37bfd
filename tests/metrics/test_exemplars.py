"""Which trajectories metrics name as carrying a finding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from support.incidents import finding
from support.spans import EPOCH, chat, root, tool, trace_id

from analyzer.errors import MetricsError, MetricsQueryError
from analyzer.metrics.base import Exemplar, Points
from analyzer.metrics.exemplars import NAMED_MAX, QUERIES_MAX, exemplars_of
from analyzer.metrics.series import RECIPES
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.metric import Series, Signal, Window
from analyzer.types.report import Finding, Gap, Kind, Subject
from analyzer.types.trace import Status

ONSET, END = EPOCH + timedelta(hours=1), EPOCH + timedelta(hours=2)
QUERY = 'sum(increase({name}{{agent="shop"}}[$range]))'


@dataclass
class Naming:
    """A metric source that names exemplars by query, or fails."""

    known: Mapping[str, list[Exemplar]] = field(default_factory=dict)
    error: MetricsError | None = None
    asked: list[tuple[str, datetime, datetime]] = field(default_factory=list)

    def query(self, promql: str, at: datetime) -> list[Points]:
        """Know no series."""
        return []

    def query_range(self, promql: str, start: datetime, end: datetime, step_s: float) -> list[Points]:
        """Know no series."""
        return []

    def exemplars(self, promql: str, start: datetime, end: datetime) -> list[Exemplar]:
        """Name what is known under a part of the query."""
        self.asked.append((promql, start, end))
        if self.error is not None:
            raise self.error
        return [one for name, shown in self.known.items() if name in promql for one in shown]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteTrajectories]:
    """Give a store: one dear trajectory before the onset; since then a cheap one, two dear ones, and another agent's.

    The number of a trajectory is its cost in USD.
    """
    with SqliteTrajectories(tmp_path / "store.db") as opened:
        for number, at_s, agent in ((9, 60, "shop"), (1, 3660, "shop"), (5, 3700, "shop"), (7, 3800, "shop")):
            broken = {"status": Status.ERROR} if number == 5 else {}
            opened.add([root(number, at_s=at_s, agent=agent, **broken), chat(number, 2, at_s=at_s, cost_usd=number)])
        opened.add([root(8, at_s=3800, agent="other"), chat(8, 2, at_s=3800, cost_usd=8.0, agent="other")])
        yield opened


def metered(signal: Signal, name: str, **fields: object) -> Series:
    """Return a series of the shop's out of Prometheus."""
    values = {
        "signal": signal,
        "subject": Subject(agent="shop"),
        "unit": "",
        "source": "prometheus",
        "query": "",
        "counted": "",
        "summed": QUERY.format(name=name),
        "start_s": 0,
        "count": [],
        "total": [],
    }
    return Series(**(values | fields))


COST = metered(Signal.COST, "agent_cost_usd_total")


def rise(kind: Kind = Kind.COST, **fields: object) -> Finding:
    """Return a finding of the shop: 2 is usual."""
    return finding(kind, "shop", **({"onset": ONSET, "baseline": 2.0} | fields))


def named(*numbers: int, value: float = 1.0, **labels: str) -> list[Exemplar]:
    """Return exemplars of one series."""
    return [Exemplar({"agent": "shop"} | labels, trace_id(number), value, ONSET.timestamp()) for number in numbers]


def window(*series: Series) -> Window:
    """Return the window of the last day."""
    return Window(start=END - timedelta(days=1), end=END, series=series)


def test_what_carries_the_rise_is_named_worst_first(store: SqliteTrajectories) -> None:
    """Of the agent, since the onset, and more than usual by what the store knows of it, whatever the counter rose by.

    The series of the amounts is asked for, from the onset to the end.
    """
    source = Naming({"agent_cost_usd_total": named(5, value=90.0) + named(9, 1, 7, 8)})
    found = exemplars_of(store, source, [rise()], window(COST))
    assert found.of(rise()) == (trace_id(7), trace_id(5))
    assert found.gaps == ()
    assert source.asked == [('sum(increase(agent_cost_usd_total{agent="shop"}[900s]))', ONSET, END)]
    over = rise(recovered=ONSET + timedelta(seconds=130))
    assert exemplars_of(store, source, [over], window(COST)).of(over) == (trace_id(5),)
    assert source.asked[-1][2] == over.recovered


def test_each_finding_has_the_trajectories_of_its_own_time(store: SqliteTrajectories) -> None:
    """A rise that is over and one that began since are two, and so are what two detectors say of the same costs."""
    source = Naming({"agent_cost_usd_total": named(5, 7)})
    over = rise(recovered=ONSET + timedelta(seconds=130), score=20.0)
    again = rise(onset=ONSET + timedelta(seconds=140))
    dearer = replace(again, detector="price", baseline=8.0, score=9.0)
    for findings in ([over, again, dearer], [dearer, again, over]):
        found = exemplars_of(store, source, findings, window(COST))
        assert [found.of(one) for one in (over, again, dearer)] == [(trace_id(5),), (trace_id(7),), ()]


def test_failures_and_slow_calls(store: SqliteTrajectories) -> None:
    """A trajectory that went well carries no errors; how long a call took only its bucket knows."""
    errors, slow = rise(Kind.ERRORS, baseline=0.1), rise(Kind.TOOL_LATENCY, tool="sql")
    series = (
        metered(Signal.ERRORS, "runs_total"),
        metered(Signal.TOOL_LATENCY, "seconds_sum", subject=Subject(agent="shop", tool="sql")),
    )
    calls = named(1, value=3.0, tool="sql") + named(5, value=1.0, tool="sql") + named(7, value=9.0, tool="web")
    found = exemplars_of(store, Naming({"runs_total": named(5, 7), "bucket": calls}), [errors, slow], window(*series))
    assert (found.of(errors), found.of(slow)) == ((trace_id(5),), (trace_id(1),))


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ('sum(increase(agent_steps_sum{a="b"}[$range]))', 'sum(increase(agent_steps_bucket{a="b"}[900s]))'),
        ("sum(increase(ns:calls_count[$range]))", "sum(increase(ns:calls_bucket[900s]))"),
        ('increase(x_total{tool="a_sum{", a_sum="b"}[1h])', 'increase(x_total{tool="a_sum{", a_sum="b"}[1h])'),
    ],
)
def test_of_a_histogram_the_buckets_are_asked_for(store: SqliteTrajectories, query: str, asked: str) -> None:
    """They alone have exemplars; what stands in quotes and the names of labels are left alone."""
    source = Naming()
    exemplars_of(store, source, [rise()], window(replace(COST, summed=query)))
    assert [promql for promql, _, _ in source.asked] == [asked]


def test_what_is_named_and_not_stored_is_a_gap(store: SqliteTrajectories) -> None:
    """One for all, with some ids; another agent's series, which a query of one's own may select, is no concern."""
    missing = range(20, 24)
    source = Naming({"agent_cost": named(7, *missing) + named(30, agent="other"), "runs": named(20)})
    findings = [rise(), rise(Kind.ERRORS, baseline=0.1)]
    found = exemplars_of(store, source, findings, window(COST, metered(Signal.ERRORS, "runs_total")))
    assert found.of(rise()) == (trace_id(7),)
    shown = ", ".join(trace_id(number) for number in range(20, 23))
    assert found.gaps == (
        Gap(
            "exemplars from Prometheus",
            f"4 of 5 trajectories that exemplars name are not in the store: {shown}, ...",
            "keep the traces that metrics name where traces are sampled",
        ),
    )


def test_only_findings_out_of_prometheus_are_asked_for(store: SqliteTrajectories) -> None:
    """The store knows the trajectories of its own series; a silence has none."""
    source = Naming({"agent_cost": named(7)})
    asked = [rise(), rise(Kind.TOKENS), rise(Kind.SILENCE), finding(Kind.COST, "another")]
    assert exemplars_of(store, source, asked, window(replace(COST, source="store"))).trace_ids == {}
    assert source.asked == []


def test_a_dead_server_is_a_gap_and_is_not_asked_again(store: SqliteTrajectories) -> None:
    """Nor waited for again; after a refused query the others are asked."""
    findings = [rise(), rise(Kind.STEPS)]
    there = window(COST, metered(Signal.STEPS, "agent_steps_sum"))
    dead, strict = Naming(error=MetricsError("did not answer")), Naming(error=MetricsQueryError("parse error"))
    assert [gap.why for gap in exemplars_of(store, dead, findings, there).gaps] == ["did not answer"]
    assert len(dead.asked) == 1
    assert [gap.why for gap in exemplars_of(store, strict, findings, there).gaps] == ["parse error"] * 2


def test_a_run_asks_for_the_surest_and_looks_up_the_largest(store: SqliteTrajectories) -> None:
    """However many findings there are, and however many exemplars: both are bounded."""
    series = [replace(COST, subject=Subject(agent=f"a{number}"), summed=f"x{number:02}") for number in range(40)]
    findings = [replace(rise(), subject=one.subject, score=float(at)) for at, one in enumerate(series)]
    source = Naming()
    exemplars_of(store, source, findings, window(*series))
    assert [promql for promql, _, _ in source.asked] == [f"x{number}" for number in range(39, 39 - QUERIES_MAX, -1)]
    many = [replace(one, value=float(at)) for at, one in enumerate(named(*range(100, 300)))]
    [gap] = exemplars_of(store, Naming({"agent_cost": many}), [rise()], window(COST)).gaps
    assert gap.why.startswith(f"{NAMED_MAX} of {NAMED_MAX} trajectories")
    assert trace_id(299 - NAMED_MAX + 1) in gap.why


def test_all_that_are_named_are_looked_up_in_one_question(store: SqliteTrajectories) -> None:
    """A thousand exemplars of twenty findings cost the store one question, and not one each."""
    statements: list[str] = []
    findings = [rise(onset=ONSET + timedelta(seconds=number)) for number in range(QUERIES_MAX)]
    with store.connection.reading() as raw:
        raw.set_trace_callback(statements.append)
    found = exemplars_of(store, Naming({"agent_cost_usd_total": named(5, 7, *range(100, 148))}), findings, window(COST))
    assert {found.of(one) for one in findings} == {(trace_id(7), trace_id(5))}
    assert len([one for one in statements if "FROM trajectories" in one]) == 1


@pytest.mark.parametrize("signal", RECIPES)
def test_every_signal_that_prometheus_gives_has_its_trajectories(store: SqliteTrajectories, signal: Signal) -> None:
    """What carries it is known of each: a run that broke, was dear, long and slow carries them all."""
    store.add([root(20, at_s=3900, status=Status.ERROR), chat(20, 2, at_s=3900, cost_usd=3.0)])
    one = rise(Kind(signal.value), baseline=0.5)
    source = Naming({"amount": named(20, value=9.0)})
    assert exemplars_of(store, source, [one], window(metered(signal, "amount"))).of(one) == (trace_id(20),)


def test_steps_are_counted_by_the_store(store: SqliteTrajectories) -> None:
    """A bucket names a run of each size; only the long ones carry a rise of the steps."""
    store.add([root(20, at_s=3900), *(tool(20, 3 + at, at_s=3900 + at) for at in range(4))])
    source = Naming({"agent_steps_bucket": named(7, 20)})
    found = exemplars_of(store, source, [rise(Kind.STEPS)], window(metered(Signal.STEPS, "agent_steps_sum")))
    assert found.of(rise(Kind.STEPS)) == (trace_id(20),)
