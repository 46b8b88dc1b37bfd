"""Questions one after the other: one history, one budget, the same gate."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from agent.cases import ERROR, WORST, claim, looping, means, quote, well
from support.messages_api import calls, fails, messages_api

from analyzer.agent.ask import trajectory_topic
from analyzer.agent.claude import ClaudeModel
from analyzer.agent.investigate import Means
from analyzer.agent.limits import Limits
from analyzer.agent.model import ModelReply, ModelRequest, Stop, Text, ToolCall, ToolReturn
from analyzer.agent.scripted import ScriptedModel
from analyzer.agent.session import Session
from analyzer.errors import ModelError
from analyzer.prompts import load
from analyzer.render.answer import answer_outline
from analyzer.render.terminal import terminal
from analyzer.types.diagnosis import Ending, Verdict
from analyzer.types.trace import Tokens

TRUE = claim("The lookup failed with 503.", quote(ERROR, number=27, field="status_message"), decisive=True)
LIE = claim("The lookup failed with 504.", quote("order service answered 504", number=27, field="status_message"))
BREAKPOINTS_MAX = 4
"""Of the Messages API."""


def reply(summary: str, *claims: dict[str, object]) -> ModelReply:
    """Return a reply that hands in an answer."""
    payload = {"summary": summary, "claims": list(claims)}
    return ModelReply(
        tool_calls=(ToolCall("s", "submit_answer", payload),), stop=Stop.TOOLS, usage=Tokens(input=1000, output=100)
    )


def session(model: Any, **options: Any) -> Session:
    """Return a session about the looping run."""
    given: Means = means(model, **options)
    return Session(trajectory_topic(looping(), given, peers=[well()]), given)


def texts(request: ModelRequest) -> list[str]:
    """Return every text of the user's turns."""
    return [block.text for turn in request.messages for block in turn.blocks if isinstance(block, Text)]


def test_a_later_question_follows_the_history():
    """The case file is sent once, the earlier question and answer stand before the new one, and every call has its
    return.
    """  # noqa: D205 - the summary is one sentence
    model = ScriptedModel([reply("It failed with 503.", TRUE), reply("The lookup did, in step 27.", TRUE)])
    asked = session(model)
    first, second = asked.ask("why did it fail?"), asked.ask("which step?")
    assert (first.text, second.text) == ("It failed with 503.", "The lookup did, in step 27.")
    assert (first.ending, second.ending) == (Ending.ANSWERED, Ending.ANSWERED)
    before, after = model.requests
    assert after.messages[: len(before.messages)] == before.messages
    assert sum("F1:" in text for text in texts(after)) == 1
    last = after.messages[-1].blocks
    assert [block.call_id for block in last if isinstance(block, ToolReturn)] == ["s"]
    assert "which step?" in texts(after)[-1]
    assert "why did it fail?" in "".join(texts(after))


def test_what_a_tool_showed_can_be_quoted_in_a_later_answer():
    """The record of what was shown, and the tools' memory, are the session's."""
    look = ToolCall("t", "span", {"trace_id": WORST, "span": "9", "field": "output", "page": 1})
    later = claim("It answered not found.", quote("order 81723 not found", number=9))
    model = ScriptedModel(
        [ModelReply(tool_calls=(look,), stop=Stop.TOOLS), reply("It failed with 503.", TRUE), reply("Before.", later)]
    )
    asked = session(model)
    asked.ask("why?")
    assert asked.ask("and before?").struck_out == 0


def test_every_answer_goes_through_the_gate():
    """A lie in the second answer is struck out as in the first; the rules answer."""
    model = ScriptedModel([reply("It failed with 503.", TRUE), reply("504.", LIE), reply("504.", LIE)])
    asked = session(model)
    asked.ask("why?")
    found = asked.ask("sure?")
    assert "504" not in "".join([found.text, *(one.text for one in found.claims)])
    assert found.struck_out >= 1


def test_a_question_that_nobody_answered_is_no_part_of_the_history():
    """After a dead API the next question follows the last answer."""
    model = ScriptedModel([reply("It failed.", TRUE), ModelError("dead"), reply("In step 27.", TRUE)])
    asked = session(model)
    asked.ask("why?")
    assert asked.ask("lost?").ending is Ending.UNAVAILABLE
    assert asked.ask("which step?").text == "In step 27."
    assert not any("lost?" in text for text in texts(model.requests[-1]))


def test_the_budget_holds_over_the_session():
    """Tokens and USD are what all questions use together; beyond them the rules answer and say why."""
    spent = ModelReply(
        tool_calls=(ToolCall("s", "submit_answer", {"summary": "It failed with 503.", "claims": [TRUE]}),),
        stop=Stop.TOOLS,
        usage=Tokens(input=30_000, output=1_000),
    )
    model = ScriptedModel([spent] * 9)
    asked = session(model, limits=Limits(tokens=70_000))
    endings = [asked.ask("why?").ending for _ in range(4)]
    assert endings[0] is Ending.ANSWERED
    assert endings[-2:] == [Ending.TOKENS, Ending.TOKENS]
    assert len(model.requests) * 31_000 <= 70_000
    dear = session(ScriptedModel([spent] * 9), limits=Limits(usd=0.4), price=lambda used: used.total * 1e-5)
    assert [dear.ask("why?").ending for _ in range(3)] == [Ending.ANSWERED, Ending.USD, Ending.USD]


def test_time_is_counted_by_question():
    """A person who thinks for an hour between two questions has not used the session up."""
    now = [0.0]
    model = ScriptedModel([reply("It failed with 503.", TRUE)] * 2)
    asked = session(model, clock=lambda: now[0])
    asked.ask("why?")
    now[0] += 3600
    assert asked.ask("why?").ending is Ending.ANSWERED


def test_the_wire_keeps_its_cached_beginning_and_its_breakpoints():
    """Over real HTTP: later requests begin with the earlier ones, never with more than four breakpoints."""
    bodies: list[dict[str, Any]] = []

    def answers(body: dict[str, Any]) -> Any:
        bodies.append(body)
        return calls(("submit_answer", {"summary": "It failed with 503.", "claims": [TRUE]}))

    with messages_api([answers] * 4) as api:
        asked = session(ClaudeModel(api_key="k", base_url=api.url, sleep=lambda _s: None))
        assert {asked.ask(f"why {number}?").ending for number in range(4)} == {Ending.ANSWERED}
    for earlier, later in pairwise(bodies):
        for name in ("system", "tools"):
            assert later[name] == earlier[name]
        assert plain(later["messages"][: len(earlier["messages"])]) == plain(earlier["messages"])
    assert all(json.dumps(body).count("cache_control") <= BREAKPOINTS_MAX for body in bodies)
    roles = [turn["role"] for turn in bodies[-1]["messages"]]
    assert roles == ["user", "assistant"] * 3 + ["user"]


def plain(messages: list[dict[str, Any]]) -> str:
    """Return messages without their breakpoints, which move."""
    return json.dumps(messages).replace(', "cache_control": {"type": "ephemeral"}', "")


def test_a_failing_api_leaves_the_session_usable():
    """Rules answer while the API is down, each time, and the note names the next step."""
    with messages_api([fails(500)] * 12) as api:
        asked = session(ClaudeModel(api_key="k", base_url=api.url, sleep=lambda _s: None))
        for _ in range(2):
            found = asked.ask("why?")
            assert (found.by, found.ending) == ("rules", Ending.UNAVAILABLE)


def test_a_question_whose_model_follows_an_order_leaves_no_trace_in_the_session():
    """The rules answer, the ending says why, and the next question does not follow what the model wrote then."""
    line = next(one for one in load("ask_system").text.splitlines() if len(one) >= 60)
    model = ScriptedModel([reply(f"{line} 99.", TRUE), reply("It failed with 503.", TRUE)])
    asked = session(model)
    first, second = asked.ask("why?"), asked.ask("and then?")
    assert (first.ending, first.by, first.claims) == (Ending.INJECTED, "rules", asked.ask("x").claims)
    assert first.note == "the model followed an order that stood in the data"
    assert (second.ending, second.text) == (Ending.ANSWERED, "It failed with 503.")
    assert len(model.requests[1].messages) == 1
    assert "why?" not in "".join(texts(model.requests[1]))


def judged(*, follows: bool) -> ModelReply:
    """Return what the second reader says of one claim."""
    said = json.dumps({"claims": [{"number": 1, "follows": follows}]})
    return ModelReply(text=said, stop=Stop.DONE, usage=Tokens(input=300, output=20))


def test_a_second_reader_may_lower_the_verdict_of_an_answer():
    """Where it is on it reads the claims of every answer; what it costs counts, and the history knows nothing of it."""
    script = [
        reply("It failed with 503.", TRUE),
        judged(follows=True),
        reply("It did, with 503.", TRUE),
        judged(follows=False),
    ]
    model = ScriptedModel(script)
    asked = session(model, second_reader=True)
    agreed, doubted = asked.ask("why?"), asked.ask("sure?")
    assert (agreed.verdict, agreed.note, agreed.missing) == (Verdict.LIKELY, "a second reader agrees", "")
    assert (doubted.verdict, doubted.use.calls) == (Verdict.INCONCLUSIVE, 2)
    assert "does not see how claim 1 follows" in doubted.note
    assert doubted.missing == "Evidence that says what the claims say."
    assert not any("follows" in text for text in texts(model.requests[2]))


def test_an_answer_says_what_is_missing():
    """Words of the model that hold are kept and make it inconclusive; invented figures in them are left out."""
    payload = {"claims": [TRUE], "responsible": None, "summary": "It failed with 503."}
    said = "The log of the order service at that time."
    handed = [ModelReply(tool_calls=(ToolCall("s", "submit_answer", payload | {"missing": said}),), stop=Stop.TOOLS)]
    found = session(ScriptedModel(handed)).ask("why was the pool full?")
    assert (found.missing, found.verdict, found.struck_out) == (said, Verdict.INCONCLUSIVE, 0)
    assert f"What would decide it: {said}" in terminal(answer_outline(found, WORST))
    wrong = payload | {"missing": "The 5,000 USD that it cost."}
    handed = [ModelReply(tool_calls=(ToolCall("s", "submit_answer", wrong),), stop=Stop.TOOLS)]
    found = session(ScriptedModel(handed)).ask("why?")
    assert (found.missing, found.verdict) == ("", Verdict.LIKELY)
