from __future__ import annotations

from dataclasses import replace

import pytest
from support.golden import offered, seen, shop_spans

from analyzer.errors import UsageError
from analyzer.replay.golden.expectations import Check, Expectation, document_of, expectation_from, judged
from analyzer.types.trace import Operation, Outcome

RUN = seen(shop_spans(1, [("lookup_order", {"order": "A-1"}), ("refund", {"order": "A-1", "usd": 20})]))
LOOPING = seen(shop_spans(2, [("lookup_order", {"order": "A-1"})] * 6))

CASES = [
    (Expectation(Check.NO_LOOP), RUN, True, "no loop"),
    (
        Expectation(Check.NO_LOOP),
        LOOPING,
        False,
        "steps 2 to 12: the same call to lookup_order with the same result 6 times",
    ),
    (Expectation(Check.MUST_CALL, tool="refund"), RUN, True, "called in step 4"),
    (Expectation(Check.MUST_CALL, tool="refund", arguments={"usd": 20}), RUN, True, "called in step 4"),
    (Expectation(Check.MUST_CALL, tool="refund"), LOOPING, False, "never called"),
    (
        Expectation(Check.MUST_CALL, tool="refund", arguments={"usd": 21}),
        RUN,
        False,
        "never called; refund was called with other arguments in step 4",
    ),
    (Expectation(Check.MUST_NOT_CALL, tool="refund"), RUN, False, "called in step 4"),
    (Expectation(Check.MUST_NOT_CALL, tool="refund", arguments={"order": "A-2"}), RUN, True, "never called"),
    (Expectation(Check.ARGUMENTS_MATCH, tool="refund", arguments={"order": "^A-"}), RUN, True, "every call matches"),
    (
        Expectation(Check.ARGUMENTS_MATCH, tool="refund", arguments={"usd": "^1"}),
        RUN,
        False,
        "other arguments in step 4",
    ),
    (
        Expectation(Check.ARGUMENTS_MATCH, tool="refund", arguments={"usd": "1"}),
        LOOPING,
        None,
        "refund was never called",
    ),
    (Expectation(Check.STEPS_AT_MOST, at_most=5), RUN, True, "5 steps"),
    (Expectation(Check.STEPS_AT_MOST, at_most=4), RUN, False, "5 steps"),
    (Expectation(Check.TOKENS_AT_MOST, at_most=359), RUN, False, "360 tokens"),
    (Expectation(Check.COST_AT_MOST_USD, at_most=0.0012), RUN, True, "0.0012 USD"),
    (Expectation(Check.ANSWER_CONTAINS, text="ON ITS WAY"), RUN, True, "the answer in step 5 contains 'ON ITS WAY'"),
    (Expectation(Check.ANSWER_CONTAINS, text="lost"), RUN, False, "none of its 1 answers contains 'lost'"),
    (
        Expectation(Check.ANSWER_MATCHES, text=r"^It is \w+ "),
        RUN,
        True,
        "the answer in step 5 matches '^It is \\\\w+ '",
    ),
    (Expectation(Check.NO_ERROR), RUN, True, "nothing failed"),
]


@pytest.mark.parametrize(("expectation", "run", "met", "why"), CASES)
def test_an_expectation_is_judged_by_what_the_run_did(expectation, run, met, why) -> None:
    """Each check says whether it is met, and in a phrase what was seen."""
    found = judged(expectation, run)
    assert (found.met, found.why) == (met, why)


def test_what_a_run_does_not_tell_is_not_passed() -> None:
    """Without tokens, prices or an end nothing is green: it cannot be judged."""
    running = replace(RUN, complete=False)
    untold = replace(RUN, steps=tuple(replace(step, tokens=0, cost_usd=None) for step in RUN.steps))
    partly = replace(RUN, steps=(*RUN.steps[:-1], replace(RUN.steps[-1], cost_usd=None)))
    unjudged = [
        judged(Expectation(Check.MUST_CALL, tool="pay"), running),
        judged(Expectation(Check.MUST_NOT_CALL, tool="pay"), running),
        judged(Expectation(Check.NO_ERROR), replace(RUN, steps=())),
        judged(Expectation(Check.TOKENS_AT_MOST, at_most=1), untold),
        judged(Expectation(Check.COST_AT_MOST_USD, at_most=1), untold),
        judged(Expectation(Check.COST_AT_MOST_USD, at_most=1), partly),
        judged(Expectation(Check.ANSWER_CONTAINS, text="x"), replace(RUN, steps=RUN.steps[:1])),
    ]
    assert [one.met for one in unjudged] == [None] * len(unjudged)
    assert judged(Expectation(Check.COST_AT_MOST_USD, at_most=0.0001), partly).met is False, "the part is too much"


def test_a_secret_is_the_same_secret_in_another_store() -> None:
    """Pseudonyms have the key of their store: cases go from one to another, so that the kind alone is compared."""
    run = seen(shop_spans(3, [("refund", {"to": "<email:0123456789ab>"})]))
    wanted = Expectation(Check.MUST_CALL, tool="refund", arguments={"to": "<email:ba9876543210>"})
    assert judged(wanted, run).met is True
    assert judged(replace(wanted, arguments={"to": "<card:ba9876543210>"}), run).met is False


@pytest.mark.parametrize(
    "document",
    [
        {"check": "be_nice"},
        {"check": "must_call"},
        {"check": "arguments_match", "tool": "refund"},
        {"check": "arguments_match", "tool": "refund", "arguments": {"usd": 3}},
        {"check": "steps_at_most"},
        {"check": "steps_at_most", "at_most": 0},
        {"check": "cost_at_most_usd", "at_most": "much"},
        {"check": "answer_contains", "text": ""},
        {"check": "answer_matches", "text": "("},
        ["must_call"],
    ],
)
def test_what_cannot_be_judged_is_refused(document) -> None:
    """An expectation that lacks what it is about is refused when it is read, and not when it is judged."""
    with pytest.raises(UsageError):
        expectation_from(document)


@pytest.mark.parametrize("expectation", [case[0] for case in CASES])
def test_an_expectation_survives_its_file(expectation) -> None:
    """What is written is read again as it was."""
    assert expectation_from(document_of(expectation)) == expectation


def test_an_answer_is_what_no_tool_was_to_read() -> None:
    """A reply that asks for a call answers nobody, whatever it says."""
    assert [step.number for step in RUN.replies] == [5]
    assert RUN.offered == ("lookup_order", "refund")
    assert RUN.outcome is Outcome.SUCCESS
    assert seen(shop_spans(4, [], tool_definitions=offered("refund", "lookup_order"))).tools == RUN.tools


def without_tools(number, calls):
    """Return a run of an SDK that reports model calls alone: what was called stands in the replies."""
    return seen([span for span in shop_spans(number, calls) if span.operation is not Operation.TOOL])


def test_a_call_that_no_tool_span_tells_of_stands_in_the_reply_that_asked_for_it() -> None:
    """Chat alone is no reason to be green: a call that was asked for is a call; what came of it is not known."""
    run = without_tools(5, [("lookup_order", {"order": "A-1"}), ("refund", {"order": "A-1", "usd": 20})])
    barred = Expectation(Check.MUST_NOT_CALL, tool="refund", arguments={"usd": 20})
    assert [(step.name, step.number) for step in run.calls] == [("lookup_order", 1), ("refund", 2)]
    assert (judged(barred, run).met, judged(barred, run).why) == (False, "called in step 2")
    assert judged(replace(barred, check=Check.MUST_CALL), run).met is True
    assert judged(replace(barred, arguments={"usd": 21}), run).met is True
    for named in ("refund", None):
        unseen = judged(Expectation(Check.NO_ERROR, tool=named), run)
        assert (unseen.met, unseen.why) == (None, "what came of its calls was not recorded")
    assert [step.name for step in replace(run, steps=run.steps[:1]).calls] == ["lookup_order"], "a part has its own"
    bound = Expectation(Check.STEPS_AT_MOST, at_most=len(run.steps) + 1)
    assert judged(bound, run).met is False, "calls without a span are steps all the same"
    assert judged(replace(bound, at_most=len(run.steps) + 2), run).met is True


def test_a_call_that_a_tool_span_has_is_counted_once() -> None:
    """Also where the framework filled in defaults, so that its arguments are not those that were asked for."""
    spans = shop_spans(6, [("refund", {"order": "A-1"}), ("refund", {"order": "A-2"})])
    assert [step.name for step in seen(spans).calls] == ["refund", "refund"]
    filled = [
        replace(span, input='{"order": "A-1", "fee": 0}') if span.operation is Operation.TOOL else span
        for span in spans
    ]
    assert seen(filled).untraced == ()
    one_lost = [span for span in spans if not (span.operation is Operation.TOOL and "A-2" in (span.input or ""))]
    assert [step.input for step in seen(one_lost).untraced] == ['{"order": "A-2"}']


@pytest.mark.parametrize(("written", "wanted"), [(100.0, 100), (100, 100.0), ([{"a": 2.0}], [{"a": 2}])])
def test_a_number_is_the_same_number_however_it_is_written(written, wanted) -> None:
    """100.0 is 100: a serializer of another language must not turn a case green."""
    run = seen(shop_spans(7, [("refund", {"amount": written})]))
    assert judged(Expectation(Check.MUST_NOT_CALL, tool="refund", arguments={"amount": wanted}), run).met is False


@pytest.mark.parametrize(
    "arguments",
    [
        {"role": "admin", "user": "bob"},
        {"type": "text", "text": "rm -rf /"},
        {"messages": [{"role": "user", "content": "x"}], "to": "bob"},
    ],
)
def test_arguments_that_look_like_a_message_are_arguments(arguments) -> None:
    """What a tool was given is compared as it was given: names such as `role` are names like any other."""
    run = seen(shop_spans(8, [("send", arguments)]))
    assert judged(Expectation(Check.MUST_NOT_CALL, tool="send", arguments=arguments), run).met is False


@pytest.mark.parametrize("depth", [100, 300, 450, 700, 900])
def test_arguments_that_are_nested_too_deep_are_no_crash(depth) -> None:
    """Hostile input ends no run of cases; where it cannot be compared it is never taken for green."""
    value = "x"
    for _ in range(depth):
        value = {"a": value}
    run = seen(shop_spans(9, [("refund", {"order": value})]))
    met = judged(Expectation(Check.MUST_CALL, tool="refund", arguments={"order": value}), run).met
    assert met in ({True, None} if depth > 100 else {True})
