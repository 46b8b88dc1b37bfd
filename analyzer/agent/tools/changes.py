"""The tool that says what else became different: what spans showed for the first time, and what people told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from analyzer.agent.desk import Desk, ToolError
from analyzer.agent.model import ToolSpec
from analyzer.agent.tools.account import MEASURES
from analyzer.agent.tools.arguments import agent_of, range_of, word_of
from analyzer.agent.tools.base import AGENT, CITABLE, END, START, Arguments, Tool, choice, closed_schema
from analyzer.stores.base import DIMENSIONS, Measure, TrajectoryStore
from analyzer.types.metric import Signal
from analyzer.types.report import Change
from analyzer.types.table import Column, Line, Table, Unit

ROWS_MAX = 40
COMPARED_MAX = 8
"""Changes, the nearest to the onset, of which the new value is held against all others: each is a query."""
_UNITS = {"cost": Unit.USD, "tokens": Unit.TOKENS, Signal.LATENCY.value: Unit.SECONDS}


def changes(desk: Desk, arguments: Arguments) -> Table:
    """Return the changes of an agent in a range, with what runs took with the new value and with the others."""
    agent = agent_of(desk, arguments)
    measure = word_of(arguments, "measure", MEASURES)
    start, end = range_of(desk, arguments)
    if agent is None:
        raise ToolError("agent must be named: changes are an agent's; `totals` by agent lists them")
    onset = desk.case.incident.onset
    with desk.reading() as store:
        found = sorted(store.changes(agent, start, end), key=lambda change: abs(change.at - onset))[:ROWS_MAX]
        lines = [
            _line(change, _held(store, change, agent, cast("Measure", measure), end) if near else None)
            for change, near in ((change, index < COMPARED_MAX) for index, change in enumerate(found))
        ]
    unit = _UNITS.get(measure, Unit.VALUE)
    columns = (
        Column("at"),
        Column("what"),
        Column("from"),
        Column("to"),
        Column(f"{measure} per run with it", unit),
        Column(f"{measure} per run without it", unit),
        Column("runs with it", Unit.COUNT),
        Column("runs without it", Unit.COUNT),
    )
    note = "With and without are of the runs from the change on, so in the same hours. In time beside is no proof."
    return Table(f"Changes of {agent}" if found else "Changes", columns, tuple(lines), start, end, leading=4, note=note)


_Held = tuple[float | None, float | None, int, int]


def _line(change: Change, held: _Held | None) -> Line:
    new, old, runs_new, runs_old = held or (None, None, None, None)
    counts = (None if count is None else float(count) for count in (runs_new, runs_old))
    named = (f"{change.at:%Y-%m-%dT%H:%MZ}", change.what, change.from_value or "(none)", change.to_value or "(none)")
    return Line((*named, new, old, *counts), f'agent_changes{{what="{change.what}"}}' if new is not None else "")


def _held(store: TrajectoryStore, change: Change, agent: str, measure: Measure, end: datetime) -> _Held | None:
    """Return mean and number of the runs since a change with its new value, and with any other."""
    if change.what not in DIMENSIONS or change.to_value is None or change.at >= end:
        return None
    place = DIMENSIONS.index(change.what)
    sides: Sequence[list[float]] = ([0, 0.0], [0, 0.0])
    for one in store.cohorts(agent, change.at, end, measure):
        side = sides[one.values[place] != change.to_value]
        side[0] += one.trajectories
        side[1] += one.total
    new, old = (total / count if count else None for count, total in sides)
    return new, old, int(sides[0][0]), int(sides[1][0])


CHANGES = Tool(
    ToolSpec(
        "changes",
        "What was seen of an agent for the first time (versions, models, prompts, tools, parameters) and what people "
        "told (deploys), the nearest to the onset first; with what runs took with and without it." + CITABLE,
        closed_schema(agent=AGENT, measure=choice("what the runs are compared by", MEASURES), start=START, end=END),
    ),
    changes,
)
