"""A span as the wire had it, whatever the encoding: what JSON and protobuf are both turned into before translation."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analyzer.types.quick import quick
from analyzer.types.trace import Event

DEPTH_MAX = 32
"""Nesting of attribute values beyond this is replaced by `TOO_DEEP`. Protobuf's own decoder stops at 100 messages,
which are 33 levels of lists; no exporter nests deeper than a few."""
TOO_DEEP = "(nested too deep)"
INT64_MAX = 2**63 - 1
"""Times and integers beyond this fit neither the OTLP integer nor a database column."""

STATUS_UNSET, STATUS_OK, STATUS_ERROR = 0, 1, 2
KIND_SERVER = 2

_HEX = {16: re.compile(r"[0-9a-fA-F]{32}"), 8: re.compile(r"[0-9a-fA-F]{16}")}
_BASE64_LENGTH = {16: 24, 8: 12}
_SHOWN_CHARS = 40


class MalformedError(ValueError):
    """One span that cannot be kept; the message says why and becomes the reason of a `Refused`."""


@quick
@dataclass(frozen=True, slots=True)
class RawSpan:
    """One span with plain attribute dictionaries. Times are Unix nanoseconds, None where the source gave none."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    kind: int
    """OTLP's number: 1 internal, 2 server, 3 client, 4 producer, 5 consumer; 0 unspecified."""
    start_ns: int | None
    end_ns: int | None
    status_code: int
    status_message: str
    attributes: Mapping[str, Any]
    events: tuple[Event, ...]
    resource: Mapping[str, Any]
    scope: str
    scope_version: str = ""


def id_of(value: object, size: int, field: str) -> str:
    """Return an id of `size` bytes as lower-case hex.

    Takes hex (the OTLP/JSON rule), and base64 of the right length (what protobuf's own JSON printer and Grafana
    Tempo write). Raises MalformedError for anything else and for all zeros.
    """
    if not isinstance(value, str) or not value:
        raise MalformedError(f"{field} is missing")
    if _HEX[size].fullmatch(value):
        return _not_zero(value.lower(), field)
    if len(value) == _BASE64_LENGTH[size]:
        try:
            decoded = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            decoded = b""
        if len(decoded) == size:
            return _not_zero(decoded.hex(), field)
    raise MalformedError(f"{field} {_shown(value)} is not {2 * size} hex digits")


def id_of_bytes(value: bytes, size: int, field: str) -> str:
    """Return a binary id as lower-case hex; raises MalformedError like `id_of`.

    An exporter that fed hex through protobuf's JSON parser sends 3/2 of the bytes: base64 of those is the hex again.
    """
    if len(value) == size:
        return _not_zero(value.hex(), field)
    if len(value) * 2 == size * 3:
        return id_of(base64.b64encode(value).decode("ascii"), size, field)
    if not value:
        raise MalformedError(f"{field} is missing")
    raise MalformedError(f"{field} has {len(value)} bytes, not {size}")


def is_unset(value: object) -> bool:
    """Whether a parent id says "no parent": absent, empty or all zeros (in hex, or eight zero bytes in base64)."""
    return not value or value == "AAAAAAAAAAA=" or (isinstance(value, str) and not value.strip("0"))


def times_of(start_ns: int | None, end_ns: int | None) -> tuple[int | None, int | None, str]:
    """Return start and end as they can be trusted, and a remark where they were not as sent.

    Zero and what lies outside int64 is None: a time that is not known. A span that ends before it began keeps its
    start and gets the length 0, so that it still counts in the window it belongs to.
    """
    if start_ns is not None and end_ns is not None and 0 < start_ns <= end_ns <= INT64_MAX:
        return start_ns, end_ns, ""
    remarks = []
    times = []
    for name, value in (("start", start_ns), ("end", end_ns)):
        known = value if value is not None and 0 < value <= INT64_MAX else None
        if known is None:
            remarks.append(f"{name} time is {'zero or missing' if not value else 'out of range'}")
        times.append(known)
    start, end = times
    if start is not None and end is not None and end < start:
        return start, start, f"ends {(start - end) / 1e9:.3f} s before it starts: counted as 0 s"
    return start, end, "; ".join(remarks)


def plain_float(value: float) -> float | str:
    """Return a finite number as it is; NaN and infinities as OTLP/JSON spells them: JSON has no such numbers."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def as_list(value: object, what: str) -> Sequence[Any]:
    """Return a JSON list, an absent one as empty; raises MalformedError for anything else."""
    if value is None:
        return ()
    if isinstance(value, list):
        return value
    raise MalformedError(f"{what} is not a list")


def _not_zero(digits: str, field: str) -> str:
    if not digits.strip("0"):
        raise MalformedError(f"{field} is all zeros")
    return digits


def _shown(value: str) -> str:
    return repr(value if len(value) <= _SHOWN_CHARS else value[:_SHOWN_CHARS] + "...")
