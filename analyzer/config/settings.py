"""Everything that can be set, each with its default, its reader and one line that says what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from analyzer.config.queries import DEFAULT_QUERIES
from analyzer.config.scalars import (
    parse_choice,
    parse_clickhouse_url,
    parse_count,
    parse_duration,
    parse_page_url,
    parse_path,
    parse_port,
    parse_positive,
    parse_state,
    parse_url,
)
from analyzer.types.budget import Budget
from analyzer.types.collector import CollectorTables
from analyzer.types.floor import Floor
from analyzer.types.holidays import Calendar
from analyzer.types.servers import MetricsServer


def _setting(default: Any, parse: Callable[[str], Any], doc: str, *, secret: bool = False) -> Any:
    return field(default=default, metadata={"parse": parse, "doc": doc, "secret": secret})


def _table(default: Callable[[], Any], doc: str) -> Any:
    return field(default_factory=default, metadata={"doc": doc, "secret": False})


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. A scalar's variable is `ANALYZER_` and its name in capitals."""

    store: Path = _setting(None, parse_path, "the SQLite file with trajectories and incidents")
    state: str | None = _setting(
        None,
        parse_state,
        "PostgreSQL in which several instances share incidents, budgets and log: `postgresql://...`; unset: the store",
        secret=True,
    )
    reports: Path | None = _setting(None, parse_path, "folder of report files; unset: beside the store")
    prometheus_url: str | None = _setting(None, parse_url, "base URL of Prometheus; unset: the store's own series")
    prometheus_timeout_s: float = _setting(10.0, parse_positive, "seconds a Prometheus call may take")
    prometheus_token: str | None = _setting(None, str, "bearer token for Prometheus", secret=True)
    prometheus_headers: str | None = _setting(
        None, str, "headers for it, the tenant for example: `X-Scope-OrgID=team-a`, several by commas", secret=True
    )
    prometheus_ca_file: Path | None = _setting(
        None, parse_path, "PEM of who signed its certificate; unset: the system's"
    )
    clickhouse_url: str | None = _setting(
        None,
        parse_clickhouse_url,
        "ClickHouse with the Collector's traces, `https://user@host:8443/database`; read, never written"
        " (docs/clickhouse.md)",
    )
    clickhouse_password: str | None = _setting(None, str, "password for it", secret=True)
    model: str = _setting("claude-sonnet-5-5", str, "model that explains incidents")
    llm: str = _setting("auto", parse_choice("off", "auto"), "auto: on when the SDK finds credentials; off: rules only")
    slack_webhook_url: str | None = _setting(None, parse_url, "Slack incoming webhook", secret=True)
    slack_bot_token: str | None = _setting(None, str, "Slack bot token: one thread an incident", secret=True)
    slack_channel: str | None = _setting(None, str, "channel (its id is safest) in which the bot opens threads")
    slack_api_url: str = _setting("https://slack.com/api", parse_url, "base URL of Slack's Web API, for GovSlack")
    webhook_url: str | None = _setting(None, parse_url, "URL that gets each message as JSON", secret=True)
    webhook_secret: str | None = _setting(None, str, "secret with which those messages are signed", secret=True)
    smtp_url: str | None = _setting(
        None, str, "mail server: `smtp://HOST:587` (STARTTLS), `smtps://HOST:465`; plain only to this machine"
    )
    smtp_user: str | None = _setting(None, str, "name to log in with at the mail server")
    smtp_password: str | None = _setting(None, str, "password for it", secret=True)
    mail_from: str | None = _setting(None, str, "address that mails come from")
    mail_to: str | None = _setting(None, str, "addresses that mails go to, separated by commas")
    alertmanager_url: str | None = _setting(None, parse_url, "base URL of the Alertmanager that is told of incidents")
    alertmanager_token: str | None = _setting(None, str, "bearer token for Alertmanager", secret=True)
    alertmanager_expiry: timedelta = _setting(
        timedelta(hours=3),
        parse_duration,
        "how long an alert outlives its last run: more than the time between runs",
    )
    pushgateway_url: str | None = _setting(
        None, parse_url, "Prometheus Pushgateway that gets the analyst's own metrics"
    )
    metrics_textfile: Path | None = _setting(
        None, parse_path, "file for node_exporter's textfile collector, ending in `.prom`: own and fleet metrics"
    )
    metrics_instance: str | None = _setting(None, str, "name of this analyst at the Pushgateway; unset: the host's")
    otlp_endpoint: str | None = _setting(
        None, parse_url, "base URL of an OTLP/HTTP endpoint that gets the traces of the analyst's own runs"
    )
    otlp_headers: str | None = _setting(None, str, "headers for it: `name=value,name=value`", secret=True)
    lookback: timedelta = _setting(timedelta(hours=24), parse_duration, "how far back a run judges")
    history: timedelta = _setting(timedelta(days=28), parse_duration, "how far back the detectors learn")
    fail_on: str | None = _setting(
        None, parse_choice("low", "medium", "high", "critical"), "exit 1 while an incident at least this bad goes on"
    )
    budget_usd: float = _setting(1.0, parse_positive, "USD a run may spend on the model")
    budget_tokens: int = _setting(500_000, parse_count, "tokens a run may use")
    budget_usd_per_day: float = _setting(5.0, parse_positive, "USD all runs and questions of a day (UTC) may spend")
    budget_tokens_per_day: int = _setting(3_000_000, parse_count, "tokens all runs and questions of a day may use")
    investigation_usd: float = _setting(0.5, parse_positive, "USD one investigation may spend")
    investigation_steps: int = _setting(8, parse_count, "model calls one investigation may make")
    investigation_tokens: int = _setting(150_000, parse_count, "tokens one investigation may use")
    investigation_s: float = _setting(120.0, parse_positive, "seconds one investigation may take")
    second_reader: str = _setting(
        "off", parse_choice("off", "on"), "on: another short call sees claims and evidence and may lower the verdict"
    )
    investigations_max: int = _setting(3, parse_count, "incidents a run investigates, worst first")
    case_tokens: int = _setting(12_000, parse_count, "tokens of evidence the model is shown at the start")
    log_format: str = _setting(
        "plain",
        parse_choice("plain", "text", "json"),
        "form of what is said on standard error: sentences for people, or lines with time, level and run",
    )
    log_level: str = _setting(
        "info", parse_choice("debug", "info", "warning", "error"), "from which level on, in `text` and `json`"
    )
    serve_host: str = _setting("127.0.0.1", str, "address the receiver listens on; beyond loopback it needs a token")
    serve_port: int = _setting(4318, parse_port, "port of the receiver; 0: a free one")
    serve_token: str | None = _setting(
        None, str, "bearer token that clients of the receiver send, and pages ask for", secret=True
    )
    base_url: str | None = _setting(
        None, parse_page_url, "where people reach the pages of `analyzer serve`: messages and report files link there"
    )
    alert_labels: str = _setting(
        "agent,gen_ai_agent_name,agent_name",
        str,
        "labels of alerts that may name an agent, separated by commas; the first one given counts",
    )
    alert_wait: timedelta = _setting(
        timedelta(seconds=30), parse_duration, "how long after an alert its run begins; what comes meanwhile is one run"
    )
    argus_url: str | None = _setting(None, parse_url, "base URL of the Argus Catalog that the analyst is entered in")
    argus_token: str | None = _setting(None, str, "bearer token with which the analyst enters itself", secret=True)
    argus_name: str = _setting("analyzer", str, "name of this analyst in the catalogue")
    argus_timeout_s: float = _setting(5.0, parse_positive, "seconds the catalogue may take of a run, over everything")
    argus_unit_usd: float = _setting(
        1.0, parse_positive, "USD that 1 of `budget_limit` in the catalogue is worth: it names no currency"
    )
    prometheus: Mapping[str, MetricsServer] = _table(
        dict,
        "further servers: `url`, `token`, `token_file`, `user`, `password`, `password_file`, `headers`, `ca_file`,"
        " `cert_file`, `key_file`, `replica_of`; by name (docs/series.md)",
    )
    clickhouse: CollectorTables = _table(
        CollectorTables,
        "`traces_table`, `lookup_table`, `services`, `late`, `rows_per_run`, `max_execution_time`, `max_result_rows`,"
        " `max_bytes_to_read` (docs/clickhouse.md)",
    )
    queries: Mapping[str, tuple[str, ...]] = _table(lambda: dict(DEFAULT_QUERIES), "PromQL by signal")
    detectors: Mapping[str, Mapping[str, Any]] = _table(dict, "settings of detectors, by detector")
    prices: Mapping[str, Any] = _table(dict, "USD per million tokens, by model, over the built-in list")
    tool_costs: Mapping[str, Any] = _table(dict, "USD per call, second or unit of what was used, by tool")
    budgets: Mapping[str, Budget] = _table(
        dict,
        "`usd_per_day`, `tokens_per_day`, `usd_per_trajectory`, `steps_per_trajectory`, `retries_per_trajectory`,"
        " by agent; `*`: every agent",
    )
    floors: Mapping[str, Floor] = _table(
        dict,
        "`usd_per_day`, `fleet_share`, `tokens_per_day`, `steps_per_day`: a rise that loses less is of low severity;"
        " by agent; `*`: every agent",
    )
    notify: Mapping[str, Mapping[str, Any]] = _table(
        dict,
        "`severity`, `resolved`, `reminder`, `remind_after`, `per_day`, `storm`, `quiet`, `digest_at`, `time_zone`:"
        " what is told at once and what waits; by route; `*`: every route (docs/notify.md)",
    )
    calendar: Calendar = _table(
        Calendar,
        "`holidays`, a list of days such as `2026-12-25` on which agents may rest as at weekends; `time_zone` in which"
        " they begin and end, else UTC (docs/detectors/silence.md)",
    )
    mask_patterns: Mapping[str, str] = _table(dict, "further patterns to mask, by the name in their pseudonym")
    mask_allow: tuple[str, ...] = _table(tuple, "texts that are never masked")

    @property
    def has_metrics(self) -> bool:
        """Whether any server is asked for metrics."""
        return self.prometheus_url is not None or bool(self.prometheus)


SECTIONS: Mapping[str, str] = {
    "queries": "queries",
    "prometheus": "prometheus",
    "clickhouse": "clickhouse",
    "detectors": "detectors",
    "prices": "prices",
    "tool_costs": "tool_costs",
    "budgets": "budgets",
    "floors": "floors",
    "notify": "notify",
    "calendar": "calendar",
    "masking.patterns": "mask_patterns",
    "masking.allow": "mask_allow",
}
"""Tables of `analyzer.toml` and the settings they fill."""
DATED = frozenset({"prices", "tool_costs"})
"""Tables whose entries may be lists of tables, each with the date `from` which it holds."""
