"""What was said about incidents, and why: the memory of delivery, and what one run adds to it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from analyzer.types.report import Gap, Incident, Kind, Report, Severity, State

HELD_BACK = "held back"
"""The note of a report that says which messages wait, and why."""
NAMED_MAX = 20
"""Messages named in that note before the rest is counted."""


Figures = tuple[tuple[str, float | None], ...]
"""Agents, each with its figure; None where it has none of that kind."""


class Reason(StrEnum):
    """Why a message is sent."""

    FIRST_SEEN = "FIRST_SEEN"
    GOT_WORSE = "GOT_WORSE"
    RESOLVED = "RESOLVED"
    REGRESSED = "REGRESSED"
    REMINDER = "REMINDER"
    DIGEST = "DIGEST"
    """It is one of several that one message tells together. In the memory only: each has its own reason beside it."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What was last said about an incident on one route."""

    reason: Reason
    at: datetime
    state: State
    severity: Severity
    observed: float
    kind: Kind | None = None
    """Of what `observed` is; None: not known, it was sent by an older release."""
    figures: Figures = ()
    """What each agent had of it; empty: not known."""


def figures_of(incident: Incident, kind: Kind) -> Figures:
    """Return what each agent of an incident has of a kind, in the order in which they are named; None: nothing.

    What several agents share is observed as their mean, which is no figure of any one of them.
    """
    if incident.agents:
        return tuple((part.agent, _finite(part.observed) if part.kind == kind else None) for part in incident.agents)
    own = (one.value for one in incident.findings if one.kind is kind)
    value = incident.observed if incident.kind is kind else next(own, math.nan)
    return tuple((agent, _finite(value)) for agent in incident.concerned)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one run said about an incident on one route."""

    incident_id: str
    route: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Held:
    """What one run did not say yet."""

    incident_id: str
    route: str
    reason: Reason
    why: str
    """And until when, in a few words."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one run said, what it holds back, and what it could not say."""

    deliveries: tuple[Delivery, ...] = ()
    gaps: tuple[Gap, ...] = ()
    held: tuple[Held, ...] = ()
    missed: tuple[tuple[str, int], ...] = ()
    """Routes that failed, each with how many messages were not delivered on it."""

    def told_in(self, report: Report) -> Report:
        """Return the report with what was not said: as gaps what failed, as a note what waits."""
        notes = {**report.notes, HELD_BACK: self._waiting()} if self.held else report.notes
        return replace(report, gaps=(*report.gaps, *self.gaps), notes=notes)

    def _waiting(self) -> str:
        named = [f"{one.route}: {one.reason.value} {one.incident_id} ({one.why})" for one in self.held[:NAMED_MAX]]
        more = len(self.held) - len(named)
        return "; ".join([*named, f"and {more} more"] if more else named)


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
