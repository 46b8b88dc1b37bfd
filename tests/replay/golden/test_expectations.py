from __future__ import annotations

from dataclasses import replace

import pytest
from support.golden import offered, seen, shop_spans

from analyzer.errors import UsageError
from analyzer.replay.golden.expectations import Check, Expectation, document_of, expectation_from, judged
from analyzer.types.trace import Outcome

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
