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
    if word.said in {Said.MUTED, Said.UNMUTED}:
        return replace(incident, muted_until=word.until)
    if word.said is Said.REOPENED:
        return incident if incident.state in ACTIVE else _reopened(incident, word)
    # A confirmation takes back a dismissal; that something is over it does not deny.
    confirmed = State.ONGOING if incident.state is State.DISMISSED else incident.state
    state = {Said.DISMISSED: State.DISMISSED, Said.RESOLVED: State.RESOLVED}.get(word.said, confirmed)
    over = {Said.DISMISSED: None, Said.RESOLVED: word.at}.get(word.said, incident.resolved_at)
    return replace(incident, state=state, resolved_at=over, word=word)


def _reopened(incident: Incident, word: Word) -> Incident:
    # Seen by a human just now: it is not over again for having been quiet before.
    seen_at = max(incident.last_seen_at, word.at)
    return replace(incident, state=State.ONGOING, resolved_at=None, word=word, last_seen_at=seen_at)
