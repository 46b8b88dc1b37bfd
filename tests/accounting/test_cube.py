"""The sums of slices: every value and every pair of values of the trajectories."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from analyzer.accounting.cube import Key, Sums, Table, cube_of, norms_of
from analyzer.stores.base import DIMENSIONS, Cohort

_VALUES = st.tuples(*(st.sampled_from((None, "a", "b", "c")) for _ in DIMENSIONS))
_COHORTS = st.lists(
    st.builds(Cohort, _VALUES, st.integers(1, 9), st.floats(0, 1e6), st.floats(0, 1e9)), min_size=0, max_size=25
)


@given(_COHORTS, _COHORTS)
def test_a_slice_is_the_sum_of_its_rows(before: list[Cohort], rows: list[Cohort]) -> None:
    """Each slice of one or two values adds up, row by row, the trajectories that have them."""
    norms = norms_of(Table.of(before))

    assert _plain(cube_of(Table.of(rows), norms)) == _by_hand(rows, norms)


@given(_COHORTS, st.integers(1, 20), st.sets(st.sampled_from(DIMENSIONS)))
def test_what_is_left_out_changes_nothing_else(rows: list[Cohort], least: int, asked: set[str]) -> None:
    """With a least number of trajectories, or only some slices asked for, the others have the same sums in order."""
    table = Table.of(rows)
    norms = norms_of(table)
    every = cube_of(table, norms)
    among = {key for key in every if all(DIMENSIONS[dimension] in asked for dimension, _ in key)}

    large = [(key, sums) for key, sums in every.items() if not key or sums.trajectories >= least]
    some = [(key, sums) for key, sums in every.items() if key in among]

    assert list(cube_of(table, norms, trajectories_min=least).items()) == large
    assert list(cube_of(table, norms, among=among).items()) == some


def _by_hand(rows: list[Cohort], norms: dict) -> dict[Key, tuple[float, ...]]:
    sums: dict[Key, Sums] = {(): Sums()}
    for one in rows:
        pairs = [(dimension, value) for dimension, value in enumerate(one.values) if value is not None]
        agent, model = one.values[0], one.values[2]
        usual = norms.get((agent, model)) or norms.get((agent,)) or norms[()]
        for key in ((), *((pair,) for pair in pairs), *combinations(pairs, 2)):
            sums.setdefault(key, Sums()).add(one, *usual)
    return _plain(sums)


def _plain(cube: dict[Key, Sums]) -> dict[Key, tuple[float, ...]]:
    return {key: (one.trajectories, one.total, one.squares, one.expected, one.noise) for key, one in cube.items()}
