"""The accounts of several agents added up to one."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from analyzer.accounting.lmdi import CHANGE_MIN
from analyzer.types.report import Factor

RUNS = "runs"
"""The one factor that is a sum over agents: runs per hour."""


@dataclass(frozen=True, slots=True)
class Accounted:
    """An account and what it is of."""

    factors: tuple[Factor, ...]
    change: float
    """Amount per hour that the shares are parts of."""
    trajectories: int
    """Since the onset: what the ends of the factors are means over."""


def summed(parts: Sequence[Accounted]) -> Accounted:
    """Return one account of the changes of several agents: the effect of a factor is the sum of its effects.

    An effect is the agent's change times the factor's share of it, in the agents' common unit per hour, so that the
    shares sum to 1 again and it does not matter in which order, or in which groups, accounts are added. The ends are
    the means over the trajectories since the onset, on both sides with the same weights: that work moved from one agent
    to another is no change of any of them. Only runs per hour are added up, and have no ends where an agent has none.
    Parts without an account add nothing; factors come largest share first, none where the changes cancel out.
    """
    told = [one for one in parts if one.factors]
    change = math.fsum(one.change for one in told)
    trajectories = sum(one.trajectories for one in told)
    if not told or abs(change) <= CHANGE_MIN * max(abs(one.change) for one in told):
        return Accounted((), 0.0, trajectories)
    effects: dict[str, list[float]] = defaultdict(list)
    ends: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for one in told:
        for factor in one.factors:
            effects[factor.factor].append(one.change * factor.share)
            if factor.from_value is not None and factor.to_value is not None:
                ends[factor.factor].append((factor.from_value, factor.to_value, max(one.trajectories, 1)))
    factors = [
        Factor(name, *_ends(name, ends[name], len(told)), math.fsum(own) / change) for name, own in effects.items()
    ]
    return Accounted(tuple(sorted(factors, key=lambda one: (-one.share, one.factor))), change, trajectories)


def _ends(name: str, ends: Sequence[tuple[float, float, int]], agents: int) -> tuple[float | None, float | None]:
    if not ends or (name == RUNS and len(ends) < agents):
        return None, None
    if name == RUNS:
        return math.fsum(start for start, _, _ in ends), math.fsum(stop for _, stop, _ in ends)
    weight = sum(count for _, _, count in ends)
    return (
        math.fsum(start * count for start, _, count in ends) / weight,
        math.fsum(stop * count for _, stop, count in ends) / weight,
    )
