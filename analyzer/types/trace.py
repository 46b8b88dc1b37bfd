"""Spans: what one step of an agent did, in the canonical form that every dialect is translated to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from analyzer.types.quick import quick


class Operation(StrEnum):
    """What a span did; `gen_ai.operation.name` folded to the values that matter to an analyst."""

    CHAT = "chat"
    """An inference: chat, generate_content, text_completion."""
    EMBEDDINGS = "embeddings"
    RETRIEVAL = "retrieval"
    TOOL = "execute_tool"
    AGENT = "invoke_agent"
    WORKFLOW = "invoke_workflow"
    PLAN = "plan"
    MEMORY = "memory"
    OTHER = "other"

    @property
    def is_inference(self) -> bool:
        """True where a model was called: only these spans carry tokens and cost."""
        return self in _INFERENCE

    @property
    def is_step(self) -> bool:
        """True for what counts as a step of a trajectory: an inference or a tool call."""
        return self in _STEPS


_INFERENCE = frozenset({Operation.CHAT, Operation.EMBEDDINGS})
_STEPS = frozenset({Operation.CHAT, Operation.TOOL})


class Status(StrEnum):
    """OpenTelemetry's OK and UNSET both mean success."""

    OK = "ok"
    ERROR = "error"


class ErrorClass(StrEnum):
    """The few classes that `error.type`, exception names and HTTP codes of all dialects are folded to."""

    RATE_LIMIT = "rate_limit"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    AUTH = "auth"
    BAD_REQUEST = "bad_request"
    CONTEXT_LENGTH = "context_length"
    REFUSAL = "refusal"
    TOOL_ERROR = "tool_error"
    OTHER = "other"


class FinishReason(StrEnum):
    """Why the model stopped, in the words of the GenAI conventions."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALL = "tool_call"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    ERROR = "error"
    OTHER = "other"


class Outcome(StrEnum):
    """How a trajectory ended, as far as its spans say."""

    SUCCESS = "success"
    FAILURE = "failure"
    """The goal was missed: an evaluation or an outcome attribute says so."""
    ERROR = "error"
    """The run itself broke: the root span carries an error."""
    UNKNOWN = "unknown"


@quick
@dataclass(frozen=True, slots=True)
class Tokens:
    """Token counts of one inference. `input` includes what was read from and written to the cache."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    """The part of `cache_write` kept for an hour, which providers price higher."""
    reasoning: int = 0
    """Included in `output`."""

    @property
    def total(self) -> int:
        """Input and output; cached and reasoning tokens are parts of these."""
        return self.input + self.output


@quick
@dataclass(frozen=True, slots=True)
class Event:
    """A span event, such as an exception."""

    name: str
    time_ns: int | None
    attributes: Mapping[str, Any]


@quick
@dataclass(frozen=True, slots=True)
class Span:
    """One span in canonical form. Times are Unix nanoseconds, None where the source gave none."""

    trace_id: str
    """32 lower-case hex digits."""
    span_id: str
    """16 lower-case hex digits."""
    parent_id: str | None
    name: str
    operation: Operation
    start_ns: int | None = None
    end_ns: int | None = None
    status: Status = Status.OK
    status_message: str = ""
    """The status description, or the exception's message where the status has none."""
    error: ErrorClass | None = None
    error_type: str = ""
    """`error.type` or the exception's class as the source spelt it."""
    agent: str | None = None
    agent_version: str | None = None
    service: str | None = None
    provider: str | None = None
    model: str | None = None
    tool: str | None = None
    tool_call_id: str | None = None
    response_id: str | None = None
    tokens: Tokens | None = None
    """None where the source reported no usage; never zeros in its place."""
    cost_usd: float | None = None
    """None where the price is not known ("unpriced"); never 0 in its place."""
    finish: FinishReason | None = None
    attempt: int = 1
    """1 for the first try; n for a call that was retried n-1 times."""
    conversation_id: str | None = None
    user_id: str | None = None
    prompt_name: str | None = None
    prompt_version: str | None = None
    outcome: Outcome | None = None
    """Where this span says how the goal ended (evaluation or outcome attribute)."""
    task: str | None = None
    """The kind of task of the goal it was given (`choices.task_of`); known once the span is stored."""
    choices: str | None = None
    """What a tool call chose (`choices.choices_of`), as JSON; known once the span is stored."""
    parameters: str | None = None
    """How the model was asked, apart from the text: `max_tokens=4096 temperature=0.2`."""
    sdk: str | None = None
    """Name and version of the library that called the model, where the source tells."""
    input: str | None = None
    """Inference: the messages (JSON array as sent). Tool: its arguments. Agent: its goal."""
    output: str | None = None
    """Inference: the reply. Tool: its result. Agent: its final answer."""
    system: str | None = None
    tool_definitions: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What the source sent and the fields above do not already hold, under the source's own names."""
    resource: Mapping[str, Any] = field(default_factory=dict)
    scope: str = ""
    """Name of the instrumentation scope; with `attributes` it tells the dialect."""
    events: tuple[Event, ...] = ()

    @property
    def duration_ms(self) -> float | None:
        """Milliseconds from start to end, or None where either is missing."""
        if self.start_ns is None or self.end_ns is None:
            return None
        return (self.end_ns - self.start_ns) / 1e6


TEXT_FIELDS = ("input", "output", "system", "tool_definitions", "status_message")
"""The fields of a span that hold text from outside: what may be shown, searched and quoted."""
