"""How a model was asked, apart from the text: sampling, limits, effort. One short canonical text for each way.

Two calls that were asked alike have the same text whatever dialect told it, so that a first sight of another text is
a change. Only what an operator sets is taken: a seed is new in every call by design, stop sequences are free text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import orjson

from analyzer.ingest.raw import RawSpan

_SPELLINGS = {
    "effort": (
        "effort",
        "reasoning_effort",
        "reasoningEffort",
        "reasoning.effort",
        "reasoning.level",
        "reasoning_level",
    ),
    "frequency_penalty": ("frequency_penalty", "frequencyPenalty"),
    "max_tokens": (
        *("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "maxTokens"),
        *("maxOutputTokens", "max_tokens_to_sample"),
    ),
    "n": ("n", "choice.count", "candidate_count"),
    "parallel_tool_calls": ("parallel_tool_calls",),
    "presence_penalty": ("presence_penalty", "presencePenalty"),
    "service_tier": ("service_tier",),
    "temperature": ("temperature",),
    "thinking": ("thinking.type", "thinking_type"),
    "thinking_tokens": ("thinking.budget_tokens", "thinking_budget", "thinking_tokens"),
    "tool_choice": ("tool_choice", "toolChoice"),
    "top_k": ("top_k", "topK"),
    "top_p": ("top_p", "topP"),
    "verbosity": ("verbosity",),
}
"""Our name -> how the sources spell it."""
_NAMES = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings}
_PREFIXES = (
    "gen_ai.request.", "gen_ai.openai.request.", "openai.request.", "anthropic.request.", "llm.request.",
    "ai.settings.",
)  # fmt: skip
_OLDER = {
    "llm.temperature": "temperature",
    "llm.top_p": "top_p",
    "llm.top_k": "top_k",
    "llm.max_tokens": "max_tokens",
    "llm.frequency_penalty": "frequency_penalty",
    "llm.presence_penalty": "presence_penalty",
}
_ATTRIBUTES = {prefix + spelling: name for prefix in _PREFIXES for spelling, name in _NAMES.items()} | _OLDER
_KNOWN = frozenset(_ATTRIBUTES)
_DOCUMENTS = (
    "llm.invocation_parameters", "model_request_parameters", "langfuse.observation.model.parameters",
    "gen_ai.request.parameters", "mlflow.invocation_parameters",
)  # fmt: skip
"""Attributes that hold them as one JSON object."""
_DOCUMENT_CHARS_MAX = 20_000
_VALUE_CHARS_MAX = 40


def parameters_of(raw: RawSpan) -> str | None:
    """Return `max_tokens=4096 temperature=0.2`, or None where the source tells nothing of it."""
    attributes = raw.attributes
    found: dict[str, str] = {}
    for attribute in _DOCUMENTS:
        value = attributes.get(attribute)
        if value is None:
            continue
        if value.__class__ is str and len(value) <= _DOCUMENT_CHARS_MAX:
            found.update(_in_document(value))
        elif isinstance(value, Mapping):
            found.update(_pairs(_flat(value)))
    for attribute in _KNOWN.intersection(attributes):
        if (text := _value(attributes[attribute])) is not None:
            found[_ATTRIBUTES[attribute]] = text
    return " ".join(f"{name}={found[name]}" for name in sorted(found)) if found else None


def sdk_of(raw: RawSpan) -> str | None:
    """Return name and version of the library that made the span, else of the telemetry SDK; None without a version."""
    if raw.scope and raw.scope_version:
        return f"{raw.scope} {raw.scope_version}"
    resource = raw.resource
    version = resource.get("telemetry.distro.version") or resource.get("telemetry.sdk.version")
    if not isinstance(version, str) or not version:
        return None
    name = resource.get("telemetry.distro.name") or resource.get("telemetry.sdk.name") or "telemetry"
    return f"{name} {resource.get('telemetry.sdk.language') or ''} {version}".replace("  ", " ")


@lru_cache(maxsize=1024)
def _in_document(text: str) -> dict[str, str]:
    """Read a JSON object; an agent sends the same one with every call."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return _pairs(_flat(document)) if isinstance(document, dict) else {}


def _flat(document: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Yield the pairs of an object and, as `thinking.type`, of the objects in it."""
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", one) for inner, one in value.items())
        else:
            yield name, value


def _pairs(pairs: Iterable[tuple[str, Any]]) -> dict[str, str]:
    texts = ((_NAMES[name], _value(value)) for name, value in pairs if name in _NAMES)
    return {name: text for name, text in texts if text is not None}


def _value(value: Any) -> str | None:
    """Return a figure or a word; what is neither is no parameter. `1.0`, `1` and the text "1" are the same."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return _figure(value)
    if isinstance(value, str) and value and len(value) <= _VALUE_CHARS_MAX and not value.isspace():
        try:
            return _figure(int(value) if value.isdecimal() else float(value))
        except ValueError:
            return "_".join(value.split())
    return None


def _figure(value: float) -> str:
    """Return a number as one text, whether it came as a whole number, with a point, or as text."""
    is_whole = isinstance(value, int) or (value.is_integer() and abs(value) < _WHOLE_MAX)
    return str(int(value)) if is_whole else f"{value:.6g}"


_WHOLE_MAX = 2**53
"""Beyond it a floating point number no longer tells which whole number it was."""
