"""Trajectories of a period added up by every value of a dimension and every pair of values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
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
Floats = npt.NDArray[np.float64]
Name = tuple[str | None, ...]
"""Nothing, an agent, or an agent and a model."""
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


@dataclass(frozen=True, slots=True)
class Table:
    """Cohorts as columns: a search adds them up some hundred times, and numbers are added up faster than names."""

    names: tuple[Mapping[str, int], ...]
    """The values of each dimension with their numbers, in the order in which the rows first have them."""
    codes: Codes
    """The number of each row's value, shape (dimensions, rows); -1 where it has none that is told apart."""
    sums: Floats
    """Trajectories, totals and squares, shape (3, rows)."""

    @staticmethod
    def of(rows: Sequence[Cohort], names: Sequence[Mapping[str, int]] | None = None) -> Table:
        """Return rows as columns; values without a number among `names`, where they are given, are not told apart."""
        sums = [[one.trajectories for one in rows], [one.total for one in rows], [one.squares for one in rows]]
        # Periods of several days hold most combinations of values several times.
        different: dict[tuple[str | None, ...], int] = {}
        which = [different.setdefault(one.values, len(different)) for one in rows]
        columns = list(zip(*different, strict=True)) or [()] * len(DIMENSIONS)
        if names is None:
            names = [_numbered(column) for column in columns]
        codes = [
            [-1 if value is None else known.get(value, -1) for value in column]
            for column, known in zip(columns, names, strict=True)
        ]
        codes_of = np.array(codes, dtype=np.int64)[:, np.array(which, dtype=np.int64)]
        return Table(tuple(names), codes_of, np.array(sums, dtype=np.float64))

    def value(self, dimension: int, row: int) -> str | None:
        """Return the value of a row."""
        code = int(self.codes[dimension, row])
        return None if code < 0 else list(self.names[dimension])[code]

    def without(self, key: Key) -> Table:
        """Return the rows that are not in a slice."""
        held = np.ones(self.codes.shape[1], dtype=np.bool_)
        for dimension, value in key:
            held &= self.codes[dimension] == self.names[dimension][value]
        return replace(self, codes=self.codes[:, ~held], sums=self.sums[:, ~held])

    def grouped(self, dimensions: Sequence[int]) -> tuple[Codes, Codes]:
        """Return the first row of each combination of values, None among them, and the combination of each row."""
        codes = np.zeros(self.codes.shape[1], dtype=np.int64)
        for dimension in dimensions:
            codes = codes * (len(self.names[dimension]) + 1) + self.codes[dimension] + 1
        _, first, group = np.unique(codes, return_index=True, return_inverse=True)
        return first, group


def _numbered(values: Sequence[str | None]) -> dict[str, int]:
    known: dict[str, int] = {}
    for value in values:
        if value is not None:
            known.setdefault(value, len(known))
    return known


def told_apart(before: Sequence[Cohort], after: Sequence[Cohort]) -> tuple[Table, Table]:
    """Return both as tables without rare values: a user who came once tells nothing."""
    every = Table.of(after)
    names = []
    for known, codes in zip(every.names, every.codes, strict=True):
        of = np.bincount(codes[codes >= 0], weights=every.sums[0][codes >= 0], minlength=len(known))
        values = list(known)
        common = np.argsort(-of, kind="stable")[:VALUES_MAX].tolist()
        names.append({values[code]: number for number, code in enumerate(sorted(common))})
    return Table.of(before, names), Table.of(after, names)


def norms_of(before: Table) -> Mapping[Name, tuple[float, float]]:
    """Return mean and variance of a trajectory by agent and model, shrunk towards the agent; and of the agents."""
    found: dict[Name, tuple[float, float]] = {}
    for dimensions in ((), (AGENT,), (AGENT, MODEL)):
        first, group = before.grouped(dimensions)
        sums = [np.bincount(group, weights=part, minlength=len(first)).tolist() for part in before.sums]
        for row, own in zip(first.tolist(), (Sums(*part) for part in zip(*sums, strict=True)), strict=True):
            name = tuple(before.value(dimension, row) for dimension in dimensions)
            if not name:
                found[name] = own.mean, own.variance
                continue
            mean, variance = found[name[:-1]]
            known = own.trajectories + SHRINK
            shrunk = (own.total + SHRINK * mean) / known
            square = (own.squares + SHRINK * (variance + mean**2)) / known
            found[name] = shrunk, max(square - shrunk**2, 0.0)
    return found or {(): (0.0, 0.0)}


def cube_of(
    rows: Table,
    norms: Mapping[Name, tuple[float, float]],
    *,
    trajectories_min: float = 0.0,
    among: Collection[Key] | None = None,
) -> dict[Key, Sums]:
    """Return the sums of slices: of all rows, of those with one value and with two; norms are those of `norms_of`.

    Left out are slices of fewer trajectories, and those that are not `among` some; never that of all rows. Users make
    ten thousands of pairs that nothing can be said of. All slices of one pair of dimensions are added up at once, each
    row by row; they come in the order in which the rows first have them.
    """
    if not rows.codes.shape[1]:
        return {(): Sums()}
    usual = _usual(rows, norms)
    parts = [*rows.sums, rows.sums[0] * usual[:, 0], rows.sums[0] * usual[:, 1]]
    asked = None if among is None else _by_dimensions(rows, among)
    found: list[tuple[int, int, Key, Sums]] = []
    patterns = [(), *((one,) for one in range(len(DIMENSIONS))), *combinations(range(len(DIMENSIONS)), 2)]
    for rank, pattern in enumerate(patterns):
        seen, codes, size = _slots(rows, pattern)
        of = np.bincount(codes, weights=parts[0][seen], minlength=size)
        enough = of >= max(trajectories_min, 1.0) if pattern else np.ones(1, dtype=np.bool_)
        if asked is not None and pattern:
            enough &= np.isin(np.arange(size), asked[pattern])
        kept = enough[codes]
        seen, codes, slots = seen[kept], codes[kept], np.flatnonzero(enough).tolist()
        first = np.zeros(size, dtype=np.int64)
        first[codes[::-1]] = seen[::-1]  # the last that is assigned stays: the first row
        sums = np.stack([np.bincount(codes, weights=part[seen], minlength=size)[slots] for part in parts], axis=1)
        for slot, added in zip(slots, sums.tolist(), strict=True):
            row = int(first[slot])
            key = tuple((dimension, str(rows.value(dimension, row))) for dimension in pattern)
            found.append((row, rank, key, Sums(*added)))
    return {key: sums for _, _, key, sums in sorted(found, key=lambda one: one[:2])}


def _usual(rows: Table, norms: Mapping[Name, tuple[float, float]]) -> Floats:
    """Return the mean and variance that are usual for each row, shape (rows, 2)."""
    first, group = rows.grouped((AGENT, MODEL))
    names = [(rows.value(AGENT, row), rows.value(MODEL, row)) for row in first.tolist()]
    known = [norms.get(name) or norms.get(name[:1]) or norms[()] for name in names]
    return np.array(known, dtype=np.float64)[group]


def _slots(rows: Table, pattern: Sequence[int]) -> tuple[Codes, Codes, int]:
    """Return the rows with a value in each of some dimensions, the slot of their values, and how many slots are."""
    seen, codes, size = np.arange(rows.codes.shape[1]), np.zeros(rows.codes.shape[1], dtype=np.int64), 1
    for dimension in pattern:
        many = max(len(rows.names[dimension]), 1)
        codes, size = codes * many + rows.codes[dimension], size * many
        seen = seen[rows.codes[dimension][seen] >= 0]
    return seen, codes[seen], size


def _by_dimensions(rows: Table, keys: Collection[Key]) -> Mapping[tuple[int, ...], list[int]]:
    """Return the slots of slices, as far as the rows have their values, by their dimensions."""
    found: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for key in keys:
        slot = 0
        for dimension, value in key:
            known = rows.names[dimension]
            slot = slot * len(known) + known.get(value, -1) if value in known and slot >= 0 else -1
        if slot >= 0:
            found[tuple(dimension for dimension, _ in key)].append(slot)
    return found
