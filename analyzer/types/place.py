"""Where a rise is: a slice of the trajectories and what part of the rise it explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Way = Literal["rate", "mix", "volume"]
"""The slice became dearer, there is a larger part of it, or there is more of everything in it."""


@dataclass(frozen=True, slots=True)
class Place:
    """The smallest slice that explains a rise, or a part of it."""

    where: tuple[tuple[str, str], ...]
    """(dimension, value), one or two: version 2.4.0; task t1 and user u3."""
    way: Way
    share: float
    """Of the whole rise."""
    trajectories: int
    """In the slice now."""
    expected: float
    """Amount of one trajectory that was to be expected."""
    observed: float
    new: bool
    """Whether there was none of it before."""

    def value(self, dimension: str) -> str | None:
        """Return the value of a dimension, or None where the slice does not say."""
        return next((value for name, value in self.where if name == dimension), None)
