"""Single values of foreign JSON made safe and canonical: names, texts, times, ids. Nothing here raises."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import orjson

from analyzer.ingest.raw import INT64_MAX

NAME_CHARS_MAX = 512
"""Names are keys of every rollup; longer ones are content gone astray. The same bound as for spans from the wire."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SCALES = ((1e11, 1_000_000_000), (1e14, 1_000_000), (1e17, 1_000), (math.inf, 1))
"""Epoch numbers below a limit are in seconds, milliseconds, microseconds, else nanoseconds. Each limit lies in the
year 5138 of its unit, far from the other units' present."""
_EPOCH_MIN = 1e8
"""Smaller numbers (before March 1973 in seconds) are indices and durations, not moments."""
_LATEST_NS = INT64_MAX - 24 * 3600 * 1_000_000_000
"""The last day before 64 bits end (in 2262) is no recorded moment: steps of one moment are set apart by nanoseconds,
and the last of them must still fit."""
_FRACTION = re.compile(r"(\.\d{6})\d+")
_HEX = re.compile(r"[0-9a-f]+")


def name_of(value: Any) -> str | None:
    """Return a name as text of at most NAME_CHARS_MAX characters, or None for what is no name."""
    if isinstance(value, str):
        return whole(value.strip())[:NAME_CHARS_MAX] or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return None


def word_of(value: Any) -> str:
    """Return a value where it is text, else "": what is compared with known words."""
    return value if isinstance(value, str) else ""


def first_name(*values: Any) -> str | None:
    """Return the first value that is a name."""
    return next((name for value in values if (name := name_of(value)) is not None), None)


def text_of(value: Any) -> str:
    """Return a value as text: text as it is, nothing as "", everything else as JSON."""
    if isinstance(value, str):
        return whole(value)
    return "" if value is None else json_of(value)


def json_of(value: Any) -> str:
    """Return a JSON-like value as compact JSON text."""
    try:
        return orjson.dumps(value, default=str).decode()
    except TypeError:
        # Integers beyond 64 bits, halves of surrogate pairs, nesting beyond orjson's limit of 254.
        try:
            return whole(json.dumps(value, ensure_ascii=False, default=str, separators=(",", ":")))
        except (ValueError, RecursionError):
            return '"(nested too deep)"'


def whole(text: str) -> str:
    """Return a text with U+FFFD for halves of surrogate pairs, which no encoder and no database takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def time_of(value: Any) -> int | None:
    """Return a recorded moment as Unix nanoseconds, or None for what is none.

    Takes ISO 8601 (without a zone: UTC, as LangSmith writes) and epoch numbers in seconds, milliseconds,
    microseconds or nanoseconds, told apart by their size.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _epoch(value)
    if not isinstance(value, str) or not value:
        return None
    try:
        moment = datetime.fromisoformat(_FRACTION.sub(r"\1", value.strip()))
        aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        microseconds = (aware - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        try:
            return _epoch(float(value))
        except ValueError:
            return None
    return microseconds * 1000 if 0 < microseconds * 1000 <= _LATEST_NS else None


def _epoch(value: float) -> int | None:
    if not math.isfinite(value) or value < _EPOCH_MIN:
        return None
    scale = next(scale for limit, scale in _SCALES if value < limit)
    # A float holds the moment to about a microsecond; more digits would be made up.
    nanoseconds = value * scale if isinstance(value, int) else round(value * scale / 1000) * 1000
    return nanoseconds if nanoseconds <= _LATEST_NS else None


def object_of(value: Any) -> Mapping[str, Any]:
    """Return a JSON object, or an empty one for what is none."""
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """Return a JSON list, or an empty one for what is none."""
    return value if isinstance(value, list) else []


def objects_of(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a JSON list; an empty list for what is none."""
    return [entry for entry in list_of(value) if isinstance(entry, dict)]


def decoded(value: Any) -> Any:
    """Return what JSON text holds; other values, and text that is no JSON container, as they are."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def hex_id(digits: int, *parts: str) -> str:
    """Return an id of hex digits that the same parts always give, and other parts practically never."""
    digest = blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=digits // 2)
    return digest.hexdigest()


def own_id(value: Any, digits: int, *family: str) -> str:
    """Return a foreign id as hex of the wanted length: itself where it has it (UUIDs do), else a hash of it."""
    text = text_of(value)
    plain = text.replace("-", "").lower()
    if len(plain) == digits and _HEX.fullmatch(plain) and plain.strip("0"):
        return plain
    return hex_id(digits, *family, text)
