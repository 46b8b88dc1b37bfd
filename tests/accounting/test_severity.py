from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.accounting.severity import severity
from analyzer.types.choices import Shifted
from analyzer.types.report import Finding, Kind, Severity, Subject

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def finding(kind, value, baseline, *, usd=None, affected=100, of=200):
    """Return a finding of the given size."""
    return Finding(
        detector="d",
        kind=kind,
        subject=Subject(agent="a"),
        onset=NOW,
        onset_low=NOW,
        onset_high=NOW,
        value=value,
        baseline=baseline,
        threshold=1.0,
        score=2.0,
        unit="u",
        affected=affected,
        of=of,
        excess_usd=usd,
    )


def chosen(what, *, worse=False, affected=10):
    """Return a finding about another choice."""
    one = finding(Kind.TOOL_CHOICE, 0.9, 0.01, affected=affected)
    return replace(one, shifted=Shifted(what, "a", "b", worse=worse))


@pytest.mark.parametrize(
    ("one", "hours", "expected"),
    [
        (finding(Kind.COST, 1.7, 1.0, usd=0.1), 24, Severity.LOW),
        (finding(Kind.COST, 2.1, 1.0, usd=0.1), 24, Severity.MEDIUM),
        (finding(Kind.COST, 5.0, 1.0, usd=0.1), 24, Severity.HIGH),
        (finding(Kind.COST, 50.0, 1.0, usd=0.1), 24, Severity.HIGH),
        (finding(Kind.COST, 1.7, 1.0, usd=150.0), 24, Severity.HIGH),
        (finding(Kind.COST, 1.7, 1.0, usd=150.0), 2, Severity.CRITICAL),
        (finding(Kind.COST, 1.7, 1.0, usd=15.0), 0.1, Severity.HIGH),
        (finding(Kind.ERRORS, 0.04, 0.01), 5, Severity.LOW),
        (finding(Kind.ERRORS, 0.25, 0.01), 5, Severity.HIGH),
        (finding(Kind.ERRORS, 0.6, 0.01), 5, Severity.CRITICAL),
        (finding(Kind.ERRORS, 0.6, 0.01, affected=6), 5, Severity.MEDIUM),
        (finding(Kind.TOOL_ERRORS, 0.6, 0.01), 5, Severity.HIGH),
        (chosen("tool"), 5, Severity.LOW),
        (chosen("tables", affected=9), 5, Severity.LOW),
        (chosen("tables"), 5, Severity.MEDIUM),
        (chosen("tool", worse=True, affected=9), 5, Severity.MEDIUM),
        (chosen("tool", worse=True), 5, Severity.HIGH),
        (finding(Kind.RETRIES, 0.6, 0.01), 5, Severity.HIGH),
        (finding(Kind.TRUNCATION, 0.06, 0.0001), 5, Severity.MEDIUM),
        (finding(Kind.TRUNCATION, 0.04, 0.0001), 5, Severity.LOW),
        (finding(Kind.SUCCESS, 0.36, 0.33), 5, Severity.LOW),
        (finding(Kind.SUCCESS, 0.55, 0.33), 5, Severity.HIGH),
        (finding(Kind.SILENCE, 0.0, 4.0), 5, Severity.MEDIUM),
        (finding(Kind.SILENCE, 0.0, 40.0), 5, Severity.HIGH),
        (replace(finding(Kind.SILENCE, 0.0, 4.0), subject=Subject()), 2, Severity.HIGH),
        (finding(Kind.LATENCY, 30.0, 12.0), 5, Severity.MEDIUM),
        (finding(Kind.LOOP, 5, 4, usd=0.2, affected=1), 5, Severity.LOW),
        (finding(Kind.LOOP, 40, 4, usd=0.2, affected=1), 5, Severity.MEDIUM),
        (finding(Kind.LOOP, 5, 4, usd=0.2, affected=14), 5, Severity.HIGH),
        (finding(Kind.LOOP, 5, 4, usd=2000.0, affected=1), 24, Severity.CRITICAL),
    ],
)
def test_table(one, hours, expected):
    """The severity follows the table of docs/accounting.md."""
    assert severity(one, hours) is expected


@given(
    kind=st.sampled_from(Kind),
    value=st.floats(0, 1e6),
    usd=st.floats(0, 1e6),
    more=st.floats(1, 100),
    hours=st.floats(0, 1e3),
)
def test_worse_is_never_milder(kind, value, usd, more, hours):
    """A finding with a larger value and more money never has a lower severity."""
    mild = severity(finding(kind, value, 1.0, usd=usd), hours)
    worse = severity(finding(kind, value * more, 1.0, usd=usd * more), hours)
    assert worse.rank >= mild.rank


@pytest.mark.parametrize(
    ("one", "last", "expected"),
    [
        (finding(Kind.ERRORS, 0.52, 0.01), Severity.HIGH, Severity.HIGH),
        (finding(Kind.ERRORS, 0.56, 0.01), Severity.HIGH, Severity.CRITICAL),
        (finding(Kind.ERRORS, 0.47, 0.01), Severity.CRITICAL, Severity.CRITICAL),
        (finding(Kind.ERRORS, 0.44, 0.01), Severity.CRITICAL, Severity.HIGH),
        (finding(Kind.ERRORS, 0.60, 0.01), Severity.LOW, Severity.CRITICAL),
        (finding(Kind.COST, 2.01, 1.0), Severity.LOW, Severity.LOW),
        (finding(Kind.COST, 1.99, 1.0), Severity.MEDIUM, Severity.MEDIUM),
        (finding(Kind.COST, 1.0, 1.0, usd=104.0), Severity.MEDIUM, Severity.MEDIUM),
        (finding(Kind.LOOP, 5, 4, affected=10), Severity.MEDIUM, Severity.MEDIUM),
        (finding(Kind.LOOP, 5, 4, affected=11), Severity.MEDIUM, Severity.HIGH),
    ],
)
def test_what_is_known_changes_only_where_it_is_clearly_beyond_the_threshold(one, last, expected):
    """A tenth beyond a threshold raises, a tenth below it lowers; between the two the last severity stays."""
    assert severity(one, 24, last) is expected


@given(
    kind=st.sampled_from(Kind),
    value=st.floats(0, 1e6),
    usd=st.floats(0, 1e6),
    hours=st.floats(0, 1e3),
    last=st.sampled_from(Severity),
)
def test_the_severity_settles(kind, value, usd, hours, last):
    """The same finding seen again keeps the severity it was given, and a new one is always taken at its own."""
    one = finding(kind, value, 1.0, usd=usd)
    given_ = severity(one, hours, last)
    assert severity(one, hours, given_) is given_
    assert severity(one, hours, severity(one, hours)) is severity(one, hours)


@given(value=st.floats(allow_nan=True), hours=st.floats(0, 1e3))
def test_any_number_is_survived(value, hours):
    """No value, not even NaN, raises."""
    assert severity(finding(Kind.COST, value, 1.0), hours) in Severity


@pytest.mark.parametrize(("value", "baseline"), [(0.0, 400.0), (163.0, 200.0), (100.0, 1e6)])
def test_metrics_and_traces_that_disagree_are_low(value, baseline):
    """Whatever is missing on one side, nobody is woken for books that do not balance."""
    assert severity(finding(Kind.METERING, value, baseline), 48.0) is Severity.LOW
