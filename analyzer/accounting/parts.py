"""What a token of each part costs, by model: read from what was paid, not from a list.

Input that no cache holds, output, cache reads and cache writes have prices of their own, and the sources report one
sum. Within a model the sum is linear in the parts, so least squares over its calls gives the prices back exactly:
reported costs, discounts and own price lists included. What the calls leave open (all alike, or no caches) is filled
in by a ridge towards the usual ratio of the parts. In the end the prices are scaled to what was really paid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analyzer.stores.base import Usage

PARTS = (
    "input tokens per step",
    "output tokens per step",
    "cache read tokens per step",
    "cache write tokens per step",
)
"""What the parts are called in an account. "input" is what was neither read from a cache nor written to one."""
RATIOS = (1.0, 5.0, 0.1, 1.25)
"""Usual prices relative to input: Anthropic's list, and near that of most vendors."""
SAME = 1e-3
"""Prices that give both periods' sums to a thousandth did not change between them."""
RIDGE = 1e-9
"""Weight of the usual ratio, relative to the calls: it decides only what they leave open."""
USD_MIN = 1e-9
"""Less than this of a model in a period is rounding and no money: no price is a millionth of a millicent."""
NO_TOKENS = 1e-6
"""Tokens assumed of a model that cost something and reported none: it has to have a price."""
_INDEXES = tuple((i, j) for i in range(5) for j in range(i, 5))

Four = tuple[float, float, float, float]
"""One number for each of PARTS."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one model took in one period: priced tokens by part, and USD."""

    tokens: Four
    usd: float
    squares: NDArray[np.float64]
    """5 x 5: sums over the calls of the products of (tokens by part, USD)."""


def parts_of(row: Usage) -> Four:
    """Return the tokens of a row by part, those without a known price included."""
    fresh = max(row.input_tokens - row.cache_read_tokens - row.cache_write_tokens, 0)
    return float(fresh), float(row.output_tokens), float(row.cache_read_tokens), float(row.cache_write_tokens)


def spent(rows: Sequence[Usage]) -> dict[str | None, Spent]:
    """Add up rows by model; versions are folded."""
    found: dict[str | None, Spent] = {}
    for row in rows:
        every = sum(parts_of(row))
        priced = max(0.0, 1 - row.unpriced_tokens / every) if every else 0.0
        old = found.get(row.model)
        tokens = tuple((old.tokens[part] if old else 0.0) + count * priced for part, count in enumerate(parts_of(row)))
        squares = np.zeros((5, 5)) if old is None else old.squares
        for (i, j), value in zip(_INDEXES, row.squares, strict=False):
            squares[i, j] += value
        found[row.model] = Spent(tokens, (old.usd if old else 0.0) + row.cost_usd, squares)  # type: ignore[arg-type]
    return {
        model: Spent(
            one.tokens if sum(one.tokens) or one.usd < USD_MIN else (NO_TOKENS, 0.0, 0.0, 0.0),
            one.usd if one.usd >= USD_MIN else 0.0,
            one.squares,
        )
        for model, one in found.items()
    }


def prices(old: Spent | None, new: Spent | None) -> tuple[Four, Four]:
    """Return the USD per token of each part in both periods; they give what was paid exactly.

    Where one set of prices explains both periods, none changed. A model that is missing in a period has the prices of
    the other; zeros where it cost nothing.
    """
    seen = [one for one in (old, new) if one is not None]
    together = _fit(
        np.sum([np.array(one.tokens) for one in seen], axis=0),
        sum(one.usd for one in seen),
        np.sum([one.squares for one in seen], axis=0),
    )
    same = all(abs(_sum(one, together) - one.usd) <= SAME * one.usd for one in seen)
    found = [
        None if one is None else _scaled(one, together if same else _fit(np.array(one.tokens), one.usd, one.squares))
        for one in (old, new)
    ]
    first = found[0] or found[1] or (0.0, 0.0, 0.0, 0.0)
    return first, found[1] or first


def _fit(tokens: NDArray[np.float64], usd: float, squares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return prices by least squares with a ridge towards the usual ratio, none below zero."""
    ratio = np.array(RATIOS)
    usual = usd / float(tokens @ ratio) if tokens @ ratio > 0 else 0.0
    gram = (np.triu(squares) + np.triu(squares, 1).T)[:4, :4] * np.outer(ratio, ratio)
    weight = float(np.trace(gram))
    if weight <= 0 or usual <= 0:
        return usual * ratio
    # Columns of one size: a cache of a million tokens must not drown the output beside it.
    size = np.sqrt(np.where(np.diag(gram) > 0, np.diag(gram), weight))
    left = gram / np.outer(size, size) + RIDGE * np.eye(4)
    right = (squares[:4, 4] * ratio) / size + RIDGE * usual * size
    found = np.linalg.solve(left, right) / size
    return np.asarray(np.where(found > 0, found, 0.0) * ratio)


def _sum(one: Spent, price: NDArray[np.float64]) -> float:
    return float(np.array(one.tokens) @ price)


def _scaled(one: Spent, price: NDArray[np.float64]) -> Four:
    given = _sum(one, price)
    if given <= 0:
        price, given = np.array(RATIOS), _sum(one, np.array(RATIOS))
    scale = one.usd / given if given > 0 else 0.0
    first, second, third, fourth = (float(value) * scale for value in price)
    return first, second, third, fourth


def all_prices(old: Mapping[str | None, Spent], new: Mapping[str | None, Spent]) -> dict[str | None, tuple[Four, Four]]:
    """Return the prices of every model in both periods."""
    return {model: prices(old.get(model), new.get(model)) for model in {**old, **new}}
