"""A small simulated fleet in a store of its own, with a run's incidents on file: what the tools are tried on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support.drawn import stored

from analyzer.config import Settings, load
from analyzer.pipeline import run
from analyzer.simulation.agents import Agent
from analyzer.simulation.faults import Fault, FaultKind
from analyzer.simulation.fleet import Fleet
from analyzer.wiring.building import build

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DEAR, LOOPING, WELL = "support", "billing", "sql"
"""Agents: one became dearer with a version, one loops, one is well."""
VERSION = "2.0.0"
ONSET = NOW - timedelta(hours=12)


def fleet() -> Fleet:
    """Return six days of three agents."""
    return Fleet(
        agents=(
            Agent(LOOPING, "billing", runs_per_hour=5),
            Agent(DEAR, "support", runs_per_hour=6),
            Agent(WELL, "sql", runs_per_hour=4),
        ),
        faults=(
            Fault(FaultKind.LOOP, LOOPING, NOW - timedelta(hours=9), share=0.4),
            Fault(FaultKind.COST_STEP, DEAR, ONSET, version=VERSION, input_factor=4.0),
        ),
        days=6,
        seed=4,
        now=NOW,
    )


def settings_over(path: Path) -> Settings:
    """Return settings over a store, without a model."""
    return replace(load({}, {}).settings, store=path, reports=path.parent / "reports", llm="off")


def filed(path: Path) -> Path:
    """Fill a store and run over it once: the loop and the rise of cost are on file."""
    stored(fleet(), path)
    with build(settings_over(path), out=None) as app:
        run(app, NOW)
    return path
