"""Cases against an agent's own code, and the recording that a case keeps for it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from support.golden import GOAL, seen, shop_spans

from analyzer.errors import UsageError
from analyzer.replay.golden.accepting import accepted
from analyzer.replay.golden.case import Case, case_document, case_from
from analyzer.replay.golden.expectations import Check, Expectation
from analyzer.replay.golden.rerunning import standin_of, tried_again
from analyzer.replay.golden.running import Trial, Verdict
from analyzer.replay.recording import recording_of
from analyzer.types.trace import Outcome
from analyzer.types.trajectory import Trajectory, ordered, summarise

LOOKUP = ("lookup_order", {"order": "A-1"})
REFUND = ("refund", {"order": "A-1", "to": "<email:0123456789ab>"})
NOT_REFUNDED = Expectation(Check.MUST_NOT_CALL, tool="refund")


def case_of(*expectations: Expectation, calls: Any = (LOOKUP, REFUND)) -> Case:
    """Return a case of a run that looks an order up and refunds it, as its file has it."""
    spans = ordered(shop_spans(1, list(calls), outcome=Outcome.FAILURE))
    case = accepted(
        seen(list(spans)),
        seen(shop_spans(2, [LOOKUP])),
        list(expectations),
        at=datetime(2026, 11, 23, tzinfo=UTC),
        mask=lambda text: text,
        replay=recording_of(Trajectory(summarise(spans[0].trace_id, spans), spans)),
    )
    return case_from(json.loads(json.dumps(case_document(case))), "case.json")


def ran(case: Case, *, guarded: bool, tools: bool = True, turns: int = 5, system: str = "Be kind.") -> Verdict:
    """Run an agent of a few lines against the stand-in of a case; guarded, it ends rather than refund."""
    standin = standin_of(case, lambda text: text)
    assert standin is not None
    messages = [{"role": "system", "content": system}, {"role": "user", "content": GOAL}]
    body = json.dumps({"model": "claude-sonnet-5-5", "messages": messages}).encode()
    for _ in range(turns):
        answer = standin.answer("/v1/chat/completions", body)
        if answer.status != 200:
            return tried_again(case, standin, 1).verdict
        made = json.loads(answer.body)["choices"][0]["message"].get("tool_calls") or []
        if not made or (guarded and made[0]["function"]["name"] == "refund"):
            break
        for one in made if tools else ():
            standin.answer(f"/recorded-tools/{one['function']['name']}", one["function"]["arguments"].encode())
    return tried_again(case, standin, 0).verdict


@pytest.mark.parametrize(
    ("how", "verdict"),
    [
        ({"guarded": False}, Verdict.RED),
        ({"guarded": True}, Verdict.GREEN),
        ({"guarded": True, "tools": False}, Verdict.CANNOT_JUDGE),
        ({"guarded": True, "turns": 1}, Verdict.CANNOT_JUDGE),
        ({"guarded": True, "system": "Be rude."}, Verdict.CANNOT_JUDGE),
    ],
    ids=["calls it", "does not", "tools unseen", "never led there", "other prompt"],
)
def test_a_call_that_must_not_be_made(how: dict[str, Any], verdict: Verdict) -> None:
    """Red where it is made again; green where the agent meets the decision and does not follow; else not judged."""
    assert ran(case_of(NOT_REFUNDED), **how) is verdict


def mixing(*own: str) -> Trial:
    """Return the trial of an agent that runs some tools itself and takes the recorded results of the others."""
    case = case_of(NOT_REFUNDED, calls=(LOOKUP, ("track", {"order": "A-1"}), REFUND))
    standin = standin_of(case, lambda text: text)
    assert standin is not None
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": GOAL}]
    body = json.dumps({"model": "claude-sonnet-5-5", "messages": messages}).encode()
    for _ in range(3):
        answer = standin.answer("/v1/chat/completions", body)
        (made,) = json.loads(answer.body)["choices"][0]["message"]["tool_calls"]
        if made["function"]["name"] not in own:
            standin.answer(f"/recorded-tools/{made['function']['name']}", made["function"]["arguments"].encode())
    return tried_again(case, standin, 0)


def test_an_agent_that_runs_some_tools_itself_is_not_passed() -> None:
    """It asks for one tool and runs another: whether it ran the barred one itself nobody saw, and no green comes."""
    trial = mixing("track", "refund")
    assert trial.verdict is Verdict.CANNOT_JUDGE
    assert "it ran track itself, so that calls which it did not ask for may have been made" in trial.why


def test_what_is_taken_for_granted_is_said() -> None:
    """The barred call is the first that the agent does not ask for: green, and what that rests on stands beside it."""
    trial = mixing("refund")
    assert trial.verdict is Verdict.GREEN
    assert trial.why.endswith("; refund was decided on and never asked for, and is taken as not run")


@pytest.mark.parametrize(
    "expected",
    [Expectation(Check.TOKENS_AT_MOST, at_most=300), Expectation(Check.COST_AT_MOST_USD, at_most=0.0009)],
    ids=["tokens", "cost"],
)
def test_what_a_replay_cannot_see_is_no_pass(expected: Expectation) -> None:
    """No model is asked, so that a case of tokens or costs alone is not green, though the agent did less."""
    assert ran(case_of(expected), guarded=True) is Verdict.CANNOT_JUDGE


def test_the_recording_in_a_file_is_the_recording() -> None:
    """Requests, decisions, errors and tools come back as they were, though each request holds only what is new."""
    case = case_of(NOT_REFUNDED)
    assert case.replay is not None
    spans = ordered(shop_spans(1, [LOOKUP, REFUND], outcome=Outcome.FAILURE))
    whole = recording_of(Trajectory(summarise(spans[0].trace_id, spans), spans))
    assert [replace(one.request, tools_version="", prompt_version="", provider="") for one in whole.calls] == [
        one.request for one in case.replay.calls
    ]
    assert [one.decision for one in whole.calls] == [one.decision for one in case.replay.calls]
    assert [replace(one, span=None) for one in whole.executions] == list(case.replay.executions)
    document = case_document(case)
    assert [len(one["messages"]) for one in document["replay"]["calls"]] == [1, 0, 0]


def test_another_schema_of_the_recording_is_refused() -> None:
    """A case of a later version is not half understood."""
    document = case_document(case_of(NOT_REFUNDED))
    document["replay"]["schema"] = "analyzer.golden-replay/9"
    with pytest.raises(UsageError, match="replay has schema"):
        case_from(document, "case.json")
