from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.incidents import NOW

from analyzer.render import numbers
from analyzer.types.percents import percent
from analyzer.types.report import Kind


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (0, "$0.00"),
        (0.135, "$0.135"),
        (0.31, "$0.31"),
        (0.5, "$0.50"),
        (0.0042, "$0.0042"),
        (0.0000031, "$0.0000031"),
        (3.2, "$3.20"),
        (99.49, "$99.49"),
        (141.2, "$141"),
        (12_345.6, "$12,346"),
        (-2, "-$2.00"),
        (1e-15, "$0.00"),
        (None, "unknown"),
        (math.nan, "unknown"),
    ],
)
def test_money(usd: float | None, text: str) -> None:
    """Amounts have cents, small ones the digits that matter, large ones no cents; no price is unknown, never 0."""
    assert numbers.money(usd) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (6.1, "6.1"),
        (12_345, "12,345"),
        (34.56, "34.6"),
        (345.6, "346"),
        (0.135, "0.135"),
        (1e-13, "0"),
        (3.1e-6, "0.0000031"),
        (9.996, "10"),
        (99.96, "100"),
        (-0.5, "-0.5"),
        (math.inf, "unknown"),
        (None, "unknown"),
    ],
)
def test_number(value: float | None, text: str) -> None:
    """Numbers have about three digits that matter and no exponent."""
    assert numbers.number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (0.34, "34 %"),
        (0.025, "2.5 %"),
        (0.0031, "0.3 %"),
        (0.00004, "0.004 %"),
        (1.2, "120 %"),
        (None, "unknown"),
    ],
)
def test_percent(share: float | None, text: str) -> None:
    """Shares are per cent with at most one decimal, more only where there would be nothing else."""
    assert percent(share) == text


@pytest.mark.parametrize(("value", "text"), [(2.296, "2.3x"), (25.4, "25x"), (0.5, "0.50x"), (None, "unknown")])
def test_ratio(value: float | None, text: str) -> None:
    """Ratios say how many times as much."""
    assert numbers.ratio(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.85, "850 ms"),
        (0.9996, "1.0 s"),
        (1.23, "1.2 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (185, "3 min 5 s"),
        (7800, "2 h 10 min"),
        (86_399.9, "1 d"),
        (273_600, "3 d 4 h"),
        (-60, "-1 min"),
        (math.nan, "unknown"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    """Lengths of time have two units at most and never sixty of one."""
    assert numbers.duration(seconds) == text


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (NOW - timedelta(hours=2), "16:00 UTC"),
        (NOW - timedelta(days=1), "22 Nov 18:00 UTC"),
        (NOW - timedelta(days=365), "23 Nov 2025 18:00 UTC"),
        (datetime(2026, 11, 23, 1, 0, tzinfo=timezone(timedelta(hours=2))), "22 Nov 23:00 UTC"),
    ],
)
def test_clock_names_the_day_where_it_is_another(time: datetime, text: str) -> None:
    """A time of today is a time of day; an older one has its day, and its year where that differs. Always UTC."""
    assert numbers.clock(time, NOW) == text


@pytest.mark.parametrize(
    ("value", "kind", "unit", "text"),
    [
        (0.31, Kind.COST, "USD", "$0.31"),
        (0.34, Kind.ERRORS, "trajectories", "34 %"),
        (25, Kind.LOOP, "repeats", "25x"),
        (185, Kind.LATENCY, "s", "3 min 5 s"),
        (850, Kind.TOOL_LATENCY, "ms", "850 ms"),
        (12, Kind.STEPS, "steps", "12 steps"),
        (28.1, Kind.BUDGET, "USD", "$28.10"),
        (50_000, Kind.BUDGET, "tokens", "50,000 tokens"),
        (0.9, Kind.TOOL_CHOICE, "share", "90 %"),
        (math.nan, Kind.COST, "USD", "unknown"),
    ],
)
def test_figure_has_its_unit(value: float, kind: Kind, unit: str, text: str) -> None:
    """What an incident measures is shown in the form of its kind."""
    assert numbers.figure(value, kind, unit) == text


def test_counts_and_tokens() -> None:
    """One of a thing is singular; large numbers of tokens are rounded."""
    assert numbers.count(1, "trajectory", "trajectories") == "1 trajectory"
    assert numbers.count(1204, "trajectory", "trajectories") == "1,204 trajectories"
    assert [numbers.tokens(n) for n in (850, 41_230, 1_200_000, 999_999, None)] == [
        "850",
        "41.2k",
        "1.2M",
        "1.0M",
        "unknown",
    ]
    assert numbers.moment(datetime(2026, 1, 2, 3, 4, tzinfo=UTC)) == "2026-01-02 03:04 UTC"


def test_a_period_names_its_second_day_only_where_it_is_another() -> None:
    """Two times on one day share its date; otherwise each has its own."""
    assert numbers.period(NOW - timedelta(hours=2), NOW) == "2026-11-23 16:00 to 18:00 UTC"
    assert numbers.period(NOW - timedelta(days=1), NOW) == "2026-11-22 18:00 to 2026-11-23 18:00 UTC"


@given(st.floats() | st.none())
def test_any_number_can_be_shown(value: float | None) -> None:
    """No number, however large, small or odd, breaks a report."""
    for show in (numbers.money, numbers.number, percent, numbers.ratio, numbers.duration):
        text = show(value)
        assert text
        assert "e+" not in text
