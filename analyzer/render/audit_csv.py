"""A chained log as CSV: columns for a spreadsheet, and beside them the entry that its hash is of.

A cell that a spreadsheet would take for a formula begins with an apostrophe (OWASP, "CSV Injection"): arguments come
from models, and whoever opens the file should run nothing. Verification holds the columns against the entry.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analyzer.types.audit import Head, canonical

COLUMNS = ("number", "at", "actor", "run", "step", "action", "name", "arguments", "returned", "failed", "tokens",
           "cost_usd", "about", "entry", "hash")  # fmt: skip
HEAD = "head"
"""The action of the last row."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
CELL_CHARS_MAX = 1 << 30


def header() -> str:
    """Return the first line."""
    return _line(COLUMNS)


def row_of(text: str, kept: str) -> str:
    """Return the line of an entry, given as canonical JSON with its hash."""
    return _line(_cells(json.loads(text), kept))


def head_row(head: Head) -> str:
    """Return the last line: how many entries there are, and the hash of the newest."""
    return _line(_head_cells(head))


def is_csv(text: str) -> bool:
    """Whether a text is a log as this module writes it: a column that it does not write could say anything."""
    return text.partition("\n")[0].rstrip("\r") == header().rstrip()


def rows_in(text: str) -> Iterator[tuple[int, dict[str, Any] | Head, str, bool]]:
    """Yield (line, entry or head, hash, whether the columns are those of it) of a log.

    Raises ValueError, KeyError, TypeError, RecursionError or csv.Error for a line that is none.
    """
    csv.field_size_limit(CELL_CHARS_MAX)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    for cells in reader:
        if reader.line_num == 1:
            continue
        row = dict(zip(COLUMNS, cells, strict=False))
        if row["action"] == HEAD and not row["entry"]:
            head = Head(int(row["number"]), row["hash"])
            yield reader.line_num, head, head.hash, cells == _head_cells(head)
            continue
        entry = json.loads(row["entry"])
        agrees = cells == [_safe(cell) for cell in _cells(entry, row["hash"])]
        yield reader.line_num, entry, row["hash"], agrees


def _head_cells(head: Head) -> list[str]:
    cells = dict.fromkeys(COLUMNS, "") | {"number": str(head.entries), "action": HEAD, "hash": head.hash}
    return [cells[name] for name in COLUMNS]


def _cells(entry: Mapping[str, Any], kept: str) -> list[str]:
    told = {**entry, "entry": canonical(entry), "hash": kept}
    return [_cell(told.get(name)) for name in COLUMNS]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return canonical(value)
    # Half a surrogate pair, which JSON may hold, is in no encoding.
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _line(cells: Sequence[str]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out).writerow([_safe(cell) for cell in cells])
    return out.getvalue()
