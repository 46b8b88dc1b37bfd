"""One translation for all dialects: a raw span and its dialect's table in, the canonical span out."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import orjson

from analyzer.ingest.dialects import dialect_of
from analyzer.ingest.dialects.base import Content, Dialect, Sources, count, encoded, first
from analyzer.ingest.folds import error_class, finish_reason, outcome_score, outcome_word
from analyzer.ingest.parameters import parameters_of, sdk_of
from analyzer.ingest.pricing import Pricer
from analyzer.ingest.raw import STATUS_ERROR, RawSpan
from analyzer.types.trace import Event, FinishReason, Operation, Outcome, Span, Status, Tokens

_NAME_CHARS_MAX = 512
"""Names of agents, tools and models are keys of every rollup; a name longer than this is content gone astray."""
_ATTEMPTS_MAX = 1000
_EXCEPTIONS = ("exception", "gen_ai.client.operation.exception")
_EVALUATIONS = ("gen_ai.evaluation.result", "gen_ai.evaluation")
_FINISH_IN_REPLY = re.compile(r'"finish_reason"\s*:\s*"(\w{1,40})"')
_SYSTEM_HEAD = re.compile(r'\s*(?:\{\s*"messages"\s*:\s*)?\[\s*\{[^{}\[\]]{0,80}"role"\s*:\s*"(?:system|developer)"')
_WITH_ARGUMENTS = frozenset({Operation.TOOL, Operation.RETRIEVAL, Operation.MEMORY})
_RUNS = frozenset({Operation.AGENT, Operation.WORKFLOW})


def translate(raw: RawSpan, pricer: Pricer | None = None) -> Span:
    """Return the canonical form of a span.

    Tokens and cost are read on inference spans only: outer spans repeat the totals of the inner ones. A cost that
    the source reports wins over the computed one. Without a pricer only reported costs are kept. A tool call costs
    what the operator's rule says.
    """
    dialect = dialect_of(raw)
    operation = _operation(raw, dialect)
    taken = _Taken(raw)
    content_in, content_out, system, definitions = _contents(dialect, operation, taken)
    failed, error_type, message = _failure(raw, dialect)
    inference = operation.is_inference
    tokens = _tokens(raw, dialect) if inference else None
    tool = _named(raw, dialect.tool) if operation is Operation.TOOL else None
    provider = _named(raw, dialect.provider)
    model = _named(raw, dialect.model)
    cost = None
    if inference:
        cost = _cost(raw, dialect, pricer, provider, model, tokens)
    elif operation is Operation.TOOL:
        cost = _tool_cost(raw, pricer, tool or raw.name, content_out)
    return Span(
        trace_id=raw.trace_id,
        span_id=raw.span_id,
        parent_id=raw.parent_id,
        name=raw.name,
        operation=operation,
        start_ns=raw.start_ns,
        end_ns=raw.end_ns,
        status=Status.ERROR if failed else Status.OK,
        status_message=message,
        error=error_class(error_type, message, first(raw, dialect.http_status), operation) if failed else None,
        error_type=error_type,
        agent=_named(raw, dialect.agent),
        agent_version=_named(raw, dialect.agent_version),
        service=_name(raw.resource.get("service.name")),
        provider=provider,
        model=model,
        tool=tool,
        tool_call_id=_named(raw, dialect.tool_call_id),
        response_id=_named(raw, dialect.response_id) if inference else None,
        tokens=tokens,
        cost_usd=cost,
        finish=_finish(raw, dialect, content_out) if inference else None,
        attempt=_attempt(raw, dialect),
        conversation_id=_named(raw, dialect.conversation_id),
        user_id=_named(raw, dialect.user_id),
        prompt_name=_named(raw, dialect.prompt_name),
        prompt_version=_named(raw, dialect.prompt_version),
        outcome=_outcome(raw, dialect, operation),
        parameters=parameters_of(raw) if inference else None,
        sdk=_name(sdk_of(raw)) if inference else None,
        input=content_in,
        output=content_out,
        system=system,
        tool_definitions=definitions,
        attributes=taken.attributes(dialect.repeated),
        resource=raw.resource,
        scope=raw.scope,
        events=taken.events(),
    )


class _Taken:
    """What the text fields hold already, so that attributes and events do not hold it again."""

    __slots__ = ("_event", "_names", "_raw")

    def __init__(self, raw: RawSpan) -> None:
        self._raw = raw
        self._names: set[str] = set()
        self._event = ""

    def text(self, sources: Sources) -> str | None:
        """Return the first payload as text. Its other spellings among the sources are the same content again."""
        attributes = self._raw.attributes
        for source in sources:
            value = attributes.get(source) if isinstance(source, str) else source(self._raw)
            if isinstance(value, Content):
                self._names.update(value.used)
                self._event = value.used_event or self._event
                value = value.value
            if value is None or value == "":
                continue
            self._names.update(other for other in sources if isinstance(other, str))
            return value if isinstance(value, str) else encoded(value)
        return None

    def attributes(self, repeated: tuple[str, ...]) -> dict[str, Any]:
        """Return the attributes that are still to be kept."""
        gone = self._names.union(repeated) if repeated else self._names
        return {name: value for name, value in self._raw.attributes.items() if name not in gone}

    def events(self) -> tuple[Event, ...]:
        """Return the events that are still to be kept."""
        if not self._event:
            return self._raw.events
        return tuple(event for event in self._raw.events if event.name != self._event)


def _operation(raw: RawSpan, dialect: Dialect) -> Operation:
    for source in dialect.operation:
        value = raw.attributes.get(source) if isinstance(source, str) else source(raw)
        if isinstance(value, str):
            found = dialect.operations.get(value.lower())
            if found is not None:
                return found
    return Operation.OTHER


def _contents(
    dialect: Dialect, operation: Operation, taken: _Taken
) -> tuple[str | None, str | None, str | None, str | None]:
    """Return input, output, system prompt and tool definitions as text."""
    if operation.is_inference:
        content_in, content_out = taken.text(dialect.chat_input), taken.text(dialect.chat_output)
        system = taken.text(dialect.system) or _system_in(content_in)
        return content_in, content_out, system, taken.text(dialect.tool_definitions)
    if operation in _WITH_ARGUMENTS:
        return taken.text(dialect.tool_input), taken.text(dialect.tool_output), None, None
    return taken.text(dialect.agent_input), taken.text(dialect.agent_output), taken.text(dialect.system), None


def _system_in(messages: str | None) -> str | None:
    """Return the system prompt that stands as the first of the messages; which prompt ran tells a change apart."""
    if not messages or not _SYSTEM_HEAD.match(messages):
        return None
    try:
        entries = orjson.loads(messages)
    except orjson.JSONDecodeError:
        return None
    if isinstance(entries, dict):
        entries = entries["messages"]
    # What the pattern saw need not be what counts: of a name that stands twice it is the latter.
    if not isinstance(entries, list) or not entries or not isinstance(entries[0], dict):
        return None
    content = entries[0].get("parts") or entries[0].get("content")
    if not content:
        return None
    return content if isinstance(content, str) else encoded(content)


def _tokens(raw: RawSpan, dialect: Dialect) -> Tokens | None:
    for usage in dialect.usage:
        tokens = usage(raw)
        if tokens is not None:
            return tokens
    taken = count(first(raw, dialect.input_tokens))
    given = count(first(raw, dialect.output_tokens))
    if taken is None and given is None:
        return None
    read = count(first(raw, dialect.cache_read)) or 0
    write = count(first(raw, dialect.cache_write)) or 0
    taken = taken or 0
    if dialect.input_excludes_cache or read + write > taken:
        # A part larger than the whole says the same: this exporter counts the cache apart, as the Anthropic API does.
        taken += read + write
    return Tokens(
        input=taken,
        output=given or 0,
        cache_read=read,
        cache_write=write,
        cache_write_1h=min(count(first(raw, dialect.cache_write_1h)) or 0, write),
        reasoning=count(first(raw, dialect.reasoning)) or 0,
    )


def _cost(
    raw: RawSpan,
    dialect: Dialect,
    pricer: Pricer | None,
    provider: str | None,
    model: str | None,
    tokens: Tokens | None,
) -> float | None:
    reported = first(raw, dialect.cost) if dialect.cost else None
    if reported is not None and not isinstance(reported, bool):
        try:
            usd = float(reported)
        except (TypeError, ValueError):
            usd = -1.0
        if 0 <= usd < _COST_MAX_USD:
            return usd
    if pricer is None or tokens is None:
        return None
    at = datetime.fromtimestamp(raw.start_ns / 1e9, UTC) if raw.start_ns else None
    return pricer.cost(provider, model, tokens, at, service_tier=_named(raw, dialect.service_tier))


def _tool_cost(raw: RawSpan, pricer: Pricer | None, tool: str, result: str | None) -> float | None:
    if pricer is None:
        return None
    return pricer.tools.cost(tool, start_ns=raw.start_ns, end_ns=raw.end_ns, attributes=raw.attributes, result=result)


_COST_MAX_USD = 1e6
"""No single call costs a million; NaN and infinities fail the same comparison."""


def _finish(raw: RawSpan, dialect: Dialect, reply: str | None) -> FinishReason | None:
    finish = finish_reason(first(raw, dialect.finish))
    if finish is None and reply and '"finish_reason"' in reply:
        # Older conventions keep it in the reply. A quotation mark inside a text is escaped there, so this is a key.
        found = _FINISH_IN_REPLY.search(reply)
        finish = finish_reason(found.group(1)) if found else None
    return finish


def _attempt(raw: RawSpan, dialect: Dialect) -> int:
    if not dialect.attempt and not dialect.resends:
        return 1
    attempt = count(first(raw, dialect.attempt))
    if attempt is None:
        resends = count(first(raw, dialect.resends))
        attempt = 1 if resends is None else resends + 1
    return max(1, min(attempt, _ATTEMPTS_MAX))


def _failure(raw: RawSpan, dialect: Dialect) -> tuple[bool, str, str]:
    """Return whether the span failed, the error's type and message; an exception fills what the status leaves out.

    An exception that only steers the run leaves its type and message behind, and no failure.
    """
    if raw.status_code != STATUS_ERROR and not first(raw, dialect.failed):
        return False, "", raw.status_message
    exception: Any = {}
    for event in raw.events:
        if event.name in _EXCEPTIONS:
            exception = event.attributes
    error_type = first(raw, dialect.error_type)
    if not error_type or error_type == "_OTHER":
        error_type = exception.get("exception.type") or raw.attributes.get("exception.type") or error_type
    message = raw.status_message or first(raw, dialect.status_message) or exception.get("exception.message")
    error_type = _text(error_type)
    return error_type.rpartition(".")[2] not in dialect.steering, error_type, _text(message)


def _outcome(raw: RawSpan, dialect: Dialect, operation: Operation) -> Outcome | None:
    """Return what the span says about how the goal ended: the last evaluation among its events, else its attributes."""
    for event in reversed(raw.events):
        if event.name in _EVALUATIONS:
            judged = _judged(event.attributes)
            if judged is not None:
                return judged
    judged = _judged(raw.attributes) or outcome_word(first(raw, dialect.outcome))
    if judged is not None or (operation not in _RUNS and raw.parent_id is not None):
        return judged
    # Plain "outcome" is a common word: instrumentation of HTTP servers sets it on every request.
    return outcome_word(raw.attributes.get("agent.outcome")) or outcome_word(raw.attributes.get("outcome"))


def _judged(attributes: Any) -> Outcome | None:
    label = attributes.get("gen_ai.evaluation.score.label")
    judged = outcome_word(label) if label is not None else None
    return judged or outcome_score(attributes.get("gen_ai.evaluation.score.value"))


def _named(raw: RawSpan, sources: Sources) -> str | None:
    # Of most names a span has no source at all.
    return _name(first(raw, sources)) if sources else None


def _name(value: Any) -> str | None:
    """Return a name as text, or None for what is none."""
    if value.__class__ is str:
        return value[:_NAME_CHARS_MAX] if value else None
    if value is None or isinstance(value, bool | dict | list):
        return None
    return str(value)[:_NAME_CHARS_MAX]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else encoded(value) if isinstance(value, dict | list) else str(value)
