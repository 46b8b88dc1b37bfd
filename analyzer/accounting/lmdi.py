"""Exact account of a change of spend: logarithmic mean Divisia index, LMDI-I (Ang and Liu 2001; Ang 2015).

Spend is a tree of sums and products, over the parts p of the tokens (input that no cache holds, output, cache reads,
cache writes) and the models i:

    spend per hour = runs/h x (steps/run x known share x USD/step + tool calls/run x USD/tool call)
    USD/step       = sum_p tokens_p/step x USD/token_p,    USD/token_p = sum_i share_ip x price_ip

with share_ip the model's part of the priced tokens of a part and price_ip its USD per token of it (`parts`). The known
share is the part of all tokens that have a known price: without it, work that moved to a model of unknown price would
look like a price that fell. Of a product C the effect of a factor f is L(C1, C0) ln(f1 / f0) with the logarithmic mean
L(a, b) = (a - b) / ln(a / b); a sum passes its effect on to its terms c by the weights L(c1, c0) / L(C1, C0), which
again sum to the whole. So the effects add up to the change without a residual and do not depend on an order. Level by
level, because with all at once a run that takes more steps on a new model would count as model mix altogether.

What the factors mean: "runs", "steps per run" and the tokens per step are those of the whole agent. "model mix" is only
the shift of tokens between models, a model that is new or gone included. "price" is what a token of the same part and
model costs. Versions are folded: a new version that works as the old one did changes nothing. "known share" is no
factor where every token has a price, nor is a part of the tokens or a tool call that neither period has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from analyzer.accounting.parts import PARTS, USD_MIN, Four, all_prices, parts_of, spent
from analyzer.stores.base import Usage
from analyzer.types.report import Factor

EMPTY = 1e-30
"""What was not there counts as this part of what is, so that logarithms exist: the error is below a float's."""
CHANGE_MIN = 1e-6
"""A relative change below this has no account: shares of nothing mean nothing."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A model whose price moved, in USD per token at the mix of parts of both periods."""

    model: str | None
    from_value: float
    to_value: float


@dataclass(frozen=True, slots=True)
class Account:
    """The factors of a change, and which model moved the factors that are about models."""

    factors: tuple[Factor, ...] = ()
    """Largest share first; the shares sum to 1."""
    price: Moved | None = None
    """The model whose price moved the spend most in the direction of the change."""
    gained: str | None = None
    """The model whose part of the tokens grew most, where any did."""
    change: float = 0.0
    """What is accounted for, per hour (or per run): the shares are parts of it."""


@dataclass(frozen=True, slots=True)
class _Period:
    """The factors of one period."""

    runs: float
    """Per hour; 1 where the question is the cost of one run."""
    steps: float
    """Per run."""
    priced: float
    """Share of the tokens that have a known price."""
    parts: Four
    """Tokens per step, by part."""
    used: Mapping[str | None, Four]
    """Tokens with a known price, by model and part."""
    tool_calls: float
    """Calls with a known price, per run."""
    tool_usd: float
    """USD per such call."""


def account(
    before: Sequence[Usage],
    after: Sequence[Usage],
    *,
    hours_before: float | None = None,
    hours_after: float | None = None,
    runs_before: int | None = None,
    runs_after: int | None = None,
) -> Account:
    """Return how much of the change from `before` to `after` comes from each factor; the shares sum to 1.

    With the hours of both periods the change is that of spend per hour and the first factor is "runs" (per hour);
    without them it is the change of the cost of one run. A run that used two models stands in two rows: pass the true
    numbers of runs where that happens, else the rows are summed. Factors come largest share first; `from_value` and
    `to_value` are runs per hour, steps per run, tokens per step, a share, calls per run, USD per call, USD per token
    (for "price" at the old mix, for "model mix" from there to the new one). Empty where nothing changed, or where one
    period has no priced spend of models. Raises ValueError for hours that are not positive.
    """
    hourly = hours_before is not None and hours_after is not None
    old_models, new_models = spent(before), spent(after)
    old = _period(before, hours_before if hourly else None, runs_before)
    new = _period(after, hours_after if hourly else None, runs_after)
    if old is None or new is None:
        return Account()
    return _Split(old, new, all_prices(old_models, new_models)).account(hourly=hourly)


def _period(rows: Sequence[Usage], hours: float | None, runs: int | None) -> _Period | None:
    """Reduce rows to factors, or return None where one of them would be zero."""
    if hours is not None and hours <= 0:
        raise ValueError(f"a period of {hours} hours has no spend per hour: give positive hours")
    count = runs if runs is not None else sum(row.trajectories for row in rows)
    steps = sum(row.steps for row in rows)
    every = sum(sum(parts_of(row)) for row in rows)
    models = spent(rows)
    priced = math.fsum(sum(one.tokens) for one in models.values())
    if count <= 0 or steps <= 0 or every <= 0 or priced <= 0 or sum(one.usd for one in models.values()) < USD_MIN:
        return None
    known = min(1.0, priced / every)
    parts = [math.fsum(one.tokens[part] for one in models.values()) / (steps * known) for part in range(len(PARTS))]
    calls = sum(row.tool_calls for row in rows)
    return _Period(
        runs=count / hours if hours is not None else 1.0,
        steps=steps / count,
        priced=known,
        parts=(parts[0], parts[1], parts[2], parts[3]),
        used={model: one.tokens for model, one in models.items()},
        tool_calls=calls / count,
        tool_usd=math.fsum(row.tool_usd for row in rows) / calls if calls else 0.0,
    )


class _Split:
    """One change on its way down the tree; effects are logarithms, each with its weight in the whole."""

    def __init__(self, old: _Period, new: _Period, prices: Mapping[str | None, tuple[Four, Four]]) -> None:
        self.old, self.new, self.prices = old, new, prices
        self.by_part = [self._token_prices(part) for part in range(len(PARTS))]
        self.price_of: dict[str | None, float] = {}

    def account(self, *, hourly: bool) -> Account:
        old, new = self.old, self.new
        terms = [_floored(old.parts[p] * self.by_part[p][0], new.parts[p] * self.by_part[p][1]) for p in range(4)]
        step = tuple(math.fsum(term[side] for term in terms) for side in (0, 1))
        model = (old.steps * old.priced * step[0], new.steps * new.priced * step[1])
        tools = _floored(old.tool_calls * old.tool_usd, new.tool_calls * new.tool_usd)
        run = (model[0] + tools[0], model[1] + tools[1])
        spend = (old.runs * run[0], new.runs * run[1])
        change = spend[1] - spend[0]
        if abs(change) <= CHANGE_MIN * max(spend):
            return Account()
        of_models = logarithmic_mean(*model) / logarithmic_mean(*run)
        rows = [("steps per run", old.steps, new.steps, of_models * math.log(new.steps / old.steps))]
        if min(old.priced, new.priced) < 1:
            rows.append(("known share", old.priced, new.priced, of_models * math.log(new.priced / old.priced)))
        rows += self._of_steps(terms, (step[0], step[1]), of_models)
        if max(tools) > 0:
            rows += _of_tools(old, new, logarithmic_mean(*tools) / logarithmic_mean(*run))
        if hourly:
            rows.insert(0, ("runs", old.runs, new.runs, math.log(new.runs / old.runs)))
        mean = logarithmic_mean(*spend)
        return Account(
            _sorted(Factor(name, start, stop, mean * effect / change) for name, start, stop, effect in rows),
            self._moved(math.copysign(1.0, change)),
            self._gained(),
            change,
        )

    def _of_steps(
        self, terms: Sequence[tuple[float, float]], step: tuple[float, float], weight: float
    ) -> list[tuple[str, float, float, float]]:
        """Return the effects of what a step costs: tokens by part, price, model mix."""
        rows = []
        price_effect, mix_effect = 0.0, 0.0
        for part, name in enumerate(PARTS):
            tokens = _floored(self.old.parts[part], self.new.parts[part])
            usd = self.by_part[part]
            if max(terms[part]) <= 0:
                if max(tokens) > 0:
                    rows.append((name, self.old.parts[part], self.new.parts[part], 0.0))
                continue
            own = weight * logarithmic_mean(*terms[part]) / logarithmic_mean(*step)
            rows.append((name, self.old.parts[part], self.new.parts[part], own * math.log(tokens[1] / tokens[0])))
            # The floors of tokens and prices may differ from that of their product: mix takes what is left of the term.
            both = math.log(terms[part][1] / terms[part][0]) - math.log(tokens[1] / tokens[0])
            by_price = self._price_effect(part, usd, own)
            price_effect += by_price
            mix_effect += own * both - by_price
        volume = math.fsum(self.old.parts)
        start = step[0] / volume
        between = start * math.exp(price_effect / weight)
        rows.append(("price", start, between, price_effect))
        rows.append(("model mix", between, between * math.exp(mix_effect / weight), mix_effect))
        return rows

    def _price_effect(self, part: int, usd: tuple[float, float], weight: float) -> float:
        """Return by how much USD per token of a part changed through the prices of the models alone."""
        total = 0.0
        if min(self.old.parts[part], self.new.parts[part]) <= 0:
            return total
        for model in self.prices:
            shares, prices = self._shares(model, part), self._prices(model, part)
            if max(prices) <= 0 or max(shares) <= 0:
                continue
            shares = _floored(*shares)
            mean = logarithmic_mean(shares[0] * prices[0], shares[1] * prices[1]) / logarithmic_mean(*usd)
            effect = weight * mean * math.log(prices[1] / prices[0])
            self.price_of[model] = self.price_of.get(model, 0.0) + effect
            total += effect
        return total

    def _shares(self, model: str | None, part: int) -> tuple[float, float]:
        """Return a model's part of the priced tokens of a part, in both periods."""
        found = []
        for period in (self.old, self.new):
            whole = math.fsum(tokens[part] for tokens in period.used.values())
            found.append(period.used[model][part] / whole if whole and model in period.used else 0.0)
        return found[0], found[1]

    def _prices(self, model: str | None, part: int) -> tuple[float, float]:
        return _floored(self.prices[model][0][part], self.prices[model][1][part])

    def _token_prices(self, part: int) -> tuple[float, float]:
        """Return USD per token of a part in both periods; one that has no such tokens has the price of the other."""
        found: list[float | None] = []
        for side, period in enumerate((self.old, self.new)):
            whole = math.fsum(tokens[part] for tokens in period.used.values())
            usd = math.fsum(tokens[part] * self.prices[model][side][part] for model, tokens in period.used.items())
            found.append(usd / whole if whole else None)
        known = next((usd for usd in found if usd is not None), 0.0)
        return _floored(*(known if usd is None else usd for usd in found))

    def _moved(self, direction: float) -> Moved | None:
        """Return the model whose price moved the spend most in the direction of the change."""
        effects = {model: effect * direction for model, effect in self.price_of.items() if effect * direction > 0}
        if not effects:
            return None
        model = max(effects, key=lambda name: (effects[name], name or ""))
        tokens = [
            sum(period.used[model][part] for period in (self.old, self.new) if model in period.used)
            for part in range(len(PARTS))
        ]
        ends = [
            math.fsum(count * usd for count, usd in zip(tokens, self.prices[model][side], strict=True)) / sum(tokens)
            for side in (0, 1)
        ]
        return Moved(model, ends[0], ends[1])

    def _gained(self) -> str | None:
        """Return the model whose part of all tokens grew most."""
        growth = {}
        for model in self.prices:
            shares = [
                sum(period.used[model]) / math.fsum(sum(tokens) for tokens in period.used.values())
                if model in period.used
                else 0.0
                for period in (self.old, self.new)
            ]
            growth[model] = shares[1] - shares[0]
        best = max(growth, key=lambda name: (growth[name], name or ""))
        return best if growth[best] > 0 else None


def _of_tools(old: _Period, new: _Period, weight: float) -> list[tuple[str, float, float, float]]:
    """Return the effects of paid tool calls. A period without any has the price of the other."""
    calls = _floored(old.tool_calls, new.tool_calls)
    known = max(old.tool_usd, new.tool_usd)
    usd = _floored(old.tool_usd if old.tool_calls else known, new.tool_usd if new.tool_calls else known)
    terms = _floored(old.tool_calls * old.tool_usd, new.tool_calls * new.tool_usd)
    of_calls = math.log(calls[1] / calls[0])
    return [
        ("paid tool calls per run", old.tool_calls, new.tool_calls, weight * of_calls),
        ("tool price", usd[0], usd[1], weight * (math.log(terms[1] / terms[0]) - of_calls)),
    ]


def token_account(
    before: Sequence[Usage], after: Sequence[Usage], *, hours_before: float, hours_after: float
) -> Account:
    """Return the account of a change of tokens per hour: runs, steps per run, and the parts of the tokens per step."""
    runs = [sum(row.trajectories for row in rows) for rows in (before, after)]
    steps = [sum(row.steps for row in rows) for rows in (before, after)]
    parts = [[sum(parts_of(row)[part] for row in rows) for part in range(len(PARTS))] for rows in (before, after)]
    if min(*runs, *steps, *map(sum, parts)) <= 0:
        return Account()
    rows = [("steps per run", steps[0] / runs[0], steps[1] / runs[1])]
    rate = (runs[0] / hours_before, runs[1] / hours_after)
    terms = {name: (parts[0][p] / steps[0], parts[1][p] / steps[1]) for p, name in enumerate(PARTS)}
    return _summed(rate, rows, terms)


def step_account(
    before: Sequence[Usage], after: Sequence[Usage], *, hours_before: float, hours_after: float
) -> Account:
    """Return the account of a change of steps per hour: runs, and per run the inferences and the tool calls."""
    runs = [sum(row.trajectories for row in rows) for rows in (before, after)]
    steps = [sum(row.steps for row in rows) for rows in (before, after)]
    tools = [sum(row.tool_steps for row in rows) for rows in (before, after)]
    if min(*runs, *steps) <= 0:
        return Account()
    rate = (runs[0] / hours_before, runs[1] / hours_after)
    terms = {
        "inferences per run": ((steps[0] - tools[0]) / runs[0], (steps[1] - tools[1]) / runs[1]),
        "tool calls per run": (tools[0] / runs[0], tools[1] / runs[1]),
    }
    return _summed(rate, [], terms)


def _summed(
    rate: tuple[float, float],
    products: Sequence[tuple[str, float, float]],
    terms: Mapping[str, tuple[float, float]],
) -> Account:
    """Return the account of runs x factors x a sum of terms."""
    floored = {name: _floored(*term) for name, term in terms.items() if max(term) > 0}
    whole = tuple(math.fsum(term[side] for term in floored.values()) for side in (0, 1))
    spend = [
        rate[side] * math.prod((start, stop)[side] for _, start, stop in products) * whole[side] for side in (0, 1)
    ]
    change = spend[1] - spend[0]
    if abs(change) <= CHANGE_MIN * max(spend):
        return Account()
    mean = logarithmic_mean(spend[1], spend[0]) / change
    rows = [("runs", *rate, math.log(rate[1] / rate[0]))]
    rows += [(name, start, stop, math.log(stop / start)) for name, start, stop in products]
    for name, term in floored.items():
        weight = logarithmic_mean(*term) / logarithmic_mean(whole[0], whole[1])
        rows.append((name, *terms[name], weight * math.log(term[1] / term[0])))
    return Account(
        _sorted(Factor(name, start, stop, mean * effect) for name, start, stop, effect in rows), change=change
    )


def _sorted(factors: Iterable[Factor]) -> tuple[Factor, ...]:
    return tuple(sorted(factors, key=lambda factor: -factor.share))


def _floored(old: float, new: float) -> tuple[float, float]:
    """Return two values of which none is zero where the other is not."""
    return max(old, EMPTY * new), max(new, EMPTY * old)


def logarithmic_mean(a: float, b: float) -> float:
    """Return (a - b) / ln(a / b) of two positive numbers, and their common value where they are equal."""
    if a == b:
        return a
    ratio = math.log(a / b)
    # Near equality the quotient of two tiny numbers loses its digits; the series does not (relative error < 1e-12).
    if abs(ratio) < 1e-5:  # noqa: PLR2004 - ratio^2 / 24 is below the rounding here
        return math.sqrt(a * b) * (1 + ratio * ratio / 24)
    return (a - b) / ratio
