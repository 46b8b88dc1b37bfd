"""Exact account of a change of spend: logarithmic mean Divisia index, LMDI-I (Ang and Liu 2001; Ang 2015).

Spend is a product of factors, and the last of them a sum over models i:

    spend per hour = runs/h x steps/run x tokens/step x known share x USD/token,    USD/token = sum_i share_i x price_i

with share_i the model's part of the tokens that have a price and price_i its USD per token. The known share is the
part of all tokens that have a known price: without it, work that moved to a model of unknown price would look like a
price that fell. The effect of a factor f on the spend C is
L(C1, C0) ln(f1 / f0) with the logarithmic mean L(a, b) = (a - b) / ln(a / b). The effect of USD/token is divided in
the same way among prices and shares: sum_i L(share1 price1, share0 price0) ln(price1 / price0), and likewise for
shares. The effects add up to the change without a residual and do not depend on an order of the factors. Two levels,
because with one a run that takes more steps on a new model would count as model mix altogether.

What the factors mean: "runs", "steps per run" and "tokens per step" are those of the whole agent. "model mix" is only
the shift of tokens between models, a model that is new or gone included. "price" is what a token of the same model
costs: a new price list, fewer cache hits, or more output per input. Versions are folded: a new version that works as
the old one did changes nothing. "known share" is no factor where every token has a price.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analyzer.stores.base import Usage
from analyzer.types.report import Factor

EMPTY_SHARE = 1e-12
"""A model that took no part gets this share, so that logarithms exist. The error stays below 1e-9 of the spend."""
USD_MIN = 1e-9
"""Less than this of a model in a period is rounding and no money: no price is a millionth of a millicent."""
CHANGE_MIN = 1e-6
"""A relative change below this has no account: shares of nothing mean nothing."""


@dataclass(frozen=True, slots=True)
class _Period:
    """The factors of one period."""

    runs: float
    """Per hour; 1 where the question is the cost of one run."""
    steps: float
    """Per run."""
    tokens: float
    """Per step."""
    priced: float
    """Share of the tokens that have a known price."""
    used: Mapping[str | None, float]
    """Tokens with a known price, by model."""
    cost: Mapping[str | None, float]
    """USD by model, per hour or per run."""

    @property
    def spend(self) -> float:
        """USD per hour or per run."""
        return math.fsum(self.cost.values())

    @property
    def volume(self) -> float:
        """Tokens with a known price, per hour or per run."""
        return self.runs * self.steps * self.tokens * self.priced


def account(
    before: Sequence[Usage],
    after: Sequence[Usage],
    *,
    hours_before: float | None = None,
    hours_after: float | None = None,
    runs_before: int | None = None,
    runs_after: int | None = None,
) -> tuple[Factor, ...]:
    """Return how much of the change from `before` to `after` comes from each factor; the shares sum to 1.

    With the hours of both periods the change is that of spend per hour and the first factor is "runs" (per hour);
    without them it is the change of the cost of one run. A run that used two models stands in two rows: pass the true
    numbers of runs where that happens, else the rows are summed. Factors come largest share first; `from_value` and
    `to_value` are runs per hour, steps per run, tokens per step, a share, USD per token (for "price" at the old mix,
    for "model mix" from there to the new one). Empty where nothing changed, or where one period has no priced spend.
    Raises ValueError for hours that are not positive.
    """
    hourly = hours_before is not None and hours_after is not None
    old = _period(before, hours_before if hourly else None, runs_before)
    new = _period(after, hours_after if hourly else None, runs_after)
    if old is None or new is None:
        return ()
    change = new.spend - old.spend
    if abs(change) <= CHANGE_MIN * max(new.spend, old.spend):
        return ()
    return _factors(old, new, change, hourly=hourly)


def _period(rows: Sequence[Usage], hours: float | None, runs: int | None) -> _Period | None:
    """Reduce rows to factors, or return None where one of them would be zero."""
    if hours is not None and hours <= 0:
        raise ValueError(f"a period of {hours} hours has no spend per hour: give positive hours")
    count = runs if runs is not None else sum(row.trajectories for row in rows)
    steps = sum(row.steps for row in rows)
    every = 0
    used: dict[str | None, float] = {}
    cost: dict[str | None, float] = {}
    scale = hours if hours is not None else float(count or 1)
    for row in rows:
        tokens = row.input_tokens + row.output_tokens
        every += tokens
        used[row.model] = used.get(row.model, 0.0) + tokens - row.unpriced_tokens
        cost[row.model] = cost.get(row.model, 0.0) + row.cost_usd / scale
    cost = {model: usd if usd * scale >= USD_MIN else 0.0 for model, usd in cost.items()}
    priced = math.fsum(used.values())
    if count <= 0 or steps <= 0 or priced <= 0 or math.fsum(cost.values()) <= 0:
        return None
    return _Period(
        runs=count / hours if hours is not None else 1.0,
        steps=steps / count,
        tokens=every / steps,
        priced=priced / every,
        used=used,
        cost=cost,
    )


def _factors(old: _Period, new: _Period, change: float, *, hourly: bool) -> tuple[Factor, ...]:
    mean = logarithmic_mean(new.spend, old.spend)
    token_price_old = old.spend / old.volume
    token_price_new = new.spend / new.volume
    price = _price_effect(old, new) / logarithmic_mean(token_price_new, token_price_old)
    # The indices of price and mix multiply to that of USD per token: they meet at the new prices and the old mix.
    between = token_price_old * math.exp(price)
    effects = [
        ("steps per run", old.steps, new.steps, math.log(new.steps / old.steps)),
        ("tokens per step", old.tokens, new.tokens, math.log(new.tokens / old.tokens)),
        ("price", token_price_old, between, price),
        ("model mix", between, token_price_new, math.log(token_price_new / token_price_old) - price),
    ]
    if min(old.priced, new.priced) < 1:
        effects.insert(2, ("known share", old.priced, new.priced, math.log(new.priced / old.priced)))
    if hourly:
        effects.insert(0, ("runs", old.runs, new.runs, math.log(new.runs / old.runs)))
    factors = [Factor(name, start, stop, mean * effect / change) for name, start, stop, effect in effects]
    return tuple(sorted(factors, key=lambda factor: -factor.share))


def _price_effect(old: _Period, new: _Period) -> float:
    """Return by how much USD per token changed through the prices of the models alone."""
    effect = 0.0
    for model in {**old.cost, **new.cost}:
        shares, prices = _shares_and_prices(old, new, model)
        if prices[0] > 0 and prices[1] > 0:
            weight = logarithmic_mean(shares[1] * prices[1], shares[0] * prices[0])
            effect += weight * math.log(prices[1] / prices[0])
    return effect


def _shares_and_prices(
    old: _Period, new: _Period, model: str | None
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return a model's share of the tokens and its price in both periods, none of them zero.

    A model without a price in one period takes the other's: that it came or went is mix. One whose tokens became free,
    or cost for the first time, changed its price.
    """
    shares: list[float] = []
    prices: list[float | None] = []
    present = [period.used.get(model, 0.0) > 0 or period.cost.get(model, 0.0) > 0 for period in (old, new)]
    for period in (old, new):
        share = max(period.used.get(model, 0.0) / math.fsum(period.used.values()), EMPTY_SHARE)
        shares.append(share)
        prices.append(period.cost.get(model, 0.0) / (period.volume * share))
    if not present[0]:
        shares[0], prices[0] = EMPTY_SHARE * shares[1], None
    if not present[1]:
        shares[1], prices[1] = EMPTY_SHARE * shares[0], None
    known = [price for price in prices if price]
    fallback = known[0] if known else 1.0
    filled = [fallback if price is None else max(price, EMPTY_SHARE * fallback) for price in prices]
    if not known:
        filled = [0.0, 0.0]
    return (shares[0], shares[1]), (filled[0], filled[1])


def logarithmic_mean(a: float, b: float) -> float:
    """Return (a - b) / ln(a / b) of two positive numbers, and their common value where they are equal."""
    if a == b:
        return a
    ratio = math.log(a / b)
    # Near equality the quotient of two tiny numbers loses its digits; the series does not (relative error < 1e-12).
    if abs(ratio) < 1e-5:  # noqa: PLR2004 - ratio^2 / 24 is below the rounding here
        return math.sqrt(a * b) * (1 + ratio * ratio / 24)
    return (a - b) / ratio
