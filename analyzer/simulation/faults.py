"""Faults and look-alikes: what is done to an agent, from when to when, and the record of the truth.

Faults compose: each one that is active when a run starts rewrites the run's `Effects`, in order of their onset.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from analyzer.errors import UsageError
from analyzer.simulation.script import Failure, Role


class FaultKind(StrEnum):
    """What goes wrong."""

    COST_STEP = "cost-step"
    """More tokens per step, more steps per run, or both; usually with a new version or prompt."""
    MODEL_SWITCH = "model-switch"
    """The same work on another, dearer model."""
    LOOP = "loop"
    """A share of the runs repeats one call with one result 12 to 30 times and gives up."""
    ERROR_BURST = "error-burst"
    """A share of the runs breaks: by the tool named, else by the model's provider (HTTP 529)."""
    TOOL_ERRORS = "tool-errors"
    """A share of the calls of a tool fails; the agent carries on without them."""
    RETRY_STORM = "retry-storm"
    """In a share of the runs a call fails 4 to 9 times before it succeeds: a tool's, else the model's."""
    SLOW_TOOL = "slow-tool"
    """Calls of a tool take `factor` times as long."""
    SILENCE = "silence"
    """No run starts."""
    WRONG_TOOL = "wrong-tool"
    """A share of the runs picks the role's wrong choice: another tool, or another table."""
    SUCCESS_DROP = "success-drop"
    """A share of the runs misses its goal: the evaluation says so, no span fails."""
    LATENCY = "latency"
    """Replies of the model take `factor` times as long."""
    TRUNCATION = "truncation"
    """A share of the final replies is cut at the token limit."""
    PRICE_RISE = "price-rise"
    """From the onset on the agents' model costs `factor` times as much; spans carry no prices: `Fleet.price_rises`."""


class LoopPattern(StrEnum):
    """What a loop looks like from outside."""

    SAME = "same"
    """The same call with the same result, letter for letter."""
    NOISY = "noisy"
    """The same, but every result carries a request id of its own."""
    CYCLE = "cycle"
    """Two calls in turn, each with the same result every time."""


class DecoyKind(StrEnum):
    """What looks like a fault and is none."""

    DEPLOY = "deploy"
    """A new version that behaves as the old one did."""
    RUSH = "rush"
    """`factor` times the usual traffic; every run is as ever."""
    QUIET_WEEKEND = "quiet-weekend"
    """On Saturdays and Sundays (UTC) the traffic is divided by `factor`."""
    PRICE_FALL = "price-fall"
    """Before the onset the agent's model cost `factor` times as much; spans carry no prices: `Fleet.price_falls`."""


OVERLOADED = Failure(
    "anthropic.OverloadedError",
    "Error code: 529 - {'type': 'error', 'error': {'type': 'overloaded_error', 'message': 'Overloaded'}}",
)
RATE_LIMITED = Failure(
    "anthropic.RateLimitError",
    "Error code: 429 - {'type': 'error', 'error': {'type': 'rate_limit_error', 'message': 'Too many requests'}}",
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one agent over [onset, end). Fields that a kind does not use are ignored by it."""

    kind: FaultKind
    agent: str
    onset: datetime
    end: datetime | None = None
    """None: still open at the fleet's "now"."""
    share: float = 1.0
    """Part of the runs (tool-errors: of the tool's calls) that is hit, in (0, 1]."""
    tool: str | None = None
    """None: the role's main tool for the tool faults, the model for error-burst and retry-storm."""
    version: str | None = None
    """Agent version shipped with the fault."""
    model: str | None = None
    prompt_version: str | None = None
    prompt: str = ""
    """Added to the system prompt."""
    context: str = ""
    """Loaded into the first message; `{n}` becomes a running number, one line each for 12 lines; in full texts as many
    lines as fill what the run is sent more."""
    input_factor: float = 1.0
    """On the input tokens of every inference."""
    output_factor: float = 1.0
    steps_factor: float = 1.0
    """On the number of tool calls per run."""
    factor: float = 5.0
    """On durations, for slow-tool and latency."""
    pattern: LoopPattern = LoopPattern.SAME
    """Of a loop."""
    message: str | None = None
    """What the failing call says; None: what the role's main tool says when it breaks."""
    error_type: str | None = None
    also: tuple[str, ...] = ()
    """Other agents that are hit in the same way at the same time: what they have in common is the cause."""

    def __post_init__(self) -> None:
        """Refuse what could not be simulated. Raises UsageError."""
        where = f"fault {self.kind} of {self.agent}"
        object.__setattr__(self, "also", tuple(self.also))
        if len(set(self.agents)) <= len(self.also):
            raise UsageError(f"{where}: also names an agent twice; name each once")
        if self.pattern not in set(LoopPattern):
            raise UsageError(f"{where}: unknown pattern {self.pattern}; known are {', '.join(LoopPattern)}")
        if not 0 < self.share <= 1:
            raise UsageError(f"{where}: share is {self.share}; give a share in (0, 1]")
        if self.end is not None and self.end <= self.onset:
            raise UsageError(f"{where}: it ends before it begins; set end after onset")
        for name in ("input_factor", "output_factor", "steps_factor", "factor"):
            if not 0 < getattr(self, name) <= FACTOR_MAX:
                raise UsageError(f"{where}: {name} is {getattr(self, name)}; give a factor in (0, {FACTOR_MAX:g}]")

    @property
    def agents(self) -> tuple[str, ...]:
        """Every agent that is hit."""
        return (self.agent, *self.also)

    def active(self, at: datetime) -> bool:
        """Say whether a run that starts at this moment can be hit."""
        return self.onset <= at and (self.end is None or at < self.end)


FACTOR_MAX = 100.0
"""No factor beyond this: a fleet with a typo in it must not fill the disk."""


@dataclass(frozen=True, slots=True)
class Decoy:
    """One look-alike of one agent over [onset, end)."""

    kind: DecoyKind
    agent: str
    onset: datetime
    end: datetime | None = None
    version: str | None = None
    factor: float = 3.0

    def __post_init__(self) -> None:
        """Refuse what could not be simulated. Raises UsageError."""
        where = f"decoy {self.kind} of {self.agent}"
        if self.kind in (DecoyKind.QUIET_WEEKEND, DecoyKind.PRICE_FALL) and self.factor < 1:
            raise UsageError(f"{where}: it divides by factor, which is {self.factor}; give a factor of at least 1")
        if self.kind is DecoyKind.DEPLOY and not self.version:
            raise UsageError(f"{where}: it names no version; add version")
        if self.end is not None and self.end <= self.onset:
            raise UsageError(f"{where}: it ends before it begins; set end after onset")
        if not 0 < self.factor <= FACTOR_MAX:
            raise UsageError(f"{where}: factor is {self.factor}; give a factor in (0, {FACTOR_MAX:g}]")

    def active(self, at: datetime) -> bool:
        """Say whether a run that starts at this moment belongs to it."""
        return self.onset <= at and (self.end is None or at < self.end)


@dataclass(frozen=True, slots=True)
class Truth:
    """What an analyst should have found."""

    kind: FaultKind
    agent: str
    tool: str | None
    """The tool at fault, None where it is none."""
    version: str | None
    """The version that brought the fault, None where none did."""
    onset: datetime
    end: datetime | None
    trace_ids: tuple[str, ...]
    """Finished trajectories that show the fault, in order of their start. Silence has none."""
    model: str | None = None
    """The model that brought the fault, None where none did."""
    also: tuple[str, ...] = ()
    """Other agents that were hit by it."""

    @property
    def agents(self) -> frozenset[str]:
        """Every agent that was hit."""
        return frozenset((self.agent, *self.also))

    @property
    def visible(self) -> bool:
        """Whether there is anything to see: a fault that struck no run, or ran in an idle hour, cannot be found."""
        return self.kind is FaultKind.SILENCE or bool(self.trace_ids)


@dataclass(frozen=True, slots=True)
class Breakage:
    """A failure that strikes the calls of one tool, or those of the model where `tool` is None."""

    fault: int
    """Index of the fault, -1 for the background rate."""
    tool: str | None
    failure: Failure
    fatal: bool = False
    """The run ends with it."""
    per_call: float = 1.0
    """Chance that a call is struck."""
    times: int = 1
    """How often a struck call fails before it succeeds; not used where `fatal`."""
    once: bool = True
    """Only the first matching call of a run is struck, and it is retried; else each may be, and none is."""


@dataclass(frozen=True, slots=True)
class Effects:
    """What a run is subject to, once every active fault and decoy has had its say."""

    version: str
    model: str
    prompt_version: str
    prompt: str = ""
    context: str = ""
    input_factor: float = 1.0
    output_factor: float = 1.0
    steps_factor: float = 1.0
    model_seconds_factor: float = 1.0
    tool_seconds: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """Tool -> index of the fault and factor on its durations."""
    breakages: tuple[Breakage, ...] = ()
    loops: int = 0
    """How often the dead end is tried; 0 for runs that do not loop."""
    pattern: LoopPattern = LoopPattern.SAME
    confused: int | None = None
    """Index of the fault that makes the run take the wrong choice."""
    missed: int | None = None
    """Index of the fault that makes the run miss its goal; shows only where an evaluation judges the run."""
    truncated: bool = False
    struck: frozenset[int] = frozenset()
    """Indexes of the faults that this run is sure to show; tool faults are added when a call meets them."""


def tool_of(fault: Fault, role: Role) -> str | None:
    """Return the tool a fault is about, None where it is about no tool."""
    if fault.kind in (FaultKind.TOOL_ERRORS, FaultKind.SLOW_TOOL):
        return fault.tool or role.main_tool
    if fault.kind is FaultKind.WRONG_TOOL:
        return role.confusion.wrong_tool
    if fault.kind in (FaultKind.ERROR_BURST, FaultKind.RETRY_STORM):
        return fault.tool
    return None


def apply(effects: Effects, faults: Iterable[tuple[int, Fault]], role: Role, rng: random.Random) -> Effects:
    """Return the effects with the active faults (index, fault) added, drawing for each whether it strikes.

    A share is drawn even where it is 1, so that changing one fault's share leaves the other draws alone.
    """
    for index, fault in faults:
        drawn, count = rng.random(), rng.random()
        effects = replace(
            effects,
            version=fault.version or effects.version,
            prompt_version=fault.prompt_version or effects.prompt_version,
        )
        if fault.kind is FaultKind.TOOL_ERRORS or drawn < fault.share:
            effects = _strike(effects, index, fault, role, count)
    return effects


def _strike(effects: Effects, index: int, fault: Fault, role: Role, drawn: float) -> Effects:
    """Add one fault to the effects; `drawn` in [0, 1) sizes what has a size."""
    changes: dict[str, Any] = {"struck": effects.struck | {index}}
    match fault.kind:
        case FaultKind.COST_STEP | FaultKind.MODEL_SWITCH:
            changes |= {
                "model": fault.model or effects.model,
                "prompt": " ".join(filter(None, (effects.prompt, fault.prompt))),
                "context": fault.context or effects.context,
                "input_factor": effects.input_factor * fault.input_factor,
                "output_factor": effects.output_factor * fault.output_factor,
                "steps_factor": effects.steps_factor * fault.steps_factor,
            }
        case FaultKind.LOOP:
            changes |= {"loops": 12 + int(19 * drawn), "pattern": fault.pattern}
        case FaultKind.LATENCY:
            changes["model_seconds_factor"] = effects.model_seconds_factor * fault.factor
        case FaultKind.SUCCESS_DROP:
            changes = {"missed": index}
        case FaultKind.TRUNCATION:
            changes["truncated"] = True
        case FaultKind.WRONG_TOOL:
            changes = {"confused": index}
        case FaultKind.SLOW_TOOL:
            slow = {fault.tool or role.main_tool: (index, fault.factor)}
            changes = {"tool_seconds": {**effects.tool_seconds, **slow}}
        case FaultKind.ERROR_BURST | FaultKind.RETRY_STORM | FaultKind.TOOL_ERRORS:
            changes = {"breakages": (*effects.breakages, _breakage(index, fault, role, drawn))}
        case FaultKind.SILENCE:
            changes = {}
    return replace(effects, **changes)


def _breakage(index: int, fault: Fault, role: Role, drawn: float) -> Breakage:
    tool = tool_of(fault, role)
    usual = role.failure if tool else RATE_LIMITED if fault.kind is FaultKind.RETRY_STORM else OVERLOADED
    return Breakage(
        fault=index,
        tool=tool,
        failure=Failure(fault.error_type or usual.error_type, fault.message or usual.message),
        fatal=fault.kind is FaultKind.ERROR_BURST,
        per_call=fault.share if fault.kind is FaultKind.TOOL_ERRORS else 1.0,
        times=4 + int(6 * drawn) if fault.kind is FaultKind.RETRY_STORM else 1,
        once=fault.kind is not FaultKind.TOOL_ERRORS,
    )
