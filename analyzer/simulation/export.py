"""Simulated runs as OTLP/JSON export requests, in the words that opentelemetry-util-genai 1.3b0 puts on the wire.

Attribute names and their order follow the GenAI semantic conventions of schema 1.42 as that library and
opentelemetry-instrumentation-genai-anthropic write them: ids in hex, 64-bit integers as strings, messages as JSON
strings, `gen_ai.usage.input_tokens` with the cached tokens included.
"""

from __future__ import annotations

import gzip
import heapq
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from analyzer.simulation.run import AgentRun, Inference, ToolUse
from analyzer.simulation.script import Failure, dumps

Request = dict[str, Any]
"""The JSON of one ExportTraceServiceRequest: {"resourceSpans": [...]}."""

BATCH_SPANS = 512
"""Spans per request: the default of OpenTelemetry's BatchSpanProcessor (OTEL_BSP_MAX_EXPORT_BATCH_SIZE)."""

_INTERNAL, _CLIENT = 1, 3
"""Span kinds of OTLP."""
_ERROR = {"code": 2}
_LOCAL_PARENT = 256
"""Span flags: whether the parent is remote is known, and it is not."""
_CHAT_SCOPE = {"name": "opentelemetry.instrumentation.genai.anthropic", "version": "1.3b0"}
_AGENT_SCOPE = {"name": "opentelemetry.util.genai.handler", "version": "1.3b0"}
_SCHEMA = "https://opentelemetry.io/schemas/1.37.0"
PROVIDER = "anthropic"
"""Who serves the models of all simulated agents."""


def requests(runs: Iterable[AgentRun], now_ns: int, batch_spans: int = BATCH_SPANS) -> Iterator[Request]:
    """Yield the requests that a collector in front of the fleet would have sent by `now_ns`, oldest first.

    `runs` come in order of their start. A run is exported when it ends, whole, in one request of about `batch_spans`
    spans. Of a run that is still under way at `now_ns` the spans that have ended are sent and its root is missing, as
    it is in life.
    """
    batch: list[AgentRun] = []
    waiting: list[tuple[int, str, AgentRun]] = []
    spans = 0
    for run in runs:
        while waiting and waiting[0][0] <= run.start_ns:
            batch.append(heapq.heappop(waiting)[2])
            spans += len(batch[-1].steps) + 1
            if spans >= batch_spans:
                yield _request(batch, now_ns)
                batch, spans = [], 0
        heapq.heappush(waiting, (run.end_ns, run.trace_id, run))
    while waiting:
        batch.append(heapq.heappop(waiting)[2])
        spans += len(batch[-1].steps) + 1
        if spans >= batch_spans:
            yield _request(batch, now_ns)
            batch, spans = [], 0
    if batch:
        yield _request(batch, now_ns)


def write_json_lines(exported: Iterable[Request], path: Path) -> int:
    """Write one request a line, gzipped where the name ends in .gz, and return the number of lines.

    The same requests give the same bytes: the gzip header carries no time and no name. Raises OSError.
    """
    lines = 0
    with path.open("wb") as raw:
        if path.suffix == ".gz":
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0) as packed:
                for request in exported:
                    packed.write(orjson.dumps(request) + b"\n")
                    lines += 1
            return lines
        for request in exported:
            raw.write(orjson.dumps(request) + b"\n")
            lines += 1
    return lines


def _request(runs: Sequence[AgentRun], now_ns: int) -> Request:
    """Group the spans of some runs by process and by instrumentation, as OTLP nests them."""
    grouped: dict[tuple[str, str], tuple[list[Request], list[Request]]] = {}
    for run in runs:
        chats, others = grouped.setdefault((run.agent.name, run.version), ([], []))
        definitions = dumps([tool.definition() for tool in run.agent.played.tools])
        for step in run.steps:
            if step.end_ns > now_ns:
                continue
            if isinstance(step, Inference):
                chats.append(_chat(run, step, run.definitions or definitions))
            else:
                others.append(_tool(run, step))
        if run.end_ns <= now_ns:
            others.append(_root(run))
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _resource(agent, version)},
                "scopeSpans": [
                    {"scope": scope, "spans": spans, "schemaUrl": _SCHEMA}
                    for scope, spans in ((_CHAT_SCOPE, chats), (_AGENT_SCOPE, others))
                    if spans
                ],
            }
            for (agent, version), (chats, others) in grouped.items()
            if chats or others
        ]
    }


def _resource(agent: str, version: str) -> list[Request]:
    instance = uuid.uuid5(uuid.NAMESPACE_DNS, f"{version}.{agent}.fleet.example")
    return _attributes(
        {
            "telemetry.sdk.language": "python",
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.version": "1.45.2",
            "service.instance.id": str(instance),
            "service.name": agent,
            "service.version": version,
            "deployment.environment.name": "production",
        }
    )


def _root(run: AgentRun) -> Request:
    """Return the `invoke_agent` span. Its usage repeats the children's sum, as the library reports it."""
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.agent.name": run.agent.name,
        "gen_ai.agent.version": run.version,
        "gen_ai.conversation.id": run.conversation_id,
        "gen_ai.request.model": run.model,
        "gen_ai.usage.input_tokens": run.input_tokens,
        "gen_ai.usage.output_tokens": run.output_tokens,
        "gen_ai.input.messages": _message("user", run.goal),
        "user.id": run.user_id,
    }
    if run.answer:
        attributes["gen_ai.output.messages"] = _message("assistant", run.answer)
    span = _span(run, run.span_id, f"invoke_agent {run.agent.name}", _INTERNAL, run.start_ns, run.end_ns)
    del span["parentSpanId"]
    _finish(span, attributes, run.failure)
    if run.passed is not None:
        event = {
            "gen_ai.evaluation.name": "goal_reached",
            "gen_ai.evaluation.score.value": 1.0 if run.passed else 0.0,
            "gen_ai.evaluation.score.label": "pass" if run.passed else "fail",
        }
        when = str(run.end_ns)
        span.setdefault("events", []).append(
            {"timeUnixNano": when, "name": "gen_ai.evaluation.result", "attributes": _attributes(event)}
        )
    return span


def _chat(run: AgentRun, step: Inference, definitions: str) -> Request:
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": step.model,
        "server.address": "api.anthropic.com",
        "server.port": 443,
        "gen_ai.agent.name": run.agent.name,
        "gen_ai.conversation.id": run.conversation_id,
        "gen_ai.prompt.name": f"{run.agent.name}-system",
        "gen_ai.prompt.version": run.prompt_version,
        "gen_ai.request.max_tokens": step.max_tokens,
    }
    if step.failure is None:
        attributes |= {
            "gen_ai.response.finish_reasons": [step.finish],
            "gen_ai.response.model": step.model,
            "gen_ai.response.id": step.response_id,
            "gen_ai.usage.input_tokens": step.input_tokens,
            "gen_ai.usage.output_tokens": step.output_tokens,
        }
        if step.cache_read_tokens or step.cache_write_tokens:
            attributes["gen_ai.usage.cache_write.input_tokens"] = step.cache_write_tokens
            attributes["gen_ai.usage.cache_read.input_tokens"] = step.cache_read_tokens
    attributes["gen_ai.input.messages"] = step.messages
    if step.reply:
        attributes["gen_ai.output.messages"] = step.reply
    attributes["gen_ai.system_instructions"] = dumps([{"content": run.system, "type": "text"}])
    attributes["gen_ai.tool.definitions"] = definitions
    span = _span(run, step.span_id, f"chat {step.model}", _CLIENT, step.start_ns, step.end_ns)
    # The instrumentation sets status and error.type on a failed call, and records no exception event.
    return _finish(span, attributes, step.failure, event=False)


def _tool(run: AgentRun, step: ToolUse) -> Request:
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": step.tool,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.description": step.description,
        "gen_ai.tool.call.id": step.call_id,
        "gen_ai.agent.name": run.agent.name,
        "gen_ai.conversation.id": run.conversation_id,
        "gen_ai.tool.call.arguments": step.arguments,
    }
    if step.failure is None:
        attributes["gen_ai.tool.call.result"] = step.result
    span = _span(run, step.span_id, f"execute_tool {step.tool}", _INTERNAL, step.start_ns, step.end_ns)
    return _finish(span, attributes, step.failure)


def _span(run: AgentRun, span_id: str, name: str, kind: int, start_ns: int, end_ns: int) -> Request:
    return {
        "traceId": run.trace_id,
        "spanId": span_id,
        "parentSpanId": run.span_id,
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(start_ns),
        "endTimeUnixNano": str(end_ns),
        "status": {},
        "flags": _LOCAL_PARENT,
    }


def _finish(span: Request, attributes: dict[str, Any], failure: Failure | None, *, event: bool = True) -> Request:
    """Add the attributes, and of a failure the status, `error.type` and where wanted the exception event."""
    if failure is not None:
        span["status"] = {"message": failure.message, **_ERROR}
        attributes["error.type"] = failure.error_type
        if event:
            said = f"{failure.error_type}: {failure.message}"
            exception = {
                "exception.type": failure.error_type,
                "exception.message": failure.message,
                "exception.stacktrace": f"Traceback (most recent call last):\n{said}\n",
                "exception.escaped": "False",
            }
            when = span["endTimeUnixNano"]
            span["events"] = [{"timeUnixNano": when, "name": "exception", "attributes": _attributes(exception)}]
    span["attributes"] = _attributes(attributes)
    return span


def _message(role: str, content: str) -> str:
    return dumps([{"role": role, "parts": [{"content": content, "type": "text"}], "name": None}])


def _attributes(values: dict[str, Any]) -> list[Request]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: str | float | list[str]) -> Request:
    """Return an AnyValue; integers are strings in OTLP/JSON."""
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"arrayValue": {"values": [{"stringValue": entry} for entry in value]}}
