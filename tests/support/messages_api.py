"""A loopback server that speaks the Anthropic Messages API: says what a test scripted, remembers what it was asked."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_IDS = itertools.count(1)


@dataclass(frozen=True)
class Wire:
    """One HTTP answer, and how its transport misbehaves."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    cut: bool = False
    """Announce the whole body, send half of it and close."""
    hang_s: float = 0.0
    """Wait before answering at all."""
    trickle_s: float = 0.0
    """Send one byte, then wait this long, and so on: no single read times out."""
    drop: bool = False
    """Close the connection without a byte."""
    whole: bool = False
    """Never stream, whatever is asked: as some gateways do."""
    events_max: int | None = None
    """Of a stream: send so many events, and end."""
    then: bytes = b""
    """Of a stream that ends early: what comes last."""
    pause_after: str = ""
    """Of a stream: stop after the event that completes this text, until `resume` is set."""
    resume: threading.Event = field(default_factory=threading.Event)


Scripted = Wire | Callable[[dict[str, Any]], Wire]


def message(
    content: Sequence[Mapping[str, Any]],
    *,
    stop_reason: str | None = "end_turn",
    usage: Mapping[str, Any] | None = None,
    model: str = "claude-sonnet-5-5",
    **extra: Any,
) -> Wire:
    """Return a message with these content blocks."""
    body = {
        "id": f"msg_{next(_IDS):06d}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": list(content),
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": usage or {"input_tokens": 100, "output_tokens": 50},
        **extra,
    }
    return Wire(json.dumps(body).encode(), headers={"request-id": "req_test"})


def says(text: str, **options: Any) -> Wire:
    """Return a message with one block of text."""
    return message([{"type": "text", "text": text}], **options)


def calls(*tools: tuple[str, Mapping[str, Any]], **options: Any) -> Wire:
    """Return a message that calls tools, given as (name, arguments)."""
    blocks = [{"type": "tool_use", "id": f"toolu_{next(_IDS):06d}", "name": n, "input": dict(a)} for n, a in tools]
    return message(blocks, **{"stop_reason": "tool_use", **options})


def refuses() -> Wire:
    """Return a refusal."""
    details = {"type": "refusal", "category": "cyber", "explanation": "security-looking logs"}
    return message([], stop_reason="refusal", stop_details=details)


def fails(status: int, kind: str = "api_error", *, retry_after: str | None = None) -> Wire:
    """Return an error of the API."""
    body = {"type": "error", "error": {"type": kind, "message": f"scripted {status}"}, "request_id": "req_test"}
    return Wire(json.dumps(body).encode(), status, {"retry-after": retry_after} if retry_after else {})


PIECE_CHARS = 11
"""Of a delta: no piece is a whole word, string or object for long."""


def overloaded() -> bytes:
    """Return the event by which a stream says in its middle that the API is overloaded."""
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    return f"event: error\ndata: {json.dumps(body)}\n\n".encode()


def events(body: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the events in which a message is streamed, and with each the text that its block has by then."""
    begun = {**body, "content": [], "stop_reason": None, "usage": {**body["usage"], "output_tokens": 1}}
    yield "", {"type": "message_start", "message": begun}
    for index, block in enumerate(body["content"]):
        names = {"text": ("text", "text_delta"), "tool_use": ("input", "input_json_delta")}
        name, kind = names.get(block["type"], ("", ""))
        whole = block.get(name, "") if name == "text" else json.dumps(block.get(name, {})) if name else ""
        empty = {**block, name: "" if name == "text" else {}} if name else block
        yield "", {"type": "content_block_start", "index": index, "content_block": empty}
        for start in range(0, len(whole), PIECE_CHARS):
            piece = whole[start : start + PIECE_CHARS]
            delta = {"type": kind, "text" if name == "text" else "partial_json": piece}
            yield whole[: start + PIECE_CHARS], {"type": "content_block_delta", "index": index, "delta": delta}
        yield whole, {"type": "content_block_stop", "index": index}
    delta = {key: body.get(key) for key in ("stop_reason", "stop_sequence", "stop_details", "container")}
    yield "", {"type": "message_delta", "delta": delta, "usage": {"output_tokens": body["usage"]["output_tokens"]}}
    yield "", {"type": "message_stop"}


def streamed(wire: Wire) -> list[bytes]:
    """Return a message as the bytes of a stream; cut in two where it pauses."""
    parts, done = [b""], False
    for number, (so_far, event) in enumerate(events(json.loads(wire.body))):
        if wire.events_max is not None and number >= wire.events_max:
            break
        parts[-1] += f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
        if wire.pause_after and not done and wire.pause_after in so_far:
            parts.append(b"")
            done = True
    parts[-1] += wire.then
    return parts


def _asked_for(wire: Wire, body: Mapping[str, Any]) -> list[bytes]:
    """Return what goes out: a message is streamed to who asks for a stream."""
    streams = body.get("stream") is True and not wire.whole and wire.status == 200 and b'"content"' in wire.body
    return streamed(wire) if streams else [wire.body]


@dataclass
class MessagesApi:
    """A running server."""

    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    """The bodies of the requests, parsed."""
    headers: list[dict[str, str]] = field(default_factory=list)
    """Their headers, names in lower case."""
    paths: list[str] = field(default_factory=list)
    """Where they were sent."""


@contextmanager
def messages_api(replies: Sequence[Scripted]) -> Iterator[MessagesApi]:
    """Serve the replies in order on a free loopback port; the last one is repeated for whoever asks on."""
    api = MessagesApi("")
    stopping = threading.Event()
    lock = threading.Lock()
    script = list(replies)

    class _Responder(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            with lock:
                api.requests.append(body)
                api.paths.append(self.path)
                api.headers.append({name.lower(): value for name, value in self.headers.items()})
                line = script.pop(0) if len(script) > 1 else script[0]
            wire = line if isinstance(line, Wire) else line(body)
            parts = _asked_for(wire, body)
            if parts != [wire.body]:
                wire = replace(wire, content_type="text/event-stream", body=b"".join(parts))
            _send(self, wire, parts, stopping)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Responder)
    server.daemon_threads = True
    server.block_on_close = False
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def _send(responder: BaseHTTPRequestHandler, wire: Wire, parts: Sequence[bytes], stopping: threading.Event) -> None:
    responder.close_connection = True
    if wire.hang_s and stopping.wait(wire.hang_s):
        return
    if wire.drop:
        responder.connection.shutdown(socket.SHUT_RDWR)
        return
    try:
        responder.send_response(wire.status)
        for name, value in wire.headers.items():
            responder.send_header(name, value)
        responder.send_header("Content-Type", wire.content_type)
        responder.send_header("Content-Length", str(len(wire.body)))
        responder.send_header("Connection", "close")
        responder.end_headers()
        if wire.trickle_s:
            _trickle(responder, wire, stopping)
            return
        for number, part in enumerate([wire.body[: len(wire.body) // 2]] if wire.cut else parts):
            if number and not wire.resume.wait(20):
                return
            responder.wfile.write(part)
            responder.wfile.flush()
    except (BrokenPipeError, ConnectionResetError):
        return


def _trickle(responder: BaseHTTPRequestHandler, wire: Wire, stopping: threading.Event) -> None:
    ends = time.monotonic() + 30
    for index in range(len(wire.body)):
        responder.wfile.write(wire.body[index : index + 1])
        responder.wfile.flush()
        if stopping.wait(wire.trickle_s) or time.monotonic() > ends:
            return
