"""Reading arguments that a model wrote: any JSON in, a checked value out, or a ToolError that says what fits."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from analyzer.agent.desk import Desk, ToolError
from analyzer.agent.tools.base import Arguments

PAGES_MAX = 100_000


def page_of(arguments: Arguments) -> int:
    """Return the page, 1 where none is named."""
    number = arguments.get("page", 1)
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= PAGES_MAX:
        raise ToolError("page must be a whole number from 1")
    return number


def text_of(arguments: Arguments, name: str, chars_max: int = 200) -> str:
    """Return a text argument without space around it, "" where it is left out."""
    value = arguments.get(name, "")
    if not isinstance(value, str) or len(value) > chars_max:
        raise ToolError(f"{name} must be text of at most {chars_max} characters")
    return value.strip()


def word_of(arguments: Arguments, name: str, words: tuple[str, ...]) -> str:
    """Return one of a few words."""
    value = arguments.get(name)
    if value not in words:
        raise ToolError(f"{name} must be one of {', '.join(words)}")
    return str(value)


def moment_of(value: Any) -> datetime | None:
    """Return a time with a zone, or None where it is none."""
    try:
        when = datetime.fromisoformat(value)
        return when.astimezone(UTC) if when.tzinfo is not None else None
    except (TypeError, ValueError, OverflowError):
        return None


def is_number(value: Any) -> bool:
    """Tell a finite number, true and false aside."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def range_of(desk: Desk, arguments: Arguments) -> tuple[datetime, datetime]:
    """Return [start, end] inside the window of the case; its bounds where an end is left empty."""
    bounds = []
    for name, otherwise in (("start", desk.start), ("end", desk.end)):
        given = arguments.get(name) or ""
        when = otherwise if given == "" else moment_of(given)
        if when is None:
            raise ToolError(f"{name} must be an ISO 8601 time with a zone, or empty for the {name} of the window")
        bounds.append(when)
    start, end = bounds
    if not desk.start <= start < end <= desk.end:
        raise ToolError(f"the window is {desk.start.isoformat()} to {desk.end.isoformat()}, start before end")
    return start, end


def agent_of(desk: Desk, arguments: Arguments) -> str | None:
    """Return the agent that is asked about: one of the case's; None for all of a fleet."""
    given = text_of(arguments, "agent")
    if not desk.agents:
        return given or None
    if not given and len(desk.agents) == 1:
        return next(iter(desk.agents))
    if given not in desk.agents:
        raise ToolError(f"agent must be one of the case: {', '.join(sorted(desk.agents))}")
    return given
