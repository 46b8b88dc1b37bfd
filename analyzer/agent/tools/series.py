"""The tool that shows how a signal went, from the stored trajectories: also where there is no Prometheus."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from analyzer.agent.desk import Desk, ToolError
from analyzer.agent.model import ToolSpec
from analyzer.agent.tools.arguments import agent_of, is_number, range_of, text_of, word_of
from analyzer.agent.tools.base import AGENT, CITABLE, END, START, Arguments, Tool, choice, closed_schema
from analyzer.types.metric import AMOUNTS, MONEY, TICK_S, Series, Signal
from analyzer.types.table import Column, Line, Table, Unit

POINTS_MAX = 60
SIGNALS = tuple(signal.value for signal in Signal)
_DURATIONS = frozenset({Signal.LATENCY, Signal.TOOL_LATENCY, Signal.GAP})


def series(desk: Desk, arguments: Arguments) -> Table:
    """Return the value of a signal per stretch of time."""
    signal = Signal(word_of(arguments, "signal", SIGNALS))
    agent = agent_of(desk, arguments)
    tool = text_of(arguments, "tool") or None
    start, end = range_of(desk, arguments)
    hours = arguments.get("hours", 1)
    if not is_number(hours) or hours <= 0:
        raise ToolError("hours must be a number above 0: how long each stretch is")
    every = desk.series()
    found = [one for one in every if one.signal is signal and one.subject.agent == agent and one.subject.tool == tool]
    if not found:
        raise ToolError(_what_there_is(every, signal))
    step_s = max(float(hours) * 3600, (end - start).total_seconds() / POINTS_MAX)
    step_s = math.ceil(step_s / TICK_S) * TICK_S
    lines = _lines(found[0], start.timestamp(), end.timestamp(), step_s)
    of = f"{agent}{f' / {tool}' if tool else ''}"
    columns = (Column("from"), Column(_heading(found[0]), _unit(signal)), Column(_counted(found[0]), Unit.COUNT))
    return Table(
        f"{signal.value} of {of} per {step_s / 3600:g} h, from stored trajectories", columns, lines, start, end
    )


def _lines(one: Series, start_s: float, end_s: float, step_s: float) -> tuple[Line, ...]:
    lines = []
    at = float(math.floor(start_s / TICK_S) * TICK_S)
    query = one.query.replace("$range", f"{step_s:.0f}s")
    while at < end_s:
        first, stop = (max(int((edge - one.start_s) // TICK_S), 0) for edge in (at, min(at + step_s, end_s)))
        seen = [index for index in range(first, min(stop, len(one.count))) if math.isfinite(one.count[index])]
        units = sum(one.count[index] for index in seen)
        total = sum(one.total[index] for index in seen)
        if one.signal is Signal.VOLUME:
            value: float | None = units if seen else None
        else:
            value = total / units if units else None
        when = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%MZ}"
        lines.append(Line((when, value, units), f"{query} @ {min(at + step_s, end_s):.0f}"))
        at += step_s
    return tuple(lines)


def _heading(one: Series) -> str:
    if one.signal is Signal.VOLUME:
        return "runs begun"
    per = "call" if one.signal in {Signal.TOOL_LATENCY, Signal.TOOL_COST} else "run"
    return f"{one.signal.value} per {per}" if one.signal in AMOUNTS else f"share of runs with {one.signal.value}"


def _counted(one: Series) -> str:
    return "calls" if one.signal in {Signal.TOOL_LATENCY, Signal.TOOL_COST} else "runs"


def _unit(signal: Signal) -> Unit:
    if signal in MONEY:
        return Unit.USD
    if signal in _DURATIONS:
        return Unit.SECONDS
    if signal is Signal.TOKENS:
        return Unit.TOKENS
    return Unit.COUNT if signal in {Signal.STEPS, Signal.VOLUME} else Unit.SHARE


def _what_there_is(every: Sequence[Series], signal: Signal) -> str:
    """Return whom the signal is known of, for somebody who asked of another."""
    known = sorted({str(one.subject) for one in every if one.signal is signal})
    if not known:
        there = ", ".join(sorted({one.signal.value for one in every})) or "nothing at all"
        return f"nothing is known of {signal.value} in the window; there is {there}"
    return f"{signal.value} is known of these (agent, or agent / tool): {', '.join(known[:20])}"


SERIES = Tool(
    ToolSpec(
        "series",
        "How a signal of an agent or of one of its tools went over a range, a row a stretch of time." + CITABLE,
        closed_schema(
            signal=choice("what to show", SIGNALS),
            agent=AGENT,
            tool={"type": "string", "description": "for tool-... signals, else empty"},
            start=START,
            end=END,
            hours={"type": "number", "description": f"length of a stretch; at most {POINTS_MAX} are shown"},
        ),
    ),
    series,
)
