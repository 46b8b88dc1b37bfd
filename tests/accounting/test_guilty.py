"""Which trajectories carry a finding."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.spans import EPOCH, chat, root, tool, trace_id

from analyzer.accounting.guilty import at_fault
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.report import Finding, Kind, Subject
from analyzer.types.trace import FinishReason, Outcome, Span, Status, Tokens

HOUR = timedelta(hours=1)
END = EPOCH + timedelta(hours=2)
WORST_BY_KIND = {
    Kind.COST: 1,
    Kind.TOKENS: 2,
    Kind.STEPS: 3,
    Kind.LATENCY: 4,
    Kind.RETRIES: 5,
    Kind.TRUNCATION: 6,
    Kind.TOOL_LATENCY: 7,
    Kind.TOOL_COST: 8,
    Kind.ERRORS: 9,
}


def finding(kind: Kind) -> Finding:
    """Return a finding of the shop, or of its tool."""
    of_tool = kind in {Kind.TOOL_LATENCY, Kind.TOOL_COST}
    return Finding(
        detector=kind.value,
        kind=kind,
        subject=Subject(agent="shop", tool="lookup_order" if of_tool else None),
        onset=EPOCH,
        onset_low=EPOCH,
        onset_high=EPOCH,
        value=1.0,
        baseline=1.0,
        threshold=1.0,
        score=1.0,
        unit="",
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SqliteTrajectories:
    """Return a store in which each trajectory is the worst in one respect."""
    store = SqliteTrajectories(tmp_path_factory.mktemp("guilty") / "store.db")
    for number in range(1, 12):
        roots = {"lasts_s": 60 if number == 4 else 20}
        if number == 9:
            roots |= {"status": Status.ERROR}
        if number == 10:
            roots |= {"outcome": Outcome.FAILURE}
        store.add(
            [
                root(number, at_s=number * 60, **roots),
                chat(
                    number,
                    2,
                    at_s=number * 60 + 1,
                    cost_usd=0.5 if number == 1 else 0.01,
                    tokens=Tokens(90_000 if number == 2 else 100, 20),
                    finish=FinishReason.LENGTH if number == 6 else FinishReason.STOP,
                ),
                *(chat(number, 10 + i, at_s=number * 60 + 2 + i / 10, lasts_s=0.05) for i in range(9 * (number == 3))),
                tool(
                    number,
                    3,
                    at_s=number * 60 + 5,
                    lasts_s=12 if number == 7 else 0.5,
                    cost_usd=3.0 if number == 8 else 0.1,
                    attempt=4 if number == 5 else 1,
                ),
            ]
        )
    return store


@pytest.mark.parametrize(("kind", "worst"), WORST_BY_KIND.items(), ids=str)
def test_the_worst_of_a_kind_comes_first(store: SqliteTrajectories, kind: Kind, worst: int) -> None:
    """Each kind puts trajectories in order by what it is about; what goes before the onset is left out."""
    ids, _ = at_fault(store, finding(kind), "shop", END)
    assert ids[0] == trace_id(worst)
    later = replace(finding(kind), onset=EPOCH + timedelta(hours=1))
    assert at_fault(store, later, "shop", END)[0] == ()


@pytest.mark.parametrize(("unit", "worst"), [("USD", 1), ("tokens", 2)])
def test_a_budget_shows_what_its_dearest_trajectories_spent_it_on(
    store: SqliteTrajectories, unit: str, worst: int
) -> None:
    """A new agent has no usual figures to point to: the dearest step of the dearest trajectories is the evidence."""
    ids, evidence = at_fault(store, replace(finding(Kind.BUDGET), unit=unit), "shop", END)
    assert ids[0] == trace_id(worst)
    assert [one.trace_id for one in evidence] == list(ids[:2])
    spans = {span.span_id: span for span in store.trajectory(ids[0]).spans}
    assert evidence[0].quote in str(getattr(spans[evidence[0].span_id], evidence[0].field))


def test_a_budget_of_single_trajectories_shows_their_dearest_steps(store: SqliteTrajectories) -> None:
    """The detector names them, worst first; the step is the one that cost the most, and a tool's result counts too."""
    over = replace(finding(Kind.BUDGET), unit="USD a trajectory", trace_ids=(trace_id(8), trace_id(1)))
    ids, (first, second) = at_fault(store, over, "shop", END)
    assert ids == over.trace_ids
    assert (first.trace_id, first.span_id, first.field) == (trace_id(8), f"{3:016x}", "output")
    assert first.quote == "no such order"
    assert second.trace_id == trace_id(1)


def test_silence_has_nobody_to_blame(store: SqliteTrajectories) -> None:
    """What did not run has no trajectory."""
    assert at_fault(store, finding(Kind.SILENCE), "shop", END) == ((), ())


def test_an_error_that_few_of_the_missed_goals_share_is_not_theirs(tmp_path: Path) -> None:
    """Where most missed their goal without an error, that of one run is no evidence, and the run comes last."""
    store = SqliteTrajectories(tmp_path / "store.db")
    for number in range(1, 6):
        late = {"status": Status.ERROR, "status_message": "timed out"} if number == 1 else {}
        store.add([root(number, at_s=60, outcome=Outcome.FAILURE), tool(number, 3, at_s=61, **late)])
    ids, evidence = at_fault(store, finding(Kind.SUCCESS), "shop", END)
    assert (ids[-1], len(ids), evidence) == (trace_id(1), 5, ())
    _, evidence = at_fault(store, finding(Kind.ERRORS), "shop", END)
    assert [one.quote for one in evidence] == ["timed out"]


def broken(number: int, said: str, *, name: str = "lookup_order", at_s: float = 0.0) -> list[Span]:
    """Return a run that ends with an error after a call of a tool that fails, or with nothing said."""
    late = {"status": Status.ERROR, "status_message": said} if said else {}
    end = {"status": Status.ERROR, "outcome": Outcome.ERROR}
    return [root(number, at_s=at_s, **end), tool(number, 3, at_s=at_s + 1, tool=name, **late)]


def test_an_error_that_is_as_common_as_it_always_was_is_no_evidence(tmp_path: Path) -> None:
    """Runs fail five times as often; the tool's time-outs are what they were, and the new error is named alone."""
    store = SqliteTrajectories(tmp_path / "store.db")
    for number in range(1, 11):
        store.add(broken(number, f"timed out after {number} s", at_s=number))
    for number in range(11, 31):
        store.add(broken(number, "timed out after 9 s" if number < 15 else "", at_s=3600 + number))
    found = replace(finding(Kind.ERRORS), onset=EPOCH + HOUR, onset_low=EPOCH + HOUR, value=0.1, baseline=0.02)
    assert at_fault(store, found, "shop", END)[1] == ()
    store.add(broken(31, "no such model", at_s=3700))
    ids, evidence = at_fault(store, found, "shop", END)
    assert [one.quote for one in evidence] == ["no such model"]
    assert ids[0] == trace_id(31)


def test_an_error_that_became_more_common_is_evidence_though_it_is_old(tmp_path: Path) -> None:
    """The same words at twenty times the rate are what rose; another old error at its old rate is not quoted beside."""
    store = SqliteTrajectories(tmp_path / "store.db")
    for number in range(1, 11):
        store.add(broken(number, "503 unavailable" if number % 2 else "timed out", at_s=number))
    for number in range(11, 51):
        store.add(broken(number, "timed out" if number == 11 else "503 unavailable", at_s=3600 + number))
    for kind in (Kind.ERRORS, Kind.TOOL_ERRORS, Kind.SUCCESS):
        subject = Subject(agent="shop", tool="lookup_order" if kind is Kind.TOOL_ERRORS else None)
        onset = {"onset": EPOCH + HOUR, "onset_low": EPOCH + HOUR, "value": 0.4, "baseline": 0.02}
        _, evidence = at_fault(store, replace(finding(kind), subject=subject, **onset), "shop", END)
        assert [one.quote for one in evidence] == ["503 unavailable"]


def test_missed_goals_are_those_that_failed_or_broke(store: SqliteTrajectories) -> None:
    """A goal is missed where an evaluation says so, and where the run broke."""
    assert at_fault(store, finding(Kind.SUCCESS), "shop", END)[0] == (trace_id(9), trace_id(10))


@pytest.mark.parametrize(("unit", "said"), [("USD", "dear"), ("tokens", "long")])
def test_the_dearest_step_of_a_budget_is_that_of_its_own_unit(tmp_path: Path, unit: str, said: str) -> None:
    """A long reply of a cheap model and a short one of a dear model: each budget quotes what used it up."""
    with SqliteTrajectories(tmp_path / "store.db") as store:
        long = {"cost_usd": 0.01, "tokens": Tokens(9000, 900), "output": "long\nand longer"}
        store.add([root(1), chat(1, 2, cost_usd=0.5, output="\n dear "), chat(1, 3, at_s=2, **long)])
        _, evidence = at_fault(store, replace(finding(Kind.BUDGET), unit=unit), "shop", END)
    assert [one.quote for one in evidence] == [said]


def test_the_budget_of_a_day_is_used_up_from_its_midnight_on(tmp_path: Path) -> None:
    """What ran before the budget was gone has used it up as well; what ran the day before has not."""
    with SqliteTrajectories(tmp_path / "store.db") as store:
        for number, at_s in ((1, -600), (2, 600), (3, 11 * 3600)):
            store.add([root(number, at_s=at_s), chat(number, 2, at_s=at_s, cost_usd=9.0 / number)])
        gone = replace(finding(Kind.BUDGET), unit="USD", onset=EPOCH + 10 * HOUR)
        assert at_fault(store, gone, "shop", EPOCH + 12 * HOUR)[0] == (trace_id(2), trace_id(3))
