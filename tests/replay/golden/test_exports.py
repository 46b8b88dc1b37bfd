"""Golden cases as the data sets of others: what a right answer is there."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from support.golden import seen, shop_spans

from analyzer.replay.golden.accepting import accepted
from analyzer.replay.golden.expectations import Check, Expectation
from analyzer.replay.golden.exports import FORMATS

LOOKUP = ("lookup_order", {"order": "A-1"})
REFUND = ("refund", {"order": "A-1"})


@pytest.mark.parametrize(("goal", "answer"), [("the same", "It is on its way."), ("another", None)])
def test_the_healthy_answer_is_right_only_for_the_same_goal(goal: str, answer: str | None) -> None:
    """To another customer's question another answer is right: scoring against it would mark right answers wrong."""
    healthy = seen(shop_spans(2, [LOOKUP]))
    case = accepted(
        seen(shop_spans(1, [LOOKUP, REFUND])),
        healthy if goal == "the same" else replace(healthy, goal="Where is order B-7?"),
        [Expectation(Check.MUST_NOT_CALL, tool="refund")],
        at=datetime(2026, 11, 23, tzinfo=UTC),
        mask=lambda text: text,
    )
    given = {
        "langfuse": json.loads(FORMATS["langfuse"]([case]))["expectedOutput"],
        "phoenix": json.loads(FORMATS["phoenix"]([case]))["outputs"][0],
        "openai-evals": json.loads(FORMATS["openai-evals"]([case]))["item"]["ideal"],
    }
    assert {name: one["answer"] for name, one in given.items()} == dict.fromkeys(given, answer)
    assert all(one["words"] == ["must not call refund"] for one in given.values())
