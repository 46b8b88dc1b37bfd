"""Settings: from flags, then `ANALYZER_*`, then `analyzer.toml`, then defaults. The one reader of the environment."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from analyzer.errors import UsageError
from analyzer.types.budget import Budget, read_budgets
from analyzer.types.floor import Floor, read_floors
from analyzer.types.policy import read_policies

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PORTS = 65_536
YEARS = (1971, 2261)
"""Times are kept as Unix nanoseconds in 64 bits, which end in 2262; before the first year lies at most a history."""
DURATION_MAX = timedelta(days=365)
"""No detector learns from more, and a slip of the pen must not make a run read everything."""
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)\s*([smhdw]))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")

DEFAULT_QUERIES: Mapping[str, tuple[str, ...]] = {
    "cost": ("sum by (agent) (increase(agent_cost_usd_total[$range]))",),
    "trajectories": (
        "sum by (agent) (increase(agent_trajectories_total[$range]))",
        "sum by (agent) (increase(agent_steps_count[$range]))",
    ),
    "errors": ('sum by (agent) (increase(agent_trajectories_total{outcome=~"error|failed|failure|timeout"}[$range]))',),
    "tokens": (
        "sum by (agent) (increase(agent_tokens_total[$range]))",
        "sum by (gen_ai_agent_name) (increase(gen_ai_client_token_usage_sum[$range]))",
        (
            "sum by (gen_ai_agent_name) (increase(gen_ai_client_inference_usage_input_tokens_total[$range]))"
            " + sum by (gen_ai_agent_name) (increase(gen_ai_client_inference_usage_output_tokens_total[$range]))"
        ),
    ),
    "steps": ("sum by (agent) (increase(agent_steps_sum[$range]))",),
    "retries": ("sum by (agent) (increase(agent_retries_total[$range]))",),
    "tool_seconds": ("sum by (agent, tool) (increase(agent_tool_seconds_sum[$range]))",),
    "tool_calls": ("sum by (agent, tool) (increase(agent_tool_seconds_count[$range]))",),
    "inferences": ("sum by (gen_ai_agent_name) (increase(gen_ai_client_operation_duration_seconds_count[$range]))",),
    "changes": ("max by (agent, version) (agent_build_info)",),
}
"""PromQL by signal; the first that gives any series is used. `$range` is replaced by the length of a tick. `changes`
are no signal but versions: a gauge with a label `version` that is there while that build runs."""


def parse_duration(text: str) -> timedelta:
    """Return the length of `90s`, `15m`, `24h`, `14d`, `2w` or `1d12h`. Raises UsageError."""
    compact = text.strip().lower()
    if not _DURATION.fullmatch(compact):
        raise UsageError(f"'{text}' is no duration: write 15m, 24h, 14d or 1d12h")
    seconds = sum(float(number) * _UNITS_S[unit] for number, unit in _DURATION_PART.findall(compact))
    if seconds <= 0:
        raise UsageError(f"'{text}' is no duration: it must be longer than nothing")
    if seconds > DURATION_MAX.total_seconds():
        raise UsageError(f"'{text}' is longer than {DURATION_MAX.days} days")
    return timedelta(seconds=seconds)


def duration_text(length: timedelta) -> str:
    """Return a length of time as it is written in a setting, `1d12h`: what `parse_duration` reads back."""
    rest, parts = int(length.total_seconds()), []
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, _UNITS_S[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_time(text: str) -> datetime:
    """Return an ISO 8601 time, or Unix seconds, in UTC; a time without a zone is UTC. Raises UsageError."""
    compact = text.strip()
    try:
        if re.fullmatch(r"\d{9,11}(\.\d+)?", compact):
            parsed = datetime.fromtimestamp(float(compact), UTC)
        else:
            parsed = datetime.fromisoformat(compact)
    except ValueError:
        raise UsageError(f"'{text}' is no time: write it as 2026-11-23T14:10:00Z") from None
    first, last = YEARS
    if not first <= parsed.year <= last:
        raise UsageError(f"'{text}' is out of range: {first} to {last}")
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def _parse_path(text: str) -> Path:
    return Path(text).expanduser()


def _parse_choice(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise UsageError(f"'{text}' is none of {', '.join(choices)}")
        return text.lower()

    return parse


def _parse_positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise UsageError(f"'{text}' is no number") from None
    if not 0 <= number < float("inf"):
        raise UsageError(f"'{text}' must be a number of 0 or more")
    return number


def _parse_count(text: str) -> int:
    number = _parse_positive(text)
    if number != int(number):
        raise UsageError(f"'{text}' is no whole number")
    return int(number)


def _parse_port(text: str) -> int:
    number = _parse_count(text)
    if number >= _PORTS:
        raise UsageError(f"'{text}' is no port: expected 0 to {_PORTS - 1}")
    return number


def _parse_url(text: str) -> str:
    if not re.match(r"https?://[^\s/]+", text):
        raise UsageError("a URL must begin with http:// or https://")
    return text.rstrip("/")


def _setting(default: Any, parse: Callable[[str], Any], doc: str, *, secret: bool = False) -> Any:
    return field(default=default, metadata={"parse": parse, "doc": doc, "secret": secret})


def _table(default: Callable[[], Any], doc: str) -> Any:
    return field(default_factory=default, metadata={"doc": doc, "secret": False})


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. A scalar's variable is `ANALYZER_` and its name in capitals."""

    store: Path = _setting(None, _parse_path, "the SQLite file with trajectories and incidents")
    reports: Path | None = _setting(None, _parse_path, "folder of report files; unset: beside the store")
    prometheus_url: str | None = _setting(None, _parse_url, "base URL of Prometheus; unset: the store's own series")
    prometheus_timeout_s: float = _setting(10.0, _parse_positive, "seconds a Prometheus call may take")
    prometheus_token: str | None = _setting(None, str, "bearer token for Prometheus", secret=True)
    model: str = _setting("claude-sonnet-5-5", str, "model that explains incidents")
    llm: str = _setting(
        "auto", _parse_choice("off", "auto"), "auto: on when the SDK finds credentials; off: rules only"
    )
    slack_webhook_url: str | None = _setting(None, _parse_url, "Slack incoming webhook", secret=True)
    slack_bot_token: str | None = _setting(None, str, "Slack bot token: one thread an incident", secret=True)
    slack_channel: str | None = _setting(None, str, "channel (its id is safest) in which the bot opens threads")
    slack_api_url: str = _setting("https://slack.com/api", _parse_url, "base URL of Slack's Web API, for GovSlack")
    webhook_url: str | None = _setting(None, _parse_url, "URL that gets each message as JSON", secret=True)
    webhook_secret: str | None = _setting(None, str, "secret with which those messages are signed", secret=True)
    smtp_url: str | None = _setting(
        None, str, "mail server: `smtp://HOST:587` (STARTTLS), `smtps://HOST:465`; plain only to this machine"
    )
    smtp_user: str | None = _setting(None, str, "name to log in with at the mail server")
    smtp_password: str | None = _setting(None, str, "password for it", secret=True)
    mail_from: str | None = _setting(None, str, "address that mails come from")
    mail_to: str | None = _setting(None, str, "addresses that mails go to, separated by commas")
    alertmanager_url: str | None = _setting(None, _parse_url, "base URL of the Alertmanager that is told of incidents")
    alertmanager_token: str | None = _setting(None, str, "bearer token for Alertmanager", secret=True)
    alertmanager_expiry: timedelta = _setting(
        timedelta(hours=3),
        parse_duration,
        "how long an alert outlives its last run: more than the time between runs",
    )
    pushgateway_url: str | None = _setting(None, _parse_url, "Prometheus Pushgateway that gets the run's own metrics")
    lookback: timedelta = _setting(timedelta(hours=24), parse_duration, "how far back a run judges")
    history: timedelta = _setting(timedelta(days=28), parse_duration, "how far back the detectors learn")
    fail_on: str | None = _setting(
        None, _parse_choice("low", "medium", "high", "critical"), "exit 1 while an incident at least this bad goes on"
    )
    budget_usd: float = _setting(1.0, _parse_positive, "USD a run may spend on the model")
    budget_tokens: int = _setting(500_000, _parse_count, "tokens a run may use")
    budget_usd_per_day: float = _setting(5.0, _parse_positive, "USD all runs and questions of a day (UTC) may spend")
    budget_tokens_per_day: int = _setting(3_000_000, _parse_count, "tokens all runs and questions of a day may use")
    investigation_usd: float = _setting(0.5, _parse_positive, "USD one investigation may spend")
    investigation_steps: int = _setting(8, _parse_count, "model calls one investigation may make")
    investigation_tokens: int = _setting(150_000, _parse_count, "tokens one investigation may use")
    investigation_s: float = _setting(120.0, _parse_positive, "seconds one investigation may take")
    second_reader: str = _setting(
        "off", _parse_choice("off", "on"), "on: another short call sees claims and evidence and may lower the verdict"
    )
    investigations_max: int = _setting(3, _parse_count, "incidents a run investigates, worst first")
    case_tokens: int = _setting(12_000, _parse_count, "tokens of evidence the model is shown at the start")
    serve_host: str = _setting("127.0.0.1", str, "address the receiver listens on; beyond loopback it needs a token")
    serve_port: int = _setting(4318, _parse_port, "port of the receiver; 0: a free one")
    serve_token: str | None = _setting(
        None, str, "bearer token that clients of the receiver send, and pages ask for", secret=True
    )
    queries: Mapping[str, tuple[str, ...]] = _table(lambda: dict(DEFAULT_QUERIES), "PromQL by signal")
    detectors: Mapping[str, Mapping[str, Any]] = _table(dict, "settings of detectors, by detector")
    prices: Mapping[str, Any] = _table(dict, "USD per million tokens, by model, over the built-in list")
    tool_costs: Mapping[str, Any] = _table(dict, "USD per call, second or unit of what was used, by tool")
    budgets: Mapping[str, Budget] = _table(
        dict,
        "`usd_per_day`, `tokens_per_day`, `usd_per_trajectory`, `steps_per_trajectory`, by agent; `*`: every agent",
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
    mask_patterns: Mapping[str, str] = _table(dict, "further patterns to mask, by the name in their pseudonym")
    mask_allow: tuple[str, ...] = _table(tuple, "texts that are never masked")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings and, for each, where its value came from."""

    settings: Settings
    sources: Mapping[str, str]
    """By setting: `flag`, `ANALYZER_X`, the path of the file, or `default`."""
    file: Path | None


SECTIONS: Mapping[str, str] = {
    "queries": "queries",
    "detectors": "detectors",
    "prices": "prices",
    "tool_costs": "tool_costs",
    "budgets": "budgets",
    "floors": "floors",
    "notify": "notify",
    "masking.patterns": "mask_patterns",
    "masking.allow": "mask_allow",
}
"""Tables of `analyzer.toml` and the settings they fill."""
DATED = frozenset({"prices", "tool_costs"})
"""Tables whose entries may be lists of tables, each with the date `from` which it holds."""


def load(flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Loaded:
    """Merge flags (None: not given), environment and file. Raises UsageError that names the place of a fault."""
    environ = os.environ if environ is None else environ
    path, document = _read_file(environ)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    _check_names(environ, document, path)
    for spec in fields(Settings):
        name, parse = spec.name, spec.metadata.get("parse")
        variable = f"ANALYZER_{name.upper()}"
        flag = (flags or {}).get(name)
        if flag is not None:
            values[name], sources[name] = _parsed(parse, flag, f"--{name.replace('_', '-')}"), "flag"
        elif parse is not None and environ.get(variable, "") != "":
            values[name], sources[name] = _parsed(parse, environ[variable], variable), variable
        elif (found := _in_file(document, name)) is not None:
            place = f"{path}: {name}"
            values[name] = _parsed(parse, found, place) if parse else _checked_table(name, found, place)
            sources[name] = str(path)
        else:
            sources[name] = "default"
            values[name] = spec.default_factory() if callable(spec.default_factory) else spec.default
    if values["store"] is None:
        values["store"] = _data_folder(environ) / "analyzer.db"
    return Loaded(Settings(**values), sources, path)


def credentials_hint() -> str:
    """Say what to set so that a model can be asked."""
    return "set ANTHROPIC_API_KEY to have incidents explained by a model"


def _read_file(environ: Mapping[str, str]) -> tuple[Path | None, dict[str, Any]]:
    named = environ.get("ANALYZER_CONFIG")
    path = _parse_path(named) if named else Path("analyzer.toml")
    if not named and not path.is_file():
        return None, {}
    try:
        return path, tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"ANALYZER_CONFIG: cannot read {path}: {error.strerror}; correct it or unset it") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None


def _check_names(environ: Mapping[str, str], document: Mapping[str, Any], path: Path | None) -> None:
    """Refuse names that mean nothing: a misspelt setting must not be silently ignored."""
    scalars = {spec.name for spec in fields(Settings) if "parse" in spec.metadata}
    variables = {f"ANALYZER_{name.upper()}" for name in scalars} | {"ANALYZER_CONFIG"}
    for name in environ:
        if name.startswith("ANALYZER_") and name not in variables:
            raise UsageError(f"{name} is no setting{_nearest(name, variables)}")
    allowed = scalars | {section.split(".")[0] for section in SECTIONS}
    for name in document:
        if name not in allowed:
            raise UsageError(f"{path}: '{name}' is no setting{_nearest(name, allowed)}")
    for name in document.get("masking", {}):
        if f"masking.{name}" not in SECTIONS:
            raise UsageError(f"{path}: 'masking.{name}' is no setting")


def _nearest(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else "; `analyzer doctor` lists them"


def _in_file(document: Mapping[str, Any], name: str) -> Any:
    section = next((key for key, setting in SECTIONS.items() if setting == name), name)
    value: Any = document
    for part in section.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _parsed(parse: Callable[[str], Any] | None, value: Any, place: str) -> Any:
    if isinstance(value, str) and not value.strip():
        raise UsageError(f"{place} is empty: give a value, or leave it out")
    if isinstance(value, bool | Mapping | list):
        raise UsageError(f"{place}: expected a single value, not {type(value).__name__}")
    try:
        return parse(value if isinstance(value, str) else str(value)) if parse else value
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None


_READERS: Mapping[str, Callable[[Mapping[str, Any], str], Any]] = {
    "budgets": read_budgets,
    "floors": read_floors,
    "notify": partial(read_policies, duration=parse_duration),
}
"""Tables that have a form of their own."""


def _checked_table(name: str, value: Any, place: str) -> Any:
    if name == "mask_allow":
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise UsageError(f"{place}: expected a list of texts")
        return tuple(value)
    if not isinstance(value, Mapping):
        raise UsageError(f"{place}: expected a table")
    if name in _READERS:
        return _READERS[name](value, place)
    if name == "queries":
        return {**DEFAULT_QUERIES, **{key: _as_queries(key, query, place) for key, query in value.items()}}
    if name == "mask_patterns":
        for key, pattern in value.items():
            _check_pattern(pattern, f"{place}.{key}")
    elif not all(isinstance(entry, Mapping) or (name in DATED and _is_tables(entry)) for entry in value.values()):
        raise UsageError(f"{place}: expected a table for each name")
    return dict(value)


def _is_tables(entry: Any) -> bool:
    return isinstance(entry, list) and bool(entry) and all(isinstance(table, Mapping) for table in entry)


def _as_queries(key: str, query: Any, place: str) -> tuple[str, ...]:
    if key not in DEFAULT_QUERIES:
        raise UsageError(f"{place}: '{key}' is no signal{_nearest(key, set(DEFAULT_QUERIES))}")
    queries = [query] if isinstance(query, str) else query
    if not isinstance(queries, list) or not queries or not all(isinstance(text, str) for text in queries):
        raise UsageError(f"{place}.{key}: expected PromQL or a list of it")
    return tuple(queries)


def _check_pattern(pattern: Any, place: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, TypeError) as error:
        raise UsageError(f"{place}: no regular expression: {error}") from None


def _data_folder(environ: Mapping[str, str]) -> Path:
    """Return the user's data folder for this program: XDG's, or the platform's usual place."""
    if environ.get("XDG_DATA_HOME"):
        return Path(environ["XDG_DATA_HOME"]) / "analyzer"
    if os.name == "nt" and environ.get("LOCALAPPDATA"):
        return Path(environ["LOCALAPPDATA"]) / "analyzer"
    return Path("~/.local/share/analyzer").expanduser()
