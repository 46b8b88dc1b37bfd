"""The analyst's own spans to any OTLP endpoint, by OpenTelemetry's exporter. Never in the way of a run.

Spans are sent as they are kept in the store: masked, and under the names of the GenAI conventions.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace import Status as OtelStatus
from opentelemetry.trace.status import StatusCode

from analyzer.errors import DeliveryError
from analyzer.types.messages import readable
from analyzer.types.trace import Operation, Span, Status

BATCHES_MAX = 64
"""That wait to be sent; a run has one a phase. What comes on top is dropped and counted."""
TIMEOUT_S = 5.0
"""For one batch, with the exporter's own tries."""
WHOLE_S = 8.0
"""That the end of a run waits for what is still to be sent, whatever the endpoint does."""
PATH = "/v1/traces"
_CONTENT = {
    Operation.TOOL: ("gen_ai.tool.call.arguments", "gen_ai.tool.call.result"),
    Operation.OTHER: ("analyzer.input", "analyzer.output"),
}
_MESSAGES = ("gen_ai.input.messages", "gen_ai.output.messages")


class Exporter:
    """Sends spans in a thread of its own."""

    def __init__(
        self, endpoint: str, headers: Mapping[str, str], *, mask: Callable[[Span], Span], version: str
    ) -> None:
        """`endpoint` is a base URL, to which the path of traces is added, or one that has it."""
        # What the exporter logs names the endpoint; what did not arrive is counted.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
        url = endpoint.rstrip("/")
        self._endpoint = url if url.endswith(PATH) else f"{url}{PATH}"
        self._headers = dict(headers)
        self._mask = mask
        self._scope = InstrumentationScope("analyzer", version)
        self._resource = Resource(
            {"service.name": "analyzer", "service.version": version, "gen_ai.main_agent.name": "analyzer"}
        )
        self._waiting: queue.Queue[list[Span] | None] = queue.Queue(BATCHES_MAX)
        self._lock = threading.Lock()
        self._unsent = 0
        self._unfinished = 0
        self._thread: threading.Thread | None = None

    def send(self, spans: Iterable[Span]) -> None:
        """Have spans sent. Returns at once, and never raises."""
        batch = list(spans)
        with self._lock:
            self._unfinished += len(batch)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="otlp", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait(batch)
        except queue.Full:
            self._done(batch, sent=False)

    @property
    def unsent(self) -> int:
        """How many spans are known not to have arrived."""
        with self._lock:
            return self._unsent

    def check(self) -> str:
        """Send an empty request; return a line about the endpoint. Raises DeliveryError."""
        exporter = OTLPSpanExporter(endpoint=self._endpoint, headers=self._headers, timeout=TIMEOUT_S)
        try:
            if exporter.export([]) is not SpanExportResult.SUCCESS:
                why = "it did not take an empty request; check address and headers"
                raise DeliveryError(f"{self._endpoint}: {why}", retryable=False)
        finally:
            exporter.shutdown()  # type: ignore[no-untyped-call]
        return f"{self._endpoint} takes traces"

    def close(self, seconds: float = WHOLE_S) -> int:
        """Wait for what is still to be sent, and return how many spans were not."""
        if self._thread is None:
            return 0
        try:
            self._waiting.put(None, timeout=seconds)
        except queue.Full:
            return self._unsent + self._unfinished
        self._thread.join(seconds)
        with self._lock:
            return self._unsent + self._unfinished

    def _work(self) -> None:
        exporter = OTLPSpanExporter(endpoint=self._endpoint, headers=self._headers, timeout=TIMEOUT_S)
        while (batch := self._waiting.get()) is not None:
            try:
                sent = exporter.export([self._readable(self._mask(span)) for span in batch])
            except Exception:  # noqa: BLE001 - whatever an endpoint provokes, the run goes on; it is counted
                sent = SpanExportResult.FAILURE
            self._done(batch, sent=sent is SpanExportResult.SUCCESS)
        exporter.shutdown()  # type: ignore[no-untyped-call]

    def _done(self, batch: Sequence[Span], *, sent: bool) -> None:
        with self._lock:
            self._unfinished -= len(batch)
            self._unsent += 0 if sent else len(batch)

    def _readable(self, span: Span) -> ReadableSpan:
        failed = span.status is Status.ERROR
        return ReadableSpan(
            name=span.name,
            context=_context(span.trace_id, span.span_id),
            parent=None if span.parent_id is None else _context(span.trace_id, span.parent_id),
            resource=self._resource,
            attributes=dict(_attributes(span)),
            kind=SpanKind.CLIENT if span.operation.is_inference else SpanKind.INTERNAL,
            instrumentation_scope=self._scope,
            status=OtelStatus(StatusCode.ERROR, span.status_message) if failed else OtelStatus(StatusCode.UNSET),
            start_time=span.start_ns,
            end_time=span.end_ns,
        )


def _context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _attributes(span: Span) -> Iterator[tuple[str, Any]]:
    """Yield what is known of a span. What a phase does is no operation of the conventions, and gets none."""
    named: dict[str, Any] = {
        "gen_ai.operation.name": None if span.operation is Operation.OTHER else span.operation.value,
        "gen_ai.agent.name": span.agent,
        "gen_ai.agent.version": span.agent_version if span.operation is Operation.AGENT else None,
        "gen_ai.provider.name": span.provider,
        "gen_ai.request.model": span.model,
        "gen_ai.response.model": span.model if span.operation.is_inference else None,
        "gen_ai.response.id": span.response_id,
        "gen_ai.tool.name": span.tool,
        "gen_ai.prompt.name": span.prompt_name,
        "gen_ai.prompt.version": span.prompt_version,
        "gen_ai.usage.cost": span.cost_usd,
        "error.type": span.error_type or None,
    }
    if span.tokens is not None:
        named |= {
            "gen_ai.usage.input_tokens": span.tokens.input,
            "gen_ai.usage.output_tokens": span.tokens.output,
            "gen_ai.usage.cache_read.input_tokens": span.tokens.cache_read,
            "gen_ai.usage.cache_write.input_tokens": span.tokens.cache_write,
        }
    names = _CONTENT.get(span.operation, _MESSAGES)
    for name, text, role in zip(names, (span.input, span.output), _ROLES, strict=True):
        if text:
            named[name] = text if span.operation in _CONTENT else _message(role, text)
    yield from ((name, value) for name, value in named.items() if value is not None)
    for name, value in span.attributes.items():
        is_plain = isinstance(value, str | bool | int | float)
        yield name, value if is_plain else list(value) if _is_texts(value) else json.dumps(value, default=str)


_ROLES = ("user", "assistant")


def _message(role: str, text: str) -> str:
    """Return a text as the one message of a conversation, in the form of the conventions."""
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": readable(text)}]}], ensure_ascii=False)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)
