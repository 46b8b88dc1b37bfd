"""The two ways to hand in an answer: the call that ends a conversation."""

from __future__ import annotations

from analyzer.agent.answer import ANSWER_SCHEMA, DIAGNOSIS_SCHEMA
from analyzer.agent.model import ToolSpec

SUBMIT_DIAGNOSIS = "submit_diagnosis"
SUBMIT_ANSWER = "submit_answer"

SUBMIT_DIAGNOSIS_SPEC = ToolSpec(
    SUBMIT_DIAGNOSIS,
    "Hands in the diagnosis and ends the investigation. Every claim is checked against the spans; what does not hold "
    "is struck out.",
    DIAGNOSIS_SCHEMA,
)
SUBMIT_ANSWER_SPEC = ToolSpec(
    SUBMIT_ANSWER,
    "Hands in the answer to the question. Every claim is checked against the spans; what does not hold is struck out.",
    ANSWER_SCHEMA,
)
