"""`analyzer doctor`: every setting with its source, every connection tried, what is missing and how to mend it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.common import ALL_TIME, DONE, GAPS, json_option, print_json, settings_from, store_option
from analyzer.errors import AnalyzerError

if TYPE_CHECKING:
    from analyzer.config import Loaded, Settings
    from analyzer.wiring.routes import Outside

HIDDEN = "(set, not shown)"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried."""

    name: str
    state: str
    """"ok", "off" (not set up, which is allowed) or "failed"."""
    detail: str
    hint: str = ""


@click.command("doctor")
@store_option
@json_option
def command(store: str | None, as_json: bool) -> int:
    """Show every setting with its source and check every connection.

    Nothing is sent anywhere but harmless queries. Exit codes: 0 all that is set up works; 3 something does not.
    """
    loaded = settings_from(store=store)
    checks = [
        _guarded(name, check, loaded.settings)
        for name, check in (
            ("store", _store),
            ("prices", _prices),
            ("agents", _agents),
            ("prometheus", _prometheus),
            ("model", _model),
            ("budget", _budget),
            ("audit", _audit),
            ("prompts", _prompts),
            ("reports", _reports),
            ("catalogue", _catalogue),
        )
    ]
    checks += _routes(loaded.settings)
    if as_json:
        print_json(_document(loaded, checks))
    else:
        _print(loaded, checks)
    return GAPS if any(check.state == "failed" for check in checks) else DONE


def _guarded(name: str, check: Callable[[Settings], Check], settings: Settings) -> Check:
    try:
        return check(settings)
    except AnalyzerError as error:
        return Check(name, "failed", str(error))


def _store(settings: Settings) -> Check:
    from analyzer.wiring.opening import open_existing

    if not settings.store.exists():
        return _no_store(settings)
    now = datetime.now(UTC)
    with open_existing(settings) as store:
        trajectories, spans = store.count(datetime(1970, 1, 1, tzinfo=UTC), now + timedelta(days=1))
        latest = store.summaries(limit=1)
    if not trajectories:
        return Check("store", "ok", f"{settings.store}: empty", "`analyzer ingest PATH` puts trajectories in")
    end_ns = latest[0].end_ns if latest else None
    newest = "unknown" if end_ns is None else f"{datetime.fromtimestamp(end_ns / 1e9, UTC):%Y-%m-%d %H:%M} UTC"
    return Check("store", "ok", f"{settings.store}: {trajectories:,} trajectories, {spans:,} spans, latest {newest}")


def _no_store(settings: Settings) -> Check:
    """Say whether a store can be made; whoever only looks must not make one."""
    path = settings.store.absolute()
    folder = next(folder for folder in path.parents if folder.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        what = "is no folder" if not folder.is_dir() else "cannot be written"
        hint = "set ANALYZER_STORE to a writable file"
        return Check("store", "failed", f"{settings.store}: cannot be made, {folder} {what}", hint)
    return Check("store", "off", f"{settings.store}: not there yet", "`analyzer ingest PATH` makes it")


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
        return Check("prices", "failed", "; ".join(what), "; ".join(hints))
    return Check("prices", "ok", "every model seen has a price")


def _calls(entries: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} ({calls:,} calls)" for name, calls in entries[:5])


def _agents(settings: Settings) -> Check:
    """Say which settings are about agents that nobody ever saw: what is set for them holds for nobody."""
    from analyzer.types.named import never_seen
    from analyzer.wiring.naming import agents_named
    from analyzer.wiring.opening import open_existing

    named = agents_named(settings)
    if not named:
        return Check("agents", "off", "no setting is about an agent by its name")
    if not settings.store.exists():
        return Check("agents", "off", "no store yet, and so no agent that was seen")
    with open_existing(settings) as store:
        known = store.agents(*ALL_TIME)
    if never_seen(named, known):
        known = [*known, *_measured(settings)]
    if found := never_seen(named, known):
        return Check("agents", "failed", "; ".join(found), "correct the name in analyzer.toml, or wait for the agent")
    return Check("agents", "ok", f"{len(named)} settings by name, each of an agent that was seen")


def _measured(settings: Settings) -> list[str]:
    """Return the agents that only metrics show, of the last 24 hours."""
    from analyzer.metrics.series import prometheus_series
    from analyzer.wiring.opening import open_prometheus

    source = open_prometheus(settings)
    if source is None:
        return []
    now = datetime.now(UTC)
    series, _ = prometheus_series(source, settings.queries, now - timedelta(hours=24), now)
    return sorted({one.subject.agent for one in series if one.subject.agent})


def _prometheus(settings: Settings) -> Check:
    from analyzer.metrics.series import prometheus_series
    from analyzer.wiring.opening import open_prometheus

    source = open_prometheus(settings)
    if source is None:
        return Check("prometheus", "off", "not set: series come from the store", "set ANALYZER_PROMETHEUS_URL")
    version = source.version()
    now = datetime.now(UTC)
    series, gaps = prometheus_series(source, settings.queries, now - timedelta(hours=24), now)
    agents = sorted({one.subject.agent for one in series if one.subject.agent})
    if gaps:
        return Check("prometheus", "failed", "; ".join(gap.why for gap in gaps), gaps[0].hint)
    if not agents:
        hint = "set your metric names under [queries] in analyzer.toml"
        return Check("prometheus", "failed", f"version {version}; no agent in the last 24 h", hint)
    return Check("prometheus", "ok", f"version {version}; agents of the last 24 h: {', '.join(agents[:8])}")


def _model(settings: Settings) -> Check:
    if settings.llm == "off":
        return Check("model", "off", "ANALYZER_LLM=off: incidents are explained by rules")
    from analyzer.wiring.opening import open_model

    model = open_model(settings)
    if model is None:
        return Check("model", "off", "no credentials: incidents are explained by rules", "set ANTHROPIC_API_KEY")
    return Check("model", "ok", f"{model.name}; at most ${settings.budget_usd:g} a run")


def _budget(settings: Settings) -> Check:
    if settings.llm == "off":
        return Check("budget", "off", "no model is asked")
    from analyzer.ingest.pricing import Pricer
    from analyzer.types.spending import Left
    from analyzer.wiring.opening import open_existing, spending_of

    left = Left(settings.budget_tokens_per_day, settings.budget_usd_per_day)
    if settings.store.exists():
        with open_existing(settings) as store:
            left = spending_of(settings, store.connection, "").left()
    day = f"of ${settings.budget_usd_per_day:g} and {settings.budget_tokens_per_day:,} tokens"
    detail = f"left today: ${left.usd:.2f} and {left.tokens:,} tokens, {day} a day"
    if Pricer(settings.prices).price_of(settings.model, "anthropic") is None:
        hint = f"set the price of {settings.model} under [prices] in analyzer.toml"
        return Check("budget", "failed", f"{detail}; the model has no known price, so that USD cannot be held", hint)
    return Check("budget", "ok", detail)


def _audit(settings: Settings) -> Check:
    from analyzer.wiring.opening import open_audit

    if not settings.store.exists():
        return Check("audit", "off", "no store yet, and so nothing to log")
    with open_audit(settings) as log:
        head = log.head()
    return Check("audit", "ok", f"{head.entries:,} entries; `analyzer audit verify` checks them")


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
        return [Check("routes", "off", detail, "docs/notify.md: Slack, mail, a webhook, Alertmanager")]
    return [_tried(one) for one in places]


def _tried(one: Outside) -> Check:
    try:
        return Check(one.name, "ok", one.place.check())
    except AnalyzerError as error:
        return Check(one.name, "failed", str(error), one.hint)


def _reports(settings: Settings) -> Check:
    from analyzer.wiring.opening import reports_folder

    folder = reports_folder(settings)
    if not folder.exists():
        above = next(one for one in folder.absolute().parents if one.exists())
        if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
            return Check("reports", "ok", f"{folder}: made with the first report")
        what = f"{folder}: cannot be made in {above}"
        return Check("reports", "failed", what, "set ANALYZER_REPORTS to a writable folder")
    try:
        probe = folder / ".analyzer-probe"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        return Check("reports", "failed", f"{folder}: {error.strerror}", "set ANALYZER_REPORTS to a writable folder")
    return Check("reports", "ok", str(folder))


def _document(loaded: Loaded, checks: list[Check]) -> Mapping[str, Any]:
    return {
        "schema": "analyzer.doctor/1",
        "settings": [
            {"name": name, "value": value, "source": loaded.sources[name]} for name, value in settings_shown(loaded)
        ],
        "checks": [
            {"name": check.name, "state": check.state, "detail": check.detail, "hint": check.hint} for check in checks
        ],
    }


def settings_shown(loaded: Loaded) -> list[tuple[str, str | None]]:
    """Return name and value of every setting, as it could be written; secrets are only said to be set."""
    from analyzer.config import duration_text

    shown: list[tuple[str, str | None]] = []
    for spec in fields(loaded.settings):
        value = getattr(loaded.settings, spec.name)
        if spec.metadata.get("secret") and value is not None:
            shown.append((spec.name, HIDDEN))
        elif isinstance(value, Mapping | tuple):
            shown.append((spec.name, f"{len(value)} entries"))
        elif isinstance(value, timedelta):
            shown.append((spec.name, duration_text(value)))
        else:
            shown.append((spec.name, None if value is None else str(value)))
    return shown


def _print(loaded: Loaded, checks: list[Check]) -> None:
    rows = [(name, value if value is not None else "-", loaded.sources[name]) for name, value in settings_shown(loaded)]
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    click.echo("Settings" + (f" ({loaded.file})" if loaded.file else ""))
    for name, value, source in rows:
        click.echo(f"  {name:<{widths[0]}}  {value:<{widths[1]}}  {source}")
    click.echo("\nChecks")
    for check in checks:
        click.echo(f"  {check.state:<6}  {check.name:<12}  {check.detail}")
        if check.hint:
            click.echo(f"  {'':<6}  {'':<12}  -> {check.hint}")
