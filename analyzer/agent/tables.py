"""Tables over the stored trajectories of some agents or of the fleet: for tools of the model, and for the rules."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import get_args

from analyzer.agent.facts import NAME_CHARS, short
from analyzer.stores.base import Grouping, Order, Totals, TotalsOrder, TrajectoryStore
from analyzer.stores.totals import TOTALS_MAX
from analyzer.types.promql import one_of, quoted
from analyzer.types.table import Cell, Column, Line, Table, Unit
from analyzer.types.trajectory import TrajectorySummary

GROUPINGS: tuple[Grouping, ...] = get_args(Grouping)
ORDERS: tuple[TotalsOrder, ...] = get_args(TotalsOrder)
RUN_ORDERS: tuple[Order, ...] = ("recent", "cost", "tokens", "errors", "steps", "duration", "repeats", "retries")
OF_CALLS = frozenset({"model", "tool"})
"""Groupings that are counted by the call."""
DATED = frozenset({"day", "hour"})
"""Groupings whose rows are of one range alone."""
UNPRICED = "unpriced calls"
NOT_TOLD = "(not told)"
"""Stands for what the spans do not say."""


@dataclass(frozen=True, slots=True)
class _Measure:
    """What a table can be sorted by: its column, and its name in the contract (of trajectories, of calls)."""

    column: Column
    metric: str
    of_calls: str


_MEASURES: Mapping[TotalsOrder, _Measure] = {
    "trajectories": _Measure(Column("runs", Unit.COUNT), "agent_trajectories_total", "agent_trajectories_total"),
    "calls": _Measure(Column("calls", Unit.COUNT), "agent_steps_sum", "agent_tool_seconds_count"),
    "failed": _Measure(Column("failed", Unit.COUNT), "agent_trajectories_total", "agent_tool_seconds_count"),
    "tokens": _Measure(Column("tokens", Unit.TOKENS), "agent_tokens_total", "agent_tokens_total"),
    "cost": _Measure(Column("cost", Unit.USD), "agent_cost_usd_total", "agent_tool_cost_usd_total"),
    "seconds": _Measure(Column("time", Unit.SECONDS), "agent_trajectory_seconds_sum", "agent_tool_seconds_sum"),
    "p95": _Measure(Column("p95 time", Unit.SECONDS), "agent_trajectory_seconds", "agent_tool_seconds"),
}


def totals_table(
    store: TrajectoryStore,
    by: Grouping,
    order: TotalsOrder,
    start: datetime,
    end: datetime,
    *,
    agents: Collection[str] = (),
    where: Mapping[str, str] | None = None,
    rows_max: int = 40,
    page: int = 1,
) -> Table:
    """Return sums by a grouping, the largest of a measure first, with each row's share of it.

    Rows of some values of their grouping alone would add up to 100 % of themselves: their shares are of all values.
    """
    narrowed = dict(where or {})
    found = store.totals(by, start, end, agents=agents, where=narrowed, order=order)
    some = by not in OF_CALLS and (by in narrowed or (by == "agent" and bool(agents)))
    whole = found
    if by not in OF_CALLS and (some or len(found) >= TOTALS_MAX):
        others = {name: value for name, value in narrowed.items() if name != by}
        whole = store.totals("outcome", start, end, agents=() if by == "agent" else agents, where=others)
    of = None if order == "p95" else sum(_amount(one, order) or 0.0 for one in whole)
    calls = by in OF_CALLS
    of_all = "" if not some else "the fleet's " if by == "agent" else "all "
    labels = {"agent": sorted(agents)} | {name: [value] for name, value in narrowed.items()}
    lines = [
        Line(_cells(one, order, of, calls=calls), _query(by, order, {**labels, by: [one.value or ""]}, start, end))
        for one in found[(page - 1) * rows_max : page * rows_max]
    ]
    notes = []
    if any(one.unpriced for one in found):
        notes.append(f"Cost is of what has a price: {sum(one.unpriced for one in found):,} calls have none.")
    if len(found) > rows_max:
        notes.append(f"Rows {(page - 1) * rows_max + 1} to {(page - 1) * rows_max + len(lines)} of {len(found)}.")
    if not found:
        # What was asked for may be the model's invention: only what is there is repeated.
        return Table(f"{_heading(order)} by {by}", _columns(by, order, calls=calls, of=of_all), (), start, end)
    who = f" of {', '.join(sorted(agents))}" if agents else ""
    only = "".join(f", {name} {value}" for name, value in narrowed.items())
    title = f"{_heading(order)} by {by}{who}{only}"
    columns = _columns(by, order, calls=calls, of=of_all)
    return _told(Table(title, columns, tuple(lines), start, end, leading=1, note=" ".join(notes)))


def compared_table(
    store: TrajectoryStore,
    by: Grouping,
    order: TotalsOrder,
    now: tuple[datetime, datetime],
    before: tuple[datetime, datetime],
    *,
    agents: Collection[str] = (),
    rows_max: int = 40,
) -> Table:
    """Return sums of a range beside those of an earlier one and their ratio, the largest of the later first.

    What a range has nothing of took part 0 times in it; what it took then is not known, which is not 0.
    """
    later, earlier = (
        {one.value: one for one in store.totals(by, *span, agents=agents, order=order)} for span in (now, before)
    )
    values = list(dict.fromkeys((*later, *earlier)))
    # Beyond the bound it is not known whether there was any.
    none = (0.0 if len(earlier) < TOTALS_MAX else None, 0.0 if len(later) < TOTALS_MAX else None)
    calls = by in OF_CALLS
    labels = {"agent": sorted(agents)}
    lines = []
    for value in values[:rows_max]:
        query = _query(by, order, {**labels, by: [value or ""]}, *now)
        cells = _compared_cells(value, later.get(value), earlier.get(value), order, none, calls=calls)
        lines.append(Line(cells, query))
    units = "calls" if calls else "runs"
    lead = _MEASURES[order].column
    columns = [Column(by), lead, Column("before", lead.unit), Column("ratio", Unit.RATIO)]
    if order not in {"calls", "trajectories"}:
        columns += [Column(units, Unit.COUNT), Column(f"{units} before", Unit.COUNT)]
    if order in _PER_UNIT:
        unit = Unit.SHARE if order == "failed" else lead.unit
        per = "failed share" if order == "failed" else f"{lead.name} per {units[:-1]}"
        columns += [Column(per, unit), Column("before", unit)]
    notes = (
        ["Cost is of what has a price."] if any(one.unpriced for one in (*later.values(), *earlier.values())) else []
    )
    if len(values) > rows_max:
        notes.append(f"Rows 1 to {rows_max} of {len(values)}.")
    who = f" of {', '.join(sorted(agents))}" if agents and values else ""
    title = f"{_heading(order)} by {by}{who} against {_minute(before[0])} to {_minute(before[1])}"
    return Table(title, tuple(columns), tuple(lines), *now, note=" ".join(notes))


_PER_UNIT: frozenset[TotalsOrder] = frozenset({"cost", "tokens", "seconds", "failed"})
"""Sums that grow with how often something ran."""


def _compared_cells(
    value: str | None,
    one: Totals | None,
    other: Totals | None,
    order: TotalsOrder,
    none: tuple[Cell, Cell],
    *,
    calls: bool,
) -> tuple[Cell, ...]:
    counted = order in {"calls", "trajectories"}
    was_none, is_none = none
    lead = _amount(one, order) if one is not None else is_none if counted else None
    before = _amount(other, order) if other is not None else was_none if counted else None
    cells: list[Cell] = [value if value is not None else NOT_TOLD, lead, before]
    cells.append(lead / before if isinstance(lead, float) and isinstance(before, float) and before > 0 else None)
    units = [None if side is None else float(side.calls if calls else side.trajectories) for side in (one, other)]
    if not counted:
        cells += [units[0] if one is not None else is_none, units[1] if other is not None else was_none]
    if order in _PER_UNIT:
        sides = zip((lead, before), units, (one, other), strict=True)
        cells += [_per(amount, unit, side, order) for amount, unit, side in sides]
    return tuple(cells)


def _per(amount: Cell, units: float | None, side: Totals | None, order: TotalsOrder) -> float | None:
    """Return an amount by the unit; of a cost only where all of it is known."""
    if not isinstance(amount, float) or not units or side is None or (order == "cost" and side.unpriced):
        return None
    return amount / units


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%MZ}"


def priced_or_timed(
    store: TrajectoryStore,
    by: Grouping,
    order: TotalsOrder,
    start: datetime,
    end: datetime,
    *,
    agents: Collection[str] = (),
    rows_max: int = 40,
) -> list[Table]:
    """Return the table; where nothing in it has a price, what it took stands beside it for what it cost."""
    table = totals_table(store, by, order, start, end, agents=agents, rows_max=rows_max)
    if order != "cost" or not table.lines or any(line.cells[table.leading] is not None for line in table.lines):
        return [table]
    note = f"{table.note} None of these has a price (docs/prices.md), so here is what they took."
    took = totals_table(store, by, "seconds", start, end, agents=agents, rows_max=rows_max)
    return [replace(table, note=note.strip()), replace(took, note="")]


def _told(table: Table) -> Table:
    """Leave out the columns behind the leading one in which nothing is known, or nothing is unpriced."""
    empty: tuple[Cell, ...] = (None, 0.0)
    kept = [
        place
        for place, column in enumerate(table.columns)
        if place <= table.leading
        or any(line.cells[place] not in (empty if column.name == UNPRICED else empty[:1]) for line in table.lines)
    ]
    lines = (replace(line, cells=tuple(line.cells[place] for place in kept)) for line in table.lines)
    return replace(table, columns=tuple(table.columns[place] for place in kept), lines=tuple(lines))


def _heading(order: TotalsOrder) -> str:
    return {"trajectories": "Runs", "calls": "Calls", "failed": "Failures", "p95": "95th percentile of time"}.get(
        order, _MEASURES[order].column.name.capitalize()
    )


def _columns(by: Grouping, order: TotalsOrder, *, calls: bool, of: str = "") -> tuple[Column, ...]:
    lead = _MEASURES[order].column
    rest = [_MEASURES[name].column for name in ORDERS if name != order and (calls or name != "calls")]
    per = "call" if calls else "run"
    more = [
        Column(f"cost per {per}", Unit.USD),
        Column(f"tokens per {per}", Unit.TOKENS),
        Column(f"time per {per}", Unit.SECONDS),
        Column("failed share", Unit.SHARE),
        Column(UNPRICED, Unit.COUNT),
    ]
    return (Column(by), lead, Column(f"share of {of}{lead.name}", Unit.SHARE), *rest, *more)


def _cells(one: Totals, order: TotalsOrder, of: float | None, *, calls: bool) -> tuple[Cell, ...]:
    lead = _amount(one, order)
    share = lead / of if of and lead is not None else None
    rest = [_amount(one, name) for name in ORDERS if name != order and (calls or name != "calls")]
    units = one.calls if calls else one.trajectories
    priced = units - one.unpriced if calls else units
    cost, tokens = _amount(one, "cost"), _amount(one, "tokens")
    more: list[Cell] = [
        cost / priced if cost is not None and priced > 0 and (calls or not one.unpriced) else None,
        tokens / units if tokens is not None and units else None,
        one.seconds / units if one.seconds is not None and units else None,
        one.failed / units if units else None,
        float(one.unpriced),
    ]
    return (one.value if one.value is not None else NOT_TOLD, lead, share, *rest, *more)


def _amount(one: Totals, order: TotalsOrder) -> float | None:
    if order == "tokens":
        used = (one.input_tokens, one.output_tokens)
        return None if used == (None, None) else float(sum(count or 0 for count in used))
    found = {
        "trajectories": one.trajectories,
        "calls": one.calls,
        "failed": one.failed,
        "cost": one.cost_usd,
        "seconds": one.seconds,
        "p95": one.p95_s,
    }[order]
    return None if found is None else float(found)


def _query(
    by: Grouping, order: TotalsOrder, labels: Mapping[str, Sequence[str]], start: datetime, end: datetime
) -> str:
    measure = _MEASURES[order]
    metric = measure.of_calls if by == "tool" else measure.metric
    inner = ", ".join(
        one_of(name, [short(value, NAME_CHARS) for value in values]) for name, values in labels.items() if values
    )
    if order == "failed":
        inner += ', status="error"' if by in OF_CALLS else ', outcome=~"failure|error"'
    span = f"{max((end - start).total_seconds(), 1):.0f}s"
    if order == "p95":
        return f"quantile_over_time(0.95, {metric}{{{inner}}}[{span}])"
    return f"sum(increase({metric}{{{inner}}}[{span}]))"


RUN_COLUMNS = (
    Column("trajectory"),
    Column("cost", Unit.USD),
    Column("tokens", Unit.TOKENS),
    Column("steps", Unit.COUNT),
    Column("errors", Unit.COUNT),
    Column("time", Unit.SECONDS),
    Column("agent"),
    Column("outcome"),
    Column("version"),
    Column("model"),
    Column("began"),
)
_LEADING: Mapping[str, int] = {"tokens": 2, "steps": 3, "errors": 4, "duration": 5}


def runs_table(
    title: str, summaries: Sequence[TrajectorySummary], start: datetime, end: datetime, order: str, note: str = ""
) -> Table:
    """Return trajectories, one a row, with what they took."""
    leading = _LEADING.get(order, 1)
    metrics = {
        1: "agent_cost_usd_total",
        2: "agent_tokens_total",
        3: "agent_steps_sum",
        5: "agent_trajectory_seconds_sum",
    }
    lines = [
        Line(_run_cells(one), f"{metrics.get(leading, 'agent_errors_total')}{{trace_id={quoted(one.trace_id)}}}")
        for one in summaries
    ]
    return Table(title, RUN_COLUMNS, tuple(lines), start, end, leading, note)


def _run_cells(one: TrajectorySummary) -> tuple[Cell, ...]:
    known = [cost for cost in (one.cost_usd, one.tool_cost_usd) if cost is not None]
    return (
        one.trace_id,
        sum(known) if known else None,
        float(one.tokens),
        float(one.steps),
        float(one.errors),
        one.duration_s,
        one.agent,
        one.outcome.value,
        one.version or NOT_TOLD,
        one.model or NOT_TOLD,
        clock(one.start_ns),
    )


def clock(at_ns: int | None) -> str:
    """Return Unix nanoseconds as a time to the minute, UTC."""
    try:
        return "unknown" if at_ns is None else f"{datetime.fromtimestamp(at_ns / 1e9, UTC):%Y-%m-%dT%H:%MZ}"
    except (OverflowError, OSError, ValueError):
        return "unknown"
