"""What is computed about a finding from the store, before anyone explains it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from support.incidents import finding
from support.spans import EPOCH, chat, root, tool, trace_id

from analyzer.accounting.examine import examine, is_single, with_extent
from analyzer.accounting.peers import peers_of
from analyzer.stores.base import Usage
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.metric import Series, Signal, Window
from analyzer.types.report import Affected, Examined, Finding, Kind, Subject
from analyzer.types.trace import Outcome, Span, Status, Tokens

ONSET = EPOCH + timedelta(hours=1)
FAILED = {"status": Status.ERROR, "status_message": "backend is down"}


def calls(number: int, at_s: float, ends: str, name: str = "lookup_order") -> list[Span]:
    """Return a trajectory of the shop with a call of a tool per end: `.` went well, `x` failed. The run succeeds."""
    spans = [root(number, at_s=at_s, lasts_s=60, outcome=Outcome.SUCCESS)]
    for index, end in enumerate(ends):
        more = FAILED if end == "x" else {}
        spans.append(tool(number, 10 + index, at_s=at_s + index, tool=name, input=f'{{"order": {index}}}', **more))
    return spans


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteTrajectories]:
    """Give a store: before the onset two sound runs; since then four that call the tool, two of which see it fail."""
    with SqliteTrajectories(tmp_path / "store.db") as opened:
        before = [*calls(1, 0, "."), *calls(2, 60, "x")]
        since = [
            *calls(3, 3600, "xxx"),
            *calls(4, 3700, "x."),
            *calls(5, 3800, "."),
            *calls(6, 3900, "."),
            *calls(7, 4000, "x", name="refund"),
        ]
        opened.add([*before, *since])
        yield opened


def failing(**fields: object) -> Finding:
    """Return the finding about the tool: 4 of 7 calls failed."""
    values = {"tool": "lookup_order", "unit": "calls", "affected": 4, "of": 7, "onset": ONSET, "value": 4 / 7}
    return finding(Kind.TOOL_ERRORS, "shop", **(values | fields))


def examined(store: SqliteTrajectories, found: Finding) -> Examined:
    """Examine a finding two hours after the history begins."""
    return examine(store, found, at=EPOCH + timedelta(hours=2), history_start=EPOCH)


def test_a_failing_tool_hits_the_trajectories_in_which_a_call_of_it_failed(store: SqliteTrajectories) -> None:
    """Of the trajectories that called the tool since the onset those count that saw it fail, however often."""
    assert examined(store, failing()).affected == Affected(2, 4)


def test_a_store_that_holds_a_sample_does_not_say_how_many_trajectories_were_hit(store: SqliteTrajectories) -> None:
    """Where the counters saw far more calls than the store holds, its trajectories are a sample and no answer."""
    assert examined(store, failing(affected=400, of=700)).affected is None


def test_other_kinds_count_trajectories_themselves(store: SqliteTrajectories) -> None:
    """A finding of failed trajectories keeps its own count."""
    assert examined(store, finding(Kind.ERRORS, "shop", onset=ONSET, affected=3, of=5)).affected is None


def test_findings_of_one_onset_share_what_was_used_in_their_periods(store: SqliteTrajectories) -> None:
    """Each period is asked for once, however many findings compare it, and the accounts are what they are alone."""
    asked: Counter[tuple[object, ...]] = Counter()

    @cache
    def usage(agent: str, start: datetime, end: datetime) -> list[Usage]:
        asked[agent, start, end] += 1
        return store.usage(agent, start, end)

    found = [finding(kind, "shop", onset=ONSET) for kind in (Kind.STEPS, Kind.TOKENS)]
    at, since = EPOCH + timedelta(hours=2), EPOCH
    shared = [examine(store, one, at=at, history_start=since, usage=usage) for one in found]
    assert shared == [examined(store, one) for one in found]
    assert shared[0].account
    assert len(asked) == asked.total() > 1


def test_what_metrics_name_goes_before_what_the_store_finds(store: SqliteTrajectories) -> None:
    """No trajectory twice, and no more than the worst five; what the errors say stays."""
    alone = examined(store, failing())
    named = examine(
        store,
        failing(),
        at=EPOCH + timedelta(hours=2),
        history_start=EPOCH,
        exemplars=[trace_id(7), alone.trace_ids[-1], trace_id(6), trace_id(5)],
    )
    assert alone.trace_ids == (trace_id(3), trace_id(4))
    assert named.trace_ids == tuple(trace_id(number) for number in (7, 4, 6, 5, 3))
    assert named.evidence == alone.evidence


def spending(first: int, runs: int, from_s: float, tokens: int) -> list[Span]:
    """Return runs of the writer spread over an hour, each with one inference at a ten-thousandth of a cent a token."""
    spans = []
    for number in range(first, first + runs):
        at_s = from_s + (number - first) * 3500 / runs
        used = {"tokens": Tokens(input=tokens, output=0), "cost_usd": tokens * 1e-6}
        spans += [root(number, at_s=at_s, agent="writer"), chat(number, 2, at_s=at_s, **used)]
    return spans


@pytest.mark.parametrize(("runs", "with_runs"), [(10, False), (45, True), (160, True)])
def test_a_fall_of_traffic_does_not_turn_an_account_around(
    store: SqliteTrajectories, runs: int, *, with_runs: bool
) -> None:
    """Each run costs twice as much: that is what is accounted for, also where fewer runs spend less altogether."""
    store.add([*spending(100, 40, 0, 1000), *spending(1000, runs, 3600, 2000)])
    found = finding(Kind.COST, "writer", onset=ONSET, onset_low=ONSET, onset_high=ONSET)
    account = {one.factor: one for one in examined(store, found).account}
    assert ("runs" in account) is with_runs
    assert sum(one.share for one in account.values()) == pytest.approx(1)
    assert account["input tokens per step"].share > 0
    assert (account["input tokens per step"].from_value, account["input tokens per step"].to_value) == (1000, 2000)


def test_failures_of_two_trajectories_are_no_failing_tool() -> None:
    """Calls of one trajectory fail together: it takes three that saw a failure, counted, not only those looked at."""
    found = failing(affected=40, of=60)
    assert is_single(Examined(found, affected=Affected(2, 9), trace_ids=("a", "b", "c")))
    assert not is_single(Examined(found, affected=Affected(3, 9), trace_ids=("a", "b")))
    assert is_single(Examined(found, trace_ids=("a", "b")))
    assert not is_single(Examined(found))
    assert not is_single(Examined(finding(Kind.ERRORS), trace_ids=("a",)))


def hours_of(*runs: int) -> Window:
    """Return a window in which so many runs of the shop ended in each quarter of an hour."""
    counts = [float(count) for count in runs]
    series = Series(
        Signal.ERRORS, Subject("shop"), "trajectories", "store", "q", int(EPOCH.timestamp()), counts, [0.0] * len(runs)
    )
    return Window(start=EPOCH, end=EPOCH + timedelta(hours=2), series=(series,))


@pytest.mark.parametrize(("affected", "of"), [(3, 70), (75, 75)])
def test_a_loop_is_of_the_runs_since_its_onset(affected: int, of: int) -> None:
    """Runs before the onset do not count, suspects or not; a looping run that has not ended counts as hit and seen."""
    found = finding(Kind.LOOP, "shop", onset=ONSET, affected=affected, of=89)
    assert with_extent(found, hours_of(5, 5, 5, 5, 40, 30)).of == of


def test_a_loop_of_an_agent_that_no_series_counts_is_of_its_suspects() -> None:
    """Where nobody counted the agent's runs, those that were looked through are what is known."""
    found = finding(Kind.LOOP, "other", onset=ONSET, affected=3, of=9)
    assert with_extent(found, hours_of(5, 5)).of == 9


def test_peers_have_the_same_kind_of_task_where_there_are_any(tmp_path: Path) -> None:
    """A run is compared with others that were asked for the same; with any that did well where none was."""

    def run(number: int, goal: str, outcome: Outcome = Outcome.SUCCESS) -> list[Span]:
        spans = [root(number, at_s=60 * number, input=goal, outcome=outcome)]
        return [*spans, chat(number, 10, at_s=60 * number, tokens=Tokens(100 * number, 10))]

    refunds = [run(number, f"refund order {number}") for number in (2, 3)]
    others = [run(number, f"translate page {number} into French") for number in (4, 5, 6)]
    with SqliteTrajectories(tmp_path / "tasks.db") as store:
        failed = [run(1, "refund order 1", Outcome.FAILURE), run(7, "count the stock", Outcome.FAILURE)]
        store.add([span for spans in (*refunds, *others, *failed) for span in spans])
        refund, stock = (store.trajectory(trace_id(number)).summary for number in (1, 7))
        assert set(peers_of(store, refund)) == {trace_id(2), trace_id(3)}
        assert len(peers_of(store, stock)) == 3
        store.add(run(600, "translate page 8 into French", Outcome.FAILURE))
        found = finding(Kind.COST, "shop", onset=EPOCH + timedelta(hours=9), onset_low=EPOCH + timedelta(hours=8))
        since = examine(store, found, at=EPOCH + timedelta(hours=11), history_start=EPOCH)
        assert since.trace_ids == (trace_id(600),)
        assert set(since.healthy_trace_ids) == {trace_id(4), trace_id(5), trace_id(6)}
