"""A longest common subsequence in the bits of integers, against the textbook's table."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from analyzer.render.align import aligned, common

KEYS = st.lists(st.integers(0, 4), max_size=14)


def length_of_longest(a, b) -> int:
    """Return the length of a longest common subsequence by the table."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if one == other else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


@given(KEYS, KEYS, st.sampled_from([1, 5, 20, 10_000]))
def test_as_much_is_matched_as_can_be(a, b, cells_max):
    """Nothing that is longer exists, what is matched is equal and in order, whether or not the halves are split."""
    found = common(a, b, cells_max=cells_max)
    assert len(found) == length_of_longest(a, b)
    assert all(a[at] == b[beside] for at, beside in found)
    assert all(one[0] < two[0] and one[1] < two[1] for one, two in pairwise(found))


@given(KEYS, KEYS)
def test_a_coarser_level_adds_and_never_undoes(a, b):
    """What the finest keys match stays matched, and between it the coarser ones match what they can."""
    fine = common(a, b)
    both = aligned([a, [key // 2 for key in a]], [b, [key // 2 for key in b]])
    assert set(fine) <= set(both)
    assert all(one[0] < two[0] and one[1] < two[1] for one, two in pairwise(both))


def test_long_sequences_of_few_keys_are_aligned_whole():
    """Of thirty thousand steps of four kinds, every one is found again in a run that lacks some of them."""
    a = [at * at % 7 for at in range(30_000)]
    b = [key for at, key in enumerate(a) if at % 97]
    assert len(common(a, b)) == len(b)
