"""Small simulated fleets with many kinds of fault, analysed: real incidents, each with its case file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from analyzer.agent.answer import read_diagnosis
from analyzer.agent.case import CaseFile, build_case
from analyzer.agent.gate import Gate, Gated
from analyzer.agent.rules import explain
from analyzer.config import load
from analyzer.ingest.otlp import spans_from_json
from analyzer.ingest.pricing import Pricer
from analyzer.pipeline import App, run
from analyzer.simulation.agents import Agent
from analyzer.simulation.faults import Fault, FaultKind
from analyzer.simulation.fleet import Fleet
from analyzer.simulation.scenario import DEFAULT_NOW
from analyzer.types.diagnosis import Diagnosis
from analyzer.types.report import Incident
from analyzer.types.trace import Span
from analyzer.types.trajectory import Trajectory
from analyzer.wiring.building import build

WORST, HEALTHY = 3, 2
"""Trajectories of a case, as the explainer loads them."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """One incident that a run found, and everything that its gate needs."""

    incident: Incident
    case: CaseFile
    held: dict[str, Trajectory]
    fallback: Diagnosis

    def judge(self, payload: dict[str, object]) -> Gated:
        """Return what the gate leaves of an answer."""
        gate = Gate(
            self.case,
            self.case.shown.copy(),
            lambda trace_id, span: self.held[trace_id].span(span) if trace_id in self.held else None,
            self.recompute,
            lambda text: text,
        )
        return gate.judge(read_diagnosis(payload), self.fallback, "scripted")

    def recompute(self, evidence) -> float | None:
        """Give again what was filed, and nothing for any other query."""
        filed = [one for one in self.incident.evidence if getattr(one, "promql", None) == evidence.promql]
        return filed[0].value if filed else None


def fleet(now: datetime = DEFAULT_NOW) -> Fleet:
    """Return nine agents, each with another fault."""

    def hours(count: float) -> datetime:
        return now - timedelta(hours=count)

    return Fleet(
        agents=(
            _agent("billing", "billing"),
            _agent("reviewer", "coding"),
            _agent("triage", "support"),
            _agent("researcher", "research"),
            _agent("analyst", "sql", evaluated_share=1.0),
            _agent("keeper", "release"),
            _agent("shop", "catalog"),
            _agent("helper", "support"),
            _agent("clerk", "billing"),
        ),
        faults=(
            Fault(FaultKind.LOOP, "billing", hours(9), share=0.35),
            Fault(FaultKind.COST_STEP, "reviewer", hours(10), version="1.1.0", input_factor=2.5, output_factor=2.5),
            Fault(FaultKind.TOOL_ERRORS, "triage", hours(8), share=0.7),
            Fault(FaultKind.ERROR_BURST, "researcher", hours(7), share=0.7),
            Fault(FaultKind.SUCCESS_DROP, "analyst", hours(12), share=0.7),
            Fault(FaultKind.LATENCY, "keeper", hours(10), factor=6),
            Fault(FaultKind.SLOW_TOOL, "shop", hours(10), factor=8),
            Fault(FaultKind.RETRY_STORM, "helper", hours(9), share=0.6),
            Fault(FaultKind.TRUNCATION, "clerk", hours(9), share=0.5),
        ),
        days=5,
        seed=4,
        now=now,
    )


def other_fleet(now: datetime = DEFAULT_NOW) -> Fleet:
    """Return eight agents with other names, roles, faults and another seed: rules were not written with it at hand."""
    roles = {
        "query-desk": "sql",
        "ship-it": "release",
        "scout": "research",
        "tutor": "support",
        "ledger": "billing",
        "patcher": "coding",
        "stock-room": "catalog",
        "winback": "retention",
    }
    ago = [now - timedelta(hours=count) for count in range(12)]
    faults = (
        Fault(FaultKind.LOOP, "query-desk", ago[8], share=0.4),
        Fault(FaultKind.MODEL_SWITCH, "ship-it", ago[11]),
        Fault(FaultKind.COST_STEP, "scout", ago[9], version="2.3.0", input_factor=3.0),
        Fault(FaultKind.SUCCESS_DROP, "tutor", ago[10], share=0.6),
        Fault(FaultKind.TOOL_ERRORS, "ledger", ago[7], share=0.6),
        Fault(FaultKind.RETRY_STORM, "patcher", ago[8], share=0.5),
        Fault(FaultKind.SLOW_TOOL, "stock-room", ago[9], factor=6),
        Fault(FaultKind.ERROR_BURST, "winback", ago[6], share=0.6),
    )
    return _eight(roles, "tutor", faults, seed=23, now=now)


def third_fleet(now: datetime = DEFAULT_NOW) -> Fleet:
    """Return eight agents more, other seed and strengths: adversaries and honest people who have read the gate."""
    roles = {
        "pathfinder": "research",
        "refunds": "billing",
        "fixer": "coding",
        "front-desk": "support",
        "pipeline-bot": "release",
        "number-cruncher": "sql",
        "curator": "catalog",
        "saver": "retention",
    }
    ago = [now - timedelta(hours=count) for count in range(15)]
    faults = (
        Fault(FaultKind.LATENCY, "pathfinder", ago[11], factor=4),
        Fault(FaultKind.TOOL_ERRORS, "refunds", ago[9], share=0.8),
        Fault(FaultKind.LOOP, "fixer", ago[10], share=0.5),
        Fault(FaultKind.COST_STEP, "front-desk", ago[13], version="3.0.1", input_factor=1.8, output_factor=4.0),
        Fault(FaultKind.ERROR_BURST, "pipeline-bot", ago[8], share=0.5),
        Fault(FaultKind.TRUNCATION, "number-cruncher", ago[12], share=0.6),
        Fault(FaultKind.SLOW_TOOL, "curator", ago[7], factor=12),
        Fault(FaultKind.SUCCESS_DROP, "saver", ago[14], share=0.8),
    )
    return _eight(roles, "saver", faults, seed=91, now=now)


def _eight(roles: Mapping[str, str], evaluated: str, faults: tuple[Fault, ...], *, seed: int, now: datetime) -> Fleet:
    """Return agents by name and role, one of which is evaluated, over five days."""
    agents = tuple(_agent(name, role, evaluated_share=float(name == evaluated)) for name, role in roles.items())
    return Fleet(agents=agents, faults=faults, days=5, seed=seed, now=now)


def _agent(name: str, role: str, **more: float) -> Agent:
    return Agent(name, role, runs_per_hour=4, **more)


FLEETS = (fleet, other_fleet, third_fleet)


@contextmanager
def analysed(
    folder: Path, change: Callable[[Span], Span] = lambda span: span, given: Fleet | None = None
) -> Iterator[tuple[App, tuple[Incident, ...]]]:
    """Take a fleet in, each span changed, and run once, by rules; give the App and what it found."""
    given = fleet() if given is None else given
    settings = replace(load({}, {}).settings, store=folder / "s.db", reports=folder / "reports", llm="off")
    with build(settings, out=None) as app:
        pricer = Pricer()
        for request in given.requests():
            app.trajectories.add([change(span) for span in spans_from_json(request, pricer=pricer).spans])
        yield app, run(app, given.now, live=True).incidents


def simulated(folder: Path, given: Fleet | None = None) -> list[Simulated]:
    """Return the incidents of a fleet, without one the first, with their cases, in the order of their ids."""
    with analysed(folder, given=given) as (app, incidents):
        return [_one(app, incident) for incident in sorted(incidents, key=lambda one: one.id)]


def _one(app: App, incident: Incident) -> Simulated:
    incident = replace(incident, diagnosis=None)
    worst = [app.trajectories.trajectory(one) for one in incident.trace_ids[:WORST]]
    healthy = [app.trajectories.trajectory(one) for one in incident.healthy_trace_ids[:HEALTHY]]
    case = build_case(incident, trajectories=worst, healthy=healthy)
    held = {one.summary.trace_id: one for one in (*worst, *healthy)}
    return Simulated(incident, case, held, explain(incident, worst, healthy).diagnosis)
