"""When an incident began, and what else changed then: by the finding that dates it best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from analyzer.accounting.changes import rank_changes
from analyzer.triage.rules import EVENTS
from analyzer.types.report import Change, Examined, Finding, Kind

PRICE = "price"
"""A price is read from what was paid, and so is dated by whoever dates the rise."""
_UNDATED = EVENTS | {Kind.BUDGET}
"""Kinds whose onset is the moment of one trajectory, or that of a limit: nothing is estimated."""


def best_dated(lead: Finding, findings: Iterable[Finding]) -> Finding:
    """Return the finding of an incident whose onset is the best supported one: the foremost, or a sharper one.

    Every estimated onset has an interval of the moments that cannot be told from it (95 %, Wilks 1938; see
    `detectors/kernels/episode.py`). The narrowest has the most evidence behind it: steps that doubled overnight date a
    rise to the hour of which a heavy-tailed cost knows only the half-day. It counts where it may be the moment at which
    the foremost one began, that is where it lies in that one's interval: title and figures then have one beginning.
    Kinds that find single trajectories, and budgets, estimate nothing: they date no other finding, and no other dates
    them.
    """
    if lead.kind in _UNDATED or lead.began is not None:
        return lead
    others = [one for one in findings if one.kind not in _UNDATED and one.began is None and _may_date(one, lead)]
    return min([lead, *others], key=lambda one: one.onset_high - one.onset_low)


def changes_near(dated: Finding, sources: Sequence[Examined]) -> tuple[Change, ...]:
    """Return what changed near the onset of an incident, of all that was found near those of its findings.

    Each was found near the onset of its own finding, which may leave half a day open; what lies outside the interval of
    the best dated one is no candidate any more. What a comparison bears out stays where it came before the effect.
    """
    first = next((entry.changes for entry in sources if entry.changes), ())
    if dated.kind in _UNDATED or dated.began is not None:
        return first
    seen: dict[tuple[str, str | None], Change] = {}
    for change in (change for entry in sources for change in entry.changes):
        known = seen.setdefault((change.what, change.to_value), change)
        if change.borne_out and not known.borne_out:
            seen[change.what, change.to_value] = change
    found = [replace(change, at=dated.onset) if change.what == PRICE else change for change in seen.values()]
    places = next((entry.places for entry in sources if entry.places), ())
    ranked = rank_changes(found, dated.onset_low, dated.onset, dated.onset_high, places)
    proven = [one for one in found if one.borne_out and one not in ranked and one.at <= dated.onset_high]
    return (*proven, *ranked)


def since(lead: Finding, onset: datetime) -> Finding:
    """Return the foremost finding as it is told: from the incident's onset on, where that is a better date of it."""
    may_be = lead.onset_low <= onset <= lead.onset_high and (lead.recovered is None or onset < lead.recovered)
    # The figures of what is found in single trajectories count from the first of them, not from when it may have begun.
    return replace(lead, onset=onset) if may_be and lead.kind not in _UNDATED else lead


def _may_date(other: Finding, lead: Finding) -> bool:
    """Say whether another finding's onset lies where the foremost one may have begun."""
    may_be = lead.onset_low <= other.onset <= lead.onset_high
    return may_be and (lead.recovered is None or other.onset < lead.recovered)
