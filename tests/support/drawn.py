"""Small fleets in stores: an agent that loops since nine hours ago, and any fleet put into a store as it comes in."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from analyzer.ingest.otlp import spans_from_json
from analyzer.ingest.pricing import Pricer
from analyzer.simulation.agents import Agent
from analyzer.simulation.faults import Fault, FaultKind
from analyzer.simulation.fleet import Fleet
from analyzer.stores.trajectories import SqliteTrajectories


def looping(
    now: datetime, *, days: int, runs_per_hour: float = 6, share: float = 0.35, beside: tuple[Agent, ...] = ()
) -> Fleet:
    """Return a fleet of an agent, `billing`, that loops since nine hours ago, and of agents beside it that are well."""
    return Fleet(
        agents=(Agent("billing", "billing", runs_per_hour=runs_per_hour), *beside),
        faults=(Fault(FaultKind.LOOP, "billing", now - timedelta(hours=9), share=share),),
        days=days,
        seed=4,
        now=now,
    )


REVIEWER = Agent("reviewer", "coding", runs_per_hour=3)
"""One to stand beside it."""


def stored(fleet: Fleet, path: Path) -> Path:
    """Put a fleet's trajectories into a store, request by request, and return its path."""
    pricer = Pricer()
    with SqliteTrajectories(path) as trajectories:
        for request in fleet.requests():
            trajectories.add(spans_from_json(request, pricer=pricer).spans)
    return path
