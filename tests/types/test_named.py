"""Settings that are about agents nobody ever saw."""

from __future__ import annotations

import pytest

from analyzer.types.named import Named, never_seen

KNOWN = ("support", "billing-eu", "billing-us")


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("support", []),
        ("billing-*", []),
        ("billing-e?", []),
        ("suport", ["[t]: no agent of this name was ever seen; did you mean support?"]),
        ("Support", ["[t]: no agent of this name was ever seen; did you mean support?"]),
        ("quite-another", ["[t]: no agent of this name was ever seen"]),
        ("biling-*", ["[t]: no agent whose name matches was ever seen"]),
    ],
)
def test_a_name_that_nobody_has_is_said_with_the_nearest(pattern: str, said: list[str]) -> None:
    """Names count to the letter, patterns as in a shell; each place is a sentence."""
    assert never_seen([Named("[t]", pattern)], KNOWN) == said


def test_before_any_agent_was_seen_nothing_is_said() -> None:
    """Settings may be written first."""
    assert never_seen([Named("[t]", "support")], ()) == []
