"""OTLP protobuf files: one message, or messages one after the other with their lengths in front."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analyzer.ingest import large_proto
from analyzer.ingest.cursor import WHOLE_BYTES_MAX, Cursor
from analyzer.ingest.gather import Gather
from analyzer.ingest.otlp import spans_from_proto
from analyzer.ingest.pricing import Pricer
from analyzer.ingest.reads import Batch, Read, Refused
from analyzer.ingest.salvage import salvage
from analyzer.ingest.streams import ByteStream

MESSAGE_BYTES_MAX = 256 << 20
"""Largest message with its length in front. OTLP bounds requests at 64 MiB; a file of one message has no bound."""
_LENGTH_BYTES = 4
_RESOURCE_SPANS_TAG = 0x0A
_DAMAGES_MAX = 20
"""Damaged places of one message that are named; a message of nothing but garbage has as many as bytes."""


def from_proto(stream: ByteStream, gather: Gather, pricer: Pricer | None) -> Iterator[Read]:
    """Yield what a protobuf file holds."""
    head = stream.peek(_LENGTH_BYTES + 1)
    if len(head) > _LENGTH_BYTES and head[0] != _RESOURCE_SPANS_TAG:
        yield from _framed(stream, gather, pricer)
        return
    if len(stream.peek(WHOLE_BYTES_MAX + 1)) > WHOLE_BYTES_MAX:
        yield from _large(stream, gather, pricer)
        return
    data = stream.rest(WHOLE_BYTES_MAX)
    if stream.fault:
        yield Refused(gather.source, f"byte {len(data)}", stream.fault)
        yield from _salvaged(data, gather, pricer, 0, [])
        return
    yield from _message(data, gather, pricer, 0)


def _large(stream: ByteStream, gather: Gather, pricer: Pricer | None) -> Iterator[Read]:
    """Read a message of any size in pieces."""
    cursor = Cursor(stream)
    try:
        for at, piece in large_proto.pieces(cursor):
            yield from _message(piece, gather, pricer, at, at)
    except ValueError as error:
        yield Refused(gather.source, f"byte {cursor.position}", str(error))


def _framed(stream: ByteStream, gather: Gather, pricer: Pricer | None) -> Iterator[Read]:
    """Read messages with a big-endian 32-bit length each, as the Collector's file exporter writes them."""
    while head := stream.take(_LENGTH_BYTES):
        begun = stream.position - len(head)
        at = f"byte {begun}"
        size = int.from_bytes(head, "big")
        if len(head) == _LENGTH_BYTES and size > MESSAGE_BYTES_MAX:
            first = stream.position == _LENGTH_BYTES
            why = "is no OTLP protobuf trace request" if first else f"announces a message of {size} bytes"
            yield Refused(gather.source, at, why)
            return
        data = stream.take(size)
        if len(head) < _LENGTH_BYTES or len(data) < size:
            why = stream.fault or f"is cut off: {len(data)} of {size} bytes of the message are there"
            yield Refused(gather.source, at, why)
            yield from _salvaged(data, gather, pricer, begun + _LENGTH_BYTES, [])
            return
        yield from _message(data, gather, pricer, begun, begun + _LENGTH_BYTES)
    if stream.fault:
        yield Refused(gather.source, f"byte {stream.position}", stream.fault)


def _message(data: bytes, gather: Gather, pricer: Pricer | None, at: int, start: int = 0) -> Iterator[Read]:
    """Yield what one message holds; `at` is the byte of its length and `start` that of itself."""
    try:
        # One message of a file is "byte 0": the place inside it says enough.
        batch = spans_from_proto(data, pricer=pricer, source=gather.source, position=f"byte {at}" if at else "")
    except ValueError as error:
        yield from _salvaged(data, gather, pricer, start, [Refused(gather.source, f"byte {at}", str(error))])
        return
    yield from gather.add(batch, len(data))


def _salvaged(
    data: bytes, gather: Gather, pricer: Pricer | None, start: int, otherwise: Sequence[Refused]
) -> Iterator[Read]:
    """Yield the sound spans of a damaged message and its damages; `otherwise` where there is nothing sound in it."""
    found = salvage(data)
    batch = spans_from_proto(found.request, pricer=pricer, source=gather.source) if found.spans else Batch()
    if not batch.spans:
        yield from otherwise
        return
    if otherwise:
        for byte, why in found.damages[:_DAMAGES_MAX]:
            yield Refused(gather.source, f"byte {start + byte}", f"{why}; what is whole around it is kept")
        more = len(found.damages) - _DAMAGES_MAX
        if more > 0:
            yield Refused(gather.source, f"byte {start}", f"holds {more} more damaged places")
    yield from gather.add(batch, len(data))
