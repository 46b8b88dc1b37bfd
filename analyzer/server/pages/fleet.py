"""The start page: every agent with what it does, costs and suffers from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from analyzer.render.numbers import count, money
from analyzer.server.pages.drawing import line_points
from analyzer.server.pages.page import Asked, Page
from analyzer.server.pages.reading import Reader
from analyzer.stores.base import Grouping, Totals
from analyzer.triage import newest_first

DAYS = ("1", "7", "28")
LINES_MAX = 40
"""Agents with a chart: each is a question of its own to the store."""


@dataclass(frozen=True, slots=True)
class Agent:
    """One row."""

    totals: Totals
    success: float | None
    """Share of the trajectories that neither missed their goal nor broke."""
    cost_each: float | None
    tokens: int
    line: tuple[str, ...]
    line_says: str
    """The chart in words, for those who do not see it."""
    incidents: int


def view(reader: Reader, asked: Asked) -> Page:
    """Return the fleet over the days that were asked for, the costliest agent first."""
    days = asked.choice("days", ("7", *DAYS))
    end = reader.now()
    start = end - timedelta(days=int(days))
    incidents = newest_first(reader.memory.incidents(active_only=True))
    opened = Counter(name for one in incidents for name in one.concerned)
    totals = reader.trajectories.totals("agent", start, end, order="cost")
    lines = _lines(reader, [one for one in totals[:LINES_MAX] if one.value is not None], start, end)
    values = {
        "days": days,
        "choices": DAYS,
        "start": start,
        "end": end,
        "lags": datetime.now(UTC) - end > timedelta(minutes=1),
        "incidents": incidents,
        "filled_by": reader.trajectories.elsewhere.filled_by.strip("`"),
        "agents": [_row(one, opened, lines.get(one.value or "", ())) for one in totals],
    }
    return Page("fleet.html", values)


def _row(one: Totals, opened: Mapping[str, int], costs: Sequence[float | None]) -> Agent:
    known = [value for value in costs if value is not None]
    says = (
        f"cost per trajectory from {money(known[0])} to {money(known[-1])}, at most {money(max(known))}"
        if known
        else ""
    )
    return Agent(
        totals=one,
        success=1 - one.failed / one.trajectories if one.trajectories else None,
        cost_each=one.cost_usd / one.trajectories if one.cost_usd is not None and one.trajectories else None,
        tokens=(one.input_tokens or 0) + (one.output_tokens or 0),
        line=line_points(costs) if known else (),
        line_says=says or f"no known cost in {count(len(costs), 'point')}",
        incidents=opened.get(one.value or "", 0),
    )


def _lines(reader: Reader, agents: Sequence[Totals], start: datetime, end: datetime) -> dict[str, list[float | None]]:
    """Return by agent what a trajectory cost, hour by hour, or day by day over more than three days."""
    by: Grouping = "hour" if end - start <= timedelta(days=3) else "day"
    step, form = (timedelta(hours=1), "%Y-%m-%dT%H:00Z") if by == "hour" else (timedelta(days=1), "%Y-%m-%d")
    slots, at = [], start
    while at < end:
        slots.append(f"{at:{form}}")
        at += step
    if slots[-1:] != [f"{end:{form}}"]:
        slots.append(f"{end:{form}}")
    found: dict[str, list[float | None]] = {}
    for agent in agents:
        name = agent.value or ""
        costs = {
            one.value: one.cost_usd / one.trajectories
            for one in reader.trajectories.totals(by, start, end, agents=(name,))
            if one.cost_usd is not None
        }
        found[name] = [costs.get(slot) for slot in slots]
    return found
