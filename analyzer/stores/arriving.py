"""Verdicts on trajectories that come without their texts staying: looked at while the texts are at hand.

A run looks at the `SUSPECTS_MAX` trajectories of a day that repeat a call most. Where the texts lie in another database
each of them would be fetched once more for that. So what is followed is judged on its way in, as far as a run would
look at it: whatever repeats no less than the last that a run looks at in the day before, or the day after, which is
there first where a history is read backwards. Too low a bar costs time, and too high a one a later fetch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence

from analyzer.stores import summaries, unkept
from analyzer.stores.database import Connection
from analyzer.stores.summaries import OWN_AGENT
from analyzer.stores.verdicts import REPEATS_MIN, SUSPECTS_MAX, Verdicts
from analyzer.types.trace import Span

_HOUR_NS = 3_600 * 10**9
_DAY_NS = 24 * _HOUR_NS
_BARS_MAX = 10_000
_LATEST_NS = 2**63 - 1
"""A span may say that it ends then; SQLite takes no later time."""

Bar = tuple[int, str]
"""Minus the repeats, and the trace id: sorted as a list of what repeats most, the smaller id first of as many."""
_NO_BAR: Bar = (0, chr(0x10FFFF))


class FirstLook:
    """Judges what has just been added, from the spans as they came. Used by one thread at a time."""

    def __init__(self, connection: Connection, verdicts: Verdicts, mask: Callable[[str], str]) -> None:
        self._connection, self._verdicts, self._mask = connection, verdicts, mask
        self._bars: dict[int, Bar] = {}
        """By hour."""

    def look(self, batch: Sequence[Span]) -> None:
        """Note which trajectories of a batch show nothing, as far as it holds all their spans. Raises StoreError."""
        if not self._verdicts.is_noting:
            return
        came = unkept.by_trajectory(batch)
        wanted = self._wanted({trace_id: len(own) for trace_id, own in came.items()})
        if wanted:
            self._verdicts.judged(wanted, lambda ids: unkept.steps(self._connection, self._mask, ids, came))

    def _wanted(self, spans: Mapping[str, int]) -> list[str]:
        """Return which of some trajectories are whole, and repeat enough that a run would look at them."""
        with self._connection.reading() as raw:
            return [
                one.trace_id
                for one in summaries.of_ids(raw, list(spans)).values()
                if one.spans == spans[one.trace_id]
                and one.agent != OWN_AGENT
                and one.repeats >= REPEATS_MIN
                and one.end_ns is not None
                and (-one.repeats, one.trace_id) <= self._bar(raw, one.end_ns)
            ]

    def _bar(self, raw: sqlite3.Connection, end_ns: int) -> Bar:
        """Return the last that a run looks at in the day before an hour, or in the day after it."""
        hour = end_ns // _HOUR_NS
        if hour not in self._bars:
            if len(self._bars) >= _BARS_MAX:
                self._bars.clear()
            at = hour * _HOUR_NS
            after = min(at + _HOUR_NS, _LATEST_NS)
            days = ((at - _DAY_NS, at), (after, after + _DAY_NS))
            self._bars[hour] = min(_last(raw, start_ns, min(stop_ns, _LATEST_NS)) for start_ns, stop_ns in days)
        return self._bars[hour]


def _last(raw: sqlite3.Connection, start_ns: int, end_ns: int) -> Bar:
    """Return the last of those that a run would look at in a time."""
    query = (
        "SELECT -repeats, trace_id FROM trajectories WHERE end_ns >= ? AND end_ns < ? AND agent <> ? AND repeats >= ?"
        " ORDER BY repeats DESC, trace_id LIMIT 1 OFFSET ?"
    )
    row = raw.execute(query, (start_ns, end_ns, OWN_AGENT, REPEATS_MIN, SUSPECTS_MAX - 1)).fetchone()
    return _NO_BAR if row is None else (row[0], row[1])
