"""What the rules of loops see in a trajectory, as it is handed on and remembered: values, without a step's texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from analyzer.types.steps import Step

POLLS_MIN = 4
"""Equal calls with equal answers that would be a loop if they were no polls (rule `repeat_same_call`)."""
WORST_KEPT = 10
"""Trajectories with a loop of one agent and tool whose steps are at hand to be quoted; by default three are."""


@dataclass(frozen=True, slots=True)
class Loop:
    """One stretch of a trajectory that repeats itself."""

    rule: str
    first_step: int
    """1-based numbers of the first and last step of the stretch."""
    last_step: int
    repeats: int
    limit: int
    """Repeats at which the rule fires."""
    period: int
    """Calls, words or hand-offs in one turn of it."""
    tool: str | None
    example_span_ids: tuple[str, ...]
    """First, second and last occurrence."""
    wasted_steps: int
    """Steps after the one at which the limit was reached: what an agent that noticed would have saved."""
    wasted_usd: float
    wasted_tokens: int
    confidence: float
    """0 to 1: 1 - 2^-(repeats - limit + 2), less where texts are only alike."""
    what: str
    """One phrase for people."""
    began_ns: int | None
    """When its first step started, in Unix nanoseconds."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What there is to see in one trajectory: nothing, by default."""

    loops: tuple[Loop, ...] = ()
    """By any rule, however unsure, in order."""
    polls: int = 0
    """The most equal polls with equal answers; 0 for fewer than `POLLS_MIN`, which only waiting explains."""

    @property
    def is_quiet(self) -> bool:
        """Whether it is as if it had no steps: nobody has to see them again."""
        return not self.loops and not self.polls


@dataclass(frozen=True, slots=True)
class Suspect:
    """A trajectory that repeats enough to be worth a closer look."""

    steps: tuple[Step, ...]
    """None where there is nothing to see in them."""
    looked: Looked | None
    """None where nobody looked."""


Badness = tuple[float, int, int, str, int]


def badness(trace_id: str, loop: Loop) -> Badness:
    """Sort by money wasted, then steps wasted, then repeats; ties by id, so that the order never changes."""
    return (-loop.wasted_usd, -loop.wasted_steps, -loop.repeats, trace_id, loop.first_step)


def worst(looked: Mapping[str, Looked], agents: Mapping[str, str], kept: int = WORST_KEPT) -> set[str]:
    """Return the trajectories whose loops are quoted: for each agent and tool so many, the worst.

    They are so whatever confidence a detector asks for: a loop counts among those that are at least as sure.
    """
    groups: dict[tuple[str, str | None], list[tuple[Badness, float]]] = defaultdict(list)
    for trace_id, one in looked.items():
        for loop in one.loops:
            groups[agents[trace_id], loop.tool].append((badness(trace_id, loop), loop.confidence))
    return {trace_id for group in groups.values() for trace_id in _foremost(sorted(group), kept)}


def _foremost(ranked: list[tuple[Badness, float]], kept: int) -> set[str]:
    """Return the trajectories before which fewer than `kept` others have a loop that is as sure."""
    surest: list[tuple[float, str]] = []
    """Confidence and trajectory of those that came before: one more than count, each by its surest loop."""
    found = set()
    for (_, _, _, trace_id, _), confidence in ranked:
        others = [one for one in surest if one[1] != trace_id]
        if sum(level >= confidence for level, _ in others) < kept:
            found.add(trace_id)
        own = max((level for level, other in surest if other == trace_id), default=confidence)
        surest = sorted([*others, (max(own, confidence), trace_id)], reverse=True)[: kept + 1]
    return found
