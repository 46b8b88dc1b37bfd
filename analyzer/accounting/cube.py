"""Trajectories of a period added up by every value of a dimension and every pair of values."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from analyzer.stores.base import DIMENSIONS, Cohort

SHRINK = 30
"""Trajectories that the parent's mean counts for beside a slice's own."""
VALUES_MAX = 200
"""Values of one dimension that are told apart, the most frequent ones: together with pairs under 300,000 slices."""
AGENT, MODEL = DIMENSIONS.index("agent"), DIMENSIONS.index("model")

Codes = npt.NDArray[np.int64]
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
        found = []
        for one in rows:
            pairs = zip(one.values, common, strict=True)
            values = tuple([value if value in kept else None for value, kept in pairs])
            same = values == one.values
            found.append(one if same else Cohort(values, one.trajectories, one.total, one.squares))
        return found

    return known(before), known(after)


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


def cube_of(
    rows: Sequence[Cohort],
    norms: Mapping[tuple[str | None, ...], tuple[float, float]],
    *,
    trajectories_min: float = 0.0,
    among: Container[Key] | None = None,
) -> dict[Key, Sums]:
    """Return the sums of slices: of all rows, of those with one value and with two; norms are those of `norms_of`.

    Left out are slices of fewer trajectories, and those that are not `among` some; never that of all rows. Users make
    ten thousands of pairs that nothing can be said of. All slices of one pair of dimensions are added up at once, each
    row by row; they come in the order in which the rows first have them.
    """
    if not rows:
        return {(): Sums()}
    usual = [
        norms.get((one.values[AGENT], one.values[MODEL])) or norms.get((one.values[AGENT],)) or norms[()]
        for one in rows
    ]
    of = np.array([one.trajectories for one in rows], dtype=np.float64)
    of_usual = np.array(usual, dtype=np.float64).reshape(-1, 2)
    parts = [
        of,
        np.array([one.total for one in rows], dtype=np.float64),
        np.array([one.squares for one in rows], dtype=np.float64),
        of * of_usual[:, 0],
        of * of_usual[:, 1],
    ]
    columns = [_Column.of([one.values[dimension] for one in rows]) for dimension in range(len(DIMENSIONS))]
    patterns = [(), *((one,) for one in range(len(columns))), *combinations(range(len(columns)), 2)]
    found: list[tuple[int, int, Key, Sums]] = []
    for rank, pattern in enumerate(patterns):
        seen, codes = np.arange(len(rows)), np.zeros(len(rows), dtype=np.int64)
        for dimension in pattern:
            column = columns[dimension]
            codes = codes * (len(column.values) + 1) + column.codes
            seen = seen[column.codes[seen] >= 0]
        _, first, slot = np.unique(codes[seen], return_index=True, return_inverse=True)
        sums = np.stack([np.bincount(slot, weights=part[seen], minlength=len(first)) for part in parts], axis=1)
        enough = np.flatnonzero((sums[:, 0] >= trajectories_min) | (not pattern))
        for row, added in zip(seen[first[enough]].tolist(), sums[enough].tolist(), strict=True):
            key = tuple((dimension, str(rows[row].values[dimension])) for dimension in pattern)
            if among is None or not pattern or key in among:
                found.append((row, rank, key, Sums(*added)))
    return {key: sums for _, _, key, sums in sorted(found, key=lambda one: one[:2])}


@dataclass(frozen=True, slots=True)
class _Column:
    """The values of one dimension, row by row."""

    values: dict[str, int]
    codes: Codes
    """The number of each row's value, shape (rows,); -1 where it has none."""

    @staticmethod
    def of(values: Sequence[str | None]) -> _Column:
        known: dict[str, int] = {}
        codes = [-1 if value is None else known.setdefault(value, len(known)) for value in values]
        return _Column(known, np.array(codes, dtype=np.int64))
