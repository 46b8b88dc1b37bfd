"""Which incidents carry an alert that came in: those that went on, about the same agent, while it fired. Pure.

That both happened is all that is said: an alert neither makes an incident nor changes one beside the note on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from analyzer.types.alerts import PrometheusAlert
from analyzer.types.report import ACTIVE, Incident, Kind

LEAD = timedelta(hours=1)
"""A rule speaks of what was before it fires: its range and its `for`, together hardly more than an hour."""
FLEET_LEAD = timedelta(days=1)
"""An alert without an agent is held against what began within this time before it: older things are not its news."""
CARRYING_MAX = 5
"""Incidents that carry one alert, worst first."""
CARRIED_MAX = 20
"""Alerts that one incident carries, the latest: a rule that flaps all night is known by then."""


def carriers(alert: PrometheusAlert, incidents: Iterable[Incident], at: datetime) -> tuple[Incident, ...]:
    """Return the incidents that an alert is noted on, in their order.

    Of an alert that names an agent those that concern it, the silence of the whole fleet included. Of one that names
    none those of the fleet or of several agents; where there is none, those that began about when it did.
    """
    overlapping = [one for one in incidents if _overlaps(alert, one, at)]
    if alert.agent is not None:
        found = [one for one in overlapping if alert.agent in one.concerned or _is_fleets_silence(one)]
    else:
        of_fleet = [one for one in overlapping if one.agents or not one.concerned]
        found = of_fleet or [one for one in overlapping if one.onset >= alert.starts_at - FLEET_LEAD]
    return tuple(found[:CARRYING_MAX])


def with_alerts(incidents: Sequence[Incident], carried: Mapping[str, Sequence[PrometheusAlert]]) -> list[Incident]:
    """Return incidents with the alerts that were found for them, by id; what they carry already is brought up to date.

    An incident that a human has dismissed or that is over is noted on as well: it is a fact, and wakes nobody.
    """
    noted = []
    for incident in incidents:
        known = {one.key: one for one in (*incident.alerts, *carried.get(incident.id, ()))}
        alerts = sorted(known.values(), key=lambda one: (one.starts_at, one.name, one.fingerprint))
        noted.append(replace(incident, alerts=tuple(alerts[-CARRIED_MAX:])))
    return noted


def _overlaps(alert: PrometheusAlert, incident: Incident, at: datetime) -> bool:
    """Say whether an incident went on at any time while an alert fired, or shortly before."""
    until = at if incident.state in ACTIVE else incident.last_seen_at
    return incident.onset <= (alert.ends_at or at) and until >= alert.starts_at - LEAD


def _is_fleets_silence(incident: Incident) -> bool:
    return incident.kind is Kind.SILENCE and not incident.concerned
