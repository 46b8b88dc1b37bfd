"""How unlikely the choices of a window are, had the agent chosen as usual.

Three questions, each with a least effect, because a certain trifle wakes nobody:

fallen   the usual choice of a kind of task has given way (catalogue M9)
unseen   something is picked that never was before (kernel E's second rule)
mix      the shares of an agent's tools have drifted (kernel E, catalogue M8)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import special

from analyzer.detectors.choosing.tables import View
from analyzer.detectors.kernels import grid
from analyzer.detectors.kernels.events import log_tail
from analyzer.detectors.kernels.grid import Bools, Floats

EXPECTED_MIN = 5.0
"""Values expected less often than this in a window of the mix test are taken together (Cochran 1954)."""


@dataclass(frozen=True, slots=True)
class ChoiceSettings:
    """When a shift of choices is an anomaly."""

    false_per_day: float = 0.002
    """False discovery rate, per agent and day: shared by the windows according to their length."""
    fallen_p_max: float = 1e-3
    mix_p_max: float = 1e-4
    unseen_p_max: float = 1e-4
    dominant_min: float = 0.8
    """Share from which a choice is the usual one."""
    fallen_max: float = 0.2
    """Share at which it has given way, with five trajectories ..."""
    fallen_n_min: int = 5
    fall_min: float = 0.25
    """... or by how much it has fallen, with twenty."""
    fall_n_min: int = 20
    unseen_share_min: float = 0.05
    unseen_n_min: int = 3
    drift_min: float = 0.15
    """Total variation between the mix of tools and the usual one: half the sum of the differences of the shares."""
    drift_n_min: int = 30
    worse_n_min: int = 5
    worse_p_max: float = 1e-3
    worse_points_min: float = 0.10
    """From when on the trajectories of a new choice fail more often than those of the usual one."""


@dataclass(frozen=True, slots=True)
class Windowed:
    """Sums over the hours that end with each hour; arrays as in View."""

    hours: int
    of: Floats
    picked: Floats
    expected: Floats

    @property
    def share(self) -> Floats:
        """Observed shares, 0 where nobody had the choice."""
        return np.asarray(self.picked / np.maximum(self.of, 1e-9))

    @property
    def usual(self) -> Floats:
        """Expected shares."""
        return np.asarray(self.expected / np.maximum(self.of, 1e-9))


def windows(view: View, lengths: Iterable[int]) -> Iterator[Windowed]:
    """Sum a view over windows of some lengths, in hours: what is cumulated once serves for all of them."""
    cumulated = [np.cumsum(part, axis=-1) for part in (view.of, view.picked, view.expected)]
    for hours in lengths:
        yield Windowed(hours, *(grid.windowed(part, hours) for part in cumulated))


def windowed(view: View, hours: int) -> Windowed:
    """Sum a view over windows of some hours."""
    return next(windows(view, (hours,)))


def strength(units: float, dispersion: float) -> float:
    """Return how many trajectories what is known of a share is worth: the beta's a + b.

    Not more than were seen, and not more than the correlation within a day leaves: rho = 1 / (a + b + 1).
    """
    return max(min(units + 1, 1 / dispersion - 1), 1.0)


def log_fallen(picked: int, of: int, usual: float, pseudo: float) -> float:
    """Return ln P(at most `picked` of `of`) by the beta-binomial that predicts the usual choice.

    The usual share gets half a miss and half a hit of Jeffreys' prior before it predicts.
    """
    missed = ((1 - usual) * pseudo + 0.5) / (pseudo + 1)
    return log_tail(of - picked, of, missed, _tau2(missed, pseudo + 1))


def log_unseen(picked: int, of: int, units: float, novel: float) -> float:
    """Return ln P(at least `picked` of `of` pick something unseen) after `units` of which `novel` did."""
    rate = (novel + 0.5) / (units + 1)
    return log_tail(picked, of, rate, _tau2(rate, units + 1))


def _tau2(rate: float, pseudo: float) -> float:
    """Return the relative variance of the rate of a beta with a + b = `pseudo`, as `log_tail` takes it."""
    rate = min(max(rate, 1e-9), 0.98)
    return (1 - rate) / (rate * (pseudo + 1))


def log_worse(failed: float, picked: float, usual_failed: float, usual_picked: float) -> float:
    """Return ln P(at least `failed` of `picked` fail) at the rate of the usual choice, known as well as it was seen."""
    rate = (usual_failed + 0.5) / (usual_picked + 1)
    return log_tail(round(failed), round(picked), rate, _tau2(rate, usual_picked + 1))


def quasi_g(picked: Floats, expected: Floats) -> tuple[float, int]:
    """Return G over its degrees of freedom, and those, of a mix against the expected one; (0, 0) with one value.

    `picked` and `expected` have shape (values,); the expected mix is scaled to the observed total.
    """
    total, mass = float(picked.sum()), float(expected.sum())
    if total <= 0 or mass <= 0:
        return 0.0, 0
    scaled = expected * total / mass
    rare = scaled < EXPECTED_MIN
    k = np.append(picked[~rare], picked[rare].sum())
    e = np.append(scaled[~rare], scaled[rare].sum())
    k, e = k[e > 0], e[e > 0]
    freedom = len(e) - 1
    if freedom < 1:
        return 0.0, 0
    return 2 * float(special.xlogy(k, k / e).sum()) / freedom, freedom


def log_mix(statistic: float, freedom: int, phi: float, days: int) -> float:
    """Return ln of the F test's p: G over its degrees of freedom, over the dispersion `phi` of the baseline's days."""
    # `scipy.stats` has the same one, and takes most of a second to import.
    tail = float(special.fdtrc(freedom, max(days - 1, 1) * freedom, statistic / max(phi, 1.0)))
    return math.log(tail) if tail > 0 else -math.inf


def variation(picked: Floats, expected: Floats) -> Floats:
    """Return the total variation between two mixes, over the first axis."""
    left = picked / np.maximum(picked.sum(axis=0), 1e-9)
    right = expected / np.maximum(expected.sum(axis=0), 1e-9)
    return np.asarray(np.abs(left - right).sum(axis=0) / 2)


def replaced(picked: Floats, expected: Floats, of: Floats, unseen: Bools) -> Floats:
    """Return the picks with unseen values counted for what they took the place of.

    A tool that was renamed, split or replaced leaves a hole as large as what came: what is missing from the known
    values is filled from the unseen ones, as far as they go. Shapes (values, hours), (hours,); what the unseen values
    leave over is dropped.
    """
    missing = np.where(unseen, 0, np.maximum(expected - picked, 0))
    total = missing.sum(axis=0)
    came = np.minimum(np.where(unseen, picked, 0).sum(axis=0), total)
    filled = picked + missing * came / np.maximum(total, 1e-9)
    return np.asarray(np.where(unseen, 0, np.minimum(filled, np.maximum(of, picked))))


def discovered(log_p: Floats, tests: int, rate: float) -> Bools:
    """Return which of the p-values (their logarithms) Benjamini and Hochberg (1995) let pass, of `tests` tests."""
    order = np.argsort(log_p)
    limits = math.log(rate) + np.log(np.arange(1, len(log_p) + 1) / max(tests, 1))
    good = np.flatnonzero(log_p[order] <= limits)
    passed = np.zeros(len(log_p), dtype=np.bool_)
    if len(good):
        passed[order[: good[-1] + 1]] = True
    return passed
