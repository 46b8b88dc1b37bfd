"""Incidents that several agents share: one subject, their figures together, each agent's part, one life."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.incidents import NOW, ONSET, finding, trace

from analyzer.triage import triage
from analyzer.types.diagnosis import Claim, Diagnosis, Ending, Verdict
from analyzer.types.document import incident_document, incident_from_document
from analyzer.types.report import Affected, Change, Examined, Factor, Finding, Incident, Kind, Severity, State, Subject
from analyzer.types.shared import Cause, Shared

HOUR = timedelta(hours=1)
PRICE = Cause(Shared("model", "opus"), ONSET)


def grade(found: Finding, _last: Severity | None = None) -> Severity:
    """Rank by money."""
    return Severity.HIGH if (found.excess_usd or 0) >= 100 else Severity.MEDIUM


def run(
    known: Sequence[Examined], previous: Sequence[Incident] = (), at: datetime = NOW, **fields: Any
) -> list[Incident]:
    """Triage findings as a run does, over incidents as a store gives them back."""
    kept = [incident_from_document(incident_document(one)) for one in previous]
    return list(triage(known, kept, at, run_start=at - timedelta(days=1), severity=grade, **fields))


def dearer(agent: str, *, usd: float = 10.0, of: int = 100, cause: Cause | None = PRICE, **fields: Any) -> Examined:
    """Return the cost of an agent whose model became dearer."""
    values = {"affected": of // 2, "of": of, "excess_usd": usd, "value": 0.2, "baseline": 0.1}
    number = ord(agent[0])
    return Examined(
        finding(Kind.COST, agent, **(values | fields)),
        account=(Factor("price", 1.0, 2.0, 0.9), Factor("runs", 4.0, 5.0, 0.1)),
        changes=(
            Change("price", "opus at 1", f"opus at {number}", ONSET),
            Change("version", "1", f"{agent}-2", ONSET),
        ),
        trace_ids=(trace(number), trace(number + 1000)),
        healthy_trace_ids=(trace(number + 2000),),
        change=usd / 10,
        cause=cause,
    )


def test_one_cause_in_several_agents_is_one_incident() -> None:
    """Its subject is what they share; money and trajectories are summed, figures are means, each agent has its part."""
    (one,) = run([dearer("a", usd=10, of=100, value=0.2), dearer("b", usd=30, of=300, value=0.4)])
    assert one.subject == Subject(model="opus")
    assert one.title == "2 agents on opus: cost per trajectory 3.5x since 2026-11-23 08:15 UTC, $98.46 a day too much"
    assert (one.observed, one.expected, one.excess_usd) == (pytest.approx(0.35), pytest.approx(0.1), 40)
    assert one.affected == Affected(200, 400)
    assert [(part.agent, part.share, part.observed, part.excess_usd) for part in one.agents] == [
        ("b", 0.75, 0.4, 30),
        ("a", 0.25, 0.2, 10),
    ]
    assert {factor.factor: factor.share for factor in one.account} == pytest.approx({"price": 0.9, "runs": 0.1})
    assert [change.what for change in one.changes] == ["price"]
    assert one.trace_ids == (trace(98), trace(97), trace(1098), trace(1097))
    assert one.healthy_trace_ids == (trace(2098), trace(2097))
    assert len(one.findings) == 2
    assert incident_from_document(incident_document(one)) == one


def test_each_agent_brings_what_it_also_feels_and_keeps_what_is_its_own() -> None:
    """Tokens that rose with it belong to it; an hour of failing calls in the night before is an incident of its own."""
    felt = Examined(finding(Kind.TOKENS, "a"))
    own = Examined(finding(Kind.TOOL_ERRORS, "a", tool="fetch", onset=ONSET - 9 * HOUR))
    found = run([dearer("a"), felt, dearer("b"), own, dearer("c", cause=None)])
    assert sorted((one.kind.value, one.subject.agent, len(one.findings)) for one in found if one.subject.agent) == [
        ("cost", "c", 1),
        ("tool-errors", "a", 1),
    ]
    [shared] = [one for one in found if one.subject.agent is None]
    assert {(one.kind, one.subject.agent) for one in shared.findings} == {
        (Kind.COST, "a"),
        (Kind.COST, "b"),
        (Kind.TOKENS, "a"),
    }


def test_an_agent_that_is_found_later_joins_and_the_id_stays() -> None:
    """Found in one agent first, then in a second and a third: one incident all the way, and the same id."""
    [alone] = run([dearer("a", cause=None)])
    assert (alone.subject.agent, alone.agents) == ("a", ())
    [two] = run([dearer("a"), dearer("b")], [alone], NOW + HOUR)
    assert (two.id, two.state, two.subject) == (alone.id, State.ONGOING, Subject(model="opus"))
    [three] = run([dearer("a"), dearer("b"), dearer("c")], [two], NOW + 2 * HOUR)
    assert (three.id, [part.agent for part in three.agents]) == (alone.id, ["a", "b", "c"])
    assert three.fingerprint == two.fingerprint != alone.fingerprint


def test_what_a_model_said_of_one_agent_is_not_said_of_all() -> None:
    """The explanation goes when others turn out to share the cause, and stays from then on."""
    claim = Diagnosis(
        Verdict.LIKELY,
        "claude-sonnet-5-5",
        Ending.ANSWERED,
        "s",
        "c",
        (Claim("So.", ()),),
        None,
        (),
        "check",
        0,
        as_of=NOW,
    )
    [alone] = run([dearer("a", cause=None)])
    [two] = run([dearer("a"), dearer("b")], [replace(alone, diagnosis=claim)], NOW + HOUR)
    assert two.diagnosis is None
    [later] = run([dearer("a"), dearer("b")], [replace(two, diagnosis=claim)], NOW + 2 * HOUR)
    assert later.diagnosis == claim


def between(kind: Kind, agent: str, low_h: float, at_h: float, high_h: float) -> Finding:
    """Return a finding that began so many hours after ONSET, and between which hours."""
    low, at, high = (ONSET + hours * HOUR for hours in (low_h, at_h, high_h))
    return replace(finding(kind, agent, onset=at, of=100, affected=50), onset_low=low, onset_high=high)


def test_each_agent_is_dated_by_its_sharpest_finding() -> None:
    """Costs leave half a day open in both agents; steps of one date the rise to the half-hour: all are dated by it."""
    early, deploy = Change("tools", "1", "2", ONSET - 5 * HOUR), Change("model", "haiku", "opus", ONSET + 3 * HOUR)
    costs = [
        replace(dearer(name), finding=between(Kind.COST, name, -6, at, 6), changes=(early, deploy))
        for name, at in (("a", -3), ("b", 1))
    ]
    steps = Examined(between(Kind.STEPS, "b", 2.75, 3, 3.25))
    (one,) = run([*costs, steps])
    assert (one.kind, one.onset) == (Kind.COST, ONSET + 3 * HOUR + timedelta(minutes=5))
    assert one.changes == (deploy,)
    (wide,) = run(costs)
    assert wide.onset < ONSET
    assert set(wide.changes) == {early, deploy}
    elsewhere = Examined(between(Kind.STEPS, "b", 7, 7.25, 7.5))
    assert {found.onset for found in run([*costs, elsewhere])} >= {wide.onset}


def test_it_is_over_when_every_agent_has_recovered() -> None:
    """One that recovered keeps its part while the others go on; the last one's recovery ends it, and it may return."""
    [first] = run([dearer("a"), dearer("b")])
    over = dearer("a", recovered=NOW - HOUR)
    [one_over] = run([over, dearer("b")], [first], NOW)
    assert (one_over.state, one_over.subject, len(one_over.agents)) == (State.ONGOING, Subject(model="opus"), 2)
    [unseen] = run([dearer("b", cause=None)], [one_over], NOW + HOUR)
    assert (unseen.subject, {part.agent for part in unseen.agents}) == (Subject(model="opus"), {"a", "b"})
    ended = [over, dearer("b", recovered=NOW - HOUR)]
    [done] = run(ended, [one_over], NOW + 6 * HOUR)
    assert done.state is State.RESOLVED
    again = Cause(PRICE.shared, NOW + 10 * HOUR)
    back = [dearer(name, onset=NOW + 10 * HOUR, cause=again) for name in "ab"]
    [returned] = run(back, [done], NOW + 20 * HOUR)
    assert (returned.id, returned.state) == (first.id, State.REGRESSED)


def test_while_one_of_its_agents_cannot_be_seen_it_is_not_over() -> None:
    """Recovery needs all of them in sight; an agent that has no part in it may be blind."""
    [first] = run([dearer("a"), dearer("b")])
    ended = [dearer(name, recovered=NOW - HOUR) for name in "ab"]
    [blind] = run(ended, [first], NOW + 6 * HOUR, blind=frozenset({"b"}))
    assert blind.state is State.ONGOING
    [seen] = run(ended, [first], NOW + 6 * HOUR, blind=frozenset({"z"}))
    assert seen.state is State.RESOLVED
    [quiet] = run([], [first], NOW + 25 * HOUR, blind=frozenset({"z"}))
    assert quiet.state is State.RESOLVED


def test_what_a_human_dismissed_stays_dismissed_until_an_agent_is_clearly_worse() -> None:
    """The human saw the parts; one that takes half as much again is news."""
    [first] = run([dearer("a"), dearer("b")])
    away = replace(first, state=State.DISMISSED)
    [same] = run([dearer("a"), dearer("b")], [away], NOW + HOUR)
    assert same.state is State.DISMISSED
    [worse] = run([dearer("a"), dearer("b", value=0.31)], [away], NOW + HOUR)
    assert worse.state is not State.DISMISSED


@pytest.mark.parametrize(
    ("shared", "subject", "who"),
    [
        (Shared("provider", "anthropic", "overloaded"), Subject(provider="anthropic"), "2 agents on anthropic"),
        (Shared("tool", "fetch", "timed out"), Subject(tool="fetch"), "2 agents that call fetch"),
        (Shared("model", "opus", "overloaded"), Subject(model="opus"), "2 agents on opus"),
    ],
)
def test_the_title_says_what_they_share(shared: Shared, subject: Subject, who: str) -> None:
    """A provider, a tool or a model."""
    cause = Cause(shared, ONSET)
    known = [
        Examined(
            finding(Kind.ERRORS, name, value=0.4, baseline=0.01, of=50, affected=20, unit="trajectories"), cause=cause
        )
        for name in "ab"
    ]
    (one,) = run(known)
    assert one.subject == subject
    assert one.title == f"{who}: 40 % of trajectories fail (1 % expected) since 2026-11-23 08:15 UTC"
    assert incident_from_document(incident_document(one)) == one


_parts = st.lists(st.tuples(st.floats(0.01, 1e4), st.integers(1, 10_000), st.floats(0.1, 10.0)), min_size=2, max_size=8)


@settings(max_examples=50)
@given(_parts)
def test_parts_sum_to_the_whole(drawn: list[tuple[float, int, float]]) -> None:
    """Money and trajectories of the incident are those of its agents, and their shares sum to 1, worst first."""
    known = [dearer(f"{chr(97 + index)}", usd=usd, of=of, value=value) for index, (usd, of, value) in enumerate(drawn)]
    (one,) = run(known)
    assert math.fsum(part.share for part in one.agents) == pytest.approx(1)
    assert one.excess_usd == pytest.approx(math.fsum(usd for usd, _, _ in drawn))
    assert one.affected == Affected(sum(of // 2 for _, of, _ in drawn), sum(of for _, of, _ in drawn))
    assert [part.share for part in one.agents] == sorted((part.share for part in one.agents), reverse=True)
    assert min(value for _, _, value in drawn) <= one.observed * (1 + 1e-9)
    assert one.observed <= max(value for _, _, value in drawn) * (1 + 1e-9)
    assert math.fsum(factor.share for factor in one.account) == pytest.approx(1)


def test_who_shares_a_cause_joins_the_incident_that_holds_it() -> None:
    """A loop of the same agent, open by itself, takes in nobody: not even where it now runs through what became dear.

    The incident of the cause becomes the shared one, names all agents, and shares out the money.
    """
    dear = dearer("a", usd=20)
    loop = Examined(finding(Kind.LOOP, "a", tool="lookup", trace_ids=(trace(50), trace(51)), affected=2, of=90))
    apart = run([replace(dear, cause=None), loop])
    assert sorted(one.kind for one in apart) == [Kind.COST, Kind.LOOP]
    ids = {one.kind: one.id for one in apart}
    through = replace(loop, finding=replace(loop.finding, trace_ids=dear.trace_ids, affected=3))
    for others in ({"b": 900.0}, {"b": 900.0, "c": 500.0}):
        # What the others feel of it has no cause of its own, and goes where theirs goes.
        felt = [Examined(finding(Kind.TOKENS, name)) for name in others]
        joined = [dearer(name, usd=usd) for name, usd in others.items()]
        found = run([dear, through, *felt, *joined], apart, NOW + HOUR)
        assert {one.kind: one.id for one in found} == ids
        shared = next(one for one in found if one.kind is Kind.COST)
        alone = next(one for one in found if one.kind is Kind.LOOP)
        assert (shared.subject, shared.excess_usd) == (Subject(model="opus"), 20 + sum(others.values()))
        assert [part.agent for part in shared.agents] == [*others, "a"]
        assert (alone.subject.agent, alone.agents, alone.excess_usd) == ("a", (), None)
        assert {one.subject.agent for one in alone.findings} == {"a"}


def test_each_of_two_causes_of_one_agent_goes_to_its_own_incident() -> None:
    """One agent's price rose as its tool began to fail: who shares the price joins that, who shares the tool this."""
    down = Cause(Shared("tool", "fetch", "timed out"), ONSET)
    failing = [Examined(finding(Kind.TOOL_ERRORS, name, tool="fetch", affected=9, of=20)) for name in "ac"]
    first = run([dearer("a", cause=None)]) + run([failing[0]])
    own = [replace(one, cause=down) for one in failing]
    found = run([dearer("a"), own[0], dearer("b"), own[1]], first, NOW + HOUR)
    assert {(one.id, one.subject, frozenset(part.agent for part in one.agents)) for one in found} == {
        (first[0].id, Subject(model="opus"), frozenset("ab")),
        (first[1].id, Subject(tool="fetch"), frozenset("ac")),
    }


def test_what_was_dismissed_comes_back_as_the_incident_of_all() -> None:
    """Clearly worse, in a run that could not prove the cause anew: it still names every agent that it covers."""
    [first] = run([dearer("a"), dearer("b")])
    away = replace(first, state=State.DISMISSED)
    [worse] = run([dearer("a", cause=None), dearer("b", cause=None, value=0.5)], [away], NOW + HOUR)
    assert (worse.state, worse.subject) == (State.ONGOING, Subject(model="opus"))
    assert {part.agent for part in worse.agents} == {"a", "b"}


def test_an_agent_whose_money_is_unknown_takes_none_of_the_others_shares() -> None:
    """It is put at what a trajectory hit costs the others; with none hit it has no part, and all sum to 1."""
    known = [dearer("a", usd=900, of=100), dearer("b", usd=100, of=100)]
    unpriced = dearer("c", of=20)
    unknown = replace(unpriced, finding=replace(unpriced.finding, excess_usd=None))
    (one,) = run([*known, unknown])
    assert {part.agent: part.share for part in one.agents} == pytest.approx({"a": 9 / 11, "b": 1 / 11, "c": 1 / 11})
    none = replace(unknown, finding=replace(unknown.finding, affected=0, of=0))
    (other,) = run([*known, none])
    assert {part.agent: part.share for part in other.agents} == pytest.approx({"a": 0.9, "b": 0.1, "c": 0.0})
