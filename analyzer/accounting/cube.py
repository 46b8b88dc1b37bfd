"""Trajectories of a period added up by every value of a dimension and every pair of values."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from analyzer.stores.base import DIMENSIONS, Cohort

SHRINK = 30
"""Trajectories that the parent's mean counts for beside a slice's own."""
VALUES_MAX = 200
"""Values of one dimension that are told apart, the most frequent ones: together with pairs under 300,000 slices."""
AGENT, MODEL = DIMENSIONS.index("agent"), DIMENSIONS.index("model")

Key = tuple[tuple[int, str], ...]
"""(dimension, value) pairs, sorted."""


@dataclass(slots=True)
class Sums:
    """What a slice adds up to."""

    trajectories: float = 0.0
    total: float = 0.0
    squares: float = 0.0
    expected: float = 0.0
    """What these trajectories would have taken by their agents and models."""
    noise: float = 0.0
    """Variance of that."""

    def add(self, cohort: Cohort, expected: float = 0.0, noise: float = 0.0) -> None:
        """Add a cohort, and what one of its trajectories was expected to take."""
        self.trajectories += cohort.trajectories
        self.total += cohort.total
        self.squares += cohort.squares
        self.expected += cohort.trajectories * expected
        self.noise += cohort.trajectories * noise

    @property
    def mean(self) -> float:
        """Amount of one trajectory."""
        return self.total / self.trajectories if self.trajectories else 0.0

    @property
    def variance(self) -> float:
        """Of one trajectory."""
        return max(self.squares / self.trajectories - self.mean**2, 0.0) if self.trajectories else 0.0


def told_apart(before: Sequence[Cohort], after: Sequence[Cohort]) -> tuple[list[Cohort], list[Cohort]]:
    """Forget rare values: a user who came once tells nothing."""
    common = []
    for dimension in range(len(DIMENSIONS)):
        counts: Counter[str] = Counter()
        for one in after:
            if one.values[dimension] is not None:
                counts[str(one.values[dimension])] += one.trajectories
        common.append({value for value, _ in counts.most_common(VALUES_MAX)})

    def known(rows: Sequence[Cohort]) -> list[Cohort]:
        return [
            Cohort(
                tuple(value if value in kept else None for value, kept in zip(one.values, common, strict=True)),
                one.trajectories,
                one.total,
                one.squares,
            )
            for one in rows
        ]

    return known(before), known(after)


def _keys(one: Cohort) -> Iterable[Key]:
    """Yield the slices that a cohort is in: none, one or two values, and the agent's own with their agent."""
    pairs = [(dimension, value) for dimension, value in enumerate(one.values) if value is not None]
    yield ()
    for pair in pairs:
        yield (pair,)
    yield from combinations(pairs, 2)


def norms_of(before: Iterable[Cohort]) -> Mapping[tuple[str | None, ...], tuple[float, float]]:
    """Return mean and variance of a trajectory by agent and model, shrunk towards the agent; and of the agents."""
    sums: dict[tuple[str | None, ...], Sums] = defaultdict(Sums)
    for one in before:
        agent, model = one.values[AGENT], one.values[MODEL]
        names: tuple[tuple[str | None, ...], ...] = ((), (agent,), (agent, model))
        for name in names:
            sums[name].add(one)
    found: dict[tuple[str | None, ...], tuple[float, float]] = {(): (sums[()].mean, sums[()].variance)}
    for name, own in sorted(sums.items(), key=lambda entry: len(entry[0])):
        if name:
            mean, variance = found[name[:-1]]
            known = own.trajectories + SHRINK
            shrunk = (own.total + SHRINK * mean) / known
            square = (own.squares + SHRINK * (variance + mean**2)) / known
            found[name] = shrunk, max(square - shrunk**2, 0.0)
    return found


def cube_of(rows: Iterable[Cohort], norms: Mapping[tuple[str | None, ...], tuple[float, float]]) -> dict[Key, Sums]:
    """Return the sums of all slices; norms are those of `norms_of`."""
    cube: dict[Key, Sums] = defaultdict(Sums)
    cube[()] = Sums()
    for one in rows:
        agent, model = one.values[AGENT], one.values[MODEL]
        mean, variance = norms.get((agent, model)) or norms.get((agent,)) or norms[()]
        for key in _keys(one):
            cube[key].add(one, mean, variance)
    return dict(cube)
