"""Files, folders and pipes: every container, and every way in which one can be broken."""

from __future__ import annotations

import gzip
import io
import os

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.otlp_requests import request, span, to_proto

from analyzer.errors import UsageError
from analyzer.ingest.files import Noted, Parsed, Refused, Skipped, read_paths, read_stream


def read(data: bytes, source: str = "-", **options):
    """Return the spans' last id digits and the remarks of some bytes."""
    spans, remarks = [], []
    for one in read_stream(io.BytesIO(data), source, **options):
        if isinstance(one, Parsed):
            assert 0 < len(one.spans) <= 1000
            spans += [int(entry.span_id, 16) for entry in one.spans]
        else:
            remarks.append((type(one).__name__, one.position, one.why))
    return spans, remarks


def line(number: int) -> bytes:
    """Return a request with one span on one line."""
    return orjson.dumps(request(span(number)))


LOGS = b'{"resourceLogs":[]}'
FRAMED = b"".join(len(m).to_bytes(4, "big") + m for m in (to_proto(request(span(n))) for n in (1, 2, 3)))


@pytest.mark.parametrize(
    "data",
    [
        line(1)[:-1].replace(b"[", b"[ ", 1) + b"}",
        orjson.dumps(request(span(1)), option=orjson.OPT_INDENT_2),
        b"\n \n" + line(1),
        b"\xef\xbb\xbf" + line(1) + b"\r\n",
        b"[" + line(1) + b"]",
        b"[\n" + line(1) + b"\n]\n",
        b'[{"path":"/v1/traces","body":' + line(1) + b"}]",
        orjson.dumps([{"path": "/v1/traces", "body": request(span(1))}], option=orjson.OPT_INDENT_2),
        orjson.dumps(request(span(1))["resourceSpans"][0]),
        to_proto(request(span(1))),
        gzip.compress(line(1)),
        gzip.compress(to_proto(request(span(1)))),
        FRAMED[: 4 + int.from_bytes(FRAMED[:4], "big")],
    ],
)
def test_every_container_is_recognised(data):
    """One span arrives from each container, without a remark."""
    assert read(data) == ([1], [])


def test_json_lines_keep_the_good_ones():
    """A broken line among good ones is named by its number; logs are skipped; the rest is kept."""
    data = b"\n".join([line(1), b'{"resourceSpans": [', LOGS, b"", line(2), b'{"a":1}', line(3)])
    spans, remarks = read(data)
    assert spans == [1, 2, 3]
    assert [(kind, place) for kind, place, _ in remarks] == [
        ("Refused", "line 2"), ("Skipped", "line 3"), ("Refused", "line 6"),
    ]  # fmt: skip


def test_the_place_inside_a_line_is_its_column():
    """A refusal of line 2 speaks of its column, and not of a "line 1" again."""
    _, remarks = read(line(1) + b'\n{"resourceSpans": [oops\n')
    assert remarks == [("Refused", "line 2", "is no JSON: unexpected character, expected a JSON value: column 20")]
    _, remarks = read(b'{\n "resourceSpans": [],\n oops\n}')
    assert remarks == [("Refused", "", "is no JSON: unexpected character, expected a string key: line 3, column 2")]


def test_a_broken_first_line_does_not_hide_the_others():
    """The first line may be the broken one."""
    spans, remarks = read(b'{"resourceSpans": oops\n' + line(1) + b"\n" + line(2))
    assert spans == [1, 2]
    assert [place for _, place, _ in remarks] == ["line 1"]


def test_a_truncated_gzip_keeps_what_came_before():
    """The lines before the cut are kept and one refusal gives the place."""
    data = gzip.compress(b"\n".join(line(n) for n in range(1, 400)), compresslevel=1)
    spans, remarks = read(data[: len(data) // 2])
    assert len(spans) > 50
    assert spans == list(range(1, len(spans) + 1))
    assert len(remarks) == 1
    assert remarks[0][0] == "Refused"
    assert remarks[0][1].startswith(f"line {len(spans) + 1}")
    assert remarks[0][2] == "the gzip data is cut off"


def test_damaged_gzip_is_refused():
    """Garbage behind a gzip header is one clear refusal."""
    spans, remarks = read(b"\x1f\x8b\x08\x00" + b"\xff" * 50)
    assert spans == []
    assert "gzip data" in remarks[0][2]


def test_a_cut_list_keeps_its_whole_elements():
    """A list of requests that ends in the middle gives the requests before the end."""
    data = b"[" + b",".join([line(1), line(2), line(3)])
    spans, remarks = read(data[:-20])
    assert spans == [1, 2]
    assert "ends inside the list" in remarks[0][2]


def test_a_broken_element_of_a_list_is_named():
    """An element that is no JSON is refused by its index."""
    assert read(b"[" + line(1) + b", {nope}, " + line(2) + b"]")[0] == [1, 2]
    assert read(b"[" + line(1) + b", {nope}, " + line(2) + b"]")[1][0][:2] == ("Refused", "[1]")


def test_length_delimited_protobuf_keeps_what_is_whole():
    """Messages with lengths are read one by one; the cut one is named by its byte."""
    assert read(FRAMED) == ([1, 2, 3], [])
    spans, remarks = read(FRAMED[:-5])
    size = int.from_bytes(FRAMED[:4], "big") + 4
    assert spans == [1, 2]
    assert remarks[0][1] == f"byte {2 * size}"
    assert "cut off" in remarks[0][2]


@pytest.mark.parametrize(
    ("data", "source", "why"),
    [
        (b"", "empty", "is empty"),
        (b"  \n ", "blank", "is empty"),
        (b"time,value\n1,2\n", "a.csv", "neither OTLP nor one of atif"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "a.png", "is no trace"),
        (b"\x0a\xff\xff\xff\xff\xff\x00garbage", "a.pb", "is no OTLP protobuf"),
        (b"\x00\x01\x02\x03", "a.bin", "is no OTLP protobuf|cut off|announces"),
        (b'{"a": 1}', "a.json", "neither OTLP nor one of atif"),
        (b'{\n "a": 1,\n}', "a.json", "is no JSON"),
        (b"[]", "a.json", "an empty list"),
        (b"[1, 2, 3]", "a.json", "neither OTLP nor one of atif"),
        (b'{"m": 1}\n{"m": 2}\n{"m": 3}\n', "log.jsonl", "neither OTLP nor one of atif"),
        (b"\x28\xb5\x2f\xfd\x00\x00", "a.zst", "compressed with zstd"),
        (line(1).decode().encode("utf-16"), "a.json", "is UTF-16 text"),
    ],
)
def test_what_is_no_trace_gets_one_clear_line(data, source, why):
    """A file that is no trace at all is one refusal with a reason."""
    reads = list(read_stream(io.BytesIO(data), source))
    assert [type(one) for one in reads] == [Refused]
    assert reads[0].source == source
    assert any(part in reads[0].why for part in why.split("|"))


def test_folders_are_read_in_order_and_recursively(tmp_path):
    """All files of a folder are read by name; what is no trace is one line; a pipe does not hang."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "2.json.gz").write_bytes(gzip.compress(line(2)))
    (tmp_path / "a.jsonl").write_bytes(line(1))
    (tmp_path / "notes.txt").write_text("hello")
    os.mkfifo(tmp_path / "pipe")
    reads = list(read_paths([str(tmp_path)]))
    assert [one.source.removeprefix(str(tmp_path)) for one in reads] == [
        "/a.jsonl",
        "/notes.txt",
        "/pipe",
        "/b/2.json.gz",
    ]
    assert [type(one).__name__ for one in reads] == ["Parsed", "Refused", "Refused", "Parsed"]


def test_unreadable_paths_and_empty_folders_are_refused(tmp_path):
    """A path that cannot be opened is a refusal, not an exception."""
    reads = list(read_paths([str(tmp_path / "nowhere"), str(tmp_path), "nul\0byte"]))
    assert [one.why for one in reads][:2] == [
        "cannot be read: No such file or directory; check the path",
        "is an empty folder",
    ]
    assert all(isinstance(one, Refused) for one in reads)


def test_standard_input_is_read_for_a_dash():
    """The path "-" reads the given standard input."""
    reads = list(read_paths(["-"], stdin=io.BytesIO(line(1))))
    assert [(one.source, one.format) for one in reads] == [("-", "otlp-json")]


def test_an_unknown_format_is_a_usage_error():
    """A format that does not exist names those that do."""
    with pytest.raises(UsageError, match="auto, otlp-json, otlp-proto"):
        list(read_paths([], format="xml"))


def test_batches_are_bounded_and_lines_gathered():
    """2,500 lines of one span become three batches; one request of 2,500 spans as well."""
    data = b"\n".join(line(n) for n in range(1, 2501))
    sizes = [len(one.spans) for one in read_stream(io.BytesIO(data), "-")]
    assert sizes == [1000, 1000, 500]
    one = orjson.dumps(request(*[span(n) for n in range(1, 2501)]))
    assert [len(batch.spans) for batch in read_stream(io.BytesIO(one), "-")] == [1000, 1000, 500]


def test_a_list_with_long_strings_full_of_brackets_is_split_right():
    """Brackets, commas and escaped quotation marks inside strings do not end an element."""
    text = '[{"]},\\" \\\\' * 40_000
    data = orjson.dumps([request(span(n, attributes={"k": text})) for n in (1, 2)])
    spans = [entry for one in read_stream(io.BytesIO(data), "-") for entry in one.spans]
    assert [entry.attributes["k"] for entry in spans] == [text, text]


def test_zero_times_come_as_a_remark():
    """A span without times is kept and noted with its line."""
    reads = list(read_stream(io.BytesIO(orjson.dumps(request(span(startTimeUnixNano="0")))), "f"))
    assert [type(one) for one in reads] == [Noted, Parsed]
    assert reads[0].position == "line 1 resourceSpans[0].scopeSpans[0].spans[0]"


@given(
    st.binary(max_size=300),
    st.sampled_from(["-", "x.pb", "x.json"]),
    st.sampled_from(["auto", "otlp-json", "otlp-proto"]),
)
@settings(max_examples=150, deadline=None)
def test_random_bytes_never_raise(data, source, chosen):
    """Any bytes under any name give reads and no exception."""
    for blob in (data, b"{" + data, b"[" + data, b"\x1f\x8b" + data, line(1)[:40] + data):
        reads = list(read_stream(io.BytesIO(blob), source, format=chosen))
        assert reads
        assert all(isinstance(one, Parsed | Refused | Skipped | Noted) for one in reads)


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_mutated_lines_lose_at_most_themselves(at, patch):
    """Bytes changed inside the middle line cost that line, its neighbours stay."""
    middle = line(2)
    at %= len(middle)
    broken = (middle[:at] + patch + middle[at + len(patch) :]).replace(b"\n", b" ")
    spans, _ = read(line(1) + b"\n" + broken + b"\n" + line(3))
    assert spans[0] == 1
    assert spans[-1] == 3


WHOLE = to_proto(request(*[span(n) for n in range(1, 51)]))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("cut", [len(WHOLE) // 2, len(WHOLE) - 1, len(WHOLE) - len(WHOLE) // 50])
def test_a_cut_protobuf_message_keeps_its_whole_spans(cut, packed):
    """A message that ends in the middle gives the spans before the end, and one refusal with its byte."""
    data = gzip.compress(WHOLE[:cut])[:-8] if packed else WHOLE[:cut]
    spans, remarks = read(data)
    assert spans == list(range(1, len(spans) + 1))
    assert len(spans) >= 50 * cut // len(WHOLE) - 1
    assert [kind for kind, _, _ in remarks] == ["Refused"]
    assert remarks[0][1].startswith("byte ")


def test_damage_in_a_protobuf_message_costs_the_span_it_stands_in():
    """Bytes overwritten inside one span cost that span; it is named by its byte and its neighbours are kept."""
    at = WHOLE.index(b"step", len(WHOLE) // 2)
    spans, remarks = read(WHOLE[:at] + b"\xff\xff\xff\xff" + WHOLE[at + 4 :])
    assert len(spans) == 49
    assert [kind for kind, _, _ in remarks] == ["Refused"]
    assert remarks[0][2] == "a span is damaged; what is whole around it is kept"
    assert at - 100 < int(remarks[0][1].removeprefix("byte ")) <= at


def test_a_span_whose_number_is_damaged_is_said_to_be_missing():
    """Protobuf passes over what has a number it does not know, and calls the message sound: the loss is said."""
    at = WHOLE.index(b"\x12", len(WHOLE) - len(WHOLE) // 50)
    spans, remarks = read(WHOLE[:at] + b"B" + WHOLE[at + 1 :])
    assert spans == list(range(1, 50))
    assert remarks == [
        ("Noted", "resourceSpans[0].scopeSpans[0]", "a part of a kind that is not known (8) was passed over")
    ]


@example(962, b"B")
@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
def test_salvage_makes_nothing_up(at, patch):
    """Eight bytes overwritten anywhere change at most the two spans they touch; what is missing is said."""
    spans, remarks = read(WHOLE[:at] + patch + WHOLE[at + len(patch) :])
    unchanged = len(set(spans).intersection(range(1, 51)))
    assert len(spans) - unchanged <= 2
    assert len(spans) == 50 or (len(spans) < 50 and remarks)
