"""`analyzer replay --serve --on-divergence live`: agents over a provider on loopback, as a user runs them."""

from __future__ import annotations

import json
import socket
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.agents import ANTHROPIC, ROOT, recorded
from support.cli import Ended, analyzer
from support.messages_api import MessagesApi, Wire, calls, fails, messages_api, overloaded, says
from support.spans import chat, root, tool

from analyzer.config import endpoints
from analyzer.replay.alike import Decision
from analyzer.replay.recording import Request
from analyzer.replay.wires.openai_responses import WIRE as RESPONSES
from analyzer.replay.wires.wire import Asked, Served
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import FinishReason, Status, Tokens
from analyzer.web import names_loopback

KEY = "sk-a-key-that-stands-nowhere"
MODEL = "claude-sonnet-5-5"
USER = {"role": "user", "content": "where is A-1?"}
AGENT = f"""
import json, os, sys, urllib.request
def ask(*messages, model="{MODEL}"):
    body = json.dumps({{"model": model, "max_tokens": 1000, "messages": messages}}).encode()
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body)
    request.add_header("Authorization", "Bearer " + os.environ["OPENAI_API_KEY"])
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["choices"][0]["message"]
user = {json.dumps(USER)}
reply = ask(user)
gave = {{"role": "tool", "tool_call_id": "c1", "content": "on its way"}}
for _ in range(int(sys.argv[2])):
    print(ask(user, reply, gave, model=sys.argv[1])["content"])
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store with one failed run of two calls, the second of which a changed agent asks otherwise."""
    asked = {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "lookup", "arguments": "{}"}}]}
    gave = {"role": "tool", "tool_call_id": "c1", "content": "error: gone"}
    path = tmp_path / "store.db"
    given: dict[str, Any] = {"model": MODEL, "tokens": Tokens(100, 10)}
    first = {"input": json.dumps([USER]), "output": json.dumps([asked]), "finish": FinishReason.TOOL_CALL}
    last = {"role": "assistant", "content": "It is gone."}
    spans = (
        root(1, status=Status.ERROR),
        chat(1, 2, **given, **first),
        tool(1, 3, at_s=2, tool="lookup", input="{}", output="error: gone", status=Status.ERROR),
        chat(1, 4, at_s=4, **given, input=json.dumps([USER, asked, gave]), output=json.dumps([last])),
    )
    with SqliteTrajectories(path) as trajectories:
        trajectories.add(spans)
    return path


def completion(text: str = "It comes.", finish: str = "stop") -> Wire:
    """Return a reply of Chat Completions."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    return Wire(json.dumps({"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage}).encode())


def replay(
    store: Path,
    api: MessagesApi,
    *options: str,
    model: str = MODEL,
    times: int = 1,
    yes: bool = True,
    agent: str = AGENT,
) -> tuple[Ended, dict[str, Any]]:
    """Run the agent; return how it ended and the document."""
    ended = analyzer(
        *("replay", "latest", "--serve", "--store", str(store), "--on-divergence", "live", "--json"),
        *(["--yes"] if yes else []),
        *(*options, "--", sys.executable, "-c", agent, model, str(times)),
        env={"PYTHONPATH": str(ROOT), "OPENAI_BASE_URL": f"{api.url}/v1", "OPENAI_API_KEY": KEY},
    )
    return ended, json.loads(ended.stdout) if ended.stdout else {}


def spent(store: Path) -> list[tuple[int | None, int | None]]:
    """Return what the purse holds: tokens and billionths of USD of each request, None where its worst case stays."""
    with sqlite3.connect(store) as raw:
        return raw.execute("SELECT tokens, usd FROM spending ORDER BY id").fetchall()


def test_from_the_first_difference_on_the_provider_answers(store: Path) -> None:
    """Only the request that differs is sent on, with the key of the environment; what came is kept, the key nowhere."""
    with messages_api([completion()]) as api:
        ended, document = replay(store, api)
    assert (ended.code, document["outcome"], document["step"]) == (0, "fixed", 3), ended.stderr
    assert ended.stderr == "It comes.\n"
    assert document["differs"]["parts"] == ["the messages"]
    assert len(api.requests) == 1
    assert api.headers[0]["authorization"] == f"Bearer {KEY}"
    (same, live) = document["requests"]
    assert same == {"step": 1, "how": "same", "answered": 1}
    usd = live["live"].pop("usd")
    assert live["live"] == {
        "status": 200,
        "sent": True,
        "said": {"text": "It comes.", "tool_calls": [], "finish": "stop"},
        "input_tokens": 1000,
        "output_tokens": 100,
        "problem": None,
    }
    assert spent(store) == [(1100, round(usd * 1e9))]
    assert usd > 0
    assert not any(KEY.encode() in path.read_bytes() for path in store.parent.glob("store.db*"))
    log = analyzer("audit", "show", "--store", str(store), "--json")
    assert "model.request" in log.stdout
    assert "model.reply" in log.stdout


RESPONSES_AGENT = f"""
import os, sys, openai
items = [{{"role": "user", "content": {USER["content"]!r}}}]
def ask():
    client = openai.OpenAI()
    if "--stream" in sys.argv:
        with client.responses.stream(model="gpt-5.2", input=items) as stream:
            return stream.get_final_response()
    return client.responses.create(model="gpt-5.2", input=items)
reply = ask()
made = reply.output[0]
items.append({{"type": "function_call", "call_id": made.call_id, "name": made.name, "arguments": made.arguments}})
items.append({{"type": "function_call_output", "call_id": made.call_id, "output": "on its way"}})
print(ask().output_text)
"""


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_live_run_over_responses_is_judged_paid_and_traced(store: Path, streamed: bool) -> None:
    """OpenAI's own SDK over its Responses API: the mended agent asks the provider, is fixed, and all of it is kept."""
    with SqliteTrajectories(store) as trajectories:
        spans = trajectories.trajectory(trajectories.resolve("latest")).spans
        moved = [replace(one, trace_id="e" * 32, model=one.model and "gpt-5.2") for one in spans]
        trajectories.add(moved)
    served = Served("k", "gpt-5.2", Decision("It comes.", (), FinishReason.STOP), Tokens(1000, 100), 1)
    asked = Asked(Request("gpt-5.2", {}, "", (), ()), streamed=streamed, with_usage=True)
    body = b"".join(RESPONSES.stream(served, asked)) if streamed else json.dumps(RESPONSES.reply(served)).encode()
    wire = Wire(body, content_type="text/event-stream" if streamed else "application/json", whole=True)
    with messages_api([wire]) as api:
        ended = analyzer(
            *("replay", "e" * 32, "--serve", "--store", str(store), "--on-divergence", "live", "--json", "--yes"),
            *("--", sys.executable, "-c", RESPONSES_AGENT, *(["--stream"] if streamed else [])),
            env={"PYTHONPATH": str(ROOT), "OPENAI_BASE_URL": f"{api.url}/v1", "OPENAI_API_KEY": KEY},
        )
    assert ended.code == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert (document["outcome"], document["step"], ended.stderr) == ("fixed", 3, "It comes.\n")
    (sent,) = api.requests
    assert sent["input"][-1] == {"type": "function_call_output", "call_id": "c1", "output": "on its way"}
    live = document["requests"][1]["live"]
    assert live["said"] == {"text": "It comes.", "tool_calls": [], "finish": "stop"}
    assert (live["input_tokens"], live["output_tokens"], live["problem"]) == (1000, 100, None)
    assert spent(store) == [(1100, round(live["usd"] * 1e9))]
    with SqliteTrajectories(store) as trajectories:
        (own,) = trajectories.summaries(agent="analyzer")
        root, call = trajectories.trajectory(own.trace_id).spans
    assert (own.inferences, own.complete) == (1, True)
    assert root.input == f"replay of {'e' * 32}, live from the first difference on"
    assert (call.provider, call.model, call.output) == ("openai", "gpt-5.2", "It comes.")
    assert call.input == "input: on its way"
    assert call.tokens == Tokens(1000, 100)
    assert call.cost_usd == pytest.approx(live["usd"])


@pytest.mark.parametrize("base", ["/v1", "/v1/", "/v1beta/openai", ""])
def test_the_base_url_of_openai_is_taken_as_its_sdk_takes_it(store: Path, base: str) -> None:
    """It holds the version of the API, or whatever a gateway has in that place: nothing is put between."""
    with messages_api([completion()]) as api:
        ended = analyzer(
            *("replay", "latest", "--serve", "--store", str(store), "--on-divergence", "live", "--yes"),
            *("--", sys.executable, "-c", AGENT, MODEL, "1"),
            env={"PYTHONPATH": str(ROOT), "OPENAI_BASE_URL": f"{api.url}{base}", "OPENAI_API_KEY": KEY},
        )
    assert ended.code == 0, ended.stdout
    assert api.paths == [f"{base.rstrip('/')}/chat/completions"]


def test_a_live_call_that_failed_is_a_failed_step_of_the_trace(store: Path) -> None:
    """The analyst's own trajectory says what went wrong, and counts no tokens that nobody told."""
    with messages_api([fails(429, "rate_limit_error")]) as api:
        replay(store, api)
    with SqliteTrajectories(store) as trajectories:
        (own,) = trajectories.summaries(agent="analyzer")
        _, call = trajectories.trajectory(own.trace_id).spans
    assert (call.status, call.status_message, call.tokens) == (
        Status.ERROR,
        "the provider answered 429: scripted 429",
        None,
    )


def test_nothing_is_sent_without_consent(store: Path) -> None:
    """Without --yes and without a terminal the price is said, the agent is not started and the exit code is 2."""
    with messages_api([completion()]) as api:
        ended, _ = replay(store, api, yes=False)
    assert ended.code == 2
    assert "at most 500,000 tokens, $1.0000; --yes sends it" in ended.stderr
    assert "the 2 recorded calls come to $0.0" in ended.stderr
    assert api.requests == []


def test_a_budget_that_is_used_up_ends_the_live_part(store: Path) -> None:
    """What fits is sent, what does not is an error that the agent sees, and the outcome names the budget."""
    with messages_api([completion()]) as api:
        ended, document = replay(store, api, "--budget-usd", "0.03", times=8)
    assert (ended.code, document["outcome"]) == (1, "diverged")
    assert "the budget does not allow another request: the run's $0.03 are taken up to" in document["why"]
    assert "HTTP Error 402" in ended.stderr
    sent = [one["live"]["sent"] for one in document["requests"][1:]]
    assert sent[0] is True
    assert sent[-1] is False
    assert len(api.requests) == sent.count(True) < 8


def test_a_model_without_a_price_is_not_asked(store: Path) -> None:
    """No budget could hold it: the error says where a price is set."""
    with messages_api([completion()]) as api:
        ended, document = replay(store, api, model="a-model-of-our-own")
    assert (ended.code, document["outcome"]) == (1, "diverged")
    assert "a-model-of-our-own has no known price: set one under [prices]" in document["why"]
    assert api.requests == []
    assert spent(store) == []


@pytest.mark.parametrize(
    ("wire", "why", "is_counted"),
    [
        (fails(429, "rate_limit_error"), "the provider answered 429: scripted 429", False),
        (fails(529, "overloaded_error"), "the provider answered 529: scripted 529", False),
        (fails(502), "the provider answered 502: scripted 502", True),
        (fails(504), "the provider answered 504: scripted 504", True),
        (replace(completion(), cut=True), "the provider's answer broke off", True),
        (Wire(b"", drop=True), "openai could not be reached (RemoteDisconnected)", True),
        (Wire(b"[]"), "with what is no OpenAI Chat Completions", True),
        (Wire(b'{"error": {"message": "none is free"}}'), "the provider failed: none is free", True),
        (completion(finish="length"), "the model's last reply was cut at its limit", None),
        (completion(finish="content_filter"), "the provider's filter stopped the model", None),
    ],
    ids=[
        "rate limit",
        "overloaded",
        "bad gateway",
        "late gateway",
        "cut",
        "dropped",
        "no reply",
        "an error of 200",
        "too long",
        "filtered",
    ],
)
def test_a_live_part_that_is_no_whole_run_passes_nothing(
    store: Path, wire: Wire, why: str, is_counted: bool | None
) -> None:
    """A provider that fails, a reply that is cut or filtered: diverged. What may have been billed stays counted."""
    with messages_api([wire]) as api:
        ended, document = replay(store, api)
    assert (ended.code, document["outcome"]) == (1, "diverged")
    assert why in document["why"]
    (row,) = spent(store)
    if is_counted is None:
        assert row[0] == 1100
    elif is_counted:
        assert row[0] > 1000
    else:
        assert row == (0, 0)


def test_a_provider_that_repeats_the_key_gives_it_to_nobody_else(store: Path) -> None:
    """A gateway may say which key it refuses: the agent sees that, the terminal, the document and the log do not."""
    body = json.dumps({"error": {"message": f"no such key: {KEY}"}}).encode()
    with messages_api([Wire(body, 401)]) as api:
        ended, document = replay(store, api)
    assert "the provider answered 401: no such key: [key]" in document["why"]
    assert KEY not in ended.stdout + ended.stderr
    assert not any(KEY.encode() in path.read_bytes() for path in store.parent.glob("store.db*"))
    assert KEY not in analyzer("audit", "show", "--store", str(store), "--json").stdout


def test_an_agent_that_brings_its_own_key_pays_with_it(store: Path) -> None:
    """Its own key goes out in the place of the environment's and is kept nowhere; no other header of its goes out."""
    agent = AGENT.replace('os.environ["OPENAI_API_KEY"]', repr("sk-of-the-agent")).replace(
        "    with urllib", '    request.add_header("X-Of-Ours", "a secret")\n    with urllib'
    )
    with messages_api([completion()]) as api:
        ended, document = replay(store, api, agent=agent)
    assert (ended.code, document["outcome"]) == (0, "fixed")
    (headers,) = api.headers
    assert headers["authorization"] == "Bearer sk-of-the-agent"
    assert headers["accept-encoding"] == "identity"
    assert "x-of-ours" not in headers
    assert not any(b"sk-of-the-agent" in path.read_bytes() for path in store.parent.glob("store.db*"))


def test_a_replay_does_not_ask_itself(store: Path) -> None:
    """A base URL that is left over from an earlier replay would send each request round: it is named."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ended = analyzer(
        *("replay", "latest", "--serve", "--store", str(store), "--on-divergence", "live", "--yes"),
        *("--port", str(port), "--", sys.executable, "-c", AGENT, MODEL, "1"),
        env={"OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1", "OPENAI_API_KEY": KEY},
    )
    url = f"http://127.0.0.1:{port}"
    said = f"analyzer: {url} is this replay's own address: unset ANTHROPIC_BASE_URL or OPENAI_BASE_URL\n"
    assert (ended.code, ended.stdout, ended.stderr) == (2, "", said)


def test_a_replay_is_an_investigation_of_its_own_size(store: Path) -> None:
    """--budget-usd allows one request more than an investigation of the analyst may cost."""
    agent = AGENT.replace('"max_tokens": 1000,', '"max_tokens": 120000,')
    with messages_api([completion()]) as api:
        ended, document = replay(store, api, "--budget-usd", "2", agent=agent)
    assert (ended.code, document["outcome"]) == (0, "fixed"), document["why"]


@pytest.mark.parametrize("asked", ['"max_tokens": 1, "max_completion_tokens": 30000,', '"max_tokens": 1000, "n": 30,'])
def test_the_largest_of_several_limits_is_what_a_reply_may_cost(store: Path, asked: str) -> None:
    """A gateway may take either of the two names that Chat Completions has for one limit; n replies cost n times."""
    agent = AGENT.replace('"max_tokens": 1000,', asked)
    with messages_api([completion()]) as api:
        ended, document = replay(store, api, "--budget-usd", "0.03", agent=agent)
    assert "the budget does not allow another request" in document["why"], ended.stderr
    assert api.requests == []


def test_a_key_that_is_not_there_is_said(store: Path) -> None:
    """Without a key nothing is sent: the agent is told which variable holds one."""
    with messages_api([completion()]) as api:
        ended = analyzer(
            *("replay", "latest", "--serve", "--store", str(store), "--on-divergence", "live", "--yes", "--"),
            *(sys.executable, "-c", AGENT, MODEL, "1"),
            env={"PYTHONPATH": str(ROOT), "OPENAI_BASE_URL": f"{api.url}/v1"},
        )
    assert ended.code == 1
    assert "no key to ask openai with: set OPENAI_API_KEY" in ended.stdout
    assert api.requests == []


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (says("Nothing to be found."), "Nothing to be found."),
        (replace(says("Nothing to be found."), events_max=4), "broke off"),
        (replace(says("Nothing to be found."), events_max=4, then=overloaded()), "Overloaded"),
    ],
    ids=["whole", "cut", "overloaded in its middle"],
)
def test_streams_go_through_to_the_sdk(tmp_path: Path, last: Wire, said: str) -> None:
    """Anthropic's own SDK reads the provider's stream; one that breaks off is an error to it, and never a pass."""
    recorded(ANTHROPIC, tmp_path / "a.db", tmp_path)
    canary = tmp_path / "canary.txt"
    with messages_api([calls(("find_order", {"order": "A-17"})), last]) as api:
        ended = analyzer(
            *("replay", "latest", "--serve", "--store", str(tmp_path / "a.db"), "--on-divergence", "live", "--yes"),
            *("--json", "--", *ANTHROPIC.command, "--stream", "--with-region", "--notes", str(canary)),
            env={"PYTHONPATH": str(ROOT), "ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": KEY},
        )
    document = json.loads(ended.stdout)
    assert said in ended.stderr
    assert api.headers[0]["x-api-key"] == KEY
    assert document["outcome"] == "cannot judge", "recorded results do not answer another schema"
    first = document["requests"][0]["live"]
    assert first["said"]["tool_calls"] == [{"name": "find_order", "arguments": {"order": "A-17"}}]
    assert (first["input_tokens"], first["output_tokens"]) == (100, 50)
    assert (document["requests"][-1]["live"]["problem"] is None) is (said == "Nothing to be found.")
    assert not canary.exists()


def test_no_test_can_reach_a_paid_api() -> None:
    """Whatever a test forgets to set, both providers lie on loopback."""
    for endpoint in endpoints().values():
        assert names_loopback(endpoint.base_url.removeprefix("http://").partition(":")[0])
        assert endpoint.headers == {}
