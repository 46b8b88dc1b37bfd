"""What replies say of a cause: proven and refuted are claims, and each needs its figures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from analyzer.pipeline.proving import fisher, outcome_of
from analyzer.types.diagnosis import Counted, ProofOutcome

COUNTS = st.integers(1, 30).flatmap(lambda of: st.builds(Counted, st.integers(0, of), st.just(of)))


@given(COUNTS, COUNTS)
def test_the_chance_is_that_of_fishers_exact_test(unchanged: Counted, restored: Counted) -> None:
    """For any counts it is what scipy has for the one-sided test."""
    table = [[unchanged.shown, unchanged.of - unchanged.shown], [restored.shown, restored.of - restored.shown]]
    assert fisher(unchanged, restored) == pytest.approx(fisher_exact(table, alternative="greater")[1])


@given(COUNTS, COUNTS)
def test_nothing_is_proven_that_stays_and_nothing_refuted_that_goes(unchanged: Counted, restored: Counted) -> None:
    """A proven fault came at least twice as often with the factor; a refuted one more than half as often without it."""
    outcome, _, _ = outcome_of(unchanged, restored)
    before, since = unchanged.shown / unchanged.of, restored.shown / restored.of
    if outcome is ProofOutcome.PROVEN:
        assert since <= before / 2
    if outcome is ProofOutcome.REFUTED:
        assert since > before / 2
        assert before >= 0.5


@pytest.mark.parametrize(
    ("unchanged", "restored", "outcome"),
    [
        (Counted(5, 5), Counted(1, 5), ProofOutcome.PROVEN),
        (Counted(5, 5), Counted(2, 5), ProofOutcome.CANNOT_JUDGE),
        (Counted(5, 5), Counted(4, 5), ProofOutcome.CANNOT_JUDGE),
        (Counted(5, 5), Counted(5, 5), ProofOutcome.REFUTED),
        (Counted(15, 15), Counted(9, 15), ProofOutcome.CANNOT_JUDGE),
        (Counted(1, 5), Counted(5, 5), ProofOutcome.CANNOT_REPRODUCE),
        (Counted(0, 0), Counted(5, 5), ProofOutcome.CANNOT_REPRODUCE),
        (Counted(5, 5), Counted(0, 0), ProofOutcome.CANNOT_REPRODUCE),
    ],
)
def test_each_outcome_has_its_figures(unchanged: Counted, restored: Counted, outcome: ProofOutcome) -> None:
    """Nothing passes by default: what is between the two claims is neither."""
    assert outcome_of(unchanged, restored)[0] is outcome
