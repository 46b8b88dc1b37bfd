"""`build(settings)` gives an App: everything a walk needs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import TextIO

from analyzer.agent.explainer import Explainer
from analyzer.agent.investigate import Means
from analyzer.agent.limits import Limits
from analyzer.agent.model import Model
from analyzer.agent.recording import ReplayedModel
from analyzer.config import Settings
from analyzer.errors import AnalyzerError, DeliveryError
from analyzer.ingest.pricing import Pricer
from analyzer.ingest.toolcosts import ToolCosts
from analyzer.metrics.base import MetricSource
from analyzer.metrics.evidence import value_of
from analyzer.notify.alertmanager import Alertmanager
from analyzer.notify.base import Route
from analyzer.notify.deliver import deliver, wait_s, worth_it
from analyzer.notify.files import ReportFolder
from analyzer.notify.pictures import undrawn
from analyzer.notify.writer import WriterNotifier
from analyzer.pipeline import App
from analyzer.pipeline.app import Delivery, Unenrolled
from analyzer.render.markdown import markdown
from analyzer.render.outline import incident_outline
from analyzer.render.report import report_outline
from analyzer.retry import retrying
from analyzer.selfwatch.measured import Measured
from analyzer.selfwatch.recorder import Recorder
from analyzer.selfwatch.told import Say, Told
from analyzer.stores.alerts import SqliteAlerts
from analyzer.stores.audit import SqliteAudit
from analyzer.stores.database import Connection
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.recalled import RecallingTrajectories
from analyzer.stores.registered import SqliteRegistered
from analyzer.stores.state import StateDatabase
from analyzer.stores.threads import SqliteThreads
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.stores.turn import Turn
from analyzer.types.audit import Unwritten
from analyzer.types.document import report_document
from analyzer.types.report import Gap, MetricEvidence, Report
from analyzer.types.sent import Delivered
from analyzer.types.spending import Unlimited
from analyzer.types.terms import Terms
from analyzer.types.trace import Tokens
from analyzer.types.watch import Unwatched, Watch
from analyzer.wiring.collecting import filled_by, follower
from analyzer.wiring.detecting import detectors_of
from analyzer.wiring.enrolling import Enrolling, enrolled
from analyzer.wiring.helping import division_of
from analyzer.wiring.metering import open_metrics
from analyzer.wiring.naming import agents_named
from analyzer.wiring.opening import (
    Tape,
    open_existing,
    open_fenced,
    open_taped,
    reports_folder,
    spending_of,
)
from analyzer.wiring.recording import own_recorder
from analyzer.wiring.remembering import keep, remembered_in
from analyzer.wiring.routes import Outside, links_to, open_alertmanager, outside

_UNASKED = "no model is asked: the store cannot be written, so that what it is asked and costs could not be kept"


@dataclass(frozen=True, slots=True)
class StandIns:
    """What takes the place of everything outside: for drills, from which nothing goes out."""

    model: Model
    places: Sequence[Outside]
    alertmanager: Alertmanager


@contextmanager
def build(
    settings: Settings,
    *,
    out: TextIO | None,
    on_step: Say | None = None,
    tape: Tape | None = None,
    stand_ins: StandIns | None = None,
    or_read: bool = False,
    turn: Turn | None = None,
) -> Iterator[App]:
    """Put an App together and take it apart again. Messages for people go to `out` as well, where it is given.

    `on_step` hears of each call of the model and of a tool when it begins; `stand_ins` are asked and told in place of
    what is set. With a conversation to be played back it is an App for a rehearsal, which keeps and sends nothing; with
    `or_read` a store that this user may not write does for that. What is shared is written while `turn` is held.
    """
    midnights = remembered_in(lambda: store.connection)
    there = detectors_of(settings, midnights=midnights)
    with ExitStack() as stack:
        store = stack.enter_context(open_fenced(settings, turn, or_read=or_read))
        memory = SqliteIncidents(store.state)
        failures: list[Gap] = []
        unread = store.elsewhere.heard()
        # A recording is played back as it was made, and without a network, also where it was made with one.
        catalogued = Enrolling(settings, None, Terms()) if tape and tape.replay else enrolled(settings)
        settings = catalogued.settings
        model = stack.enter_context(_model(settings, tape, store.masker.text, stand_ins))
        rehearsal = isinstance(model, ReplayedModel)
        recorder, sending = own_recorder(settings, store, failures, stack, rehearsal=rehearsal)
        metrics = None if rehearsal else open_metrics(settings)
        is_traced = not (rehearsal or store.connection.is_sealed)
        model, remarks = _asked(model, settings, may=rehearsal or is_traced)
        own, heard = _heard(recorder if is_traced else Unwatched(), on_step)
        means = catalogued.bound(replace(_means(settings, store, metrics, heard, model), past=memory.incidents))
        means = _accounted(means, settings, store, recorder.trace_id) if is_traced else means
        yield App(
            trajectories=store,
            incidents=memory,
            metrics=metrics,
            detectors=there.configured,
            explainer=Explainer(means, settings.case_tokens),
            deliver=_nobody if rehearsal else _delivery(settings, store.state, recorder, out, stand_ins),
            document=_document,
            markdown=lambda report: markdown(report_outline(report)),
            incident_markdown=lambda incident, at: markdown(incident_outline(incident, at)),
            watch=own,
            run_trace_id=recorder.trace_id if is_traced else "",
            queries=settings.queries,
            floors=settings.floors,
            agents_named=agents_named(settings),
            lookback=settings.lookback,
            history=settings.history,
            filled_by=filled_by(settings),
            budget_usd=settings.budget_usd,
            investigations_max=settings.investigations_max,
            purse=means.purse,
            journal=means.journal,
            alerts=SqliteAlerts(store.state),
            owners=SqliteRegistered(store.state, store.masker).owners,
            remember=partial(keep, midnights, store.connection),
            measuring=_measured(settings, store.connection),
            follow=follower(settings, store),
            enrolled=catalogued.enrolment or Unenrolled(),
            terms=catalogued.said,
            division=division_of(settings, store.state, turn),
            rehearsal=rehearsal,
            remarks=remarks,
            gaps=lambda: (*there.gaps, *unread, *failures, *sending.gaps(), *catalogued.gaps),
            has_tool_rule=_tool_rule(settings),
        )


def _heard(own: Watch, on_step: Say | None) -> tuple[Watch, Watch]:
    """Return a watch, and the same with somebody who hears of each step when it begins."""
    return own, own if on_step is None else Told(own, on_step)


def _asked(model: Model | None, settings: Settings, *, may: bool) -> tuple[Model | None, Callable[[], tuple[str, ...]]]:
    """Return the model where it may be asked, and what a person should know of that at the end."""
    if model and not may:
        return None, partial(tuple, (_UNASKED,))
    return model, partial(_remarks, model, settings)


@contextmanager
def build_reader(settings: Settings, *, logged: bool = False) -> Iterator[App]:
    """Put an App together for walks that keep and send nothing: rules explain, nobody is told, no trace is left.

    With `logged` its walks may write to the audit log what was looked at.
    Raises NotFoundError where there is no store yet, StoreError.
    """
    there = detectors_of(settings)
    with ExitStack() as stack:
        store = stack.enter_context(open_existing(settings, RecallingTrajectories))
        unread = store.elsewhere.heard()
        metrics = open_metrics(settings)
        watch = Unwatched()
        memory = SqliteIncidents(store.state)
        means = replace(_means(settings, store, metrics, watch, None), past=memory.incidents)
        yield App(
            trajectories=store,
            incidents=memory,
            metrics=metrics,
            detectors=there.configured,
            explainer=Explainer(means, settings.case_tokens),
            deliver=_nobody,
            document=_document,
            markdown=lambda report: markdown(report_outline(report)),
            incident_markdown=lambda incident, at: markdown(incident_outline(incident, at)),
            watch=watch,
            run_trace_id="",
            queries=settings.queries,
            floors=settings.floors,
            lookback=settings.lookback,
            history=settings.history,
            filled_by=filled_by(settings),
            budget_usd=0.0,
            investigations_max=0,
            gaps=lambda: (*there.gaps, *unread),
            has_tool_rule=_tool_rule(settings),
            journal=_journal(store, "") if logged else Unwritten(),
        )


@contextmanager
def build_means(settings: Settings) -> Iterator[tuple[SqliteTrajectories, Means]]:
    """Give the store, and what a model is asked with: paid for, logged and traced as every call of the analyst is.

    Raises NotFoundError where there is no store yet, StoreError.
    """
    with ExitStack() as stack:
        store = stack.enter_context(open_existing(settings))
        catalogued = enrolled(settings)
        model = stack.enter_context(_model(catalogued.settings, None, store.masker.text, None))
        recorder, _ = own_recorder(catalogued.settings, store, [], stack, rehearsal=False)
        means = catalogued.bound(_means(catalogued.settings, store, None, recorder, model))
        yield store, _accounted(means, catalogued.settings, store, recorder.trace_id)


def _remarks(model: Model | None, settings: Settings) -> tuple[str, ...]:
    """Return what a person who plays back a recording should know at the end."""
    if not isinstance(model, ReplayedModel):
        return ()
    left_out = "Prometheus is not asked, because no network is used: what only it holds is missing"
    return (*((left_out,) if settings.has_metrics else ()), *model.differences, *model.unused)


def _measured(settings: Settings, connection: Connection) -> Measured:
    return Measured(connection, settings.pushgateway_url, settings.metrics_textfile, settings.metrics_instance)


def _tool_rule(settings: Settings) -> Callable[[str], bool] | None:
    return ToolCosts(settings.tool_costs).covers if settings.tool_costs else None


def _document(report: Report) -> str:
    return json.dumps(report_document(report), ensure_ascii=False, allow_nan=False)


def _nobody(report: Report, *, at: datetime) -> Delivered:  # noqa: ARG001 - the signature of a delivery
    """Tell nobody."""
    return Delivered()


def _means(
    settings: Settings, store: SqliteTrajectories, metrics: MetricSource | None, watch: Watch, model: Model | None
) -> Means:
    pricer = Pricer(settings.prices)
    name = settings.model if model is None else model.name

    def price(tokens: Tokens) -> float | None:
        return pricer.cost("anthropic", name, tokens, datetime.now(UTC))

    return Means(
        model=model,
        store=store,
        metrics=metrics,
        recompute=partial(_recomputed, metrics),
        price=price,
        mask=store.masker.text,
        watch=watch,
        second_reader=settings.second_reader == "on",
        limits=Limits(
            steps=settings.investigation_steps,
            tokens=settings.investigation_tokens,
            seconds=settings.investigation_s,
            usd=settings.investigation_usd,
        ),
    )


def _accounted(means: Means, settings: Settings, store: SqliteTrajectories, run: str) -> Means:
    """Return means whose calls are paid for and written down in the store."""
    journal = _journal(store, run)
    purse = Unlimited() if means.model is None else spending_of(settings, store.state, run)
    return replace(means, journal=journal, purse=purse)


def _journal(store: SqliteTrajectories, run: str) -> SqliteAudit:
    return SqliteAudit(store.state, store.masker, run=run, actor=f"analyzer {version('analyzer')}")


def _recomputed(metrics: MetricSource | None, evidence: MetricEvidence) -> float | None:
    """Ask for a number again; without a Prometheus there is nobody to ask, and a new number cannot be proven."""
    return value_of(evidence, metrics) if metrics is not None else None


def _model(
    settings: Settings, tape: Tape | None, mask: Callable[[str], str], stand_ins: StandIns | None
) -> AbstractContextManager[Model | None]:
    return open_taped(settings, tape or Tape(), mask) if stand_ins is None else nullcontext(stand_ins.model)


def _routes(
    settings: Settings, state: StateDatabase, out: TextIO | None, stand_ins: StandIns | None
) -> tuple[Route, ...]:
    places = outside(settings, partial(SqliteThreads, state)) if stand_ins is None else stand_ins.places
    routes = [one.route() for one in places]
    if out is not None:
        routes.append(Route("stdout", WriterNotifier(out, links=links_to(settings))))
    return tuple(routes)


def _delivery(
    settings: Settings, state: StateDatabase, watch: Recorder, out: TextIO | None, stand_ins: StandIns | None
) -> Delivery:
    """Return what tells everybody. Raises UsageError where a route is set up wrong."""
    return partial(
        _send,
        settings=settings,
        memory=SqliteIncidents(state),
        folder=ReportFolder(reports_folder(settings), links_to(settings)),
        routes=_routes(settings, state, out, stand_ins),
        alertmanager=open_alertmanager(settings) if stand_ins is None else stand_ins.alertmanager,
        watch=watch,
    )


def _send(
    report: Report,
    *,
    at: datetime,
    settings: Settings,
    memory: SqliteIncidents,
    folder: ReportFolder,
    routes: Sequence[Route],
    alertmanager: Alertmanager | None,
    watch: Recorder,
) -> Delivered:
    """Write the report files, and tell every route what there is to say.

    The files come first, so that a message never speaks of what cannot be read; what was not said is added to them.
    """
    retry: Callable[..., Callable[..., None]] = partial(retrying, worth_it=worth_it, wait_s=wait_s)
    unwritten = _written(folder, report)
    told = deliver(report.incidents, routes, memory, at, retry=retry, watch=watch, policies=settings.notify)
    gaps = [*unwritten, *told.gaps]
    if folder.undrawn:
        gaps.append(undrawn("charts of the report files", folder.undrawn))
    if alertmanager is not None:
        gaps += _told(alertmanager, memory, at, retry)
    told = replace(told, gaps=tuple(gaps))
    if not unwritten and (told.gaps or told.held):
        told = replace(told, gaps=(*told.gaps, *_written(folder, told.told_in(report))))
    return told


def _written(folder: ReportFolder, report: Report) -> tuple[Gap, ...]:
    try:
        folder.write(report)
    except DeliveryError as error:
        return (Gap("report files", str(error), "set ANALYZER_REPORTS to a writable folder"),)
    return ()


def _told(
    alertmanager: Alertmanager, memory: SqliteIncidents, at: datetime, retry: Callable[..., Callable[..., None]]
) -> tuple[Gap, ...]:
    """Tell Alertmanager what goes on; return a Gap where it did not take it. The next run sends all of it anyway.

    The store is asked, and not the report: it knows what a human said while the run was at work.
    """
    try:
        incidents = memory.incidents()
        retry(alertmanager.tell)(incidents, {incident.id for incident in incidents}, at)
    except AnalyzerError as error:
        return (Gap("alerts in Alertmanager", str(error), "check ANALYZER_ALERTMANAGER_URL; the next run tries again"),)
    return ()
