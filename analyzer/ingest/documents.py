"""OTLP/JSON files: one request, a request a line, a list of requests, a list of captured HTTP requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from analyzer.ingest import large_json, wire_json
from analyzer.ingest.containers import LongLine, parsed, values_or_long
from analyzer.ingest.cursor import WHOLE_BYTES_MAX, Cursor
from analyzer.ingest.gather import Gather
from analyzer.ingest.otlp import spans_from_json
from analyzer.ingest.pricing import Pricer
from analyzer.ingest.reads import Read, Refused, Skipped
from analyzer.ingest.streams import ByteStream

_STRANGE_MAX = 100
"""Values without a trace, after which a file that gave nothing is given up."""
_BOM = b"\xef\xbb\xbf"
_NO_TRACE = "is no trace: holds no resourceSpans"


def from_json(stream: ByteStream, gather: Gather, pricer: Pricer | None) -> Iterator[Read]:
    """Yield what a JSON file holds."""
    if _is_large(stream):
        yield from _large(stream, gather, pricer)
        return
    strange: list[Read] = []
    useful = False
    for value in values_or_long(stream, gather.source, large_json.begins):
        if isinstance(value, LongLine):
            useful = True
            yield from strange
            strange.clear()
            yield from _long_line(stream, value.position, gather, pricer)
            continue
        if isinstance(value, Refused):
            yield value
            continue
        if not useful and not is_otlp(value.value):
            strange.append(Refused(gather.source, value.position, _NO_TRACE))
            if len(strange) >= _STRANGE_MAX:
                why = f"is no trace: none of the first {len(strange)} values is an OTLP request"
                yield Refused(gather.source, value.position, why)
                return
            continue
        if not useful:
            useful = True
            yield from strange
            strange.clear()
        yield from _request(value.value, value.position, value.size, gather, pricer)
    if not useful and strange:
        # A log file in JSON is one mistake, not a thousand.
        yield strange[0]


def _is_large(stream: ByteStream) -> bool:
    """Whether one request that is spread over lines is too large to be read whole."""
    head = stream.peek(WHOLE_BYTES_MAX + 1).removeprefix(_BOM)
    if len(head) < WHOLE_BYTES_MAX or not large_json.begins(head):
        return False
    first, newline, _ = head.partition(b"\n")
    return bool(newline) and parsed(first) is None


def _large(stream: ByteStream, gather: Gather, pricer: Pricer | None) -> Iterator[Read]:
    """Read requests of any size that are spread over lines, in pieces."""
    if stream.peek(len(_BOM)) == _BOM:
        stream.take(len(_BOM))
    cursor = Cursor(stream)
    try:
        for at, piece in large_json.pieces(cursor):
            yield from _piece(piece, f"byte {at}", gather, pricer)
    except ValueError as error:
        yield Refused(gather.source, f"byte {cursor.position}", str(error))


def _long_line(stream: ByteStream, here: str, gather: Gather, pricer: Pricer | None) -> Iterator[Read]:
    """Read the one request of a line in pieces; what is wrong with it costs the rest of its line."""
    # Of a file that is one line, the byte says enough.
    here = "" if here == "line 1" else f"{here}, "
    cursor = Cursor(stream)
    try:
        for at, piece in large_json.one(cursor):
            yield from _piece(piece, f"{here}byte {at}", gather, pricer)
        cursor.release()
    except ValueError as error:
        where = f"{here}byte {cursor.position}"
        cursor.release()
        stream.skip_line()
        yield Refused(gather.source, where, str(error))


def _piece(piece: bytes, here: str, gather: Gather, pricer: Pricer | None) -> Iterator[Read]:
    try:
        yield from _request(wire_json.parse(piece), here, len(piece), gather, pricer)
    except ValueError as error:
        yield Refused(gather.source, here, f"is no JSON: {error}")


def _request(value: Any, here: str, size: int, gather: Gather, pricer: Pricer | None) -> Iterator[Read]:
    """Yield what one parsed value gives: a request, a captured request, or a list of either."""
    if isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _request_of(entry, f"{here}[{index}]", size // len(value), gather, pricer)
    else:
        yield from _request_of(value, here, size, gather, pricer)


def _request_of(value: Any, here: str, size: int, gather: Gather, pricer: Pricer | None) -> Iterator[Read]:
    request = _unwrapped(value)
    if _is_request(request):
        batch = spans_from_json(request, pricer=pricer, source=gather.source, position=here)
        yield from gather.add(batch, size)
    elif is_otlp(request):
        yield Skipped(gather.source, here, "carries logs or metrics, not traces")
    else:
        yield Refused(gather.source, here, _NO_TRACE)


def _unwrapped(value: Any) -> Any:
    """Return the request inside a captured HTTP request, or around what is only a part of one."""
    if not isinstance(value, Mapping):
        return value
    if isinstance(value.get("body"), Mapping) and not _is_request(value):
        return value["body"]
    if isinstance(value.get("trace"), Mapping) and not _is_request(value):
        # Grafana Tempo answers a query for one trace so.
        return value["trace"]
    if isinstance(value.get("scopeSpans"), list):
        return {"resourceSpans": [value]}
    return value


def _is_request(value: Any) -> bool:
    return isinstance(value, Mapping) and any(
        isinstance(value.get(name), list) for name in ("resourceSpans", "resource_spans", "batches")
    )


def holds_spans(value: Any) -> bool:
    """Whether a value is a trace request, a captured one, or a list that begins with one."""
    if isinstance(value, list):
        return bool(value) and holds_spans(value[0])
    return _is_request(_unwrapped(value))


def is_otlp(value: Any) -> bool:
    """Whether a value is a request of any signal, or a list that begins with one."""
    if isinstance(value, list):
        return bool(value) and is_otlp(value[0])
    request = _unwrapped(value)
    if not isinstance(request, Mapping):
        return False
    if (
        _is_request(request)
        or "path" in request
        or (isinstance(value, Mapping) and "path" in value and "body" in value)
    ):
        return True
    return any(name in request for name in ("resourceLogs", "resourceMetrics", "resource_logs", "resource_metrics"))
