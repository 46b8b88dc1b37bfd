"""Blocks as plain text for a terminal: wrapped to its width, without colour and without a single escape sequence."""

from __future__ import annotations

from collections.abc import Sequence

from analyzer.render.blocks import Block, Bullets, Code, Divider, Figure, Heading, Line, Paragraph, Quote, Table
from analyzer.render.text import cut, one_line, padded, visible, width, wrapped

WIDTH = 100
"""Columns where the terminal does not say how many it has."""
WIDTH_MIN = 20
_GAP = "  "
_COLUMN_MIN = 6
"""A column is not made narrower than this: a name cut to less says nothing."""


def terminal(blocks: Sequence[Block], columns: int = WIDTH) -> str:
    """Return the blocks as text whose lines, queries aside, are at most `columns` wide; ends with a line end.

    Queries and commands are not wrapped: they are there to be copied.
    """
    columns = max(columns, WIDTH_MIN)
    parts = [lines for block in blocks if (lines := _block(block, columns))]
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def flat(line: Line) -> str:
    """Return the text of a line, made visible and folded to one line."""
    return one_line("".join(piece.text for piece in line))


def table_lines(table: Table, columns: int = WIDTH) -> list[str]:
    """Return a table as lines of at most `columns`; the widest columns give way first, those kept whole last."""
    header = [one_line(name) for name in table.header]
    rows = [[flat(cell) for cell in row] for row in table.rows]
    widths = [max(width(row[index]) for row in (header, *rows)) for index in range(len(header))]
    room = max(columns - len(_GAP) * (len(widths) - 1), len(widths))
    for giving in ([index for index in range(len(widths)) if index not in table.whole], sorted(table.whole)):
        _narrow(widths, giving, room)

    def row_line(cells: Sequence[str]) -> str:
        filled = (
            padded(cut(cell, size), size, right=index in table.right)
            for index, (cell, size) in enumerate(zip(cells, widths, strict=True))
        )
        return cut(_GAP.join(filled).rstrip(), columns)

    return [row_line(header), row_line(["-" * size for size in widths]), *map(row_line, rows)]


def _narrow(widths: list[int], giving: Sequence[int], room: int) -> None:
    """Take from the widest of some columns until all fit, or none is left that may: short ones stay as they are."""
    while sum(widths) > room and max((widths[index] for index in giving), default=0) > _COLUMN_MIN:
        widest = max(giving, key=lambda index: widths[index])
        second = max((widths[index] for index in giving if index != widest), default=0)
        target = max(min(second, widths[widest] - 1), widths[widest] - (sum(widths) - room), _COLUMN_MIN)
        widths[widest] = min(target, widths[widest] - 1)


def _block(block: Block, columns: int) -> list[str]:
    lines: list[str] = ["-" * columns]
    match block:
        case Heading():
            lines = _heading(block, columns)
        case Paragraph():
            lines = wrapped(flat(block.line), columns)
        case Bullets():
            lines = _bullets(block, columns)
        case Table():
            lines = table_lines(block, columns)
        case Quote():
            lines = [*wrapped(flat(block.source), columns), *_quoted(block.text, columns)]
        case Code():
            lines = ["    " + part for part in visible(block.text).split("\n")]
        case Figure():
            lines = [] if block.is_told else wrapped(one_line(block.chart.alt), columns)
        case Divider():
            pass
    return lines


def _heading(block: Heading, columns: int) -> list[str]:
    lines = wrapped(flat(block.line), columns)
    if block.level > 2:  # noqa: PLR2004 - below a section's heading a line of its own is enough
        return lines
    rule = "=" if block.level == 1 else "-"
    return [*lines, rule * max(map(width, lines))]


def _bullets(block: Bullets, columns: int) -> list[str]:
    lines = []
    for index, entry in enumerate(block.entries, start=1):
        mark = f"{index}. " if block.numbered else "- "
        first, *rest = wrapped(flat(entry), columns - len(mark))
        lines.append(mark + first)
        lines += [" " * len(mark) + line for line in rest]
    return lines


def _quoted(text: str, columns: int) -> list[str]:
    return [f"  | {line}".rstrip() for row in visible(text).split("\n") for line in wrapped(row, columns - 4)]
