"""What a log of messages says: replies with their calls, what came back, and the run as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from analyzer.types.trace import FinishReason, Outcome, Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A tool call that a reply asks for."""

    tool: str | None
    arguments: str
    id: str | None = None
    at_ns: int | None = None
    """When it was made, where the log gives it; else it stands where the reply stands."""
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer of a model (or of an agent, where the log does not say which models it asked)."""

    message: Mapping[str, Any]
    """As the answers after it see it in their history."""
    position: str = ""
    calls: tuple[Call, ...] = ()
    agent: str | None = None
    agent_version: str | None = None
    model: str | None = None
    provider: str | None = None
    tokens: Tokens | None = None
    cost_usd: float | None = None
    service_tier: str | None = None
    """"batch", "flex", "standard", ...: what the provider says it served."""
    finish: FinishReason | None = None
    response_id: str | None = None
    start_ns: int | None = None
    """When it was asked for, or the one moment that the log gives."""
    end_ns: int | None = None
    error_type: str = ""
    error_message: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    prompt: str | None = None
    """The messages it was sent as a JSON array, where the log keeps them; else the history so far."""
    system: str | None = None
    """Its own system prompt, where agents of one run have different ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What came back from a tool."""

    output: str
    id: str | None = None
    tool: str | None = None
    position: str = ""
    failed: bool = False
    error_type: str = ""
    error_message: str = ""
    at_ns: int | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a log says of the run as a whole."""

    agent: str | None = None
    agent_version: str | None = None
    model: str | None = None
    goal: str | None = None
    answer: str | None = None
    outcome: Outcome = Outcome.UNKNOWN
    error_type: str = ""
    error_message: str = ""
    start_ns: int | None = None
    end_ns: int | None = None
    tokens: Tokens | None = None
    """Of the whole run; used where no inference has its own."""
    cost_usd: float | None = None
    conversation_id: str | None = None
    user_id: str | None = None
    tool_definitions: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
