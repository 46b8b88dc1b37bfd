"""The stand-in for ClickHouse that other tests trust: it writes as the Collector does and answers as a server does."""

from __future__ import annotations

import json
import math
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clickhouse import as_string, connected, embedded, need_clickhouse, rows_of, served, write
from support.otlp_requests import START, TRACE, any_value, request, span

NOT_TEXT = [
    ("text", "text"),
    (True, "true"),
    (-12, "-12"),
    (1.0, "1"),
    (0.1, "0.1"),
    (-0.0, "-0"),
    (1e20, "100000000000000000000"),
    (1e21, "1e+21"),
    (1.5e300, "1.5e+300"),
    (1e-6, "0.000001"),
    (1e-7, "1e-7"),
    (-2.5e-12, "-2.5e-12"),
    (math.inf, "json: unsupported value: +Inf"),
    (-math.inf, "json: unsupported value: -Inf"),
    (math.nan, "json: unsupported value: NaN"),
    ([1, 2.0, "a", None, False], '[1,2,"a",null,false]'),
    ({"b": {"d": [], "c": "é"}, "a": 1}, '{"a":1,"b":{"c":"é","d":[]}}'),
    (["<b>&\u2028\n"], '["\\u003cb\\u003e\\u0026\\u2028\\n"]'),
    ([math.nan], ""),
    (None, ""),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve an engine whose clock stands in another zone, with a user of its own."""
    with served(tmp_path_factory.mktemp("ch"), user="analyst", password="kept", timezone="Asia/Kolkata") as at:
        yield at


@pytest.mark.parametrize(("value", "text"), NOT_TEXT)
def test_values_are_spelt_as_the_exporter_spells_them(value, text) -> None:
    """Every value becomes the text that Go's encoder gives: numbers in full, keys in order, HTML escaped, NaN as is."""
    assert as_string(any_value(value)) == text


def test_bytes_stay_base64() -> None:
    """OTLP/JSON and the table have the same form of bytes."""
    assert as_string({"bytesValue": "AAEC/w=="}) == "AAEC/w=="


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_loses_nothing_as_text(number: float) -> None:
    """A number read back from its text is the number, and the text has no exponent where Go writes none."""
    text = as_string({"doubleValue": number})
    assert float(text) == number
    assert ("e" in text) == (number != 0 and not 1e-6 <= abs(number) < 1e21)


def test_a_span_without_an_end_wraps_around() -> None:
    """The exporter subtracts unsigned numbers: a missing end makes a length of centuries, not a negative one."""
    (row,) = rows_of(request(span(1, endTimeUnixNano="0")))
    assert row[12] == 2**64 - (START + 1000)


def test_the_table_holds_what_was_written(url: str) -> None:
    """Kinds, states, nanoseconds, nested events and links come back as they were written, over HTTP."""
    link = {"traceId": "a" * 32, "spanId": "b" * 16, "attributes": []}
    one = span(1, kind=3, status={"code": 2, "message": "no"}, attributes={"n": 7}, events=[("exception", {"a": True})])
    with connected(url, user="analyst", password="kept") as client:
        assert write(client, request({**one, "links": [link]}, scope="lib")) == 1
        rows = client.query(
            "SELECT toUnixTimestamp64Nano(Timestamp), TraceId, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName, "
            "ResourceAttributes, ScopeName, SpanAttributes, Duration, StatusCode, StatusMessage, Events.Name, "
            "toUnixTimestamp64Nano(Events.Timestamp[1]), Events.Attributes, Links.TraceId, Links.SpanId "
            "FROM otel_traces WHERE TraceId = {id:String}",
            parameters={"id": TRACE},
        ).result_rows
    # fmt: off
    assert rows == [(
        START + 1000, TRACE, f"{1:016x}", "", "step", "Client", "shop", {"service.name": "shop"}, "lib", {"n": "7"},
        500, "Error", "no", ["exception"], START, [{"a": "true"}], ["a" * 32], ["b" * 16],
    )]
    # fmt: on


def test_the_lookup_knows_when_a_trace_ran(url: str) -> None:
    """The exporter's view fills the lookup table, in whole seconds that are cut off."""
    with connected(url, user="analyst", password="kept") as client:
        write(
            client, request(span(1, traceId="c" * 32), span(2, traceId="c" * 32, startTimeUnixNano=str(START + 10**9)))
        )
        rows = client.query(
            "SELECT toUnixTimestamp(min(Start)), toUnixTimestamp(max(End)) FROM otel_traces_trace_id_ts "
            "WHERE TraceId = {id:String}",
            parameters={"id": "c" * 32},
        ).result_rows
    assert rows == [(START // 10**9, START // 10**9 + 1)]


def test_many_rows_arrive_whole(url: str) -> None:
    """Thousands of long rows in one insert are all there, each with its own text."""
    long = [span(one, traceId="e" * 32, attributes={"text": f"{one} " * 2_000}) for one in range(1, 3_001)]
    with connected(url, user="analyst", password="kept") as client:
        write(client, request(*long))
        found = client.query(
            "SELECT count(), uniqExact(SpanAttributes['text']), sum(length(SpanAttributes['text'])) FROM otel_traces "
            "WHERE TraceId = {id:String}",
            parameters={"id": "e" * 32},
        ).result_rows
    assert found == [(3_000, 3_000, sum(2_000 * len(f"{one} ") for one in range(1, 3_001)))]


@pytest.mark.parametrize(
    ("statement", "settings", "code"),
    [
        ("INSERT INTO otel_traces (TraceId) VALUES ('a')", {"readonly": 1}, 164),
        ("SELECT sleep(2)", {"max_execution_time": 1, "readonly": 1}, 159),
        ("SELECT count() FROM numbers(1000000)", {"max_bytes_to_read": 10}, 307),
        ("SELECT number FROM numbers(100)", {"max_result_rows": 10}, 396),
        ("SELECT 1 FROM nowhere", {}, 60),
    ],
)
def test_limits_and_mistakes_have_their_codes(url: str, statement: str, settings: dict[str, int], code: int) -> None:
    """What a server refuses, and the number that it says, reaches the client over HTTP."""
    from clickhouse_connect.driver.exceptions import DatabaseError

    with connected(url, user="analyst", password="kept") as client:
        with pytest.raises(DatabaseError) as refused:
            client.query(statement, settings=settings)
        assert refused.value.code == code
        # Settings ended with their statement.
        assert client.query("SELECT getSetting('readonly')").result_rows == [(0,)]


def test_typed_parameters_travel_as_values(url: str) -> None:
    """A parameter is a value of its type and never part of the statement, quotes and all."""
    at = datetime(2026, 11, 20, 12, 0, 0, 250000, tzinfo=UTC)
    with connected(url, user="analyst", password="kept") as client:
        rows = client.query(
            "SELECT {names:Array(String)}, toUnixTimestamp64Milli({at:DateTime64(9)})",
            parameters={"names": ["o'hare", "tab\t", "\\"], "at": at},
        ).result_rows
    assert rows == [(["o'hare", "tab\t", "\\"], round(at.timestamp() * 1000))]


def test_long_parameters_travel_in_a_form(url: str) -> None:
    """A thousand ids are too long for an address: the client sends a form, and they arrive as they were."""
    ids = [f"{one:032x}" for one in range(1_000)]
    with connected(url, user="analyst", password="kept") as client:
        rows = client.query("SELECT arrayJoin({ids:Array(String)})", parameters={"ids": ids}).result_rows
    assert [one for (one,) in rows] == ids


def test_a_wrong_password_is_refused(url: str) -> None:
    """The server asks who is there."""
    from clickhouse_connect.driver.exceptions import DatabaseError

    with pytest.raises(DatabaseError) as refused, connected(url, user="analyst", password="guessed"):
        pass
    assert refused.value.code == 516


def test_what_was_read_is_counted(url: str) -> None:
    """The summary of a statement says what it read, and the front adds that up."""
    with urllib.request.urlopen(f"{url}/counted") as answer:  # noqa: S310 - loopback
        before = json.loads(answer.read())
    with connected(url, user="analyst", password="kept") as client:
        write(client, *(request(span(one, traceId="d" * 32)) for one in range(1, 8)))
        found = client.query("SELECT SpanId FROM otel_traces WHERE TraceId = {id:String}", parameters={"id": "d" * 32})
    with urllib.request.urlopen(f"{url}/counted") as answer:  # noqa: S310 - loopback
        after = json.loads(answer.read())
    assert len(found.result_rows) == 7 <= int(found.summary["read_rows"])
    assert after["read_bytes"] - before["read_bytes"] >= int(found.summary["read_bytes"]) > 7 * 16


def test_the_engine_runs_in_this_process_too(tmp_path: Path) -> None:
    """The embedded engine has the same tables, and frees its path for the next one."""
    need_clickhouse()
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        with embedded(folder) as client:
            write(client, *(request(span(one)) for one in range(1, number + 1)))
            assert client.query("SELECT count() FROM otel_traces").result_rows == [(number,)]
