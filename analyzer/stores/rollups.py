"""Rollups: counts and sketches per agent, tool and tick, kept in step with the trajectories.

A write marks the hours it touched; before anything is read, the marked hours are counted anew from their trajectories
and tool calls, whole. So a run costs what is new and not what is stored, and no order, repetition or lateness of spans
can make a sum drift: a cell is never added to, only counted again.

A trajectory whose root has not arrived counts once an hour has passed without a span (`SETTLED_S`). Cells are kept as
if that hour had passed everywhere; the ticks that are younger than it when somebody asks are counted at that moment.

The analyst's own runs are counted like any agent's; who reads says whether the fleet is meant or an agent.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from analyzer.stores.cells import DAY_S, Day, Tally, lay, left_of, ticks_of, unpacked
from analyzer.stores.cells import packed as packed_day
from analyzer.stores.summaries import OWN_AGENT
from analyzer.types.metric import TICK_S, Signal
from analyzer.types.trace import Outcome

NS = 1_000_000_000
FOREVER_NS = 2**63 - 1
HOUR_NS = 3600 * NS
SETTLED_S = 3600
"""A trajectory whose root never arrives counts as finished after this long without a span: the root may belong to a
web framework that exports elsewhere, or was sampled away. Long enough for a slow tool call."""

TAKEN, CACHED = "price-tokens", "price-cached"
"""Tokens of the trajectories of `Signal.PRICE`: fresh input and output; read from caches and written to them."""
UNKNOWN, UNPRICED, HIT = "unknown-cost", "unpriced", "tool-errors-hit"
"""Trajectories of no known cost among all that used a model; inferences without a known price among all of these;
trajectories in which any call of a tool failed."""

Key = tuple[str, str]
"""Agent and tool; the tool is empty for what concerns the agent as a whole."""
Tallies = dict[Key, dict[str, Tally]]
Recount = Callable[[sqlite3.Connection, int, list[int]], None]
"""Counts some hours (since 1970) of a day anew."""

_FAILED = frozenset({Outcome.FAILURE.value, Outcome.ERROR.value})
_TRAJECTORIES = (
    "SELECT agent, start_ns, end_ns, outcome, judged, steps, input_tokens + output_tokens, cost_usd, unpriced,"
    " inferences, retries, truncated, gap_s, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens"
    " FROM trajectories WHERE end_ns >= ? AND end_ns < ?"
    " AND (complete OR end_ns < ?)"
)
_TOOL_CALLS = (
    "SELECT t.agent, s.tool, s.trajectory, s.start_ns, s.end_ns, s.cost_usd"
    " FROM spans s JOIN trajectories t ON t.id = s.trajectory"
    " WHERE s.operation = 'execute_tool' AND s.repeated = 0 AND s.tool IS NOT NULL"
    " AND s.end_ns >= ? AND s.end_ns < ?"
)
_USED = (
    "SELECT trajectory, tool, MAX(end_ns), COUNT(*), SUM(status = 'error') FROM spans WHERE trajectory IN ({marks})"
    " AND operation = 'execute_tool' AND repeated = 0 AND tool IS NOT NULL AND end_ns < ? GROUP BY 1, 2"
)
_CHUNK = 500
_STARTED = "SELECT agent, start_ns FROM trajectories WHERE start_ns >= ? AND start_ns < ?"


def mark(raw: sqlite3.Connection, times_ns: Iterable[int | None]) -> None:
    """Note that what began or ended at these moments changed. Called by every write, in its transaction."""
    hours = {time_ns // HOUR_NS for time_ns in times_ns if time_ns is not None}
    raw.executemany("INSERT OR IGNORE INTO stale_hours VALUES (?)", [(hour,) for hour in sorted(hours)])


def refresh(raw: sqlite3.Connection, start_ns: int, end_ns: int, more: Sequence[Recount] = ()) -> None:
    """Count the marked hours of a range anew, also by `more` that keep their counts so. Needs the write lock."""
    query = "SELECT hour FROM stale_hours WHERE hour >= ? AND hour <= ? ORDER BY hour"
    stale = [int(row[0]) for row in raw.execute(query, (start_ns // HOUR_NS, end_ns // HOUR_NS))]
    by_day: dict[int, list[int]] = defaultdict(list)
    for hour in stale:
        by_day[hour // 24].append(hour)
    for day, hours in by_day.items():
        for recount in (_recount, *more):
            recount(raw, day, hours)
    raw.executemany("DELETE FROM stale_hours WHERE hour = ?", [(hour,) for hour in stale])


def _recount(raw: sqlite3.Connection, day: int, hours: list[int]) -> None:
    # All hours of the day at once: for each of them alone every subject of the day would be unpacked and laid anew.
    again = {tick for hour in hours for tick in ticks_of(hour % 24)}
    kept: dict[Key, Day] = defaultdict(dict)
    for agent, tool, body in raw.execute("SELECT agent, tool, body FROM rollups WHERE day = ?", (day,)):
        kept[agent, tool] = left_of(unpacked(body), again)
    for hour in hours:
        for key, tallies in tallied(raw, hour).items():
            lay(kept[key], tallies)
    raw.execute("DELETE FROM rollups WHERE day = ?", (day,))
    raw.executemany(
        "INSERT INTO rollups VALUES (?, ?, ?, ?)",
        [(day, *key, packed_day(cells)) for key, cells in sorted(kept.items()) if any(c.ticks for c in cells.values())],
    )


def tallied(raw: sqlite3.Connection, hour: int, at_ns: int = FOREVER_NS) -> Tallies:
    """Return the counts of what ended in an hour (since 1970), as known at `at_ns`; a tick is that of its day."""
    found: Tallies = defaultdict(lambda: defaultdict(Tally))
    bounds = (hour * HOUR_NS, (hour + 1) * HOUR_NS)
    for row in raw.execute(_TRAJECTORIES, (*bounds, at_ns - SETTLED_S * NS)):
        agent, began_ns, ended_ns, outcome, judged, steps, tokens, cost, unpriced, inferences, *rest = row
        retries, truncated, gap_s, *parts = rest
        tallies, tick = found[agent, ""], _tick(ended_ns)
        tallies[Signal.ERRORS].event(tick, outcome == Outcome.ERROR.value)
        tallies[Signal.RETRIES].event(tick, retries > 0)
        tallies[Signal.TRUNCATION].event(tick, truncated > 0)
        # A run of the analyst's that asked no model had nothing to explain: as a run of size 0 it would make the first
        # one with an incident look like a rise.
        is_sized = agent != OWN_AGENT or inferences > 0
        if is_sized:
            tallies[Signal.TOKENS].amount(tick, tokens)
            tallies[Signal.STEPS].amount(tick, steps)
        if gap_s is not None:
            tallies[Signal.GAP].amount(tick, gap_s)
        if judged:
            tallies[Signal.SUCCESS].event(tick, outcome in _FAILED)
        # With no priced inference the cost is unknown, not 0. Of a trajectory with some, the known part counts.
        if cost is not None:
            tallies[Signal.COST].amount(tick, cost)
        if cost is not None or unpriced:
            tallies[UNKNOWN].event(tick, cost is None)
            tallies[UNPRICED].event(tick, unpriced, inferences)
        if cost is not None and tokens and not unpriced:
            _tally_price(tallies, tick, cost, parts)
        if is_sized and began_ns is not None and ended_ns > began_ns:
            tallies[Signal.LATENCY].amount(tick, (ended_ns - began_ns) / NS)
    for agent, began_ns in raw.execute(_STARTED, bounds):
        found[agent, ""][Signal.VOLUME].event(_tick(began_ns), 1.0)
    _tally_tools(raw, bounds, at_ns, found)
    return found


def _tally_price(tallies: dict[str, Tally], tick: int, cost: float, parts: Sequence[int]) -> None:
    """Count what a trajectory cost beside the tokens that it was paid for."""
    taken, output, read, written = parts
    tallies[Signal.PRICE].event(tick, cost)
    tallies[TAKEN].event(tick, output, max(taken - read - written, 0))
    tallies[CACHED].event(tick, written, read)


def _tally_tools(raw: sqlite3.Connection, bounds: tuple[int, int], at_ns: int, found: Tallies) -> None:
    """Count tool calls: seconds and USD by call, failures by trajectory.

    The calls of one trajectory fail together: it has the failed share of all its calls of the tool, once, in the tick
    of the last of them (docs/detectors/tool_errors.md).
    """
    users: dict[int, str] = {}
    for agent, tool, trajectory, began_ns, ended_ns, cost in raw.execute(_TOOL_CALLS, bounds):
        tallies, tick = found[agent, tool], _tick(ended_ns)
        users[trajectory] = agent
        if began_ns is not None and ended_ns > began_ns:
            tallies[Signal.TOOL_LATENCY].amount(tick, (ended_ns - began_ns) / NS)
        if cost is not None:
            tallies[Signal.TOOL_COST].amount(tick, cost)
    for start in range(0, len(users), _CHUNK):
        some = list(users)[start : start + _CHUNK]
        query = _USED.format(marks=",".join("?" * len(some)))
        for trajectory, tool, last_ns, calls, failed in raw.execute(query, (*some, at_ns)):
            if bounds[0] <= last_ns < bounds[1]:
                tallies, tick = found[users[trajectory], tool], _tick(last_ns)
                tallies[Signal.TOOL_ERRORS].event(tick, failed / calls)
                tallies[HIT].event(tick, failed > 0)


def _tick(time_ns: int) -> int:
    return time_ns // NS % DAY_S // TICK_S


def days(
    raw: sqlite3.Connection, start_s: int, stop_s: int, agent: str | None = None
) -> Iterator[tuple[int, Key, Day]]:
    """Yield (start of the day in Unix seconds, subject, cells) of the days that touch a range, oldest first.

    Of one agent, or of the fleet: the analyst's own are left out then.
    """
    whose = "agent <> ?" if agent is None else "agent = ?"
    query = (
        "SELECT day, agent, tool, body FROM rollups"  # noqa: S608 - one of two own texts
        f" WHERE day >= ? AND day <= ? AND {whose} ORDER BY day, agent, tool"
    )
    bounds = (start_s // DAY_S, (stop_s - 1) // DAY_S, agent or OWN_AGENT)
    for day, name, tool, body in raw.execute(query, bounds):
        yield day * DAY_S, (name, tool), unpacked(body)


def unsettled(raw: sqlite3.Connection, start_s: int, stop_s: int, at_ns: int, *, marked: bool = True) -> frozenset[int]:
    """Return the hours of a range (since 1970) whose cells do not hold at a moment: marked ones and the last two.

    Without `marked` the cells of marked hours are taken as they are: they were counted a moment ago.
    """
    query = "SELECT hour FROM stale_hours WHERE hour >= ? AND hour < ?"
    bounds = (start_s // 3600, -(-stop_s // 3600))
    stale = {int(row[0]) for row in raw.execute(query, bounds)} if marked else set()
    return frozenset(stale | set(range(max((at_ns - SETTLED_S * NS) // HOUR_NS, start_s // 3600), -(-stop_s // 3600))))


def counted_now(
    raw: sqlite3.Connection, hours: Iterable[int], at_ns: int, agent: str | None = None
) -> Iterator[tuple[int, Key, Mapping[str, Tally]]]:
    """Yield the same as `days` for single hours, counted now and as known at `at_ns`."""
    for hour in sorted(hours):
        for key, tallies in tallied(raw, hour, at_ns).items():
            if key[0] == agent or (agent is None and key[0] != OWN_AGENT):
                yield hour // 24 * DAY_S, key, tallies
