"""Replies of providers read back, and what a run of which a part was live comes to."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.replay.alike import Decision
from analyzer.replay.comparing import MESSAGES, SYSTEM, TOOLS, Difference
from analyzer.replay.conversation import Message, ToolCall, ToolDefinition
from analyzer.replay.judging import failure_of, seen
from analyzer.replay.outcomes import Outcome
from analyzer.replay.recording import Call, Execution, Recording, Request
from analyzer.replay.standin import How, Lived, Met, Policy, StandIn, ToolAsked
from analyzer.replay.wires import WIRES
from analyzer.replay.wires.openai_responses import WIRE as RESPONSES
from analyzer.replay.wires.replies import Heard, heard
from analyzer.replay.wires.wire import Asked, Served, Wire, as_json
from analyzer.types import trace
from analyzer.types.trace import FinishReason, Operation, Span, Status, Tokens

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
CALLS = st.builds(
    ToolCall, st.from_regex(r"c[0-9]{1,3}", fullmatch=True), st.just("find"), st.dictionaries(TEXTS, TEXTS, max_size=3)
)
ASKED = Asked(Request("m", {}, "", (), ()), streamed=True, with_usage=True)


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
@given(TEXTS, st.lists(CALLS, max_size=3, unique_by=lambda call: call.id), st.booleans())
def test_what_is_written_is_read_back(wire: Wire, text: str, calls: list[ToolCall], streamed: bool) -> None:
    """A reply and its stream say the same, in each format: text, calls in parallel, reason and tokens."""
    finish = FinishReason.TOOL_CALL if calls else FinishReason.STOP
    decision = Decision(text, tuple(calls), finish)
    served = Served("k", "m", decision, Tokens(70, 7, cache_read=20), 1)
    body = b"".join(wire.stream(served, ASKED)) if streamed else as_json(wire.reply(served)).encode()
    found = heard(wire, 200, body, streamed=streamed)
    assert found.decision == decision
    assert found.tokens is not None
    assert (found.tokens.input, found.tokens.output, found.tokens.cache_read) == (70, 7, 20)


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_break_it(wire: Wire, body: bytes, streamed: bool) -> None:
    """What is no reply is a problem, and never a decision that counts."""
    assert heard(wire, 200, body, streamed=streamed).problem
    assert heard(wire, 500, body, streamed=streamed).decision is None


@pytest.mark.parametrize("finish", [FinishReason.REFUSAL, FinishReason.LENGTH, FinishReason.CONTENT_FILTER])
@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
def test_a_reply_that_is_cut_filtered_or_a_refusal_is_read_as_one(wire: Wire, finish: FinishReason) -> None:
    """Each API has its own way to say so; a run that ends with such a reply has not done its work."""
    found = heard(wire, 200, json.dumps(UNFINISHED[wire.name, finish]).encode(), streamed=False)
    assert found.decision is not None, found.problem
    assert found.decision.finish is finish
    live = _live("found", decision=found.decision)
    judged = seen(LOOPING, FAILED, (*SAME, live), code=0, guilty=2).judged
    assert judged.outcome is Outcome.DIVERGED
    assert judged.why.endswith(WHY[finish])


def _anthropic(reason: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "No"}], "stop_reason": reason}


def _chat(reason: str, **message: str) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": "No", **message}, "finish_reason": reason}]}


def _response(reason: str | None, kind: str = "output_text") -> dict[str, Any]:
    part = {"type": kind, "refusal" if kind == "refusal" else "text": "No"}
    cut = None if reason is None else {"reason": reason}
    return {"output": [{"type": "message", "role": "assistant", "content": [part]}], "incomplete_details": cut}


WHY = {
    FinishReason.REFUSAL: "the model refused",
    FinishReason.LENGTH: "the model's last reply was cut at its limit",
    FinishReason.CONTENT_FILTER: "the provider's filter stopped the model",
}
UNFINISHED = {
    ("Anthropic Messages", FinishReason.REFUSAL): _anthropic("refusal"),
    ("Anthropic Messages", FinishReason.LENGTH): _anthropic("max_tokens"),
    ("Anthropic Messages", FinishReason.CONTENT_FILTER): _anthropic("content_filter"),
    ("OpenAI Chat Completions", FinishReason.REFUSAL): _chat("stop", refusal="No"),
    ("OpenAI Chat Completions", FinishReason.LENGTH): _chat("length"),
    ("OpenAI Chat Completions", FinishReason.CONTENT_FILTER): _chat("content_filter"),
    ("OpenAI Responses", FinishReason.REFUSAL): _response(None, "refusal"),
    ("OpenAI Responses", FinishReason.LENGTH): _response("max_output_tokens"),
    ("OpenAI Responses", FinishReason.CONTENT_FILTER): _response("content_filter"),
}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_response_that_failed_is_no_reply(streamed: bool) -> None:
    """The Responses API may fail with a whole document and status 200: its reason is told, and nothing was decided."""
    failed = {"status": "failed", "error": {"code": "server_error", "message": "It broke."}, "output": []}
    event = {"type": "response.failed", "response": failed}
    body = f"event: response.failed\ndata: {json.dumps(event)}\n\n" if streamed else json.dumps(failed)
    found = heard(RESPONSES, 200, body.encode(), streamed=streamed)
    assert (found.decision, found.problem) == (None, "the provider failed: It broke.")


def test_what_a_provider_says_is_masked_before_it_is_kept() -> None:
    """Its text, the arguments of its calls and its errors: what is shown and logged holds none of them as they were."""
    standin = StandIn(LOOPING, policy=Policy.LIVE, mask=lambda text: text.replace("secret", "<masked>"))
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Something else."}]}).encode()
    forward = standin.answer("/v1/chat/completions", body).forward
    assert forward is not None
    decision = Decision("a secret", (ToolCall("x", "find", {"key": ["secret"]}),), FinishReason.TOOL_CALL)
    standin.lived(forward, Heard(decision, problem="no secret"), status=200, usd=0.1)
    live = standin.course[0].live
    assert live is not None
    assert live.decision == Decision(
        "a <masked>", (ToolCall("x", "find", {"key": ["<masked>"]}),), FinishReason.TOOL_CALL
    )
    assert live.problem == "no <masked>"


def test_what_a_request_costs_that_is_sent_again_is_added_up() -> None:
    """An SDK tries again: both attempts were paid for, and the last answer is the one that counts."""
    standin = StandIn(LOOPING, policy=Policy.LIVE)
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Something else."}]}).encode()
    decision = Decision("It comes.", (), FinishReason.STOP)
    for again, found, status, usd in ((False, Heard(problem="gone"), 502, 0.5), (True, Heard(decision), 200, 0.25)):
        forward = standin.answer("/v1/chat/completions", body, again=again).forward
        assert forward is not None
        standin.lived(forward, found, status=status, usd=usd)
    (met,) = standin.course
    assert met.live is not None
    assert (met.live.decision, met.live.status, met.live.usd) == (decision, 200, 0.75)


GOAL = Message("user", "Where is A-17?")


def _call(number: int) -> Call:
    decided = Decision("", (ToolCall(f"c{number}", "lookup", {"order": "A-17"}),), FinishReason.TOOL_CALL)
    span = Span("0" * 32, f"{number:016x}", None, "chat", Operation.CHAT)
    tool = ToolDefinition("lookup", "", {})
    return Call(number, span, Request("m", {}, "", (tool,), (GOAL,)), decided)


def _execution(number: int) -> Execution:
    span = Span("0" * 32, f"{number:016x}", None, "lookup", Operation.TOOL, status=Status.ERROR)
    return Execution(number, span, "lookup", f"c{number - 1}", {"order": "A-17"}, "error: lost", failed=True)


LOOPING = Recording("0" * 32, "a", None, "", (_call(1), _call(3), _call(5)), tuple(map(_execution, (2, 4, 6))), ())
FAILED = failure_of(LOOPING, trace.Outcome.ERROR)
SAME = (Met(1, How.SAME, 1, None, ""),)


def _live(said: str = "", *tools: str, step: int = 3, parts: tuple[str, ...] = (MESSAGES,), **more: Any) -> Met:
    calls = tuple(ToolCall("x", name, {"order": "A-17"}) for name in tools)
    decision = Decision("" if tools else "It comes.", calls, FinishReason.TOOL_CALL if tools else FinishReason.STOP)
    lived = replace(Lived(200, decision, Tokens(1, 1), 0.1), **more)
    stale = (SYSTEM,) if SYSTEM in parts else ()
    return Met(step, How.LIVE, None, Difference(parts, (), stale), said, lived)


@pytest.mark.parametrize(
    ("course", "outcome", "why"),
    [
        ((*SAME, _live("found")), Outcome.FIXED, "the fault did not come"),
        ((*SAME, _live("", "lookup"), _live("error: lost")), Outcome.DIVERGED, "and the fault came; from step 3 on"),
        ((*SAME, _live("", "lookup"), _live("", "lookup"), _live("ok")), Outcome.DIVERGED, "and the fault came"),
        ((_live("", step=1, parts=(SYSTEM,)),), Outcome.DIVERGED, "nothing says whether the fault is gone"),
        (
            (_live("", "lookup", step=1, parts=(SYSTEM,)), _live("found", step=1, parts=(SYSTEM,))),
            Outcome.FIXED,
            "the fault did not come",
        ),
        ((*SAME, _live("found", problem="broke off", decision=None)), Outcome.DIVERGED, "broke off"),
        ((*SAME, _live("found", problem="no budget", decision=None, refused=True)), Outcome.DIVERGED, "no budget"),
    ],
    ids=["fixed", "same error", "same loop", "never there", "another prompt", "broken", "refused"],
)
def test_what_a_run_that_went_live_comes_to(course: tuple[Met, ...], outcome: Outcome, why: str) -> None:
    """Fixed only where the run came to the fault and it did not come; reproduced never."""
    found = seen(LOOPING, FAILED, course, code=0, guilty=2)
    assert found.judged.outcome is outcome, found.judged.why
    assert why in found.judged.why


@pytest.mark.parametrize(("stale", "outcome"), [(SYSTEM, Outcome.FIXED), (TOOLS, Outcome.CANNOT_JUDGE)])
def test_a_live_run_on_recorded_results_is_judged_unless_its_tools_changed(stale: str, outcome: Outcome) -> None:
    """The live model was told of another prompt; results of another definition answer it no better than any model."""
    asked = replace(_live("", "lookup", step=1), difference=Difference((stale,), (), (stale,)))
    found = replace(_live("found", step=1), difference=asked.difference)
    served = ToolAsked(1, "lookup", {"order": "A-17"}, {"step": 2, "failed": False, "result": "found"})
    assert seen(LOOPING, FAILED, (asked, found), code=0, tools=(served,), guilty=2).judged.outcome is outcome


def test_a_live_run_past_the_fault_is_no_repetition() -> None:
    """It went the recorded way past the fault, and then lived: diverged, and the sentence says both."""
    course = (*SAME, Met(3, How.SAME, 3, None, "error: lost"), _live("found", step=5))
    found = seen(LOOPING, FAILED, course, code=0, guilty=2)
    assert found.judged.outcome is Outcome.DIVERGED
    assert found.judged.why == "it went the recorded way past step 3; from step 5 on it went live"


def test_a_call_that_was_not_recorded_parts_the_run() -> None:
    """A tool asked for with other arguments is where the run parts, with the recorded calls as the diff; no pass."""
    course = (*SAME, Met(3, How.SAME, 3, None, "error: lost"))
    strange = ToolAsked(1, "lookup", {"order": "B-2"}, None)
    found = seen(LOOPING, FAILED, course, code=0, tools=(strange,))
    assert found.judged.outcome is Outcome.DIVERGED
    assert found.judged.why.endswith("what lookup would have given was not recorded")
    assert found.difference is not None
    assert found.difference.diff[-1] == "+lookup " + json.dumps({"order": "B-2"})


def test_a_strange_call_before_any_request_hides_no_later_one() -> None:
    """What is asked for before the model is asked parts nothing; the next strange call does."""
    course = (*SAME, Met(3, How.SAME, 3, None, "error: lost"))
    early, strange = (ToolAsked(after, "lookup", {"order": f"B-{after}"}, None) for after in (0, 1))
    found = seen(LOOPING, FAILED, course, code=0, tools=(early, strange))
    assert (found.judged.outcome, found.judged.step) == (Outcome.DIVERGED, 3)
    assert found.difference is not None
    assert found.difference.diff[-1] == "+lookup " + json.dumps({"order": "B-1"})
