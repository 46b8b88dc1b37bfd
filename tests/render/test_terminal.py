from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.hostile import ATTACKS, hostile_report
from support.incidents import NOW, cost_incident, loop_incident

from analyzer.render.blocks import Bullets, Code, Heading, Paragraph, Quote, Table, plain
from analyzer.render.incidents import incident_table
from analyzer.render.report import report_outline
from analyzer.render.terminal import table_lines, terminal
from analyzer.render.text import width


def assert_tame(text: str, columns: int) -> None:
    """Check that nothing moves the cursor and no line but a query is wider than the terminal."""
    assert not [char for char in text if char != "\n" and unicodedata.category(char) in {"Cc", "Cs"}]
    assert all(width(row) <= columns for row in text.split("\n") if not row.startswith("    "))


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("columns", [40, 100])
def test_attack_does_not_reach_the_terminal(attack: str, columns: int) -> None:
    """Escape sequences in span text are shown, and lines keep to the width."""
    assert_tame(terminal(report_outline(hostile_report(attack)), columns), columns)


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=300), st.integers(20, 200))
def test_any_text_fits_any_width(text: str, columns: int) -> None:
    """Whatever the text and the width, no line is too wide and nothing raises."""
    assert_tame(terminal(report_outline(hostile_report(text)), columns), columns)


def test_blocks_as_text() -> None:
    """Each block has its plain form."""
    blocks = (
        Heading(1, plain("Title")),
        Heading(3, plain("Part")),
        Paragraph(plain("one two three four five six seven")),
        Bullets((plain("alpha beta gamma delta epsilon"), plain("b"))),
        Bullets((plain("first"),), numbered=True),
        Quote("said\x1b[1m\n\nso", plain("E1:")),
        Code("a query that is much longer than the line"),
    )
    assert terminal(blocks, 24) == (
        "Title\n=====\n\nPart\n\none two three four five\nsix seven\n\n"
        "- alpha beta gamma delta\n  epsilon\n- b\n\n1. first\n\n"
        "E1:\n  | said␛[1m\n  |\n  | so\n\n"
        "    a query that is much longer than the line\n"
    )


def test_list_of_incidents() -> None:
    """The list names id, severity, state, kind, subject, size and onset of each incident, worst first."""
    header, _rule, cost, loop = table_lines(incident_table([cost_incident(), loop_incident()], NOW), 120)
    assert header.split() == ["id", "severity", "state", "kind", "subject", "observed", "ratio", "since", "excess"]
    assert cost == (
        "inc-0123456789  high      open     cost  support-triage                 $0.31   2.3x  08:10 UTC         $45.50"
    )
    assert loop == (
        "inc-00000000ab  medium    ongoing  loop  billing-bot / lookup_order       25x      -  22 Nov 15:00 UTC   $3.20"
    )


def test_table_gives_way_at_its_widest_column() -> None:
    """A table that is too wide shortens its widest column; ids and numbers stay whole as long as that is possible."""
    table = Table(("id", "text"), ((plain("inc-0123456789"), plain("long " * 20)),))
    assert table_lines(table, 30)[2] == "inc-0123456789  long long lon…"
    assert all(len(row) <= 10 for row in table_lines(table, 10))
    assert table_lines(Table(("a",), ()), 10) == ["a", "-"]
