"""Numbers, money, shares, durations and times as people read them: the one place that rounds."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from analyzer.types.percents import UNKNOWN, percent
from analyzer.types.report import MILLION, PER_TOKEN, Kind

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400
_CENT = 0.01
_WHOLE_USD = 100
"""From here on cents are noise."""
_NO_DECIMALS, _ONE_DECIMAL = 100, 10
_MONEY = frozenset({Kind.COST, Kind.TOOL_COST})
_SHARES = frozenset({
    Kind.ERRORS, Kind.TOOL_ERRORS, Kind.SUCCESS, Kind.RETRIES, Kind.TRUNCATION, Kind.TOOL_CHOICE
})  # fmt: skip
LIMITED = frozenset({Kind.LOOP})
"""Kinds that are held against a rule's limit: nobody expects a loop, so nothing of it is expected, or a ratio to it."""
_DURATIONS = frozenset({Kind.LATENCY, Kind.TOOL_LATENCY})
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNITS = ((_DAY_S, "d", _HOUR_S, "h"), (_HOUR_S, "h", _MINUTE_S, "min"), (_MINUTE_S, "min", 1, "s"))
"""Seconds and name of a unit, and of the smaller one that is said with it."""
_EXACT_MAX = 1e15
"""Beyond this a float no longer holds every whole number."""


def money(usd: float | None) -> str:
    """Return an amount in USD: `$141`, `$3.20`, `$0.135`, `$0.0042`, `-$2.00`; unknown where there is no price."""
    if usd is None or not math.isfinite(usd):
        return UNKNOWN
    size = abs(usd)
    if size == 0:
        text = "$0.00"
    elif round(size) >= _WHOLE_USD:
        text = f"${size:,.0f}"
    elif size >= 1:
        text = f"${size:.2f}"
    else:
        text = f"${_cents(size)}"
    return f"-{text}" if usd < 0 else text


def number(value: float | None) -> str:
    """Return a number with as many digits as matter: `12,345`, `345`, `34.5`, `3.45`, `0.00341`."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    size = abs(value)
    if size < _EXACT_MAX and value == int(value):
        return f"{int(value):,}"
    if round(size, 1) >= _NO_DECIMALS:
        return f"{value:,.0f}"
    if size >= _ONE_DECIMAL:
        return f"{value:.1f}"
    return (f"{value:.2f}" if size >= 1 else _digits(value, 3)).rstrip("0").rstrip(".") or "0"


def ratio(value: float | None) -> str:
    """Return how many times as much: `2.3x`, `25x`; unknown where nothing was expected."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if abs(value) >= _ONE_DECIMAL:
        return f"{value:,.0f}x"
    return f"{value:.1f}x" if abs(value) >= 1 else f"{_digits(value, 2)}x"


def count(value: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun: `1 trajectory`, `1,204 trajectories`."""
    if value == 1:
        return f"1 {noun}"
    return f"{value:,} {plural or noun + 's'}"


def duration(seconds: float | None) -> str:
    """Return a length of time: `850 ms`, `1.2 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    if seconds < 0:
        return f"-{duration(-seconds)}"
    whole = round(seconds)
    for large_s, large, small_s, small in _UNITS:
        if whole >= large_s:
            major, rest = divmod(whole, large_s)
            minor = rest // small_s
            return f"{major} {large} {minor} {small}" if minor else f"{major} {large}"
    if round(seconds, 3) < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if round(seconds, 1) < _ONE_DECIMAL else f"{whole} s"


def tokens(value: int | None) -> str:
    """Return a number of tokens: `850`, `12.3k`, `1.2M`."""
    if value is None:
        return UNKNOWN
    if abs(value) < 10_000:  # noqa: PLR2004 - four digits are read at a glance
        return str(value)
    return f"{value / 1000:.1f}k" if abs(value) < 999_950 else f"{value / 1e6:.1f}M"  # noqa: PLR2004 - where k rounds to 1000


def moment(time: datetime) -> str:
    """Return a time in full: `2026-11-23 14:10 UTC`."""
    return f"{_utc(time):%Y-%m-%d %H:%M} UTC"


def period(start: datetime, end: datetime) -> str:
    """Return two times in full: `2026-11-23 08:10 to 17:00 UTC`; the second date where it is another."""
    first, last = _utc(start), _utc(end)
    until = f"{last:%H:%M}" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M}"
    return f"{first:%Y-%m-%d %H:%M} to {until} UTC"


def clock(time: datetime, at: datetime) -> str:
    """Return a time as seen from `at`: `14:10 UTC` on the same day, else `22 Nov 14:10 UTC`; the year if it differs."""
    then, now = _utc(time), _utc(at)
    if then.date() == now.date():
        return f"{then:%H:%M} UTC"
    year = f" {then.year}" if then.year != now.year else ""
    return f"{then.day} {_MONTHS[then.month - 1]}{year} {then:%H:%M} UTC"


def figure(value: float | None, kind: Kind, unit: str = "") -> str:
    """Return what an incident of this kind measures, with its unit: `$0.31`, `34 %`, `25x`, `3 min 5 s`, `12 steps`."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if kind in _MONEY or unit.upper().startswith("USD"):
        return money(value)
    if kind in _SHARES and 0 <= value <= 1:
        return percent(value)
    if kind in _DURATIONS or unit in {"s", "seconds"}:
        return duration(value / 1000 if unit == "ms" else value)
    if kind is Kind.LOOP or unit == "repeats":
        return f"{number(value)}x"
    return f"{number(value)} {unit}".rstrip()


def factor_value(factor: str, value: float | None) -> str:
    """Return an end of a factor of an account; prices per million tokens: `$3.30 per M tokens`, `4.2`, `-`."""
    if value is None:
        return "-"
    return f"{money(value * MILLION)} per M tokens" if factor in PER_TOKEN else number(value)


def span_of(length: timedelta) -> str:
    """Return a length of time between two moments."""
    return duration(length.total_seconds())


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _cents(usd: float) -> str:
    """Return an amount below a dollar with three digits that matter, and with two decimals at least."""
    text = _digits(usd, 3).rstrip("0")
    decimals = len(text.partition(".")[2])
    return text if decimals >= 2 else f"{usd:.2f}"  # noqa: PLR2004 - cents


def _digits(value: float, digits: int) -> str:
    """Return a number below 1 with so many significant digits and no exponent; below 1e-12 it is nothing to anyone."""
    if abs(value) < 1e-12:  # noqa: PLR2004 - see above
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{max(decimals, 0)}f}"
