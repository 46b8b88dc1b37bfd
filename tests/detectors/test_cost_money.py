"""What a rise of the cost comes to: the true means and sums, where it is more than a few single runaways."""

from __future__ import annotations

from dataclasses import replace

import pytest
from detectors.fleets import DAY, HOUR, costs, counters_only, step, time_of, window
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from analyzer.detectors.cost import CostDetector
from analyzer.types.metric import TICK_S
from analyzer.types.reading import Gate

DETECTOR = CostDetector()
ONSET = 15 * DAY + 10 * HOUR


def spent_since(series, found):
    """Return what the trajectories cost in fact since the onset of a finding, and how many there were."""
    first = int((found.onset - time_of(0)).total_seconds()) // TICK_S
    return sum(series.total[first:]), sum(series.count[first:])


@settings(max_examples=5, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate))
@given(share=st.floats(0.1, 1.0), factor=st.floats(12.0, 60.0), seed=st.integers(1, 50))
def test_the_excess_is_what_was_spent_less_what_was_expected(share, factor, seed):
    """Whatever share of the trajectories is dear: excess, observed, evidence and the real sum are one figure.

    To the 2.5 % that a value read back from its bin may be off, where the whole distribution has moved.
    """
    series = costs(step(ONSET, 1.0, factor), share=share, seed=seed)
    (found,) = DETECTOR.detect(window(series))
    spent, of = spent_since(series, found)
    rounding = 0.025 if "single runaways capped" in found.note else 1e-6
    assert share > 0.4 or rounding < 0.001
    assert found.excess_usd == pytest.approx(spent - found.baseline * of, rel=1.1 * rounding)
    assert found.value == pytest.approx(found.evidence[0].value, rel=rounding)


def test_counters_tell_the_true_sum_too():
    """Without a distribution a rise that lasts is reported at its true mean as well."""
    series = counters_only(costs(step(ONSET, 1.0, 12.0)))
    (found,) = DETECTOR.detect(window(series))
    spent, of = spent_since(series, found)
    assert found.excess_usd == pytest.approx(spent - found.baseline * of, rel=1e-6)


def test_single_runaways_beside_a_doubling_stay_capped():
    """Two runs at ten thousand times the price beside a doubling have their own incident; the note says so."""
    series = costs(step(ONSET, 1.0, 2.0))
    totals, sketches = list(series.total), list(series.sketches)
    for tick in (ONSET + 20, ONSET + 60):
        totals[tick] += 500.0
        bin_ = 124
        sketches[tick] = {**sketches[tick], bin_: sketches[tick].get(bin_, 0) + 1}
    counts = [count + (tick in (ONSET + 20, ONSET + 60)) for tick, count in enumerate(series.count)]
    (found,) = DETECTOR.detect(window(replace(series, count=counts, total=totals, sketches=tuple(sketches))))
    assert found.value / found.baseline == pytest.approx(2.0, rel=0.15)
    assert "single runaways capped" in found.note


@pytest.mark.parametrize("share", [0.1, 0.4, 1.0])
@pytest.mark.parametrize("form", [lambda series: series, counters_only], ids=["distribution", "counters"])
def test_why_not_and_the_incident_tell_the_same_figures(share, form):
    """While an episode is open, the reading's value and baseline are those of the finding, however few are dear."""
    seen = window(form(costs(step(ONSET, 1.0, 30.0), share=share)))
    (found,) = DETECTOR.detect(seen)
    (one,) = DETECTOR.explain(seen, "a")
    assert one.gate is Gate.FOUND
    assert (one.value, one.baseline) == pytest.approx((found.value, found.baseline), rel=1e-9)
