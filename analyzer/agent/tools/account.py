"""The tool that splits a change: how much of it comes from which version, model, user, task, prompt or tool."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import cast

from analyzer.accounting.periods import Periods, compared
from analyzer.accounting.split import Amount, Part, Split, by_calls, by_dimension, shares
from analyzer.agent.desk import Desk, ToolError
from analyzer.agent.model import ToolSpec
from analyzer.agent.tables import NOT_TOLD
from analyzer.agent.tools.arguments import agent_of, moment_of, word_of
from analyzer.agent.tools.base import AGENT, CITABLE, Arguments, Tool, choice, closed_schema
from analyzer.stores.base import DIMENSIONS, Measure
from analyzer.types.promql import quoted
from analyzer.types.report import AGAINST_SHARE
from analyzer.types.table import Column, Line, Table, Unit

ROWS_MAX = 20
_UNITS: Mapping[str, tuple[str, Unit]] = {
    "cost": ("agent_cost_usd_total", Unit.USD),
    "tokens": ("agent_tokens_total", Unit.TOKENS),
    "steps": ("agent_steps_sum", Unit.COUNT),
    "latency": ("agent_trajectory_seconds_sum", Unit.SECONDS),
    "errors": ("agent_trajectories_errors_total", Unit.SHARE),
    "failures": ("agent_trajectories_failures_total", Unit.SHARE),
    "retries": ("agent_trajectories_retried_total", Unit.COUNT),
    "truncated": ("agent_trajectories_truncated_total", Unit.SHARE),
}
_OF_CALLS: Mapping[str, tuple[Amount, Unit]] = {
    "cost": (lambda one: one.cost_usd, Unit.USD),
    "tokens": (lambda one: float((one.input_tokens or 0) + (one.output_tokens or 0)), Unit.TOKENS),
    "steps": (lambda one: float(one.calls), Unit.COUNT),
    "latency": (lambda one: one.seconds, Unit.SECONDS),
    "errors": (lambda one: float(one.failed), Unit.COUNT),
}
MEASURES = tuple(_UNITS)
DIMENSIONS_ASKED = (*(name for name in DIMENSIONS if name != "model"), "model", "tool")


def account(desk: Desk, arguments: Arguments) -> Table:
    """Return the parts of a change, with what they were before and since."""
    measure, by = word_of(arguments, "measure", MEASURES), word_of(arguments, "by", DIMENSIONS_ASKED)
    agent = agent_of(desk, arguments)
    since = _since(desk, arguments)
    periods = compared(since, since, desk.end, desk.start)
    with desk.reading() as store:
        if by in {"model", "tool"}:
            known = [name for name in _OF_CALLS if (by, name) != ("tool", "tokens")]
            if measure not in known:
                raise ToolError(f"of a {by} there is {', '.join(known)}")
            amount, unit = _OF_CALLS[measure]
            split = by_calls(store, agent, periods, amount, by)
        else:
            split = by_dimension(store, agent, periods, cast("Measure", measure), by)
            unit = _UNITS[measure][1]
    if split is None:
        raise ToolError("there are no runs in one of the periods; name another `since`")
    return _table(split, measure, by, agent, unit, periods)


def _since(desk: Desk, arguments: Arguments) -> datetime:
    given = arguments.get("since") or ""
    since = desk.case.incident.onset if given == "" else moment_of(given)
    if since is None:
        raise ToolError("since must be an ISO 8601 time with a zone, or empty for the onset")
    if not desk.start < since < desk.end:
        raise ToolError(
            f"since must lie inside the window, {desk.start.isoformat()} to {desk.end.isoformat()}, so that there is "
            "something before it"
        )
    return since


def _table(split: Split, measure: str, by: str, agent: str | None, unit: Unit, periods: Periods) -> Table:
    labels = f"agent={quoted(agent)}, " if agent else ""
    metric = _UNITS[measure][0]
    of = shares(split)

    def line(value: str, part: Part | Split, change: float, share: float | None) -> Line:
        cells = (value, part.since, part.before, change, share, float(part.runs_since), float(part.runs_before))
        return Line(cells, f"{metric}{{{labels}{by}={quoted(value)}}} per run")

    lines = [line("(all)", split, split.change, 1.0 if of else None)]
    lines += [
        line(NOT_TOLD if part.value is None else part.value, part, part.part, of.get(part.value))
        for part in split.parts[:ROWS_MAX]
    ]
    whole = "per run of the agent" if by in {"model", "tool"} else "per run of its own"
    columns = (
        Column(by),
        Column("since", unit),
        Column("before", unit),
        Column("part of the change", unit),
        Column("share of the change", Unit.SHARE),
        Column("runs since", Unit.COUNT),
        Column("runs before", Unit.COUNT),
    )
    before = f"the same hours of {len(periods.before)} earlier days"
    if periods.before[0][1] == periods.after[0]:
        before = "the time before it"
    left = len(split.parts) - ROWS_MAX
    note = f"Since {periods.after[0]:%Y-%m-%dT%H:%MZ} against {before}; the parts add up to the whole change."
    if not split.whole:
        note += " There are more combinations than are counted: the rarest are left out."
    if any(share >= AGAINST_SHARE for share in of.values()):
        note += " A share over 100 % stands against parts that took something back, which have shares below zero."
    if left > 0:
        note += f" {left} smaller parts are not shown."
    title = f"{measure.capitalize()} of {agent or 'the fleet'} by {by}, {whole}"
    return Table(title, columns, tuple(lines), periods.after[0], periods.after[1], leading=1, note=note)


ACCOUNT = Tool(
    ToolSpec(
        "account",
        "Splits the change of a mean: before, since, and each one's part. The parts add up to the whole." + CITABLE,
        closed_schema(
            measure=choice("what changed, per run", MEASURES),
            by=choice("a row for each of these", DIMENSIONS_ASKED),
            agent=AGENT,
            since={"type": "string", "description": "ISO 8601, UTC; empty: the onset"},
        ),
    ),
    account,
)
