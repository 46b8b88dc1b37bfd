"""Centres and quantiles of histograms: what sorting every value would give."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from analyzer.detectors.kernels.grid import binned_quantile, weighted_quantile
from analyzer.detectors.kernels.spread import binned_centres, centres

BINS = 9
_HOURLY = arrays(np.float64, (24, BINS), elements=st.sampled_from((0.0, 0.0, 1.0, 2.0, 7.0))).filter(np.any)
_X = 0.05 * (np.arange(BINS) + 0.5)


@given(_HOURLY)
def test_centres_of_histograms_are_those_of_their_values(hourly: np.ndarray) -> None:
    """Hour by hour, also where an hour holds nothing, to the last digit."""
    hours, bins = np.nonzero(hourly)

    np.testing.assert_array_equal(binned_centres(_X, hourly), centres(_X[bins], hourly[hours, bins], hours))


@given(_HOURLY, st.floats(0.01, 1.0))
def test_a_quantile_of_a_histogram_is_that_of_its_values(hourly: np.ndarray, share: float) -> None:
    """Bins without weight are never the answer."""
    weights = hourly.sum(axis=0)

    assert binned_quantile(_X, weights, share) == weighted_quantile(_X, weights, share)
