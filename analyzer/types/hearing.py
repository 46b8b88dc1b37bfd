"""Incidents as humans left them: what was said of one since a run last kept it, laid over what the run computed.

A run that began before somebody spoke knows nothing of it and keeps the incident as it sees it. The word is numbered,
the kept form says up to which number it has heard, and whoever reads it hears the rest: no order of the two loses it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from analyzer.types.report import ACTIVE, Incident, State
from analyzer.types.word import Said, Word


def heard(incident: Incident, words: Iterable[Word]) -> Incident:
    """Return an incident after words, oldest first; those that its form has heard already change nothing."""
    for word in words:
        if word.number > incident.heard:
            incident = replace(_after(incident, word), heard=word.number)
    return incident


def _after(incident: Incident, word: Word) -> Incident:
    if word.said is Said.MUTED:
        return replace(incident, muted_until=word.until)
    if word.said is Said.UNMUTED:
        return replace(incident, muted_until=None)
    if word.said is Said.DISMISSED:
        return replace(incident, state=State.DISMISSED, resolved_at=None, word=word)
    if word.said is Said.RESOLVED:
        return replace(incident, state=State.RESOLVED, resolved_at=word.at, word=word)
    if word.said is Said.REOPENED:
        state = incident.state if incident.state in ACTIVE else State.ONGOING
        return replace(incident, state=state, resolved_at=None, word=word)
    # A confirmation takes back a dismissal; that something is over it does not deny.
    state = State.ONGOING if incident.state is State.DISMISSED else incident.state
    return replace(incident, state=state, word=word)
