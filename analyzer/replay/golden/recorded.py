"""The recording of a case as JSON: what a stand-in for the provider needs so that the agent's own code can run again.

Of each request only what the one before it did not hold: conversations grow, and files are read in reviews.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from analyzer.errors import UsageError
from analyzer.replay.alike import Decision
from analyzer.replay.conversation import Message, ToolCall, ToolDefinition, ToolReturn
from analyzer.replay.golden.observed import Observed
from analyzer.replay.recording import Call, Execution, Recording, Request
from analyzer.types.trace import ErrorClass, FinishReason, Operation, Span, Status, Tokens

SCHEMA = "analyzer.golden-replay/1"


def replay_document(recording: Recording | None) -> dict[str, Any] | None:
    """Return the calls and the tools of a recording, schema `analyzer.golden-replay/1`; None where no model was called.

    Parameters and what is missing are left out: no stand-in compares them.
    """
    if recording is None or not recording.calls:
        return None
    calls, before = [], Request("", {}, "", (), ())
    for call in recording.calls:
        calls.append({**_span_document(call), **_request_document(call.request, before), **_decided(call.decision)})
        before = call.request
    tools = [
        {
            "number": one.number,
            "tool": one.tool,
            "call_id": one.call_id,
            "arguments": one.arguments,
            "result": one.result,
            "failed": one.failed,
        }
        for one in recording.executions
    ]
    return {"schema": SCHEMA, "calls": calls, "executions": tools}


def recording_from(document: Mapping[str, Any] | None, bad: Observed) -> Recording | None:
    """Return the recording of a document about a bad run; None for none: such a case cannot be replayed.

    Raises UsageError for another schema, and KeyError, TypeError or ValueError where it is no recording.
    """
    if document is None:
        return None
    if document["schema"] != SCHEMA:
        raise UsageError(f"its replay has schema {document['schema']!r}, not {SCHEMA}")
    calls: list[Call] = []
    before = Request("", {}, "", (), ())
    for one in document["calls"]:
        before = _request_from(one, before)
        calls.append(Call(int(one["number"]), _span_from(one, bad), before, _decision_from(one["decision"])))
    return Recording(
        trace_id=bad.trace_id,
        agent=bad.agent,
        agent_version=bad.version,
        task=bad.goal,
        calls=tuple(calls),
        executions=tuple(
            Execution(
                None if one["number"] is None else int(one["number"]),
                None,
                str(one["tool"]),
                str(one["call_id"]),
                one["arguments"],
                None if one["result"] is None else str(one["result"]),
                one["failed"] is True,
            )
            for one in document["executions"]
        ),
        missing=(),
    )


def with_texts(recording: Recording, of: Callable[[str], str]) -> Recording:
    """Return a recording with `of` applied to each of its texts, those within arguments and schemas too."""
    calls = tuple(
        replace(
            call,
            span=replace(call.span, status_message=of(call.span.status_message)),
            request=_request_with(call.request, of),
            decision=replace(
                call.decision, text=of(call.decision.text), tool_calls=_calls_with(call.decision.tool_calls, of)
            ),
        )
        for call in recording.calls
    )
    executions = tuple(
        replace(
            one, arguments=_each(one.arguments, of), result=None if one.result is None else of(one.result), span=None
        )
        for one in recording.executions
    )
    return replace(recording, task=of(recording.task), calls=calls, executions=executions)


def compared(recording: Recording, of: Callable[[str], str]) -> Recording:
    """Return a recording with `of` applied to what requests are held against; what is served stays as it is."""
    calls = tuple(replace(call, request=_request_with(call.request, of)) for call in recording.calls)
    executions = tuple(replace(one, arguments=_each(one.arguments, of)) for one in recording.executions)
    return replace(recording, calls=calls, executions=executions)


def _request_with(request: Request, of: Callable[[str], str]) -> Request:
    return replace(
        request,
        system=of(request.system),
        tools=tuple(
            replace(one, description=of(one.description), schema=_each(one.schema, of)) for one in request.tools
        ),
        messages=tuple(
            replace(
                one,
                text=of(one.text),
                tool_calls=_calls_with(one.tool_calls, of),
                returns=tuple(replace(gave, text=of(gave.text)) for gave in one.returns),
            )
            for one in request.messages
        ),
    )


def _calls_with(calls: Sequence[ToolCall], of: Callable[[str], str]) -> tuple[ToolCall, ...]:
    return tuple(replace(one, arguments=_each(one.arguments, of)) for one in calls)


def _each(value: Any, of: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return of(value)
    if isinstance(value, Mapping):
        return {key: _each(part, of) for key, part in value.items()}
    return [_each(part, of) for part in value] if isinstance(value, list | tuple) else value


def _span_document(call: Call) -> dict[str, Any]:
    span = call.span
    return {
        "number": call.number,
        "span_id": span.span_id,
        "start_ns": span.start_ns,
        "end_ns": span.end_ns,
        "status": span.status.value,
        "error": None if span.error is None else span.error.value,
        "error_type": span.error_type,
        "status_message": span.status_message,
        "tokens": None if span.tokens is None else asdict(span.tokens),
    }


def _span_from(document: Mapping[str, Any], bad: Observed) -> Span:
    return Span(
        bad.trace_id,
        str(document["span_id"]),
        None,
        "chat",
        Operation.CHAT,
        start_ns=document["start_ns"],
        end_ns=document["end_ns"],
        status=Status(document["status"]),
        error=None if document["error"] is None else ErrorClass(document["error"]),
        error_type=str(document["error_type"]),
        status_message=str(document["status_message"]),
        tokens=None if document["tokens"] is None else Tokens(**document["tokens"]),
    )


def _request_document(request: Request, before: Request) -> dict[str, Any]:
    """Return what of a request the one before it did not hold; `kept` counts the messages it began with, too."""
    kept = 0
    for one, other in zip(request.messages, before.messages, strict=False):
        if one != other:
            break
        kept += 1
    tools = [{"name": one.name, "description": one.description, "schema": dict(one.schema)} for one in request.tools]
    document: dict[str, Any] = {} if request.model == before.model else {"model": request.model}
    document |= {} if request.system == before.system else {"system": request.system}
    document |= {} if request.tools == before.tools else {"tools": tools}
    messages = [{name: part for name, part in asdict(one).items() if part} for one in request.messages[kept:]]
    return {**document, "kept": kept, "messages": messages}


def _request_from(document: Mapping[str, Any], before: Request) -> Request:
    tools = before.tools
    if "tools" in document:
        tools = tuple(
            ToolDefinition(str(one["name"]), str(one["description"]), dict(one["schema"])) for one in document["tools"]
        )
    return Request(
        model=str(document.get("model", before.model)),
        parameters={},
        system=str(document.get("system", before.system)),
        tools=tools,
        messages=(*before.messages[: int(document["kept"])], *map(_message_from, document["messages"])),
    )


def _message_from(document: Mapping[str, Any]) -> Message:
    return Message(
        role=str(document.get("role", "")),
        text=str(document.get("text", "")),
        tool_calls=_calls_from(document.get("tool_calls", ())),
        returns=tuple(
            ToolReturn(str(one["call_id"]), str(one["text"]), one["failed"] is True)
            for one in document.get("returns", ())
        ),
        left_out=tuple(str(one) for one in document.get("left_out", ())),
    )


def _decided(decision: Decision) -> dict[str, Any]:
    finish = None if decision.finish is None else decision.finish.value
    calls = [asdict(one) for one in decision.tool_calls]
    return {"decision": {"text": decision.text, "tool_calls": calls, "finish": finish}}


def _decision_from(document: Mapping[str, Any]) -> Decision:
    finish = None if document["finish"] is None else FinishReason(document["finish"])
    return Decision(str(document["text"]), _calls_from(document["tool_calls"]), finish)


def _calls_from(documents: Sequence[Mapping[str, Any]]) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(str(one["id"]), str(one["name"]), one["arguments"]) for one in documents)
