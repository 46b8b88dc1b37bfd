"""Queries that hold their own time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from analyzer.types.promql import one_of, pinned

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
TIME = "@ 1795176000"


@pytest.mark.parametrize(
    ("query", "held"),
    [
        ('sum(increase(x{a="b"}[5m]))', f'sum(increase(x{{a="b"}}[5m] {TIME}))'),
        ("rate(x[5m]) / rate(y[1h])", f"rate(x[5m] {TIME}) / rate(y[1h] {TIME})"),
        ('up{job="a"} > 1', f'up{{job="a"}} {TIME} > 1'),
        ("increase(x[5m] offset 1d)", f"increase(x[5m] {TIME} offset 1d)"),
        ('x{a="[5m] {}", b=~"[0-9]{3}"}', f'x{{a="[5m] {{}}", b=~"[0-9]{{3}}"}} {TIME}'),
        (
            'sum((rate(x[5m])) and on (agent) label_replace(vector(1), "agent", "a", "", ""))',
            f'sum((rate(x[5m] {TIME})) and on (agent) label_replace(vector(1), "agent", "a", "", ""))',
        ),
    ],
)
def test_every_selector_is_held(query: str, held: str):
    """The moment stands behind each selector, and brackets inside strings are left alone."""
    assert pinned(query, AT) == held


@pytest.mark.parametrize(
    "query", ["max_over_time(rate(x[5m])[1h:1m])", "x[5m] @ 5", "vector(1)", "up", "", 'x{a="\\"}']
)
def test_what_cannot_be_held_safely_is_left_alone(query: str):
    """Subqueries, queries that hold a time already, and queries without a visible selector are not touched."""
    assert pinned(query, AT) is None


def test_fractions_of_a_second_are_kept():
    """A moment between two seconds stays that moment."""
    assert pinned("x[5m]", AT.replace(microsecond=250_000)) == "x[5m] @ 1795176000.25"


def test_a_matcher_finds_each_of_its_values_and_nothing_else():
    """One value is an equality; several are a pattern in which no character of a name has a meaning."""
    assert one_of("agent", ["a.b"]) == 'agent="a.b"'
    assert one_of("agent", ["a.b", 'c|"d"', "e\\f"]) == r'agent=~"a\\.b|c\\|\"d\"|e\\\\f"'
