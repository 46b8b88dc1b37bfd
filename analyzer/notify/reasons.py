"""Why a message would be sent, decided from the incident and what was last said about it. Pure."""

from __future__ import annotations

import math
from datetime import datetime

from analyzer.types.policy import AT_ONCE, Policy
from analyzer.types.report import Incident, Kind, State
from analyzer.types.sent import Reason, Sent, figures_of
from analyzer.types.word import Said
from analyzer.types.worse import WORSE_FACTOR, clearly_worse


def reason(
    incident: Incident, last: Sent | None, *, at: datetime, silent: bool = False, policy: Policy = AT_ONCE
) -> Reason | None:
    """Return why to send a message about an incident on a route as of `at`, or None where there is nothing to say.

    `last` is what was last said there. Only what was said counts, not what was decided: a message that was due but
    failed is still due, and so is one that would have come while the incident was muted. A change is said once; an
    unchanged incident is only repeated as the route's `policy` wants to be reminded. While the whole fleet is `silent`
    nothing else gets worse: nothing of it is seen.
    """
    muted = incident.muted_until is not None and at < incident.muted_until
    if muted or incident.state is State.DISMISSED:
        return None
    if last is None:
        return Reason.FIRST_SEEN
    if incident.state is State.RESOLVED:
        return _of_resolved(incident, last)
    if last.state is State.RESOLVED:
        return Reason.REGRESSED
    unseen = silent and not is_fleets_silence(incident)
    if _is_overruled(incident, last) or (not unseen and _rose(incident, last)):
        return Reason.GOT_WORSE
    return Reason.REMINDER if _is_forgotten(incident, last, at, policy) else None


def is_fleets_silence(incident: Incident) -> bool:
    """Say whether an incident is the whole fleet's silence; one that several agents share names them."""
    return incident.kind is Kind.SILENCE and not incident.concerned


def _is_overruled(incident: Incident, last: Sent) -> bool:
    """Say whether a dismissal was overruled, which a run does of what is clearly worse, and nothing was said since."""
    word = incident.word
    return word is not None and word.said is Said.DISMISSED and last.at <= word.at


def _rose(incident: Incident, last: Sent) -> bool:
    return incident.severity.rank > last.severity.rank or has_spread(incident, last) or _figure_rose(incident, last)


def has_spread(incident: Incident, last: Sent) -> bool:
    """Say whether clearly more agents have it than when it was last spoken of: half as many again."""
    before, now = len(last.figures), len(incident.concerned)
    return 0 < before < now and now >= WORSE_FACTOR * before


def _figure_rose(incident: Incident, last: Sent) -> bool:
    """Say whether the figure is clearly worse, of one kind and in the agents that were spoken of.

    Whoever joins changes the mean of several, and the foremost finding may be another one by now: neither is a rise.
    """
    kind = last.kind or incident.kind
    then, now = dict(last.figures), dict(figures_of(incident, kind))
    pairs = [(old, new) for agent, old in then.items() if old is not None and (new := now.get(agent)) is not None]
    if pairs:
        return clearly_worse(kind, *(math.fsum(side) / len(pairs) for side in zip(*pairs, strict=True)))
    # A message of an older release tells no more, and the fleet's own silence has no agent.
    told = not last.figures and kind is incident.kind
    return told and clearly_worse(kind, last.observed, incident.observed)


def _of_resolved(incident: Incident, last: Sent) -> Reason | None:
    if last.state is not State.RESOLVED:
        return Reason.RESOLVED
    # It came back and was over again between two messages.
    return Reason.REGRESSED if incident.onset > last.at else None


def _is_forgotten(incident: Incident, last: Sent, at: datetime, policy: Policy) -> bool:
    """Say whether what goes on is bad enough to be told again. Who confirmed it knows of it, and needs no reminder."""
    if policy.remind_after is None or incident.severity.rank < policy.reminder.rank:
        return False
    known = incident.word is not None and incident.word.said is Said.CONFIRMED
    return not known and at - last.at >= policy.remind_after
