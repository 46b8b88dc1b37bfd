"""Whose the agents of incidents are: put on each in every run, so that what is kept and sent names them by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from analyzer.types.report import Incident


def owned(incidents: Sequence[Incident], owners: Mapping[str, str]) -> tuple[Incident, ...]:
    """Return the incidents with whose each agent is; `owners` is owner by agent, with names as the registry has them.

    What an earlier run said of it is forgotten: an owner who was taken back is not woken any more.
    """
    return tuple(_owned(incident, owners) for incident in incidents)


def _owned(incident: Incident, owners: Mapping[str, str]) -> Incident:
    def of(agent: str | None) -> str:
        # The registry folds white space in names, as whoever types one would.
        return owners.get(" ".join((agent or "").split()), "")

    if not incident.agents:
        return replace(incident, owner=of(incident.subject.agent))
    parts = tuple(replace(part, owner=of(part.agent)) for part in incident.agents)
    shared = {part.owner for part in parts}
    return replace(incident, agents=parts, owner=shared.pop() if len(shared) == 1 else "")
