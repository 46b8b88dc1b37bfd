"""The analyst itself: its own runs and what they cost, and the settings as they were read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from analyzer.server.pages.page import Asked, Page, View
from analyzer.server.pages.reading import Reader
from analyzer.stores.summaries import OWN_AGENT

RUNS_MAX = 50
DAYS = 28


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as it was read; a secret is only said to be set."""

    name: str
    value: str | None
    source: str
    """`flag`, the variable, the file or `default`."""


def runs(reader: Reader, _asked: Asked) -> Page:
    """Return the latest runs and the bill of four weeks, day by day."""
    # Its runs are dated by the clock, whatever history they looked at.
    end = datetime.now(UTC) + timedelta(minutes=1)
    days = reader.trajectories.totals("day", end - timedelta(days=DAYS), end, agents=(OWN_AGENT,))
    found = reader.trajectories.summaries(agent=OWN_AGENT, limit=RUNS_MAX)
    latest = reader.memory.latest_report()
    costs = [day.cost_usd for day in days if day.cost_usd is not None]
    values = {
        "runs": found,
        "bill": days[::-1],
        "total": sum(costs) if costs else None,
        "calls": sum(day.calls for day in days),
        "report": latest[1] if latest is not None else "",
        "days": DAYS,
    }
    return Page("analyst.html", values)


def settings_view(settings: Sequence[Setting], file: str) -> View:
    """Return the page of the settings that this process was started with."""

    def view(_reader: Reader, _asked: Asked) -> Page:
        return Page("settings.html", {"settings": settings, "file": file})

    return view
