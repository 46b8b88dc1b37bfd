"""`ask`: questions about one trajectory, about an incident, or about the fleet.

A trajectory makes a Window, the same detectors run, the same loop answers with the same gate. The agent loop is never
written twice: all three end in one session of the explainer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from analyzer.accounting.peers import peers_of
from analyzer.metrics.window import of_one
from analyzer.pipeline.app import Answering, App
from analyzer.pipeline.phases import detected
from analyzer.types.audit import Act, Action
from analyzer.types.explained import Answer, Looked, Tell
from analyzer.types.report import Incident
from analyzer.types.trace import Operation


class Questions:
    """Questions about one thing, one after the other. What is asked about is looked up with the first."""

    def __init__(
        self,
        app: App,
        about: str,
        prepare: Callable[[], Answering],
        *,
        trace_id: str | None = None,
        incident_id: str | None = None,
    ) -> None:
        """`about` is what the log calls it: the incident's id, or `question-` and what is asked about.

        Of an incident `trace_id` is its worst trajectory, where there is one; of the fleet there is neither id.
        """
        self.trace_id = trace_id
        self.incident_id = incident_id
        self._app = app
        self._about = about
        self._prepare = prepare
        self._answering: Answering | None = None

    def ask(self, question: str, tell: Tell | None = None) -> Answer:
        """Answer a question. Raises NotFoundError, StoreError.

        `tell` hears of each statement that stands while the rest is still being written.
        """
        with self._app.watch.span("invoke_agent analyzer", Operation.AGENT, agent="analyzer", input=question) as own:
            answer = self._opened().ask(question, tell)
            self._log(question, answer)
            own.set(output=answer.text)
        return answer

    def look(self, tool: str, arguments: Mapping[str, Any]) -> Looked:
        """Use one of the model's read-only tools on it, confined and masked as for the model. Raises as `ask` does."""
        return self._opened().look(tool, arguments)

    def _opened(self) -> Answering:
        if self._answering is None:
            self._answering = self._prepare()
        return self._answering

    def _log(self, question: str, answer: Answer) -> None:
        self._app.journal.write(
            Act(
                Action.QUESTION_ANSWERED,
                self._about,
                answer.by,
                {"question": question, "verdict": answer.verdict.value, "ending": answer.ending.value},
                returned=answer.text,
                cost_usd=answer.use.cost_usd,
            )
        )


def about_trajectory(app: App, trace_id: str) -> Questions:
    """Return the questions about one trajectory."""

    def prepare() -> Answering:
        with app.watch.span("collect"):
            summary = app.trajectories.summary(trace_id)
            window = of_one(app.trajectories, summary)
        with app.watch.span("detect"):
            findings, _ = detected(app, window)
        with app.watch.span("account"):
            peers = peers_of(app.trajectories, summary)
        return app.explainer.about_trajectory(trace_id, healthy_trace_ids=peers, findings=findings)

    return Questions(app, f"question-{trace_id}", prepare, trace_id=trace_id)


def about_incident(app: App, incident: Incident) -> Questions:
    """Return the questions about an incident: the case is the one that it was explained from."""
    history_start = incident.last_seen_at - app.history
    return Questions(
        app,
        incident.id,
        lambda: app.explainer.about_incident(incident, history_start=history_start),
        trace_id=incident.trace_ids[0] if incident.trace_ids else None,
        incident_id=incident.id,
    )


def about_named(app: App, name: str) -> Questions:
    """Return the questions about what a name stands for. Raises NotFoundError, StoreError.

    It is an incident's id, else a trajectory's, a beginning of one, `latest` or `worst`.
    """
    if name.startswith("inc-"):
        return about_incident(app, app.incidents.incident(name))
    return about_trajectory(app, app.trajectories.resolve(name))


def about_fleet(
    app: App, start: datetime, end: datetime, *, now: datetime, agent: str | None = None, fixed: bool = True
) -> Questions:
    """Return the questions about what ended in [start, end), of all agents or of one.

    Without `fixed` a later question may name another range.
    """
    reach = end - max(app.history, timedelta(days=1))

    def prepare() -> Answering:
        return app.explainer.about_fleet(start, end, reach=reach, now=now, agent=agent, fixed=fixed)

    return Questions(app, "question-fleet", prepare)


def ask(app: App, trace_id: str, question: str) -> Answer:
    """Answer one question about one trajectory. Raises NotFoundError, StoreError."""
    return about_trajectory(app, trace_id).ask(question)
