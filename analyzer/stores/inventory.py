"""Every agent that was ever seen, from what is counted per day anyway: no trajectory is read for it.

An answer costs agents times days, whatever they did on them, and it outlives the trajectories: counts and sightings
stay when these are deleted. Like them it corrects itself where spans come late.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import orjson

from analyzer.stores import sightings
from analyzer.stores.cells import DAY_S
from analyzer.stores.rollups import NS
from analyzer.stores.summaries import OWN_AGENT
from analyzer.types.agents import KnownAgent, Sighted

VALUES_MAX = 200
"""Versions, models or tools kept of one agent, those in use last: a "version" that is new in every run is none."""
EVER = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC))
"""What the nanoseconds of a span can say."""
_NAMES = (
    # From name to name by the index: how many trajectories lie between does not matter.
    "WITH RECURSIVE names (agent) AS (SELECT MIN(agent) FROM trajectories UNION ALL"
    " SELECT (SELECT MIN(agent) FROM trajectories WHERE agent > names.agent) FROM names WHERE agent IS NOT NULL)"
    " SELECT agent FROM names WHERE agent IS NOT NULL AND agent <> ?"
)
_EARLIEST = (
    "SELECT COALESCE(start_ns, end_ns) FROM trajectories WHERE agent = ? AND end_ns IS NOT NULL ORDER BY end_ns LIMIT 1"
)
_LATEST = "SELECT MAX(end_ns) FROM trajectories WHERE agent = ?"
_COUNTED = "SELECT agent, tool, MIN(day), MAX(day) FROM rollups WHERE agent <> ? GROUP BY agent, tool"

_Spans = dict[str, tuple[int, int]]
"""Value -> first and last, in Unix nanoseconds."""


def agents(raw: sqlite3.Connection, *, marked: bool) -> list[KnownAgent]:
    """Return every agent by name; with `marked`, hours that were not counted yet are read for this once.

    Tools that only such an hour shows are then missing.
    """
    unsettled = (
        frozenset(int(hour) for (hour,) in raw.execute("SELECT hour FROM stale_hours")) if marked else frozenset()
    )
    names = {str(name) for (name,) in raw.execute(_NAMES, (OWN_AGENT,))}
    days: _Spans = {}
    tools: dict[str, _Spans] = defaultdict(dict)
    for agent, tool, first_day, last_day in raw.execute(_COUNTED, (OWN_AGENT,)):
        span = first_day * DAY_S * NS, last_day * DAY_S * NS
        if tool:
            tools[agent][tool] = span
        _widen(days, agent, span)
    seen = _sighted(raw, unsettled)
    found = []
    for agent in sorted(names | days.keys() | {agent for agent, _ in seen}):
        made = {what: seen.get((agent, what), {}) for what in ("version", "model")}
        first_ns, last_ns = _extent(raw, agent, days.get(agent), made)
        found.append(
            KnownAgent(
                agent,
                first_seen=_moment(first_ns),
                last_seen=_moment(last_ns),
                versions=_latest(made["version"]),
                models=_latest(made["model"]),
                tools=_latest(tools[agent]),
            )
        )
    return found


def _sighted(raw: sqlite3.Connection, unsettled: frozenset[int]) -> dict[tuple[str, str], _Spans]:
    found: dict[tuple[str, str], _Spans] = defaultdict(dict)

    def see(agent: str, entries: Iterable[sightings.Sighting]) -> None:
        for _, what, value, at_ns in entries:
            _widen(found[agent, what], value, (at_ns, at_ns))

    for agent, body in raw.execute("SELECT agent, body FROM sightings"):
        see(agent, (one for one in orjson.loads(body) if one[0] not in unsettled))
    for hour in sorted(unsettled):
        for agent, entries in sightings.sighted(raw, hour).items():
            see(agent, entries)
    return found


def _extent(
    raw: sqlite3.Connection, agent: str, days: tuple[int, int] | None, made: Mapping[str, _Spans]
) -> tuple[int | None, int | None]:
    """Return when an agent was first and last seen: by its trajectories, else by what is left of deleted ones."""
    left = [span for spans in made.values() for span in spans.values()]
    earliest, latest = raw.execute(_EARLIEST, (agent,)).fetchone(), raw.execute(_LATEST, (agent,)).fetchone()[0]
    firsts = [first for first, _ in left] + ([earliest[0]] if earliest is not None else [])
    lasts = [last for _, last in left] + ([latest] if latest is not None else [])
    # A day is only the least that is known: where anything tells the moment, it is that.
    if days is not None and (not firsts or min(firsts) >= days[0] + DAY_S * NS):
        firsts.append(days[0])
    return min(firsts, default=None), max(lasts, default=None if days is None else days[1])


def _widen(spans: _Spans, value: str, span: tuple[int, int]) -> None:
    known = spans.get(value, span)
    spans[value] = (min(known[0], span[0]), max(known[1], span[1]))


def _latest(spans: _Spans) -> tuple[Sighted, ...]:
    order = sorted(spans.items(), key=lambda entry: (-entry[1][1], -entry[1][0], entry[0]))[:VALUES_MAX]
    return tuple(Sighted(value, _at(first), _at(last)) for value, (first, last) in order)


def _moment(at_ns: int | None) -> datetime | None:
    return None if at_ns is None else _at(at_ns)


def _at(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns / NS, UTC)
