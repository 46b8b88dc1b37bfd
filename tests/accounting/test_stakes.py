"""What a rise loses in a day, and from where on its ratio counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.incidents import NOW, finding

from analyzer.accounting.severity import severity
from analyzer.accounting.stakes import Loss, Stakes, stakes_of
from analyzer.config import load
from analyzer.errors import UsageError
from analyzer.types.floor import Floor, floor_of, read_floors
from analyzer.types.metric import TICK_S, Series, Signal, Window
from analyzer.types.report import Finding, Kind, Severity, Subject

DAY = 24.0
PRICED = Stakes({"shop": 20.0})


def rise(kind: Kind = Kind.COST, agent: str = "shop", **fields: Any) -> Finding:
    """Return a rise to five times the usual: high by its ratio."""
    units = {Kind.TOKENS: "tokens", Kind.STEPS: "steps"}
    return finding(kind, agent, **({"value": 0.5, "baseline": 0.1, "unit": units.get(kind, "USD"), "of": 10} | fields))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (rise(excess_usd=0.04), Severity.LOW),
        (rise(excess_usd=0.99), Severity.LOW),
        (rise(excess_usd=1.0), Severity.HIGH),
        (rise(Kind.TOOL_COST, excess_usd=0.2), Severity.LOW),
        (rise(Kind.RUNAWAY, excess_usd=0.3), Severity.LOW),
        (rise(Kind.RUNAWAY, excess_usd=3.0), Severity.HIGH),
        (rise(Kind.LATENCY, unit="s"), Severity.HIGH),
        (rise(Kind.RUNAWAY, unit="s", agent="free"), Severity.HIGH),
        (rise(Kind.BUDGET, excess_usd=0.1), Severity.HIGH),
    ],
)
def test_a_few_cents_are_of_low_severity_however_many_times_the_usual(found: Finding, expected: Severity) -> None:
    """A dollar a day is the least; time is not money, and a budget is what people asked to be told of."""
    assert severity(found, DAY, None, PRICED) is expected


def test_tokens_and_steps_are_worth_their_part_of_what_the_agent_spends() -> None:
    """Five times the tokens of an agent that spends 20 dollars a day lose 80, and of one that spends ten cents, 40."""
    assert PRICED.loss(rise(Kind.TOKENS), DAY) == Loss(pytest.approx(80), 1.0, "USD")
    assert severity(rise(Kind.STEPS), DAY, None, Stakes({"shop": 0.1})) is Severity.LOW


@pytest.mark.parametrize(
    ("found", "trivial"),
    [
        (rise(Kind.TOKENS, "free", value=30_000, baseline=10_000, of=10), True),
        (rise(Kind.TOKENS, "free", value=30_000, baseline=10_000, of=20), False),
        (rise(Kind.STEPS, "free", value=30, baseline=10, of=10), True),
        (rise(Kind.STEPS, "free", value=30, baseline=10, of=20), False),
        (rise(Kind.RUNAWAY, "free", value=300_000, baseline=10_000, affected=1, unit="tokens", excess_usd=0.0), False),
        (rise(Kind.RUNAWAY, "free", value=50_000, baseline=10_000, affected=1, unit="tokens", excess_usd=0.0), True),
    ],
)
def test_without_prices_tokens_and_steps_count(found: Finding, *, trivial: bool) -> None:
    """No price is known, and none is taken for 0: a quarter of a million tokens a day is the least, or 250 steps."""
    loss = PRICED.loss(found, DAY)
    assert loss is not None
    assert loss.is_trivial is trivial


def test_a_runaway_is_what_the_day_brought_and_a_rise_is_a_rate() -> None:
    """Ten cents within an hour are 2.40 a day where they go on, and ten cents where they were one trajectory's."""
    rate, once = (PRICED.loss(rise(kind, excess_usd=0.1), 1.0) for kind in (Kind.COST, Kind.RUNAWAY))
    assert (rate, once) == (Loss(pytest.approx(2.4), 1.0, "USD"), Loss(pytest.approx(0.1), 1.0, "USD"))


def test_of_a_large_fleet_a_thousandth_of_its_spend_is_the_least() -> None:
    """What nobody would notice on the bill of 5,000 dollars a day wakes nobody."""
    large = Stakes({"shop": 1000.0, "other": 4000.0})
    assert severity(rise(excess_usd=4.9), DAY, None, large) is Severity.LOW
    assert severity(rise(excess_usd=5.0), DAY, None, large) is Severity.HIGH


@given(st.floats(0, 100), st.floats(0, 100), st.sampled_from(list(Kind)))
def test_a_floor_never_makes_anything_worse(usd: float, least: float, kind: Kind) -> None:
    """Whatever is set, severity is that of the table or low."""
    found = rise(kind, excess_usd=usd)
    stakes = Stakes({"shop": 20.0}, {"*": Floor(usd_per_day=least)})
    assert severity(found, DAY, None, stakes) in {severity(found, DAY), Severity.LOW}


def test_a_known_incident_falls_only_where_it_is_clearly_below_the_floor() -> None:
    """95 cents after a dollar and five are the same fault; 80 are not worth it any more."""
    assert severity(rise(excess_usd=0.95), DAY, Severity.HIGH, PRICED) is Severity.HIGH
    assert severity(rise(excess_usd=0.8), DAY, Severity.HIGH, PRICED) is Severity.LOW
    assert severity(rise(excess_usd=1.05), DAY, Severity.LOW, PRICED) is Severity.LOW


def spending(agent: str, days: float, usd_per_day: float) -> Series:
    """Return the cost of an agent that has been there for so long."""
    ticks = int(days * 96)
    start_s = int((NOW - timedelta(days=days)).timestamp()) // TICK_S * TICK_S
    count, total = [1.0] * ticks, [usd_per_day / 96] * ticks
    return Series(Signal.COST, Subject(agent), "USD", "store", "q", start_s, count, total)


def test_spend_is_that_of_the_last_week_a_day() -> None:
    """An agent of three days counts with its three days; one that costs nothing has no price."""
    free = replace(spending("free", 9, 1.0), total=[0.0] * 864)
    window = Window(NOW - timedelta(days=1), NOW, series=(spending("old", 20, 3.0), spending("new", 3, 5.0), free))
    assert stakes_of(window, {}).spent == pytest.approx({"old": 3.0, "new": 5.0})


def test_floors_come_from_the_file(tmp_path: Any) -> None:
    """`[floors."*"]` is laid over the defaults, and an agent's own over that."""
    path = tmp_path / "analyzer.toml"
    path.write_text('[floors."*"]\nusd_per_day = 5\n[floors.shop]\nfleet_share = 0\n', "utf-8")
    floors = load(environ={"ANALYZER_CONFIG": str(path)}).settings.floors
    assert floor_of(floors, "shop") == Floor(usd_per_day=5.0, fleet_share=0.0)
    assert floor_of(floors, "other") == floor_of(floors, None) == Floor(usd_per_day=5.0)
    assert floor_of({}, "other") == Floor()


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"usd_per_day": 2}, "here: 'usd_per_day' stands outside an agent's table"),
        ({"a": {"usd_a_day": 2}}, "here.a.usd_a_day: there is no such floor; did you mean usd_per_day?"),
        ({"a": {"fleet_share": -1}}, "here.a.fleet_share: expected a number of 0 or more, not -1"),
        ({"a": {"fleet_share": True}}, "here.a.fleet_share: expected a number of 0 or more, not True"),
    ],
)
def test_a_floor_that_is_none_is_refused(table: dict[str, Any], why: str) -> None:
    """The fault is named with its place."""
    with pytest.raises(UsageError) as refused:
        read_floors(table, "here")
    assert str(refused.value).startswith(why)
