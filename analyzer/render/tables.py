"""Computed tables as blocks: numbers rounded as people read them, and no more columns than a line holds."""

from __future__ import annotations

from analyzer.render.blocks import Block, Line, Paragraph, Table, code, line, plain, prose, strong
from analyzer.render.numbers import duration, money, number, period, ratio, tokens
from analyzer.render.text import one_line
from analyzer.types.percents import percent
from analyzer.types.table import Cell, Column, Unit
from analyzer.types.table import Table as Computed

COLUMNS_MAX = 8
"""The JSON document has all of them."""
NAME_CHARS, ID_CHARS = 60, 12


def computed(table: Computed) -> list[Block]:
    """Return a table with its title, its range and its note."""
    title = line(strong(one_line(table.title)), f", {period(table.start, table.end)}")
    if not table.lines:
        return [Paragraph(line(*title, ": nothing."))]
    shown = table.columns[:COLUMNS_MAX]
    rows = tuple(
        tuple(_cell(column, cell) for column, cell in zip(shown, one.cells, strict=False)) for one in table.lines
    )
    right = frozenset(index for index, column in enumerate(shown) if column.unit is not Unit.NAME)
    blocks: list[Block] = [Paragraph(title), Table(tuple(column.name for column in shown), rows, right)]
    if table.note:
        blocks.append(Paragraph(prose(one_line(table.note))))
    return blocks


def _cell(column: Column, cell: Cell) -> Line:
    if isinstance(cell, str):
        # A beginning of an id is enough for every command, and a whole one leaves no room for the rest.
        return (code(cell[:ID_CHARS]),) if column.name == "trajectory" else plain(one_line(cell, NAME_CHARS))
    if cell is None:
        return plain("-")
    written = {
        Unit.USD: money,
        Unit.SECONDS: duration,
        Unit.SHARE: percent,
        Unit.RATIO: ratio,
    }.get(column.unit, number)
    return plain(tokens(round(cell)) if column.unit is Unit.TOKENS else written(cell))
