"""What explains what within one incident: which finding leads it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from support.incidents import NOW, ONSET, finding, trace

from analyzer.triage import triage
from analyzer.types.report import Examined, Finding, Incident, Kind, Severity

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def run(found: Sequence[Finding | Examined]) -> tuple[Incident, ...]:
    """Triage the findings of a first run."""
    examined = [entry if isinstance(entry, Examined) else Examined(entry) for entry in found]
    return triage(examined, (), NOW, run_start=NOW - DAY, severity=lambda _found, _last: Severity.MEDIUM)


def kinds(found: Sequence[Finding | Examined]) -> list[Kind]:
    """Return the kinds of the one incident that the findings make, its lead first."""
    (one,) = run(found)
    return [entry.kind for entry in one.findings]


def loop(looping: int, of: int, *, tool: str | None = "search", **fields: Any) -> Finding:
    """Return a loop that some of the trajectories since its onset are in."""
    ids = tuple(map(trace, range(1, looping + 1)))
    values: dict[str, Any] = {"value": 12.0, "baseline": 4.0, "unit": "repeats", "affected": looping, "of": of}
    return finding(Kind.LOOP, tool=tool, **(values | {"trace_ids": ids} | fields))


def failing(failed: int, of: int, **fields: Any) -> Examined:
    """Return a failing tool, with the worst trajectories that failed."""
    values: dict[str, Any] = {"tool": "search", "value": failed / of, "baseline": 0.01, "unit": "trajectories"}
    found = finding(Kind.TOOL_ERRORS, **(values | {"affected": failed, "of": of} | fields))
    return Examined(found, trace_ids=tuple(map(trace, range(1, 6))))


def chosen(picked: int, of: int, **fields: Any) -> Finding:
    """Return another choice than usual."""
    values: dict[str, Any] = {"tool": "search", "value": picked / of, "baseline": 0.01, "unit": "share"}
    return finding(Kind.TOOL_CHOICE, **(values | {"affected": picked, "of": of} | fields))


def test_a_budget_that_is_set_does_not_change_what_a_rise_costs() -> None:
    """What went over the budget is held against a limit, and not against what was usual: it is no part of the rise."""
    rise = finding(Kind.COST, excess_usd=3.07)
    over = finding(Kind.BUDGET, value=5.19, baseline=1.0, excess_usd=8.81)
    (alone,) = run([rise])
    (both,) = run([rise, over])
    assert {entry.kind for entry in both.findings} == {Kind.COST, Kind.BUDGET}
    assert (both.excess_usd, both.title) == (3.07, alone.title)
    (budget,) = run([over])
    assert budget.excess_usd == 8.81


@pytest.mark.parametrize("cause", [failing, chosen])
def test_a_loop_in_few_of_what_is_hit_is_how_it_goes_on(cause: Any) -> None:
    """Two agents that go round in replies, or in the failing tool, do not explain a hundred that only fail."""
    for tool in (None, "search"):
        found = [loop(2, 150, tool=tool, onset=ONSET + HOUR / 2), cause(100, 160)]
        if cause is chosen and tool is None:
            found[1] = Examined(cause(100, 160), trace_ids=(trace(1), trace(2)))
        assert kinds(found)[0] is found_kind(found[1])


def found_kind(entry: Finding | Examined) -> Kind:
    """Return the kind of what may or may not have been examined."""
    return entry.finding.kind if isinstance(entry, Examined) else entry.kind


@pytest.mark.parametrize("cause", [failing, chosen])
def test_a_loop_that_makes_up_half_of_it_leads(cause: Any) -> None:
    """Most of what fails, or calls the tool, loops: the loops are what made the share rise."""
    assert kinds([loop(30, 100), cause(40, 100)])[0] is Kind.LOOP


PLACE: dict[str, Any] = {"tool": "search", "value": 0.84, "baseline": 0.79}


def test_a_loop_that_makes_the_shift_of_a_choice_leads() -> None:
    """A tool that four of five runs call anyway is called by a few more: the 60 that go round in it are the fault."""
    assert kinds([loop(60, 204), chosen(357, 425, **PLACE)])[0] is Kind.LOOP


def test_a_choice_that_stands_without_the_loops_leads() -> None:
    """Take 20 looping runs out of 357 and most of the shift is still there: they are how the new choice goes on."""
    assert kinds([loop(20, 204, onset=ONSET + HOUR / 2), chosen(357, 425, **PLACE)])[0] is Kind.TOOL_CHOICE


def test_runs_that_loop_instead_of_what_is_usual_lead() -> None:
    """The usual tool is no longer picked in 70 of 100 runs, where 20 did without it: 33 loops are most of the shift."""
    gone = chosen(70, 100, value=0.3, baseline=0.8)
    assert kinds([loop(33, 100), gone])[0] is Kind.LOOP
    assert kinds([loop(20, 100, onset=ONSET + HOUR / 2), gone])[0] is Kind.TOOL_CHOICE


@pytest.mark.parametrize("cause", [failing, chosen])
def test_a_loop_is_held_against_the_share_in_its_own_hours(cause: Any) -> None:
    """Loops are looked for in a day, the rest since its onset: 30 of 60 are as many as 150 of 300, and 6 of 60 few."""
    early = {"onset": ONSET - 3 * DAY}
    edge = {"onset": NOW - DAY + HOUR / 4}
    assert kinds([loop(30, 60, **edge), cause(150, 300, **early)])[0] is Kind.LOOP
    assert kinds([loop(6, 60, **edge), cause(150, 300, **early)])[0] is not Kind.LOOP


def test_replies_that_repeat_in_few_of_the_runs_that_fail_are_no_cause() -> None:
    """While a provider is down two agents say the same again: the errors lead. Where half of them do, the loop does."""
    values: dict[str, Any] = {"value": 0.6, "baseline": 0.01, "unit": "trajectories", "affected": 60, "of": 100}
    down = Examined(finding(Kind.ERRORS, **values), trace_ids=(trace(1), trace(2), trace(3)))
    assert kinds([loop(2, 90, tool=None, onset=ONSET + HOUR / 2), down])[0] is Kind.ERRORS
    assert kinds([loop(40, 90, tool=None, onset=ONSET + HOUR / 2), down])[0] is Kind.LOOP


def test_a_few_loops_of_a_few_hours_say_nothing_of_a_share() -> None:
    """Two of the last three trajectories loop by chance as well: the wide failure goes on leading."""
    edge = {"onset": NOW - DAY + HOUR / 4}
    assert kinds([loop(2, 3, **edge), failing(150, 300, onset=ONSET - 3 * DAY)])[0] is Kind.TOOL_ERRORS


def test_what_was_there_first_is_not_explained_by_what_came_later() -> None:
    """Agents went round in replies before the tool began to fail: the loop is no way of trying again."""
    long_before = loop(2, 150, tool=None, onset=ONSET + HOUR / 2, began=ONSET - 3 * DAY, onset_low=ONSET - 3 * DAY)
    assert {one.kind for one in run([long_before, failing(100, 160)])} == {Kind.LOOP, Kind.TOOL_ERRORS}
    slightly = loop(2, 150, tool=None, onset=ONSET - 2 * HOUR, onset_low=ONSET - 2 * HOUR, onset_high=ONSET - HOUR)
    assert kinds([slightly, failing(100, 160)])[0] is Kind.LOOP


def test_replies_that_repeat_beside_the_calls_of_one_loop_are_one_incident() -> None:
    """A failed call in its midst breaks the row of equal results, not that of replies: one fault, told by its tool."""
    calls = loop(56, 204, value=15.0, score=15.0)
    for began, few in ((ONSET + HOUR / 4, 17), (ONSET + HOUR / 4, 50), (ONSET + 9 * HOUR, 17)):
        ids = tuple(map(trace, range(100, 100 + few)))
        replies = loop(few, 215, tool=None, value=18.0, score=18.0, onset=began, trace_ids=ids)
        (one,) = run([replies, calls])
        assert [entry.subject.tool for entry in one.findings] == ["search", None]


def test_replies_that_repeat_long_before_or_over_another_tool_stay_apart() -> None:
    """What began days before, and what goes round in a tool of its own, is another fault."""
    long_ago: dict[str, Any] = {"began": ONSET - 3 * DAY, "onset_low": ONSET - 3 * DAY}
    other = tuple(map(trace, range(100, 117)))
    for apart in (loop(17, 215, tool=None, trace_ids=other, **long_ago), loop(17, 215, tool="fetch", trace_ids=other)):
        assert len(run([apart, loop(56, 204)])) == 2
