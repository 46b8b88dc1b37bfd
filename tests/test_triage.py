from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.incidents import NOW, ONSET, finding, metric, quote, trace

from analyzer.triage import Rules, triage
from analyzer.triage.rules import CAUSE_ORDER
from analyzer.triage.trust import distrusted
from analyzer.types.choices import Shifted
from analyzer.types.diagnosis import Claim, Diagnosis, Ending, Verdict
from analyzer.types.document import incident_document, incident_from_document
from analyzer.types.hearing import heard
from analyzer.types.report import Affected, Change, Examined, Factor, Finding, Incident, Kind, Severity, State, Subject
from analyzer.types.word import Episode, Said, Word

HOUR = timedelta(hours=1)
WINDOW = timedelta(days=1)


def grade(found: Finding, _last: Severity | None = None) -> Severity:
    """Rank by money, as simply as a test can use it."""
    usd = found.excess_usd or 0
    return Severity.CRITICAL if usd >= 1000 else Severity.HIGH if usd >= 100 else Severity.MEDIUM


def run(
    found: Sequence[Finding | Examined], previous: Sequence[Incident] = (), at: datetime = NOW, **fields: Any
) -> tuple[Incident, ...]:
    """Triage findings as a run with a window of a day does."""
    examined = [entry if isinstance(entry, Examined) else Examined(entry) for entry in found]
    return triage(examined, previous, at, run_start=at - WINDOW, severity=grade, **fields)


def loop(*numbers: int, **fields: Any) -> Finding:
    """Return a loop in the trajectories of these numbers."""
    values: dict[str, Any] = {"tool": "lookup_order", "value": 25.0, "baseline": 8.0, "unit": "repeats", "of": 90}
    ids = tuple(trace(number) for number in numbers)
    return finding(Kind.LOOP, **(values | {"trace_ids": ids, "affected": len(ids)} | fields))


def explained(incident: Incident, *evidence: str, by: str = "claude-sonnet-5-5") -> Incident:
    """Return the incident with an explanation of NOW that rests on evidence."""
    claim = Claim("It is so.", evidence)
    diagnosis = Diagnosis(Verdict.LIKELY, by, Ending.ANSWERED, "s", "c", (claim,), None, (), "check", 0, as_of=NOW)
    return replace(incident, diagnosis=diagnosis)


def test_severity_is_judged_beside_the_last_one_and_rises_only_where_the_agent_is_seen() -> None:
    """The known incident is the memory; a blind agent's, and any agent's of a silent fleet, becomes no more severe."""
    asked: list[Severity | None] = []

    def judge(found: Finding, last: Severity | None) -> Severity:
        asked.append(last)
        return grade(found)

    (first,) = triage([Examined(finding(excess_usd=10))], [], NOW, run_start=NOW - WINDOW, severity=judge)
    dear = finding(excess_usd=2000)
    (seen,) = triage([Examined(dear)], [first], NOW + HOUR, run_start=NOW - WINDOW, severity=judge)
    assert asked == [None, Severity.MEDIUM]
    assert (first.severity, seen.severity) == (Severity.MEDIUM, Severity.CRITICAL)
    (blind,) = run([dear], [first], NOW + HOUR, blind=frozenset({"support-triage"}))
    assert (blind.severity, blind.excess_usd) == (Severity.MEDIUM, 2000)
    silence = finding(Kind.SILENCE, None, value=0.0, baseline=4.0)
    grades = {one.kind: one.severity for one in run([dear, silence], [first], NOW + HOUR)}
    assert grades == {Kind.COST: Severity.MEDIUM, Kind.SILENCE: Severity.MEDIUM}
    assert run([dear], [], NOW, blind=frozenset({"support-triage"}))[0].severity is Severity.CRITICAL


def test_what_a_loss_comes_to_in_a_day_stays_while_nothing_runs() -> None:
    """Money is spread over the time in which the agent ran; so is what is told as last seen. A silence goes on."""
    ran = {"support-triage": NOW - 2 * HOUR, "other": NOW}
    (first,) = run([finding(excess_usd=45.5)], ran=ran)
    (later,) = run([finding(excess_usd=45.5)], [first], NOW + 9 * HOUR, ran=ran | {"other": NOW + 9 * HOUR})
    told = "support-triage: cost per trajectory 2.3x since 2026-11-23 08:10 UTC, $139 a day too much"
    assert (first.title, later.title) == (told, told)
    assert later.last_seen_at == NOW + 9 * HOUR
    assert (later.last_ran_at, later.seen_until) == (NOW - 2 * HOUR, NOW - 2 * HOUR)
    assert incident_from_document(incident_document(later)).seen_until == NOW - 2 * HOUR
    (silence,) = run([finding(Kind.SILENCE, value=0.0, baseline=4.0)], ran=ran)
    assert (silence.last_ran_at, silence.seen_until) == (None, NOW)


def test_first_sight_opens_an_incident_with_everything_computed() -> None:
    """A finding nobody knew becomes an open incident with figures, subject, changes, account and numbered evidence."""
    found = finding(affected=212, of=260, excess_usd=45.5, evidence=(metric(), metric(value=0.135)))
    entry = Examined(
        found,
        account=(Factor("price", 1.0, 2.0, 1.0),),
        changes=(Change("version", "2.3.1", "2.4.0", ONSET), Change("model", "a", "b", ONSET)),
        trace_ids=(trace(7), trace(8)),
        healthy_trace_ids=(trace(1),),
        evidence=(quote(), metric()),
    )
    (one,) = run([entry])
    assert one.state is State.OPEN
    assert one.title == "support-triage: cost per trajectory 2.3x since 2026-11-23 08:10 UTC, $111 a day too much"
    assert one.subject == Subject("support-triage", "2.4.0", "b", None)
    assert (one.onset, one.opened_at, one.last_seen_at, one.resolved_at) == (ONSET, NOW, NOW, None)
    assert (one.observed, one.expected, one.unit, one.excess_usd) == (0.31, 0.135, "USD", 45.5)
    assert one.ratio == pytest.approx(2.296, abs=0.001)
    assert one.affected == Affected(212, 260)
    assert (one.account, one.changes) == (entry.account, entry.changes)
    assert (one.trace_ids, one.healthy_trace_ids) == (entry.trace_ids, entry.healthy_trace_ids)
    assert [entry.id for entry in one.evidence] == ["E1", "E2", "E3"]
    assert [entry.id for entry in one.findings[0].evidence] == ["E1", "E2"]
    assert one.id.startswith("inc-")
    assert len(one.id) == len("inc-") + 10


def between(kind: Kind, low_h: float, at_h: float, high_h: float, **fields: Any) -> Finding:
    """Return a finding that began so many hours after ONSET, and between which hours."""
    low, at, high = (ONSET + hours * HOUR for hours in (low_h, at_h, high_h))
    return replace(finding(kind, onset=at, **fields), onset_low=low, onset_high=high)


def test_the_title_of_a_loop_says_what_the_loop_wasted() -> None:
    """The excess of the whole incident holds the cost of longer runs too; the loop's own is what it can be held to."""
    dear = Examined(finding(agent="billing", excess_usd=23.47, affected=2, of=90), trace_ids=(trace(1), trace(2)))
    (one,) = run([loop(1, 2, agent="billing", excess_usd=10.57), dear])
    assert (one.kind, one.excess_usd) == (Kind.LOOP, 23.47)
    assert one.title.endswith(", $10.57 wasted")


def test_the_title_of_a_loop_without_prices_says_what_the_incident_cost() -> None:
    """Nothing is called wasted of which nothing is known; what was too much is said of the incident."""
    dear = Examined(finding(agent="billing", excess_usd=23.47, affected=2, of=90), trace_ids=(trace(1), trace(2)))
    (one,) = run([loop(1, 2, agent="billing", excess_usd=0.0), dear])
    assert "wasted" not in one.title
    assert one.title.endswith(" a day too much")


def test_an_incident_began_when_its_sharpest_finding_says() -> None:
    """Cost and tokens leave half a day open, steps date it to the hour: that hour it is, and what changed then."""
    deploy = Change("version", "1", "2", ONSET + 3 * HOUR)
    early = Change("prompt", "a", "b", ONSET - 3 * HOUR)
    price = Change("price", "m at 1", "m at 2", ONSET - 2 * HOUR)
    cost = Examined(between(Kind.COST, -6, -2, 6, excess_usd=9.0), changes=(early, price, deploy))
    tokens = Examined(between(Kind.TOKENS, -5, 0, 7))
    steps = Examined(between(Kind.STEPS, 2.5, 3, 3.5), changes=(deploy,))
    (one,) = run([cost, tokens, steps])
    assert (one.kind, one.onset) == (Kind.COST, ONSET + 3 * HOUR)
    assert one.changes == (deploy, replace(price, at=ONSET + 3 * HOUR))
    assert "since 2026-11-23 11:10 UTC" in one.title
    assert one.findings[0].onset == ONSET - 2 * HOUR


@pytest.mark.parametrize(
    "other",
    [
        between(Kind.STEPS, 7, 7.2, 7.4),
        between(Kind.STEPS, -7, -1, 7),
        between(Kind.BUDGET, 0.75, 1, 1),
        between(Kind.RUNAWAY, 1, 1, 1),
    ],
    ids=["apart", "wider", "a budget that ran out", "a single trajectory"],
)
def test_what_dates_no_better_leaves_the_onset_alone(other: Finding) -> None:
    """Neither a wider interval, nor one that cannot be the same moment, nor the moment of an event is a better date."""
    (one,) = run([between(Kind.COST, -6, -2, 6), other])
    assert one.onset == ONSET - 2 * HOUR


def chosen(shifted: Shifted, tool: str) -> Finding:
    """Return a finding of kind tool-choice."""
    one = finding(Kind.TOOL_CHOICE, "sql-analyst", tool=tool, value=0.3, baseline=0.0, affected=12, of=40)
    return replace(one, shifted=shifted, unit="share")


@pytest.mark.parametrize(
    ("found", "title"),
    [
        (
            loop(1, 2, agent="billing", excess_usd=3.2),
            "billing: lookup_order repeated up to 25x in 2 of 90 trajectories since 2026-11-23 08:10 UTC, $3.20 wasted",
        ),
        (
            loop(1, 2, agent="claims", tool=None),
            "claims: repeats itself up to 25x in 2 of 90 trajectories since 2026-11-23 08:10 UTC",
        ),
        (
            finding(Kind.ERRORS, "sql-analyst", value=0.34, baseline=0.02, onset=ONSET - timedelta(days=1)),
            "sql-analyst: 34 % of trajectories fail (2 % expected) since 2026-11-22 08:10 UTC",
        ),
        (
            finding(Kind.TOOL_ERRORS, "sql-analyst", tool="run_query", value=0.5, baseline=0.001),
            "sql-analyst: run_query: 50 % of calls fail (0.1 % expected) since 2026-11-23 08:10 UTC",
        ),
        (
            finding(
                Kind.TOOL_ERRORS,
                "sql-analyst",
                tool="run_query",
                value=0.31,
                baseline=0.002,
                unit="trajectories",
                affected=13,
                of=37,
            ),
            (
                "sql-analyst: run_query fails in 13 of 37 trajectories: 31 % of a trajectory's calls (0.2 % expected)"
                " since 2026-11-23 08:10 UTC"
            ),
        ),
        (
            finding(excess_usd=4.0, onset=NOW - HOUR),
            "support-triage: cost per trajectory 2.3x since 2026-11-23 17:00 UTC, $4.00 too much",
        ),
        (
            finding(excess_usd=4.0, recovered=NOW - HOUR),
            "support-triage: cost per trajectory 2.3x from 2026-11-23 08:10 to 17:00 UTC, $4.00 too much",
        ),
        (finding(baseline=0.0), "support-triage: cost per trajectory at $0.31 since 2026-11-23 08:10 UTC"),
        (finding(Kind.SILENCE, None, affected=0), "fleet: has gone silent since 2026-11-23 08:10 UTC"),
        (
            finding(Kind.TOOL_LATENCY, tool="search"),
            "support-triage: duration of search 2.3x since 2026-11-23 08:10 UTC",
        ),
        (
            chosen(Shifted("tables", "orders", "archive"), tool="run_sql"),
            (
                "sql-analyst: picks table archive instead of orders (run_sql) in 12 of 40 trajectories"
                " since 2026-11-23 08:10 UTC"
            ),
        ),
        (
            chosen(Shifted("region", None, "us-east-1"), tool="deploy"),
            "sql-analyst: picks region us-east-1 (deploy) in 12 of 40 trajectories since 2026-11-23 08:10 UTC",
        ),
        (
            chosen(Shifted("tool", "search_kb", "search_web"), tool="search_web"),
            "sql-analyst: calls search_web instead of search_kb in 12 of 40 trajectories since 2026-11-23 08:10 UTC",
        ),
        (
            chosen(Shifted("tool", "search_kb", None), tool="search_kb"),
            "sql-analyst: no longer calls search_kb in 12 of 40 trajectories since 2026-11-23 08:10 UTC",
        ),
        (
            finding(Kind.RUNAWAY, value=1240, baseline=40, unit="steps", affected=2, of=400),
            (
                "support-triage: up to 1,240 steps where 40 steps is usual in 2 of 400 trajectories"
                " since 2026-11-23 08:10 UTC"
            ),
        ),
        (
            finding(Kind.BUDGET, value=28.1, baseline=20, unit="USD", affected=0, excess_usd=8.1, onset=NOW - HOUR),
            "support-triage: $28.10 spent in a day, $20.00 budgeted since 2026-11-23 17:00 UTC, $8.10 too much",
        ),
        (
            finding(Kind.BUDGET, value=90, baseline=50, unit="steps a trajectory", affected=1, of=0),
            "support-triage: 90 steps spent a trajectory, 50 steps budgeted in 1 trajectory since 2026-11-23 08:10 UTC",
        ),
        (
            finding(Kind.SUCCESS, value=0.55, baseline=0.3),
            "support-triage: 55 % of trajectories miss their goal (30 % expected) since 2026-11-23 08:10 UTC",
        ),
        (
            finding(Kind.RETRIES, value=0.2, baseline=0.05),
            "support-triage: 20 % of trajectories have to try again (5 % expected) since 2026-11-23 08:10 UTC",
        ),
        (
            finding(Kind.RETRIES, value=0.2, baseline=0.05, excess_usd=0.00001),
            "support-triage: 20 % of trajectories have to try again (5 % expected) since 2026-11-23 08:10 UTC",
        ),
        (
            finding(Kind.RETRIES, value=0.2, baseline=0.05, excess_usd=0.02, onset=NOW - 72 * HOUR),
            "support-triage: 20 % of trajectories have to try again (5 % expected) since 2026-11-20 18:00 UTC",
        ),
        (
            finding(Kind.TOOL_COST, tool="search", excess_usd=0.004, onset=NOW - HOUR),
            "support-triage: cost of search 2.3x since 2026-11-23 17:00 UTC, $0.004 too much",
        ),
        (
            finding(Kind.TRUNCATION, value=0.1, baseline=0.001),
            "support-triage: 10 % of trajectories are cut short (0.1 % expected) since 2026-11-23 08:10 UTC",
        ),
        (
            finding(Kind.STEPS, value=9.0, baseline=6.0),
            "support-triage: steps per trajectory 1.5x since 2026-11-23 08:10 UTC",
        ),
        (finding(Kind.TOKENS), "support-triage: tokens per trajectory 2.3x since 2026-11-23 08:10 UTC"),
        (finding(Kind.LATENCY), "support-triage: duration of a trajectory 2.3x since 2026-11-23 08:10 UTC"),
        (
            finding(Kind.TOOL_COST, tool="search", excess_usd=4.0, onset=NOW - HOUR),
            "support-triage: cost of search 2.3x since 2026-11-23 17:00 UTC, $4.00 too much",
        ),
        (
            finding(agent="a\n\x1b[31mred" + "x" * 99),
            f"a ␛[31mred{'x' * 49}…: cost per trajectory 2.3x since 2026-11-23 08:10 UTC",
        ),
    ],
)
def test_title_says_what_who_how_much_since_when(found: Finding, title: str) -> None:
    """The title is one line that reads the same next week, its times in full; a rate only once it is no guess."""
    assert run([found])[0].title == title


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_a_place_and_a_title(kind: Kind) -> None:
    """No kind is forgotten: each has a rank among causes and a title that names its agent."""
    assert kind in CAUSE_ORDER
    assert run([finding(kind)])[0].title.startswith("support-triage: ")


def test_same_data_again_changes_nothing_but_the_state() -> None:
    """A second run on the same data leaves the incident as it was: ongoing, with the same id and figures."""
    first = run([finding(), loop(1, agent="billing-bot")])
    second = run([finding(), loop(1, agent="billing-bot")], first)
    assert [replace(one, state=State.OPEN) for one in second] == list(first)
    assert {one.state for one in second} == {State.ONGOING}


def test_id_survives_a_moving_estimate() -> None:
    """The id belongs to the incident: a later run that estimates another onset keeps it."""
    (first,) = run([finding()])
    (second,) = run([finding(onset=ONSET - 3 * HOUR)], [first], NOW + HOUR)
    assert second.id == first.id
    assert second.onset == ONSET - 3 * HOUR
    assert (second.opened_at, second.last_seen_at) == (NOW, NOW + HOUR)


def test_loop_among_the_costly_trajectories_is_the_cause_of_the_cost() -> None:
    """Cost and loop of one agent with the same trajectories are one incident of kind loop."""
    cost = Examined(
        finding(excess_usd=45.0),
        trace_ids=tuple(map(trace, (1, 2, 3, 9))),
        account=(Factor("steps per run", 5, 20, 1.0),),
    )
    (one,) = run([cost, loop(1, 2, 3, 4, excess_usd=1.0)])
    assert one.kind is Kind.LOOP
    assert [found.kind for found in one.findings] == [Kind.LOOP, Kind.COST]
    assert one.subject.tool == "lookup_order"
    assert one.account == cost.account
    assert one.excess_usd == 45.0
    assert one.trace_ids == tuple(map(trace, (1, 2, 3, 4, 9)))


def test_loop_that_explains_the_money_is_the_cause_of_the_cost() -> None:
    """Without common trajectories the loop is still the cause where it wasted half of the excess."""
    assert len(run([finding(excess_usd=10.0), loop(1, excess_usd=5.0)])) == 1
    assert len(run([finding(excess_usd=10.0), loop(1, excess_usd=4.9)])) == 2


def test_runaways_of_a_risen_level_are_its_tail() -> None:
    """What first went far hours into a rise of its agent's level is part of it; before or after the rise it is not."""
    far = finding(Kind.RUNAWAY, onset=ONSET + 5 * HOUR, trace_ids=(trace(1),), affected=1)
    (one,) = run([finding(Kind.LATENCY), far])
    assert [found.kind for found in one.findings] == [Kind.LATENCY, Kind.RUNAWAY]
    assert len(run([finding(Kind.LATENCY, recovered=ONSET + 4 * HOUR), far])) == 2
    assert len(run([finding(Kind.LATENCY, onset=ONSET + 8 * HOUR), far])) == 2
    assert len(run([finding(Kind.ERRORS), far])) == 2


def test_a_loop_over_a_newly_chosen_tool_is_the_choice_going_on() -> None:
    """Some runs that picked another tool go round in it: the choice is told. Where most loop, the loop is."""
    chosen = finding(Kind.TOOL_CHOICE, tool="lookup_order", affected=90, of=95)
    (one,) = run([loop(1, 2, affected=20), chosen])
    assert [found.kind for found in one.findings] == [Kind.TOOL_CHOICE, Kind.LOOP]
    (one,) = run([loop(1, 2, affected=80), chosen])
    assert [found.kind for found in one.findings] == [Kind.LOOP, Kind.TOOL_CHOICE]
    assert len(run([loop(1, 2, affected=20, tool="other"), chosen])) == 2


def test_a_loop_misses_its_goals() -> None:
    """Goals missed from the beginning of a loop on belong to it, also when the window no longer shows its beginning."""
    missed = finding(Kind.SUCCESS)
    (one,) = run([loop(1), missed])
    assert [found.kind for found in one.findings] == [Kind.LOOP, Kind.SUCCESS]
    assert len(run([loop(1, onset=ONSET + 5 * HOUR, began=ONSET), missed])) == 1
    assert len(run([loop(1, onset=ONSET + 5 * HOUR), missed])) == 2


def test_loop_of_another_time_or_agent_is_another_incident() -> None:
    """What began at another time, or belongs to another agent, is never merged."""
    cost = Examined(finding(), trace_ids=(trace(1),))
    assert len(run([cost, loop(1, onset=ONSET + 5 * HOUR)])) == 2
    assert len(run([cost, loop(1, agent="billing-bot")])) == 2


def test_a_rise_that_is_felt_hours_after_its_loop_belongs_to_it() -> None:
    """A loop in some runs makes the mean stand out later: one incident, where the dearest loop and that is the money.

    A rise of before the loop is another one, and so is one whose dearest only happen to loop, or to cost as much.
    """
    earlier = loop(1, 2, 3, onset=ONSET - 5 * HOUR, excess_usd=6.0)
    risen = Examined(finding(excess_usd=10.0), trace_ids=(trace(2), trace(3), trace(9)))
    (one,) = run([risen, earlier])
    assert [found.kind for found in one.findings] == [Kind.LOOP, Kind.COST]
    assert one.onset == earlier.onset
    assert len(run([replace(risen, trace_ids=(trace(8), trace(9))), earlier])) == 2
    assert len(run([risen, replace(earlier, excess_usd=4.0)])) == 2
    assert len(run([risen, replace(earlier, onset=ONSET + 5 * HOUR)])) == 2


def test_loop_from_the_edge_of_the_window_may_be_older() -> None:
    """A loop that is there from the first hour of the window began with a cost that is older than the window."""
    cost = Examined(finding(onset=NOW - timedelta(days=3)), trace_ids=(trace(1),))
    assert len(run([cost, loop(1, onset=NOW - WINDOW + HOUR / 2)])) == 1
    assert len(run([cost, loop(1, onset=NOW - WINDOW + 5 * HOUR)])) == 2


def test_failing_tool_and_failing_trajectories_are_one_incident() -> None:
    """Errors and tool errors that begin together are one incident about the tool."""
    errors = finding(Kind.ERRORS, value=0.34, baseline=0.02, affected=40, of=120)
    tool = finding(Kind.TOOL_ERRORS, tool="run_query", value=0.5, baseline=0.01, unit="calls", affected=300, of=600)
    (one,) = run([errors, tool])
    assert (one.kind, one.subject.tool) == (Kind.TOOL_ERRORS, "run_query")
    assert len(run([errors, replace(tool, onset_low=NOW - HOUR, onset_high=NOW)])) == 2


def test_a_failing_tool_is_counted_in_trajectories_or_not_at_all() -> None:
    """Calls are no trajectories, and those that failed are not those that the tool hit: only a count of these."""
    errors = finding(Kind.ERRORS, value=0.34, baseline=0.02, affected=26, of=55)
    tool = finding(Kind.TOOL_ERRORS, tool="run_query", value=0.5, baseline=0.01, unit="calls", affected=300, of=600)
    counted = Examined(tool, affected=Affected(42, 55))
    (known,) = run([errors, counted])
    assert known.affected == Affected(42, 55)
    (unknown,) = run([errors, tool])
    assert unknown.affected == Affected(0, 0)
    (unseen,) = run([errors], [known], NOW + HOUR)
    assert (unseen.kind, unseen.affected) == (Kind.TOOL_ERRORS, Affected(42, 55))


def test_symptoms_move_together() -> None:
    """Cost, tokens, steps and latency of one moment are one incident, not four."""
    kinds = (Kind.COST, Kind.TOKENS, Kind.STEPS, Kind.LATENCY)
    (one,) = run([finding(kind) for kind in kinds])
    assert one.kind is Kind.COST
    assert len(one.findings) == 4


def test_cause_seen_later_joins_the_incident_that_is_open() -> None:
    """A loop found after its cost was filed joins that incident: same id, now of kind loop, and stays there."""
    cost = Examined(finding(excess_usd=10.0), trace_ids=(trace(1),))
    (first,) = run([cost])
    (second,) = run([cost, loop(1)], [first], NOW + HOUR)
    assert (second.id, second.kind, second.state) == (first.id, Kind.LOOP, State.ONGOING)
    (third,) = run([cost], [second], NOW + 2 * HOUR)
    assert (third.id, third.kind) == (first.id, Kind.LOOP)
    assert [found.kind for found in third.findings] == [Kind.LOOP, Kind.COST]


def test_two_incidents_stay_two() -> None:
    """Findings that were filed apart are not merged when a later run sees a connection."""
    cost = Examined(finding(excess_usd=10.0), trace_ids=(trace(5),))
    first = run([cost, loop(1, 2, excess_usd=1.0)])
    assert len(first) == 2
    joined = Examined(cost.finding, trace_ids=(trace(1),))
    second = run([joined, loop(1, 2, excess_usd=9.0)], first, NOW + HOUR)
    assert {one.id for one in second} == {one.id for one in first}


def test_episodes_of_one_anomaly_are_one_incident() -> None:
    """Of two episodes in the window the one that goes on stands for the incident."""
    over = finding(onset=NOW - 20 * HOUR, recovered=NOW - 15 * HOUR)
    (one,) = run([over, finding(onset=NOW - 2 * HOUR)])
    assert (one.state, one.onset) == (State.OPEN, NOW - 2 * HOUR)


def test_of_two_detectors_that_see_one_anomaly_the_larger_is_told() -> None:
    """The cost of the runs and the price of their tokens are one incident, with the figures of what is lost in all."""
    price = finding(Kind.COST, value=0.2, baseline=0.12, excess_usd=8.0)
    price = replace(price, detector="price", onset=price.onset - HOUR)
    cost = finding(Kind.COST, value=0.4, baseline=0.12, excess_usd=28.0)
    (both,) = run([price, cost])
    assert ([one.detector for one in both.findings], both.excess_usd) == (["cost"], 28.0)
    (dearer,) = run([replace(price, excess_usd=30.0), cost], [both], NOW + HOUR)
    assert (dearer.id, [one.detector for one in dearer.findings]) == (both.id, ["price"])
    over = replace(cost, recovered=NOW)
    (still,) = run([price, over], [both], NOW + HOUR)
    assert [one.detector for one in still.findings] == ["price"]


def test_recovery_must_hold_before_an_incident_is_resolved() -> None:
    """A recovered signal resolves its incident after six hours, and not before."""
    (first,) = run([finding()])
    back = finding(recovered=NOW + HOUR)
    (waiting,) = run([back], [first], NOW + 6 * HOUR)
    assert (waiting.state, waiting.last_seen_at) == (State.ONGOING, NOW + HOUR)
    (done,) = run([back], [waiting], NOW + 7 * HOUR)
    assert (done.state, done.resolved_at, done.id) == (State.RESOLVED, NOW + 7 * HOUR, first.id)


def test_a_shifted_choice_ends_when_it_came_back() -> None:
    """Choices are counted, not found one by one: their finding says when they came back, and that resolves."""
    found = chosen(Shifted("tables", "orders", "archive"), tool="run_sql")
    opened = run([found])
    (ongoing,) = run([replace(found, recovered=NOW + HOUR)], opened, NOW + 2 * HOUR)
    (over,) = run([replace(found, recovered=NOW + HOUR)], (ongoing,), NOW + 8 * HOUR)
    assert (ongoing.state, over.state) == (State.ONGOING, State.RESOLVED)


def test_first_sight_of_what_is_over_is_resolved_at_once() -> None:
    """What began and ended between two runs is filed as resolved; what ended before the window is history."""
    (one,) = run([finding(onset=NOW - 20 * HOUR, recovered=NOW - 10 * HOUR)])
    assert (one.state, one.resolved_at, one.last_seen_at) == (State.RESOLVED, NOW, NOW - 10 * HOUR)
    assert run([finding(onset=NOW - 90 * HOUR, recovered=NOW - 80 * HOUR)]) == ()


def test_resolved_incident_is_not_reopened_by_its_own_echo() -> None:
    """The window still shows what was resolved: that is no return, and nothing is reported."""
    back = finding(onset=NOW - 20 * HOUR, recovered=NOW - 10 * HOUR)
    (done,) = run([back])
    assert run([back], [done], NOW + HOUR) == ()


def test_return_after_resolution_is_a_regression_of_the_same_incident() -> None:
    """An anomaly that begins anew keeps the id, is regressed, then ongoing, and is explained afresh."""
    (done,) = run([finding(onset=NOW - 20 * HOUR, recovered=NOW - 10 * HOUR)])
    done = explained(done)
    later = NOW + timedelta(days=4)
    again = finding(onset=later - 2 * HOUR)
    (regressed,) = run([again], [done], later)
    assert (regressed.id, regressed.state) == (done.id, State.REGRESSED)
    assert (regressed.resolved_at, regressed.diagnosis) == (None, None)
    assert (regressed.opened_at, regressed.onset) == (NOW, again.onset)
    (ongoing,) = run([again], [regressed], later + HOUR)
    assert ongoing.state is State.ONGOING


def test_incident_that_a_human_resolved_gets_time_to_recover() -> None:
    """An anomaly that goes on after somebody resolved it is left alone for six hours, then it is a regression."""
    (first,) = run([finding()])
    closed = replace(first, state=State.RESOLVED, resolved_at=NOW + HOUR)
    assert run([finding()], [closed], NOW + 6 * HOUR) == ()
    (again,) = run([finding()], [closed], NOW + 7 * HOUR)
    assert (again.id, again.state) == (first.id, State.REGRESSED)


def test_loop_is_resolved_after_a_day_without_a_new_one() -> None:
    """The same looping trajectories in the window are nothing new; after a day without new ones the loop is over."""
    wide = {"run_start": NOW - timedelta(days=7)}
    found = Examined(loop(1, 2, onset=NOW - HOUR))

    def at(hours: float, previous: Sequence[Incident], entry: Examined = found) -> tuple[Incident, ...]:
        return triage([entry], previous, NOW + hours * HOUR, severity=grade, **wide)

    first = at(0, [])
    (still,) = at(23, first)
    assert (still.state, still.last_seen_at) == (State.ONGOING, NOW)
    (renewed,) = at(23, first, Examined(loop(2, 3, onset=NOW - HOUR)))
    assert renewed.last_seen_at == NOW + 23 * HOUR
    (done,) = at(24, [still])
    assert (done.state, done.resolved_at) == (State.RESOLVED, NOW + 24 * HOUR)
    assert at(25, [done]) == ()
    (again,) = at(26, [done], Examined(loop(1, 2, 3, onset=NOW - HOUR)))
    assert (again.state, again.id) == (State.REGRESSED, first[0].id)


def test_cut_list_of_trajectories_may_hide_a_new_one() -> None:
    """Where fewer trajectories are named than were hit, the loop counts as going on."""
    first = run([loop(1, affected=9)])
    (second,) = run([loop(1, affected=9)], first, NOW + HOUR)
    assert second.last_seen_at == NOW + HOUR


def test_incident_without_finding_is_carried_then_quietly_resolved() -> None:
    """An incident nobody saw anything of stays as it was for a day and is then resolved."""
    (first,) = run([finding()])
    assert run([], [first], NOW + 23 * HOUR) == (replace(first, state=State.ONGOING),)
    (done,) = run([], [first], NOW + 24 * HOUR)
    assert (done.state, done.resolved_at, done.last_seen_at) == (State.RESOLVED, NOW + 24 * HOUR, NOW)
    assert run([], [done], NOW + 25 * HOUR) == ()


def test_not_being_able_to_see_resolves_nothing() -> None:
    """A gap is no recovery: the incident of an agent that could not be seen stays, however long it takes."""
    (first,) = run([finding()])
    later = NOW + timedelta(days=9)
    assert run([], [first], later, blind=frozenset({"support-triage"})) == (replace(first, state=State.ONGOING),)
    assert run([], [first], later, blind=frozenset({"another"}))[0].state is State.RESOLVED
    back = finding(recovered=NOW + HOUR)
    (still,) = run([back], [first], NOW + 9 * HOUR, blind=frozenset({"support-triage"}))
    assert still.state is State.ONGOING


def test_dismissed_stays_dismissed_unless_clearly_worse() -> None:
    """A human's verdict holds below half as much again of what was dismissed, however slowly it creeps there."""
    (first,) = run([finding(value=0.30)])
    dismissed = replace(first, state=State.DISMISSED)
    (second,) = run([finding(value=0.40)], [dismissed], NOW + HOUR)
    assert (second.state, second.observed, second.last_seen_at) == (State.DISMISSED, 0.30, NOW + HOUR)
    (third,) = run([finding(value=0.46)], [second], NOW + 2 * HOUR)
    assert (third.state, third.observed, third.id) == (State.ONGOING, 0.46, first.id)
    assert run([], [dismissed], NOW + HOUR) == ()


def test_a_word_goes_with_what_it_was_said_of() -> None:
    """A confirmation stays while the incident goes on; what comes back is new, links its past, and is not muted."""
    word = Word(4, Said.CONFIRMED, NOW, "jo")
    (first,) = run([finding()])
    (second,) = run([finding()], [replace(first, word=word, heard=4)], NOW + HOUR)
    assert (second.word, second.heard, second.past) == (word, 4, ())
    muted = NOW + timedelta(days=30)
    over = replace(second, state=State.RESOLVED, resolved_at=NOW + 2 * HOUR, muted_until=muted)
    later = finding(onset=NOW + 20 * HOUR, onset_low=NOW + 19 * HOUR, onset_high=NOW + 21 * HOUR)
    (back,) = run([later], [over], NOW + 24 * HOUR)
    assert (back.id, back.state, back.word, back.heard) == (first.id, State.REGRESSED, None, 4)
    assert back.past == (Episode(first.onset, NOW + 2 * HOUR, first.observed),)
    assert back.muted_until is None


def test_a_mute_ends_where_it_gets_more_severe() -> None:
    """A mute was said of what was known: as long as that goes on it holds, and no longer."""
    (first,) = run([finding(excess_usd=20)])
    muted = replace(first, muted_until=NOW + timedelta(days=300))
    (same,) = run([finding(excess_usd=30)], [muted], NOW + HOUR)
    assert same.muted_until == muted.muted_until
    (worse,) = run([finding(excess_usd=3000)], [muted], NOW + HOUR)
    assert (worse.severity, worse.muted_until) == (Severity.CRITICAL, None)


def test_a_dismissal_holds_for_every_finding_and_for_the_severity() -> None:
    """A second finding that explodes, or a severity that rises, opens a dismissed incident again."""
    two = [
        finding(Kind.ERRORS, value=0.3, baseline=0.01),
        finding(Kind.TOOL_ERRORS, tool="x", value=0.06, baseline=0.01),
    ]
    (first,) = run(two)
    dismissed = replace(first, state=State.DISMISSED)
    grown = [replace(one, value=0.95) if one.kind is not first.kind else one for one in two]
    assert [one.state for one in run(two, [dismissed], NOW + HOUR)] == [State.DISMISSED]
    assert [one.state for one in run(grown, [dismissed], NOW + HOUR)] == [State.ONGOING]
    (cheap,) = run([finding(excess_usd=50)])
    put_by = replace(cheap, state=State.DISMISSED)
    assert run([finding(excess_usd=60)], [put_by], NOW + HOUR)[0].state is State.DISMISSED
    assert run([finding(excess_usd=5000)], [put_by], NOW + HOUR)[0].state is State.ONGOING


def test_what_a_human_resolved_does_not_return_without_anything_new() -> None:
    """An agent that has not run since is as it was: its old trajectories are an echo, however late it is."""
    (first,) = run([finding(of=200)])
    over = replace(first, state=State.RESOLVED, resolved_at=NOW)
    assert run([finding(of=200)], [over], NOW + 7 * HOUR) == ()
    assert [one.state for one in run([finding(of=260)], [over], NOW + 7 * HOUR)] == [State.REGRESSED]


def test_what_a_human_resolved_and_is_clearly_worse_since_is_no_echo() -> None:
    """Within the hours it has to recover, what is as it was is silent; what is ten times worse has regressed."""
    (first,) = run([finding(value=0.3)])
    over = replace(first, state=State.RESOLVED, resolved_at=NOW)
    assert run([finding(value=0.31)], [over], NOW + 3 * HOUR) == ()
    assert [one.state for one in run([finding(value=3.0)], [over], NOW + 3 * HOUR)] == [State.REGRESSED]


def test_what_a_human_reopened_stays_open_for_a_day_of_quiet() -> None:
    """A resolution that was taken back is not put back by the next run: somebody knows more than the signal says."""
    (first,) = run([finding()])
    over = replace(first, state=State.RESOLVED, resolved_at=NOW + 30 * HOUR)
    back = heard(over, [Word(1, Said.REOPENED, NOW + 60 * HOUR, "jo")])
    (still,) = run([], [back], NOW + 61 * HOUR)
    (echo,) = run([finding(recovered=NOW + HOUR)], [back], NOW + 61 * HOUR)
    assert (still.state, echo.state, echo.word) == (State.ONGOING, State.ONGOING, back.word)
    (done,) = run([], [still], NOW + 84 * HOUR)
    assert done.state is State.RESOLVED


def test_what_got_clearly_worse_keeps_the_word_that_it_overrules() -> None:
    """Who dismissed it, and why, is what its reader needs to know; that it goes on again the state says."""
    (first,) = run([finding()])
    said = Word(1, Said.DISMISSED, NOW, "jo", "known")
    (worse,) = run([finding(value=0.9)], [heard(first, [said])], NOW + HOUR)
    (later,) = run([finding(value=0.9)], [worse], NOW + 2 * HOUR)
    assert (worse.state, worse.word, later.word) == (State.ONGOING, said, said)


def test_history_repeated_knows_no_later_word() -> None:
    """A run as of a time before the dismissal finds the incident as it was."""
    (first,) = run([finding()])
    dismissed = replace(first, state=State.DISMISSED, word=Word(1, Said.DISMISSED, NOW + 5 * HOUR, "jo"), heard=1)
    (seen,) = run([finding()], [dismissed], NOW + HOUR)
    assert (seen.state, seen.word, seen.heard) == (State.ONGOING, None, 0)


@pytest.mark.parametrize(
    ("dismissed", "of", "demoted"), [(4, 4, True), (3, 3, False), (5, 6, False), (7, 8, True), (5, 100, False)]
)
def test_a_detector_that_is_mostly_dismissed_is_demoted(dismissed: int, of: int, demoted: bool) -> None:
    """Surely more than half must be dismissed; silence about the others counts for the detector."""
    (one,) = run([finding()])
    states = [State.DISMISSED] * dismissed + [State.RESOLVED] * (of - dismissed)
    assert distrusted(replace(one, state=state) for state in states) == ({"cost"} if demoted else set())


def test_dismissal_covers_only_what_was_dismissed() -> None:
    """A loop that turns up beside a dismissed cost is an incident of its own."""
    cost = Examined(finding(), trace_ids=(trace(1),))
    (first,) = run([cost])
    dismissed = replace(first, state=State.DISMISSED)
    incidents = run([cost, loop(1)], [dismissed], NOW + HOUR)
    assert {(one.kind, one.state) for one in incidents} == {(Kind.COST, State.DISMISSED), (Kind.LOOP, State.OPEN)}


def test_evidence_keeps_its_number_while_an_explanation_names_it() -> None:
    """Figures are measured anew in each run; what the explanation rests on stays, under its own number."""
    (first,) = run([finding(evidence=(metric(value=0.30), metric(value=0.135)))])
    first = explained(replace(first, evidence=(*first.evidence, quote("E3"))), "E1", "E3")
    (second,) = run([finding(evidence=(metric(value=0.33), metric(value=0.135)))], [first], NOW + HOUR)
    assert {entry.id for entry in second.evidence} == {"E1", "E3", "E4", "E5"}
    assert [entry.id for entry in second.findings[0].evidence] == ["E4", "E5"]
    assert second.diagnosis == first.diagnosis
    (third,) = run([finding(evidence=(metric(value=0.33), metric(value=0.14)))], [second], NOW + 2 * HOUR)
    assert {entry.id for entry in third.evidence} == {"E1", "E3", "E4", "E5"}


def test_explanation_by_rules_does_not_outlive_its_figures() -> None:
    """What rules said of an earlier run's figures goes, and its evidence with it; unseen incidents keep theirs."""
    (first,) = run([finding(evidence=(metric(value=0.30),))])
    first = explained(first, "E1", by="rules")
    (second,) = run([finding(evidence=(metric(value=0.33),))], [first], NOW + HOUR)
    assert second.diagnosis is None
    assert [(entry.id, entry.value) for entry in second.evidence] == [("E1", 0.33)]
    (unseen,) = run([], [first], NOW + HOUR)
    assert (unseen.diagnosis, unseen.evidence) == (first.diagnosis, first.evidence)


def test_run_repeated_on_history_does_not_know_a_later_explanation() -> None:
    """What a model said of later figures is not there yet."""
    (first,) = run([finding()], at=NOW - 2 * HOUR)
    (then,) = run([finding()], [explained(first)], NOW - HOUR)
    assert then.diagnosis is None


def test_run_repeated_on_history_does_not_know_what_came_later() -> None:
    """With `at` before a resolution the incident is still going on."""
    (first,) = run([finding()])
    closed = replace(first, state=State.RESOLVED, resolved_at=NOW + 10 * HOUR)
    (seen,) = run([finding()], [closed], NOW + HOUR)
    assert (seen.id, seen.state, seen.resolved_at) == (first.id, State.ONGOING, None)


def test_run_repeated_on_history_does_not_know_what_was_opened_later() -> None:
    """With `at` before an incident was opened it is seen for the first time, or not at all."""
    (first,) = run([finding()])
    assert run([], [first], NOW - HOUR) == ()
    (again,) = run([finding()], [first], NOW - HOUR)
    assert (again.id, again.state, again.opened_at) == (first.id, State.OPEN, NOW - HOUR)


def test_ranking_is_by_severity_then_money() -> None:
    """The worst comes first: severity before money, money before time."""
    amounts = {"a": 5.0, "b": 200.0, "c": 2000.0, "d": 50.0, "e": None}
    incidents = run([finding(agent=agent, excess_usd=usd) for agent, usd in amounts.items()])
    assert [one.subject.agent for one in incidents] == ["c", "b", "d", "a", "e"]


def test_limits_of_lists_hold() -> None:
    """No incident grows without bound: trajectories and evidence are cut, the foremost are kept."""
    found = finding(evidence=tuple(metric(value=float(number)) for number in range(60)))
    (one,) = run([Examined(found, trace_ids=tuple(map(trace, range(80))))])
    assert one.trace_ids == tuple(map(trace, range(50)))
    assert [entry.value for entry in one.evidence] == [float(number) for number in range(40)]
    assert one.findings[0].evidence == one.evidence


FINDINGS = st.builds(
    lambda kind, agent, tool, hours, usd, over, numbers: finding(
        kind,
        agent,
        tool=tool,
        onset=NOW - hours * HOUR,
        excess_usd=usd,
        recovered=NOW - hours * HOUR / 2 if over else None,
        trace_ids=tuple(map(trace, numbers)),
        affected=len(numbers),
    ),
    st.sampled_from(Kind),
    st.sampled_from(["a", "b", None]),
    st.sampled_from([None, "t"]),
    st.integers(0, 40),
    st.none() | st.floats(0, 5000),
    st.booleans(),
    st.sets(st.integers(1, 6), max_size=3),
)
RUNS = st.lists(st.lists(FINDINGS, max_size=5), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None)
@given(RUNS)
def test_history_of_any_runs_keeps_the_house_rules(runs: list[list[Finding]]) -> None:
    """Whatever is found: ids are unique and last, no evidence dangles, no agents are mixed, JSON keeps it all."""
    known: dict[str, Incident] = {}
    for number, found in enumerate(runs):
        at = NOW + number * 7 * HOUR
        incidents = run(found, list(known.values()), at)
        assert len({one.id for one in incidents}) == len(incidents)
        for one in incidents:
            assert {entry.subject.agent for entry in one.findings} == {one.subject.agent}
            ids = [entry.id for entry in one.evidence]
            assert len(set(ids)) == len(ids)
            assert all(entry in one.evidence for each in one.findings for entry in each.evidence)
            assert (one.state is State.RESOLVED) == (one.resolved_at is not None)
            assert incident_from_document(incident_document(one)) == one
            if one.id in known:
                assert known[one.id].opened_at == one.opened_at
        unresolved = {one.id for one in known.values() if one.state in {State.OPEN, State.ONGOING, State.REGRESSED}}
        assert unresolved <= {one.id for one in incidents}
        known |= {one.id: one for one in incidents}


@settings(max_examples=60, deadline=None)
@given(st.lists(FINDINGS, max_size=6), st.randoms())
def test_order_of_findings_does_not_matter(found: list[Finding], random: Any) -> None:
    """The detectors may run in any order: the incidents are the same."""
    keys = {(one.kind, one.subject, one.onset, one.recovered is None) for one in found}
    unique = [
        next(one for one in found if (one.kind, one.subject, one.onset, one.recovered is None) == key) for key in keys
    ]
    shuffled = list(unique)
    random.shuffle(shuffled)
    assert [(one.id, one.kind, one.severity) for one in run(unique)] == [
        (one.id, one.kind, one.severity) for one in run(shuffled)
    ]


def test_settings_are_obeyed() -> None:
    """The hold after a recovery is a setting."""
    (first,) = run([finding()])
    back = finding(recovered=NOW)
    (done,) = run([back], [first], NOW + HOUR, rules=Rules(recovered_hold_s=3600))
    assert done.state is State.RESOLVED


def failing_tool(**fields: Any) -> Finding:
    """Return tool errors of the looping tool that began half a day before the window of most loops."""
    values: dict[str, Any] = {"tool": "lookup_order", "value": 0.5, "baseline": 0.01, "unit": "calls", "onset": ONSET}
    return finding(Kind.TOOL_ERRORS, **(values | {"affected": 900, "of": 1800} | fields))


def test_agents_that_try_again_what_fails_for_everybody_are_no_incident_of_their_own() -> None:
    """Loops over a tool that fails broadly belong to the failure, whenever they were seen first."""
    retried = loop(1, 2, 3, value=5.0, onset=ONSET + 8 * HOUR)
    [one] = run([retried, failing_tool()])
    assert (one.kind, len(one.findings)) == (Kind.TOOL_ERRORS, 2)
    assert "of calls fail" in one.title


def test_a_loop_that_makes_up_the_failures_is_their_cause() -> None:
    """Where the failed calls are mostly the loop's own, the loop is the incident and the error rate its symptom."""
    [one] = run([loop(*range(1, 40), value=25.0), failing_tool(affected=1000)])
    assert (one.kind, len(one.findings)) == (Kind.LOOP, 2)


def test_failing_trajectories_are_compared_with_looping_ones() -> None:
    """Where the tool's failures are counted in trajectories, three that loop among forty that fail are no cause."""
    values = {"unit": "trajectories", "affected": 40, "of": 80}
    [one] = run([loop(1, 2, 3, value=25.0, onset=ONSET + 8 * HOUR), failing_tool(**values)])
    assert one.kind is Kind.TOOL_ERRORS
    [one] = run([loop(*range(1, 31), value=5.0), failing_tool(**values)])
    assert one.kind is Kind.LOOP


def test_a_loop_over_another_tool_stays_apart() -> None:
    """A failing tool does not explain loops over another one."""
    found = run([loop(1, 2, value=5.0, tool="refund", onset=ONSET + 8 * HOUR), failing_tool()])
    assert sorted(one.kind for one in found) == [Kind.LOOP, Kind.TOOL_ERRORS]


def test_a_loop_that_is_older_than_the_window_began_when_the_history_shows_it_first() -> None:
    """The incident says when it began, beside since when its figures count."""
    [one] = run([loop(1, 2, began=ONSET - 120 * HOUR)])
    assert one.onset == ONSET - 120 * HOUR
    assert "(first " in one.title


def test_a_loop_keeps_the_time_at_which_it_was_first_seen() -> None:
    """Loops are only looked for in the window; when the window moves on, the incident's onset does not."""
    [first] = run([loop(1, 2)])
    later = NOW + 20 * HOUR
    [second] = run([loop(3, 4, onset=ONSET + 20 * HOUR)], [first], at=later)
    assert (second.id, second.onset) == (first.id, ONSET)
    assert "(first 2026-11-23 08:10 UTC)" in second.title
