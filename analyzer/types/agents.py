"""Agents as a registry knows them: what traces show of each, and what somebody said of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """What somebody said of an agent, whether it was seen or not."""

    agent: str
    owner: str = ""
    """A person or team; "" where nobody said."""
    contact: str = ""
    description: str = ""
    at: datetime | None = None
    """When it was last said; None: never."""


@dataclass(frozen=True, slots=True)
class Sighted:
    """One version, model or tool of an agent, and when it was in use."""

    value: str
    first: datetime
    last: datetime
    """Of versions and models by the hour, of tools by the day."""


@dataclass(frozen=True, slots=True)
class KnownAgent:
    """One agent of the inventory."""

    agent: str
    first_seen: datetime | None
    """None: registered, and not seen yet; or seen without times only."""
    last_seen: datetime | None
    versions: tuple[Sighted, ...] = ()
    """What was in use last comes first."""
    models: tuple[Sighted, ...] = ()
    tools: tuple[Sighted, ...] = ()
    """Those that were called."""
    entry: Entry | None = None
    is_seen: bool = True
    """Whether any trajectory of it ever came."""
