"""The JSON values of a file, whatever holds them: one document, a value a line, the elements of a list."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from analyzer.ingest import wire_json
from analyzer.ingest.cursor import WHOLE_BYTES_MAX
from analyzer.ingest.elements import elements
from analyzer.ingest.reads import Refused
from analyzer.ingest.streams import ByteStream, TooLongError

DOCUMENT_BYTES_MAX = 256 << 20
"""Largest single document, line or element. As objects it takes about six times as much memory."""
BLANKS = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"
_HEAD_BYTES = 1 << 20
"""How much is looked at to tell lines from one document that is spread over lines."""
_BROKEN_LINES_MAX = 100
"""Lines in which a file without any JSON in its first line is searched for some."""


@dataclass(frozen=True, slots=True)
class Value:
    """One JSON value of a file: the whole document, a line, or an element of its list."""

    value: Any
    position: str
    """"line 17", "[3]"; "" for a document."""
    size: int
    """Bytes of its JSON."""


@dataclass(frozen=True, slots=True)
class LongLine:
    """A line that is next in the stream and too long to be read whole: who gets this reads the value it begins with."""

    position: str


def values(stream: ByteStream, source: str) -> Iterator[Value | Refused]:
    """Yield the values of a JSON file, and a refusal for each part that is none. Nothing raises.

    Lines and lists are read in pieces; a document must fit into memory and is limited.
    """
    for value in values_or_long(stream, source, None):
        assert not isinstance(value, LongLine)  # noqa: S101 - nobody asked for them
        yield value


def values_or_long(
    stream: ByteStream, source: str, pauses: Callable[[bytes], bool] | None
) -> Iterator[Value | Refused | LongLine]:
    """Yield the same, and a `LongLine` for a line of more than `WHOLE_BYTES_MAX` whose beginning `pauses` picks."""
    read = _reader(stream)
    if stream.peek(len(_BOM)) == _BOM:
        stream.take(len(_BOM))
    yield from _lines(stream, source, pauses) if read is _lines else read(stream, source)


def samples(stream: ByteStream, lines_max: int) -> list[Any]:
    """Return the first values of a JSON file without consuming anything; broken ones are left out.

    A document, or a list's first element, that is longer than the look-ahead is read whole.
    """
    head = stream.peek(_HEAD_BYTES)
    whole = len(head) < _HEAD_BYTES
    # The beginning of a document is no JSON; that of lines or of a list holds some whole values.
    found = _sampled(head, lines_max) if whole or _reader(stream) is not _document else []
    if not found and not whole:
        found = _sampled(stream.peek(DOCUMENT_BYTES_MAX), lines_max)
    return found


def parsed(text: bytes) -> Any:
    """Return the value of some JSON text, or None where it is none."""
    if not text.strip(BLANKS):
        return None
    try:
        return wire_json.parse(text)
    except ValueError:
        return None


def _reader(stream: ByteStream) -> Callable[[ByteStream, str], Iterator[Value | Refused | LongLine]]:
    """Return how a file is to be read, by its beginning."""
    head = stream.peek(_HEAD_BYTES).removeprefix(_BOM).lstrip(BLANKS)
    first, newline, after = head.partition(b"\n")
    if parsed(first) is not None and after.strip(BLANKS):
        return _lines
    if head.startswith(b"["):
        return _list
    return _lines if not newline or _is_container(after.lstrip(BLANKS).partition(b"\n")[0]) else _document


def _sampled(head: bytes, lines_max: int) -> list[Any]:
    found = []
    for value in values(ByteStream(io.BytesIO(head)), ""):
        if isinstance(value, Value):
            found.append(value.value)
        if len(found) == lines_max:
            break
    return found


def _is_container(text: bytes) -> bool:
    return isinstance(parsed(text), dict | list)


def _lines(
    stream: ByteStream, source: str, pauses: Callable[[bytes], bool] | None = None
) -> Iterator[Value | Refused | LongLine]:
    number = 0
    pause_at = None if pauses is None else WHOLE_BYTES_MAX
    while True:
        lines = stream.lines(DOCUMENT_BYTES_MAX, pause_at=pause_at, pauses=pauses or (lambda _head: False))
        for line in lines:
            number += 1
            yield from _line(stream, source, line, f"line {number}")
        if not stream.paused:
            break
        # What is left of the line once its value was read is blank, and has its number.
        yield LongLine(f"line {number + 1}")
    if stream.fault:
        yield Refused(source, f"line {number}, byte {stream.position}", stream.fault)


def _line(stream: ByteStream, source: str, line: bytes | None, here: str) -> Iterator[Value | Refused]:
    if line is None:
        yield Refused(source, here, f"is longer than {DOCUMENT_BYTES_MAX >> 20} MiB")
        return
    text = line.strip(BLANKS)
    if not text:
        return
    try:
        yield Value(wire_json.parse(text), here, len(text))
    except ValueError as error:
        # What broke off in the middle of a line is said once, by the caller.
        if not (stream.fault and stream.at_tail):
            yield Refused(source, here, f"is no JSON: {error}")


def _list(stream: ByteStream, source: str) -> Iterator[Value | Refused]:
    number = -1
    try:
        for number, text in enumerate(elements(stream, DOCUMENT_BYTES_MAX)):
            here = f"[{number}]"
            if text is None:
                yield Refused(source, here, f"is larger than {DOCUMENT_BYTES_MAX >> 20} MiB")
                break
            try:
                yield Value(wire_json.parse(text), here, len(text))
            except ValueError as error:
                yield Refused(source, here, f"is no JSON: {error}")
    except ValueError as error:
        yield Refused(source, f"[{number + 1}], byte {stream.position}", stream.fault or f"the JSON list {error}")
        return
    if number < 0:
        yield Refused(source, "", "is no trace: an empty list")


def _document(stream: ByteStream, source: str) -> Iterator[Value | Refused | LongLine]:
    try:
        data = stream.rest(DOCUMENT_BYTES_MAX)
    except TooLongError as error:
        yield Refused(source, "", f"one document {error}: write one request a line")
        return
    if stream.fault:
        yield Refused(source, f"byte {len(data)}", stream.fault)
        return
    try:
        value = wire_json.parse(data)
    except ValueError as error:
        # The first line may be a broken one of many good ones.
        if any(_is_container(line) for line in data.split(b"\n", _BROKEN_LINES_MAX)[:_BROKEN_LINES_MAX]):
            yield from _lines(ByteStream(io.BytesIO(data)), source)
        else:
            yield Refused(source, "", f"is no JSON: {error}")
        return
    yield Value(value, "", len(data))
