"""Words of all dialects folded to classes."""

from __future__ import annotations

import pytest

from analyzer.ingest.folds import error_class, finish_reason, outcome_score, outcome_word
from analyzer.types.trace import ErrorClass, FinishReason, Operation, Outcome

CHAT, TOOL = Operation.CHAT, Operation.TOOL


@pytest.mark.parametrize(
    ("error_type", "message", "http", "operation", "expected"),
    [
        ("rate_limit_error", "", None, CHAT, ErrorClass.RATE_LIMIT),
        ("anthropic.RateLimitError", "", None, CHAT, ErrorClass.RATE_LIMIT),
        ("429", "", None, CHAT, ErrorClass.RATE_LIMIT),
        ("", "Error code: 429 - {'type': 'error'}", None, CHAT, ErrorClass.RATE_LIMIT),
        ("ThrottlingException", "", None, CHAT, ErrorClass.RATE_LIMIT),
        ("insufficient_quota", "", None, CHAT, ErrorClass.RATE_LIMIT),
        ("anthropic.EnforcedSpendLimitReached", "", 403, CHAT, ErrorClass.RATE_LIMIT),
        ("overloaded_error", "", 529, CHAT, ErrorClass.OVERLOADED),
        ("", "", 529, CHAT, ErrorClass.OVERLOADED),
        ("APITimeoutError", "", None, CHAT, ErrorClass.TIMEOUT),
        ("DEADLINE_EXCEEDED", "", None, CHAT, ErrorClass.TIMEOUT),
        ("", "Request timed out.", None, CHAT, ErrorClass.TIMEOUT),
        ("AuthenticationError", "", None, CHAT, ErrorClass.AUTH),
        ("", "", 403, CHAT, ErrorClass.AUTH),
        ("BadRequestError", "prompt is too long: 210000 tokens", 400, CHAT, ErrorClass.CONTEXT_LENGTH),
        ("context_length_exceeded", "", None, CHAT, ErrorClass.CONTEXT_LENGTH),
        ("BadRequestError", "no such parameter", 400, CHAT, ErrorClass.BAD_REQUEST),
        ("", "", "422", CHAT, ErrorClass.BAD_REQUEST),
        ("tool_error", "", None, TOOL, ErrorClass.TOOL_ERROR),
        ("pydantic_ai.exceptions.ToolRetryError", "boom", None, TOOL, ErrorClass.TOOL_ERROR),
        ("ValueError", "prompt is too long", None, TOOL, ErrorClass.TOOL_ERROR),
        ("HTTPError", "404", 404, TOOL, ErrorClass.TOOL_ERROR),
        ("TimeoutError", "", None, TOOL, ErrorClass.TIMEOUT),
        ("SomethingElse", "odd", None, CHAT, ErrorClass.OTHER),
        ("", "", None, Operation.OTHER, ErrorClass.OTHER),
    ],
)
def test_errors_fold_to_their_class(error_type, message, http, operation, expected):
    """Name, then status, then message decide; a tool's failure is a tool error unless it is clearly something else."""
    assert error_class(error_type, message, http, operation) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["tool_calls"], FinishReason.TOOL_CALL), ('["tool-calls"]', FinishReason.TOOL_CALL),
        ("tool_use", FinishReason.TOOL_CALL), ("end_turn", FinishReason.STOP), ("max_tokens", FinishReason.LENGTH),
        ("FinishReason.MAX_TOKENS", FinishReason.LENGTH), ("SAFETY", FinishReason.CONTENT_FILTER),
        ("refusal", FinishReason.REFUSAL), ("pause_turn", FinishReason.OTHER), ([], None), ("", None), (None, None),
        ("[broken", FinishReason.OTHER), (["", "stop"], FinishReason.STOP),
    ],
)  # fmt: skip
def test_finish_reasons_fold_to_the_conventions(value, expected):
    """Lists, JSON text and single words of all providers become the words of the conventions."""
    assert finish_reason(value) is expected


def test_outcomes_that_say_nothing_are_none():
    """Only words and scores that decide are read."""
    assert [outcome_word(word) for word in ("Passed", " FAIL ", "error", "maybe", 3, True)] == [
        Outcome.SUCCESS, Outcome.FAILURE, Outcome.ERROR, None, None, Outcome.SUCCESS,
    ]  # fmt: skip
    assert [outcome_score(score) for score in (1, 0.0, 0.5, 4, True, "1")] == [
        Outcome.SUCCESS, Outcome.FAILURE, None, None, None, None,
    ]  # fmt: skip
