"""An investigation from end to end: over HTTP for what the wire does, with a scripted model for limits and lies."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from agent.cases import (
    ERROR,
    HEALTHY,
    NOW,
    ONSET,
    QUERY,
    WORST,
    OneValue,
    answer,
    claim,
    incident,
    means,
    quote,
    span_id,
    the_case,
)
from agent.scripting import look, proven, run, submit
from support.messages_api import Wire, calls, fails, messages_api, refuses, says

from analyzer.agent.claude import ClaudeModel
from analyzer.agent.investigate import investigate
from analyzer.agent.limits import Limits
from analyzer.agent.model import ModelReply
from analyzer.errors import ModelError
from analyzer.types.diagnosis import Ending, Verdict


def test_an_honest_model_loses_nothing():
    """Every claim of an honest answer stands, its evidence is filed, and the verdict is confirmed."""
    found, _ = run(look("outline", trace_id=WORST, page=1), submit(answer()))
    diagnosis = found.diagnosis
    assert diagnosis.struck_out == 0, found.struck
    assert [one.text for one in diagnosis.claims] == [one["text"] for one in answer()["claims"]]
    assert diagnosis.summary == answer()["summary"]
    assert diagnosis.cause == answer()["cause"]
    assert diagnosis.actions == tuple(answer()["actions"])
    assert (diagnosis.verdict, diagnosis.ending, diagnosis.category) == (Verdict.CONFIRMED, Ending.ANSWERED, "loop")
    assert diagnosis.responsible is not None
    assert (diagnosis.responsible.step, diagnosis.responsible.span_id) == (3, span_id(3))
    proven(found)


@pytest.mark.parametrize(
    "form", ["{}", "```json\n{}\n```", "Here is my diagnosis:\n{}\nI hope it helps.", "```\n{}\n```"]
)
def test_an_answer_as_text_counts_as_well(form: str):
    """A model or gateway that writes the answer as JSON text, fenced or not, is understood."""
    found, _ = run(ModelReply(text=form.replace("{}", json.dumps(answer()))))
    assert found.diagnosis.ending is Ending.ANSWERED
    assert found.diagnosis.struck_out == 0


HTTP_ENDINGS = [
    ("429 for an hour", [fails(429, "rate_limit_error", retry_after="3600")], Ending.UNAVAILABLE),
    ("529", [fails(529, "overloaded_error")], Ending.UNAVAILABLE),
    ("500", [fails(500)], Ending.UNAVAILABLE),
    ("401", [fails(401, "authentication_error")], Ending.UNAVAILABLE),
    ("refusal", [refuses()], Ending.REFUSED),
    ("no JSON", [says("I think it was the network.")], Ending.INVALID),
    ("JSON of another form", [says('{"summary": 3}')], Ending.INVALID),
    ("max_tokens", [says('{"summary": "half', stop_reason="max_tokens")], Ending.TOKENS),
    ("context", [says("", stop_reason="model_context_window_exceeded")], Ending.TOKENS),
    ("cut reply", [says("half", stop_reason=None)], Ending.INVALID),
    ("cut connection", [Wire(says("x" * 4000).body, cut=True)], Ending.UNAVAILABLE),
    ("hanging", [Wire(b"{}", hang_s=20)], Ending.SECONDS),
    ("HTML of a proxy", [Wire(b"<html></html>", content_type="text/html")], Ending.INVALID),
]


@pytest.mark.parametrize(
    ("replies", "ending"), [case[1:] for case in HTTP_ENDINGS], ids=[case[0] for case in HTTP_ENDINGS]
)
def test_whatever_the_api_does_a_diagnosis_by_rules_goes_out(replies: list[Wire], ending: Ending):
    """Each failure has its named ending, and the diagnosis by rules stands with proven quotes."""
    with messages_api(replies) as api:
        model = ClaudeModel(api_key="k", base_url=api.url, sleep=lambda _s: None)
        found = investigate(
            incident(), the_case(), means(model, limits=Limits(seconds=1.5 if "hang" in str(replies) else 20))
        )
    assert found.diagnosis.ending is ending
    assert found.diagnosis.by == "rules"
    assert found.diagnosis.note
    assert found.diagnosis.claims
    proven(found)


def test_a_hanging_server_ends_within_the_seconds():
    """The limit of seconds holds over the whole investigation."""
    with messages_api([Wire(b"{}", hang_s=20)]) as api:
        model = ClaudeModel(api_key="k", base_url=api.url)
        found = investigate(incident(), the_case(), means(model, limits=Limits(seconds=1.0)))
    assert found.diagnosis.ending is Ending.SECONDS


def test_a_tool_using_investigation_over_http():
    """Tools are run, their text can be quoted, and a quote that is not in the span is struck out and repaired."""
    lie = answer(
        claim("The agent promised a refund.", quote("we promise you a full refund"), decisive=True), *answer()["claims"]
    )
    with messages_api(
        [
            calls(("span", {"trace_id": WORST, "span": "27", "field": "status_message", "page": 1})),
            calls(("submit_diagnosis", lie)),
            says(json.dumps(lie)),
        ]
    ) as api:
        found = investigate(incident(), the_case(), means(ClaudeModel(api_key="k", base_url=api.url)))
    assert ERROR in api.requests[1]["messages"][2]["content"][0]["content"]
    complaint = api.requests[2]["messages"][-1]["content"]
    assert any("does not stand in output" in block.get("text", "") for block in complaint)
    assert found.diagnosis.struck_out == 1
    assert found.diagnosis.verdict is Verdict.LIKELY
    assert "refund" not in str(found.diagnosis)
    proven(found)


def test_without_a_model_the_rules_explain():
    """No model: ending off, by rules, nothing spent."""
    found = investigate(incident(), the_case(), means(None))
    assert (found.diagnosis.ending, found.diagnosis.by, found.use.calls) == (Ending.OFF, "rules", 0)
    proven(found)


def test_history_is_only_appended():
    """Every request begins with the messages of the one before it."""
    _, model = run(look(), look("outline", trace_id=WORST, page=1), submit(answer()))
    for before, after in zip(model.requests, model.requests[1:], strict=False):
        assert after.messages[: len(before.messages)] == before.messages


def test_a_repair_that_fails_leaves_what_stood():
    """Claims that stood stay, whatever happens to the repair of those that did not."""
    half = answer(*answer()["claims"], claim("It cost 999 USD.", {"kind": "fact", "id": "E1"}))
    found, _ = run(submit(half), ModelError("gone"))
    assert found.diagnosis.ending is Ending.ANSWERED
    assert len(found.diagnosis.claims) == 3
    assert found.diagnosis.struck_out == 1
    assert found.diagnosis.verdict is Verdict.LIKELY


def test_a_repair_that_helps_counts():
    """An answer corrected after the gate's complaint loses nothing."""
    found, model = run(submit(answer(summary="It cost 999 USD.")), ModelReply(text=json.dumps(answer())))
    assert found.diagnosis.struck_out == 0
    assert found.diagnosis.verdict is Verdict.CONFIRMED
    assert "999" in str(model.requests[1].messages[-1].blocks)


def test_an_answer_that_says_it_does_not_know_is_accepted():
    """`unknown` with a claim that stands is a good answer: inconclusive, by the model, no repair."""
    found, model = run(submit(answer(answer()["claims"][0], category="unknown")))
    assert (found.diagnosis.ending, found.diagnosis.verdict) == (Ending.ANSWERED, Verdict.INCONCLUSIVE)
    assert len(model.requests) == 1


def test_a_liar_gets_nothing_through():
    """Where no claim stands, the rules speak, and the lies are counted."""
    lies = [claim(f"Lie {letter}.", quote(f"never said {letter} at all")) for letter in "abcde"]
    found, _ = run(submit(answer(*lies)), submit(answer(*lies)))
    assert (found.diagnosis.by, found.diagnosis.ending, found.diagnosis.struck_out) == ("rules", Ending.INVALID, 5)
    assert "Lie" not in str(found.diagnosis)


def test_a_metric_is_recomputed():
    """A value that the query gives again stands; another one does not."""
    start, end = ONSET.isoformat(), NOW.isoformat()
    good = {"kind": "metric", "promql": QUERY, "start": start, "end": end, "step": 13500, "value": 0.261}
    bad = good | {"value": 0.29}
    honest = answer(claim("Cost reached 0.26 USD.", good), answer()["claims"][0])
    lying = answer(claim("Cost reached 0.29 USD.", bad), answer()["claims"][0])
    assert (
        run(look("metric", promql=QUERY, start=start, end=end, step=0), submit(honest), metrics=OneValue())[0].struck
        == ()
    )
    assert run(submit(lying), submit(lying))[0].diagnosis.struck_out == 1


def test_metric_queries_stay_in_the_window():
    """Queries outside of the window or about other agents are refused in words."""
    source = OneValue()
    late = (NOW + timedelta(days=1)).isoformat()
    _, model = run(
        look("metric", promql=QUERY, start=ONSET.isoformat(), end=late, step=60),
        look(
            "metric",
            promql='sum(rate(agent_cost_usd_total{agent="billing"}[5m]))',
            start=ONSET.isoformat(),
            end=NOW.isoformat(),
            step=60,
        ),
        look("metric", promql=QUERY, start=ONSET.isoformat(), end=NOW.isoformat(), step=1),
        submit(answer()),
        metrics=source,
    )
    texts = [request.messages[-1].blocks[0] for request in model.requests[1:]]
    assert [block.is_error for block in texts] == [True, True, False]
    assert "window" in texts[0].text
    assert "agent of the case" in texts[1].text
    assert len(texts[2].text) < 16_001
    assert source.asked == [QUERY]


def test_healthy_peers_can_be_quoted_but_do_not_decide():
    """A quote from a healthy peer stands, yet the decisive claim needs one from an affected trajectory."""
    peer = claim("A healthy run ends.", quote("order 55501 is on its way", trace_id=HEALTHY), decisive=True)
    found, _ = run(look("span", trace_id=HEALTHY, span="2", field="output", page=1), submit(answer(peer)))
    assert found.diagnosis.struck_out == 0, found.struck
    assert found.diagnosis.verdict is Verdict.LIKELY
    assert re.fullmatch(r"E\d+", found.diagnosis.claims[0].evidence[0])


def test_an_answer_without_claims_leaves_the_word_to_the_rules():
    """Where a model claims nothing the rules speak, and the report says that it was asked."""
    found, _ = run(submit(answer() | {"claims": []}))
    assert (found.diagnosis.by, found.diagnosis.ending) == ("rules", Ending.ANSWERED)
    assert "could prove" in found.diagnosis.note
    assert found.use.calls == 1
