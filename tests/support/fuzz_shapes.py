"""Shapes of input that make parsers slow, hungry or deep, each at any size: how time grows with them is looked at."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import orjson
from support.otlp_requests import pairs, request, span, to_proto

Shape = tuple[str, Callable[[int], bytes]]
"""The reader, and what makes about so many bytes."""


def _repeated(unit: bytes, before: bytes = b"", after: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: before + unit * (size // len(unit)) + after


def _spread(size: int, unit: int) -> range:
    return range(1, max(2, size // unit))


def _spans(unit: int, make: Callable[[int], dict[str, Any]]) -> Callable[[int], bytes]:
    """As many spans as fit, at `unit` bytes each."""
    return lambda size: orjson.dumps(request(*[make(number) for number in _spread(size, unit)]))


def _attributes(unit: int, make: Callable[[int], tuple[str, Any]], **more: Any) -> Callable[[int], bytes]:
    """One span with as many attributes as fit."""
    return lambda size: orjson.dumps(
        request(span(1, attributes={**more, **dict(make(number) for number in _spread(size, unit))}))
    )


def _list_of(unit: int, key: str, make: Callable[[int], Any], **document: Any) -> Callable[[int], bytes]:
    """A document with a list of as many entries as fit."""
    return lambda size: orjson.dumps({**document, key: [make(number) for number in _spread(size, unit)]})


def _lines(unit: int, make: Callable[[int], Any]) -> Callable[[int], bytes]:
    """As many JSON lines as fit."""
    return lambda size: b"\n".join(orjson.dumps(make(number)) for number in _spread(size, unit))


def _text(text: str) -> Callable[[int], bytes]:
    """One span with a long text: what the masker and the dialects look through."""
    return lambda size: orjson.dumps(request(span(1, attributes={"gen_ai.prompt": text * (size // len(text))})))


def _messages(size: int) -> list[object]:
    talk: list[object] = [{"role": "user", "content": "hi"}]
    for number in _spread(size, 160):
        call = {"id": f"c{number}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        talk += [{"role": "assistant", "content": "", "tool_calls": [call]}]
        talk += [{"role": "tool", "tool_call_id": f"c{number}", "content": "x"}]
    return talk


def _said(number: int, parent: int | None, message: str) -> dict[str, Any]:
    """A line of a session's log."""
    call = {"type": "tool_use", "id": f"c{number}", "name": "f", "input": {}}
    return {
        "type": "assistant",
        "uuid": f"u{number}",
        "parentUuid": None if parent is None else f"u{parent}",
        "sessionId": "s",
        "timestamp": "2026-11-20T10:00:00Z",
        "message": {"id": message, "role": "assistant", "model": "m", "content": [call]},
    }


def _step(number: int) -> dict[str, Any]:
    call = {"tool_call_id": f"c{number}", "function_name": "f", "arguments": {}}
    return {"step_id": number, "source": "agent", "message": "x", "tool_calls": [call]}


def _observation(number: int) -> dict[str, Any]:
    return {"id": f"o{number}", "traceId": "t", "type": "SPAN", "parentObservationId": f"o{number - 1}"}


def _nested_runs(size: int) -> bytes:
    inner: dict[str, object] = {"id": "r", "run_type": "chain", "name": "n"}
    for number in range(size // 60):
        inner = {"id": f"r{number}", "run_type": "chain", "name": "n", "child_runs": [inner]}
        if number % 60 == 59:
            break
    return orjson.dumps([inner] * max(1, size // 4000))


def _fences(size: int) -> dict[str, Any]:
    return {"role": "assistant", "content": "```bash\n" * (size // 8)}


_RUN: dict[str, Any] = {"id": "r", "run_type": "chain", "name": "n"}
_RECORD = orjson.dumps(
    {
        "timeUnixNano": "1",
        "traceId": "a" * 32,
        "spanId": "b" * 16,
        "eventName": "gen_ai.user.message",
        "body": {"stringValue": "x"},
    }
)
_IN_A_SPAN = (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":"', b'"}]}]}]}')
_IN_TEXT = (b'{"resourceSpans":[{"a":"', b'"}]}')
_EMPTY_MEMBER = gzip.compress(b"", mtime=0)
_SHELL = {"role": "assistant", "content": "```bash\nls\n```"}

SHAPES: dict[str, Shape] = {
    "open brackets": ("auto", _repeated(b"[")),
    "open objects": ("auto", _repeated(b'{"a":')),
    "backslashes in a string": ("auto", _repeated(b"\\", b'["')),
    "lone quotes": ("auto", _repeated(b'"', b"[")),
    "commas": ("auto", _repeated(b",", b"[")),
    "empty lines": ("auto", _repeated(b"\n", after=b"x")),
    "blanks": ("auto", _repeated(b" ", after=b"x")),
    "broken lines": ("auto", _repeated(b"{\n", b'{"resourceSpans":[]}\n')),
    "broken elements": ("auto", _repeated(b"{,", b'[{"resourceSpans":[]},')),
    "empty requests": ("auto", _repeated(b'{"resourceSpans":[]}\n')),
    "empty requests in a list": ("auto", _repeated(b'{"resourceSpans":[]},', b"[", b"{}]")),
    "digits": ("resourceSpans JSON", _repeated(b"9", b'{"resourceSpans":[{"a":', b"}]}")),
    "digits as text": ("resourceSpans JSON", _repeated(b"9", *_IN_A_SPAN)),
    "half surrogates": ("auto", _repeated(b"\\ud800", *_IN_TEXT)),
    "broken utf-8": ("auto", _repeated(b"\xff", *_IN_TEXT)),
    "spans of one trace": ("auto", _spans(210, span)),
    "spans of one trace in protobuf": ("auto", lambda n: to_proto(request(*map(span, _spread(n, 60))))),
    "a chain of spans": ("auto", _spans(225, lambda i: span(i, parentSpanId=f"{i - 1:016x}" if i > 1 else ""))),
    "the same span again": ("auto", _spans(210, lambda _i: span(1))),
    "traces of one span": ("auto", _spans(210, lambda i: span(i, traceId=f"{i:032x}"))),
    "attributes": ("auto", _attributes(40, lambda i: (f"a{i}", i))),
    "the same attribute again": (
        "auto",
        lambda n: orjson.dumps(request({**span(1), "attributes": pairs({"a": 1}) * (n // 40)})),
    ),
    "events": ("auto", lambda n: orjson.dumps(request(span(1, events=[("exception", {})] * (n // 80))))),
    "entries of an attribute": ("auto", lambda n: orjson.dumps(request(span(1, attributes={"a": [1] * (n // 16)})))),
    "indexed messages": (
        "auto",
        _attributes(
            80, lambda i: (f"llm.input_messages.{i}.message.content", "x"), **{"openinference.span.kind": "LLM"}
        ),
    ),
    "indexed prompts": (
        "auto",
        _attributes(60, lambda i: (f"gen_ai.prompt.{i}.content", "x"), **{"llm.request.type": "chat"}),
    ),
    "messages in an attribute": ("auto", _text('[{"role":"user","parts":[]},')),
    "empty groups in protobuf": ("resourceSpans PROTO", _repeated(b"\x0a\x00")),
    "unknown fields in protobuf": ("resourceSpans PROTO", _repeated(b"\x78\x01", b"\x0a\x00")),
    "zeros": ("otlp-proto", _repeated(b"\0")),
    "framed empty messages": ("otlp-proto", _repeated(b"\0\0\0\x02\x0a\x00")),
    "empty gzip members": ("auto", _repeated(_EMPTY_MEMBER)),
    "empty gzip members in a body": ("body", _repeated(_EMPTY_MEMBER)),
    "a gzip bomb": ("body", lambda n: gzip.compress(bytes(n * 100), mtime=0)),
    "log records": (
        "resourceLogs JSON",
        _repeated(_RECORD + b",", b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[', b"{}]}]}]}"),
    ),
    "chat": ("openai-chat", lambda n: orjson.dumps(_messages(n))),
    "chat in lines": ("openai-chat", lambda n: b"\n".join(map(orjson.dumps, _messages(n)))),
    "chats of one message": (
        "openai-chat",
        _lines(50, lambda i: {"messages": [{"role": "user", "content": str(i)}]}),
    ),
    "a session's lines": ("claude-code", _lines(230, lambda i: _said(i, i - 1, f"m{i}"))),
    "a session's lines of one message": ("claude-code", _lines(230, lambda i: _said(i, i - 1, "m"))),
    "a session's lines without parents": ("claude-code", _lines(230, lambda i: _said(i, None, f"m{i}"))),
    "a session's lines in a ring": ("claude-code", _lines(230, lambda i: _said(i % 7, (i + 1) % 7, f"m{i}"))),
    "steps of atif": ("atif", _list_of(130, "steps", _step, schema_version="ATIF-v1.5")),
    "steps of swe-agent": (
        "swe-agent",
        _list_of(50, "trajectory", lambda _i: {"action": "ls", "observation": "a", "response": "b"}),
    ),
    "messages of mini-swe-agent": (
        "mini-swe-agent",
        _list_of(
            45,
            "messages",
            lambda i: _SHELL if i % 2 else {"role": "user", "content": "a"},
            trajectory_format="mini-swe-agent",
        ),
    ),
    "open fences": (
        "mini-swe-agent",
        lambda n: orjson.dumps({"trajectory_format": "mini-swe-agent", "messages": [_fences(n)]}),
    ),
    "observations": ("langfuse", _lines(75, _observation)),
    "child runs": ("langsmith", _list_of(45, "child_runs", lambda i: {**_RUN, "id": f"r{i}"}, **_RUN)),
    "nested child runs": ("langsmith", _nested_runs),
    "words of an error": ("langsmith", lambda n: orjson.dumps({**_RUN, "error": "a." * (n // 2)})),
    **{
        f"text: {text[:12]}": ("auto", _text(text))
        for text in (
            "a",
            "4",
            " ",
            "the customer asks ",
            "a.",
            "a@",
            "someone@shop.example ",
            "QUJD",
            "%41",
            "\\\\",
            "http://a:",
            "password=",
            '{"a":"',
            "eyJhbGciOiJI.",
            "-----BEGIN PRIVATE KEY-----",
            "4111 1111 ",
        )
    },
}
