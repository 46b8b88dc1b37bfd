"""Which charts an incident has, in the order in which they are read."""

from __future__ import annotations

import re
from datetime import UTC

from analyzer.render.charts.account import account_chart
from analyzer.render.charts.base import Chart
from analyzer.render.charts.course import course_chart
from analyzer.render.charts.steps import steps_chart
from analyzer.types.report import Incident

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


def charts_of(incident: Incident) -> tuple[Chart, ...]:
    """Return the charts of an incident: its loop's steps, its metric, its account; none where nothing is filed."""
    made: tuple[Chart | None, ...] = (steps_chart(incident), course_chart(incident), account_chart(incident))
    return tuple(chart for chart in made if chart is not None)


def stem_of(incident: Incident) -> str:
    """Return the name of an incident's files without an ending: the day it was opened, and its id."""
    return f"{incident.opened_at.astimezone(UTC):%Y-%m-%d}-{_UNSAFE.sub('_', incident.id)[:80]}"


def file_of(incident: Incident, chart: Chart) -> str:
    """Return the name of a chart's file."""
    return f"{stem_of(incident)}-{chart.name}.svg"
