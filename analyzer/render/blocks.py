"""What a report is made of before it takes a form: blocks of pieces of text.

No text in a block is markup: each renderer escapes all of it, so that an outline may hold text from spans anywhere but
in an address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from analyzer.render.charts.base import Chart

_TICKED = re.compile(r"(?<!`)`([^`\n]{1,200})`(?!`)")


class Style(StrEnum):
    """How a piece of text is set."""

    PLAIN = "plain"
    STRONG = "strong"
    CODE = "code"
    """Names, ids, queries, commands: shown literally."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text in one style."""

    text: str
    style: Style = Style.PLAIN
    href: str = ""
    """Where it leads: an address that `types.address.web_address` lets pass, never text from a span. "": nowhere."""


Line = tuple[Piece, ...]
"""Pieces that stand on one line, with nothing between them."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of level 1 to 4."""

    level: int
    line: Line


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One paragraph of running text."""

    line: Line


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list; each entry is one line."""

    entries: tuple[Line, ...]
    numbered: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under a header; every row is as long as the header."""

    header: tuple[str, ...]
    rows: tuple[tuple[Line, ...], ...]
    right: frozenset[int] = frozenset()
    """Columns of numbers, set to the right; counted from 0."""
    whole: frozenset[int] = frozenset()
    """Columns that are of no use in part, such as times: on a terminal the others give way first."""


@dataclass(frozen=True, slots=True)
class Quote:
    """Text from a span, verbatim, with line ends; and where it stands."""

    text: str
    source: Line


@dataclass(frozen=True, slots=True)
class Code:
    """A query or a command that can be copied."""

    text: str
    language: str = "text"
    """`promql`, `sh` or `text`."""


@dataclass(frozen=True, slots=True)
class Divider:
    """What follows is another matter."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart. Where there are no pictures its words stand for it."""

    chart: Chart
    file: str
    """Its name as a file beside the report: letters, digits, `-`, `_` and `.` alone."""
    is_told: bool = False
    """Whether what follows says the same in text: then no caption repeats it."""


Block = Heading | Paragraph | Bullets | Table | Quote | Code | Divider | Figure


def plain(text: str) -> Line:
    """Return a line of plain text."""
    return (Piece(text),)


def strong(text: str) -> Piece:
    """Return a piece in bold."""
    return Piece(text, Style.STRONG)


def code(text: str) -> Piece:
    """Return a piece that is shown literally."""
    return Piece(text, Style.CODE)


def line(*parts: str | Piece) -> Line:
    """Return a line of pieces; bare texts are plain."""
    return tuple(Piece(part) if isinstance(part, str) else part for part in parts if part)


def prose(text: str) -> Line:
    """Return running text as a line, with what stands between single backticks as code: explanations use them so."""
    parts = _TICKED.split(text)
    return line(*(code(part) if index % 2 else part for index, part in enumerate(parts)))
