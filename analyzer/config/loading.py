"""Settings from flags, then `ANALYZER_*`, then `analyzer.toml`, then defaults. The one reader of the environment."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from analyzer.config.scalars import parse_path
from analyzer.config.settings import SECTIONS, Settings
from analyzer.config.tables import checked_table, nearest
from analyzer.errors import UsageError


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings and, for each, where its value came from."""

    settings: Settings
    sources: Mapping[str, str]
    """By setting: `flag`, `ANALYZER_X`, the path of the file, or `default`."""
    file: Path | None


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
            values[name] = _parsed(parse, found, place) if parse else checked_table(name, found, place)
            sources[name] = str(path)
        else:
            sources[name] = "default"
            values[name] = spec.default_factory() if callable(spec.default_factory) else spec.default
    if values["store"] is None:
        values["store"] = _data_folder(environ) / "analyzer.db"
    return Loaded(Settings(**values), sources, path)


REPLAY_URL = "ANALYZER_REPLAY_URL"
"""No setting: where a replayed agent finds the stand-in for its provider and tools."""

GOLDEN_GOAL = "ANALYZER_GOLDEN_GOAL"
"""No setting: what the failed run of a golden case was asked for, told to an agent that runs again."""


ANTHROPIC_URL = "https://api.anthropic.com"
"""Where Anthropic itself is asked; any other address may be a gateway with models of others."""
REPLAY_KEY = "replay"
"""The key that a replayed agent is given: an SDK wants one before it asks, and this one is worth nothing anywhere."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a provider is asked, and with what."""

    base_url: str
    """As the SDK takes it, without a slash at its end."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What carries the key; empty where the environment has none."""
    key_hint: str = ""
    """Which variable holds the key."""
    version: str = ""
    """The beginning of a path that the base URL holds already, or has something else in the place of."""

    def address(self, path: str) -> str:
        """Return where a path of the API is asked."""
        return self.base_url + path.removeprefix(self.version)


def endpoints(environ: Mapping[str, str] | None = None) -> dict[str, Endpoint]:
    """Return Anthropic's and OpenAI's endpoints, from the variables that their official SDKs read."""
    environ = os.environ if environ is None else environ
    key, token = environ.get("ANTHROPIC_API_KEY"), environ.get("ANTHROPIC_AUTH_TOKEN")
    openai = environ.get("OPENAI_API_KEY")
    bearer = {"authorization": f"Bearer {token}"} if token else {}
    return {
        "anthropic": Endpoint(
            (environ.get("ANTHROPIC_BASE_URL") or ANTHROPIC_URL).rstrip("/"),
            {"x-api-key": key} if key else bearer,
            "ANTHROPIC_API_KEY",
        ),
        "openai": Endpoint(
            (environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1").rstrip("/"),
            {"authorization": f"Bearer {openai}"} if openai else {},
            "OPENAI_API_KEY",
            version="/v1",
        ),
    }


def replay_url() -> str | None:
    """Return where a replay is to be asked, or None outside of one."""
    return os.environ.get(REPLAY_URL) or None


def environment_with(extra: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with more in it, for a program that is started from here."""
    return {**os.environ, **extra}


def credentials_hint() -> str:
    """Say what to set so that a model can be asked."""
    return "set ANTHROPIC_API_KEY to have incidents explained by a model"


def _read_file(environ: Mapping[str, str]) -> tuple[Path | None, dict[str, Any]]:
    named = environ.get("ANALYZER_CONFIG")
    path = parse_path(named) if named else Path("analyzer.toml")
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
    variables = {f"ANALYZER_{name.upper()}" for name in scalars} | {"ANALYZER_CONFIG", REPLAY_URL, GOLDEN_GOAL}
    for name in environ:
        if name.startswith("ANALYZER_") and name not in variables:
            raise UsageError(f"{name} is no setting{nearest(name, variables)}")
    allowed = scalars | {section.split(".")[0] for section in SECTIONS}
    for name in document:
        if name not in allowed:
            raise UsageError(f"{path}: '{name}' is no setting{nearest(name, allowed)}")
    for name in document.get("masking", {}):
        if f"masking.{name}" not in SECTIONS:
            raise UsageError(f"{path}: 'masking.{name}' is no setting")


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


def _data_folder(environ: Mapping[str, str]) -> Path:
    """Return the user's data folder for this program: XDG's, or the platform's usual place."""
    if environ.get("XDG_DATA_HOME"):
        return Path(environ["XDG_DATA_HOME"]) / "analyzer"
    if os.name == "nt" and environ.get("LOCALAPPDATA"):
        return Path(environ["LOCALAPPDATA"]) / "analyzer"
    return Path("~/.local/share/analyzer").expanduser()
