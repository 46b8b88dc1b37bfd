"""Which steps of two runs belong together: an exact alignment in bounded time, whatever their length.

A common subsequence is as long as can be: first of steps that are the same, then, between those, of steps whose
arguments have the same words, then of those that call the same tool. It is found 64 steps at a time in the bits of
integers: two runs of 10,000 steps take some tens of milliseconds.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

Matched = tuple[int, int]
"""Places in both sequences."""

_CELLS_MAX = 100_000_000
"""Pairs of steps up to which every row of bits is kept (12 MB) to find the way back; beyond it, halves are aligned."""


def aligned(a: Sequence[Sequence[Hashable]], b: Sequence[Sequence[Hashable]]) -> list[Matched]:
    """Return what belongs together, in order. `a` and `b` hold the keys of all steps, once a level, finest first."""
    found: list[Matched] = []
    for one, other in zip(a, b, strict=True):
        more: list[Matched] = []
        for start_a, end_a, start_b, end_b in gaps(found, len(one), len(other)):
            inner = common(one[start_a:end_a], other[start_b:end_b])
            more += [(start_a + at, start_b + beside) for at, beside in inner]
        found = sorted(found + more)
    return found


def gaps(found: Sequence[Matched], length_a: int, length_b: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the stretches of both sequences between what is matched, where either has any."""
    at_a = at_b = 0
    for one, other in (*found, (length_a, length_b)):
        if one > at_a or other > at_b:
            yield at_a, one, at_b, other
        at_a, at_b = one + 1, other + 1


def common(a: Sequence[Hashable], b: Sequence[Hashable], *, cells_max: int = _CELLS_MAX) -> list[Matched]:
    """Return a longest common subsequence as places in both. The common beginning and end are taken first."""
    least = min(len(a), len(b))
    head = next((at for at in range(least) if a[at] != b[at]), least)
    tail = next((at for at in range(least - head) if a[-1 - at] != b[-1 - at]), least - head)
    inner = _inner(a[head : len(a) - tail], b[head : len(b) - tail], cells_max)
    return [
        *((at, at) for at in range(head)),
        *((head + at, head + beside) for at, beside in inner),
        *((len(a) - at, len(b) - at) for at in range(tail, 0, -1)),
    ]


def _inner(a: Sequence[Hashable], b: Sequence[Hashable], cells_max: int) -> list[Matched]:
    if not a or not b:
        return []
    if len(a) * len(b) <= cells_max or len(a) == 1:
        return _traced(b, _rows(a, b))
    # Hirschberg, CACM 18(6), 1975: where the first half of one ends in the other is where both parts gain most.
    middle = len(a) // 2
    before = _lengths(_last_row(a[:middle], b), len(b))
    after = _lengths(_last_row(a[middle:][::-1], b[::-1]), len(b))
    split = max(range(len(b) + 1), key=lambda at: before[at] + after[len(b) - at])
    first = _inner(a[:middle], b[:split], cells_max)
    return first + [(middle + at, split + beside) for at, beside in _inner(a[middle:], b[split:], cells_max)]


def _rows(a: Sequence[Hashable], b: Sequence[Hashable]) -> Iterator[int]:
    """Yield a number for each element of `a`: bit j is 0 where its beginnings share one more with b[:j+1] than b[:j].

    Hyyrö, "Bit-parallel LCS-length computation revisited", AWOCA 2004.
    """
    places: dict[Hashable, int] = {}
    for at, key in enumerate(b):
        places[key] = places.get(key, 0) | 1 << at
    mask = (1 << len(b)) - 1
    row = mask
    for key in a:
        hit = row & places.get(key, 0)
        row = (row + hit | row - hit) & mask
        yield row


def _traced(b: Sequence[Hashable], rows: Iterator[int]) -> list[Matched]:
    """Return the way back through all rows."""
    kept = list(rows)
    found: list[Matched] = []
    at, beside = len(kept), len(b)
    while at and beside:
        bit = beside - 1
        if kept[at - 1] >> bit & 1:
            beside -= 1
            continue
        at -= 1
        if at and not kept[at - 1] >> bit & 1:
            continue
        beside -= 1
        found.append((at, beside))
    found.reverse()
    return found


def _last_row(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    row = 0
    for row in _rows(a, b):  # noqa: B007 - the last one is what is wanted
        pass
    return row


def _lengths(row: int, length: int) -> list[int]:
    """Return how much is shared with each beginning of the other sequence, of 0 to all elements."""
    found = [0]
    for bit in reversed(f"{row:0{length}b}"):
        found.append(found[-1] + (bit == "0"))
    return found
