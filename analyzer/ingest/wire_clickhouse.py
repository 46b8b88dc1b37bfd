"""Rows of the Collector's ClickHouse exporter to raw spans. Every value of an attribute is text there.

The tables of the dialects take numbers, truths and lists as text too: other exporters write them so. Put right here is
the little that they take as what it is alone: a score, and a message that is an object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from analyzer.ingest.pricing import Pricer
from analyzer.ingest.raw import STATUS_ERROR, STATUS_OK, STATUS_UNSET, RawSpan, id_of, is_unset, times_of
from analyzer.ingest.translate import translate
from analyzer.stores.clickhouse import Row
from analyzer.types.trace import Event, Span

_KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_STATUSES = {"ok": STATUS_OK, "error": STATUS_ERROR}
_SCORE = "gen_ai.evaluation.score.value"
_MESSAGE = "message"
_WRAPPED_NS = 2**63
"""The exporter writes a length below zero into a column without a sign."""


def span_of(row: Row, pricer: Pricer | None = None) -> Span:
    """Return the span of a row, unmasked. Raises ValueError for one that cannot be kept."""
    raw = raw_span(row)
    try:
        return translate(raw, pricer)
    except Exception as error:
        raise ValueError(f"cannot be translated: {type(error).__name__}") from error


def reader(pricer: Pricer | None) -> Callable[[Row], Span]:
    """Return `span_of` with prices."""
    return lambda row: span_of(row, pricer)


def raw_span(row: Row) -> RawSpan:
    """Return a row as a raw span. Raises MalformedError, a ValueError, for an id that is none."""
    lasts_ns = row.duration_ns if row.duration_ns < _WRAPPED_NS else row.duration_ns - 2 * _WRAPPED_NS
    start_ns, end_ns, _ = times_of(row.start_ns, row.start_ns + lasts_ns)
    return RawSpan(
        trace_id=id_of(row.trace_id, 16, "TraceId"),
        span_id=id_of(row.span_id, 8, "SpanId"),
        parent_id=None if is_unset(row.parent_id) else id_of(row.parent_id, 8, "ParentSpanId"),
        name=row.name,
        kind=_KINDS.get(_word(row.kind), 0),
        start_ns=start_ns,
        end_ns=end_ns,
        status_code=_STATUSES.get(_word(row.status_code), STATUS_UNSET),
        status_message=row.status_message,
        attributes=_attributes(row.attributes),
        events=tuple(
            Event(name, time_ns if time_ns > 0 else None, _attributes(attributes, in_event=True))
            for time_ns, name, attributes in zip(row.event_times_ns, row.event_names, row.event_attributes, strict=True)
        ),
        resource=dict(row.resource),
        scope=row.scope,
        scope_version=row.scope_version,
    )


def _word(name: str) -> str:
    """Return "client" for "Client" and for "SPAN_KIND_CLIENT"."""
    return name.rpartition("_")[2].lower()


def _attributes(given: Mapping[str, str], *, in_event: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = dict(given)
    if _SCORE in found:
        found[_SCORE] = _number(found[_SCORE])
    if in_event and found.get(_MESSAGE, "").startswith("{"):
        found[_MESSAGE] = _object(found[_MESSAGE])
    return found


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _object(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
