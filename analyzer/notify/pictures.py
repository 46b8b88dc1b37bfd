"""The charts of an incident as files that go with a message. One that cannot be drawn is named and holds nothing up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from analyzer.errors import DrawingError
from analyzer.render.charts.base import Chart
from analyzer.render.charts.chosen import stem_of
from analyzer.render.charts.drawing import png
from analyzer.types.report import Gap, Incident

REPAIR = "reinstall vl-convert-python; the report has the charts in words"


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart as a PNG."""

    chart: Chart
    file: str
    content: bytes


def pictures(incident: Incident, charts: Iterable[Chart]) -> tuple[Picture, ...]:
    """Return charts of an incident as pictures. Raises DrawingError."""
    return tuple(Picture(chart, f"{stem_of(incident)}-{chart.name}.png", png(chart)) for chart in charts)


def undrawn(what: str, reasons: Iterable[str | DrawingError]) -> Gap:
    """Return what it means that charts are missing."""
    return Gap(what, "; ".join(dict.fromkeys(str(reason) for reason in reasons)), REPAIR)
