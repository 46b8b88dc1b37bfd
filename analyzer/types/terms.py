"""What a catalogue of agents lets the analyst do: it can only take away from what the settings give."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms on which an agent works; without any of them it works by its settings alone."""

    version: str = ""
    """By which whoever laid them down knows them again."""
    steps_max: int | None = None
    """Model calls of one conversation."""
    usd_max: float | None = None
    """USD of one run."""
    tools: frozenset[str] | None = None
    """The tools that may be used; None: whichever."""
    is_barred: bool = False
    """No model may be asked at all."""
