"""OTLP/JSON to raw spans, and the parser that all JSON from outside goes through.

JSON mapping: opentelemetry-proto, docs/specification.md. Ids are hex, 64-bit integers are strings or numbers, enums
are numbers (names are taken too), keys are camelCase (snake_case, which protobuf's printer can write, is taken too).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from analyzer.ingest.raw import (
    DEPTH_MAX,
    INT64_MAX,
    TOO_DEEP,
    MalformedError,
    RawSpan,
    as_list,
    id_of,
    is_unset,
    plain_float,
    times_of,
)
from analyzer.types.trace import Event

_STATUS = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2, "UNSET": 0, "OK": 1, "ERROR": 2}
_KIND = {
    "SPAN_KIND_UNSPECIFIED": 0,
    "SPAN_KIND_INTERNAL": 1,
    "SPAN_KIND_SERVER": 2,
    "SPAN_KIND_CLIENT": 3,
    "SPAN_KIND_PRODUCER": 4,
    "SPAN_KIND_CONSUMER": 5,
}

Remark = Callable[[str, str], None]
"""Called with a position and a text."""


def parse(data: bytes) -> Any:
    """Parse JSON from outside. Raises ValueError with a short reason.

    orjson refuses what JavaScript exporters really send: half of a surrogate pair, where a length limit cut an
    emoji in two. Such text, and single broken UTF-8 bytes, are taken with U+FFFD in place of what is broken.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        # What is read is a line as a rule: that it is the first of itself says nothing.
        reason = f"{error.msg}: {'' if error.lineno == 1 else f'line {error.lineno}, '}column {error.colno}"
    if b"\\u" not in data and data.isascii():
        raise ValueError(reason)
    try:
        return _whole(json.loads(data.decode("utf-8", "replace"), parse_constant=_refuse_constant), 0)
    except (ValueError, RecursionError):
        raise ValueError(reason) from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _whole(value: Any, depth: int) -> Any:
    """Replace lone surrogates, which no encoder and no database would take."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole(entry, depth + 1) for entry in value]
    if isinstance(value, dict):
        return {_whole(key, depth + 1): _whole(entry, depth + 1) for key, entry in value.items()}
    return value


def raw_spans(request: Mapping[str, Any], refuse: Remark, note: Remark) -> Iterator[RawSpan]:
    """Yield the spans of one export request; what cannot be kept goes to `refuse`, what was put right to `note`."""
    groups = _get(request, "resourceSpans", "resource_spans", "batches")
    if not isinstance(groups, list):
        refuse("resourceSpans", "is not a list")
        return
    for i, group in enumerate(groups):
        here = f"resourceSpans[{i}]"
        try:
            resource = attributes_of(
                _mapping(_mapping(group, here).get("resource") or {}, "resource").get("attributes")
            )
            scopes = as_list(_get(group, "scopeSpans", "scope_spans", "instrumentationLibrarySpans"), "scopeSpans")
        except MalformedError as error:
            refuse(here, str(error))
            continue
        for j, scope_spans in enumerate(scopes):
            yield from _of_scope(scope_spans, resource, f"{here}.scopeSpans[{j}]", refuse, note)


def _of_scope(
    scope_spans: Any, resource: Mapping[str, Any], here: str, refuse: Remark, note: Remark
) -> Iterator[RawSpan]:
    try:
        scope = _mapping(_get(_mapping(scope_spans, here), "scope", "instrumentationLibrary") or {}, "scope")
        version = scope.get("version")
        library = _text(scope.get("name")), version if isinstance(version, str) else ""
        spans = as_list(scope_spans.get("spans"), "spans")
    except MalformedError as error:
        refuse(here, str(error))
        return
    for k, span in enumerate(spans):
        try:
            raw, remark = _span(_mapping(span, "the span"), resource, library)
        except MalformedError as error:
            refuse(f"{here}.spans[{k}]", str(error))
            continue
        if remark:
            note(f"{here}.spans[{k}]", remark)
        yield raw


def _span(span: Mapping[str, Any], resource: Mapping[str, Any], library: tuple[str, str]) -> tuple[RawSpan, str]:
    parent = _get(span, "parentSpanId", "parent_span_id")
    start_ns, end_ns, remark = times_of(
        _time(_get(span, "startTimeUnixNano", "start_time_unix_nano")),
        _time(_get(span, "endTimeUnixNano", "end_time_unix_nano")),
    )
    status = _mapping(span.get("status") or {}, "status")
    raw = RawSpan(
        trace_id=id_of(_get(span, "traceId", "trace_id"), 16, "traceId"),
        span_id=id_of(_get(span, "spanId", "span_id"), 8, "spanId"),
        parent_id=None if is_unset(parent) else id_of(parent, 8, "parentSpanId"),
        name=_text(span.get("name")),
        kind=_enum(span.get("kind"), _KIND),
        start_ns=start_ns,
        end_ns=end_ns,
        status_code=_enum(status.get("code"), _STATUS),
        status_message=_text(status.get("message")),
        attributes=attributes_of(span.get("attributes")),
        events=tuple([_event(event) for event in as_list(span.get("events"), "events")]),
        resource=resource,
        scope=library[0],
        scope_version=library[1],
    )
    return raw, remark


def _event(event: Any) -> Event:
    fields = _mapping(event, "an event")
    time_ns = _time(_get(fields, "timeUnixNano", "time_unix_nano"))
    return Event(
        name=_text(fields.get("name")),
        time_ns=time_ns if time_ns and 0 < time_ns <= INT64_MAX else None,
        attributes=attributes_of(fields.get("attributes")),
    )


def attributes_of(pairs: Any) -> dict[str, Any]:
    """Return OTLP key-value pairs as a dictionary. Raises MalformedError where they are none."""
    if not pairs:
        return {}
    attributes: dict[str, Any] = {}
    try:
        for pair in pairs:
            value = pair["value"]
            text = value.get("stringValue")
            # Most values are strings; the general path costs three times as much.
            attributes[pair["key"]] = text if text.__class__ is str else _value(value, 0)
    except (TypeError, KeyError, AttributeError):
        return _attributes_slowly(pairs, 0)
    return attributes if all(key.__class__ is str for key in attributes) else _attributes_slowly(pairs, 0)


def value_of(value: Any) -> Any:
    """Return the plain form of an AnyValue in JSON. Raises MalformedError for what is none."""
    return _value(value, 0)


def _attributes_slowly(pairs: Any, depth: int) -> dict[str, Any]:
    """Take pairs whose value is absent or null, and name what is wrong with the rest."""
    attributes: dict[str, Any] = {}
    for pair in as_list(pairs, "attributes"):
        if not isinstance(pair, dict) or not isinstance(pair.get("key"), str):
            raise MalformedError("an attribute has no key")
        attributes[pair["key"]] = _value(pair.get("value"), depth)
    return attributes


def _value(value: Any, depth: int) -> Any:
    """Return the plain form of an OTLP AnyValue; an empty one is None."""
    if not value:
        return None
    for kind, inner in _mapping(value, "an attribute's value").items():
        reader = _READERS.get(kind)
        if reader is not None:
            return reader(inner, depth)
    return None


def _string(inner: Any, _depth: int) -> str:
    return _text(inner)


def _int(inner: Any, _depth: int) -> int | str:
    try:
        number = int(inner)
    except (TypeError, ValueError, OverflowError):
        raise MalformedError(f"{str(inner)[:40]!r} is no integer") from None
    # Python's integers have no end, a database's and most JSON readers' have: what is too long stays readable as text.
    return number if -INT64_MAX - 1 <= number <= INT64_MAX else str(number)


def _double(inner: Any, _depth: int) -> float | str:
    try:
        return plain_float(float(inner))
    except (TypeError, ValueError, OverflowError):
        raise MalformedError(f"{str(inner)[:40]!r} is no number") from None


def _bool(inner: Any, _depth: int) -> bool:
    if isinstance(inner, bool):
        return inner
    if inner in ("true", "false"):
        return bool(inner == "true")
    raise MalformedError(f"{str(inner)[:40]!r} is no boolean")


def _array(inner: Any, depth: int) -> list[Any] | str:
    if depth >= DEPTH_MAX:
        return TOO_DEEP
    return [_value(entry, depth + 1) for entry in as_list(_mapping(inner or {}, "arrayValue").get("values"), "values")]


def _kvlist(inner: Any, depth: int) -> dict[str, Any] | str:
    if depth >= DEPTH_MAX:
        return TOO_DEEP
    return _attributes_slowly(_mapping(inner or {}, "kvlistValue").get("values"), depth + 1)


_READERS: Mapping[str, Callable[[Any, int], Any]] = {
    "stringValue": _string,
    "intValue": _int,
    "doubleValue": _double,
    "boolValue": _bool,
    "arrayValue": _array,
    "kvlistValue": _kvlist,
    "bytesValue": _string,
    "string_value": _string,
    "int_value": _int,
    "double_value": _double,
    "bool_value": _bool,
    "array_value": _array,
    "kvlist_value": _kvlist,
    "bytes_value": _string,
}


def _get(mapping: Mapping[str, Any], *names: str) -> Any:
    for name in names:
        value = mapping.get(name)
        if value is not None:
            return value
    return None


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    raise MalformedError(f"{what} is not an object")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise MalformedError(f"{str(value)[:40]!r} stands where text belongs")


def _time(value: Any) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        raise MalformedError("a time is a boolean")
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise MalformedError(f"time {str(value)[:40]!r} is no number of nanoseconds") from None


def _enum(value: Any, names: Mapping[str, int]) -> int:
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        if value in names:
            return names[value]
        if value.isdecimal():
            return int(value)
    raise MalformedError(f"unknown enum value {str(value)[:40]!r}")
