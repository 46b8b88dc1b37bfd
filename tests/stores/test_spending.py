"""What the model may cost holds whatever happens: several processes, kill -9, midnight, models without a price."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.stores.database import Connection
from analyzer.stores.spending import BILLIONTHS, SqliteSpending
from analyzer.types.spending import Allowance, Amount, Exhausted, Left, Scope

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
WIDE = Allowance(10**12, 10**6)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        """Return the time."""
        return self.at


def purse(
    path: Path, run: str = "run-1", *, clock=lambda: NOON, day=WIDE, per_run=WIDE, investigation=WIDE
) -> SqliteSpending:
    """Return a purse over a store."""
    allowances = {Scope.DAY: day, Scope.RUN: per_run, Scope.INVESTIGATION: investigation}
    return SqliteSpending(Connection(path), allowances, run=run, now=clock)


@pytest.mark.parametrize(
    ("scope", "unit", "said"),
    [
        ("day", "usd", "the day's $1 are taken up to $0.6000, and this call may need $0.5000"),
        ("day", "tokens", "the day's 1,000 tokens are taken up to 600, and this call may need 500"),
        ("per_run", "usd", "the run's $1 are taken up to $0.6000, and this call may need $0.5000"),
        (
            "investigation",
            "tokens",
            "this investigation's 1,000 tokens are taken up to 600, and this call may need 500",
        ),
    ],
)
def test_each_limit_is_held_and_named(scope: str, unit: str, said: str, tmp_path: Path) -> None:
    """A call whose worst case would break a limit is not made, and which limit that is is said in words."""
    limit = Allowance(1_000, WIDE.usd) if unit == "tokens" else Allowance(WIDE.tokens, 1.0)
    held = purse(tmp_path / "s.db", **{scope: limit})
    first = held.reserve("inc-1", Amount(600, 0.6))
    assert isinstance(first, int)
    refused = held.refusal("inc-1", Amount(500, 0.5))
    assert str(refused) == said
    assert held.reserve("inc-1", Amount(500, 0.5)) == refused
    held.settle(first, Amount(500, 0.5))
    assert isinstance(held.reserve("inc-1", Amount(500, 0.5)), int)


def test_what_belongs_to_others_counts_for_the_day_only(tmp_path: Path) -> None:
    """Another incident does not use up an investigation's limit, another run not a run's; the day's is everybody's."""
    limits = {"investigation": Allowance(100, 1.0), "per_run": Allowance(200, 1.0), "day": Allowance(300, 1.0)}
    one, other = purse(tmp_path / "s.db", "run-1", **limits), purse(tmp_path / "s.db", "run-2", **limits)
    asked = Amount(100, 0.0)
    assert isinstance(one.reserve("inc-1", asked), int)
    assert one.reserve("inc-1", asked).scope is Scope.INVESTIGATION
    assert isinstance(one.reserve("inc-2", asked), int)
    assert one.reserve("inc-3", asked).scope is Scope.RUN
    assert isinstance(other.reserve("inc-1", asked), int)
    assert other.reserve("inc-2", asked).scope is Scope.DAY


def test_a_call_is_settled_once(tmp_path: Path) -> None:
    """The first settlement counts; a second one changes nothing."""
    held = purse(tmp_path / "s.db", day=Allowance(1_000, 1.0))
    number = held.reserve("inc-1", Amount(900, 0.9))
    held.settle(number, Amount(300, 0.3))
    held.settle(number, Amount(0, 0.0))
    assert held.left() == Left(700, 0.7)


def test_a_model_without_a_price_is_held_by_tokens(tmp_path: Path) -> None:
    """No price, no sum in USD: tokens are held all the same, and who allows no USD at all is not asked to guess."""
    held = purse(tmp_path / "s.db", day=Allowance(1_000, 1.0))
    number = held.reserve("inc-1", Amount(600, None))
    held.settle(number, Amount(600, None))
    assert held.left() == Left(400, 1.0)
    assert held.reserve("inc-1", Amount(600, None)).unit == "tokens"
    assert purse(tmp_path / "s.db", per_run=Allowance(1_000, 0.0)).reserve("inc-1", Amount(1, None)).unit == "usd"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork to kill a process between two calls")
def test_what_a_killed_process_reserved_is_spent_until_its_day_is_over(tmp_path: Path) -> None:
    """After kill -9 between reserving and settling nobody knows what was billed: it counts in full, that day."""
    path = tmp_path / "s.db"
    child = os.fork()
    if child == 0:
        purse(path, day=Allowance(1_000, 1.0)).reserve("inc-1", Amount(800, 0.8))
        os.kill(os.getpid(), signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    clock = Clock()
    held = purse(path, "run-2", clock=clock, day=Allowance(1_000, 1.0))
    assert held.left() == Left(200, 0.2)
    assert isinstance(held.reserve("inc-1", Amount(300, 0.1)), Exhausted)
    clock.at = NOON + timedelta(hours=11, minutes=59)
    assert held.left() == Left(200, 0.2)
    clock.at = NOON + timedelta(hours=12)
    assert held.left() == Left(1_000, 1.0)
    assert isinstance(held.reserve("inc-1", Amount(300, 0.1)), int)


DAYS = 60


def _spend(path: Path, number: int, together: Any) -> None:
    """Reserve what the day's limit allows once, at the same moment as the other processes; a day a round."""
    clock = Clock()
    held = purse(path, f"run-{number}", clock=clock, day=Allowance(1_000, 1.0))
    for _ in range(DAYS):
        together.wait(60)
        reserved = held.reserve("inc-1", Amount(600, 0.6))
        # One that was killed here would leave it as it is.
        if isinstance(reserved, int) and number == 1:
            held.settle(reserved, Amount(500, 0.5))
        clock.at += timedelta(days=1)


def test_processes_at_once_never_overspend(tmp_path: Path) -> None:
    """Of three processes that ask at the same moment for more than half of what is left one gets it, on each day."""
    path = tmp_path / "s.db"
    Connection(path).close()
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(3)
    workers = [context.Process(target=_spend, args=(path, number, together)) for number in (1, 2, 3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(100)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    with closing(sqlite3.connect(path)) as raw:
        rows = raw.execute("SELECT SUM(COALESCE(usd, most_usd)), COUNT(*) FROM spending GROUP BY day").fetchall()
    assert len(rows) == DAYS
    assert all(taken <= BILLIONTHS and count == 1 for taken, count in rows)


calls = st.tuples(
    st.sampled_from(["run-1", "run-2"]),
    st.sampled_from(["inc-1", "inc-2"]),
    st.integers(1, 400),
    st.floats(0, 0.4, allow_nan=False),
    st.one_of(st.none(), st.floats(0, 1)),
    st.integers(0, 9),
)
"""Run, incident, worst case, the part of it that was used (None: the process died), hours that pass before it."""


@settings(max_examples=40, deadline=None)
@given(st.lists(calls, max_size=25))
def test_no_order_of_calls_and_deaths_passes_a_limit(tmp_path_factory: pytest.TempPathFactory, drawn) -> None:
    """Whatever is called, dies or is settled when: no day, no run and no investigation ever has more than its limit."""
    path = tmp_path_factory.mktemp("purse") / "s.db"
    clock = Clock()
    limits = {
        "day": Allowance(1_000, 1.0),
        "per_run": Allowance(1_500, 1.3),
        "investigation": Allowance(700, 0.7),
    }
    purses = {run: purse(path, run, clock=clock, **limits) for run in ("run-1", "run-2")}
    for run, about, tokens, usd, part, hours in drawn:
        clock.at += timedelta(hours=hours)
        reserved = purses[run].reserve(about, Amount(tokens, usd))
        if isinstance(reserved, int) and part is not None:
            purses[run].settle(reserved, Amount(int(tokens * part), usd * part))
    with closing(sqlite3.connect(path)) as raw:
        for keys, tokens_max, usd_max in (("day", 1_000, 1.0), ("run", 1_500, 1.3), ("run, about", 700, 0.7)):
            sums = raw.execute(
                f"SELECT SUM(COALESCE(tokens, most_tokens)), SUM(COALESCE(usd, most_usd)) FROM spending GROUP BY {keys}"  # noqa: S608 - own names
            ).fetchall()
            assert all(tokens <= tokens_max and usd <= usd_max * BILLIONTHS for tokens, usd in sums)
