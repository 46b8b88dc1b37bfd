"""The door to the SDK, over real HTTP against a loopback Messages API."""

from __future__ import annotations

import time

import pytest
from agent.cases import means, the_case
from support.messages_api import Wire, calls, fails, message, messages_api, refuses, says

from analyzer.agent.claude import ClaudeModel, available
from analyzer.agent.model import ModelRequest, Stop, Text, ToolCall, ToolReturn, ToolSpec, Turn
from analyzer.errors import ModelError

LOOK = ToolSpec("look", "Looks.", {"type": "object", "properties": {}, "required": [], "additionalProperties": False})


def request(**changes: object) -> ModelRequest:
    """Return a small request."""
    given = {
        "system": "You look.",
        "messages": (Turn("user", (Text("the case", cache=True), Text("what is it?"))),),
        "tools": (LOOK,),
        "max_tokens": 500,
        "timeout_s": 5.0,
    }
    return ModelRequest(**(given | changes))


def claude(url: str, **options: object) -> ClaudeModel:
    """Return the model at a loopback address; it does not wait between tries."""
    waits: list[float] = options.pop("waits", [])
    return ClaudeModel(api_key="sk-ant-test", base_url=url, sleep=waits.append, **options)


def ending_of(model: ClaudeModel) -> str:
    """Return how a request ended: the ending of its error, or why the reply stopped."""
    try:
        return model.reply(request()).stop
    except ModelError as error:
        return error.ending


def test_the_key_travels_as_bearer_and_nothing_forbidden_is_sent():
    """The key is a Bearer token, the version is the SDK's, and no sampling parameter or thread goes on the wire."""
    with messages_api([says("fine")]) as api:
        reply = claude(api.url).reply(request())
    headers, body = api.headers[0], api.requests[0]
    assert reply.text == "fine"
    assert reply.stop is Stop.DONE
    assert headers["authorization"] == "Bearer sk-ant-test"
    assert "x-api-key" not in headers
    assert not {"temperature", "top_p", "top_k", "thread", "stream"} & body.keys()
    assert body["model"] == "claude-sonnet-5-5"
    assert body["output_config"] == {"effort": "medium"}
    assert body["tools"][0]["strict"] is True


def test_cache_breakpoints_stand_after_system_case_and_the_two_latest_turns():
    """At most four breakpoints are sent, on the prefixes that the next request repeats."""
    turns = [Turn("user", (Text("the case", cache=True), Text("what is it?")))]
    for number in range(4):
        turns.append(Turn("assistant", (ToolCall(f"t{number}", "look", {}),)))
        turns.append(Turn("user", (ToolReturn(f"t{number}", "seen"),)))
    with messages_api([says("fine")]) as api:
        claude(api.url).reply(request(messages=tuple(turns)))
    body = api.requests[0]
    marked = [
        (index, place)
        for index, one in enumerate(body["messages"])
        for place, block in enumerate(one["content"])
        if "cache_control" in block
    ]
    assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert marked == [(0, 0), (6, 0), (8, 0)]


def test_nothing_that_the_cache_is_keyed_by_changes_when_the_model_must_answer():
    """Tools, their choice and the form of the output go out as before: what was sent is read from the cache."""
    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    with messages_api([says("{}"), says("{}")]) as api:
        model = claude(api.url)
        model.reply(request())
        model.reply(request(must_answer=True, schema=schema))
    first, last = api.requests
    assert [tool["name"] for tool in last["tools"]] == ["look"]
    assert last == first


def test_the_form_of_a_reply_is_demanded_where_there_is_no_tool_to_hand_it_in_with():
    """A request without tools says what JSON its reply shall be."""
    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    with messages_api([says("{}")]) as api:
        claude(api.url).reply(request(tools=(), schema=schema))
    assert api.requests[0]["output_config"]["format"] == {"type": "json_schema", "schema": schema}


def test_usage_includes_the_cache_and_blocks_come_back_unchanged():
    """Input tokens include cache reads and writes, and signed thinking is echoed as it came."""
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 200,
        "cache_creation_input_tokens": 50,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 4},
    }
    thinking = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    blocks = [thinking, {"type": "tool_use", "id": "t1", "name": "look", "input": {"a": 1}}]
    with messages_api([message(blocks, stop_reason="tool_use", usage=usage), says("done")]) as api:
        model = claude(api.url)
        reply = model.reply(request())
        turns = (
            *request().messages,
            Turn("assistant", reply.tool_calls, reply.echo),
            Turn("user", (ToolReturn("t1", "x"),)),
        )
        model.reply(request(messages=turns))
    assert (reply.usage.input, reply.usage.output, reply.usage.cache_read) == (260, 7, 200)
    assert (reply.usage.cache_write, reply.usage.cache_write_1h, reply.usage.reasoning) == (50, 30, 4)
    assert api.requests[1]["messages"][1]["content"][0] == thinking
    assert api.requests[1]["messages"][1]["content"][1]["input"] == {"a": 1}


@pytest.mark.parametrize(
    ("wire", "stop"),
    [
        (refuses(), Stop.REFUSAL),
        (says("half an ans", stop_reason="max_tokens"), Stop.LENGTH),
        (says("", stop_reason="model_context_window_exceeded"), Stop.CONTEXT),
        (says("half", stop_reason=None), Stop.CUT),
        (says("half", stop_reason="a_reason_of_tomorrow"), Stop.CUT),
    ],
)
def test_every_way_of_stopping_has_a_name(wire: Wire, stop: Stop):
    """A reply that is no answer still carries its usage and says how it stopped."""
    with messages_api([wire]) as api:
        reply = claude(api.url).reply(request())
    assert reply.stop is stop
    assert reply.usage.output == 50


@pytest.mark.parametrize(
    "wire", [fails(500), fails(529, "overloaded_error"), fails(429, "rate_limit_error", retry_after="1")]
)
def test_passing_failures_are_tried_again(wire: Wire):
    """Server errors, overload and rate limits are retried, and the answer after them counts."""
    waits: list[float] = []
    with messages_api([wire, wire, says("at last")]) as api:
        assert claude(api.url, waits=waits).reply(request()).text == "at last"
    assert len(api.requests) == 3
    assert len(waits) == 2
    assert all(0 <= wait <= 5 for wait in waits)


@pytest.mark.parametrize(
    ("wire", "tries", "words"),
    [
        (fails(500), 3, "HTTP 500"),
        (fails(529, "overloaded_error"), 3, "overloaded"),
        (fails(401, "authentication_error"), 1, "ANTHROPIC_API_KEY"),
        (fails(403, "permission_error"), 1, "permissions"),
        (fails(404, "not_found_error"), 1, "ANALYZER_MODEL"),
        (fails(400, "invalid_request_error"), 2, "ANALYZER_MODEL"),
        (fails(429, "rate_limit_error", retry_after="3600"), 1, "asked to wait 3600 s"),
        (Wire(b"", drop=True), 3, "ANTHROPIC_BASE_URL"),
    ],
)
def test_lasting_failures_are_unavailable_and_name_the_next_step(wire: Wire, tries: int, words: str):
    """What does not pass is given up after a bounded number of tries, with words that help."""
    with messages_api([wire]) as api, pytest.raises(ModelError, match=words) as caught:
        claude(api.url).reply(request())
    assert caught.value.ending == "unavailable"
    assert len(api.requests) == tries


@pytest.mark.parametrize(
    "wire",
    [
        Wire(b"<html>a proxy</html>", content_type="text/html"),
        Wire(b'{"id": "msg_1", "type": "mess'),
        Wire(b'{"hello": "world"}'),
        Wire(b'{"type": "message", "content": "text", "stop_reason": "end_turn"}'),
        Wire(b"[]"),
        Wire(b"null"),
        Wire(b""),
    ],
)
def test_what_is_no_message_is_invalid(wire: Wire):
    """A body that is no message of the API ends as invalid, or as a cut reply, never as a crash."""
    with messages_api([wire]) as api:
        assert ending_of(claude(api.url)) in {"invalid", Stop.CUT}


def test_a_cut_body_is_tried_again_and_then_unavailable():
    """A connection that breaks in the middle of the body is a failed connection."""
    wire = says("x" * 5000)
    cut = Wire(wire.body, cut=True)
    with messages_api([cut]) as api, pytest.raises(ModelError) as caught:
        claude(api.url).reply(request())
    assert caught.value.ending == "unavailable"


@pytest.mark.parametrize("wire", [Wire(b"{}", hang_s=20), Wire(says("slow").body, trickle_s=0.2)])
def test_a_hanging_or_trickling_server_cannot_hold_the_run(wire: Wire):
    """The seconds of a request hold also against a server that never ends its answer."""
    began = time.monotonic()
    with messages_api([wire]) as api, pytest.raises(ModelError) as caught:
        claude(api.url).reply(request(timeout_s=1.0))
    assert caught.value.ending == "seconds"
    assert time.monotonic() - began < 15


def test_a_call_slower_than_its_own_timeout_is_unavailable():
    """Where time is left over but one call has taken too long, the API is what is missing."""
    with messages_api([Wire(b"{}", hang_s=20)]) as api, pytest.raises(ModelError) as caught:
        claude(api.url, timeout_s=0.4, max_retries=0).reply(request(timeout_s=30))
    assert caught.value.ending == "unavailable"


def test_a_gateway_without_the_newer_fields_is_served_without_them():
    """After a 400 the request is sent once more without effort, format and strict, and stays so."""
    with messages_api([fails(400, "invalid_request_error"), says("plain"), says("again")]) as api:
        model = claude(api.url)
        assert model.reply(request()).text == "plain"
        assert model.reply(request()).text == "again"
    assert "output_config" in api.requests[0]
    assert all("output_config" not in body and "strict" not in body["tools"][0] for body in api.requests[1:])
    assert len(api.requests) == 3


def test_credentials_are_found_without_a_request(monkeypatch: pytest.MonkeyPatch):
    """`available` looks at what the SDK would use and sends nothing."""
    assert not available()
    assert available(api_key="sk-ant-test")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token")
    assert available()


def test_no_credentials_is_said_so():
    """Without a key the error names the variable to set."""
    with messages_api([says("x")]) as api, pytest.raises(ModelError, match="ANTHROPIC_API_KEY"):
        ClaudeModel(base_url=api.url).reply(request())
    assert not api.requests


def test_parallel_tool_calls_are_all_answered_in_one_turn():
    """Every call of a turn is answered in the next message, in order, as the API demands."""
    from agent.cases import AGENT, HEALTHY, WORST, answer, incident

    from analyzer.agent.investigate import investigate

    turn = calls(
        ("outline", {"trace_id": WORST, "page": 1}),
        ("compare", {"trace_a": WORST, "trace_b": HEALTHY}),
        ("no_such_tool", {}),
    )
    with messages_api([turn, calls(("submit_diagnosis", answer()))]) as api:
        found = investigate(incident(), the_case(), means(claude(api.url)))
    sent, got = api.requests[1]["messages"][1]["content"], api.requests[1]["messages"][2]["content"]
    assert [block["id"] for block in sent] == [block["tool_use_id"] for block in got]
    assert [block["is_error"] for block in got] == [False, False, True]
    assert found.diagnosis.by == "claude-sonnet-5-5"
    assert found.diagnosis.struck_out == 0
    assert found.use.calls == 2
    assert AGENT in api.requests[0]["messages"][0]["content"][0]["text"]


@pytest.mark.parametrize(
    ("wires", "options", "lost"),
    [
        ([fails(429), fails(500), fails(529)], {}, 0),
        ([fails(401)], {}, 0),
        ([Wire(b"", drop=True)], {}, 3),
        ([Wire(b"<html>", content_type="text/html")], {}, 1),
        ([Wire(b"{}", hang_s=5)], {"timeout_s": 0.3, "max_retries": 0}, 1),
    ],
    ids=["statuses", "key refused", "dropped", "no message", "hanging"],
)
def test_tries_that_may_be_billed_are_counted(wires: list[Wire], options: dict[str, object], lost: int):
    """An error status costs nothing; a request that was sent and whose reply did not arrive may have been billed."""
    with messages_api(wires) as api, pytest.raises(ModelError) as raised:
        claude(api.url, **options).reply(request())
    assert raised.value.lost_tries == lost


def test_what_never_left_the_machine_costs_nothing():
    """Where no connection was made nothing was sent."""
    with pytest.raises(ModelError) as raised:
        claude("http://127.0.0.1:9").reply(request())
    assert raised.value.lost_tries == 0


def test_a_reply_says_how_many_tries_were_lost_before_it():
    """A second try that succeeds does not make the first one free."""
    with messages_api([Wire(b"", drop=True), fails(529), says("fine")]) as api:
        assert claude(api.url).reply(request()).lost_tries == 1


def test_another_try_is_asked_for_only_after_one_that_may_be_billed():
    """A dropped connection may have been billed, an overloaded server bills nothing: who pays is asked in between."""
    told: list[int] = []
    with messages_api([fails(529), Wire(b"", drop=True), says("fine")]) as api:
        assert claude(api.url).reply(request(again=told.append)).lost_tries == 1
    assert told == [1]

    def refuse(lost: int) -> None:
        raise ModelError("the day's $5 are taken", ending="usd")

    with messages_api([Wire(b"", drop=True), says("never sent")]) as api, pytest.raises(ModelError) as raised:
        claude(api.url).reply(request(again=refuse))
    assert (raised.value.ending, raised.value.lost_tries, len(api.requests)) == ("usd", 1, 1)
