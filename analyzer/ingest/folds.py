"""Words of all dialects folded to the few that matter: errors, finish reasons, outcomes. Pure functions."""

from __future__ import annotations

import re
from typing import Any

import orjson

from analyzer.types.trace import ErrorClass, FinishReason, Operation, Outcome

_HTTP = {
    400: ErrorClass.BAD_REQUEST,
    401: ErrorClass.AUTH,
    403: ErrorClass.AUTH,
    404: ErrorClass.BAD_REQUEST,
    408: ErrorClass.TIMEOUT,
    409: ErrorClass.BAD_REQUEST,
    413: ErrorClass.BAD_REQUEST,
    422: ErrorClass.BAD_REQUEST,
    429: ErrorClass.RATE_LIMIT,
    503: ErrorClass.OVERLOADED,
    504: ErrorClass.TIMEOUT,
    529: ErrorClass.OVERLOADED,
}

_NAMES: tuple[tuple[ErrorClass, tuple[str, ...]], ...] = (
    (ErrorClass.CONTEXT_LENGTH, ("contextlength", "contextwindow", "contextoverflow", "prompttoolong")),
    (ErrorClass.RATE_LIMIT, ("ratelimit", "toomanyrequests", "throttl", "resourceexhausted", "quota", "spendlimit")),
    (ErrorClass.OVERLOADED, ("overload", "serviceunavailable", "capacityexceeded", "modelnotready")),
    (ErrorClass.TIMEOUT, ("timeout", "timedout", "deadlineexceeded")),
    (ErrorClass.AUTH, ("authentication", "unauthorized", "unauthenticated", "permission", "forbidden", "accessdenied")),
    (ErrorClass.REFUSAL, ("refusal", "contentfilter", "contentpolicy", "responsibleai")),
    (ErrorClass.BAD_REQUEST, ("badrequest", "invalidrequest", "invalidargument", "unprocessable", "notfounderror")),
    (ErrorClass.TOOL_ERROR, ("toolerror", "toolretry", "modelretry", "toolexception", "toolexecution")),
)
"""Parts of error names with everything but letters removed, the more specific class first."""

_MESSAGES: tuple[tuple[ErrorClass, re.Pattern[str]], ...] = (
    (
        ErrorClass.CONTEXT_LENGTH,
        re.compile(
            r"context[ _]length|context window|maximum context|prompt is too long|input is too long"
            r"|too many (?:input )?tokens|exceeds? the (?:maximum|model'?s?) (?:number of )?(?:tokens|context)"
        ),
    ),
    (ErrorClass.RATE_LIMIT, re.compile(r"rate[ _-]?limit|too many requests|quota exceeded|throttl")),
    (ErrorClass.OVERLOADED, re.compile(r"overloaded|service unavailable|at capacity")),
    (ErrorClass.TIMEOUT, re.compile(r"timed? ?out|deadline exceeded")),
    (
        ErrorClass.AUTH,
        re.compile(r"unauthori[sz]ed|invalid (?:x-)?api[ -]key|authentication|permission denied|forbidden"),
    ),
    (ErrorClass.REFUSAL, re.compile(r"content (?:filter|policy)|refused to answer")),
    (ErrorClass.BAD_REQUEST, re.compile(r"bad request|invalid[ _]request")),
)
_MESSAGE_CHARS_MAX = 2000
"""The reason stands at the beginning of a message; tracebacks behind it mention anything."""
_MESSAGE_STATUS = re.compile(r"\b(?:error code|status code|status|http(?:/[\d.]+)?)[:=\s]{1,3}([45]\d\d)\b")
_NOT_LETTERS = re.compile(r"[^a-z]+")

_TOOL_CLASSES = frozenset(
    {ErrorClass.RATE_LIMIT, ErrorClass.OVERLOADED, ErrorClass.TIMEOUT, ErrorClass.AUTH, ErrorClass.TOOL_ERROR}
)
"""What a tool's failure can be beside a tool error; a context length or a refusal belongs to a model."""


def error_class(error_type: str, message: str, http_status: Any, operation: Operation) -> ErrorClass:
    """Return the class of a failure: by its name, then by its HTTP status, then by its message."""
    found = _by_name(error_type)
    text = message[:_MESSAGE_CHARS_MAX].lower()
    if found in (None, ErrorClass.BAD_REQUEST):
        # "The prompt is too long" arrives as a plain bad request.
        if _MESSAGES[0][1].search(text) and operation is not Operation.TOOL:
            return ErrorClass.CONTEXT_LENGTH
        found = found or _by_status(http_status) or _by_status(error_type) or _by_message(text)
    if operation is Operation.TOOL:
        return found if found in _TOOL_CLASSES and found is not None else ErrorClass.TOOL_ERROR
    return found or ErrorClass.OTHER


def _by_name(error_type: str) -> ErrorClass | None:
    name = _NOT_LETTERS.sub("", error_type.lower().rpartition(".")[2])
    if not name:
        return None
    return next((found for found, parts in _NAMES if any(part in name for part in parts)), None)


def _by_status(value: Any) -> ErrorClass | None:
    try:
        return _HTTP.get(int(value))
    except (TypeError, ValueError, OverflowError):
        return None


def _by_message(text: str) -> ErrorClass | None:
    status = _MESSAGE_STATUS.search(text)
    found = _by_status(status.group(1)) if status else None
    return found or next((found for found, pattern in _MESSAGES if pattern.search(text)), None)


_FINISH = {
    FinishReason.STOP: ("stop", "end_turn", "stop_sequence", "complete", "completed", "eos", "end", "finished"),
    FinishReason.LENGTH: (
        "length",
        "max_tokens",
        "max_output_tokens",
        "model_length",
        "token_limit",
        "incomplete",
        "model_context_window_exceeded",
    ),
    FinishReason.TOOL_CALL: ("tool_call", "tool_calls", "tool_use", "function_call", "tooluse"),
    FinishReason.CONTENT_FILTER: (
        "content_filter",
        "content_filtered",
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "guardrail_intervened",
    ),
    FinishReason.REFUSAL: ("refusal",),
    FinishReason.ERROR: ("error", "malformed_function_call"),
}
_FINISH_BY_WORD = {word: reason for reason, words in _FINISH.items() for word in words}


def finish_reason(value: Any) -> FinishReason | None:
    """Return why the model stopped, from a word, a list of words, or a list as JSON text (the first one counts)."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return FinishReason.OTHER
    if isinstance(value, list):
        value = next((entry for entry in value if entry), None)
    if not isinstance(value, str) or not value:
        return None
    word = value.rpartition(".")[2].lower().replace("-", "_")
    return _FINISH_BY_WORD.get(word, FinishReason.OTHER)


_OUTCOMES = {
    Outcome.SUCCESS: (
        "success",
        "succeeded",
        "successful",
        "pass",
        "passed",
        "ok",
        "correct",
        "resolved",
        "true",
        "good",
    ),
    Outcome.FAILURE: ("failure", "fail", "failed", "incorrect", "unresolved", "false", "unsuccessful", "bad"),
    Outcome.ERROR: ("error", "errored", "crashed", "exception"),
}
_OUTCOME_BY_WORD = {word: outcome for outcome, words in _OUTCOMES.items() for word in words}


def outcome_word(value: Any) -> Outcome | None:
    """Return what a label or an outcome attribute says, or None where it says neither success nor failure."""
    if isinstance(value, bool):
        return Outcome.SUCCESS if value else Outcome.FAILURE
    return _OUTCOME_BY_WORD.get(value.strip().lower()) if isinstance(value, str) else None


def outcome_score(value: Any) -> Outcome | None:
    """Return what a score says: 1 is success, 0 is failure. Between and beyond, the scale is not known."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if value == 1:
        return Outcome.SUCCESS
    return Outcome.FAILURE if value == 0 else None
