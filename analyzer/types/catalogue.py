"""What is known of a detector besides what it finds: its settings, their reasons, and how often it was right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analyzer.types.report import Kind

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a detector, as it holds for every agent that no pattern names."""

    name: str
    value: Any
    default: Any
    source: str
    """"default", or the file that set it."""
    why: str
    """What it means and where its value comes from; empty where its name says all."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What became of a detector's incidents."""

    incidents: int
    """Filed with a finding of this detector as the foremost."""
    dismissed: int
    """By a human."""
    confirmed: int = 0
    """By a human."""

    @property
    def precision(self) -> float | None:
        """The share that no human dismissed; None while nobody has judged any."""
        return 1 - self.dismissed / self.incidents if self.dismissed or self.confirmed else None


@dataclass(frozen=True, slots=True)
class Entry:
    """One detector of the catalogue."""

    name: str
    kind: Kind
    looks_at: str
    origin: str
    """The module that it comes from."""
    enabled: bool
    settings: tuple[Setting, ...]
    agents: tuple[tuple[str, Mapping[str, Any]], ...]
    """Patterns of agents and what is set for them, the weakest first."""
    verdicts: Verdicts
