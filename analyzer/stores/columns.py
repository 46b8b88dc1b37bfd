"""Trajectories as columns in memory: for walks that ask about another stretch of them every hour.

The same answers as those of `cohorts` and `running.lost`, figure by figure: amounts are added up in the same order. A
trajectory of an agent that is asked about takes some 80 bytes, any other one 17.
"""

from __future__ import annotations

import math
import sqlite3
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from analyzer.stores.base import Cohort, Measure
from analyzer.stores.cohorts import COHORTS_MAX, MEASURES, order_of
from analyzer.stores.running import REACH_NS, RUNNING_MAX, SILENT_NS, lost_before_ns
from analyzer.stores.summaries import OWN_AGENT, nanoseconds

Values = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Columns:
    """One entry for each trajectory of an agent, by when it ended."""

    ends_ns: npt.NDArray[np.int64]
    """Unix nanoseconds, ascending."""
    group: npt.NDArray[np.int64]
    """Which of `values` it was made with."""
    values: Sequence[Values]
    """One for each of DIMENSIONS, in the order of cohorts that hold as many trajectories."""
    amounts: Mapping[Measure, npt.NDArray[np.float64]]
    """NaN where the measure is not known."""

    @staticmethod
    def of(raw: sqlite3.Connection, agent: str) -> Columns:
        """Read all that ended."""
        query = (
            f"SELECT end_ns, agent, version, model, prompt, task, user_id, {', '.join(MEASURES.values())}"  # noqa: S608 - own text
            " FROM trajectories WHERE agent = ? AND end_ns IS NOT NULL ORDER BY end_ns, id"
        )
        known: dict[Values, int] = {}
        ends_ns, group, rows = array("q"), array("q"), array("d")
        for row in raw.execute(query, (agent,)):
            ends_ns.append(row[0])
            group.append(known.setdefault(row[1:7], len(known)))
            rows.extend([math.nan if amount is None else amount for amount in row[7:]])
        ordered = sorted(known, key=order_of)
        place = np.zeros(len(known), dtype=np.int64)
        place[[known[values] for values in ordered]] = np.arange(len(known))
        amounts = np.asarray(rows, dtype=np.float64).reshape(-1, len(MEASURES)).T
        return Columns(
            np.asarray(ends_ns, dtype=np.int64),
            place[np.asarray(group, dtype=np.int64)],
            ordered,
            dict(zip(MEASURES, np.ascontiguousarray(amounts), strict=True)),
        )

    def cohorts(self, start: datetime, end: datetime, measure: Measure, capped_at: float | None) -> list[Cohort]:
        """See `TrajectoryStore.cohorts`."""
        amounts, held = self._held(start, end, measure)
        if capped_at is not None:
            amounts = np.minimum(amounts, capped_at)
        groups, slot = np.unique(held, return_inverse=True)
        of = np.bincount(slot, minlength=len(groups))
        totals, squares = (
            np.bincount(slot, weights=part, minlength=len(groups)) for part in (amounts, amounts * amounts)
        )
        largest = np.argsort(-of, kind="stable")[:COHORTS_MAX]
        columns = (part[largest].tolist() for part in (groups, of, totals, squares))
        return [Cohort(self.values[at], *sums) for at, *sums in zip(*columns, strict=True)]

    def percentile(self, start: datetime, end: datetime, measure: Measure, share: float) -> float | None:
        """See `TrajectoryStore.percentile`."""
        amounts, _ = self._held(start, end, measure)
        if not len(amounts):
            return None
        at = int(share * (len(amounts) - 1))
        return float(np.partition(amounts, at)[at])

    def _held(
        self, start: datetime, end: datetime, measure: Measure
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Return the amounts that are known of a range, and what each was made with."""
        first, stop = np.searchsorted(self.ends_ns, (nanoseconds(start), nanoseconds(end))).tolist()
        amounts = self.amounts[measure][first:stop]
        known = ~np.isnan(amounts)
        return amounts[known], self.group[first:stop][known]


@dataclass(frozen=True, slots=True)
class Ends:
    """One entry for each trajectory of the fleet, by the end of its latest span."""

    agents: Sequence[str]
    """By name."""
    ends_ns: npt.NDArray[np.int64]
    """Unix nanoseconds, ascending."""
    agent: npt.NDArray[np.int64]
    """Which of `agents`."""
    is_open: npt.NDArray[np.bool_]
    """Whether no top span has arrived."""

    @staticmethod
    def of(raw: sqlite3.Connection) -> Ends:
        """Read all that have a time."""
        query = "SELECT end_ns, agent, NOT complete FROM trajectories WHERE agent <> ? AND end_ns IS NOT NULL"
        known: dict[str, int] = {}
        ends_ns, agent, is_open = array("q"), array("q"), array("b")
        for end_ns, name, own in raw.execute(query, (OWN_AGENT,)):
            ends_ns.append(end_ns)
            agent.append(known.setdefault(name, len(known)))
            is_open.append(own)
        names = sorted(known)
        place = np.zeros(len(known), dtype=np.int64)
        place[[known[name] for name in names]] = np.arange(len(known))
        times = np.asarray(ends_ns, dtype=np.int64)
        order = np.argsort(times, kind="stable")
        which = place[np.asarray(agent, dtype=np.int64)]
        return Ends(names, times[order], which[order], np.asarray(is_open, dtype=np.bool_)[order])

    def lost(self, start: datetime, end: datetime) -> dict[str, float]:
        """See `TrajectoryStore.lost`."""
        first, stop = np.searchsorted(self.ends_ns, (nanoseconds(start), lost_before_ns(end))).tolist()
        agent = self.agent[first:stop]
        of = np.bincount(agent, minlength=len(self.agents)).tolist()
        lost = np.bincount(agent, weights=self.is_open[first:stop], minlength=len(self.agents)).tolist()
        return {name: missed / seen for name, seen, missed in zip(self.agents, of, lost, strict=True) if seen}


@dataclass(frozen=True, slots=True)
class Starts:
    """One entry for each trajectory of the fleet, by its first start."""

    starts_ns: npt.NDArray[np.int64]
    """Unix nanoseconds, ascending."""
    ends_ns: npt.NDArray[np.int64]
    """Of the latest span, in Unix nanoseconds; 0 where none has an end."""
    is_open: npt.NDArray[np.bool_]
    """Whether no top span has arrived."""
    owners: npt.NDArray[np.int64]
    """Row ids."""

    @staticmethod
    def of(raw: sqlite3.Connection) -> Starts:
        """Read all that have a time."""
        query = (
            "SELECT start_ns, COALESCE(end_ns, 0), NOT complete, id FROM trajectories"
            " WHERE agent <> ? AND start_ns IS NOT NULL ORDER BY start_ns, id"
        )
        values = array("q")
        for row in raw.execute(query, (OWN_AGENT,)):
            values.extend(row)
        starts_ns, ends_ns, is_open, owners = np.asarray(values, dtype=np.int64).reshape(-1, 4).T
        return Starts(starts_ns, ends_ns, is_open.astype(np.bool_), owners)

    def running(self, raw: sqlite3.Connection, at: datetime) -> list[tuple[int, str]]:
        """Return the candidates of `running.opened` at a moment, longest running first."""
        at_ns = nanoseconds(at)
        first, stop = np.searchsorted(self.starts_ns, (at_ns - REACH_NS, at_ns)).tolist()
        ends_ns, is_open = self.ends_ns[first:stop], self.is_open[first:stop]
        runs = np.where(is_open, ends_ns >= at_ns - SILENT_NS, ends_ns >= at_ns)
        owners = self.owners[first:stop][runs][:RUNNING_MAX].tolist()
        known = [raw.execute("SELECT id, trace_id FROM trajectories WHERE id = ?", (one,)).fetchone() for one in owners]
        return [row for row in known if row is not None]
