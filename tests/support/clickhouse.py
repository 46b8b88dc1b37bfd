"""ClickHouse as OpenTelemetry's Collector fills it: its tables, its rows, and the engine behind them, chdb.

The engine runs in the tests' process (`embedded`) or, as in production, behind HTTP in a process of its own (`served`).
What the exporter writes: exporter/clickhouseexporter of opentelemetry-collector-contrib, exporter_traces.go and
internal/sqltemplates; how it spells values: `Value.AsString` in opentelemetry-collector, pdata/pcommon/value.go.
"""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.servers import free_address

TRACES, LOOKUP = "otel_traces", "otel_traces_trace_id_ts"
_MAP = "Map(LowCardinality(String), String)"
_ZSTD = "CODEC(ZSTD(1))"
_COLUMNS: Mapping[str, str] = {
    "Timestamp": "DateTime64(9) CODEC(Delta(8), ZSTD(1))",
    "TraceId": f"String {_ZSTD}",
    "SpanId": f"String {_ZSTD}",
    "ParentSpanId": f"String {_ZSTD}",
    "TraceState": f"String {_ZSTD}",
    "SpanName": f"LowCardinality(String) {_ZSTD}",
    "SpanKind": f"LowCardinality(String) {_ZSTD}",
    "ServiceName": f"LowCardinality(String) {_ZSTD}",
    "ResourceAttributes": f"{_MAP} {_ZSTD}",
    "ScopeName": f"String {_ZSTD}",
    "ScopeVersion": f"String {_ZSTD}",
    "SpanAttributes": f"{_MAP} {_ZSTD}",
    "Duration": "UInt64 CODEC(T64, ZSTD(1))",
    "StatusCode": f"LowCardinality(String) {_ZSTD}",
    "StatusMessage": f"String {_ZSTD}",
    "Events": f"Nested (Timestamp DateTime64(9), Name LowCardinality(String), Attributes {_MAP}) {_ZSTD}",
    "Links": f"Nested (TraceId String, SpanId String, TraceState String, Attributes {_MAP}) {_ZSTD}",
}
_INDEXES = (
    "INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1",
    "INDEX idx_res_attr_key mapKeys(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1",
    "INDEX idx_res_attr_value mapValues(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1",
    "INDEX idx_span_attr_key mapKeys(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1",
    "INDEX idx_span_attr_value mapValues(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1",
    "INDEX idx_duration Duration TYPE minmax GRANULARITY 1",
    "INDEX idx_lower_span_name lower(SpanName) TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 8",
)
_TRACES_DDL = (
    f"CREATE TABLE {TRACES} ({', '.join([f'{name} {kind}' for name, kind in _COLUMNS.items()] + list(_INDEXES))}) "
    "ENGINE = MergeTree PARTITION BY toDate(Timestamp) PRIMARY KEY (ServiceName, SpanName, toDateTime(Timestamp)) "
    "ORDER BY (ServiceName, SpanName, toDateTime(Timestamp), Timestamp) "
    "SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1"
)
_LOOKUP_DDL = (
    f"CREATE TABLE {LOOKUP} (TraceId String {_ZSTD}, Start SimpleAggregateFunction(min, DateTime) {_ZSTD}, "
    f"End SimpleAggregateFunction(max, DateTime) {_ZSTD}) ENGINE = AggregatingMergeTree "
    "PARTITION BY toStartOfWeek(Start) ORDER BY TraceId SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1"
)
_VIEW_DDL = (
    f"CREATE MATERIALIZED VIEW {LOOKUP}_mv TO {LOOKUP} AS SELECT TraceId, min(Timestamp) AS Start, "  # noqa: S608 - own names
    f"max(Timestamp) AS End FROM {TRACES} WHERE TraceId != '' GROUP BY TraceId"
)
DDL = (_TRACES_DDL, _LOOKUP_DDL, _VIEW_DDL)
"""The exporter's tables. The lookup's times are whole seconds, cut off, and of starts only: a trace's last span may
begin up to a second after `End`. Before they are merged, several of its rows are of one trace."""

KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
STATUSES = ("Unset", "Ok", "Error")
_READY_S = 60.0
_COLUMN_NAMES = (
    *(name for name in _COLUMNS if name not in ("Events", "Links")),
    *(f"Events.{name}" for name in ("Timestamp", "Name", "Attributes")),
    *(f"Links.{name}" for name in ("TraceId", "SpanId", "TraceState", "Attributes")),
)


def need_clickhouse() -> None:
    """Skip with a clear line where the engine or its client is not installed."""
    for name, package in (("chdb", "chdb"), ("clickhouse_connect", "clickhouse-connect")):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{package} is not installed (pip install {package})")


def create(client: Any) -> None:
    """Make the exporter's tables in the client's database."""
    for statement in DDL:
        client.command(statement)


@contextmanager
def embedded(folder: Path) -> Iterator[Any]:
    """Give a client of an engine in this process, with the exporter's tables.

    One process holds one path at a time: the engine is closed at the end of the block, and no other may be open.
    """
    need_clickhouse()
    import clickhouse_connect

    client = clickhouse_connect.get_client(dsn=f"chdb://{folder / 'clickhouse'}")
    try:
        create(client)
        yield client
    finally:
        client.close()


@contextmanager
def served(
    folder: Path, *, user: str = "default", password: str = "", timezone: str = "UTC", tables: bool = True
) -> Iterator[str]:
    """Serve an engine over HTTP from a process of its own and give its URL, without the user and the database."""
    need_clickhouse()
    address = free_address()
    front = Path(__file__).with_name("clickhouse_front.py")
    log = folder / "clickhouse.log"
    # Without -P its own folder, which holds an `http`, would come before the standard library.
    command = (sys.executable, "-P", str(front), str(folder / "clickhouse"), address, user, password, timezone)
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as server:
        try:
            _wait(f"http://{address}", server, log)
            if tables:
                with connected(f"http://{address}", user=user, password=password) as client:
                    create(client)
            yield f"http://{address}"
        finally:
            server.terminate()


@contextmanager
def connected(url: str, *, user: str = "default", password: str = "") -> Iterator[Any]:
    """Give the real HTTP client of a served engine. It does not compress: the front takes no compressed inserts."""
    import clickhouse_connect

    host, port = url.removeprefix("http://").split(":")
    client = clickhouse_connect.get_client(
        host=host, port=int(port), username=user, password=password, compress=False, autogenerate_session_id=False
    )
    try:
        yield client
    finally:
        client.close()


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _READY_S
    while time.monotonic() < until:
        assert server.poll() is None, f"the server ended: {log.read_text('utf-8')[-500:]}"
        try:
            with urllib.request.urlopen(f"{url}/ping", timeout=5):  # noqa: S310 - loopback
                return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"{server.args} is not ready")


def write(client: Any, *requests: Mapping[str, Any]) -> int:
    """Lay the spans of OTLP/JSON requests into the traces table as the exporter would; return how many there were."""
    rows = [row for request in requests for row in rows_of(request)]
    if rows:
        client.insert(TRACES, rows, column_names=_COLUMN_NAMES)
    return len(rows)


def rows_of(request: Mapping[str, Any]) -> list[list[Any]]:
    """Return the rows of one request, in the order of the table's columns."""
    rows = []
    for group in request.get("resourceSpans", ()):
        resource = attributes_of(group.get("resource", {}).get("attributes", ()))
        for scoped in group.get("scopeSpans", ()):
            scope = scoped.get("scope", {})
            library = (scope.get("name", ""), scope.get("version", ""))
            rows += [_row(span, resource, library) for span in scoped.get("spans", ())]
    return rows


def _row(span: Mapping[str, Any], resource: Mapping[str, str], library: tuple[str, str]) -> list[Any]:
    start, end = int(span.get("startTimeUnixNano") or 0), int(span.get("endTimeUnixNano") or 0)
    status = span.get("status", {})
    events, links = span.get("events", ()), span.get("links", ())
    return [
        start,
        span.get("traceId", ""),
        span.get("spanId", ""),
        span.get("parentSpanId", ""),
        span.get("traceState", ""),
        span.get("name", ""),
        KINDS[span.get("kind", 0)],
        resource.get("service.name", ""),
        resource,
        *library,
        attributes_of(span.get("attributes", ())),
        # Unsigned in Go: a span without an end, or one that ends before it begins, wraps around.
        (end - start) % 2**64,
        STATUSES[status.get("code", 0)],
        status.get("message", ""),
        [int(one.get("timeUnixNano") or 0) for one in events],
        [one.get("name", "") for one in events],
        [attributes_of(one.get("attributes", ())) for one in events],
        [one.get("traceId", "") for one in links],
        [one.get("spanId", "") for one in links],
        [one.get("traceState", "") for one in links],
        [attributes_of(one.get("attributes", ())) for one in links],
    ]


def attributes_of(pairs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return attributes as the exporter keeps them: every value as text."""
    return {pair["key"]: as_string(pair.get("value") or {}) for pair in pairs}


def as_string(value: Mapping[str, Any]) -> str:  # noqa: PLR0911 - one kind a line
    """Return the text of an OTLP/JSON AnyValue, as `Value.AsString` gives it."""
    for kind, inner in value.items():
        match kind:
            case "stringValue" | "bytesValue":
                # OTLP/JSON has bytes in base64, and so has the table.
                return str(inner)
            case "boolValue":
                return "true" if inner else "false"
            case "intValue":
                return str(int(inner))
            case "doubleValue":
                number = float(inner)
                return _double(number) if math.isfinite(number) else f"json: unsupported value: {_infinite(number)}"
            case "arrayValue" | "kvlistValue":
                try:
                    return _json(_raw(value))
                except ValueError:
                    # The exporter ignores the error of its JSON encoder, and what that had written.
                    return ""
            case _:
                pass
    return ""


def _raw(value: Mapping[str, Any]) -> Any:
    for kind, inner in value.items():
        match kind:
            case "arrayValue":
                return [_raw(entry) for entry in inner.get("values", ())]
            case "kvlistValue":
                return {pair["key"]: _raw(pair.get("value") or {}) for pair in inner.get("values", ())}
            case "intValue":
                return int(inner)
            case "doubleValue":
                return float(inner)
            case _:
                return inner
    return None


def _json(value: Any) -> str:
    """Return JSON as Go's encoder writes it: keys in order, no spaces, and what means something to HTML escaped.

    Raises ValueError for NaN and infinities.
    """
    if isinstance(value, dict):
        # Go orders by bytes; for UTF-8 that is the order of code points.
        return "{" + ",".join(f"{_json(key)}:{_json(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("no JSON number")
        return _double(value)
    text = json.dumps(value, ensure_ascii=False)
    return text.translate(_ESCAPED) if isinstance(value, str) else text


_ESCAPED = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


def _infinite(number: float) -> str:
    return "NaN" if math.isnan(number) else ("+Inf" if number > 0 else "-Inf")


def _double(number: float) -> str:
    """Return a number as Go's JSON does: digits in full between 1e-6 and 1e21, else with an exponent unpadded."""
    mantissa, _, exponent = repr(number).partition("e")
    if number != 0 and not 1e-6 <= abs(number) < 1e21:
        return f"{mantissa.removesuffix('.0')}e{exponent[0]}{exponent[1:].lstrip('0')}"
    return f"{Decimal(repr(number)):f}".removesuffix(".0")
