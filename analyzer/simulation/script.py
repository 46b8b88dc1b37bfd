"""What an agent is and what it does in one run, before anything about time, tokens or faults.

A `Role` is the fixed part (system prompt, tools, how it plans); its `plan` draws one `Script`: a goal, the tool calls
that reach it with the results they get, and the answer. Faults rewrite scripts; the engine plays them on a clock.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

_JSON_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as it is offered to the model."""

    name: str
    description: str
    parameters: Mapping[str, str]
    """Parameter name -> "str", "int", "float" or "bool"; all of them are required."""
    seconds: float
    """Median duration of one call."""

    def definition(self) -> dict[str, Any]:
        """Return the entry of `gen_ai.tool.definitions`."""
        return {
            "name": self.name,
            "description": self.description,
            "parameters": {
                "additionalProperties": False,
                "properties": {name: {"type": _JSON_TYPES[kind]} for name, kind in self.parameters.items()},
                "required": list(self.parameters),
                "type": "object",
            },
            "type": "function",
        }


@dataclass(frozen=True, slots=True)
class Failure:
    """How a call breaks: what stands in `error.type` and in the exception event."""

    error_type: str
    message: str


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call of a script and what comes back."""

    thought: str
    """What the model says as it makes the call; may be empty."""
    tool: str
    arguments: Mapping[str, Any]
    result: str
    wait_s: float = 0.0
    """Seconds that the agent waits before the call, as one that polls a job does."""
    same_round: bool = False
    """Issued in the same model reply as the call before it."""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """One run as it is meant to go."""

    goal: str
    calls: tuple[Call, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Confusion:
    """A wrong choice that the role is prone to: another tool, or another key argument of the same tool."""

    tool: str
    """Called in every script of the role."""
    wrong_tool: str
    """What is called in its place; the same as `tool` where only the argument is wrong."""
    right: str
    """Text in the arguments; replaced by `wrong`."""
    wrong: str
    result: str
    """What the wrong choice brings."""


@dataclass(frozen=True, slots=True)
class Material:
    """What full texts of a role are made of (`texts`). It draws from generators of its own."""

    subjects: tuple[str, ...]
    rules: tuple[str, ...]
    """Sentences of system prompt and tool descriptions; `{subject}` becomes each of the subjects."""
    heading: str
    """The line between a goal and what is attached to it."""
    thread: tuple[str, ...]
    """Lines that are attached to a goal; `{n}` becomes a number."""
    key: str
    """The member of a result that holds records; added where it has none."""
    record: Callable[[random.Random, str], object]
    """Draws one record that the tool of this name returns: JSON, or a line of text without quotes in it."""


@dataclass(frozen=True, slots=True)
class Role:
    """What kind of agent this is."""

    name: str
    system: str
    tools: tuple[Tool, ...]
    plan: Callable[[random.Random, int], Script]
    """Draws a script of about so many tool calls (at least one)."""
    dead_end: Callable[[random.Random], Call]
    """A call that can never succeed: what an agent stuck in a loop repeats."""
    main_tool: str
    """A tool that every script of the role calls: where tool faults strike unless they name another."""
    failure: Failure
    """How the main tool breaks."""
    confusion: Confusion
    material: Material

    def tool(self, name: str) -> Tool:
        """Return the tool of this name. Raises KeyError."""
        for tool in self.tools:
            if tool.name == name:
                return tool
        raise KeyError(name)


def chance(rng: random.Random, probability: float) -> bool:
    """Draw whether something of this probability happens."""
    return rng.random() < probability


def dumps(value: Any) -> str:
    """Return JSON as the GenAI instrumentations write it: compact, not escaped to ASCII."""
    return orjson.dumps(value).decode()
