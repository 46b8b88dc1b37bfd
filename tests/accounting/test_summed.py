"""The accounts of several agents added up."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.accounting.summed import Accounted, summed
from analyzer.types.report import Factor

NAMES = ("runs", "steps per run", "price", "model mix")
_sizes = st.floats(0.01, 100)


@st.composite
def accounts(draw: st.DrawFn) -> Accounted:
    """Return an account of a rise whose shares sum to 1, some of them negative."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    rest = [draw(st.floats(-0.4, 0.6)) for _ in names[1:]]
    shares = [1 - math.fsum(rest), *rest]
    factors = [Factor(name, draw(_sizes), draw(_sizes), share) for name, share in zip(names, shares, strict=True)]
    return Accounted(tuple(factors), draw(_sizes), draw(st.integers(1, 500)))


def effects(one: Accounted) -> dict[str, float]:
    """Return what each factor did, per hour."""
    return {factor.factor: factor.share * one.change for factor in one.factors}


@given(st.lists(accounts(), min_size=1, max_size=6))
def test_the_effects_of_a_factor_add_up_and_the_shares_sum_to_one(parts: list[Accounted]) -> None:
    """Whatever agents there are, the sum has the whole change, each factor's effects, and shares that sum to 1."""
    whole = summed(parts)
    assert whole.change == pytest.approx(math.fsum(one.change for one in parts))
    assert math.fsum(one.share for one in whole.factors) == pytest.approx(1)
    for name, effect in effects(whole).items():
        assert effect == pytest.approx(math.fsum(effects(one).get(name, 0.0) for one in parts), abs=1e-9)


@given(st.lists(accounts(), min_size=2, max_size=6), st.data())
def test_splitting_and_merging_change_no_sum(parts: list[Accounted], data: st.DataObject) -> None:
    """Agents added up in two groups, in any order, give what all of them give at once."""
    shuffled = data.draw(st.permutations(parts))
    at = data.draw(st.integers(1, len(parts) - 1))
    grouped = summed([summed(shuffled[:at]), summed(shuffled[at:])])
    assert effects(grouped) == pytest.approx(effects(summed(parts)), abs=1e-9)
    assert grouped.trajectories == summed(parts).trajectories


def test_ends_are_means_with_the_weights_of_today_and_runs_are_sums() -> None:
    """Three quarters of the trajectories are of the first agent: so are three quarters of both ends of its price."""
    first = Accounted((Factor("price", 1.0, 3.0, 0.8), Factor("runs", 5.0, 6.0, 0.2)), 3.0, 30)
    second = Accounted((Factor("price", 5.0, 7.0, 1.0), Factor("runs", 1.0, 1.0, 0.0)), 1.0, 10)
    price, runs = summed([first, second]).factors
    assert price == Factor("price", 2.0, 4.0, pytest.approx(0.85))
    assert runs == Factor("runs", 6.0, 7.0, pytest.approx(0.15))


def test_runs_that_one_agent_does_not_account_for_have_no_ends() -> None:
    """A sum over some of the agents would look like one over all."""
    first = Accounted((Factor("price", 1.0, 3.0, 0.8), Factor("runs", 5.0, 6.0, 0.2)), 3.0, 30)
    second = Accounted((Factor("price", 5.0, 7.0, 1.0),), 1.0, 10)
    assert [one for one in summed([first, second]).factors if one.factor == "runs"] == [
        Factor("runs", None, None, pytest.approx(0.15))
    ]


def test_nothing_to_account_for_is_no_account() -> None:
    """Without an account, and where one agent's rise is the other's fall, there are no shares."""
    rise = Accounted((Factor("price", 1.0, 2.0, 1.0),), 1.0, 10)
    fall = Accounted((Factor("price", 2.0, 1.0, 1.0),), -1.0, 10)
    assert summed([]).factors == summed([rise, fall]).factors == summed([Accounted((), 0.0, 5)]).factors == ()
