"""OTLP protobuf to raw spans. `TracesData` and `ExportTraceServiceRequest` are the same bytes."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from google.protobuf.unknown_fields import UnknownFieldSet  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from analyzer.ingest.raw import (
    DEPTH_MAX,
    INT64_MAX,
    TOO_DEEP,
    MalformedError,
    RawSpan,
    id_of_bytes,
    is_unset,
    plain_float,
    times_of,
)
from analyzer.ingest.wire_json import Remark
from analyzer.types.trace import Event


def parse(data: bytes) -> Any:
    """Parse one message. Raises ValueError where the bytes are not an export request with anything in it."""
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(data)
    except DecodeError:
        raise ValueError("is no OTLP protobuf trace request") from None
    if data and not request.resource_spans:
        raise ValueError("is protobuf without resourceSpans")
    return request


def raw_spans(request: Any, refuse: Remark, note: Remark) -> Iterator[RawSpan]:
    """Yield the spans of one export request; what cannot be kept goes to `refuse`, what was put right to `note`."""
    _say_unknown(request, "the request", note)
    for i, group in enumerate(request.resource_spans):
        _say_unknown(group, f"resourceSpans[{i}]", note)
        resource = _attributes(group.resource.attributes, 0)
        for j, scope_spans in enumerate(group.scope_spans):
            _say_unknown(scope_spans, f"resourceSpans[{i}].scopeSpans[{j}]", note)
            library = scope_spans.scope.name, scope_spans.scope.version
            for k, span in enumerate(scope_spans.spans):
                try:
                    raw, remark = _span(span, resource, library)
                except MalformedError as error:
                    refuse(f"resourceSpans[{i}].scopeSpans[{j}].spans[{k}]", str(error))
                    continue
                if remark:
                    note(f"resourceSpans[{i}].scopeSpans[{j}].spans[{k}]", remark)
                yield raw


def _say_unknown(message: Any, place: str, note: Remark) -> None:
    """Say what protobuf passes over: a part under a number that has no meaning here may be a span that was damaged."""
    for field in UnknownFieldSet(message):
        note(place, f"a part of a kind that is not known ({field.field_number}) was passed over")


def _span(span: Any, resource: Mapping[str, Any], library: tuple[str, str]) -> tuple[RawSpan, str]:
    parent = span.parent_span_id
    start_ns, end_ns, remark = times_of(span.start_time_unix_nano, span.end_time_unix_nano)
    raw = RawSpan(
        trace_id=id_of_bytes(span.trace_id, 16, "traceId"),
        span_id=id_of_bytes(span.span_id, 8, "spanId"),
        parent_id=None if is_unset(parent.hex()) else id_of_bytes(parent, 8, "parentSpanId"),
        name=span.name,
        kind=span.kind,
        start_ns=start_ns,
        end_ns=end_ns,
        status_code=span.status.code,
        status_message=span.status.message,
        attributes=_attributes(span.attributes, 0),
        events=tuple([_event(event) for event in span.events]),
        resource=resource,
        scope=library[0],
        scope_version=library[1],
    )
    return raw, remark


def _event(event: Any) -> Event:
    time_ns = event.time_unix_nano
    return Event(event.name, time_ns if 0 < time_ns <= INT64_MAX else None, _attributes(event.attributes, 0))


def attributes_of(pairs: Iterable[Any]) -> dict[str, Any]:
    """Return protobuf key-value pairs as a dictionary."""
    return _attributes(pairs, 0)


def value_of(value: Any) -> Any:
    """Return the plain form of a protobuf AnyValue."""
    return _value(value, 0)


def _attributes(pairs: Iterable[Any], depth: int) -> dict[str, Any]:
    # Asking which kind a value is costs more than the value; most are texts, and an empty text may be any kind.
    return {pair.key: (value := pair.value).string_value or _value(value, depth) for pair in pairs}


def _value(value: Any, depth: int) -> Any:
    """Return the plain form of an AnyValue; an empty one is None, bytes are base64 as in OTLP/JSON."""
    plain = value.string_value or value.int_value
    if plain:
        return plain
    kind = value.WhichOneof("value")
    if kind in ("string_value", "int_value"):
        return plain if kind == "int_value" else ""
    if kind is None:
        return None
    if kind in ("array_value", "kvlist_value"):
        return _nested(value, depth) if depth < DEPTH_MAX else TOO_DEEP
    plain = getattr(value, kind)
    if kind == "double_value":
        return plain_float(plain)
    return base64.b64encode(plain).decode("ascii") if kind == "bytes_value" else plain


def _nested(value: Any, depth: int) -> Any:
    if value.WhichOneof("value") == "array_value":
        return [_value(entry, depth + 1) for entry in value.array_value.values]
    return _attributes(value.kvlist_value.values, depth + 1)
