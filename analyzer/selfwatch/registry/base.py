"""What every registry takes: an agent that says what it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Skill:
    """Something an agent can be asked for."""

    id: str
    name: str
    description: str
    tags: tuple[str, ...]
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Registration:
    """What an agent, or somebody for it, says of it. None: nothing is said, and what was said before stands."""

    name: str
    """As in its spans."""
    owner: str | None = None
    contact: str | None = None
    description: str | None = None
    version: str | None = None
    model: str | None = None
    """None also for an agent that asks no model."""
    url: str | None = None
    """Where it is reached."""
    needs_token: bool = False
    """Whether it takes a bearer token there."""
    tools: tuple[str, ...] = ()
    skills: tuple[Skill, ...] = ()


class Registry(Protocol):
    """Keeps which agents there are."""

    def register(self, registration: Registration) -> None:
        """Make an agent known, or bring what is known of it up to date. Raises AnalyzerError."""
