"""What `analyzer doctor` tries, one function a thing: each says how it stands, and the command for what is missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from analyzer.cli import checks_clickhouse, checks_state
from analyzer.cli.check import Check
from analyzer.cli.common import ALL_TIME
from analyzer.errors import AnalyzerError

if TYPE_CHECKING:
    from analyzer.config import Settings
    from analyzer.metrics.prometheus import Prometheus
    from analyzer.wiring.routes import Outside


def tried(settings: Settings) -> tuple[list[Check], list[dict[str, Any]]]:
    """Try everything; return what came of it, and how Prometheus and the traces agree, a row for each measure."""
    shut: list[str] = []
    checks = [
        _guarded(name, check, settings, within, shut)
        for name, check, within in (
            ("store", _store, ()),
            ("clickhouse", checks_clickhouse.clickhouse, ()),
            ("state", checks_state.state, ()),
            ("schedule", checks_state.schedule, _BOTH),
            ("turn", checks_state.turn, _BOTH),
            ("prices", _prices, _STORE),
            ("agents", _agents, _STORE),
            ("prometheus", _prometheus, ()),
            ("model", _model, ()),
            ("budget", checks_state.budget, _BOTH),
            ("audit", checks_state.audit, _BOTH),
            ("prompts", _prompts, ()),
            ("reports", _reports, ()),
            ("otlp", _otlp, ()),
            ("catalogue", _catalogue, ()),
        )
    ]
    table, check = _metering(settings, shut)
    return [*checks, check, *_routes(settings)], table


_STORE, _BOTH = ("store",), ("store", "state")
"""In what a check looks: it is not tried where that cannot be opened."""


def _guarded(
    name: str, check: Callable[[Settings], Check], settings: Settings, within: Sequence[str], shut: list[str]
) -> Check:
    """Try one thing; where it cannot be opened its name is added to `shut`, and what lies in it is not tried.

    One cause is told once, and a database that is down is waited for once.
    """
    if (where := next((one for one in shut if one in within), None)) is not None:
        return _unchecked(name, where)
    try:
        return check(settings)
    except AnalyzerError as error:
        if name in _BOTH:
            shut.append(name)
        return Check(name, "failed", str(error))


def _unchecked(name: str, where: str) -> Check:
    return Check(name, "off", f"not checked: the {where} cannot be opened")


def _store(settings: Settings) -> Check:
    from analyzer.wiring.collecting import filled_by
    from analyzer.wiring.opening import open_existing

    if not settings.store.exists():
        return _no_store(settings)
    now = datetime.now(UTC)
    with open_existing(settings) as store:
        trajectories, spans = store.count(datetime(1970, 1, 1, tzinfo=UTC), now + timedelta(days=1))
        latest = store.summaries(limit=1)
        is_sealed = store.connection.is_sealed
    if is_sealed:
        what = f"{settings.store}: {trajectories:,} trajectories can be read, and nothing can be written"
        hint = (
            "make the file and its folder writable for this user; until then neither runs nor receivers keep anything"
        )
        return Check("store", "failed", what, hint, "export ANALYZER_STORE=...")
    if not trajectories:
        way = filled_by(settings)
        return Check("store", "ok", f"{settings.store}: empty", f"{way} puts trajectories in", _typed(way))
    end_ns = latest[0].end_ns if latest else None
    newest = "unknown" if end_ns is None else f"{datetime.fromtimestamp(end_ns / 1e9, UTC):%Y-%m-%d %H:%M} UTC"
    return Check("store", "ok", f"{settings.store}: {trajectories:,} trajectories, {spans:,} spans, latest {newest}")


def _no_store(settings: Settings) -> Check:
    """Say whether a store can be made; whoever only looks must not make one."""
    from analyzer.wiring.collecting import filled_by

    path = settings.store.absolute()
    folder = next(folder for folder in path.parents if folder.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        what = "is no folder" if not folder.is_dir() else "cannot be written"
        hint = "set ANALYZER_STORE to a writable file"
        what = f"{settings.store}: cannot be made, {folder} {what}"
        return Check("store", "failed", what, hint, "export ANALYZER_STORE=...")
    way = filled_by(settings)
    return Check("store", "off", f"{settings.store}: not there yet", f"{way} makes it", _typed(way))


def _typed(way: str) -> str:
    """Return a command as it is typed; dots stand for what only the operator knows."""
    return way.strip("`").replace("PATH", "...")


def _prices(settings: Settings) -> Check:
    from analyzer.ingest.toolcosts import ToolCosts
    from analyzer.wiring.opening import open_existing

    rules = ToolCosts(settings.tool_costs)
    if not settings.store.exists():
        return Check("prices", "off", "no store yet, and so no model that could lack one")
    with open_existing(settings) as store:
        unpriced = store.unpriced_models()
        # Without a rule a tool costs nothing that anyone told; with one, a call it could not price is a gap.
        missed = [(tool, calls) for tool, calls in store.unpriced_tools() if rules.covers(tool)]
    what, hints = [], []
    if unpriced:
        what.append(f"no price known for {_calls(unpriced)}: their cost is not counted")
        hints.append("set it under [prices] in analyzer.toml")
    if missed:
        what.append(f"the rule of {_calls(missed)} could not be followed, or is newer: their cost is not counted")
        hints.append("check unit_attribute and unit_path under [tool_costs] in analyzer.toml")
    if what:
        return Check("prices", "failed", "; ".join(what), "; ".join(hints), _price_command(unpriced))
    return Check("prices", "ok", "every model seen has a price")


def _price_command(unpriced: Sequence[tuple[str, int]]) -> str:
    """Return what sets the first price that is missing; "" where the name cannot be written into a command."""
    model = unpriced[0][0] if unpriced else ""
    if not model or not set(model) <= _PLAIN:
        return ""
    return f"printf '\\n[prices.\"{model}\"]\\ninput = ...\\noutput = ...\\n' >> analyzer.toml"


_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/")
"""Names of models come from traces: what could end a quotation is put into no command."""


def _calls(entries: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} ({calls:,} calls)" for name, calls in entries[:5])


def _agents(settings: Settings) -> Check:
    """Say which settings are about agents that nobody ever saw: what is set for them holds for nobody."""
    from analyzer.stores.summaries import OWN_AGENT
    from analyzer.types.named import never_seen
    from analyzer.wiring.naming import agents_named
    from analyzer.wiring.opening import open_existing

    named = agents_named(settings)
    if not named:
        return Check("agents", "off", "no setting is about an agent by its name")
    if not settings.store.exists():
        return Check("agents", "off", "no store yet, and so no agent that was seen")
    with open_existing(settings) as store:
        known = [*store.agents(*ALL_TIME), OWN_AGENT]
    if never_seen(named, known):
        known = [*known, *_measured(settings)]
    if found := never_seen(named, known):
        return Check("agents", "failed", "; ".join(found), "correct the name in analyzer.toml, or wait for the agent")
    return Check("agents", "ok", f"{len(named)} settings by name, each of an agent that was seen")


def _measured(settings: Settings) -> list[str]:
    """Return the agents that only metrics show, of the last 24 hours."""
    from analyzer.metrics.series import prometheus_series
    from analyzer.wiring.metering import open_metrics

    source = open_metrics(settings)
    if source is None:
        return []
    now = datetime.now(UTC)
    series, _ = prometheus_series(source, settings.queries, now - timedelta(hours=24), now)
    return sorted({one.subject.agent for one in series if one.subject.agent})


def _prometheus(settings: Settings) -> Check:
    from analyzer.metrics.series import prometheus_series
    from analyzer.wiring.metering import metrics_servers, open_metrics, open_servers

    source = open_metrics(settings)
    if source is None:
        detail, command = "not set: series come from the store", "export ANALYZER_PROMETHEUS_URL=http://...:9090"
        return Check("prometheus", "off", detail, "set ANALYZER_PROMETHEUS_URL", command)
    answers = _answers(open_servers(settings, metrics_servers(settings)))
    said = ", ".join(text for text, _ in answers)
    if not all(alive for _, alive in answers):
        return Check("prometheus", "failed", said, "the run goes on from the store's trajectories until all answer")
    now = datetime.now(UTC)
    series, gaps = prometheus_series(source, settings.queries, now - timedelta(hours=24), now)
    agents = sorted({one.subject.agent for one in series if one.subject.agent})
    if gaps:
        return Check("prometheus", "failed", "; ".join(gap.why for gap in gaps), gaps[0].hint)
    if not agents:
        hint = "set your metric names under [queries] in analyzer.toml"
        return Check("prometheus", "failed", f"{said}; no agent in the last 24 h", hint)
    return Check("prometheus", "ok", f"{said}; agents of the last 24 h: {', '.join(agents[:8])}")


def _answers(opened: Mapping[str, Prometheus]) -> list[tuple[str, bool]]:
    """Ask each server by itself, a replica too: it must answer before it is needed. Say what, and whether it did."""
    found = []
    for name, server in opened.items():
        own = f"{name} " if len(opened) > 1 else ""
        try:
            found.append((f"{own}version {server.version()}", True))
        except AnalyzerError as error:
            found.append((f"{own.strip()}: {error}" if own else str(error), False))
    return found


def _metering(settings: Settings, shut: Sequence[str]) -> tuple[list[dict[str, Any]], Check]:
    """Hold metrics and traces of every agent side by side, and say what they come to.

    That they disagree is no failure of a connection: a fleet may well be sampled. What a row means is in
    docs/detectors/metering.md.
    """
    from analyzer.pipeline.metering import HINT, row_document, table_note, two_sides
    from analyzer.types.metering import Accord
    from analyzer.wiring.building import build_reader

    if not settings.has_metrics or not settings.store.exists():
        return [], Check("metering", "off", "no Prometheus or no store: there are no two sides")
    if shut:
        return [], _unchecked("metering", shut[0])
    try:
        with build_reader(settings) as app:
            rows = two_sides(app, datetime.now(UTC))
    except AnalyzerError as error:
        return [], Check("metering", "failed", str(error))
    if not rows:
        why = "only one of Prometheus and the store knows any trajectory, or it is switched off"
        return [], Check("metering", "off", why)
    agree = all(row.now is Accord.AGREE for row in rows)
    check = Check(
        "metering", "ok", table_note(rows)["metering"].partition(".")[0], "" if agree else HINT.partition(";")[0]
    )
    return [row_document(row) for row in rows], check


def _model(settings: Settings) -> Check:
    if settings.llm == "off":
        return Check("model", "off", "ANALYZER_LLM=off: incidents are explained by rules")
    from analyzer.wiring.opening import open_model

    model = open_model(settings)
    if model is None:
        detail, command = "no credentials: incidents are explained by rules", "export ANTHROPIC_API_KEY=..."
        return Check("model", "off", detail, "set ANTHROPIC_API_KEY", command)
    return Check("model", "ok", f"{model.name}; at most ${settings.budget_usd:g} a run")


def _prompts(_settings: Settings) -> Check:
    from analyzer.prompts import load, names

    found = names()
    if not found:
        return Check("prompts", "failed", "there are none", "reinstall the package: they are part of it")
    return Check("prompts", "ok", ", ".join(f"{name} {load(name).hash[:6]}" for name in found))


def _catalogue(settings: Settings) -> Check:
    """Ask the catalogue of agents for a number; a run is what enters the analyst."""
    from analyzer.wiring.enrolling import open_argus

    argus = open_argus(settings)
    if argus is None:
        return Check("catalogue", "off", "not set: the analyst is entered nowhere", "set ANALYZER_ARGUS_URL")
    detail = argus.check()
    if settings.argus_token is None:
        return Check("catalogue", "ok", detail, "without ANALYZER_ARGUS_TOKEN somebody else must enter the analyst")
    return Check("catalogue", "ok", detail)


def _routes(settings: Settings) -> list[Check]:
    """Try every route that is set up, without sending a message."""
    from analyzer.wiring.routes import everywhere

    try:
        places = everywhere(settings)
    except AnalyzerError as error:
        return [Check("routes", "failed", str(error))]
    if not places:
        detail = "none set up: incidents are told on standard output and in report files"
        hint, command = "docs/notify.md: Slack, mail, a webhook, Alertmanager", "export ANALYZER_SLACK_WEBHOOK_URL=..."
        return [Check("routes", "off", detail, hint, command)]
    return [_tried(one) for one in places]


def _tried(one: Outside) -> Check:
    try:
        return Check(one.name, "ok", one.place.check())
    except AnalyzerError as error:
        return Check(one.name, "failed", str(error), one.hint)


def _otlp(settings: Settings) -> Check:
    from analyzer.wiring.sending import Sending

    if settings.otlp_endpoint is None:
        return Check("otlp", "off", "not set: traces of our own runs are in the store alone")
    return Check("otlp", "ok", Sending.to(settings, lambda span: span).check())


def _reports(settings: Settings) -> Check:
    from analyzer.wiring.opening import reports_folder

    folder = reports_folder(settings)
    if not folder.exists():
        above = next(one for one in folder.absolute().parents if one.exists())
        if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
            return Check("reports", "ok", f"{folder}: made with the first report")
        what = f"{folder}: cannot be made in {above}"
        return Check("reports", "failed", what, _REPORTS_HINT, _REPORTS_COMMAND)
    try:
        probe = folder / ".analyzer-probe"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        return Check("reports", "failed", f"{folder}: {error.strerror}", _REPORTS_HINT, _REPORTS_COMMAND)
    return Check("reports", "ok", str(folder))


_REPORTS_HINT, _REPORTS_COMMAND = "set ANALYZER_REPORTS to a writable folder", "export ANALYZER_REPORTS=..."
