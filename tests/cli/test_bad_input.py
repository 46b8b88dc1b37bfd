"""`analyzer ingest` of everything that can be wrong with a file, whole and exact, as a user sees it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from support.cli import analyzer
from support.otlp_requests import request, span, to_proto


def line(*numbers: int, **changes: object) -> bytes:
    """Return a request on one line."""
    return json.dumps(request(*[span(number, **changes) for number in numbers])).encode()


PROTO = to_proto(request(*[span(number) for number in range(1, 5)]))
LINES = b"\n".join(line(number) for number in range(1, 400))
AT = "resourceSpans[0].scopeSpans[0].spans"
NOTHING = "took nothing; refused 1\n"
NO_TRACE = (
    "neither OTLP nor one of atif, mini-swe-agent, swe-agent, claude-code, langfuse, langsmith, anthropic-chat,"
    " openai-chat"
)


def took(spans: int, form: str = "otlp-json") -> str:
    """Return the line that counts."""
    noun = "span" if spans == 1 else "spans"
    return f"took {spans} {noun} of 1 trajectory from 1 file ({form}): {spans} new, 0 known already\n"


def refused(count: int) -> str:
    """Return the last line where something was taken."""
    return f"refused {count}; what was good beside them was kept\n"


@pytest.mark.parametrize(
    ("name", "data", "code", "stderr", "stdout"),
    [
        (
            "a-broken-line.jsonl",
            line(1) + b'\n{"resourceSpans": [oops\n' + line(2),
            3,
            ["line 2: is no JSON: unexpected character, expected a JSON value: column 20"],
            took(2) + refused(1),
        ),
        (
            "cut-lines.jsonl",
            line(1) + b"\n" + line(2)[:200],
            3,
            ["line 2: is no JSON: unexpected end of data: column 201"],
            took(1) + refused(1),
        ),
        (
            "damaged.pb",
            PROTO.replace(b"step", b"\xff\xff\xff\xff", 1),
            3,
            ["byte 36: a span is damaged; what is whole around it is kept"],
            took(3, "otlp-proto") + refused(1),
        ),
        (
            "cut.pb",
            PROTO[:-10],
            3,
            ["byte 210: a span is damaged; what is whole around it is kept"],
            took(3, "otlp-proto") + refused(1),
        ),
        ("garbage.pb", b"\x0a\xff\xff\xff\xff\xff\x00garbage", 4, ["byte 0: is no OTLP protobuf trace request"], ""),
        (
            "ids.json",
            json.dumps(
                request(span(1), span(2, spanId="00ff"), span(3, traceId="0" * 32), span(4, parentSpanId="zz"))
            ).encode(),
            3,
            [
                f"line 1 {AT}[1]: spanId '00ff' is not 16 hex digits",
                f"line 1 {AT}[2]: traceId is all zeros",
                f"line 1 {AT}[3]: parentSpanId 'zz' is not 16 hex digits",
            ],
            took(1) + refused(3),
        ),
        (
            "zero-times.json",
            line(1, startTimeUnixNano="0", endTimeUnixNano="0"),
            0,
            [f"line 1 {AT}[0]: taken, but start time is zero or missing; end time is zero or missing"],
            took(1) + "1 remark on what was taken with gaps or put right (--json lists them)\n",
        ),
        ("table.csv", b"time,value\n1,2\n", 4, [f"is no trace: {NO_TRACE}"], ""),
        ("picture.png", b"\x89PNG\r\n\x1a\n\x00\x00\xff", 4, [f"is no trace: {NO_TRACE}"], ""),
        ("other.json", b'{"a": 1}', 4, [f"is no trace: {NO_TRACE}"], ""),
        ("nothing.json", b"", 4, ["is empty"], ""),
        (
            "powershell.json",
            line(1).decode().encode("utf-16"),
            4,
            ["is UTF-16 text, which PowerShell writes: save it as UTF-8"],
            "",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value and len(value) < 30 else "",
)
def test_each_fault_is_one_clear_line(
    tmp_path: Path, name: str, data: bytes, code: int, stderr: list[str], stdout: str
) -> None:
    """A line with file and position for each fault, the good spans kept, and the exit code of the contract."""
    path = tmp_path / name
    path.write_bytes(data)
    ended = analyzer("ingest", str(path), "--store", str(tmp_path / "s.db"))
    assert ended.stderr.splitlines() == [f"{path}: {one}" for one in stderr]
    assert ended.stdout == (stdout or NOTHING)
    assert ended.code == code


def test_a_truncated_gzip_keeps_the_lines_before_the_cut(tmp_path: Path) -> None:
    """One refusal says where the file ends, in lines and in bytes; every whole line before it is stored."""
    packed = gzip.compress(LINES, mtime=0)
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(packed[: len(packed) // 2])
    ended = analyzer("ingest", str(path), "--store", str(tmp_path / "s.db"), "--json")
    document = json.loads(ended.stdout)
    taken = document["spans"]["new"]
    assert ended.code == 3
    assert 100 < taken < 399
    assert document["refused"]["count"] == 1
    assert document["refused"]["listed"][0]["why"] == "the gzip data is cut off"
    assert document["refused"]["listed"][0]["position"].startswith(f"line {taken + 1}, byte ")
