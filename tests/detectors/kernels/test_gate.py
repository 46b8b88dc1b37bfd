from __future__ import annotations

import numpy as np
import pytest
from detectors.fleets import DAY, HOUR, costs, flat, step, time_of

from analyzer.detectors.kernels.amount_baseline import AmountSettings
from analyzer.detectors.kernels.amounts import GATE_MAX, Amounts
from analyzer.detectors.kernels.blocks import Sums, _recurs
from analyzer.detectors.kernels.findings import amount_episodes
from analyzer.detectors.kernels.grid import grid_of
from analyzer.detectors.kernels.walk import Walk

SENSITIVE = AmountSettings(ratio_min=1.3)


def wandering(spread):
    """Return a level that is another one every half day."""
    return np.exp(np.repeat(spread * np.random.default_rng(7).normal(size=40), 12 * HOUR))


def gate_of(level):
    """Return the gate of the last baseline of eighteen days."""
    model = Amounts(grid_of(costs(lambda ticks: level[ticks], per_hour=100), time_of(18 * DAY)), SENSITIVE)
    baseline = Walk(model).run().baseline
    assert baseline is not None
    return baseline.gate


def test_the_gate_stands_above_the_agents_own_drift():
    """A steady agent is held to what its settings say, a wandering one to more, and none to more than 1.8 times."""
    steady, wanders, reels = (gate_of(wandering(spread)) for spread in (0.0, 0.1, 0.4))
    assert steady == 1.3
    assert wanders == pytest.approx(np.exp(0.45), rel=0.2)
    assert reels == GATE_MAX


def test_a_doubling_stands_out_of_any_drift():
    """However much an agent wanders, a doubling is found."""
    onset = 15 * DAY
    drift = wandering(0.15)
    found = amount_episodes(
        costs(lambda ticks: drift[ticks] * step(onset, 1.0, 2.0)(ticks), per_hour=100), time_of(18 * DAY), SENSITIVE
    )
    assert any(abs(one.onset - onset) <= 4 * HOUR for one in found)


@pytest.mark.parametrize(
    ("now", "before", "recurs"), [(2.4, 1.8, True), (3.0, 1.8, False), (1.9, 1.1, False), (1.3, 1.2, True)]
)
def test_a_weekly_job_that_takes_a_third_more(now, before, recurs):
    """What stood out last week is expected up to the gate of this week; what did not, within a quarter."""
    ticks = 8 * DAY
    w = np.full(ticks, 50.0)
    w[ticks - 7 * DAY - 1 - 3 : ticks - 7 * DAY] *= before
    history = Sums.of(np.full(ticks, 50.0), w)
    at = np.array([ticks - 1])
    found = _recurs(np.log([now]), np.zeros(1), history, at, 4, 1.6)
    assert found.tolist() == [recurs]


def test_quiet_where_nothing_moves():
    """A level that does not move raises nothing, at any gate."""
    assert amount_episodes(costs(flat(1.0), per_hour=100), time_of(18 * DAY), SENSITIVE) == []
