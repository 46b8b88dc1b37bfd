"""Python's search for cycles is rarer for the length of a block, and as it was afterwards."""

from __future__ import annotations

import gc
import weakref

import pytest

from analyzer.cycles import rarely_sought


class Node:
    """Something that can hold itself."""

    def __init__(self) -> None:
        self.own: Node = self


def test_a_block_searches_rarely_and_leaves_python_as_it_was() -> None:
    """Inside it takes many more new objects until a search; an error that leaves the block changes nothing of that."""
    before, inside = gc.get_threshold(), []

    def work() -> None:
        with rarely_sought():
            inside.append(gc.get_threshold())
            raise ValueError("broke off")

    with pytest.raises(ValueError, match="broke off"):
        work()

    assert inside[0][0] > 10 * before[0]
    assert inside[0][1:] == before[1:]
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


def test_cycles_that_are_made_inside_are_still_found() -> None:
    """Memory does not grow with them: when enough new objects are there they are gone."""
    with rarely_sought():
        seen = weakref.ref(Node())
        assert seen() is not None
        kept = [[] for _ in range(2 * gc.get_threshold()[0])]

        assert seen() is None
    assert kept
