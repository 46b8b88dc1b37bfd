"""Numbers in prose: what each may stand for, and what it may not."""

from __future__ import annotations

import pytest

from analyzer.agent.numbers import SECONDS, Known, Quantity, quantities_in, quantities_of, unproven, written
from analyzer.agent.subjects import unrelated

NOTE = "67 are that far in the last day. In 12 of 40 trajectories, and 442 steps came after it. 31 % is usual."


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("67 customers saw it.", ["67"]),
        ("67 are that far.", []),
        ("67 runs are that far.", []),
        ("It hit 12 of 40 runs.", []),
        ("It hit 12 users.", ["12"]),
        ("It took 12 steps.", ["12"]),
        ("442 steps came after it.", []),
        ("442 errors came after it.", ["442"]),
        ("Hundreds of customers saw it.", ["Hundreds"]),
        ("Hundreds of steps came after it.", []),
    ],
)
def test_a_number_of_a_note_is_of_what_the_note_counts(text: str, wrong: list[str]) -> None:
    """A detector counts steps and trajectories and never people, so its numbers prove nothing about people."""
    assert unproven(text, Known(frozenset(quantities_of(NOTE)))) == wrong


def test_what_a_span_measures_counts_no_customers() -> None:
    """Milliseconds of a span are no count of anybody, whatever the number is."""
    assert unproven("67 customers saw it.", Known(frozenset({Quantity(67.0, SECONDS)}))) == ["67"]


def test_a_quote_may_count_anything() -> None:
    """What stands in a quote was said by somebody, who may have counted customers."""
    known = Known(frozenset(quantities_in("affected accounts: 67")))
    assert unproven("67 customers saw it.", known) == []


@pytest.mark.parametrize("text", ["It answered before.", "The version is what differs.", "It was repeating."])
def test_words_that_fit_any_incident_do_so_in_every_form(text: str) -> None:
    """A sentence of such words alone claims nothing that its evidence would have to speak of."""
    assert unrelated(text, ["order 81723 not found"]) is None


@pytest.mark.parametrize("text", ["It costs 1e999 USD.", "about 7e400 tokens", "the id 12e98765 is new"])
def test_a_number_beyond_every_number_is_read_and_never_near(text: str):
    """Digits with an exponent that no float holds raise nothing, and no fact bears them out."""
    [found] = written(text)
    assert found.value == float("inf")
    assert found.slack == 0.0
