"""What a rule reports, and the bookkeeping that all rules share."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from analyzer.detectors.loops.classify import is_unseen
from analyzer.detectors.loops.sequence import Event, Made
from analyzer.types.steps import Step

UNSEEN_CERTAINTY = 0.6
"""Equal calls without recorded answers may each have brought something: at the limit of a rule this gives 0.45, just
enough to be reported."""


@dataclass(slots=True)
class Hit:
    """One rule, satisfied on one stretch; grows while the stretch goes on."""

    rule: str
    first: Step
    confirmed: Step
    """The step at which the rule's limit was reached: what comes after it is waste."""
    last: Step
    repeats: int
    limit: int
    period: int
    tool: str | None
    similarity: float
    """Upper bound of the confidence: 1 for equal hashes, less where texts are only alike."""
    examples: list[Step]
    unseen: bool = field(default=False, init=False)
    """Whether no answers were recorded, so that they cannot be said to be the same."""

    def __post_init__(self) -> None:
        """Be less sure of calls whose answers nobody recorded."""
        self.unseen = any(is_unseen(step) for step in self.examples)
        if self.unseen:
            self.similarity *= UNSEEN_CERTAINTY

    @property
    def confidence(self) -> float:
        """1 - 2^-(repeats - limit + 2): three quarters at the limit, more with each repeat."""
        return self.similarity * (1.0 - 0.5 ** (self.repeats - self.limit + 2))


@dataclass(slots=True)
class Streak:
    """Occurrences of one thing since something last made them worth counting anew."""

    steps: list[Step] = field(default_factory=list)
    count: int = 0
    hit: Hit | None = None

    def add(self, step: Step) -> None:
        """Count one more occurrence; the first two and the last are kept for quoting."""
        self.count += 1
        if len(self.steps) < 3:  # noqa: PLR2004 - first, second, last
            self.steps.append(step)
        else:
            self.steps[2] = step


class Rule(Protocol):
    """An automaton over the events of one trajectory."""

    def see(self, event: Event) -> None:
        """Take the next event."""

    @property
    def hits(self) -> Iterable[Hit]:
        """What it has found so far."""


@dataclass(slots=True)
class Streaks:
    """Streaks by key, and the hits they grow into."""

    rule: str
    limit: int
    similarity: float = 1.0
    found: list[Hit] = field(default_factory=list)
    open: dict[Hashable, Streak] = field(default_factory=dict)

    def add(self, key: Hashable, step: Step, *, tool: str | None, limit: int | None = None, period: int = 1) -> Streak:
        """Count an occurrence of `key`; at the limit a hit begins, beyond it the hit grows."""
        streak = self.open.setdefault(key, Streak())
        streak.add(step)
        limit = limit or self.limit
        if streak.hit is not None:
            streak.hit.last, streak.hit.repeats = step, streak.count
            streak.hit.examples = list(streak.steps)
        elif streak.count >= limit:
            streak.hit = Hit(
                rule=self.rule,
                first=streak.steps[0],
                confirmed=step,
                last=step,
                repeats=streak.count,
                limit=limit,
                period=period,
                tool=tool,
                similarity=self.similarity,
                examples=list(streak.steps),
            )
            self.found.append(streak.hit)
        return streak

    def drop(self, key: Hashable) -> None:
        """Forget what was counted of one key."""
        self.open.pop(key, None)

    def clear(self) -> None:
        """Forget everything counted; hits stay."""
        self.open.clear()


def is_progress(event: Event) -> bool:
    """Tell whether an event is work of its own, after which repeating a call can make sense."""
    return isinstance(event, Made) and (event.fresh_write or event.onward)
