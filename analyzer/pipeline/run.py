"""`run`: one pass, from what is stored to what is sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from analyzer.metrics.window import learning_agents
from analyzer.pipeline.app import App
from analyzer.pipeline.phases import collected, detected, examined, triaged, with_beginnings
from analyzer.triage import as_of
from analyzer.types.metric import Window
from analyzer.types.report import REPEATED, Diagnosis, Ending, Incident, ModelUse, Report, Run, State
from analyzer.types.trace import Operation

_T = TypeVar("_T")
NAMED_MAX = 10
"""Agents named in a note before the rest is only hinted at."""
_ACTIVE = frozenset({State.OPEN, State.ONGOING, State.REGRESSED})
_NOT_ASKED = frozenset({Ending.OFF, Ending.UNAVAILABLE})
"""Endings after which a later run asks again: nobody was there, so that nothing was answered."""


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
        window = phase("collect", lambda: collected(app, at))
        findings, blind_spots = phase("detect", lambda: with_beginnings(app, *detected(app, window), at))
        known = phase("account", lambda: examined(app, findings, window))
        incidents = phase("triage", lambda: triaged(app, known, window, blind_spots))
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


def _later_run(app: App, at: datetime) -> datetime | None:
    """Return the now of the last run that was kept, where it lies after `at`."""
    last = app.incidents.latest_run_at()
    return last if last is not None and last > at else None


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
