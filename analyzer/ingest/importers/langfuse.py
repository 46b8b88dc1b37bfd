"""Langfuse exports: observations and traces, as the API and the UI give them, in JSON or JSON lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from analyzer.ingest.dialects.base import count
from analyzer.ingest.folds import outcome_score, outcome_word
from analyzer.ingest.importers.base import Context, Found, Importer, Value
from analyzer.ingest.importers.records import camel, records, span_of, unwrapped
from analyzer.ingest.importers.usage import cost_of
from analyzer.ingest.importers.values import decoded, first_name, json_of, name_of, object_of, objects_of, text_of
from analyzer.types.trace import Outcome

NAME = "langfuse"
_TYPES = frozenset(
    {"GENERATION", "SPAN", "EVENT", "TOOL", "AGENT", "CHAIN", "RETRIEVER", "EVALUATOR", "EMBEDDING", "GUARDRAIL"}
)
_PAGES = ("data", "observations", "traces")
_TRACE_KEYS = frozenset(
    {"sessionId", "userId", "release", "public", "bookmarked", "htmlPath", "observations", "scores"}
)
_TRACE_KEYS_MIN = 2
_VERDICTS = frozenset({"success", "correctness", "correct", "resolved", "passed", "outcome", "goal_achieved"})
"""Names of scores that judge the goal. A score of 1 for "toxicity" is no success."""
_OLD_USAGE = {"promptTokens": "input", "completionTokens": "output", "totalTokens": "total"}
_FLAT_USAGE = {"inputUsage": "input", "outputUsage": "output", "totalUsage": "total"}
"""How the second version of the observations API spells it."""


def recognises(value: Any) -> bool:
    """Whether a value is an observation, a trace or a page of either."""
    inner = unwrapped(value, _PAGES[:1])
    record = camel(object_of(inner[0] if inner else None))
    return _is_observation(record) or _is_trace(record)


def read(values: Iterator[Value], context: Context) -> Iterator[Found]:
    """Yield a span for every observation, and one for every trace."""
    for place, entry in records(values, _PAGES[:1]):
        record = camel(object_of(entry))
        if _is_observation(record):
            yield from _observation(record, {}, None, context, place)
        elif _is_trace(record):
            yield from _trace(record, context, place)
        else:
            yield context.refused(place, "is neither an observation nor a trace of Langfuse")


def _is_observation(record: Mapping[str, Any]) -> bool:
    return text_of(record.get("type")).upper() in _TYPES and "traceId" in record and "id" in record


def _is_trace(record: Mapping[str, Any]) -> bool:
    known = len(_TRACE_KEYS.intersection(record))
    chat = "role" in record or "messages" in record
    return "id" in record and "timestamp" in record and not chat and known >= _TRACE_KEYS_MIN


def _trace(trace: Mapping[str, Any], context: Context, place: str) -> Iterator[Found]:
    """Yield the span of a trace, which is a span of its own here, and of the observations inside it."""
    root = f"trace {text_of(trace.get('id'))}"
    inside = [camel(entry) for entry in objects_of(trace.get("observations"))]
    ends = [text for entry in inside if (text := text_of(entry.get("endTime") or entry.get("startTime")))]
    named = {
        "langfuse.observation.type": "agent",
        "gen_ai.agent.name": trace.get("name"),
        **_shared(trace),
        "langfuse.observation.input": _payload(trace.get("input")),
        "langfuse.observation.output": _payload(trace.get("output")),
        "outcome": _outcome(trace.get("scores")),
    }
    yield from span_of(
        context,
        place,
        family=NAME,
        trace=trace.get("id"),
        identity=root,
        parent=None,
        name=trace.get("name"),
        start=trace.get("timestamp"),
        # A trace has no end of its own: it lasts as long as what it holds.
        end=max(ends, default=None),
        attributes=named,
        failed=False,
        message="",
    )
    for index, entry in enumerate(inside):
        yield from _observation(entry, trace, root, context, f"{place} observations[{index}]".strip())


def _observation(
    record: Mapping[str, Any], trace: Mapping[str, Any], root: str | None, context: Context, place: str
) -> Iterator[Found]:
    level = text_of(record.get("level")).upper()
    attributes = {
        "langfuse.observation.type": text_of(record.get("type")).lower(),
        "langfuse.observation.level": level if level != "DEFAULT" else None,
        "langfuse.observation.model.name": first_name(record.get("model"), record.get("providedModelName")),
        "langfuse.observation.model.parameters": _payload(record.get("modelParameters")),
        "langfuse.observation.usage_details": _usage(record),
        "langfuse.observation.cost_details": _cost(record),
        "langfuse.observation.prompt.name": record.get("promptName"),
        "langfuse.observation.prompt.version": name_of(record.get("promptVersion")),
        "langfuse.observation.status_message": text_of(record.get("statusMessage")),
        "langfuse.observation.input": _payload(record.get("input")),
        "langfuse.observation.output": _payload(record.get("output")),
        "langfuse.trace.name": first_name(record.get("traceName"), trace.get("name")),
        **_shared(trace),
        **_shared(record),
    }
    yield from span_of(
        context,
        place,
        family=NAME,
        trace=record.get("traceId") or trace.get("id"),
        identity=record.get("id"),
        parent=record.get("parentObservationId") or root,
        name=record.get("name"),
        start=record.get("startTime"),
        # An event is a moment.
        end=record.get("endTime") or (record.get("startTime") if record.get("type") == "EVENT" else None),
        attributes=attributes,
        failed=level == "ERROR",
        message=text_of(record.get("statusMessage")),
    )


def _shared(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what observations inherit from their trace."""
    facts = {
        "langfuse.version": name_of(record.get("version")),
        "langfuse.release": name_of(record.get("release")),
        "session.id": name_of(record.get("sessionId")),
        "user.id": name_of(record.get("userId")),
        "langfuse.environment": name_of(record.get("environment")),
        "langfuse.metadata": _payload(record.get("metadata")),
    }
    return {key: value for key, value in facts.items() if value}


def _payload(value: Any) -> str | None:
    return None if value is None or value in ({}, []) else text_of(value)


def _usage(record: Mapping[str, Any]) -> str | None:
    """Return usage as Langfuse's exporter writes it; older exports have `usage`, the oldest `promptTokens`."""
    told = object_of(decoded(record.get("usageDetails")))
    details = told or object_of(decoded(record.get("usage")))
    if not details:
        details = {new: record[old] for old, new in (_OLD_USAGE | _FLAT_USAGE).items() if record.get(old)}
    counts = {key: value for key, value in details.items() if value and (isinstance(value, dict) or count(value))}
    if not counts and not told:
        # Langfuse writes zeros where the caller reported nothing.
        return None
    return json_of({_OLD_USAGE.get(key, key): value for key, value in (counts or details).items()})


def _cost(record: Mapping[str, Any]) -> str | None:
    details = {key: usd for key, value in object_of(decoded(record.get("costDetails"))).items() if (usd := _usd(value))}
    if details:
        return json_of(details)
    total = cost_of(_usd(record.get("calculatedTotalCost")), _usd(record.get("totalCost")))
    return None if total is None else json_of({"total": total})


def _usd(value: Any) -> float | None:
    """Return an amount, which exports of the database write as text; None for what is none, and for 0."""
    try:
        return float(value) or None
    except (TypeError, ValueError):
        return None


def _outcome(scores: Any) -> str | None:
    """Return what the last score that judges the goal says."""
    found: Outcome | None = None
    for score in objects_of(scores):
        if text_of(score.get("name")).lower().replace("-", "_").replace(" ", "_") in _VERDICTS:
            judged = outcome_word(score.get("stringValue")) or outcome_score(score.get("value"))
            found = judged or found
    return None if found is None else found.value


LANGFUSE = Importer(NAME, recognises, read)
