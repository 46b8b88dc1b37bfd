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
