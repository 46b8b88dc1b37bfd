"""A computed table as the model reads it: one line a row, each with an id, and each a fact that a claim may cite."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from analyzer.agent.facts import Fact, moment, number, short
from analyzer.agent.numbers import ANY, COUNT, RATIO, SECONDS, SHARE, TOKENS, USD, Quantity
from analyzer.types.report import STORE, MetricEvidence
from analyzer.types.table import Cell, Column, Line, Table, Unit

CELL_CHARS = 300
"""A cell is cut to this: names come from outside."""
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}Z)?")
_UNITS = {
    Unit.COUNT: COUNT,
    Unit.TOKENS: TOKENS,
    Unit.USD: USD,
    Unit.SECONDS: SECONDS,
    Unit.RATIO: RATIO,
    Unit.VALUE: ANY,
}
_WRITTEN = {Unit.USD: " USD", Unit.SECONDS: " s", Unit.TOKENS: " tokens", Unit.RATIO: "x"}


@dataclass(frozen=True, slots=True)
class Tabled:
    """A table after it was shown."""

    text: str
    facts: tuple[Fact, ...]
    table: Table
    """With the rows that were shown, and no others."""


def tabled(table: Table, index: int, clean: Callable[[str], str], chars_max: int) -> Tabled:
    """Return the table as text and facts; `index` is its number, rows are T<index>.1 and so on.

    What does not fit is left out and said: a row that was not shown is no fact.
    """
    head = [f"T{index}: {table.title}, {moment(table.start)} to {moment(table.end)}"]
    if table.note:
        head.append(table.note)
    text = clean("\n".join(head))
    facts: list[Fact] = []
    for line in table.lines:
        fact = _fact(table, line, f"T{index}.{len(facts) + 1}", clean)
        row = f"\n{fact.id}: {fact.text}"
        if len(text) + len(row) > chars_max - 80:
            text += f"\n… {len(table.lines) - len(facts)} more rows; ask for a narrower table"
            break
        text += row
        facts.append(fact)
    if not table.lines:
        text += "\nno rows: there is nothing of this in the range"
    return Tabled(text, tuple(facts), replace(table, lines=table.lines[: len(facts)]))


def _fact(table: Table, line: Line, name: str, clean: Callable[[str], str]) -> Fact:
    cells = list(zip(table.columns, line.cells, strict=True))
    quantities = {known for column, cell in cells for known in _quantities(column, cell)}
    text = clean("; ".join(_written(column, cell) for column, cell in cells))
    basis = None
    value = line.cells[table.leading]
    if line.query and isinstance(value, int | float):
        seconds = max((table.end - table.start).total_seconds(), 1.0)
        basis = MetricEvidence("", clean(line.query), table.start, table.end, seconds, float(value), STORE)
    times = {when for cell in line.cells if isinstance(cell, str) and (when := _time(cell)) is not None}
    return Fact(name, text, frozenset(quantities), (), frozenset({table.start, table.end, *times}), basis)


def _time(cell: str) -> datetime | None:
    """Return the time that a cell is: a day, or one to the minute."""
    if _TIME.fullmatch(cell) is None:
        return None
    try:
        return datetime.fromisoformat(cell).replace(tzinfo=UTC)
    except ValueError:
        return None


def _quantities(column: Column, cell: Cell) -> set[Quantity]:
    if cell is None or isinstance(cell, str):
        return set()
    if column.unit is Unit.SHARE:
        return {Quantity(cell * 100, SHARE), Quantity(cell)}
    return {Quantity(float(cell), _UNITS.get(column.unit, ANY))}


def _written(column: Column, cell: Cell) -> str:
    if cell is None:
        return f"{column.name} unknown"
    if isinstance(cell, str):
        return f"{column.name} {short(cell, CELL_CHARS)}"
    if column.unit is Unit.SHARE:
        return f"{column.name} {number(cell * 100)} %"
    return f"{column.name} {number(cell)}{_WRITTEN.get(column.unit, '')}"
