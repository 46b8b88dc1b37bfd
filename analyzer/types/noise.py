"""What says nothing about a call: ids, times, durations and temporary paths differ between two runs of the same thing.

One list for whoever compares calls: the loop detector within one trajectory, `traces diff` between two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any


def _names(text: str) -> frozenset[str]:
    """Return the words of a list, which reads better in a paragraph than one a line."""
    return frozenset(re.findall(r"\w+", text))


VOLATILE_KEYS = _names(
    """request_id requestid req_id trace_id traceid span_id session_id sessionid correlation_id idempotency_key
    idempotencykey nonce timestamp ts time now seed attempt retry retry_count thought thoughts thinking
    reasoning explanation rationale task_progress call_id tool_call_id x_request_id description_of_step"""
)
"""Argument names that say nothing about what is asked for."""

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_MOMENT = r"""
    \d{4}-\d\d-\d\d(?:t\d\d:?\d\d(?::?\d\d)?(?:[.,]\d+)?(?:z|[+-]\d\d:?\d\d)?)?   # ISO 8601
    | \b\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?:z|am|pm)?\b                        # clock
    | \b1[5-9]\d{8}(?:\d{3}){0,3}(?:\.\d+)?\b                                   # Unix time in s to ns
"""
_NAME = r"""
    \b0x[0-9a-f]{6,}\b                                                          # address
    | \b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{8,}\b                         # long mixed hex
    | \b(?:call|run|req|request|msg|chatcmpl|resp|session|sess|trace|span|toolu|thread|task|evt)
      [_-][0-9a-z]*\d[0-9a-z]*\b
"""
_PASSING = r"""
    /(?:tmp|var/folders)/[^\s"',;:)]*                                            # temporary path
    | \b\d+(?:\.\d+)?\s?(?:ns|us|\u00b5s|ms|s|sec|secs|seconds|min|minutes)\b     # duration
"""
NOISE = re.compile(f"{_UUID} | {_MOMENT} | {_NAME} | {_PASSING}", re.VERBOSE)
"""All of it, in a text in lower case."""
IDS = f"{_UUID} | {_NAME}"
"""The part of it that names a thing; verbose, in lower case. Two runs may each call the same thing by its own id."""
TIMES = f"{_MOMENT} | {_PASSING}"
"""The part of it that says when and how long; verbose, in lower case."""

_NESTING_MAX = 16
"""No tool nests arguments deeper; hostile input may."""
_EXACT_MAX = 1e18
"""Whole numbers below this are exact as floats."""


def parsed(arguments: str) -> Any:
    """Parse JSON arguments, also JSON inside a JSON string; return the text where it is neither."""
    value: Any = arguments.strip()
    for _ in range(2):
        if not isinstance(value, str) or value[:1] not in '{["':
            break
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            break
    return value


def cleaned(value: Any, leaf: Callable[[str], str], depth: int = 0, *, keep_numbers: bool = False) -> Any:
    """Return parsed arguments without nulls and volatile keys, keys sorted, texts as `leaf` has them.

    Numbers are texts to `leaf`, too, or kept; 2.0 is 2 either way.
    """
    if depth > _NESTING_MAX:
        return ""
    if isinstance(value, dict):
        kept = {
            str(key): cleaned(part, leaf, depth + 1, keep_numbers=keep_numbers)
            for key, part in value.items()
            if part is not None and str(key).lower().replace("-", "_") not in VOLATILE_KEYS
        }
        return dict(sorted(kept.items()))
    if isinstance(value, list):
        return [cleaned(part, leaf, depth + 1, keep_numbers=keep_numbers) for part in value]
    if isinstance(value, str):
        return leaf(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return whole(value) if keep_numbers else leaf(repr(whole(value)))
    return value


def whole(number: float) -> float:
    """Return a number without a fraction as an integer: 2.0 is 2, in whichever way JSON was written."""
    return int(number) if abs(number) < _EXACT_MAX and float(number).is_integer() else number
