"""The log as a table, one line an entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analyzer.render.blocks import Block, Table, plain
from analyzer.render.numbers import money
from analyzer.render.text import cut, one_line
from analyzer.types.audit import canonical

RUN_COLUMNS = 8
"""Of an id of 32 digits: enough for `--run`, which takes a beginning."""
ABOUT_COLUMNS = 16
NAME_COLUMNS = 18
ARGUMENTS_COLUMNS = 26


def log_table(entries: Sequence[Mapping[str, Any]]) -> tuple[Block, ...]:
    """Return entries as a table; what the columns are too narrow for stands in `--json`."""
    header = ("entry", "time", "run", "about", "action", "name", "arguments", "cost")
    rows = tuple(
        tuple(
            plain(text)
            for text in (
                str(entry.get("number", "-")),
                str(entry.get("at") or "-")[:19].replace("T", " "),
                one_line(str(entry.get("run") or "-"))[:RUN_COLUMNS],
                cut(one_line(str(entry.get("about") or "-")), ABOUT_COLUMNS),
                f"{entry.get('action')}{', failed' if entry.get('failed') else ''}",
                cut(one_line(str(entry.get("name"))), NAME_COLUMNS),
                cut(one_line(_arguments(entry.get("arguments"))), ARGUMENTS_COLUMNS),
                "-" if entry.get("cost_usd") is None else money(entry["cost_usd"]),
            )
        )
        for entry in entries
    )
    return (Table(header, rows, right=frozenset({0, 7}), whole=frozenset({0, 1, 2})),)


def _arguments(value: Any) -> str:
    return value if isinstance(value, str) else canonical(value) if value else "-"
