"""What the walk asks of a kind of series, and what a kind of series answers: masks in, statistics per tick out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from analyzer.detectors.kernels.grid import Bools, Floats, Grid

BaselineT = TypeVar("BaselineT")


@dataclass(frozen=True, slots=True)
class Masks:
    """Ticks of closed episodes, shape (ticks,) each."""

    episodes: Bools
    """All of them: what is not normal."""
    lasting: Bools
    """Those too long to be a scheduled job, and all ticks since the onset of an open one: what is not to be expected
    again a week later."""


@dataclass(frozen=True, slots=True)
class Cusum:
    """One CUSUM over the ticks of a view; all arrays have shape (ticks,)."""

    kernel: str
    threshold: float
    up: Floats
    """Log-likelihood ratio of "risen" against "as usual", per tick."""
    effect: Floats
    """Deviation from the baseline."""
    precision: Floats
    """Inverse variance of `effect`; 0 where no unit was seen."""
    gain: Callable[[], Floats]
    """The log-likelihood gained by a change at each tick: what dates an onset."""


@dataclass(frozen=True, slots=True)
class Block:
    """A rule that looks back over a fixed window at every tick; arrays have shape (ticks,)."""

    kernel: str
    threshold: float
    score: Floats
    """In nats."""
    fires: Bools
    width: int
    """Ticks it looks back over: the onset lies within."""


class View(Protocol):
    """Ticks [start, stop) judged by one baseline."""

    @property
    def cusums(self) -> tuple[Cusum, ...]:
        """The CUSUMs; never empty."""

    def blocks(self) -> tuple[Block, ...]:
        """Return the rules over fixed windows."""

    def rises(self, first: int, last: int) -> bool:
        """Tell whether the effect over ticks [first, last] is large enough to matter to anyone."""

    def back(self, index: int, size: float) -> Floats:
        """Return the log-likelihood ratio of "as usual" against "off by half of `size`" per tick, for CUSUM `index`.

        Half, because the size was measured where it was largest; never less than the shift the CUSUM looks for.
        """

    def settled(self, tick: int) -> bool:
        """Tell whether the last hours up to a tick look as usual."""


class Model(Protocol[BaselineT]):
    """What the walk needs to know of a kind of series."""

    @property
    def grid(self) -> Grid:
        """The series."""

    @property
    def warm(self) -> int:
        """The first tick that may be judged: what lies before is only learnt from."""

    def baseline(self, day: int, masked: Bools) -> BaselineT | None:
        """Learn what is normal on a day of the grid, or return None where the history is too short."""

    def view(self, baseline: BaselineT, start: int, stop: int, masks: Masks) -> View:
        """Judge ticks [start, stop) by a baseline. Ticks of earlier episodes count as unseen."""
