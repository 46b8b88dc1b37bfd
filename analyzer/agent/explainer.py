"""What the pipeline calls: loads the trajectories of an incident or a question, builds the case, has it explained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from analyzer.agent.ask import incident_topic, trajectory_topic
from analyzer.agent.case import build_case, room_of
from analyzer.agent.fleet import Range, fleet_topic
from analyzer.agent.investigate import Means, investigate
from analyzer.agent.rules import explain
from analyzer.agent.session import Session
from analyzer.types.explained import Explained
from analyzer.types.report import Finding, Incident
from analyzer.types.spending import ModelUse
from analyzer.types.trajectory import Trajectory

WORST_LOADED = 3
HEALTHY_LOADED = 2


@dataclass(frozen=True, slots=True)
class Explainer:
    """Explains incidents. Without a model in `means`, or without money, by rules."""

    means: Means
    case_tokens: int

    def with_past(self, past: Callable[[], Sequence[Incident]]) -> Explainer:
        """Return an explainer to which other incidents are on file."""
        return replace(self, means=replace(self.means, past=past))

    def explain(self, incident: Incident, *, budget_usd: float, history_start: datetime) -> Explained:
        """Return the gated explanation of one incident; the model may spend up to `budget_usd`."""
        trajectories, healthy = self._of(incident)
        case = build_case(
            incident,
            trajectories=trajectories,
            healthy=healthy,
            tokens_max=room_of([*trajectories, *healthy], self.case_tokens),
            mask=self.means.mask,
            window=(min(history_start, incident.onset), max(incident.last_seen_at, incident.onset)),
        )
        limits = replace(self.means.limits, usd=min(self.means.limits.usd, budget_usd))
        done = investigate(incident, case, replace(self.means, limits=limits))
        return Explained(done.diagnosis, done.evidence, done.use)

    def explain_by_rules(self, incident: Incident) -> Explained:
        """Return the explanation that needs no model."""
        trajectories, healthy = self._of(incident)
        spoken = explain(incident, trajectories, healthy, mask=self.means.mask)
        return Explained(spoken.diagnosis, spoken.evidence, ModelUse())

    def about_trajectory(
        self, trace_id: str, *, healthy_trace_ids: Sequence[str], findings: Sequence[Finding]
    ) -> Session:
        """Return a session of questions about one trajectory. Raises NotFoundError."""
        topic = trajectory_topic(
            self.means.store.trajectory(trace_id),
            self.means,
            peers=list(self.means.store.trajectories(healthy_trace_ids[:HEALTHY_LOADED]).values()),
            findings=findings,
            tokens_max=self.case_tokens,
        )
        return Session(topic, self.means)

    def about_incident(self, incident: Incident, *, history_start: datetime) -> Session:
        """Return a session of questions about an incident."""
        topic = incident_topic(
            incident,
            *self._of(incident),
            self.means,
            window=(min(history_start, incident.onset), max(incident.last_seen_at, incident.onset)),
            tokens_max=self.case_tokens,
        )
        return Session(topic, self.means)

    def about_fleet(
        self, start: datetime, end: datetime, *, reach: datetime, now: datetime, agent: str | None, fixed: bool
    ) -> Session:
        """Return a session of questions about the fleet, or about one agent of it. Raises StoreError.

        With `fixed` all questions are about that range; else each may name its own.
        """
        span = Range(start, end, min(reach, start), now, fixed)
        return Session(fleet_topic(span, self.means, agent=agent, tokens_max=self.case_tokens), self.means)

    def _of(self, incident: Incident) -> tuple[list[Trajectory], list[Trajectory]]:
        """Return the worst trajectories of an incident and healthy ones beside them, as far as they are still there."""
        worst, healthy = incident.trace_ids[:WORST_LOADED], incident.healthy_trace_ids[:HEALTHY_LOADED]
        found = self.means.store.trajectories([*worst, *healthy])
        # Some may have been pruned since they were named: the others still tell the story.
        return [found[one] for one in worst if one in found], [found[one] for one in healthy if one in found]
