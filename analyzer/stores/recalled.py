"""A store for walks that read the same trajectories many times: what was read lately is remembered."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from analyzer.stores import running, summaries
from analyzer.stores.base import Cohort, Measure, Usage
from analyzer.stores.columns import Columns, Ends, Starts
from analyzer.stores.listing import Largest
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.loops import Looked, Suspect
from analyzer.types.metric import OpenTrajectory
from analyzer.types.steps import Step
from analyzer.types.trajectory import TrajectorySummary

CHARACTERS_MAX = 100_000_000
"""Text of remembered steps: some 200 MB of memory, as much as one window may hold."""
SUMMARIES_MAX = 50_000
"""Remembered summaries, some 60 MB."""
USAGES_MAX = 1_000
"""Remembered answers about what was used, of some ten rows each."""

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class _Lately(Generic[_K, _V]):
    """Values up to a size together; those that nobody asked for lately are forgotten first."""

    def __init__(self, size_max: int) -> None:
        self._kept: OrderedDict[_K, tuple[int, _V]] = OrderedDict()
        self._size, self._size_max = 0, size_max

    def __contains__(self, key: _K) -> bool:
        return key in self._kept

    def __getitem__(self, key: _K) -> _V:
        self._kept.move_to_end(key)
        return self._kept[key][1]

    def keep(self, key: _K, value: _V, size: int = 1) -> None:
        """Remember a value that is not known; more than there is room for, until `trim`."""
        self._kept[key] = size, value
        self._size += size

    def trim(self) -> None:
        """Forget what there is no room for."""
        while self._size > self._size_max:
            self._size -= self._kept.popitem(last=False)[1][0]


class RecallingTrajectories(SqliteTrajectories):
    """The same store, for whoever looks at one past: what is written meanwhile may go unseen."""

    def __init__(
        self,
        *arguments: Any,
        characters_max: int = CHARACTERS_MAX,
        summaries_max: int = SUMMARIES_MAX,
        **options: Any,
    ) -> None:
        """See `SqliteTrajectories`."""
        super().__init__(*arguments, **options)
        self._steps: _Lately[str, tuple[Step, ...]] = _Lately(characters_max)
        self._summaries: _Lately[int, TrajectorySummary] = _Lately(summaries_max)
        self._usages: _Lately[tuple[str, datetime, datetime], list[Usage]] = _Lately(USAGES_MAX)
        self._looked: dict[str, Looked] = {}
        self._asked_looked: set[str] = set()
        self._columns: dict[str, Columns] = {}
        self._ends: Ends | None = None
        self._starts: Starts | None = None
        self._largest = Largest()

    def steps(self, trace_ids: Sequence[str]) -> dict[str, tuple[Step, ...]]:
        """See `TrajectoryStore.steps`."""
        fresh = super().steps([trace_id for trace_id in trace_ids if trace_id not in self._steps])
        for trace_id, steps in fresh.items():
            self._steps.keep(trace_id, steps, sum(len(step.input) + len(step.output) for step in steps))
        found = {trace_id: self._steps[trace_id] for trace_id in trace_ids if trace_id in self._steps}
        self._steps.trim()
        return found

    def looked(self, trace_ids: Sequence[str]) -> dict[str, Looked]:
        """See `TrajectoryStore.looked`: another hour asks of nearly the same ones."""
        self._looked |= super().looked([trace_id for trace_id in trace_ids if trace_id not in self._asked_looked])
        self._asked_looked.update(trace_ids)
        return {trace_id: self._looked[trace_id] for trace_id in trace_ids if trace_id in self._looked}

    def suspects(self, trace_ids: Sequence[str]) -> dict[str, Suspect]:
        """See `TrajectoryStore.suspects`: what was seen is remembered, also where nothing can be noted."""
        found = super().suspects(trace_ids)
        self._looked |= {trace_id: one.looked for trace_id, one in found.items() if one.looked is not None}
        for gone in set(trace_ids) - found.keys() if found else ():
            self._looked.pop(gone, None)
        return found

    def usage(self, agent: str, start: datetime, end: datetime) -> list[Usage]:
        """See `TrajectoryStore.usage`: what is over keeps its periods, and findings of one onset share theirs."""
        key = agent, start, end
        if key not in self._usages:
            self._usages.keep(key, super().usage(agent, start, end))
            self._usages.trim()
        return list(self._usages[key])

    def lost(self, start: datetime, end: datetime) -> dict[str, float]:
        """See `TrajectoryStore.lost`."""
        if self._ends is None:
            with self.connection.reading() as raw:
                self._ends = Ends.of(raw)
        return self._ends.lost(start, end)

    def running(self, at: datetime) -> list[OpenTrajectory]:
        """See `TrajectoryStore.running`."""
        with self.connection.reading() as raw:
            if self._starts is None:
                self._starts = Starts.of(raw)
            return running.opened(raw, self._starts.running(raw, at), at)

    def cohorts(
        self, agent: str | None, start: datetime, end: datetime, measure: Measure, *, capped_at: float | None = None
    ) -> list[Cohort]:
        """See `TrajectoryStore.cohorts`."""
        if agent is None:
            return super().cohorts(agent, start, end, measure, capped_at=capped_at)
        return self._columns_of(agent).cohorts(start, end, measure, capped_at)

    def percentile(
        self, agent: str | None, start: datetime, end: datetime, measure: Measure, share: float
    ) -> float | None:
        """See `TrajectoryStore.percentile`."""
        if agent is None:
            return super().percentile(agent, start, end, measure, share)
        return self._columns_of(agent).percentile(start, end, measure, share)

    def _listed(self, asked: summaries.Asked) -> list[TrajectorySummary]:
        """Ask which they are, and read those that are not known: another hour has nearly the same ones."""
        with self.connection.reading() as raw:
            ids = self._largest.row_ids(raw, asked) if Largest.knows(asked) else summaries.row_ids(raw, asked)
            fresh = summaries.of_rows(raw, [owner for owner in ids if owner not in self._summaries])
        for owner, summary in fresh.items():
            self._summaries.keep(owner, summary)
        found = [self._summaries[owner] for owner in ids if owner in self._summaries]
        self._summaries.trim()
        return found

    def _columns_of(self, agent: str) -> Columns:
        if agent not in self._columns:
            with self.connection.reading() as raw:
                self._columns[agent] = Columns.of(raw, agent)
        return self._columns[agent]
