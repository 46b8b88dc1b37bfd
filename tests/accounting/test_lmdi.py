from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.accounting.lmdi import account, logarithmic_mean, step_account, token_account
from analyzer.stores.base import Usage


def usage(model="m", runs=100, steps=800, tokens=80_000, usd=4.0, version="1"):
    """Return amounts of one model in one period."""
    return Usage(
        agent="a",
        version=version,
        model=model,
        trajectories=runs,
        steps=steps,
        inferences=steps // 2,
        input_tokens=tokens * 3 // 4,
        output_tokens=tokens - tokens * 3 // 4,
        cache_read_tokens=0,
        cache_write_tokens=0,
        cost_usd=usd,
        unpriced=0,
    )


def shares(before, after, hours_before=1.0, hours_after=1.0, **kw):
    """Return the shares of an account by factor."""
    factors = account(before, after, hours_before=hours_before, hours_after=hours_after, **kw).factors
    return {factor.factor: factor.share for factor in factors}


def tokens_share(found):
    """Return what the parts of the tokens have together."""
    return math.fsum(share for name, share in found.items() if name.endswith("tokens per step"))


ROW = usage()
FOUND = st.builds(
    usage,
    model=st.sampled_from(["m", "n", "o", None]),
    runs=st.integers(1, 10**6),
    steps=st.integers(1, 10**7),
    tokens=st.integers(0, 10**10),
    usd=st.floats(0, 1e6),
    version=st.sampled_from(["1", "2", None]),
)
PERIOD = st.lists(FOUND, min_size=1, max_size=6)


@given(before=PERIOD, after=PERIOD, hours=st.tuples(st.floats(0.1, 1e3), st.floats(0.1, 1e3)))
def test_shares_sum_to_one(before, after, hours):
    """Whatever changed, the shares are finite and sum to 1 without a residual."""
    found = shares(before, after, *hours)
    if found:
        always = {"runs", "steps per run", "price", "model mix"}
        assert always <= set(found) <= always | {"input tokens per step", "output tokens per step"}
        assert math.fsum(found.values()) == pytest.approx(1.0, abs=1e-9 * (1 + max(abs(v) for v in found.values())))


@pytest.mark.parametrize("times", [0.2, 0.9, 1.3, 5.0])
@pytest.mark.parametrize(
    ("factor", "change"),
    [
        ("runs", lambda row, k: replace(row, trajectories=int(row.trajectories * k), steps=int(row.steps * k))),
        ("steps per run", lambda row, k: replace(row, steps=int(row.steps * k))),
        ("tokens per step", lambda row, k: row),
        ("price", lambda row, k: replace(row, cost_usd=row.cost_usd * k)),
    ],
)
def test_one_factor_alone(factor, change, times):
    """A factor that moves alone gets at least 95 % of the change."""
    rows = [usage("m"), usage("n", usd=40.0)]
    after = [change(row, times) for row in rows]
    if factor != "price":
        after = [
            replace(
                row,
                input_tokens=int(row.input_tokens * times),
                output_tokens=int(row.output_tokens * times),
                cost_usd=row.cost_usd * times,
            )
            for row in after
        ]
    found = shares(rows, after)
    assert (tokens_share(found) if factor == "tokens per step" else found[factor]) == pytest.approx(1.0, abs=0.05)


def test_a_shift_between_models_is_mix():
    """The same work moved to a dearer model is all mix, and no price."""
    before = [usage("cheap", tokens=80_000, usd=1.0), usage("dear", tokens=20_000, usd=4.0)]
    after = [usage("cheap", tokens=20_000, usd=0.25), usage("dear", tokens=80_000, usd=16.0)]
    found = shares(before, after)
    assert found["model mix"] == pytest.approx(1.0, abs=1e-9)
    assert found["price"] == pytest.approx(0.0, abs=1e-9)


def test_a_new_model_is_mix():
    """Work that moves to a model never used before is all mix, in both directions."""
    old, new = [usage("cheap", usd=1.0)], [usage("dear", usd=10.0)]
    assert shares(old, new)["model mix"] == pytest.approx(1.0, abs=1e-6)
    assert shares(new, old)["model mix"] == pytest.approx(1.0, abs=1e-6)


def test_a_new_version_is_no_mix():
    """A new version that takes twice the steps is steps per run; that its name is new is nothing."""
    found = shares([usage(version="1")], [usage(version="2", steps=1600, tokens=160_000, usd=8.0)])
    assert found["steps per run"] == pytest.approx(1.0)
    assert found["model mix"] == pytest.approx(0.0)


def test_more_steps_on_a_new_model_are_more_steps():
    """A version that moves to another model of the same price and takes twice the steps took more steps, no more."""
    found = shares([usage("old")], [usage("new", steps=1600, tokens=160_000, usd=8.0)])
    assert found["steps per run"] == pytest.approx(1.0)
    assert found["model mix"] == pytest.approx(0.0)


def test_doubling_every_cost_changes_no_share():
    """Shares do not depend on the currency."""
    before, after = (
        [usage("m"), usage("n", usd=9.0)],
        [usage("m", steps=900, usd=7.0), usage("n", tokens=99_000, usd=12.0)],
    )
    doubled = [[replace(row, cost_usd=2 * row.cost_usd) for row in rows] for rows in (before, after)]
    assert shares(*doubled) == pytest.approx(shares(before, after))


def test_periods_of_different_length():
    """A week before and an hour after are compared by the hour."""
    week = usage(runs=16_800, steps=134_400, tokens=13_440_000, usd=672.0)
    factors = account([week], [usage(usd=8.0)], hours_before=168, hours_after=1).factors
    assert factors[0].factor == "price"
    assert factors[0].share == pytest.approx(1.0)
    runs = next(factor for factor in factors if factor.factor == "runs")
    assert (runs.from_value, runs.to_value, runs.share) == (100.0, 100.0, 0.0)


def test_values_of_the_factors():
    """From and to are runs per hour, steps per run, tokens per step and USD per token; price and mix meet."""
    by_name = {
        factor.factor: factor
        for factor in account(
            [ROW], [usage(runs=200, steps=3200, tokens=640_000, usd=64.0)], hours_before=1, hours_after=1
        ).factors
    }
    assert (by_name["runs"].from_value, by_name["runs"].to_value) == (100, 200)
    assert (by_name["steps per run"].from_value, by_name["steps per run"].to_value) == (8, 16)
    assert (by_name["input tokens per step"].from_value, by_name["input tokens per step"].to_value) == (75, 150)
    assert (by_name["output tokens per step"].from_value, by_name["output tokens per step"].to_value) == (25, 50)
    assert by_name["price"].to_value == pytest.approx(by_name["model mix"].from_value)
    assert by_name["model mix"].to_value == pytest.approx(1e-4)


def test_per_run():
    """Without hours the account is that of one run and has no runs in it."""
    found = {factor.factor: factor.share for factor in account([ROW], [usage(runs=200, steps=3200, usd=64.0)]).factors}
    assert "runs" not in found
    assert math.fsum(found.values()) == pytest.approx(1.0)


def test_true_numbers_of_runs():
    """A run that used two models stands in two rows; with the true number the account is that of the runs."""
    rows = [usage("m", runs=100), usage("n", runs=100)]
    factors = account(
        rows,
        [replace(row, cost_usd=9.0) for row in rows],
        hours_before=1,
        hours_after=1,
        runs_before=100,
        runs_after=100,
    ).factors
    assert {f.factor: f.from_value for f in factors}["runs"] == 100


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([ROW], [ROW]),
        ([], [ROW]),
        ([ROW], []),
        ([usage(usd=0.0)], [ROW]),
        ([usage(usd=2e-308)], [ROW]),
        ([ROW], [usage(tokens=0, usd=0.0)]),
        ([usage(model=None, tokens=0, usd=0.0)], [ROW]),
    ],
)
def test_no_account(before, after):
    """Nothing changed, or nothing was spent: no account rather than a made-up one."""
    assert account(before, after, hours_before=1, hours_after=1).factors == ()


def test_hours_must_be_positive():
    """A period of no length has no rate."""
    with pytest.raises(ValueError, match="positive hours"):
        account([ROW], [ROW], hours_before=0, hours_after=1)


@given(a=st.floats(1e-9, 1e9), b=st.floats(1e-9, 1e9))
def test_logarithmic_mean_lies_between(a, b):
    """The logarithmic mean is symmetric and lies between its arguments."""
    mean = logarithmic_mean(a, b)
    assert min(a, b) * (1 - 1e-9) <= mean <= max(a, b) * (1 + 1e-9)
    assert mean == pytest.approx(logarithmic_mean(b, a))


def test_work_of_unknown_price_is_a_factor_of_its_own():
    """Half of the tokens that move to a model without a price are no price that fell and no mix that changed."""
    before = [usage("m", usd=4.0)]
    dark = replace(usage("dark", runs=0, steps=0, tokens=40_000, usd=0.0), unpriced=50, unpriced_tokens=40_000)
    found = shares(before, [usage("m", tokens=40_000, usd=2.0), dark])
    assert found["known share"] == pytest.approx(1.0)
    assert [found["price"], found["model mix"], tokens_share(found)] == pytest.approx([0, 0, 0], abs=1e-9)
    assert "known share" not in shares(before, [usage("m", usd=8.0)])


PRICES = {"m": (3e-6, 15e-6, 0.3e-6, 3.75e-6), "n": (1e-6, 2e-6, 0.5e-6, 1e-6)}
"""USD per token by model and part; the ratios of `n` are not the usual ones."""


def period(rng, *, runs=200, steps=6.0, tokens=(800, 200, 3000, 400), price=1.0, mix=0.5, tools=0.5, tool_usd=0.01):
    """Return the rows of one period, made call by call so that the sums of products are those of real calls."""
    amounts = {model: [0.0] * 5 for model in PRICES}
    squares = {model: [[0.0] * 5 for _ in range(5)] for model in PRICES}
    inferences = dict.fromkeys(PRICES, 0)
    for _ in range(int(runs * steps / 2)):
        model = "n" if rng.random() < mix else "m"
        parts = [round(mean * rng.lognormvariate(-0.02, 0.2)) if mean else 0 for mean in tokens]
        usd = price * math.fsum(count * rate for count, rate in zip(parts, PRICES[model], strict=True))
        inferences[model] += 1
        for i, left in enumerate((*parts, usd)):
            amounts[model][i] += left
            for j, right in enumerate((*parts, usd)):
                squares[model][i][j] += left * right
    rows = [
        Usage(
            agent="a",
            version="1",
            model=model,
            trajectories=int(runs / 2),
            steps=int(runs * steps / 2),
            inferences=inferences[model],
            input_tokens=int(sum(amounts[model][i] for i in (0, 2, 3))),
            output_tokens=int(amounts[model][1]),
            cache_read_tokens=int(amounts[model][2]),
            cache_write_tokens=int(amounts[model][3]),
            cost_usd=amounts[model][4],
            unpriced=0,
            squares=tuple(squares[model][i][j] for i in range(5) for j in range(i, 5)),
        )
        for model in PRICES
    ]
    paid = int(runs * tools)
    return [*rows, replace(usage(None, 0, 0, 0, 0.0), inferences=0, tool_calls=paid, tool_usd=paid * tool_usd)]


ONE = {
    "runs": {"runs": 500},
    "steps per run": {"steps": 15.0},
    "input tokens per step": {"tokens": (2400, 200, 3000, 400)},
    "output tokens per step": {"tokens": (800, 600, 3000, 400)},
    "cache read tokens per step": {"tokens": (800, 200, 30000, 400)},
    "cache write tokens per step": {"tokens": (800, 200, 3000, 2400)},
    "price": {"price": 2.5},
    "model mix": {"mix": 0.05},
    "paid tool calls per run": {"tools": 2.0},
    "tool price": {"tool_usd": 0.05},
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("factor", ONE)
def test_one_factor_of_all_alone(factor, seed):
    """Of calls as they come, the factor that moved has at least 95 % of what did not come by chance."""
    rng = random.Random(seed)  # noqa: S311 - a simulation
    before = period(rng, runs=2000)
    runs = {"runs": 5000} if factor == "runs" else {"runs": 2000}
    found = shares(before, period(rng, **{**ONE[factor], **runs}))
    assert math.fsum(found.values()) == pytest.approx(1, abs=1e-6)
    assert found[factor] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("first", "second"), [("price", "output tokens per step"), ("steps per run", "tool price")])
def test_two_factors_share_by_their_logarithms(first, second):
    """Two that move together leave nothing for the others; a doubled price is no more output."""
    rng = random.Random(5)  # noqa: S311 - a simulation
    found = shares(period(rng, runs=2000), period(rng, runs=2000, **ONE[first], **ONE[second]))
    assert found[first] > 0.1
    assert found[second] > 0.1
    assert found[first] + found[second] == pytest.approx(1, abs=0.05)


@given(before=PERIOD, after=PERIOD, turn=st.randoms())
def test_the_order_of_rows_changes_nothing(before, after, turn):
    """Rows are a set: shuffled, the account is the same."""
    found = shares(before, after)
    shuffled = [turn.sample(rows, len(rows)) for rows in (before, after)]
    assert shares(*shuffled) == pytest.approx(found, rel=1e-6, abs=1e-6)


@given(before=PERIOD, after=PERIOD)
def test_shares_of_tokens_and_of_steps_sum_to_one(before, after):
    """The accounts of tokens and of steps are exact as that of spend is."""
    for factors in (
        token_account(before, after, hours_before=1, hours_after=2).factors,
        step_account(before, after, hours_before=1, hours_after=2).factors,
    ):
        if factors:
            tolerance = 1e-9 * (1 + max(abs(one.share) for one in factors))
            assert math.fsum(one.share for one in factors) == pytest.approx(1, abs=tolerance)


def test_the_model_that_moved_is_named():
    """A price that doubled names its model and both prices; a mix that shifted names who gained."""
    before = [usage("m"), usage("n", usd=4.0)]
    dearer = account(before, [usage("m"), usage("n", usd=8.0)])
    assert (dearer.price.model, dearer.price.to_value / dearer.price.from_value) == ("n", pytest.approx(2))
    before = [usage("m", usd=4.0), usage("n", usd=8.0)]
    assert account(before, [usage("m", tokens=40_000, usd=2.0), usage("n", tokens=120_000, usd=12.0)]).gained == "n"
