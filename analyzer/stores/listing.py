"""Lists of what is largest, from columns in memory: for walks that ask about another day every hour.

The same lists as `summaries.row_ids`, ties broken the same way. What ended on one day is read when it is first asked
for; a trajectory takes some 120 bytes. Longer stretches than two days are left to the index, by agent.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from analyzer.stores.base import Order
from analyzer.stores.summaries import LISTED_MAX, OWN_AGENT, SIZES, Asked, nanoseconds

_DAY_NS = 86_400 * 10**9
_STRETCH_MAX = timedelta(days=2)
_DAYS_MAX = 8
"""Days that are held; of more, those that were read first are dropped."""


@dataclass(frozen=True, slots=True)
class _Day:
    """One entry for each trajectory that ended on a day."""

    owners: npt.NDArray[np.int64]
    """Row ids."""
    ends_ns: npt.NDArray[np.int64]
    agents: npt.NDArray[np.int64]
    """By number: see `Largest`."""
    trace_ids: npt.NDArray[np.bytes_]
    sizes: Mapping[Order, npt.NDArray[np.float64]]


class Largest:
    """Lists by size, of what ended in a stretch of time."""

    def __init__(self) -> None:
        self._days: dict[int, _Day] = {}
        self._agents: dict[str, int] = {OWN_AGENT: 0}

    @staticmethod
    def knows(asked: Asked) -> bool:
        """Tell whether a list is one by size, of a day or two, of all versions and whatever came of it."""
        if asked.start is None or asked.end is None or asked.end - asked.start > _STRETCH_MAX:
            return False
        return asked.order in SIZES and asked.version is None and not asked.errors_only

    def row_ids(self, raw: sqlite3.Connection, asked: Asked) -> list[int]:
        """Return what `summaries.row_ids` returns, of a list that it `knows`."""
        assert asked.start is not None and asked.end is not None  # noqa: PT018, S101 - `knows` said so
        start_ns, end_ns = nanoseconds(asked.start), nanoseconds(asked.end)
        days = [self._day(raw, day) for day in range(start_ns // _DAY_NS, (end_ns - 1) // _DAY_NS + 1)]
        if not days:
            return []
        agents = [self._agents[name] for name in asked.agents if name in self._agents]
        meant = [_meant(day, asked, agents, start_ns, end_ns) for day in days]
        owners = np.concatenate([day.owners[kept] for day, kept in zip(days, meant, strict=True)])
        trace_ids = np.concatenate([day.trace_ids[kept] for day, kept in zip(days, meant, strict=True)])
        sizes = np.concatenate([day.sizes[asked.order][kept] for day, kept in zip(days, meant, strict=True)])
        most = min(asked.limit, LISTED_MAX)
        if 0 < most < len(sizes):
            # Those that are as large as the last one stay: the ids decide between them.
            kept = sizes >= np.partition(sizes, len(sizes) - most)[len(sizes) - most]
            owners, trace_ids, sizes = owners[kept], trace_ids[kept], sizes[kept]
        found: list[int] = owners[np.lexsort((trace_ids, -sizes))][:most].tolist()
        return found

    def _day(self, raw: sqlite3.Connection, day: int) -> _Day:
        if day not in self._days:
            if len(self._days) >= _DAYS_MAX:
                del self._days[next(iter(self._days))]
            query = (
                f"SELECT id, end_ns, agent, trace_id, {', '.join(SIZES.values())} FROM trajectories"  # noqa: S608 - own text
                " WHERE end_ns >= ? AND end_ns < ?"
            )
            rows = raw.execute(query, (day * _DAY_NS, (day + 1) * _DAY_NS)).fetchall()
            owners, ends_ns, agents, trace_ids, *sizes = zip(*rows, strict=True) if rows else ((),) * (4 + len(SIZES))
            self._days[day] = _Day(
                np.asarray(owners, dtype=np.int64),
                np.asarray(ends_ns, dtype=np.int64),
                np.asarray([self._agents.setdefault(one, len(self._agents)) for one in agents], dtype=np.int64),
                np.asarray([one.encode() for one in trace_ids], dtype=np.bytes_),
                {name: np.asarray(size, dtype=np.float64) for name, size in zip(SIZES, sizes, strict=True)},
            )
        return self._days[day]


def _meant(day: _Day, asked: Asked, agents: Sequence[int], start_ns: int, end_ns: int) -> npt.NDArray[np.bool_]:
    """Return which of a day are asked for; without agents, the fleet's."""
    of_agents = np.isin(day.agents, agents) if asked.agents else day.agents != 0
    repeats = day.sizes["repeats"] >= asked.repeats_min
    found: npt.NDArray[np.bool_] = of_agents & repeats & (day.ends_ns >= start_ns) & (day.ends_ns < end_ns)
    return found
