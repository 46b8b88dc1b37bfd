"""The form of a final answer: its JSON schema, and how a reply is read into a draft. Nothing is believed here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CLAIMS_MAX = 8
EVIDENCE_MAX = 6
ACTIONS_MAX = 6
TEXT_CHARS = 1200
CLAIM_CHARS = 500
QUOTE_CHARS = 1500

CATEGORIES = (
    "loop",
    "retry_storm",
    "tool_failure",
    "tool_misuse",
    "context_growth",
    "prompt_change",
    "model_change",
    "version_change",
    "price_change",
    "traffic",
    "provider_outage",
    "bad_input",
    "goal_drift",
    "missing_verification",
    "premature_stop",
    "coordination",
    "injection",
    "instrumentation",
    "unknown",
)
"""What kind of cause it is. docs/investigator.md maps them to the categories of MAST and TRAIL."""


class AnswerError(ValueError):
    """A reply that is no answer in the required form; the message tells the model what to correct."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A quote as the model gives it."""

    trace_id: str
    span_id: str
    field: str
    quote: str


@dataclass(frozen=True, slots=True)
class MetricValue:
    """A query and its value as the model gives them. Times are ISO 8601."""

    promql: str
    start: str
    end: str
    step: float
    value: float


@dataclass(frozen=True, slots=True)
class FactRef:
    """The id of a computed fact (F1) or of filed evidence (E1)."""

    id: str


Support = Quote | MetricValue | FactRef


@dataclass(frozen=True, slots=True)
class DraftClaim:
    """A claim before the gate."""

    text: str
    decisive: bool
    evidence: tuple[Support, ...]


@dataclass(frozen=True, slots=True)
class DraftResponsible:
    """The step that the model holds responsible, before the gate."""

    trace_id: str
    span_id: str
    step: int | None
    agent: str = ""
    """As the model names it; "" where it names none."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer before the gate."""

    summary: str
    cause: str
    category: str
    refutation: str
    claims: tuple[DraftClaim, ...]
    responsible: DraftResponsible | None
    actions: tuple[str, ...]
    check: str
    missing: str = ""
    """What evidence would decide it, where this does not."""


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _string(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


_QUOTE = _object(
    kind={"type": "string", "enum": ["quote"]},
    trace_id=_string("32 hex digits"),
    span_id=_string("16 hex digits"),
    field={"type": "string", "enum": ["input", "output", "system", "tool_definitions", "status_message"]},
    quote=_string("verbatim, from between span tags"),
)
_METRIC = _object(
    kind={"type": "string", "enum": ["metric"]},
    promql=_string("gives one value at `end`"),
    start=_string("ISO 8601, UTC"),
    end=_string("ISO 8601, UTC"),
    step={"type": "number", "description": "seconds from start to end"},
    value={"type": "number", "description": "as the metric tool returned it"},
)
_FACT = _object(kind={"type": "string", "enum": ["fact"]}, id=_string("F1, T1.2 or E1"))
_CLAIMS = {
    "type": "array",
    "description": f"at most {CLAIMS_MAX}",
    "items": _object(
        text=_string("one sentence"),
        decisive={"type": "boolean", "description": "true for one claim: the cause rests on it"},
        evidence={"type": "array", "items": {"anyOf": [_QUOTE, _METRIC, _FACT]}},
    ),
}

_RESPONSIBLE = {
    "anyOf": [
        _object(
            trace_id=_string("32 hex digits"),
            span_id=_string("16 hex digits"),
            step={"type": "integer", "description": "1-based, as in the case file"},
            agent=_string("whose step it is, as the span names it"),
        ),
        {"type": "null"},
    ],
    "description": "the decisive step; null: none can be named",
}

DIAGNOSIS_SCHEMA: Mapping[str, Any] = _object(
    summary=_string("two or three short sentences for a person woken at night: what happened, since when, how bad"),
    cause=_string("the likely cause in one sentence, two at most"),
    category={"type": "string", "enum": list(CATEGORIES)},
    refutation=_string("what one would see if it were wrong"),
    claims=_CLAIMS,
    responsible=_RESPONSIBLE,
    missing=_string("where the evidence does not decide it: what evidence would; else empty"),
    actions={"type": "array", "items": {"type": "string"}, "description": f"at most {ACTIONS_MAX}, most useful first"},
    check=_string("a command or a PromQL query, as described"),
)

ANSWER_SCHEMA: Mapping[str, Any] = _object(
    claims=_CLAIMS,
    responsible=_RESPONSIBLE,
    missing=_string("where the evidence does not answer it: what evidence would; else empty"),
    summary=_string("the answer to the question, two to six short sentences, from what the claims say"),
)
"""The form of an answer to a question. Claims come first: each can be checked and shown while the rest is written, and
a summary can only be checked against claims that stand."""


def payload_in(text: str) -> Mapping[str, Any]:
    """Return the JSON object in a reply's text: alone, fenced, or with words around it. Raises AnswerError."""
    candidates = [text.strip(), *re.findall(r"```(?:json)?\s*\n(.*?)```", text, re.DOTALL)]
    for candidate in candidates:
        value = _loads(candidate)
        if isinstance(value, Mapping):
            return value
    decoder = json.JSONDecoder()
    for match in list(re.finditer(r"\{", text))[:50]:
        try:
            value, _ = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(value, Mapping) and "summary" in value:
            return value
    raise AnswerError("the reply holds no JSON object; reply with the JSON object of the schema and nothing else")


def read_diagnosis(payload: Mapping[str, Any]) -> Draft:
    """Return the draft of a diagnosis. Unknown keys are ignored, long texts and lists are cut. Raises AnswerError."""
    category = payload.get("category", "unknown")
    return Draft(
        summary=_text(payload, "summary", TEXT_CHARS),
        cause=_text(payload, "cause", TEXT_CHARS),
        category=category if category in CATEGORIES else "unknown",
        refutation=_text(payload, "refutation", TEXT_CHARS, required=False),
        claims=_claims(payload),
        responsible=_responsible(payload.get("responsible")),
        actions=_actions(payload.get("actions")),
        check=_text(payload, "check", TEXT_CHARS, required=False),
        missing=_text(payload, "missing", TEXT_CHARS, required=False),
    )


def read_answer(payload: Mapping[str, Any]) -> Draft:
    """Return the draft of an answer to a question. Raises AnswerError."""
    summary = _text(payload, "summary", TEXT_CHARS * 2)
    return Draft(
        summary=summary,
        cause="",
        category="unknown",
        refutation="",
        claims=_claims(payload),
        responsible=_responsible(payload.get("responsible")),
        actions=(),
        check="",
        missing=_text(payload, "missing", TEXT_CHARS, required=False),
    )


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _text(payload: Mapping[str, Any], name: str, chars_max: int, *, required: bool = True) -> str:
    value = payload.get(name)
    if isinstance(value, str) and (value.strip() or not required):
        return value.strip()[:chars_max]
    if not required:
        return ""
    raise AnswerError(f"{name!r} must be a string that is not empty")


def _claims(payload: Mapping[str, Any]) -> tuple[DraftClaim, ...]:
    value = payload.get("claims")
    if not isinstance(value, list):
        raise AnswerError("'claims' must be a list")
    return tuple(claim_in(entry, f"claims[{index}]") for index, entry in enumerate(value[:CLAIMS_MAX]))


def claim_in(value: Any, where: str) -> DraftClaim:
    """Return one claim of an answer; `where` names it in the error. Raises AnswerError."""
    if not isinstance(value, Mapping):
        raise AnswerError(f"{where} must be an object")
    text = value.get("text")
    if not isinstance(text, str) or not text.strip():
        raise AnswerError(f"{where}.text must be a string that is not empty")
    entries = value.get("evidence")
    if not isinstance(entries, list):
        raise AnswerError(f"{where}.evidence must be a list")
    support = tuple(_support(entry, f"{where}.evidence[{index}]") for index, entry in enumerate(entries[:EVIDENCE_MAX]))
    return DraftClaim(text.strip()[:CLAIM_CHARS], value.get("decisive") is True, support)


def _support(value: Any, where: str) -> Support:
    if isinstance(value, str):
        return FactRef(value)
    if not isinstance(value, Mapping):
        raise AnswerError(f"{where} must be an object")
    if "quote" in value:
        names = ("trace_id", "span_id", "field", "quote")
        if not all(isinstance(value.get(name), str) for name in names):
            raise AnswerError(f"{where}: {', '.join(names)} must be strings")
        return Quote(*(value[name][: QUOTE_CHARS + 1] for name in names))
    if "promql" in value:
        return _metric(value, where)
    if isinstance(value.get("id"), str):
        return FactRef(value["id"])
    raise AnswerError(f"{where} must be a quote, a metric or a fact")


def _metric(value: Mapping[str, Any], where: str) -> MetricValue:
    texts = [value.get(name) for name in ("promql", "start", "end")]
    numbers = [value.get(name) for name in ("step", "value")]
    if not all(isinstance(text, str) for text in texts) or not all(
        isinstance(number, int | float) and not isinstance(number, bool) and abs(number) < 1e300  # noqa: PLR2004 - finite
        for number in numbers
    ):
        raise AnswerError(f"{where}: promql, start and end must be strings, step and value numbers")
    promql, start, end = (str(text)[:QUOTE_CHARS] for text in texts)
    step, amount = (float(number) for number in numbers if number is not None)
    return MetricValue(promql, start, end, step, amount)


def _responsible(value: Any) -> DraftResponsible | None:
    if not isinstance(value, Mapping):
        return None
    step = value.get("step")
    whole = step if isinstance(step, int) and not isinstance(step, bool) else None
    texts = [str(value.get(name) or "") for name in ("trace_id", "span_id", "agent")]
    return DraftResponsible(texts[0][:64], texts[1][:64], whole, texts[2][:200])


def _actions(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(entry.strip()[:CLAIM_CHARS] for entry in value if isinstance(entry, str) and entry.strip())[
        :ACTIONS_MAX
    ]
