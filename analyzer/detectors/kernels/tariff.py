"""What an agent paid for a token of each part, read from what it bought: the base of a price index.

The money of a tick is linear in its tokens by part (input that no cache holds, output, cache reads, cache writes): with
one model at one price least squares give the prices back exactly, whatever was bought. What the ticks leave open is
filled in from the usual ratio of the parts, and how little is known of it is kept: a part that was never bought has a
price nobody knows, and what it costs is no rise.

The model is Bayesian linear regression with a normal prior (Gelman and others 2013, section 14.8).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyzer.detectors.kernels.grid import Floats

USUAL = np.array([1.0, 5.0, 0.5, 1.25])
"""Usual prices of the parts relative to input: between vendors, who take a tenth or all of it for a cache read. Each
may be off by as much again: ten times for output, all of it for a read, twice for a write kept an hour are within."""
EXACT = 1e-4
"""Relative scatter of the money of a tick that is not looked into: prices are never better known than that."""
TICKS_MIN = 12
"""Ticks with money: with fewer, the four prices would be made of their own scatter."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """USD per token of each part, as far as it is known."""

    prices: Floats
    """Shape (4,)."""
    unsure: Floats
    """Covariance of the prices, shape (4, 4)."""

    def cost(self, bought: Floats) -> Floats:
        """Return what tokens, shape (ticks, 4), cost at these prices: dearer by one deviation where that is not known.

        Only what is dearer than this is a rise, for it is the level of a price index and not its best guess.
        """
        spread = np.einsum("ti,ij,tj->t", bought, self.unsure, bought)
        return np.asarray(bought @ self.prices + np.sqrt(np.maximum(spread, 0.0)))


def tariff_of(bought: Floats, usd: Floats) -> Tariff | None:
    """Return the prices that ticks of tokens, shape (ticks, 4), and USD, shape (ticks,), were paid at.

    None where there is too little money to tell.
    """
    usual = bought @ USUAL
    seen = (usual > 0) & (usd > 0)
    if int(seen.sum()) < TICKS_MIN:
        return None
    scale = float(usd[seen].sum() / usual[seen].sum())
    # In shares of the usual prices, the scatter of a tick grows with the root of what was bought in it.
    size = np.sqrt(usual[seen] * scale)
    rows = bought[seen] * (USUAL * scale) / size[:, None]
    paid = usd[seen] / size
    gram, sums = rows.T @ rows, rows.T @ paid
    least = EXACT**2 * float(paid @ paid) / len(paid)
    part, variance = np.ones(4), least
    # Twice: how far the ticks scatter is known after the first, and says how much the usual ratio counts beside them.
    for _ in range(2):
        part = np.linalg.solve(gram / variance + np.eye(4), sums / variance + 1.0)
        off = paid - rows @ part
        variance = max(float(off @ off) / len(off), least)
    unsure = np.linalg.inv(gram / variance + np.eye(4))
    unit = USUAL * scale
    return Tariff(np.maximum(part, 0.0) * unit, unsure * np.outer(unit, unit))
