"""What the rest of the house may ask of a metric store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Points:
    """One series of a query's answer."""

    labels: Mapping[str, str]
    times_s: tuple[float, ...]
    """Unix seconds, ascending."""
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A trajectory that a series names as one that it counted."""

    labels: Mapping[str, str]
    """Of the series."""
    trace_id: str
    value: float
    """What was counted, in the series' own unit."""
    at_s: float
    """Unix seconds."""


class MetricSource(Protocol):
    """Evaluates PromQL. All calls raise MetricsQueryError for a refused query and MetricsError for a dead server."""

    def query(self, promql: str, at: datetime) -> list[Points]:
        """Evaluate at one moment: every series has one point."""

    def query_range(self, promql: str, start: datetime, end: datetime, step_s: float) -> list[Points]:
        """Evaluate over [start, end], a point every `step_s` seconds; long ranges are split, never refused."""

    def exemplars(self, promql: str, start: datetime, end: datetime) -> list[Exemplar]:
        """Return the exemplars with a trace id of all series that a query selects, over [start, end].

        A source that keeps none has none: that is no error.
        """
