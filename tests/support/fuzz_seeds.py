"""Small sound inputs of every format that is read from outside: what a fuzzer changes.

The spans come from the simulation, the requests from protobuf's own encoder; the stored trajectories of other tools
are in our own words.
"""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from typing import Any

import orjson
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from support.incidents import cost_incident
from support.otlp_requests import START, TRACE, pairs, request, span, to_proto

from analyzer.simulation.export import requests
from analyzer.simulation.fleet import unix_ns
from analyzer.simulation.protobuf import to_protobuf
from analyzer.simulation.scenario import random_fleet
from analyzer.types.document import incident_document

Json = Any
_NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
_T = "2026-11-20T10:00:0%d.000Z"
_CALL = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"order": 7}'}}
_REPLY = {"role": "assistant", "content": "Let me look.", "tool_calls": [_CALL]}
_CHAT = [
    {"role": "system", "content": "You are the shop's agent."},
    {"role": "user", "content": "Where is order 7?", "timestamp": _T % 0},
    {**_REPLY, "usage": {"prompt_tokens": 12, "completion_tokens": 5}},
    {"role": "tool", "tool_call_id": "c1", "content": "late"},
    {"role": "assistant", "content": "It is late."},
]


def fleet_requests() -> list[Json]:
    """Return a few export requests of a simulated fleet."""
    fleet = random_fleet(7, days=0.05, agents=3, now=_NOW)
    made = []
    for one in requests(fleet.runs(), unix_ns(_NOW), batch_spans=6):
        made.append(one)
        if len(made) == 3:
            break
    return made


def hand_made() -> Json:
    """Return a request with every kind of value, an event, a link and the times that exporters get wrong."""
    every = {"t": "text", "i": 7, "b": True, "d": 0.5, "n": None, "list": ["a", 1, [2]], "map": {"a": {"b": 1}}}
    return request(
        span(1, attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "shop", **every}),
        span(2, parentSpanId=f"{1:016x}", attributes=_INFERENCE, events=[("exception", {"exception.type": "E"})]),
        span(3, parentSpanId=f"{1:016x}", startTimeUnixNano="0", attributes=_TOOL, status={"code": 2, "message": "no"}),
    )


_INFERENCE = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "claude-sonnet-5-5",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 20,
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"hi"}]}]',
    "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text","content":"ho"}]}]',
}
_TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look_up", "gen_ai.tool.call.arguments": "{}"}


def logs() -> Json:
    """Return a logs request with a judgement, an exception and a plain line."""
    common = {"timeUnixNano": str(START), "traceId": TRACE, "spanId": f"{2:016x}"}
    judged = {"gen_ai.evaluation.name": "correct", "gen_ai.evaluation.score.label": "fail"}
    records = [
        {**common, "eventName": "gen_ai.evaluation.result", "attributes": pairs(judged)},
        {**common, "attributes": pairs({"exception.type": "E", "exception.message": "broke"})},
        {"timeUnixNano": str(START), "body": {"stringValue": "plain"}},
        {**common, "eventName": "gen_ai.user.message", "body": {"stringValue": "hi"}},
    ]
    scope = {"scope": {"name": "com.anthropic.claude_code.events"}, "logRecords": records}
    return {"resourceLogs": [{"resource": {"attributes": pairs({"service.name": "shop"})}, "scopeLogs": [scope]}]}


METRICS: Json = {
    "resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", "sum": {"dataPoints": [{"asInt": "1"}]}}]}]}]
}

_CLAUDE_CODE: list[Json] = [
    {"type": "summary", "summary": "orders", "leafUuid": "u2"},
    {
        "type": "user",
        "uuid": "u1",
        "parentUuid": None,
        "sessionId": "s1",
        "timestamp": _T % 0,
        "message": {"role": "user", "content": "Where is order 7?"},
    },
    {
        "type": "assistant",
        "uuid": "u2",
        "parentUuid": "u1",
        "sessionId": "s1",
        "timestamp": _T % 1,
        "requestId": "r1",
        "message": {
            "id": "m1",
            "role": "assistant",
            "model": "claude-sonnet-5-5",
            "content": [{"type": "tool_use", "id": "c1", "name": "Bash", "input": {"command": "ls"}}],
            "usage": {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 3},
            "stop_reason": "tool_use",
        },
    },
    {
        "type": "user",
        "uuid": "u3",
        "parentUuid": "u2",
        "sessionId": "s1",
        "timestamp": _T % 2,
        "toolUseResult": {"stdout": "a"},
        "message": {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "a"}]},
    },
]
IMPORTS: dict[str, Json] = {
    "atif": {
        "schema_version": "ATIF-v1.5",
        "session_id": "s1",
        "agent": {"name": "shop", "version": "1", "model_name": "claude-sonnet-5-5"},
        "steps": [
            {"step_id": 1, "source": "user", "message": "Where is order 7?", "timestamp": _T % 0},
            {
                "step_id": 2,
                "source": "agent",
                "message": "Let me look.",
                "tool_calls": [{"tool_call_id": "c1", "function_name": "look_up", "arguments": {"order": 7}}],
                "observation": {"results": [{"source_call_id": "c1", "content": "late"}]},
                "metrics": {"prompt_tokens": 10, "completion_tokens": 5, "cost_usd": 0.1},
            },
        ],
        "final_metrics": {"total_prompt_tokens": 10, "total_completion_tokens": 5},
    },
    "mini-swe-agent": {
        "trajectory_format": "mini-swe-agent-1",
        "instance_id": "i1",
        "info": {"exit_status": "Submitted", "submission": "x", "model_stats": {"instance_cost": 0.1, "api_calls": 1}},
        "messages": [
            {"role": "user", "content": "Fix it."},
            {"role": "assistant", "content": "THOUGHT: look\n```bash\nls\n```", "timestamp": 1795168800.5},
            {"role": "user", "content": "<returncode>0</returncode>\n<output>a</output>"},
        ],
    },
    "swe-agent": {
        "environment": "main",
        "trajectory": [
            {"action": "ls", "observation": "a", "response": "look", "thought": "t", "execution_time": 0.1},
            {"action": "submit", "observation": "", "response": "done", "query": [{"role": "user", "content": "x"}]},
        ],
        "history": [{"role": "user", "content": "Fix it."}, {"role": "assistant", "content": "look"}],
        "info": {"exit_status": "submitted", "model_stats": {"tokens_sent": 10, "tokens_received": 5}},
    },
    "claude-code": _CLAUDE_CODE,
    "langfuse": [
        {
            "id": "t1",
            "timestamp": _T % 0,
            "name": "shop",
            "sessionId": "s1",
            "userId": "u1",
            "scores": [{"name": "correctness", "value": 1}],
            "observations": [
                {
                    "id": "o1",
                    "traceId": "t1",
                    "type": "GENERATION",
                    "startTime": _T % 0,
                    "endTime": _T % 1,
                    "model": "claude-sonnet-5-5",
                    "usageDetails": {"input": 10, "output": 5},
                    "input": [{"role": "user", "content": "hi"}],
                    "output": "ho",
                },
                {"id": "o2", "traceId": "t1", "type": "TOOL", "parentObservationId": "o1", "level": "ERROR"},
            ],
        }
    ],
    "langsmith": [
        {
            "id": "r1",
            "trace_id": "r1",
            "run_type": "chain",
            "name": "shop",
            "start_time": "2026-11-20T10:00:00.000001",
            "end_time": "2026-11-20T10:00:01",
            "inputs": {"input": "hi"},
            "outputs": {"output": "ho"},
            "child_runs": [
                {
                    "id": "r2",
                    "run_type": "llm",
                    "extra": {"invocation_params": {"model": "m"}, "metadata": {"ls_model_name": "m"}},
                    "inputs": {"messages": [[{"type": "human", "data": {"content": "hi"}}]]},
                    "outputs": {"generations": [[{"text": "ho", "message": {"kwargs": {"content": "ho"}}}]]},
                    "prompt_tokens": 10,
                    "error": "ValueError: no",
                }
            ],
        }
    ],
    "anthropic-chat": {
        "model": "claude-sonnet-5-5",
        "system": "You are the shop's agent.",
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "look_up", "input": {"a": 1}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "late"}]},
        ],
        "usage": {"input_tokens": 10, "output_tokens": 5},
    },
    "openai-chat": {"model": "gpt-x", "messages": _CHAT, "conversation_id": "k1", "reward": 1},
}


def _lines(values: list[Json]) -> bytes:
    return b"\n".join(map(orjson.dumps, values))


def _framed(messages: list[bytes]) -> bytes:
    return b"".join(len(one).to_bytes(4, "big") + one for one in messages)


def documents() -> dict[str, Json]:
    """Return sound inputs as JSON values, by name: each is read as one document."""
    fleet = fleet_requests()
    return {
        "otlp": hand_made(),
        "fleet": fleet[0],
        "captured": [{"path": "/v1/traces", "body": fleet[1]}],
        "logs": logs(),
        "metrics": METRICS,
        "incident": incident_document(cost_incident()),
        **IMPORTS,
    }


def files() -> dict[str, bytes]:
    """Return sound inputs as bytes, by name, in every container."""
    found = documents()
    fleet = fleet_requests()
    protos = [to_protobuf(one) for one in fleet]
    logs_proto = ParseDict(_without_ids(logs()), ExportLogsServiceRequest()).SerializeToString()
    metrics_proto = ParseDict(METRICS, ExportMetricsServiceRequest()).SerializeToString()
    return {
        **{name: orjson.dumps(value) for name, value in found.items()},
        **{f"{name} indented": orjson.dumps(value, option=orjson.OPT_INDENT_2) for name, value in found.items()},
        **{f"{name} lines": _lines([value, value]) for name, value in found.items() if isinstance(value, dict)},
        **{f"{name} lines": _lines(value) for name, value in found.items() if isinstance(value, list)},
        "list": orjson.dumps(fleet),
        "proto": to_proto(hand_made()),
        "fleet proto": protos[0],
        "framed proto": _framed(protos),
        "logs proto": logs_proto,
        "metrics proto": metrics_proto,
        "gzip": gzip.compress(_lines(fleet), mtime=0),
        "gzip proto": gzip.compress(protos[0], mtime=0),
        "gzip members": b"".join(gzip.compress(orjson.dumps(one) + b"\n", mtime=0) for one in fleet),
    }


def _without_ids(document: Json) -> Json:
    """Return a logs request without ids, which protobuf's own JSON reader would take for base64."""
    if isinstance(document, dict):
        return {key: _without_ids(value) for key, value in document.items() if key not in ("traceId", "spanId")}
    return [_without_ids(value) for value in document] if isinstance(document, list) else document
