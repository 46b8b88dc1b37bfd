"""What a human said of an incident: kept apart from what runs compute, so that no run can overwrite it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Said(StrEnum):
    """What can be said."""

    DISMISSED = "dismissed"
    """It does not matter, or is none. It stays so until it is clearly worse."""
    CONFIRMED = "confirmed"
    """It is what it says it is."""
    MUTED = "muted"
    """It is known: no messages until a time."""
    UNMUTED = "unmuted"
    RESOLVED = "resolved"
    """It is over. What goes on all the same has regressed."""
    REOPENED = "reopened"
    """A dismissal or a resolution is taken back."""


@dataclass(frozen=True, slots=True)
class Word:
    """One thing that was said; the store numbers words in the order in which they came."""

    number: int
    said: Said
    at: datetime
    by: str
    reason: str = ""
    until: datetime | None = None
    """Of MUTED only."""


@dataclass(frozen=True, slots=True)
class Episode:
    """An earlier life of an incident that came back."""

    onset: datetime
    resolved_at: datetime
    observed: float
    """In the incident's unit, when it was last seen."""
