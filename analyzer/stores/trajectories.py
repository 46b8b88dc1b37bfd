"""Trajectories in SQLite: spans in, in one transaction; trajectories, lists and aggregates out."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Self

from analyzer.errors import StoreError
from analyzer.stores import (
    aggregates,
    choices,
    cohorts,
    inventory,
    joined,
    retention,
    rollups,
    running,
    search,
    sightings,
    spans,
    stats,
    steering,
    summaries,
    told,
    tools,
    totals,
)
from analyzer.stores.arriving import FirstLook
from analyzer.stores.base import (
    Added,
    Callers,
    Cohort,
    Grouping,
    Hit,
    Measure,
    Order,
    Pruned,
    StoreStats,
    Totals,
    TotalsOrder,
    UnpricedUse,
    Usage,
)
from analyzer.stores.blocks import Codec
from analyzer.stores.database import Connection
from analyzer.stores.elsewhere import Elsewhere, resolved, unset
from analyzer.stores.freshness import Counts
from analyzer.stores.payloads import Payloads
from analyzer.stores.prepared import Masking, Prepared
from analyzer.stores.state import StateDatabase
from analyzer.stores.summaries import Asked
from analyzer.stores.verdicts import Judge, Verdicts
from analyzer.stores.writer import Writer
from analyzer.types.agents import KnownAgent
from analyzer.types.loops import Looked, Suspect
from analyzer.types.metric import Choices, OpenTrajectory, Series
from analyzer.types.report import Change
from analyzer.types.steps import Step
from analyzer.types.trace import Span
from analyzer.types.trajectory import ToolUse, Trajectory, TrajectorySummary


class SqliteTrajectories:
    """A `TrajectoryStore` in one SQLite file. Everything is masked on the way in; there is no unmasked copy."""

    def __init__(
        self,
        path: Path | str,
        *,
        patterns: Sequence[tuple[str, str]] = (),
        allow: Sequence[str] = (),
        read_only: bool = False,
        or_read: bool = False,
        state: Callable[[], StateDatabase] | None = None,
        clock: Callable[[], float] = time.time,
        elsewhere: Elsewhere | None = None,
        masking: Masking | None = None,
        judge: Callable[[], Judge] | None = None,
    ) -> None:
        """Open or create the store; `patterns` and `allow` are the masker's. Raises StoreError.

        With `read_only` it must be there already, and nothing can be written: no question waits for a writer; with
        `or_read` so where this user may not write it. `state` opens where the analyst's state is, if not in the file.
        `clock` gives the time at which spans arrive, in Unix seconds; `elsewhere` fetches the texts that are not kept
        here, `masking` stands in for key, patterns and allowances, `judge` says which steps nobody has to see again.
        """
        self.elsewhere = elsewhere or Elsewhere(unset)
        self.connection = Connection(path, read_only=read_only, or_read=or_read)
        self.masking = masking or Masking(self.connection.secret("masking"), tuple(patterns), tuple(allow))
        self.masker = self.masking.masker()
        self._open_state = state
        self._state: StateDatabase | None = None
        self._codec = Codec()
        self.payloads = Payloads(self._codec)
        self._counts = Counts()
        self._verdicts = Verdicts(self.connection, judge, self.masking)
        self._writer = Writer(self.connection, self._codec, self.masker, clock)
        self._first_look = FirstLook(self.connection, self._verdicts, self.masker.text)

    @property
    def state(self) -> StateDatabase:
        """Where incidents, the log and all else is that several instances may share. Raises StoreError.

        Opened when it is first asked for: who only looks at trajectories needs no other database.
        """
        if self._state is None:
            self._state = self.connection if self._open_state is None else self._open_state()
        return self._state

    def close(self) -> None:
        """Close the file, the state where it is elsewhere, and what fetches texts."""
        self.elsewhere.close()
        if self._state is not None:
            self._state.close()
        self.connection.close()

    def __enter__(self) -> Self:
        """Use the store for a block."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Close the file."""
        self.close()

    def add(self, batch: Iterable[Span]) -> Added:
        """See `TrajectoryStore.add`. Raises StoreBusyError, StoreError; then nothing of the batch was kept."""
        self._counts = Counts()
        return self._writer.add(batch)

    def add_prepared(self, batch: Sequence[Prepared]) -> Added:
        """Add spans that another process prepared with the masker of `masking`; otherwise as `add`."""
        self._counts = Counts()
        return self._writer.add_prepared(batch)

    def add_light(self, batch: Iterable[Span], *, of_all: bool = True) -> Added:
        """Count spans whose texts lie in another place, and keep none of them; otherwise as `add`.

        What they show is judged while the texts are at hand, unless they are not `of_all` services: what is not counted
        is among the steps of a trajectory too.
        """
        self._counts = Counts()
        spans = list(batch)
        added = self._writer.add_light(spans)
        if of_all:
            self._first_look.look(spans)
        return added

    def trajectory(self, trace_id: str) -> Trajectory:
        """See `TrajectoryStore.trajectory`. Raises SourceError too, where the texts lie elsewhere."""
        return joined.trajectory(self, trace_id, spans.whole, SqliteTrajectories.trajectory)

    def trajectories(self, trace_ids: Sequence[str]) -> dict[str, Trajectory]:
        """See `TrajectoryStore.trajectories`. Raises SourceError too, where the texts lie elsewhere."""
        return joined.trajectories(self, trace_ids, spans.whole, SqliteTrajectories.trajectory)

    def outline(self, trace_id: str) -> Trajectory:
        """See `TrajectoryStore.outline`. Raises SourceError too, where the texts lie elsewhere."""
        return joined.trajectory(self, trace_id, spans.outline, SqliteTrajectories.outline)

    def empty(self) -> SqliteTrajectories:
        """Return an empty store in memory, with the same pseudonyms."""
        return SqliteTrajectories(":memory:", masking=self.masking)

    def summary(self, trace_id: str) -> TrajectorySummary:
        """See `TrajectoryStore.summary`."""
        with self.connection.reading() as raw:
            return summaries.one(raw, trace_id)[1]

    def summaries_of(self, trace_ids: Sequence[str]) -> dict[str, TrajectorySummary]:
        """See `TrajectoryStore.summaries_of`."""
        with self.connection.reading() as raw:
            return summaries.of_ids(raw, trace_ids)

    def span(self, trace_id: str, span_id: str) -> Span:
        """See `TrajectoryStore.span`. Raises SourceError too, where the texts lie elsewhere."""
        return joined.span(self, trace_id, span_id)

    def resolve_span(self, trace_id: str, prefix: str) -> str:
        """Return the full id of a span of a trajectory; a beginning is enough. Raises NotFoundError."""
        with self.connection.reading() as raw:
            return spans.resolve(raw, summaries.one(raw, trace_id)[0], trace_id, prefix)

    def steps(self, trace_ids: Sequence[str]) -> dict[str, tuple[Step, ...]]:
        """See `TrajectoryStore.steps`. Of a conversation only the last message is read.

        What lies elsewhere and cannot be read is left out: steps without arguments would look alike.
        """
        return joined.steps(self, trace_ids)

    def light_steps(self, trace_ids: Sequence[str]) -> dict[str, tuple[Step, ...]]:
        """See `TrajectoryStore.light_steps`."""
        with self.connection.reading() as raw:
            return spans.light_steps(raw, trace_ids)

    def looked(self, trace_ids: Sequence[str]) -> dict[str, Looked]:
        """See `TrajectoryStore.looked`."""
        return self._verdicts.known(trace_ids)

    def suspects(self, trace_ids: Sequence[str]) -> dict[str, Suspect]:
        """See `TrajectoryStore.suspects`."""
        return self._verdicts.judged(trace_ids, self.steps)

    def steered(self, start: datetime, end: datetime, *, limit: int) -> list[str]:
        """See `TrajectoryStore.steered`."""
        with self.connection.reading() as raw:
            return steering.steered(raw, start, end, limit)

    def resolve(self, prefix: str) -> str:
        """See `TrajectoryStore.resolve`; a whole id that is not here is sought elsewhere: raises SourceError too."""
        return resolved(self, prefix)

    def holder(self, span_id: str) -> str:
        """Return the trajectory that holds a span; all are looked through. Raises NotFoundError for none or several."""
        with self.connection.reading() as raw:
            return summaries.holder(raw, span_id)

    def summaries(
        self,
        *,
        agent: str | None = None,
        agents: Collection[str] = (),
        start: datetime | None = None,
        end: datetime | None = None,
        order: Order = "recent",
        version: str | None = None,
        errors_only: bool = False,
        repeats_min: int = 0,
        limit: int = 50,
    ) -> list[TrajectorySummary]:
        """Return summaries of trajectories that ended in the range, of one agent, or of several in one order.

        Without any agent they are the fleet's: the analyst's own are left out.
        """
        among = sorted({*agents, *(() if agent is None else (agent,))})
        return self._listed(Asked(among, start, end, order, version, errors_only, repeats_min, limit))

    def _listed(self, asked: Asked) -> list[TrajectorySummary]:
        with self.connection.reading() as raw:
            return summaries.listed(raw, asked)

    def agents(self, start: datetime, end: datetime) -> list[str]:
        """See `TrajectoryStore.agents`."""
        with self.connection.reading() as raw:
            return aggregates.agents(raw, start, end)

    def count(self, start: datetime, end: datetime) -> tuple[int, int]:
        """See `TrajectoryStore.count`."""
        with self.connection.reading() as raw:
            return aggregates.count(raw, start, end)

    def series(self, start: datetime, end: datetime, *, agent: str | None = None) -> list[Series]:
        """See `TrajectoryStore.series`."""
        # Brings numpy: half of the start of a command that only lists or shows.
        from analyzer.stores import series

        with self._counted(start, end) as (raw, marked):
            return series.series(raw, start, end, agent=agent, marked=marked)

    def choices(self, start: datetime, end: datetime) -> list[Choices]:
        """See `TrajectoryStore.choices`."""
        with self._counted(start, end) as (raw, marked):
            return choices.choices(raw, start, end, marked=marked)

    def running(self, at: datetime) -> list[OpenTrajectory]:
        """See `TrajectoryStore.running`."""
        with self.connection.reading() as raw:
            return running.running(raw, at)

    def lost(self, start: datetime, end: datetime) -> dict[str, float]:
        """See `TrajectoryStore.lost`."""
        with self.connection.reading() as raw:
            return running.lost(raw, start, end)

    @contextmanager
    def _counted(self, start: datetime, end: datetime) -> Iterator[tuple[sqlite3.Connection, bool]]:
        """Give the connection for reading counts, and whether hours that are marked must be counted for this once.

        What was written since the counts were made is counted first, and for `FRESH_S` what other processes write is
        left alone: a run asks some hundred times, and a busy receiver marks the hour again between any two questions.
        A store that cannot be written now is read all the same: marked hours are then counted for this once.
        """
        span = summaries.nanoseconds(start), summaries.nanoseconds(end)
        if not self._counts.hold(span):
            with suppress(StoreError), self.connection.writing() as raw:
                rollups.refresh(raw, *span, more=(sightings.recount, choices.recount))
                self._counts = Counts(span, time.monotonic())
        with self.connection.reading() as raw:
            yield raw, not self._counts.hold(span)

    def usage(self, agent: str, start: datetime, end: datetime) -> list[Usage]:
        """See `TrajectoryStore.usage`."""
        with self.connection.reading() as raw:
            return aggregates.usage(raw, agent, start, end)

    def worst_callers(
        self, agent: str, tool: str, start: datetime, end: datetime, *, by: Literal["seconds", "cost"], limit: int
    ) -> list[str]:
        """See `TrajectoryStore.worst_callers`."""
        with self.connection.reading() as raw:
            return tools.worst_callers(raw, agent, tool, start, end, by=by, limit=limit)

    def callers(self, agent: str, tool: str, start: datetime, end: datetime) -> Callers:
        """See `TrajectoryStore.callers`."""
        with self.connection.reading() as raw:
            return aggregates.callers(raw, agent, tool, start, end)

    def tool_uses(self, start: datetime, end: datetime, *, agent: str | None = None) -> list[ToolUse]:
        """See `TrajectoryStore.tool_uses`."""
        with self.connection.reading() as raw:
            return tools.uses(raw, start, end, agent)

    def totals(
        self,
        by: Grouping,
        start: datetime,
        end: datetime,
        *,
        agents: Collection[str] = (),
        where: Mapping[str, str] = MappingProxyType({}),
        order: TotalsOrder = "trajectories",
    ) -> list[Totals]:
        """See `TrajectoryStore.totals`."""
        with self.connection.reading() as raw:
            return totals.totals(raw, by, start, end, agents, where, order)

    def changes(self, agent: str, start: datetime, end: datetime) -> list[Change]:
        """See `TrajectoryStore.changes`."""
        with self._counted(start, end) as (raw, marked):
            seen = [*sightings.changes(raw, agent, start, end, marked=marked), *told.changes(raw, agent, start, end)]
        return sorted(seen, key=lambda change: (change.at, change.what))

    def inventory(self) -> list[KnownAgent]:
        """Return every agent that was ever seen, by name; the analyst itself is left out. See `inventory`."""
        with self._counted(*inventory.EVER) as (raw, marked):
            return inventory.agents(raw, marked=marked)

    def cohorts(
        self, agent: str | None, start: datetime, end: datetime, measure: Measure, *, capped_at: float | None = None
    ) -> list[Cohort]:
        """See `TrajectoryStore.cohorts`."""
        with self.connection.reading() as raw:
            return cohorts.cohorts(raw, agent, start, end, measure, capped_at)

    def percentile(
        self, agent: str | None, start: datetime, end: datetime, measure: Measure, share: float
    ) -> float | None:
        """See `TrajectoryStore.percentile`."""
        with self.connection.reading() as raw:
            return cohorts.percentile(raw, agent, start, end, measure, share)

    def unpriced(self, start: datetime, end: datetime) -> list[UnpricedUse]:
        """See `TrajectoryStore.unpriced`."""
        with self.connection.reading() as raw:
            return aggregates.unpriced(raw, start, end)

    def unpriced_models(self) -> list[tuple[str, int]]:
        """Return the models with tokens but no price, and their calls, most calls first."""
        with self.connection.reading() as raw:
            return aggregates.unpriced_models(raw)

    def unpriced_tools(self, start: datetime | None = None, end: datetime | None = None) -> list[tuple[str, int]]:
        """See `TrajectoryStore.unpriced_tools`."""
        with self.connection.reading() as raw:
            return aggregates.unpriced_tools(raw, start, end)

    def search(
        self, text: str, *, trace_ids: Sequence[str] = (), agent: str | None = None, limit: int = 20
    ) -> list[Hit]:
        """See `TrajectoryStore.search`. Without ids the whole store is searched, newest trajectories first.

        The empty text is nowhere. Raises NotFoundError for an id that is not there.
        """
        where = self.connection, self._codec, self.trajectory, self.elsewhere.holding
        return search.everywhere(*where, text, trace_ids, agent, limit)

    def prune(self, before: datetime) -> Pruned:
        """Delete trajectories that ended before a moment, and the texts that nothing else refers to; see `retention`.

        Trajectories that an open incident names are kept. Incidents and reports are never deleted.
        """
        return retention.prune(self.connection, self._codec, before, self.state)

    def stats(self) -> StoreStats:
        """Return what the store holds and what it takes; see `StoreStats`. Reads every row once."""
        with self.connection.reading() as raw:
            return stats.stats(raw, self.connection.path)
