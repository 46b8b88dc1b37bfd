"""`run`: one pass, from what is stored to what is sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from analyzer.errors import StoreError
from analyzer.metrics.exemplars import Exemplified
from analyzer.metrics.window import learning_agents
from analyzer.pipeline.alerted import Alerted, alerted, keep_answers
from analyzer.pipeline.app import App
from analyzer.pipeline.investigated import investigated, out_of_budget, unpriced
from analyzer.pipeline.memory import remembered_before
from analyzer.pipeline.metering import doubt_gaps, sides, table_note
from analyzer.pipeline.naming import unknown_agents
from analyzer.pipeline.owned import owned
from analyzer.pipeline.phases import (
    collected,
    collected_of_itself,
    detected,
    examined,
    exemplified,
    on_itself,
    triaged,
    with_beginnings,
)
from analyzer.pipeline.together import detected_together
from analyzer.types.alerts import AlertAnswer
from analyzer.types.audit import Act, Action, canonical, digest
from analyzer.types.document import OWNER, incident_document, time_text
from analyzer.types.metric import Window
from analyzer.types.report import REPEATED, Examined, Finding, Gap, Report, Run
from analyzer.types.sent import Delivered
from analyzer.types.spending import ModelUse
from analyzer.types.trace import Operation

_T = TypeVar("_T")
NAMED_MAX = 10
"""Agents named in a note before the rest is only hinted at."""


def run(app: App, at: datetime, *, live: bool = False, on_phase: Callable[[str], None] = lambda _name: None) -> Report:
    """Do one pass as of `at` and return its report, stored and delivered. Raises StoreError when the store is gone.

    Where the store remembers a later run, this one repeats history: the report is all that comes of it, with the note
    REPEATED. It knows less than what is kept, and would put back incidents that people look at now. `live` says that
    `at` is the clock's own now, which is never history: a run at a wrong time must not silence those on schedule.
    """
    seconds: dict[str, float] = {}
    later = None if live or app.rehearsal else _later_run(app, at)
    is_kept = later is None and not app.rehearsal
    try:
        if is_kept:
            app.division.rounds.open(at, live=live)
        report = _walked(app, at, later, seconds, on_phase)
    except BaseException as error:
        if is_kept:
            app.measuring.failed(seconds)
            # Whoever stops the program waits for nobody.
            if isinstance(error, Exception):
                app.enrolled.broke_off(type(error).__name__, app.run_trace_id)
        raise
    if is_kept:
        # All is filed and told. Whoever does not hear of it does the run once more, and tells nothing twice.
        with suppress(StoreError):
            app.division.rounds.done()
    return report


def _walked(
    app: App, at: datetime, later: datetime | None, seconds: dict[str, float], on_phase: Callable[[str], None]
) -> Report:
    """Do the pass, and note how many seconds each phase took; `later` is a run after it that was kept."""
    began = time.monotonic()

    def phase(name: str, work: Callable[[], _T]) -> _T:
        on_phase(name)
        started = time.monotonic()
        try:
            with app.watch.span(name):
                return work()
        finally:
            seconds[name] = time.monotonic() - started

    with app.watch.span("invoke_agent analyzer", Operation.AGENT, agent="analyzer") as own:
        keeps = later is None and not app.rehearsal
        if app.rehearsal:
            then = remembered_before(app.incidents, at)
            app = replace(app, incidents=then, explainer=app.explainer.with_past(then.incidents))
        unread: list[Gap] = []
        window, itself = phase("collect", lambda: _collected(app, at, later, unread))
        found, in_own, blind_spots, helped = phase("detect", lambda: _found(app, window, itself, at, keeps=keeps))
        exemplars, known = phase("account", lambda: _accounted(app, found, window, in_own, itself))
        incidents = phase("triage", lambda: owned(triaged(app, known, window, blind_spots), app.owners()))
        noted = alerted(app, incidents, window, at) if keeps else Alerted(incidents)
        incidents, use = phase("investigate", lambda: investigated(app, noted.incidents, at, first=noted.fresh))
        unknown, named = unknown_agents(app, window)
        report = Report(
            run=_run(app, window, use, time.monotonic() - began),
            incidents=incidents,
            gaps=(
                *(*unread, *window.gaps, *blind_spots, *exemplars.gaps, *unpriced(use), *unknown),
                *(*doubt_gaps(incidents), *app.gaps()),
            ),
            notes={
                **_notes(window, later, rehearsal=app.rehearsal),
                **table_note(sides(app.detectors, window)),
                **({"terms": app.terms} if app.terms else {}),
                **noted.notes,
                **named,
                **helped,
                **out_of_budget(incidents, at),
            },
        )
        if keeps:
            report = phase("report", lambda: _filed(app, report, at, noted.answers))
            delivered = phase("deliver", lambda: app.deliver(report, at=at))
            report = _afterwards(app, report, delivered, seconds, at)
        own.set(
            output=f"{len(incidents)} incidents, {len(report.gaps)} gaps",
            **{"analyzer.incident.ids": [one.id for one in incidents]},
        )
    return report


def _collected(app: App, at: datetime, later: datetime | None, unread: list[Gap]) -> tuple[Window, Window]:
    """Load the fleet's window and that of the analyst's own runs; what is new elsewhere is read first, if anything.

    A run that keeps nothing reads nothing new either; before a `later` one, what that has left unread is said.
    """
    if not app.rehearsal:
        unread += app.follow(at, later)
    return collected(app, at), collected_of_itself(app, at)


def _found(
    app: App, window: Window, itself: Window, at: datetime, *, keeps: bool
) -> tuple[list[Finding], list[Finding], list[Gap], Mapping[str, str]]:
    """Return what the detectors see in the fleet, what they see in the analyst's own runs, and what none could see.

    And a note of who helped. What is not kept is nobody's to help with.
    """
    seen, blind, helped = detected_together(app, window) if keeps else (*detected(app, window), {})
    found, gaps = with_beginnings(app, seen, blind, at)
    watching = on_itself(app)
    in_own, unseen = with_beginnings(watching, *detected(watching, itself), at)
    return found, in_own, list(dict.fromkeys([*gaps, *unseen])), helped


def _accounted(
    app: App, found: Sequence[Finding], window: Window, in_own: Sequence[Finding], itself: Window
) -> tuple[Exemplified, list[Examined]]:
    """Return what the metrics name for the fleet's findings, and what is known about all."""
    named = exemplified(app, found, window)
    return named, [*examined(app, found, window, named), *examined(app, in_own, itself)]


def _later_run(app: App, at: datetime) -> datetime | None:
    """Return the now of the last run that was kept, where it lies after `at`."""
    last = app.incidents.latest_run_at()
    return last if last is not None and last > at else None


def _notes(window: Window, later: datetime | None, *, rehearsal: bool) -> dict[str, str]:
    """Return what a reader should know who wonders why nothing was said, by name.

    Agents that are too new to be judged, and that a run in the past is neither kept nor sent.
    """
    notes = {}
    if later is not None:
        kept = f"a run at {later:%Y-%m-%d %H:%M} UTC is recorded already"
        notes[REPEATED] = f"{kept}: nothing of this one was saved or sent"
    if rehearsal:
        notes[REPEATED] = "the model's part comes from a recording: nothing of this run was saved or sent"
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


def _filed(app: App, report: Report, at: datetime, answers: Sequence[AlertAnswer]) -> Report:
    """Write the incidents to the log, and keep everything; return the report with how far the log goes.

    Alerts that came in are answered last: what an answer names is there by then.
    """
    for incident in report.incidents:
        document = incident_document(incident)
        arguments = {
            "at": time_text(at),
            "severity": incident.severity.value,
            "markdown_sha256": digest(app.incident_markdown(incident, at)),
            "document_sha256": digest(canonical(document)),
        }
        filed = Act(Action.INCIDENT_FILED, incident.id, incident.state.value, arguments, returned=document)
        # What is shown must stand there as it was shown; an owner was masked when it was entered.
        app.journal.write(replace(filed, shown=frozenset({OWNER})))
    report = replace(report, run=replace(report.run, audit=app.journal.head()))
    _kept(app, report, at)
    _noted(app, report, at)
    keep_answers(app, answers, at)
    app.remember()
    return report


def _afterwards(app: App, report: Report, delivered: Delivered, seconds: Mapping[str, float], at: datetime) -> Report:
    """Count the run, and tell the catalogue of it; return the report with all that could not be said, kept."""
    unmeasured = app.measuring.done(report, delivered, seconds)
    untold = app.enrolled.ran(report)
    delivered = replace(delivered, gaps=(*delivered.gaps, *unmeasured, *untold))
    if delivered.gaps or delivered.held:
        report = delivered.told_in(report)
        _noted(app, report, at)
        _kept(app, report, at)
    return report


def _noted(app: App, report: Report, at: datetime) -> None:
    """Write the hashes of a report to the log, after it was kept for the first time: what the log has must be there."""
    hashes = {"document_sha256": digest(app.document(report)), "markdown_sha256": digest(app.markdown(report))}
    arguments = {"at": time_text(at), **hashes}
    app.journal.write(Act(Action.REPORT_FILED, "report", f"{len(report.incidents)} incidents", arguments))


def _kept(app: App, report: Report, at: datetime) -> None:
    """Keep incidents and report before anything is sent: what was said must be found again."""
    app.incidents.save_incidents(report.incidents, run_trace_id=report.run.trace_id)
    app.incidents.save_report(report.run.trace_id, app.document(report), app.markdown(report), at)
