"""One simulated run of an agent: its steps with times, tokens and texts, ready for any wire format."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from analyzer.simulation.agents import Agent
from analyzer.simulation.script import Failure

REPLY_TOKENS_MAX = 4096
"""`max_tokens` of an ordinary request."""


@dataclass(frozen=True, slots=True)
class Inference:
    """One call of the model. Times are Unix nanoseconds; token counts are zero where it failed."""

    span_id: str
    start_ns: int
    end_ns: int
    model: str
    messages: str
    """The whole conversation so far, JSON."""
    reply: str
    """The reply, JSON; empty where it failed."""
    finish: str = "stop"
    response_id: str = ""
    input_tokens: int = 0
    """Includes what was read from and written to the cache."""
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    max_tokens: int = REPLY_TOKENS_MAX
    """The limit that the request set."""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One execution of a tool."""

    span_id: str
    start_ns: int
    end_ns: int
    tool: str
    description: str
    call_id: str
    arguments: str
    """JSON."""
    result: str
    failure: Failure | None = None

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True)
class AgentRun:
    """One goal handled by one agent: what becomes one trajectory.

    Not slotted: the sums are kept once they were asked for.
    """

    trace_id: str
    span_id: str
    """Of the root span."""
    agent: Agent
    version: str
    model: str
    prompt_version: str
    system: str
    start_ns: int
    end_ns: int
    goal: str
    answer: str
    """Empty where the run broke."""
    steps: tuple[Inference | ToolUse, ...]
    retries: int
    struck: frozenset[int]
    """Indexes of the fleet's faults that show in this run."""
    conversation_id: str
    user_id: str
    definitions: str = ""
    """The tools as the model is told of them, JSON; empty where the role's own words say all."""
    failure: Failure | None = None
    """What ended the run early."""
    passed: bool | None = None
    """What an evaluation said about the goal; None where there was none."""

    @cached_property
    def inferences(self) -> tuple[Inference, ...]:
        """The calls of the model."""
        return tuple(step for step in self.steps if isinstance(step, Inference))

    @cached_property
    def tool_uses(self) -> tuple[ToolUse, ...]:
        """The tool calls."""
        return tuple(step for step in self.steps if isinstance(step, ToolUse))

    @property
    def input_tokens(self) -> int:
        """Sum over the inferences."""
        return sum(step.input_tokens for step in self.inferences)

    @property
    def output_tokens(self) -> int:
        """Sum over the inferences."""
        return sum(step.output_tokens for step in self.inferences)

    @property
    def outcome(self) -> str:
        """How it ended: "error" where it broke, "failure" where an evaluation says so, else "success"."""
        if self.failure is not None:
            return "error"
        return "failure" if self.passed is False else "success"
