"""The log on a terminal: one line an entry, whatever stands in it."""

from __future__ import annotations

import pytest

from analyzer.render.audit import log_table
from analyzer.render.terminal import terminal

ENTRY = {
    "number": 7,
    "at": "2026-11-20T12:00:00.000000Z",
    "run": "f5b0415f" * 4,
    "about": "inc-0d0b654919",
    "action": "tool.call",
    "name": "outline",
    "arguments": {"trace_id": "964f82d11c", "page": 1},
    "failed": True,
    "cost_usd": None,
}


def test_an_entry_is_one_line() -> None:
    """Number, time, run, incident, what was done, and what with; the cost where there is one."""
    paid = {**ENTRY, "number": 8, "action": "model.reply", "name": "m1", "failed": False, "cost_usd": 0.25}
    shown = terminal(log_table([ENTRY, {**paid, "arguments": {}}]), 120).splitlines()
    assert [" ".join(line.split()) for line in shown if not line.startswith("-")] == [
        "entry time run about action name arguments cost",
        '7 2026-11-20 12:00:00 f5b0415f inc-0d0b654919 tool.call, failed outline {"page":1,"trace_id":"964… -',
        "8 2026-11-20 12:00:00 f5b0415f inc-0d0b654919 model.reply m1 - $0.25",
    ]


def test_text_from_outside_stays_in_its_line() -> None:
    """Line ends and escape sequences in names and arguments neither break the line nor reach the terminal."""
    hostile = {**ENTRY, "name": "out\x1b[31mline\n\nentry 8", "arguments": "a\nb\x07"}
    lines = terminal(log_table([hostile]), 120).splitlines()
    assert len(lines) == 3
    assert not any(character in lines[2] for character in "\x1b\x07")


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_the_time_is_whole_however_narrow_it_is(columns: int) -> None:
    """Arguments and names give way: half a time, or half an id for `--run`, is of no use."""
    entry = {**ENTRY, "name": "a_tool_with_a_long_name", "arguments": "words " * 9, "cost_usd": 12.5}
    lines = terminal(log_table([entry]), columns).splitlines()
    assert all("2026-11-20 12:00:00  f5b0415f  " in line for line in lines[2:])
    assert max(map(len, lines)) <= columns
