"""What agents chose, counted per hour: which tool, which argument values, for which kind of task.

Kept per day and agent beside the rollups and counted anew with them. A trajectory counts in the hour in which it ended,
once for each choice it made.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from analyzer.stores import offers, sightings
from analyzer.stores.rollups import FOREVER_NS, HOUR_NS, NS, SETTLED_S, unsettled
from analyzer.stores.summaries import OWN_AGENT, nanoseconds
from analyzer.types.choices import TOOL
from analyzer.types.hourly import HourlyCounts
from analyzer.types.metric import HOUR_S, Choices
from analyzer.types.report import Subject
from analyzer.types.trace import Outcome

TASKS_MAX = 20
"""Kinds of task told apart in one agent's hour, the commonest; goals in free words would each be a kind of its own."""
VALUES_MAX = 50
"""More different values of one argument in an hour are data and no choice."""
TRAJECTORIES_MIN = 8
"""Fewer in the whole window cannot be judged (catalogue M9) and are not loaded."""
OTHER_TASKS = ""

Place = tuple[str, str, str]
"""Tool (empty for the choice of the tool itself), what, task."""
Count = tuple[int, str, str, str, str, int, int]
"""Hour since 1970, tool, what, task, value (empty: all of them), trajectories, failed ones."""
_Hourly = tuple[int, int, int]
"""Hour of the range, trajectories, failed ones."""

_CALLS = (
    "SELECT t.id, t.agent, t.task, t.outcome, s.tool, s.choices FROM trajectories t JOIN spans s ON s.trajectory = t.id"
    " WHERE t.agent <> ? AND t.end_ns >= ? AND t.end_ns < ? AND (t.complete OR t.end_ns < ?)"
    " AND s.operation = 'execute_tool' AND s.repeated = 0 AND s.tool IS NOT NULL"
)
_FAILED = frozenset({Outcome.FAILURE.value, Outcome.ERROR.value})


@dataclass(slots=True)
class _Made:
    """The choices of one trajectory."""

    agent: str
    task: str
    failed: bool
    choices: set[tuple[str, str, str]] = field(default_factory=set)
    """Tool, what, value."""


def counted(raw: sqlite3.Connection, hour: int, at_ns: int = FOREVER_NS) -> dict[str, list[Count]]:
    """Return by agent what its trajectories that ended in an hour chose."""
    made: dict[int, _Made] = {}
    bounds = (OWN_AGENT, hour * HOUR_NS, (hour + 1) * HOUR_NS, at_ns - SETTLED_S * NS)
    for trajectory, agent, task, outcome, tool, choices in raw.execute(_CALLS, bounds):
        one = made.setdefault(trajectory, _Made(agent, task or OTHER_TASKS, outcome in _FAILED))
        one.choices.add(("", TOOL, tool))
        if choices:
            one.choices.update((tool, what, value) for what, value in orjson.loads(choices))
    by_agent: dict[str, list[_Made]] = defaultdict(list)
    for one in made.values():
        by_agent[one.agent].append(one)
    return {agent: list(_counts(hour, trajectories)) for agent, trajectories in by_agent.items()}


def _counts(hour: int, trajectories: list[_Made]) -> Iterator[Count]:
    common = Counter(one.task for one in trajectories)
    told_apart = {task for task, _ in sorted(common.items(), key=lambda entry: (-entry[1], entry[0]))[:TASKS_MAX]}
    picked: dict[Place, dict[str, list[int]]] = defaultdict(dict)
    for one in trajectories:
        task = one.task if one.task in told_apart else OTHER_TASKS
        for tool, what, value in sorted(one.choices | {(tool, what, "") for tool, what, _ in one.choices}):
            count = picked[tool, what, task].setdefault(value, [0, 0])
            count[0] += 1
            count[1] += one.failed
    many = Counter((tool, what) for (tool, what, _), values in picked.items() for _ in values)
    for (tool, what, task), values in sorted(picked.items()):
        if what == TOOL or many[tool, what] <= VALUES_MAX:
            yield from ((hour, tool, what, task, value, *count) for value, count in sorted(values.items()))  # type: ignore[misc]


def recount(raw: sqlite3.Connection, day: int, hours: Iterable[int]) -> None:
    """Count some hours of a day anew. Needs the write lock."""
    again = set(hours)
    kept: dict[str, list[Count]] = defaultdict(list)
    for agent, body in raw.execute("SELECT agent, body FROM choices WHERE day = ?", (day,)):
        kept[agent] = [one for one in orjson.loads(body) if one[0] not in again]
    for hour in sorted(again):
        for agent, counts in counted(raw, hour).items():
            kept[agent] += counts
    raw.execute("DELETE FROM choices WHERE day = ?", (day,))
    raw.executemany(
        "INSERT INTO choices VALUES (?, ?, ?)",
        [(day, agent, orjson.dumps(counts)) for agent, counts in sorted(kept.items()) if counts],
    )


def choices(raw: sqlite3.Connection, start: datetime, end: datetime, *, marked: bool = True) -> list[Choices]:
    """Return every choice that was made often enough to be judged, over all tasks and by task.

    Of `marked` see `rollups.unsettled`.
    """
    start_s, end_s = int(start.timestamp()) // HOUR_S * HOUR_S, int(end.timestamp()) // HOUR_S * HOUR_S
    hours = max(0, (end_s - start_s) // HOUR_S)
    first = start_s // HOUR_S
    picked = _by_choice(_read(raw, start_s, end_s, nanoseconds(end), marked=marked), first, first + hours)
    found = []
    offered = offers.first_offered(raw, sightings.first_sent(raw, start, end, marked=marked))
    for (agent, (tool, what, task)), values in sorted(picked.items()):
        if sum(trajectories for _, trajectories, _ in values.get("", ())) < TRAJECTORIES_MIN:
            continue
        of = array("d", bytes(8 * hours))
        for hour, trajectories, _ in values.pop("", ()):
            of[hour] += trajectories
        found.append(
            Choices(
                subject=Subject(agent=agent, tool=tool or None),
                what=what,
                task=None if task == "*" else task,
                start_s=start_s,
                picked=HourlyCounts.added(_entries(values, 1), hours),
                of=of,
                failed=HourlyCounts.added(_entries(values, 2), hours),
                offered_s=offered.get(agent, {}) if what == TOOL else {},
            )
        )
    return found


def _by_choice(
    read: Iterable[tuple[str, Iterable[Count]]], first: int, stop: int
) -> dict[tuple[str, Place], dict[str, list[_Hourly]]]:
    """Return the counts of hours [first, stop) by agent, place (task by task and over all of them, "*") and value."""
    by_task: dict[str, dict[tuple[str, str, str, str], list[_Hourly]]] = defaultdict(lambda: defaultdict(list))
    for agent, counts in read:
        known = by_task[agent]
        for hour, tool, what, task, value, trajectories, failed in counts:
            if first <= hour < stop:
                known[tool, what, task, value].append((hour - first, trajectories, failed))
    picked: dict[tuple[str, Place], dict[str, list[_Hourly]]] = defaultdict(lambda: defaultdict(list))
    for agent, known in by_task.items():
        for (tool, what, task, value), hourly in known.items():
            picked[agent, (tool, what, "*")][value] += hourly
            if task != OTHER_TASKS:
                picked[agent, (tool, what, task)][value] += hourly
    return picked


def _read(
    raw: sqlite3.Connection, start_s: int, end_s: int, at_ns: int, *, marked: bool
) -> Iterator[tuple[str, list[Count]]]:
    now = unsettled(raw, start_s, end_s, at_ns, marked=marked)
    days_now = {hour // 24 for hour in now}
    query = "SELECT day, agent, body FROM choices WHERE day >= ? AND day <= ? ORDER BY day, agent"
    for day, agent, body in raw.execute(query, (start_s // 86_400, end_s // 86_400)):
        counts: list[Count] = orjson.loads(body)
        yield agent, counts if day not in days_now else [one for one in counts if one[0] not in now]
    for hour in sorted(now):
        yield from counted(raw, hour, at_ns).items()


def _entries(values: Mapping[str, Iterable[_Hourly]], which: int) -> Iterator[tuple[int, str, float]]:
    """Yield hour, value and one of the counts of each entry that has any."""
    return ((one[0], value, one[which]) for value, hourly in values.items() for one in hourly if one[which])
