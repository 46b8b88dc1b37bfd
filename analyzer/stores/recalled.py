"""A store for walks that read the same trajectories many times: what was read lately is remembered."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from analyzer.stores.base import Cohort, Measure
from analyzer.stores.columns import Columns
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.steps import Step

CHARACTERS_MAX = 100_000_000
"""Text of remembered steps: some 200 MB of memory, as much as one window may hold."""


class RecallingTrajectories(SqliteTrajectories):
    """The same store, for whoever looks at one past: what is written meanwhile may go unseen."""

    def __init__(self, *arguments: Any, characters_max: int = CHARACTERS_MAX, **options: Any) -> None:
        """See `SqliteTrajectories`."""
        super().__init__(*arguments, **options)
        self._recalled: OrderedDict[str, tuple[int, tuple[Step, ...]]] = OrderedDict()
        self._characters, self._characters_max = 0, characters_max
        self._columns: dict[str, Columns] = {}

    def steps(self, trace_ids: Sequence[str]) -> dict[str, tuple[Step, ...]]:
        """See `TrajectoryStore.steps`; those that nobody asked for lately are forgotten first."""
        fresh = super().steps([trace_id for trace_id in trace_ids if trace_id not in self._recalled])
        for trace_id, steps in fresh.items():
            size = sum(len(step.input) + len(step.output) for step in steps)
            self._recalled[trace_id] = size, steps
            self._characters += size
        found = {}
        for trace_id in trace_ids:
            if trace_id in self._recalled:
                self._recalled.move_to_end(trace_id)
                found[trace_id] = self._recalled[trace_id][1]
        while self._characters > self._characters_max:
            self._characters -= self._recalled.popitem(last=False)[1][0]
        return found

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

    def _columns_of(self, agent: str) -> Columns:
        if agent not in self._columns:
            with self.connection.reading() as raw:
                self._columns[agent] = Columns.of(raw, agent)
        return self._columns[agent]
