"""The analyst's own spans at an OTLP endpoint: all of them, masked, by the conventions, and never in the way."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from support.cli import analyzer
from support.http import Answer, Asked, loopback

from analyzer.config import parse_headers
from analyzer.ingest.otlp import spans_from_proto
from analyzer.masking import Masker
from analyzer.selfwatch.export import BATCHES_MAX, Exporter
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import Operation, Span, Status, Tokens

SECRET = "sk-ant-api03-" + "Zq7" * 12
TRACE = f"{7:032x}"


def taken(_asked: Asked) -> Answer:
    """Take everything."""
    return Answer(headers={"Content-Type": "application/x-protobuf"})


def exporter(url: str) -> Exporter:
    """Return an exporter with a masker of its own."""
    return Exporter(url, {"x-tenant": "a"}, mask=Masker(b"k" * 32).span, version="1.2")


def span(number: int, **more: Any) -> Span:
    """Return a span of the analyst."""
    fixed = {"operation": Operation.OTHER, "start_ns": number * 10, "end_ns": number * 10 + 5, "agent": "analyzer"}
    return Span(TRACE, f"{number:016x}", None if number == 1 else f"{1:016x}", **{"name": "phase", **fixed, **more})


def sent(asked: Asked) -> list[dict[str, Any]]:
    """Return the spans of a request: name and attributes."""
    request = ExportTraceServiceRequest.FromString(asked.body)
    return [
        {"name": one.name, **{pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in one.attributes}}
        for group in request.resource_spans
        for scope in group.scope_spans
        for one in scope.spans
    ]


CHAT = span(
    3,
    name="chat m",
    operation=Operation.CHAT,
    provider="anthropic",
    model="m",
    tokens=Tokens(100, 5, cache_read=60, cache_write=30),
    cost_usd=0.5,
    prompt_name="investigate_system",
    prompt_version="abc",
    input=f"the key is {SECRET}",
    output="done",
    attributes={"analyzer.incident.id": "inc-1"},
)


def test_spans_have_the_names_of_the_conventions_and_are_masked() -> None:
    """A model's call has tokens with those of the cache, cost, prompt and messages; what was secret is a pseudonym."""
    with loopback(taken) as server:
        one = exporter(server.url)
        one.send([CHAT, span(4, name="execute_tool t", operation=Operation.TOOL, tool="t", input="{}", output="rows")])
        assert one.close() == 0
        [asked] = server.asked
    assert (asked.path, asked.headers["x-tenant"]) == ("/v1/traces", "a")
    chat, tool = sent(asked)
    messages = json.loads(chat.pop("gen_ai.input.messages"))
    assert messages[0]["role"] == "user"
    assert messages[0]["parts"][0]["content"].startswith("the key is <secret:")
    assert b"Zq7" not in asked.body
    assert chat == {
        "name": "chat m",
        "gen_ai.operation.name": "chat",
        "gen_ai.agent.name": "analyzer",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "m",
        "gen_ai.response.model": "m",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 60,
        "gen_ai.usage.cache_write.input_tokens": 30,
        "gen_ai.usage.cost": 0.5,
        "gen_ai.prompt.name": "investigate_system",
        "gen_ai.prompt.version": "abc",
        "gen_ai.output.messages": '[{"role": "assistant", "parts": [{"type": "text", "content": "done"}]}]',
        "analyzer.incident.id": "inc-1",
    }
    assert (tool["gen_ai.tool.name"], tool["gen_ai.tool.call.arguments"], tool["gen_ai.tool.call.result"]) == (
        "t",
        "{}",
        "rows",
    )


def test_what_is_sent_can_be_read_in_again() -> None:
    """Another analyzer at the other end sees the same tree, tokens, cost and failure."""
    failed = span(2, status=Status.ERROR, error_type="ValueError", status_message="bad")
    root = span(1, name="invoke_agent analyzer", operation=Operation.AGENT)
    with loopback(taken) as server:
        one = exporter(server.url)
        one.send([CHAT, failed, root])
        one.close()
        read = {each.span_id: each for each in spans_from_proto(server.asked[0].body).spans}
    assert {key: each.parent_id for key, each in read.items()} == {
        each.span_id: each.parent_id for each in (CHAT, failed, root)
    }
    chat = read[CHAT.span_id]
    assert (chat.operation, chat.tokens, chat.cost_usd, chat.prompt_name) == (
        Operation.CHAT,
        CHAT.tokens,
        0.5,
        "investigate_system",
    )
    assert (read[failed.span_id].status, read[failed.span_id].error_type) == (Status.ERROR, "ValueError")


def test_an_endpoint_that_hangs_holds_nobody_up() -> None:
    """Sending returns at once, the queue is bounded, and the end waits so long and no longer; all is counted."""
    with loopback(lambda _asked: Answer(delay_s=30)) as server:
        one = exporter(server.url)
        began = time.monotonic()
        for _ in range(BATCHES_MAX + 10):
            one.send([CHAT, CHAT])
        assert time.monotonic() - began < 10
        left = one.close(0.3)
        assert time.monotonic() - began < 15
    assert left == 2 * (BATCHES_MAX + 10)


def test_headers_are_read_as_opentelemetry_writes_them() -> None:
    """Names and values, separated by commas; a value may hold an equals sign."""
    assert parse_headers("Authorization=Basic YQ==, x-tenant=a,broken") == {
        "authorization": "Basic YQ==",
        "x-tenant": "a",
    }


def test_a_run_is_the_same_trace_here_and_there(tmp_path: Path) -> None:
    """What the endpoint got of a run is what the store has of it; an endpoint that is gone changes nothing."""
    store = tmp_path / "s.db"
    arguments = ("run", "--store", str(store), "--llm", "off", "--json")
    with loopback(taken) as server:
        env = {"ANALYZER_OTLP_ENDPOINT": f"{server.url}/v1/traces", "ANALYZER_OTLP_HEADERS": "x-tenant=a"}
        ended = analyzer(*arguments, env=env)
        there = {one.span_id: one for asked in server.asked for one in spans_from_proto(asked.body).spans}
        assert {asked.path for asked in server.asked} == {"/v1/traces"}
    trace_id = json.loads(ended.stdout)["run"]["trace_id"]
    with SqliteTrajectories(store) as opened:
        here = {one.span_id: one for one in opened.trajectory(trace_id).spans}
    assert {key: (one.trace_id, one.parent_id, one.name) for key, one in there.items()} == {
        key: (one.trace_id, one.parent_id, one.name) for key, one in here.items()
    }
    gone = analyzer(*arguments, env={"ANALYZER_OTLP_ENDPOINT": server.url})
    assert gone.code == ended.code
    checks = json.loads(
        analyzer("doctor", "--json", "--store", str(store), env={"ANALYZER_OTLP_ENDPOINT": server.url}).stdout
    )["checks"]
    assert [one["state"] for one in checks if one["name"] == "otlp"] == ["failed"]
