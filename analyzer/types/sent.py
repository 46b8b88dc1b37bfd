"""What was said about incidents, and why: the memory of delivery."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from analyzer.types.report import Severity, State


class Reason(StrEnum):
    """Why a message is sent."""

    FIRST_SEEN = "FIRST_SEEN"
    GOT_WORSE = "GOT_WORSE"
    RESOLVED = "RESOLVED"
    REGRESSED = "REGRESSED"


@dataclass(frozen=True, slots=True)
class Sent:
    """What was last said about an incident on one route."""

    reason: Reason
    at: datetime
    state: State
    severity: Severity
    observed: float


@dataclass(frozen=True, slots=True)
class Thread:
    """Where in a chat an incident is spoken of."""

    channel: str
    """As the setting names it: where another is set, a new thread is begun there."""
    channel_id: str
    """As the chat names it: editing needs this one."""
    ts: str
    """The message that began the thread; Slack's time stamps are names, not numbers."""
    said: str
    """Names what was posted last: after a crash before its record it is not posted again."""
