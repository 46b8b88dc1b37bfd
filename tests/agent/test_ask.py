"""Questions about one trajectory."""

from __future__ import annotations

import pytest
from agent.cases import ERROR, HEALTHY, WORST, claim, looping, means, quote, span_id, well
from support.messages_api import calls, fails, messages_api, refuses, says

from analyzer.agent.ask import ask
from analyzer.agent.claude import ClaudeModel
from analyzer.agent.limits import Limits
from analyzer.agent.model import ModelReply, ToolCall
from analyzer.agent.rules import ENDINGS
from analyzer.agent.scripted import ScriptedModel
from analyzer.render.answer import answer_outline
from analyzer.render.terminal import terminal
from analyzer.types.diagnosis import Ending, Verdict

WHY = "why did it fail?"


def reply(summary: str, *claims: dict[str, object]) -> ModelReply:
    """Return a reply that hands in an answer."""
    return ModelReply(tool_calls=(ToolCall("s", "submit_answer", {"summary": summary, "claims": list(claims)}),))


TRUE = claim("The lookup failed with 503.", quote(ERROR, number=27, field="status_message"), decisive=True)


def test_an_honest_answer_stands():
    """The answer, its claims and its evidence come through the gate."""
    model = ScriptedModel([reply("The order service answered 503 in step 27.", TRUE)])
    found = ask(looping(), WHY, means(model), peers=[well()])
    assert found.text == "The order service answered 503 in step 27."
    assert (found.verdict, found.ending, found.by, found.struck_out) == (Verdict.LIKELY, Ending.ANSWERED, "scripted", 0)
    assert found.evidence[0].quote == ERROR
    assert WHY in model.requests[0].messages[0].blocks[1].text


@pytest.mark.parametrize(
    ("named", "shown"),
    [
        ({"trace_id": WORST, "span_id": span_id(2), "step": 2}, "Decisive step: step 2 of support-triage, span"),
        ({"trace_id": WORST, "span_id": span_id(2), "step": 3}, None),
        ({"trace_id": HEALTHY, "span_id": span_id(99), "step": 2}, None),
        (None, None),
    ],
)
def test_the_decisive_step_is_one_that_there_is(named: dict[str, object] | None, shown: str | None):
    """The step that the model holds responsible stands with its agent; one that does not exist is left out."""
    payload = {"summary": "The order service answered 503 in step 27.", "claims": [TRUE], "responsible": named}
    model = ScriptedModel([ModelReply(tool_calls=(ToolCall("s", "submit_answer", payload),))])
    found = ask(looping(), WHY, means(model), peers=[well()])
    text = terminal(answer_outline(found, WORST), 200)
    if shown is None:
        assert found.responsible is None
        assert "Decisive" not in text
    else:
        assert (found.responsible.span_id, found.responsible.step) == (span_id(2), 2)
        assert shown in text


def test_a_lie_is_replaced_by_what_was_computed():
    """An answer with an unproven number gives way to the rules' answer and is counted."""
    lie = reply("It wasted 5,000 USD.", TRUE)
    found = ask(looping(), WHY, means(ScriptedModel([lie, lie])))
    assert "5,000" not in found.text
    assert found.struck_out == 1
    assert found.verdict is Verdict.INCONCLUSIVE
    assert ERROR in found.text


def test_without_a_model_the_rules_answer():
    """What it did, what it cost, what was slow, what failed and what repeats, with quotes."""
    found = ask(looping(), WHY, means(None), peers=[well(HEALTHY)])
    assert (found.by, found.ending) == ("rules", Ending.OFF)
    for words in ("28 steps", "0.0102 USD", "Slowest step: step 1", "1 of 28 steps failed", "25 times", ERROR):
        assert words in found.text
    assert {name for one in found.claims for name in one.evidence} == {entry.id for entry in found.evidence}


def test_without_a_model_that_is_said_first():
    """The first thing a reader sees is that nobody read the question, and where to look for what is missing."""
    found = ask(looping(), WHY, means(None))
    shown = terminal(answer_outline(found, WORST), 200)
    assert shown.splitlines()[3] == (
        "No model is set up, so the question itself was not answered: analyzer doctor says what is missing. "
        "What follows is what can be computed."
    )
    assert shown.count("o model is set up") == 1


@pytest.mark.parametrize(
    ("replies", "ending"),
    [
        ([fails(500)], Ending.UNAVAILABLE),
        ([refuses()], Ending.REFUSED),
        ([says("It was the network.")], Ending.INVALID),
        ([says("{", stop_reason="max_tokens")], Ending.TOKENS),
        ([calls(("case_facts", {}))], Ending.STEPS),
    ],
)
def test_whatever_the_api_does_the_rules_answer(replies: list, ending: Ending):
    """Each failure keeps its name, and the computed answer goes out."""
    with messages_api(replies) as api:
        model = ClaudeModel(api_key="k", base_url=api.url, sleep=lambda _s: None)
        found = ask(looping(), WHY, means(model, limits=Limits(steps=2)))
    assert (found.ending, found.by) == (ending, "rules")
    assert found.note
    assert "28 steps" in found.text
    first = terminal(answer_outline(found, WORST), 1000).splitlines()[3]
    assert first.lower().startswith(ENDINGS[ending])
    assert first.endswith("What follows is what can be computed.")
