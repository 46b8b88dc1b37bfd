"""Golden cases as the data sets of other tools, a JSON document a line, or one document.

jsonl          the cases themselves, a line each
langfuse       bodies of `POST /api/public/dataset-items`, a line each
phoenix        the body of `POST /v1/datasets/upload`, one document
openai-evals   `{"item": ...}` lines, as the files of the Evals API have them
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from analyzer.replay.golden.case import Case, case_document
from analyzer.replay.golden.expectations import document_of

DATASET = "golden-cases"


def _expected(case: Case) -> dict[str, Any]:
    """Return what a right run looks like: its answer, and what is expected in so many words.

    The answer is the healthy run's last one where that had the same goal: another goal has another answer.
    """
    is_same = case.bad.goal == case.control.goal
    replies = case.control.replies if is_same else ()
    return {
        "answer": replies[-1].output.removeprefix("assistant: ") if replies else None,
        "expectations": [document_of(one) for one in case.expectations],
        "words": [one.words for one in case.expectations],
    }


def _metadata(case: Case) -> dict[str, Any]:
    return {
        "case": case.name,
        "agent": case.bad.agent,
        "task": case.bad.task,
        "prompt": case.bad.prompt,
        "tools": case.bad.tools,
        "bad_trace_id": case.bad.trace_id,
        "control_trace_id": case.control.trace_id,
        "incidents": list(case.incidents),
    }


def _langfuse(case: Case) -> dict[str, Any]:
    return {
        "datasetName": DATASET,
        "id": case.name,
        "input": {"goal": case.bad.goal},
        "expectedOutput": _expected(case),
        "metadata": _metadata(case),
        "sourceTraceId": case.bad.trace_id,
    }


def _openai(case: Case) -> dict[str, Any]:
    return {"item": {"input": case.bad.goal, "ideal": _expected(case), "metadata": _metadata(case)}}


def _phoenix(cases: Sequence[Case]) -> dict[str, Any]:
    return {
        "action": "create",
        "name": DATASET,
        "inputs": [{"goal": case.bad.goal} for case in cases],
        "outputs": [_expected(case) for case in cases],
        "metadata": [_metadata(case) for case in cases],
    }


def _lines(form: Callable[[Case], Mapping[str, Any]], cases: Sequence[Case]) -> str:
    return "".join(json.dumps(form(case), ensure_ascii=False) + "\n" for case in cases)


FORMATS: Mapping[str, Callable[[Sequence[Case]], str]] = {
    "jsonl": lambda cases: _lines(case_document, cases),
    "langfuse": lambda cases: _lines(_langfuse, cases),
    "phoenix": lambda cases: json.dumps(_phoenix(cases), ensure_ascii=False, indent=2) + "\n",
    "openai-evals": lambda cases: _lines(_openai, cases),
}
"""By name: cases to the text of a file."""
