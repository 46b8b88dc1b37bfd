"""What is whole of a damaged protobuf request: a file that was cut off, or in which bytes were overwritten.

Protobuf's own parser takes a message whole or not at all. The wire format says more: every part has its length in
front, so that a damaged span costs itself, and damaged lengths cost what follows them inside the part they stand in.
(Wire format: protobuf.dev/programming-guides/encoding. Field numbers: opentelemetry/proto/trace/v1/trace.proto.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_VARINT, _LENGTH = 0, 2
_FIXED_BYTES = {1: 8, 5: 4}
"""Kinds of values that have no length in front. Groups (3 and 4) stand in no OTLP message."""
_RESOURCE_SPANS, _RESOURCE, _SCOPE_SPANS, _SCOPE, _SPAN = 1, 1, 2, 1, 2
_VARINT_BYTES_MAX = 10


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What was found whole."""

    request: bytes
    """The sound spans as a request of their own, each group with its resource and scope."""
    spans: int
    damages: tuple[tuple[int, str], ...]
    """Byte and reason of each place that could not be read."""


def salvage(data: bytes) -> Salvaged:
    """Return what is whole of a request that protobuf's parser refused. Linear in the size of the data."""
    return _Reader(data).salvaged()


class _Reader:
    """One damaged request."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._request = ExportTraceServiceRequest()
        self._spans = 0
        self._damages: list[tuple[int, str]] = []

    def salvaged(self) -> Salvaged:
        """Read the whole and return what was found."""
        for field, start, end in self._fields(0, len(self._data)):
            if field == _RESOURCE_SPANS:
                self._resource_spans(start, end)
        if not self._damages:
            # Cut off just between two parts.
            self._damages.append((len(self._data), "the message is cut off"))
        return Salvaged(self._request.SerializeToString(), self._spans, tuple(self._damages))

    def _resource_spans(self, start: int, end: int) -> None:
        group = self._request.resource_spans.add()
        for field, begin, stop in self._fields(start, end):
            if field == _RESOURCE:
                self._parsed(group.resource, begin, stop, "a resource")
            elif field == _SCOPE_SPANS:
                self._scope_spans(group.scope_spans.add(), begin, stop)

    def _scope_spans(self, scope_spans: Any, start: int, end: int) -> None:
        for field, begin, stop in self._fields(start, end):
            if field == _SCOPE:
                self._parsed(scope_spans.scope, begin, stop, "a scope")
            elif field == _SPAN:
                span = scope_spans.spans.add()
                if self._parsed(span, begin, stop, "a span"):
                    self._spans += 1
                else:
                    del scope_spans.spans[-1]

    def _parsed(self, message: Any, start: int, end: int, what: str) -> bool:
        try:
            message.ParseFromString(self._data[start:end])
        except DecodeError:
            self._damages.append((start, f"{what} is damaged"))
            return False
        return True

    def _fields(self, at: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield the number, start and end of each part with a length; stop where tags and lengths make no sense.

        A part that claims to be longer than what it stands in is read as far as that goes: so ends a file that was
        cut off.
        """
        while at < end:
            tag, after = self._varint(at, end)
            kind = tag & 7
            size = _FIXED_BYTES.get(kind, -1)
            if kind == _LENGTH:
                size, after = self._varint(after, end)
            elif kind == _VARINT:
                size = self._varint(after, end)[1] - after
            if tag < 0 or size < 0 or (kind != _LENGTH and after + size > end):
                self._damages.append((at, "the message is damaged or cut off"))
                return
            at = min(after + size, end)
            if kind == _LENGTH:
                yield tag >> 3, after, at

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        """Return a number and where it ends; -1 where there is none."""
        value = 0
        for place in range(_VARINT_BYTES_MAX):
            if at + place >= end:
                break
            byte = self._data[at + place]
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follow
                return value, at + place + 1
        return -1, at
