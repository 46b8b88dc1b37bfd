"""Numbers in notes are read by people at night: no exponents, no counts of nothing."""

from __future__ import annotations

import pytest

from analyzer.detectors.wording import rounded, still_running


@pytest.mark.parametrize(
    ("value", "digits", "said"),
    [
        (278_712.0, 4, "278,700"),
        (9999.6, 4, "10,000"),
        (1_234_567.0, 6, "1,234,570"),
        (0.05, 4, "0.05"),
        (0.00001234, 3, "0.0000123"),
        (40.0, 3, "40"),
        (900.0, 4, "900"),
        (0.0, 4, "0"),
        (float("inf"), 4, "inf"),
    ],
)
def test_a_number_is_written_without_an_exponent(value: float, digits: int, said: str) -> None:
    """Digits beyond those that matter are zeros, whatever the size; what is whole has no decimals."""
    assert rounded(value, digits) == said


@pytest.mark.parametrize(
    ("still", "of", "said"),
    [
        (0, 3, ""),
        (1, 1, " It still runs."),
        (1, 3, " 1 of them still runs."),
        (2_000, 3_000, " 2,000 of them still run."),
    ],
)
def test_what_still_runs_is_said_only_where_something_does(still: int, of: int, said: str) -> None:
    """A note does not say that none of them still run."""
    assert still_running(still, of) == said
