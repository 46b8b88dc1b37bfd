"""Settings that are one value: durations, times, numbers, ports and URLs, from text."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from analyzer.errors import UsageError
from analyzer.types.address import web_address

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PORTS = 65_536
_PAGE_URL_MAX = 200
"""Every line of a message may hold it."""
YEARS = (1971, 2261)
"""Times are kept as Unix nanoseconds in 64 bits, which end in 2262; before the first year lies at most a history."""
DURATION_MAX = timedelta(days=365)
"""No detector learns from more, and a slip of the pen must not make a run read everything."""
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)\s*([smhdw]))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")


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


def parse_path(text: str) -> Path:
    """Return a path, `~` expanded."""
    return Path(text).expanduser()


def parse_choice(*choices: str) -> Callable[[str], str]:
    """Return a reader of one of these words, in any case of letters."""

    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise UsageError(f"'{text}' is none of {', '.join(choices)}")
        return text.lower()

    return parse


def parse_positive(text: str) -> float:
    """Return a finite number of 0 or more. Raises UsageError."""
    try:
        number = float(text)
    except ValueError:
        raise UsageError(f"'{text}' is no number") from None
    if not 0 <= number < float("inf"):
        raise UsageError(f"'{text}' must be a number of 0 or more")
    return number


def parse_count(text: str) -> int:
    """Return a whole number of 0 or more. Raises UsageError."""
    number = parse_positive(text)
    if number != int(number):
        raise UsageError(f"'{text}' is no whole number")
    return int(number)


def parse_port(text: str) -> int:
    """Return a TCP port; 0 asks for a free one. Raises UsageError."""
    number = parse_count(text)
    if number >= _PORTS:
        raise UsageError(f"'{text}' is no port: expected 0 to {_PORTS - 1}")
    return number


def parse_url(text: str) -> str:
    """Return an HTTP URL without a slash at its end. Raises UsageError."""
    if not re.match(r"https?://[^\s/]+", text):
        raise UsageError("a URL must begin with http:// or https://")
    return text.rstrip("/")


def parse_state(text: str) -> str:
    """Return the URL of a PostgreSQL database. Raises UsageError, which does not repeat it: it may hold a password."""
    if not re.match(r"postgres(ql)?://", text):
        raise UsageError("write the database as postgresql://HOST:5432/DATABASE")
    return text


def parse_headers(text: str) -> dict[str, str]:
    """Return the headers of `name=value,name=value`, as OpenTelemetry's own variables have them."""
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return {name.strip().lower(): value.strip() for name, _, value in pairs if name.strip()}


def parse_page_url(text: str) -> str:
    """Return the address of our own pages without a slash at its end: links are made from it. Raises UsageError."""
    address = web_address(text)
    if not address or len(address) > _PAGE_URL_MAX or "?" in address or "#" in address:
        raise UsageError("write the address of the pages as https://analyzer.example.com, without a name and password")
    return address.rstrip("/")


def parse_clickhouse_url(text: str) -> str:
    """Return where a ClickHouse is: `https://user@host:8443/database`, or `chdb:///path`. Raises UsageError."""
    if text.startswith("chdb:///"):
        return text
    if not re.fullmatch(r"https?://[^\s/]+(/\w*)?", text) or not _has_host(text):
        raise UsageError("write it as https://user@host:8443/database; one in this process as chdb:///path")
    if ":" in text.partition("://")[2].rpartition("@")[0]:
        raise UsageError("no password in the URL, which is shown: set ANALYZER_CLICKHOUSE_PASSWORD")
    return text.rstrip("/")


def _has_host(url: str) -> bool:
    """Tell whether a URL names a host, and no port that cannot be one."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
