"""Series and choices of a stretch of time, loaded once: the windows of all its moments are cut from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from analyzer.errors import MetricsError
from analyzer.metrics.base import MetricSource
from analyzer.metrics.builds import build_changes
from analyzer.metrics.series import prometheus_series
from analyzer.stores.base import TrajectoryStore
from analyzer.stores.choices import TRAJECTORIES_MIN as CHOICES_MIN
from analyzer.types.metric import Choices, Series
from analyzer.types.report import Change, Gap


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is known over a stretch of time."""

    start: datetime
    end: datetime
    stored: Sequence[Series]
    """From the store."""
    metered: Sequence[Series]
    """From Prometheus."""
    choices: Sequence[Choices]
    builds: Mapping[str | None, tuple[Change, ...]]
    """Versions that Prometheus saw, by agent; None for those of the whole fleet."""
    gaps: tuple[Gap, ...]

    @property
    def series(self) -> tuple[Series, ...]:
        """All series of both sources."""
        return (*self.stored, *self.metered)

    def until(self, at: datetime) -> Loaded:
        """Return what was known at a moment, as far as the times of what is stored tell.

        What ran at that moment and ended later counts when it ended. A run at that moment would have known a little
        less or more of it: trajectories whose top span never came, and the tool calls of those that still ran.
        """
        at_s = at.timestamp()
        stored, metered = ([one.until(at_s) for one in series] for series in (self.stored, self.metered))
        choices = [one.until(at_s) for one in self.choices]
        return Loaded(
            self.start,
            at,
            [one for one in stored if np.asarray(one.count).any()],
            [one for one in metered if any(one.count)],
            [one for one in choices if np.asarray(one.of).sum() >= CHOICES_MIN],
            {agent: tuple(one for one in seen if one.at < at) for agent, seen in self.builds.items()},
            self.gaps,
        )


def load(
    store: TrajectoryStore,
    source: MetricSource | None,
    queries: Mapping[str, Sequence[str]],
    start: datetime,
    end: datetime,
) -> Loaded:
    """Load series and choices of a time. Raises StoreError; a dead Prometheus is a Gap."""
    nothing: _Metered = ([], {}, [])
    metered, builds, gaps = nothing if source is None else _metered(source, queries, start, end)
    return Loaded(start, end, store.series(start, end), metered, store.choices(start, end), builds, tuple(gaps))


_Metered = tuple[list[Series], dict[str | None, tuple[Change, ...]], list[Gap]]


def _metered(source: MetricSource, queries: Mapping[str, Sequence[str]], start: datetime, end: datetime) -> _Metered:
    try:
        metered, gaps = prometheus_series(source, queries, start, end)
        builds, refused = build_changes(source, queries.get("changes", ()), start, end)
    except MetricsError as error:
        hint = "the run went on from the store's trajectories; `analyzer doctor` checks the connection"
        return [], {}, [Gap("metrics from Prometheus", str(error), hint)]
    if not metered and not gaps:
        why = (
            f"none of the configured queries found a series between {start:%Y-%m-%d %H:%M} and {end:%Y-%m-%d %H:%M} UTC"
        )
        hint = "set your metric names under [queries] in analyzer.toml, or unset ANALYZER_PROMETHEUS_URL"
        gaps = [Gap("metrics from Prometheus", why, hint)]
    return metered, builds, [*gaps, *refused]
