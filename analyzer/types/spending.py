"""What the analyst may spend on its model: amounts, limits, and the seam through which each call asks for its share.

A call is paid for in three steps. Before it, its worst case is reserved; after it, what it used takes the place of the
worst case. What was reserved by a process that died stays spent: nobody knows whether its call was billed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol


class Scope(StrEnum):
    """What a limit is a limit of."""

    INVESTIGATION = "investigation"
    RUN = "run"
    DAY = "day"
    """From midnight to midnight UTC, by the clock and not by `--at`: money is spent now."""


@dataclass(frozen=True, slots=True)
class Amount:
    """What one call used, or may use at most."""

    tokens: int
    """Input, cached or not, and output."""
    usd: float | None
    """None where the model has no known price."""


NOTHING = Amount(0, 0.0)


@dataclass(frozen=True, slots=True)
class Allowance:
    """The limits of one scope; 0 allows nothing."""

    tokens: int
    usd: float


Allowances = Mapping[Scope, Allowance]


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The limit that a call would break."""

    scope: Scope
    unit: Literal["usd", "tokens"]
    limit: float
    taken: float
    """Spent, and reserved by calls whose end is not known."""
    asked: float
    """The worst case of the call."""

    def __str__(self) -> str:
        """Read as in a report: `the day's $5 are taken up to $4.9812, and this call may need $0.0431`."""
        whose = "this investigation's" if self.scope is Scope.INVESTIGATION else f"the {self.scope.value}'s"
        if self.unit == "usd":
            taken, asked = f"${self.taken:.4f}", f"${self.asked:.4f}"
            return f"{whose} ${self.limit:g} are taken up to {taken}, and this call may need {asked}"
        taken, asked = f"{self.taken:,.0f}", f"{self.asked:,.0f}"
        return f"{whose} {self.limit:,.0f} tokens are taken up to {taken}, and this call may need {asked}"


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a day, after what is spent and reserved; never below 0."""

    tokens: int
    usd: float


@dataclass(frozen=True, slots=True)
class ModelUse:
    """What the analyst itself spent on the model."""

    calls: int = 0
    input_tokens: int = 0
    """Includes cache reads and writes."""
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    """None where the model has no known price."""
    budget_usd: float = 0.0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    left: Left | None = None
    """What is left of the day for all runs and questions; None where no model could be asked."""


class Purse(Protocol):
    """Holds the limits. Safe to use from several threads, and from several processes over one store."""

    def refusal(self, about: str, most: Amount) -> Exhausted | None:
        """Return the limit that a call would break, or None. `about` names the investigation. Raises StoreError."""

    def reserve(self, about: str, most: Amount) -> int | Exhausted:
        """Reserve the worst case of a call and return the number of the reservation. Raises StoreError."""

    def settle(self, reservation: int, used: Amount) -> None:
        """Put what a call used in the place of its worst case. Only the first time counts. Raises StoreError."""

    def left(self) -> Left | None:
        """Return what is left today; None where nothing is held. Raises StoreError."""


class Unlimited:
    """A purse without a bottom, for conversations that cost nothing: scripted and replayed ones."""

    def refusal(self, about: str, most: Amount) -> Exhausted | None:  # noqa: ARG002 - see Purse
        """Refuse nothing."""
        return None

    def reserve(self, about: str, most: Amount) -> int | Exhausted:  # noqa: ARG002 - see Purse
        """Reserve nothing."""
        return 0

    def settle(self, reservation: int, used: Amount) -> None:
        """Settle nothing."""

    def left(self) -> Left | None:
        """Hold nothing."""
        return None
