from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from support.golden import offered, seen, shop_spans
from support.incidents import finding, incident

from analyzer.errors import UsageError
from analyzer.replay.golden.accepting import accepted, check_case, kept
from analyzer.replay.golden.case import Match, case_document, case_from, name_of
from analyzer.replay.golden.expectations import Check, Expectation
from analyzer.replay.golden.proposing import proposed, unsaid
from analyzer.replay.golden.running import Verdict, overall, tried, unjudged
from analyzer.types.report import Kind
from analyzer.types.trace import Outcome

AT = datetime(2026, 11, 23, tzinfo=UTC)
LOOKUP = ("lookup_order", {"order": "A-1"})
BAD = seen(shop_spans(1, [LOOKUP] * 6, outcome=Outcome.FAILURE))
HEALTHY = seen(shop_spans(2, [LOOKUP]))
NO_LOOP = Expectation(Check.NO_LOOP)


def made(*expectations, bad=BAD, control=HEALTHY, **options):
    """Accept a case, with nothing to mask."""
    return accepted(bad, control, expectations, at=AT, mask=lambda text: text, **options)


def test_a_case_is_red_on_the_bad_run_and_green_on_the_healthy_one() -> None:
    """What is accepted can fail and can pass, and its file says so by itself."""
    case = case_from(json.loads(json.dumps(case_document(made(NO_LOOP)))), "a file")
    assert case == made(NO_LOOP)
    assert (tried(case, BAD).verdict, tried(case, HEALTHY).verdict) == (Verdict.RED, Verdict.GREEN)
    check_case(case)
    assert len(case.shrunk) < len(BAD.steps)


@pytest.mark.parametrize(
    ("expectations", "control", "why"),
    [
        ([Expectation(Check.MUST_CALL, tool="lookup_order")], HEALTHY, "it can never fail: the bad run .* is green"),
        ([], HEALTHY, "it can never fail: .*nothing is expected"),
        ([NO_LOOP, Expectation(Check.MUST_CALL, tool="refund")], HEALTHY, "it can never pass, as far as is known"),
        ([NO_LOOP], replace(BAD, trace_id="f" * 32, outcome=Outcome.SUCCESS), "it can never pass, as far as is known"),
        (
            [Expectation(Check.MUST_CALL, tool="refund"), Expectation(Check.MUST_NOT_CALL, tool="refund")],
            HEALTHY,
            "it can never pass: must call refund contradicts must not call refund",
        ),
        ([NO_LOOP], replace(HEALTHY, outcome=Outcome.FAILURE), "is not healthy: its outcome is failure"),
    ],
)
def test_a_case_that_cannot_fail_or_cannot_pass_is_refused(expectations, control, why) -> None:
    """The reason is named; nothing is written."""
    with pytest.raises(UsageError, match=why):
        made(*expectations, control=control)


def test_a_case_that_was_edited_until_it_cannot_fail_is_refused_when_it_is_read() -> None:
    """A folder of cases is no proof of anything where one of them passes whatever happens."""
    edited = replace(made(NO_LOOP), expectations=(Expectation(Check.STEPS_AT_MOST, at_most=1_000),))
    with pytest.raises(UsageError, match="case shop-000000000000 is refused: it can never fail"):
        check_case(edited)


def test_masking_stands_before_the_file() -> None:
    """What the masker knows by now is not in a case, though the store had it."""
    case = accepted(BAD, HEALTHY, [NO_LOOP], at=AT, mask=lambda text: text.replace("shipped", "<status:0123456789ab>"))
    assert "shipped" not in json.dumps(case_document(case))


def test_incidents_propose_what_their_kind_means() -> None:
    """A loop must not come back, an amount stays between the healthy and the bad one, a failing tool works."""
    incidents = [
        incident(kind=kind, findings=(finding(kind, "shop", tool="lookup_order"),))
        for kind in (Kind.LOOP, Kind.STEPS, Kind.TOKENS, Kind.TOOL_ERRORS, Kind.LATENCY)
    ]
    words = [one.words for one in proposed(BAD, [HEALTHY], incidents)]
    assert words == ["must not loop", "at most 6 steps", "at most 448 tokens", "no lookup_order may fail"]
    assert unsaid(incidents) == ["latency"]


def test_a_difference_counts_where_several_healthy_runs_agree() -> None:
    """That one healthy run did without a tool shows nothing; that three of the same task did is a proposal."""
    task = {"task": "where is my order"}
    bad = replace(seen(shop_spans(1, [("refund", {})], outcome=Outcome.FAILURE)), **task)
    healthy = [replace(seen(shop_spans(n, [LOOKUP])), **task) for n in (2, 3, 4)]
    assert [one.words for one in proposed(bad, healthy, [])] == ["must not call refund", "must call lookup_order"]
    assert proposed(bad, healthy[:2], []) == []
    assert proposed(bad, [replace(one, task="another task") for one in healthy], []) == []


def test_a_proposal_that_a_healthy_run_breaks_is_dropped_with_the_reason() -> None:
    """Proposals are held against every healthy run, not only against the best one."""
    slow = seen(shop_spans(3, [LOOKUP, LOOKUP, ("refund", {})]))
    wanted = Expectation(Check.STEPS_AT_MOST, at_most=5)
    good, dropped = kept(BAD, [HEALTHY, slow], [wanted, Expectation(Check.NO_ERROR)])
    assert good == []
    assert [one.why for one in dropped] == [
        "the healthy run 000000000000 does not meet it: 7 steps",
        "it does not fail on this run: nothing failed",
    ]


def test_a_case_is_stale_where_prompt_or_tools_changed() -> None:
    """Green under another prompt is no green; a red run stays red; dates in the prompt are no change."""
    case = made(NO_LOOP)
    other = seen(shop_spans(5, [LOOKUP], system="Be brief."))
    renamed = seen(shop_spans(6, [("find_order", {})], tool_definitions=offered("find_order", "refund")))
    looping = seen(shop_spans(7, [LOOKUP] * 6, system="Be brief."))
    assert [(t.verdict, t.changed) for t in (tried(case, other), tried(case, renamed), tried(case, looping))] == [
        (Verdict.STALE, ("prompt",)),
        (Verdict.STALE, ("tools",)),
        (Verdict.RED, ("prompt",)),
    ]
    dated = [seen(shop_spans(n, [LOOKUP], system=f"Be kind. Today is 2026-11-{n}T10:00:00Z.")) for n in (10, 11)]
    assert dated[0].prompt == dated[1].prompt


def test_a_run_from_before_the_case_is_not_said_to_have_changed_since() -> None:
    """A prompt that an older run had was changed before the case was made, and after a later run's not."""
    bad = seen(shop_spans(1, [LOOKUP] * 6, at_s=1000, outcome=Outcome.FAILURE))
    case = case_from(json.loads(json.dumps(case_document(made(NO_LOOP, bad=bad)))), "a file")
    before, since = (seen(shop_spans(5, [LOOKUP], at_s=at_s, system="Be brief.")) for at_s in (0, 2000))
    assert [(t.verdict, t.why) for t in (tried(case, before), tried(case, since))] == [
        (Verdict.STALE, "the prompt changed between this run and the later one that the case was made from"),
        (Verdict.STALE, "the prompt changed since the case was made"),
    ]


def test_a_tool_that_was_renamed_is_no_red_and_no_green() -> None:
    """That a tool was not called says nothing of a run that was not offered it."""
    bad = seen(shop_spans(1, [("refund", {})], outcome=Outcome.FAILURE))
    case = made(Expectation(Check.MUST_CALL, tool="lookup_order"), bad=bad)
    renamed = seen(shop_spans(6, [("find_order", {})], tool_definitions=offered("find_order")))
    trial = tried(case, renamed)
    assert (trial.verdict, trial.judged[0].met) == (Verdict.STALE, None)


def test_a_tool_that_only_a_later_call_was_offered_was_offered() -> None:
    """Agents hand over to others with tools of their own: what is judged is the whole run."""
    spans = shop_spans(1, [LOOKUP], tool_definitions=offered("hand_over"))
    later = [
        replace(one, tool_definitions=offered("lookup_order")) if one.span_id.endswith("2328") else one for one in spans
    ]
    assert seen(later).offered == ("hand_over", "lookup_order")
    case = made(Expectation(Check.NO_LOOP), Expectation(Check.MUST_CALL, tool="lookup_order"))
    assert [one.met for one in tried(case, seen(spans)).judged] == [True, True], "it was called, offered or not"


def test_an_agent_below_a_span_that_never_came_has_ended() -> None:
    """A web framework keeps its own span, the root, away: the agent's own says that it ended."""
    below = [replace(one, parent_id="f" * 16) if one.parent_id is None else one for one in shop_spans(1, [LOOKUP])]
    assert seen(below).complete
    assert not seen(below[1:]).complete


def test_a_goal_is_the_same_goal_under_another_key() -> None:
    """Pseudonyms differ from store to store: a case made in one finds its runs in another."""
    case = made(NO_LOOP, bad=replace(BAD, goal="Write to <email:0123456789ab>"))
    assert case.concerns(replace(HEALTHY, goal="Write to <email:111111111111>"))


def test_a_case_is_about_runs_of_its_agent_and_task() -> None:
    """Expectations that name values are about the very goal, others about the kind of task."""
    case = made(NO_LOOP)
    other_goal = replace(HEALTHY, goal="Cancel my order")
    assert case.match is Match.TASK
    assert case.concerns(HEALTHY)
    assert not case.concerns(replace(HEALTHY, agent="other"))
    assert not case.concerns(other_goal)
    known = replace(case, bad=replace(BAD, task="t"))
    assert known.concerns(replace(other_goal, task="t"))
    assert not known.concerns(replace(HEALTHY, task="u"))
    named = made(NO_LOOP, Expectation(Check.MUST_CALL, tool="lookup_order", arguments={"order": "A-1"}))
    assert named.match is Match.GOAL
    assert not replace(named, bad=replace(BAD, task="t")).concerns(replace(other_goal, task="t"))


def test_the_whole_is_as_bad_as_its_worst() -> None:
    """Red before what cannot be judged, that before stale; nothing judged at all is no green."""
    case = made(NO_LOOP)
    green, red = tried(case, HEALTHY), tried(case, BAD)
    stale = tried(case, seen(shop_spans(5, [LOOKUP], system="Be brief.")))
    assert overall([green]) is Verdict.GREEN
    assert overall([green, stale]) is Verdict.STALE
    assert overall([green, stale, unjudged(case)]) is Verdict.CANNOT_JUDGE
    assert overall([green, stale, unjudged(case), red]) is Verdict.RED
    assert overall([]) is Verdict.CANNOT_JUDGE


@pytest.mark.parametrize("broken", [[], {}, {"schema": "analyzer.golden/2"}, {"schema": "analyzer.golden/1"}])
def test_a_file_that_is_no_case_is_named(broken) -> None:
    """A folder of cases may hold a JSON file of somebody else's: it is named, with what is wrong."""
    with pytest.raises(UsageError, match=r"cases/x\.json"):
        case_from(broken, "cases/x.json")


def test_what_is_asked_for_is_masked_as_runs_are() -> None:
    """A raw secret in a flag is in no file, and the case still fails on the run that had it."""
    bad = seen(shop_spans(1, [("refund", {"to": "<account:0123456789ab>"})], outcome=Outcome.FAILURE))
    case = accepted(
        bad,
        HEALTHY,
        [Expectation(Check.MUST_NOT_CALL, tool="refund", arguments={"to": "ACCT-1"})],
        at=AT,
        mask=lambda text: text.replace("ACCT-1", "<account:0123456789ab>"),
    )
    assert "ACCT-1" not in json.dumps(case_document(case))
    assert tried(case, bad).verdict is Verdict.RED
    with pytest.raises(UsageError, match="it could never match"):
        accepted(
            bad,
            HEALTHY,
            [Expectation(Check.ARGUMENTS_MATCH, tool="refund", arguments={"to": "ACCT-1"})],
            at=AT,
            mask=lambda text: text.replace("ACCT-1", "<account:0123456789ab>"),
        )


def test_a_barred_call_that_the_bad_run_never_made_is_refused() -> None:
    """Beside one that is red it would look like a guard, and nothing shows that it can ever fail."""
    barred = Expectation(Check.MUST_NOT_CALL, tool="refund", arguments={"order": "A-9"})
    with pytest.raises(UsageError, match=r"nothing shows that it can fail: must not call refund .*: never called"):
        made(NO_LOOP, barred)


def test_agents_beyond_ascii_have_names_of_their_own() -> None:
    """Two agents of one moment are two files."""
    names = {name_of(replace(BAD, agent=agent)) for agent in ("客服", "订单", "agent")}
    assert len(names) == 3
    assert all(name.isascii() and name.startswith("agent-") for name in names)


def test_a_case_that_no_run_can_be_about_is_refused() -> None:
    """Without goal and task nothing tells which runs it is about, unless it is all."""
    untold = replace(BAD, goal="", task=None)
    with pytest.raises(UsageError, match="tells no goal and no task"):
        made(NO_LOOP, bad=untold)
    assert made(NO_LOOP, bad=untold, match=Match.AGENT).match is Match.AGENT
