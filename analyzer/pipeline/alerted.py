"""What a run has to say of the alerts that came in: which incidents carry them, or why there is none.

Whoever sent an alert was told by Prometheus that there is something. Where the detectors see nothing, no incident is
made up: the alert keeps its answer, which says where was looked, how much there was, and what came nearest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from shlex import quote

from analyzer.detectors.base import Detector
from analyzer.pipeline.app import App
from analyzer.pipeline.phases import known_agents, readings_of
from analyzer.render.numbers import count, moment
from analyzer.render.readings import GATES
from analyzer.render.text import one_line
from analyzer.triage import carriers, with_alerts
from analyzer.triage.alerts import LEAD
from analyzer.types.alerts import AlertAnswer, AlertAsked, PrometheusAlert
from analyzer.types.audit import Act, Action
from analyzer.types.document import alert_document
from analyzer.types.metric import Window
from analyzer.types.named import names_like
from analyzer.types.reading import UNMEASURED, Gate, Reading, deciding
from analyzer.types.report import Incident

LOOKED_INTO_MAX = 10
"""Agents whose detectors are asked in one run why they are silent: each walks its history once more."""
NEAREST_MAX = 2
"""Detectors named in an answer, those that came nearest to speaking."""
NOTED_MAX = 10
"""Answers in the notes of a report; all of them stand on the page of alerts."""
COUNTED_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Alerted:
    """The incidents of a run with the alerts they carry, and what is answered."""

    incidents: tuple[Incident, ...]
    answers: tuple[AlertAnswer, ...] = ()
    """Those that say something else than before, or for the first time."""
    fresh: frozenset[str] = frozenset()
    """Incidents that carry an alert which nobody had looked at: they are explained first."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """For the report: alerts without an incident and those of agents that nobody knows, once each."""


def alerted(app: App, incidents: Sequence[Incident], window: Window, at: datetime) -> Alerted:
    """Hold what a run found against the alerts that nobody looked at yet, and those that still fire. Keeps nothing."""
    asked = app.alerts.asked(at)
    if not asked:
        return Alerted(tuple(incidents))
    silence = _Silence(app, window, at, incidents)
    carried: dict[str, list[PrometheusAlert]] = {}
    answers: list[AlertAnswer] = []
    fresh: set[str] = set()
    notes: dict[str, str] = {}
    for one in asked:
        found = carriers(one.alert, incidents, at)
        unknown = silence.unknown(one.alert)
        answer = _answer(one, found, unknown, silence)
        for incident in found:
            carried.setdefault(incident.id, []).append(one.alert)
            if one.answered_at is None:
                fresh.add(incident.id)
        if (unknown or not found) and one.answered_at is None and len(notes) < NOTED_MAX:
            notes[f"alert {one_line(one.alert.name)} of {one_line(one.alert.agent or 'the fleet')}"] = answer.said
        answers.append(answer)
    return Alerted(tuple(with_alerts(incidents, carried)), tuple(answers), frozenset(fresh), notes)


def keep_answers(app: App, answers: Sequence[AlertAnswer], at: datetime) -> None:
    """Log and keep answers, after the incidents that they name. Raises StoreError.

    A crash before this leaves the alerts waiting, and the next run answers them again.
    """
    before = {one.alert.key: one for one in app.alerts.asked(at)}
    for answer in answers:
        known = before.get(answer.alert.key)
        if known is None or known.answered_at is None or known.incidents != answer.incidents:
            app.journal.write(
                Act(
                    Action.ALERT_ANSWERED,
                    f"alert-{answer.alert.fingerprint}",
                    answer.alert.name,
                    {"alert": alert_document(answer.alert), "incidents": list(answer.incidents)},
                    returned=answer.said,
                )
            )
    app.alerts.answer(answers, at)


def _answer(one: AlertAsked, found: Sequence[Incident], unknown: str, silence: _Silence) -> AlertAnswer:
    """Answer an alert. That nothing was seen is said once, with its time; a later run only looks for an incident.

    An agent that nobody knows is carried by the silence of the whole fleet alone. That may be why, or its name is
    misspelt: both are said.
    """
    ids = tuple(incident.id for incident in found)
    if found:
        lead = found[0]
        more = f", and {count(len(found) - 1, 'more')}" if len(found) > 1 else ""
        said = f"{lead.id} ({lead.state.value}): {one_line(lead.title)}{more}"
        if unknown:
            said = f"{unknown}{'' if unknown.endswith('?') else '.'} It may be part of {said}"
        return AlertAnswer(one.alert, ids, said)
    if one.answered_at is not None and not one.incidents:
        return AlertAnswer(one.alert, (), one.said)
    return AlertAnswer(one.alert, (), silence.said(one.alert))


class _Silence:
    """Says why there is no incident for an alert; each agent is looked into once."""

    def __init__(self, app: App, window: Window, at: datetime, incidents: Sequence[Incident]) -> None:
        self._app = app
        self._window = window
        self._at = at
        self._incidents = incidents
        self._known: set[str] | None = None
        self._nearest: dict[str, str] = {}

    def said(self, alert: PrometheusAlert) -> str:
        start = max(alert.starts_at - LEAD, self._window.start)
        end = min(alert.ends_at or self._at, self._at)
        if end < self._window.start:
            return f"over since {moment(end)}, before what this run looked at began ({moment(self._window.start)})"
        between = f"between {moment(start)} and {moment(end)}"
        if alert.agent is None:
            seen = self._seen(None, start, end)
            return f"{seen} of the fleet ended {between}; no detector sees anything that began then"
        if unknown := self.unknown(alert):
            return unknown
        seen = self._seen(alert.agent, start, end)
        return f"{seen} of {one_line(alert.agent)} ended {between}, and no detector speaks.{self._why(alert.agent)}"

    def unknown(self, alert: PrometheusAlert) -> str:
        """Say that nobody knows the agent of an alert, with those that are called like it; "" where it is known."""
        if alert.agent is None:
            return ""
        if self._known is None:
            self._known = known_agents(self._app, self._window, self._at)
        if alert.agent in self._known:
            return ""
        return f"no agent called '{one_line(alert.agent)}' is known here{names_like(alert.agent, self._known)}"

    def _seen(self, agent: str | None, start: datetime, end: datetime) -> str:
        if agent is None:
            return count(self._app.trajectories.count(start, end)[0], "trajectory", "trajectories")
        found = self._app.trajectories.summaries(agent=agent, start=start, end=end, limit=COUNTED_MAX + 1)
        if len(found) > COUNTED_MAX:
            return f"more than {COUNTED_MAX:,} trajectories"
        return count(len(found), "trajectory", "trajectories")

    def _why(self, agent: str) -> str:
        """Say what came nearest, and how to see all of it."""
        if agent not in self._nearest:
            more = f" All of it: analyzer why-not {quote(one_line(agent))} --at {self._at:%Y-%m-%dT%H:%M:%SZ}"
            if len(self._nearest) >= LOOKED_INTO_MAX:
                return more
            narrowed = self._window.narrowed(lambda name: name == agent)
            nearest = _nearest(self._app.detectors, narrowed, agent)
            self._nearest[agent] = f"{nearest}{more}"
        return self._nearest[agent]


def _nearest(detectors: Sequence[Detector], window: Window, agent: str) -> str:
    """Name the detectors that came nearest to speaking, each with what holds it back."""
    readings = [reading for detector in detectors for reading in readings_of(detector, window, agent)]
    measured = sorted((one for one in deciding(readings) if one.gate not in UNMEASURED), key=_distance)
    if not measured:
        return " Nothing of it can be measured."
    told = [f"{_name(one)} ({GATES[one.gate]}): {one_line(one.why).rstrip('.')}" for one in measured[:NEAREST_MAX]]
    return f" Nearest are {'; '.join(told)}."


def _distance(reading: Reading) -> tuple[bool, float]:
    """Sort what was found first (triage had a reason to make nothing of it), then by the part of the threshold met."""
    met = reading.score / reading.threshold if reading.score is not None and reading.threshold else 0.0
    return (reading.gate is not Gate.FOUND, -met)


def _name(reading: Reading) -> str:
    return f"{reading.detector} of {one_line(reading.subject.tool)}" if reading.subject.tool else reading.detector
