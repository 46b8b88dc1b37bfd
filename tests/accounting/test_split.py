"""The exact split of a change of a mean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.accounting.periods import Periods
from analyzer.accounting.split import by_calls, by_dimension, shares
from analyzer.stores.base import DIMENSIONS, Cohort, Totals

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PERIODS = Periods((NOON, NOON + HOUR), ((NOON - HOUR, NOON),))


class Counted:
    """A store of cohorts and totals, before and since noon."""

    def __init__(self, before: dict[str | None, tuple[int, float]], since: dict[str | None, tuple[int, float]]) -> None:
        self.before, self.since = before, since

    def _side(self, start: datetime) -> dict[str | None, tuple[int, float]]:
        return self.since if start >= NOON else self.before

    def cohorts(self, _agent: str | None, start: datetime, _end: datetime, _measure: str) -> list[Cohort]:
        """Return a cohort a version."""
        place = DIMENSIONS.index("version")
        none: tuple[str | None, ...] = (None,) * len(DIMENSIONS)
        return [
            Cohort((*none[:place], value, *none[place + 1 :]), count, total, 0.0)
            for value, (count, total) in self._side(start).items()
            if count
        ]

    def totals(self, by: str, start: datetime, _end: datetime, **_options: Any) -> list[Totals]:
        """Return a row a tool, or one of all trajectories."""
        side = {value: one for value, one in self._side(start).items() if one[0]}
        if by == "outcome":
            side = {"success": (sum(count for count, _ in side.values()), 0.0)} if side else {}
        return [Totals(value, n, n, 0, None, None, total, 0, None, None) for value, (n, total) in side.items()]


SIDES = st.dictionaries(
    st.sampled_from(["1", "2", "3", None]), st.tuples(st.integers(0, 500), st.floats(0, 1e6)), max_size=4
)


@settings(max_examples=200, deadline=None)
@given(before=SIDES, since=SIDES)
def test_the_parts_add_up_to_the_change(before: dict[Any, Any], since: dict[Any, Any]):
    """Whatever the values and the mix: the parts are the whole change, and their shares are 1."""
    store: Any = Counted(before, since)
    for split in (
        by_dimension(store, "a", PERIODS, "cost", "version"),
        by_calls(store, "a", PERIODS, lambda one: one.cost_usd, "tool"),
    ):
        if split is None:
            assert not any(n for n, _ in before.values()) or not any(n for n, _ in since.values())
            continue
        scale = max(abs(split.before), abs(split.since), 1.0)
        assert sum(part.part for part in split.parts) == pytest.approx(split.change, abs=1e-9 * scale)
        # Where the change is next to nothing, shares are the quotient of two roundings.
        if abs(split.change) > 1e-3 * scale:
            assert sum(shares(split).values()) == pytest.approx(1.0, abs=1e-4)


def test_what_only_becomes_more_frequent_has_no_part():
    """Ten times the runs at the old mean change nothing; the dear version has all of it."""
    store: Any = Counted({"1": (90, 90.0), "2": (10, 10.0)}, {"1": (50, 50.0), "2": (500, 500.0), "3": (50, 150.0)})
    split = by_dimension(store, "a", PERIODS, "cost", "version")
    assert split is not None
    assert (split.before, split.runs_before, split.runs_since) == (1.0, 100, 600)
    assert shares(split) == pytest.approx({"3": 1.0, "2": 0.0, "1": 0.0})
    assert split.parts[0].value == "3"


def test_without_a_change_nobody_has_a_share():
    """A share of nothing is not said."""
    store: Any = Counted({"1": (10, 10.0)}, {"1": (30, 30.0)})
    split = by_dimension(store, "a", PERIODS, "cost", "version")
    assert split is not None
    assert shares(split) == {}
