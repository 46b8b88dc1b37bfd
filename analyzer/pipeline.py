"""READ THIS FIRST. `run` goes down the list of phases once; nothing calls back up.

    collect -> detect -> account -> triage -> investigate -> report -> deliver

Facts come before opinion: incidents, their size, account and severity are decided by the first four phases, which are
computed. The model only explains what they found, and what it says passes the evidence gate. Whatever could not be
done is a Gap in the report, and the report goes out all the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from analyzer.accounting.examine import examine, is_single, peers_of, with_extent
from analyzer.accounting.severity import severity
from analyzer.detectors.base import Detector
from analyzer.detectors.loop import dated
from analyzer.metrics.base import MetricSource
from analyzer.metrics.evidence import evaluated
from analyzer.metrics.window import Reach, before, collect, learning_agents, of_one
from analyzer.stores.base import IncidentStore, TrajectoryStore
from analyzer.triage import as_of, triage
from analyzer.types.metric import Window
from analyzer.types.report import (
    REPEATED,
    Answer,
    Diagnosis,
    Ending,
    Examined,
    Explained,
    Finding,
    Gap,
    Incident,
    Kind,
    ModelUse,
    Report,
    Run,
    State,
)
from analyzer.types.trace import Operation
from analyzer.types.watch import Watch

_T = TypeVar("_T")
NAMED_MAX = 10
"""Agents named in a note before the rest is only hinted at."""
_ACTIVE = frozenset({State.OPEN, State.ONGOING, State.REGRESSED})
_NOT_ASKED = frozenset({Ending.OFF, Ending.UNAVAILABLE})
"""Endings after which a later run asks again: nobody was there, so that nothing was answered."""


class Explainer(Protocol):
    """Explains incidents: with a model where one may be asked, by rules otherwise. Never raises for a model's sake."""

    def explain(self, incident: Incident, *, budget_usd: float, history_start: datetime) -> Explained:
        """Return the gated explanation of one incident."""

    def explain_by_rules(self, incident: Incident) -> Explained:
        """Return the explanation that needs no model."""

    def answer(
        self, trace_id: str, question: str, *, healthy_trace_ids: Sequence[str], findings: Sequence[Finding]
    ) -> Answer:
        """Return the gated answer to a question about one trajectory."""


class Delivery(Protocol):
    """Says what there is to say about incidents on every route, once."""

    def __call__(self, report: Report, *, at: datetime) -> tuple[Gap, ...]:
        """Send and record; return a Gap for each route that failed."""


@dataclass(frozen=True, slots=True)
class App:
    """Everything a walk needs, put together by `wiring.build`."""

    trajectories: TrajectoryStore
    incidents: IncidentStore
    metrics: MetricSource | None
    detectors: Sequence[Detector]
    explainer: Explainer
    deliver: Delivery
    document: Callable[[Report], str]
    """Report -> JSON text."""
    markdown: Callable[[Report], str]
    watch: Watch
    run_trace_id: str
    queries: Mapping[str, Sequence[str]]
    lookback: timedelta
    history: timedelta
    budget_usd: float
    investigations_max: int
    gaps: Callable[[], tuple[Gap, ...]] = tuple
    """What other rooms could not do, collected while they worked: an own trace that could not be kept, say."""


def run(app: App, at: datetime, *, live: bool = False, on_phase: Callable[[str], None] = lambda _name: None) -> Report:
    """Do one pass as of `at` and return its report, stored and delivered. Raises StoreError when the store is gone.

    Where the store remembers a later run, this one repeats history: the report is all that comes of it, with the note
    REPEATED. It knows less than what is kept, and would put back incidents that people look at now. `live` says that
    `at` is the clock's own now, which is never history: a run at a wrong time must not silence those on schedule.
    """
    began = time.monotonic()

    def phase(name: str, work: Callable[[], _T]) -> _T:
        on_phase(name)
        with app.watch.span(name):
            return work()

    with app.watch.span("invoke_agent analyzer", Operation.AGENT, agent="analyzer") as own:
        later = None if live else _later_run(app, at)
        window = phase("collect", lambda: _collected(app, at))
        findings, blind_spots = phase("detect", lambda: _dated(app, *_detected(app, window), at))
        examined = phase("account", lambda: _examined(app, findings, window))
        incidents = phase("triage", lambda: _triaged(app, examined, window, blind_spots))
        incidents, use = phase("investigate", lambda: _investigated(app, incidents, at))
        report = Report(
            run=_run(app, window, use, time.monotonic() - began),
            incidents=incidents,
            gaps=(*window.gaps, *blind_spots, *app.gaps()),
            notes=_notes(window, later),
        )
        if later is None:
            phase("report", lambda: _kept(app, report, at))
            undelivered = phase("deliver", lambda: app.deliver(report, at=at))
            if undelivered:
                report = replace(report, gaps=(*report.gaps, *undelivered))
                _kept(app, report, at)
        own.set(output=f"{len(incidents)} incidents, {len(report.gaps)} gaps", incidents=[one.id for one in incidents])
    return report


def ask(app: App, trace_id: str, question: str) -> Answer:
    """Answer a question about one trajectory: it makes a Window, the same detectors run, the same gate holds.

    Raises NotFoundError, StoreError.
    """
    with app.watch.span("invoke_agent analyzer", Operation.AGENT, agent="analyzer", input=question) as own:
        with app.watch.span("collect"):
            summary = app.trajectories.trajectory(trace_id).summary
            window = of_one(app.trajectories, summary)
        with app.watch.span("detect"):
            findings, _ = _detected(app, window)
        with app.watch.span("account"):
            peers = peers_of(app.trajectories, summary)
        answer = app.explainer.answer(trace_id, question, healthy_trace_ids=peers, findings=findings)
        own.set(output=answer.text)
    return answer


def _later_run(app: App, at: datetime) -> datetime | None:
    """Return the now of the last run that was kept, where it lies after `at`."""
    last = app.incidents.latest_run_at()
    return last if last is not None and last > at else None


def _reach(app: App, at: datetime) -> Reach:
    return Reach(at, app.lookback, app.history)


def _collected(app: App, at: datetime) -> Window:
    return collect(app.trajectories, app.metrics, app.queries, _reach(app, at))


def _detected(app: App, window: Window) -> tuple[list[Finding], list[Gap]]:
    """Ask every detector. One that raises is a Gap: the others' findings go out."""
    findings: list[Finding] = []
    gaps: list[Gap] = []
    for detector in app.detectors:
        try:
            findings += detector.detect(window)
        except Exception as error:  # noqa: BLE001 - a detector may be anyone's; its fault must not hide the others' findings
            why = f"the detector failed: {type(error).__name__}: {error}"
            gaps.append(
                Gap(f"{detector.kind.value} anomalies", why, "run with --debug and report this with its output")
            )
    return findings, gaps


def _dated(app: App, findings: list[Finding], gaps: list[Gap], at: datetime) -> tuple[list[Finding], list[Gap]]:
    """Look for the beginning of loops in the history before the window: one that is old must not be told as new."""
    agents = {found.subject.agent for found in findings if found.kind is Kind.LOOP and found.subject.agent}
    if not agents:
        return findings, gaps
    earlier, unseen = _detected(app, before(app.trajectories, agents, _reach(app, at)))
    return dated(findings, earlier), [*gaps, *unseen]


def _examined(app: App, findings: Sequence[Finding], window: Window) -> list[Examined]:
    examined = []
    for finding in findings:
        known = with_extent(evaluated(finding, app.metrics), window)
        builds = (*window.builds.get(None, ()), *window.builds.get(finding.subject.agent, ()))
        start = window.end - app.history
        examined.append(examine(app.trajectories, known, at=window.end, history_start=start, builds=builds))
    return [one for one in examined if not is_single(one)]


def _triaged(
    app: App, examined: Sequence[Examined], window: Window, blind_spots: Sequence[Gap]
) -> tuple[Incident, ...]:
    previous = app.incidents.incidents()
    seen = {series.subject.agent for series in window.series}
    # What could not be looked at has not recovered: a failed detector blinds it to every agent.
    watched = {one.subject.agent for one in previous if one.subject.agent}
    blind = watched if blind_spots else watched - seen
    return triage(
        examined,
        previous,
        window.end,
        run_start=window.start,
        severity=lambda finding: severity(finding, _hours(finding, window.end)),
        blind=frozenset(agent for agent in blind if agent),
    )


def _hours(finding: Finding, at: datetime) -> float:
    """Return how long it has gone on, or went on."""
    return ((finding.recovered or at) - finding.onset) / timedelta(hours=1)


def _investigated(app: App, incidents: Sequence[Incident], at: datetime) -> tuple[tuple[Incident, ...], ModelUse]:
    """Have every incident explained that this run saw, worst first: the model is asked within the run's limits.

    Rules explain the rest, anew in each run, so that what they say agrees with the figures. What a model said is kept
    while its incident goes on and gets no worse: it was paid for, and it says of which time it is.
    """
    use = ModelUse(budget_usd=app.budget_usd)
    before = {one.id: one for one in as_of(app.incidents.incidents(), at)}
    done: list[Incident] = []
    asked = 0
    for incident in incidents:
        known = before.get(incident.id)
        worse = known is not None and incident.severity.rank > known.severity.rank
        if incident.state is State.DISMISSED or (incident.diagnosis is not None and not worse):
            done.append(incident)
            continue
        if asked < app.investigations_max and incident.state in _ACTIVE and (worse or _is_open_question(known)):
            left_usd = max(0.0, app.budget_usd - (use.cost_usd or 0.0))
            explained = app.explainer.explain(incident, budget_usd=left_usd, history_start=at - app.history)
            diagnosis = explained.diagnosis
            asked += 1
        else:
            explained = app.explainer.explain_by_rules(incident)
            diagnosis = _with_earlier_ending(explained.diagnosis, known)
        use = added(use, explained.use)
        diagnosis = replace(diagnosis, as_of=at, observed=incident.observed)
        done.append(replace(incident, diagnosis=diagnosis, evidence=(*incident.evidence, *explained.evidence)))
    return tuple(done), use


def _is_open_question(known: Incident | None) -> bool:
    """Whether no model has been asked about an incident yet: it is new or back, or there was none to be reached.

    One that refused, or used up its limits, is not asked again: each run would spend the same for the same.
    """
    if known is None or known.state not in _ACTIVE or known.diagnosis is None:
        return True
    return known.diagnosis.by_rules and known.diagnosis.ending in _NOT_ASKED


def _with_earlier_ending(diagnosis: Diagnosis, known: Incident | None) -> Diagnosis:
    """Return an explanation by rules that still says how the model failed when it was asked about this incident."""
    earlier = known.diagnosis if known is not None and known.state in _ACTIVE else None
    if earlier is None or earlier.ending in {Ending.OFF, Ending.ANSWERED}:
        return diagnosis
    return replace(diagnosis, ending=earlier.ending, note=earlier.note, struck_out=earlier.struck_out)


def added(left: ModelUse, right: ModelUse) -> ModelUse:
    """Add up two uses of the model; a cost that is not known makes the sum unknown."""
    costs = (left.cost_usd, right.cost_usd)
    return ModelUse(
        calls=left.calls + right.calls,
        input_tokens=left.input_tokens + right.input_tokens,
        output_tokens=left.output_tokens + right.output_tokens,
        cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
        budget_usd=left.budget_usd,
        cache_read_tokens=left.cache_read_tokens + right.cache_read_tokens,
        cache_write_tokens=left.cache_write_tokens + right.cache_write_tokens,
    )


def _notes(window: Window, later: datetime | None) -> dict[str, str]:
    """Return what a reader should know who wonders why nothing was said, by name.

    Agents that are too new to be judged, and that a run in the past is neither kept nor sent.
    """
    notes = {}
    if later is not None:
        kept = f"a run at {later:%Y-%m-%d %H:%M} UTC is recorded already"
        notes[REPEATED] = f"{kept}: nothing of this one was saved or sent"
    learning = learning_agents(window)
    if learning:
        names = ", ".join(learning[:NAMED_MAX]) + (", ..." if len(learning) > NAMED_MAX else "")
        notes["learning"] = f"less than three days of history, so rises are not judged yet: {names}"
    return notes


def _run(app: App, window: Window, use: ModelUse, duration_s: float) -> Run:
    trajectories, spans = app.trajectories.count(window.start, window.end)
    return Run(
        trace_id=app.run_trace_id,
        at=window.end,
        start=window.start,
        end=window.end,
        duration_s=round(duration_s, 3),
        trajectories_seen=trajectories,
        spans_seen=spans,
        llm=use,
    )


def _kept(app: App, report: Report, at: datetime) -> None:
    """Keep incidents and report before anything is sent: what was said must be found again."""
    app.incidents.save_incidents(report.incidents, run_trace_id=report.run.trace_id)
    app.incidents.save_report(report.run.trace_id, app.document(report), app.markdown(report), at)
