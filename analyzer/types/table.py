"""A computed table: what a question about figures is answered with, so that nobody has to add anything up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

Cell = str | float | None
"""A name or a number; None where it is not known, which is not 0."""


class Unit(StrEnum):
    """What the numbers of a column are."""

    NAME = ""
    """No number: a name, an id or a time."""
    COUNT = "count"
    TOKENS = "tokens"
    USD = "USD"
    SECONDS = "s"
    SHARE = "share"
    """Of 1."""
    RATIO = "ratio"
    VALUE = "value"
    """A number whose unit the heading says."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column and its unit."""

    name: str
    unit: Unit = Unit.NAME


@dataclass(frozen=True, slots=True)
class Line:
    """One row."""

    cells: tuple[Cell, ...]
    """As many as there are columns."""
    query: str = ""
    """What the leading number of the row is, in the names of the contract; "" for a row that is no evidence."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of names and numbers that were computed over a range of time."""

    title: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    start: datetime
    end: datetime
    leading: int = 1
    """The column that the table is about: what it is sorted by, and what evidence for a row is the value of."""
    note: str = ""
    """A sentence on what the numbers leave out; "" where there is nothing to say."""
