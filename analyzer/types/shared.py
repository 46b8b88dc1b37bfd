"""A cause that several agents share: what it is, and which part of it each of them has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

SharedPart = Literal["tool", "model", "provider"]


@dataclass(frozen=True, slots=True, order=True)
class Shared:
    """Something that several agents use, which may be why they are hit."""

    what: SharedPart
    name: str
    said: str = ""
    """Of failures, the commonest error with numbers and ids folded: what fails in other words is another fault, also
    where two tools of two agents have one name."""


@dataclass(frozen=True, slots=True, order=True)
class Cause:
    """Something shared, at one time: the same provider may be down twice in a day."""

    shared: Shared
    since: datetime
    """The earliest onset that has it."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one of several agents has of an incident that they share."""

    agent: str
    kind: str
    """Of its foremost finding, whose figures these are."""
    onset: datetime
    observed: float
    """In `unit`."""
    expected: float
    unit: str
    affected: int
    """Trajectories hit, of the `of` concerned since the onset: 0 of 0 where only calls are known."""
    of: int
    excess_usd: float | None
    share: float
    """Of the money beyond the expected, where any is known: an agent of which it is not is put at the others' mean a
    trajectory hit. Else of the trajectories hit. The shares of an incident sum to 1."""
    owner: str = ""
    """Whose the agent is, as the registry said in the run that filed this; "" where nobody said."""
