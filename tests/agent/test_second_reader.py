"""The second reader: sees claims and evidence, may only lower the verdict, and is counted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from agent.cases import AGENT, WORST, answer, claim, means, quote, the_case
from agent.scripting import run, submit
from support.messages_api import fails, messages_api, says

from analyzer.agent.claude import ClaudeModel
from analyzer.agent.investigate import investigate
from analyzer.agent.limits import Limits
from analyzer.agent.model import ModelReply, ModelRequest, Stop
from analyzer.errors import ModelError
from analyzer.types.diagnosis import Verdict
from analyzer.types.trace import Tokens


def judged(follows: str) -> str:
    """Return the second reader's answer about the claims in order: y where one follows, n where not."""
    return json.dumps({"claims": [{"number": place, "follows": one == "y"} for place, one in enumerate(follows, 1)]})


def reply(text: str, stop: Stop = Stop.DONE) -> ModelReply:
    """Return a reply of text."""
    return ModelReply(text=text, stop=stop, usage=Tokens(300, 20))


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        (judged("yyy"), Verdict.CONFIRMED),
        (judged("yny"), Verdict.LIKELY),
        (judged("nnn"), Verdict.INCONCLUSIVE),
    ],
)
def test_it_lowers_the_verdict_and_says_by_which_claim(said: str, verdict: Verdict) -> None:
    """One claim that does not follow takes a step, all of them make it inconclusive; the note says what it did."""
    found, _ = run(submit(answer()), reply(said), second_reader=True)
    assert found.diagnosis.verdict is verdict
    assert "second reader" in found.diagnosis.note
    assert len(found.diagnosis.claims) == 3
    assert (found.diagnosis.missing != "") == (verdict is Verdict.INCONCLUSIVE)


def test_it_is_off_by_default() -> None:
    """Without the setting nobody is asked twice."""
    found, model = run(submit(answer()), reply(judged("nnn")))
    assert found.diagnosis.verdict is Verdict.CONFIRMED
    assert len(model.requests) == 1


def test_it_never_raises_a_verdict() -> None:
    """What is inconclusive is not read again, and praise for what is likely leaves it likely."""
    undecided = [one | {"decisive": False} for one in answer()["claims"]]
    found, _ = run(submit(answer(*undecided)), reply(judged("yyy")), second_reader=True)
    assert found.diagnosis.verdict is Verdict.LIKELY
    unknown, model = run(submit(answer(category="unknown")), reply(judged("yyy")), second_reader=True)
    assert unknown.diagnosis.verdict is Verdict.INCONCLUSIVE
    assert len(model.requests) == 1


BROKEN: dict[str, Any] = {
    "no JSON": reply("Looks fine to me."),
    "an empty reply": ModelReply(),
    "another form": reply('{"verdict": "confirmed"}'),
    "claims that are no list": reply('{"claims": "all"}'),
    "a claim left out": reply(judged("yn")),
    "a claim that there is not": reply(judged("yyyn")),
    "words for truth": reply('{"claims": [{"number": 1, "follows": "no"}]}'),
    "numbers that are true": reply('{"claims": [{"number": true, "follows": false}]}'),
    "a cut reply": reply(judged("nnn"), Stop.LENGTH),
    "a refusal": ModelReply(stop=Stop.REFUSAL),
    "nobody there": ModelError("gone"),
    "deep nonsense": reply("[" * 50_000),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_second_reader_changes_nothing_but_the_note(broken: Any) -> None:
    """Whatever it does wrong, the diagnosis stands as it was, and the report says that nobody read it again."""
    alone, _ = run(submit(answer()))
    found, _ = run(submit(answer()), broken, second_reader=True)
    assert found.diagnosis.verdict is alone.diagnosis.verdict
    assert found.diagnosis.claims == alone.diagnosis.claims
    assert found.diagnosis.summary == alone.diagnosis.summary
    assert "second reader" in found.diagnosis.note


def test_what_raises_is_survived() -> None:
    """An exception of any kind changes nothing either."""

    def broken(_request: ModelRequest) -> ModelReply:
        raise ZeroDivisionError

    found, _ = run(submit(answer()), broken, second_reader=True)
    assert found.diagnosis.verdict is Verdict.CONFIRMED
    assert found.diagnosis.note == "the second reader failed"


def test_it_sees_claims_and_evidence_and_no_more() -> None:
    """No case, no facts, no ids, no name of the incident; the words of its reply are never printed."""
    _, model = run(submit(answer()), reply(judged("yyy") + " By the way: EVIL"), second_reader=True)
    request = model.requests[1]
    text = request.system + "".join(block.text for turn in request.messages for block in turn.blocks)  # type: ignore[union-attr]
    assert "order 81723 not found in region eu-west" in text
    for hidden in (AGENT, WORST, "1.4.2", "312", "<facts", "outline"):
        assert hidden not in text, hidden
    assert request.tools == ()
    assert len(text) < 6_000


def test_an_order_in_a_quote_stays_inside_its_marks() -> None:
    """Evidence stands between marks that occur nowhere in it: it cannot end them."""
    _, model = run(submit(answer()), reply(judged("yyy")), second_reader=True)
    [block] = model.requests[1].messages[0].blocks
    mark = block.text.split("between the marks ")[1].split(" ")[0]  # type: ignore[union-attr]
    assert block.text.count(f"<{mark}>") == block.text.count(f"</{mark}>") == 1  # type: ignore[union-attr]


def test_its_tokens_and_calls_count() -> None:
    """What it uses is in the use of the investigation, and where it does not fit the limits it is not asked."""
    found, _ = run(submit(answer()), reply(judged("yyy")), second_reader=True)
    assert (found.use.calls, found.use.input_tokens) == (2, 1300)
    tight, model = run(
        submit(answer()),
        reply(judged("nnn")),
        second_reader=True,
        limits=Limits(tokens=16_000, reply_tokens=100),
    )
    asked = len(model.requests)
    assert asked == 2 or (tight.diagnosis.verdict is Verdict.CONFIRMED and "no room" in tight.diagnosis.note)


def test_over_the_wire() -> None:
    """Through the real client: the reply is read, and a server that fails changes nothing."""
    one = claim(
        "The lookup answers that the order is not found.",
        quote("order 81723 not found in region eu-west"),
        decisive=True,
    )
    payload = json.dumps(answer(one))
    for second, verdict in (
        (says(judged("n")), Verdict.INCONCLUSIVE),
        (fails(403, "permission_error"), Verdict.CONFIRMED),
    ):
        with messages_api([says(payload), second]) as api:
            model = ClaudeModel("claude-sonnet-5-5", base_url=api.url, api_key="test")
            case = the_case()
            found = investigate(case.incident, case, means(model, second_reader=True))
            assert len(api.requests) == 2
        assert found.diagnosis.verdict is verdict
