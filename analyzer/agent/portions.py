"""Sharing out a room of tokens: everybody gets a floor, the rest goes by weight, and nobody more than it needs."""

from __future__ import annotations

from collections.abc import Sequence

ROUNDS = 40
"""Halvings of the level: after them it is exact to less than a token."""


def portions(needs: Sequence[int], weights: Sequence[float], room: int, floor: int = 0) -> list[int]:
    """Return what each gets of a room, in tokens: min(need, max(floor, level x weight)) at the highest level that fits.

    Short texts are whole then, and long ones are cut where they are longest for their weight. Where not even the
    floors fit, all get equally less. Weights are positive. (Max-min fairness with weights; Bertsekas and Gallager,
    Data Networks, 6.5.2.)
    """
    if not needs:
        return []
    if sum(needs) <= room:
        return list(needs)
    floors = [min(need, floor) for need in needs]
    if sum(floors) > room:
        return _levelled(floors, [1.0] * len(floors), room, [0] * len(floors))
    return _levelled(needs, weights, room, floors)


def _levelled(needs: Sequence[int], weights: Sequence[float], room: int, floors: Sequence[int]) -> list[int]:
    def at(level: float) -> list[int]:
        return [min(need, max(low, int(level * w))) for need, w, low in zip(needs, weights, floors, strict=True)]

    low, high = 0.0, max((need + 1) / weight for need, weight in zip(needs, weights, strict=True))
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(at(middle)) <= room else (low, middle)
    return at(low)
