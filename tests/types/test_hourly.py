"""Counts per hour of many names: a mapping of lists that takes no room for hours without anything."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.types.hourly import HourlyCounts, beginning

HOURS = 12
_PLAIN = st.dictionaries(
    st.sampled_from("abcdef"), st.lists(st.sampled_from((0.0, 0.0, 1.0, 3.0)), min_size=HOURS, max_size=HOURS)
)


def _read(counts: HourlyCounts) -> dict[str, list[float]]:
    return {name: list(row) for name, row in counts.items()}


@given(_PLAIN)
def test_it_reads_like_the_mapping_it_is_of(plain: dict[str, list[float]]) -> None:
    """Every name is there with its count of each hour, those with nothing as well, by when they first have anything."""
    counts = HourlyCounts.of(plain, HOURS)

    assert _read(counts) == plain
    assert len(counts) == len(plain)
    assert "z" not in counts
    first = [next((hour for hour, count in enumerate(plain[name]) if count), HOURS) for name in counts]
    assert first == sorted(first)


@given(_PLAIN, st.integers(0, HOURS - 1))
def test_what_is_cut_off_at_an_hour_knows_nothing_of_later_ones(plain: dict[str, list[float]], hour: int) -> None:
    """A cut holds the hours before, and only the names that had anything by then."""
    cut = {name: row[:hour] for name, row in plain.items() if any(row[:hour])}

    assert _read(HourlyCounts.of(plain, HOURS).until(hour)) == cut


@given(st.lists(st.tuples(st.integers(0, HOURS - 1), st.sampled_from("abc"), st.integers(1, 5))), st.randoms())
def test_entries_add_up_in_any_order(entries: list[tuple[int, str, int]], random) -> None:
    """Several entries of one hour and name are one count, whatever order they come in."""
    shuffled = random.sample(entries, len(entries))

    assert _read(HourlyCounts.added(entries, HOURS)) == _read(HourlyCounts.added(shuffled, HOURS))
    assert sum(map(sum, HourlyCounts.added(entries, HOURS).values())) == sum(count for *_, count in entries)


def test_a_name_that_is_not_there_is_a_key_error() -> None:
    """As of any mapping; also a name that only comes later."""
    counts = HourlyCounts.of({"a": [0.0, 1.0]}, 2)

    assert list(counts["a"]) == [0.0, 1.0]
    with pytest.raises(KeyError):
        counts.until(1)["a"]


@given(st.lists(st.floats(0, 9)), st.integers(0, 12), st.integers(0, 12))
def test_a_beginning_is_the_same_of_a_list_and_of_an_array(values: list[float], once: int, again: int) -> None:
    """It may be cut again, and what it was cut from stays as it was."""
    packed = array("d", values)

    assert list(beginning(beginning(packed, once), again)) == beginning(beginning(values, once), again)
    assert list(packed) == values
    with pytest.raises(TypeError, match="read-only"):
        beginning(packed, once)[:0] = packed[:0]
