"""What a route is told at once, what waits for a digest, and when nobody is to be woken, as people set it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from analyzer.errors import UsageError
from analyzer.types.report import Severity

EVERY = "*"
"""The name of the table that holds for every route."""
ROUTES = ("mail", "slack", "slack-bot", "stdout", "webhook")
"""The names of all routes with a policy. Alertmanager has none: it is told everything, and has rules of its own."""
OFF = "off"
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Policy:
    """How a route is spoken to. The defaults are for routes that people read."""

    severity: Severity = Severity.MEDIUM
    """What is new, worse or back is told at once from here on; below it waits for the digest."""
    resolved: Severity = Severity.HIGH
    """The same of what is over: good news of a small matter can wait."""
    reminder: Severity = Severity.HIGH
    """What goes on is told again from here on; below it never."""
    remind_after: timedelta | None = timedelta(days=1)
    """After the last message about it. None: no reminders."""
    per_day: int | None = 5
    """Messages above the digest in any 24 hours. On-call guides put what one person can follow up in a shift at two
    (Site Reliability Engineering, chapter 11); twice that, and one for a bad day. None: no limit."""
    storm: int | None = 5
    """More than so many at once are one message: as many as a day's budget would hold. None: no limit."""
    quiet: tuple[time, time] | None = None
    """From, to, on the clock of `zone`: only what is critical is told."""
    digest_at: time = time(9)
    """On the clock of `zone`."""
    zone: tzinfo = UTC


AT_ONCE = Policy(
    severity=Severity.LOW,
    resolved=Severity.LOW,
    reminder=Severity.CRITICAL,
    remind_after=None,
    per_day=None,
    storm=None,
)
"""For routes that a program reads, and for the output of a command: everything, at once, each by itself."""


def quiet_until(policy: Policy, at: datetime) -> datetime | None:
    """Return when the quiet hours end that `at` lies in, in UTC; None outside of them."""
    if policy.quiet is None:
        return None
    start, end = policy.quiet
    local = at.astimezone(policy.zone)
    now = local.time()
    if not (start <= now < end if start < end else now >= start or now < end):
        return None
    day = local.date() if now < end else local.date() + timedelta(days=1)
    return datetime.combine(day, end, policy.zone).astimezone(UTC)


def digest_due(policy: Policy, at: datetime) -> datetime:
    """Return the last time at or before `at` at which a digest was due, in UTC."""
    today = at.astimezone(policy.zone).date()
    due = datetime.combine(today, policy.digest_at, policy.zone).astimezone(UTC)
    if due <= at:
        return due
    return datetime.combine(today - timedelta(days=1), policy.digest_at, policy.zone).astimezone(UTC)


def policy_of(wishes: Mapping[str, Mapping[str, Any]], route: str, default: Policy) -> Policy:
    """Return a route's policy: `default`, changed by what is set for every route, changed by its own settings."""
    return replace(default, **{**wishes.get(EVERY, {}), **wishes.get(route, {})})


def read_policies(
    table: Mapping[str, Any], place: str, duration: Callable[[str], timedelta]
) -> dict[str, dict[str, Any]]:
    """Return what `[notify.<route>]` tables set of a Policy, by route and field.

    `duration` reads a length of time. Raises UsageError that names the place of a fault.
    """
    given: dict[str, dict[str, Any]] = {}
    for route, entry in table.items():
        if isinstance(entry, Mapping) and route not in {EVERY, *ROUTES}:
            close = difflib.get_close_matches(route, ROUTES, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(ROUTES)}"
            raise UsageError(f"{place}.{route}: there is no such route; {hint}")
        if not isinstance(entry, Mapping):
            hint = f"[notify.{route}]" if route not in _SETTINGS else '[notify."*"] or [notify.<route>]'
            raise UsageError(f"{place}: '{route}' stands outside a route's table: write it under {hint}")
        given[route] = dict(_read(name, value, f"{place}.{route}.{name}", duration) for name, value in entry.items())
    return given


_SETTINGS = tuple("time_zone" if spec.name == "zone" else spec.name for spec in fields(Policy))


def _read(name: str, value: Any, place: str, duration: Callable[[str], timedelta]) -> tuple[str, Any]:
    """Return field and value of one setting."""
    if name not in _SETTINGS:
        close = difflib.get_close_matches(name, _SETTINGS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(_SETTINGS)}"
        raise UsageError(f"{place}: there is no such setting; {hint}")
    try:
        if name in {"severity", "resolved", "reminder"}:
            return name, Severity(value)
        if name in {"per_day", "storm"}:
            return name, _limit(value)
        if name == "remind_after":
            return name, None if value == OFF else duration(str(value))
        if name == "quiet":
            return name, None if value == OFF else _hours(value)
        return ("digest_at", _clock(value)) if name == "digest_at" else ("zone", ZoneInfo(str(value)))
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None
    except (ValueError, KeyError, OSError):
        # ZoneInfo raises a KeyError for a zone that it does not know, and an OSError for a folder of zones.
        expected = "a time zone such as Europe/Berlin" if name == "time_zone" else _SEVERITIES
        raise UsageError(f"{place}: expected {expected}, not {value!r}") from None


_SEVERITIES = "one of " + ", ".join(one.value for one in Severity)


def _limit(value: Any) -> int | None:
    if value == OFF:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UsageError(f'expected a whole number of 0 or more, or "{OFF}", not {value!r}')
    return value


def _hours(value: Any) -> tuple[time, time]:
    start, dash, end = str(value).partition("-")
    hours = _clock(start.strip()), _clock(end.strip())
    if not dash or hours[0] == hours[1]:
        raise UsageError(f"expected two times such as 22:00-07:00, not {value!r}")
    return hours


def _clock(value: Any) -> time:
    if not (match := _CLOCK.fullmatch(str(value))):
        raise UsageError(f"expected a time such as 09:00, not {value!r}")
    return time(int(match[1]), int(match[2]))
