"""The exact split of a change of a mean by what trajectories agree in, or by the tools and models they call.

Of trajectories with values v of a dimension, with n(v) of N trajectories and a mean of m(v) each, before (0) and since
(1), a value's part of the change of the mean M1 - M0 is

    n1(v) / N1 * (m1(v) - M0) - n0(v) / N0 * (m0(v) - M0)

The parts add up to the change, whatever the mix does: what only becomes more frequent at the old mean has no part in
it. Of calls the part is plainer, amount per trajectory since less amount per trajectory before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from analyzer.accounting.periods import Periods
from analyzer.stores.base import DIMENSIONS, Measure, Totals, TrajectoryStore
from analyzer.stores.cohorts import COHORTS_MAX

Amount = Callable[[Totals], float | None]


@dataclass(frozen=True, slots=True)
class Part:
    """One value of a dimension in both periods."""

    value: str | None
    before: float | None
    """Mean of its trajectories; of calls, amount per trajectory of the agent. None where there were none."""
    since: float | None
    runs_before: int
    runs_since: int
    part: float
    """Of the change of the mean, in its unit. The parts of a split add up to the change."""


@dataclass(frozen=True, slots=True)
class Split:
    """A change of a mean and its parts, the largest first."""

    before: float
    since: float
    runs_before: int
    runs_since: int
    parts: tuple[Part, ...]
    whole: bool = True
    """False where there were more combinations of values than are counted: the rarest are left out then."""

    @property
    def change(self) -> float:
        """What the mean rose by."""
        return self.since - self.before


def by_dimension(
    store: TrajectoryStore, agent: str | None, periods: Periods, measure: Measure, dimension: str
) -> Split | None:
    """Return the split of the mean of a measure by one of DIMENSIONS, or None without a trajectory in a period."""
    place = DIMENSIONS.index(dimension)
    ranges = (periods.before, (periods.after,))
    sums: tuple[dict[str | None, list[float]], ...] = (defaultdict(lambda: [0, 0.0]), defaultdict(lambda: [0, 0.0]))
    whole = True
    for own, spans in zip(sums, ranges, strict=True):
        for start, end in spans:
            cohorts = store.cohorts(agent, start, end, measure)
            whole = whole and len(cohorts) < COHORTS_MAX
            for one in cohorts:
                own[one.values[place]][0] += one.trajectories
                own[one.values[place]][1] += one.total
    counts = [sum(count for count, _ in own.values()) for own in sums]
    if not all(counts):
        return None
    means = [sum(total for _, total in own.values()) / count for own, count in zip(sums, counts, strict=True)]

    def weighed(side: int, value: str | None) -> float:
        count, total = sums[side].get(value, (0, 0.0))
        return (total - count * means[0]) / counts[side]

    parts = []
    for value in sums[0].keys() | sums[1].keys():
        (n0, t0), (n1, t1) = (own.get(value, (0, 0.0)) for own in sums)
        part = weighed(1, value) - weighed(0, value)
        parts.append(Part(value, t0 / n0 if n0 else None, t1 / n1 if n1 else None, int(n0), int(n1), part))
    return Split(means[0], means[1], int(counts[0]), int(counts[1]), _largest_first(parts), whole)


def by_calls(
    store: TrajectoryStore, agent: str | None, periods: Periods, amount: Amount, grouping: str
) -> Split | None:
    """Return the split of an amount of calls per trajectory by tool or model; None without a trajectory in a period."""
    agents = (agent,) if agent else ()
    counts = [0, 0]
    sums: dict[str | None, list[tuple[float, int]]] = defaultdict(lambda: [(0.0, 0), (0.0, 0)])
    for side, spans in enumerate((periods.before, (periods.after,))):
        for start, end in spans:
            counts[side] += sum(one.trajectories for one in store.totals("outcome", start, end, agents=agents))
            for one in store.totals("tool" if grouping == "tool" else "model", start, end, agents=agents):
                total, runs = sums[one.value][side]
                sums[one.value][side] = (total + (amount(one) or 0.0), runs + one.trajectories)
    if not all(counts):
        return None
    parts = [
        Part(value, t0 / counts[0], t1 / counts[1], n0, n1, t1 / counts[1] - t0 / counts[0])
        for value, ((t0, n0), (t1, n1)) in sums.items()
    ]
    means = [sum(both[side][0] for both in sums.values()) / counts[side] for side in (0, 1)]
    return Split(means[0], means[1], counts[0], counts[1], _largest_first(parts))


def _largest_first(parts: Sequence[Part]) -> tuple[Part, ...]:
    return tuple(sorted(parts, key=lambda part: (-abs(part.part), part.value or "")))


def shares(split: Split) -> Mapping[str | None, float]:
    """Return each part's share of the change; empty where nothing changed."""
    scale = max(abs(split.before), abs(split.since))
    if abs(split.change) <= 1e-9 * scale or not scale:
        return {}
    return {part.value: part.part / split.change for part in split.parts}
