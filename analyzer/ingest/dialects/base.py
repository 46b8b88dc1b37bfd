"""What a dialect is: a table that says where each field of a span stands, read by `translate`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import orjson

from analyzer.ingest.raw import RawSpan
from analyzer.types.trace import Operation, Tokens

Source = str | Callable[[RawSpan], Any]
"""Where a value may stand: the name of an attribute, or a function for what a name cannot say."""
Sources = tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """A payload put together from several places."""

    value: Any
    """Text, or a JSON-like value that is written as JSON."""
    used: tuple[str, ...] = ()
    """The attributes whose whole content is in `value`: they are not stored a second time."""
    used_event: str = ""
    """The name of the span events whose content is in `value`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Where each field of a span stands. Sources are tried in order; the first that has a value counts.

    Every dialect falls back on the sources of the current conventions (`over`): exporters mix spellings.
    """

    name: str
    scopes: tuple[str, ...] = ()
    """Beginnings of the instrumentation scope's name that tell this dialect."""
    marks: tuple[str, ...] = ()
    """Attributes that only this dialect sends. They count before scopes: a scope may carry several dialects."""
    operation: Sources = ()
    operations: Mapping[str, Operation] = field(default_factory=dict)
    """What the operation sources say, in lower case."""
    provider: Sources = ()
    model: Sources = ()
    agent: Sources = ()
    agent_version: Sources = ()
    tool: Sources = ()
    tool_call_id: Sources = ()
    response_id: Sources = ()
    conversation_id: Sources = ()
    user_id: Sources = ()
    prompt_name: Sources = ()
    prompt_version: Sources = ()
    usage: tuple[Callable[[RawSpan], Tokens | None], ...] = ()
    """Functions for usage that stands in one structured value; tried before the counts below."""
    input_tokens: Sources = ()
    output_tokens: Sources = ()
    cache_read: Sources = ()
    cache_write: Sources = ()
    cache_write_1h: Sources = ()
    reasoning: Sources = ()
    input_excludes_cache: bool = False
    """Whether the input count leaves out what was read from and written to the cache."""
    cost: Sources = ()
    service_tier: Sources = ()
    """"batch", "flex", "standard", ...: what the provider says it served."""
    finish: Sources = ()
    attempt: Sources = ()
    """1 for the first try."""
    resends: Sources = ()
    """0 for the first try."""
    http_status: Sources = ()
    error_type: Sources = ()
    failed: Sources = ()
    """True where the dialect itself says that the call failed, beside the status."""
    status_message: Sources = ()
    steering: tuple[str, ...] = ()
    """Names of exceptions by which a framework steers a run. A span that ends with one did not fail."""
    outcome: Sources = ()
    chat_input: Sources = ()
    chat_output: Sources = ()
    tool_input: Sources = ()
    tool_output: Sources = ()
    agent_input: Sources = ()
    agent_output: Sources = ()
    system: Sources = ()
    tool_definitions: Sources = ()
    repeated: tuple[str, ...] = ()
    """Attributes that say again what the child spans or the text fields hold: not stored."""

    def over(self, base: Dialect) -> Dialect:
        """Return this dialect with the sources of another one behind its own."""
        changes: dict[str, Any] = {}
        for entry in fields(self):
            own, other = getattr(self, entry.name), getattr(base, entry.name)
            if entry.name in ("marks", "scopes"):
                continue
            if isinstance(own, dict):
                changes[entry.name] = {**other, **own}
            elif isinstance(own, tuple):
                changes[entry.name] = own + tuple(source for source in other if source not in own)
        return replace(self, **changes)


_SOURCES = tuple(entry.name for entry in fields(Dialect) if entry.type == "Sources")


def named_sources(dialect: Dialect) -> tuple[frozenset[str], frozenset[str]]:
    """Return all attributes of a span, and all of its resource, that a dialect reads by name."""
    sources = [source for name in _SOURCES for source in getattr(dialect, name)]
    names = (source for source in sources if isinstance(source, str))
    return frozenset(names), frozenset(source.name for source in sources if isinstance(source, FromResource))


def narrowed(dialect: Dialect, names: frozenset[str], resource_names: frozenset[str]) -> Dialect:
    """Return a dialect without the sources that a span cannot have which holds none but these names."""

    def may_have(source: Source) -> bool:
        if isinstance(source, str):
            return source in names
        return not isinstance(source, FromResource) or source.name in resource_names

    kept: dict[str, Any] = {name: tuple(filter(may_have, getattr(dialect, name))) for name in _SOURCES}
    return replace(dialect, **kept)


def first(raw: RawSpan, sources: Sources) -> Any:
    """Return the first value that is there and not empty, or None."""
    attributes = raw.attributes
    for source in sources:
        value = attributes.get(source) if source.__class__ is str else source(raw)  # type: ignore[operator]
        if value is not None and value != "":
            return value
    return None


@dataclass(frozen=True, slots=True)
class FromResource:
    """A source that reads an attribute of the resource."""

    name: str

    def __call__(self, raw: RawSpan) -> Any:
        """Return the attribute, or None."""
        return raw.resource.get(self.name)


def resource(name: str) -> Source:
    """Return a source that reads an attribute of the resource."""
    return FromResource(name)


def decoded(value: Any) -> Any:
    """Return what JSON text holds; other values, and text that is no JSON, as they are."""
    if not isinstance(value, str) or value[:1] not in '{["':
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def encoded(value: Any) -> str:
    """Return a JSON-like value as JSON text."""
    return orjson.dumps(value, default=str).decode()


def json_field(attribute: str, *keys: str) -> Source:
    """Return a source that reads the first of some keys in an attribute that holds a JSON object."""

    def read(raw: RawSpan) -> Any:
        value = decoded(raw.attributes.get(attribute))
        if not isinstance(value, dict):
            return None
        return next((value[key] for key in keys if value.get(key) is not None), None)

    return read


@dataclass(frozen=True, slots=True)
class Dequoted:
    """A source that reads an attribute whose text is JSON in itself: `"LLM"` with its quotes."""

    name: str

    def __call__(self, raw: RawSpan) -> Any:
        """Return the text in the text, or None."""
        value = decoded(raw.attributes.get(self.name))
        return value if isinstance(value, str) else None


def dequoted(attribute: str) -> Source:
    """Return a source for an attribute whose text is JSON in itself."""
    return Dequoted(attribute)


@dataclass(frozen=True, slots=True)
class OnRoot:
    """A source that speaks on a span without a parent, where an attribute has one value."""

    name: str
    value: str
    says: str

    def __call__(self, raw: RawSpan) -> str | None:
        """Return what it says, or None."""
        return self.says if raw.attributes.get(self.name) == self.value and raw.parent_id is None else None


def event_field(event: str, attribute: str) -> Source:
    """Return a source of text that stands in an event; the event is then not stored a second time."""

    def read(raw: RawSpan) -> Content | None:
        for entry in raw.events:
            if entry.name == event and entry.attributes.get(attribute):
                return Content(entry.attributes[attribute], used_event=event)
        return None

    return read


def count(value: Any) -> int | None:
    """Return a token count, or None for what is none. Counts may come as text and as floating point numbers."""
    if value is None:
        return None
    if value.__class__ is int:
        number = value
    elif isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    else:
        try:
            number = int(float(value))
        except (ValueError, OverflowError):
            return None
    return number if 0 <= number <= COUNT_MAX else None


COUNT_MAX = 10**12
"""No single call has more tokens; larger numbers are mistakes that would drown every sum."""

_INDEX = re.compile(r"[0-9]{1,6}")


def unflatten(attributes: Mapping[str, Any], prefix: str) -> tuple[Any, tuple[str, ...]]:
    """Put attributes such as `prefix.0.message.content` back together.

    Returns the nested value (lists where all keys of a level are numbers, in their order) and the attributes used.
    """
    head = prefix + "."
    used = tuple(name for name in attributes if name.startswith(head))
    tree: dict[str, Any] = {}
    for name in used:
        parts = name[len(head) :].split(".", _UNFLATTEN_DEPTH_MAX)
        level = tree
        for part in parts[:-1]:
            inner = level.get(part)
            if not isinstance(inner, dict):
                inner = level[part] = {}
            level = inner
        if not isinstance(level.get(parts[-1]), dict):
            level[parts[-1]] = attributes[name]
    return _lists(tree), used


_UNFLATTEN_DEPTH_MAX = 12
"""OpenInference, the deepest, needs 6."""


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {key: _lists(entry) for key, entry in value.items()}
    if inner and all(_INDEX.fullmatch(key) for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner
