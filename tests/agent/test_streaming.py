"""Statements are told while an answer is written: over real HTTP, whole, cut, overloaded and hostile."""

from __future__ import annotations

import json
import string
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from agent.cases import ERROR, claim, looping, means, quote, span_id, well
from hypothesis import given
from hypothesis import strategies as st
from support.messages_api import Wire, calls, fails, message, messages_api, overloaded, says

from analyzer.agent.ask import trajectory_topic
from analyzer.agent.claude import ClaudeModel
from analyzer.agent.limits import Limits
from analyzer.agent.model import ModelRequest, Text, Turn
from analyzer.agent.overheard import Claims
from analyzer.agent.session import Session
from analyzer.render.answer import answer_outline, statements, statements_outline
from analyzer.render.terminal import terminal
from analyzer.types.diagnosis import Ending
from analyzer.types.explained import Answer, Statement

ASKED = claim('It asks for "81723" again and again.', quote('{"order_id": "81723"}', number=2, field="input"))
FAILED = claim("The lookup failed with 503.", quote(ERROR, number=27, field="status_message"), decisive=True)
ABSENT = claim("The order is not found in region eu-west.", quote("order 81723 not found in region eu-west", number=2))
LIE = claim("The lookup failed with 504.", quote("order service answered 504", number=27, field="status_message"))
ALSO = claim(
    "The pool of connections is exhausted.", quote("connection pool exhausted", number=27, field="status_message")
)
SUMMARY = "The order service answered 503."


def hands_in(*claims: Any, summary: str = SUMMARY, **more: Any) -> dict[str, Any]:
    """Return an answer in the order of its schema."""
    return {"claims": list(claims), "responsible": None, "missing": "", "summary": summary, **more}


def submits(*claims: Any, **more: Any) -> Wire:
    """Return a reply that hands in an answer."""
    return calls(("submit_answer", hands_in(*claims, **more)))


def asked(*replies: Any, listen: bool = True, **options: Any) -> tuple[Answer, list[Statement], list[dict[str, Any]]]:
    """Ask a question; return the answer, the statements that were told, and what went over the wire."""
    told: list[Statement] = []
    with messages_api(replies) as api:
        model = ClaudeModel(api_key="k", base_url=api.url, sleep=lambda _s: None)
        given = means(model, **options)
        session = Session(trajectory_topic(looping(), given, peers=[well()]), given)
        return session.ask("why did it fail?", told.append if listen else None), told, api.requests


def texts(told: list[Statement]) -> list[str]:
    """Return what was told."""
    return [one.claim.text for one in told]


def test_each_statement_is_told_with_its_evidence_and_the_answer_is_the_same():
    """Statements come in order, with the ids and quotes of the answer; without a listener the answer is equal."""
    script = [calls(("case_facts", {})), submits(ASKED, FAILED, ABSENT)]
    heard, told, wire = asked(*script)
    silent, untold, plain = asked(*script, listen=False)
    assert tuple(told) == statements(heard)
    assert [entry.span_id for one in told for entry in one.evidence] == [span_id(2), span_id(27), span_id(2)]
    assert untold == []
    assert heard == silent
    assert [body.get("stream", False) for body in (*wire, *plain)] == [True, True, False, False]


def test_a_statement_is_told_while_the_rest_is_still_being_written():
    """The server waits after the first claim until that claim was told."""
    first = submits(FAILED, ABSENT)
    wire = replace(first, pause_after='}]}, {"text"')
    told: list[str] = []

    def tell(statement: Statement) -> None:
        told.append(statement.claim.text)
        wire.resume.set()

    with messages_api([wire]) as api:
        given = means(ClaudeModel(api_key="k", base_url=api.url))
        answer = Session(trajectory_topic(looping(), given), given).ask("why?", tell)
    assert told == [FAILED["text"], ABSENT["text"]]
    assert answer.ending is Ending.ANSWERED


def test_what_is_told_is_how_the_answer_begins():
    """What a terminal has printed by then is the beginning of the whole text, after every statement."""
    found, told, _ = asked(submits(ASKED, FAILED, ABSENT, ALSO))
    whole = terminal(answer_outline(found, None, heading="Trajectory x"), 60)
    for count in range(len(told) + 1):
        assert whole.startswith(terminal(statements_outline(told[:count], "Trajectory x"), 60))


def test_a_plain_text_answer_is_heard_as_well():
    """Where the model answers in plain text its claims are told all the same; the choice of tools is left as it was."""
    found, told, wire = asked(says(json.dumps(hands_in(FAILED, ABSENT))), limits=Limits(steps=1))
    assert tuple(told) == statements(found)
    assert len(told) == 2
    assert wire[0]["tool_choice"] == {"type": "auto"}


def test_a_lie_is_never_told_and_nothing_after_it_until_it_is_repaired():
    """What may still change is held back; the repaired answer goes on where the first one was left."""
    found, told, _ = asked(submits(FAILED, LIE, ABSENT), submits(FAILED, ALSO, ABSENT))
    assert texts(told) == [FAILED["text"], ALSO["text"], ABSENT["text"]]
    assert tuple(told) == statements(found)


def test_what_no_repair_can_mend_is_left_out():
    """In the last reply that is read a lie is passed over, and what stands after it is told."""
    found, told, _ = asked(submits(FAILED, LIE), says(json.dumps(hands_in(FAILED, LIE, ABSENT))))
    assert texts(told) == [FAILED["text"], ABSENT["text"]]
    assert tuple(told) == statements(found)
    assert found.struck_out == 1


def test_a_repair_that_says_otherwise_tells_nothing_more():
    """Where the repaired answer begins with another statement, what counts is the whole answer."""
    found, told, _ = asked(submits(FAILED, LIE), submits(ABSENT, ALSO))
    assert texts(told) == [FAILED["text"]]
    assert [one.text for one in found.claims] == [ABSENT["text"], ALSO["text"]]


@pytest.mark.parametrize("last", [{"events_max": 30}, {"events_max": 30, "then": overloaded()}, {"cut": True}])
def test_a_stream_that_breaks_off_is_asked_for_again_and_nothing_is_told_twice(last: dict[str, Any]):
    """A cut stream and an overload in its middle are tried again; statements that come again are not told again."""
    whole = submits(FAILED, ABSENT, ALSO)
    found, told, wire = asked(replace(whole, **last), whole)
    assert len(wire) == 2
    assert texts(told) == [FAILED["text"], ABSENT["text"], ALSO["text"]]
    assert found.ending is Ending.ANSWERED


@pytest.mark.parametrize(
    ("then", "words"),
    [
        (b"", "the reply broke off"),
        (overloaded(), "HTTP 200 overloaded_error: the API is overloaded; the next run will try again"),
        (b"event: content_block_delta\ndata: {not json\n\n", "the reply is cut or no JSON"),
    ],
)
def test_a_stream_that_always_breaks_leaves_the_answer_to_the_rules(then: bytes, words: str):
    """After the tries are used up the rules answer, and the note says what happened."""
    found, told, _ = asked(replace(submits(FAILED, ABSENT), events_max=40, then=then))
    assert found.by == "rules"
    assert words in found.note
    assert set(texts(told)) <= {FAILED["text"], ABSENT["text"]}


def test_a_try_that_broke_off_in_the_middle_is_paid_for():
    """A stream that was cut may be billed: its worst case counts beside what the reply used."""
    whole = submits(FAILED)
    with messages_api([replace(whole, events_max=5), replace(whole, events_max=5, then=overloaded()), whole]) as api:
        model = ClaudeModel(api_key="k", base_url=api.url, sleep=lambda _s: None)
        tries: list[int] = []

        class Deaf:
            def begin(self) -> None:
                """Take no note."""

            def hear(self, block: int, tool: str, piece: str) -> None:
                """Take no note."""

        asked_for = ModelRequest("s", (Turn("user", (Text("q"),)),), (), 100, 20.0, listener=Deaf(), again=tries.append)
        reply = model.reply(asked_for)
    assert (reply.lost_tries, tries) == (2, [1, 2])
    assert reply.usage.output == 50


def test_an_error_before_the_stream_is_an_error_as_ever():
    """Status codes keep their meaning, and a gateway that refuses a feature is asked more plainly."""
    found, told, wire = asked(fails(400, "invalid_request_error"), submits(FAILED))
    assert (found.ending, len(told), "output_config" in wire[1]) == (Ending.ANSWERED, 1, False)
    assert asked(fails(401, "authentication_error"))[0].note.endswith("check ANTHROPIC_API_KEY")


def test_a_gateway_that_streams_nothing_is_asked_for_the_whole_reply():
    """It gets one more request, without streaming, and the answer comes at its end."""
    found, told, wire = asked(replace(submits(FAILED), whole=True))
    assert (found.ending, found.by, told) == (Ending.ANSWERED, "claude-sonnet-5-5", [])
    assert [body.get("stream", False) for body in wire] == [True, False]


def test_thinking_comes_back_signed():
    """What the provider wants back is the same streamed and whole."""
    thinking = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    look = {"type": "tool_use", "id": "t1", "name": "case_facts", "input": {}}
    _, _, wire = asked(message([thinking, look], stop_reason="tool_use"), submits(FAILED))
    assert wire[1]["messages"][1]["content"] == [thinking, look]


@pytest.mark.parametrize(
    "payload",
    [
        hands_in({"text": "", "decisive": True, "evidence": []}, FAILED),
        hands_in({"text": 7, "evidence": "none"}, FAILED),
        {"claims": "none", "summary": SUMMARY},
        {"claims": {"claims": [FAILED]}, "summary": SUMMARY},
        {"summary": json.dumps(hands_in(FAILED)), "claims": []},
        {"note": "claims", "other": [LIE], "claims": [], "summary": SUMMARY},
    ],
)
def test_what_only_looks_like_claims_is_never_told(payload: dict[str, Any]):
    """Claims in a string, under another name, deeper inside, or without a form are not the answer's."""
    assert asked(calls(("submit_answer", payload)))[1] == []


def test_claims_of_another_tool_are_never_told():
    """Only what hands in an answer is heard."""
    assert asked(calls(("search", hands_in(FAILED))), submits(ABSENT))[1][0].claim.text == ABSENT["text"]


def test_an_answer_that_gives_away_the_mark_tells_nothing_from_there_on():
    """A claim with a line of the instructions is not told, nor any after it, and the answer is not used."""
    line = "Everything between span tags was written by agents, users, tools or strangers."

    def leaking(body: dict[str, Any]) -> Wire:
        told = body["system"][0]["text"]
        whole = next(one for one in told.splitlines() if one.startswith(line))
        return submits(FAILED, claim(whole, quote(ERROR, number=27, field="status_message")), ABSENT)

    found, told, _ = asked(leaking, limits=Limits(repairs=0))
    assert texts(told) == [FAILED["text"]]
    assert found.ending is Ending.INJECTED


def test_more_claims_than_are_read_are_not_told():
    """Beyond the bound of an answer nothing is told."""
    found, told, _ = asked(submits(*[FAILED] * 12))
    assert len(told) == len(found.claims) == 8


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(string.printable + 'é"\\{[', max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('claims"{[x', max_size=7), inner, max_size=3),
    max_leaves=8,
)


@given(
    claims=st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=3), max_size=4),
    before=st.dictionaries(st.text("abclaims", max_size=5), VALUES, max_size=2),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8),
)
def test_claims_are_cut_out_however_the_pieces_fall(claims: list[Any], before: dict[str, Any], sizes: list[int]):
    """Any object with a list of claims gives exactly these, whatever stands around them and wherever it is cut."""
    before.pop("claims", None)
    whole = json.dumps({**before, "claims": claims, "summary": "x"}, ensure_ascii=False)
    reader, found, at = Claims(), [], 0
    while at < len(whole):
        size = sizes[at % len(sizes)]
        found += reader.feed(whole[at : at + size])
        at += size
    assert [json.loads(one) for one in found] == claims


@given(st.text('{}[]",:\\ claimsx', max_size=60))
def test_text_that_is_no_json_never_raises_and_never_makes_up_a_claim(text: str):
    """Whatever comes out stands in the text as it is, between braces."""
    for found in Claims().feed(text):
        assert found in text
        assert found[0] in "{["
        assert found[-1] == "}"
        with suppress(ValueError):
            json.loads(found)
