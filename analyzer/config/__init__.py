"""Settings: what can be set (`settings`), how it is read (`scalars`, `tables`), and where from (`loading`)."""

from analyzer.config.loading import (
    GOLDEN_GOAL,
    REPLAY_KEY,
    REPLAY_URL,
    Endpoint,
    Loaded,
    credentials_hint,
    endpoints,
    environment_with,
    load,
    replay_url,
)
from analyzer.config.queries import DEFAULT_QUERIES
from analyzer.config.scalars import DURATION_MAX, YEARS, duration_text, parse_duration, parse_headers, parse_time
from analyzer.config.settings import SECTIONS, Settings

__all__ = [
    "DEFAULT_QUERIES",
    "DURATION_MAX",
    "GOLDEN_GOAL",
    "REPLAY_KEY",
    "REPLAY_URL",
    "SECTIONS",
    "YEARS",
    "Endpoint",
    "Loaded",
    "Settings",
    "credentials_hint",
    "duration_text",
    "endpoints",
    "environment_with",
    "load",
    "parse_duration",
    "parse_headers",
    "parse_time",
    "replay_url",
]
