"""When the same incident is another question: new facts, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.incidents import finding, incident

from analyzer.types.basis import facts_of, joined, new_facts
from analyzer.types.place import Place
from analyzer.types.report import Kind, Severity, Subject

BEFORE = incident(severity=Severity.MEDIUM, observed=0.3, subject=Subject("support-triage", version="2.3.1"))
SLICE = Place((("version", "2.4.0"), ("user", "u7")), "rate", 0.9, 40, 0.1, 0.3, new=True)


def test_the_facts_of_an_incident_are_readable() -> None:
    """Severity, figure, findings and place, a text each."""
    assert facts_of(replace(BEFORE, places=(SLICE,))) == (
        "severity medium",
        "observed 0.3 USD",
        "cost of support-triage",
        "version 2.3.1",
        "version 2.4.0",
        "user u7",
    )


@pytest.mark.parametrize(
    ("now", "fresh"),
    [
        (BEFORE, ()),
        (replace(BEFORE, severity=Severity.HIGH), ("severity high",)),
        (replace(BEFORE, severity=Severity.LOW), ()),
        (replace(BEFORE, observed=0.44), ()),
        (replace(BEFORE, observed=0.45), ("observed 0.45 USD",)),
        (replace(BEFORE, observed=0.1), ()),
        (replace(BEFORE, findings=(finding(), finding(Kind.LOOP, tool="look"))), ("loop of support-triage / look",)),
        (replace(BEFORE, subject=Subject("support-triage", version="2.4.0")), ("version 2.4.0",)),
        (replace(BEFORE, subject=Subject("support-triage", version="2.3.1", model="m2")), ("model m2",)),
        (replace(BEFORE, places=(SLICE,)), ("version 2.4.0", "user u7")),
    ],
    ids=["same", "severer", "milder", "creeping", "half more", "less", "finding", "version", "model", "slice"],
)  # fmt: skip
def test_what_is_new(now, fresh) -> None:
    """A higher severity, a clearly worse figure, another finding, version, model or slice are new; less is not."""
    assert new_facts(now, facts_of(BEFORE)) == fresh


def test_a_figure_that_creeps_is_held_against_what_was_asked_about() -> None:
    """Ten per cent a run is new once it is half as much again as when a model was asked, not never."""
    asked, seen = facts_of(BEFORE), []
    for step in range(1, 8):
        now = replace(BEFORE, observed=0.3 * 1.1**step)
        if new_facts(now, asked):
            seen.append(step)
            asked = joined(asked, now)
    assert seen == [5]


one = st.builds(
    lambda severity, observed, kinds, version: replace(
        BEFORE,
        severity=severity,
        observed=observed,
        findings=tuple(finding(kind) for kind in kinds),
        subject=Subject("support-triage", version=version),
    ),
    st.sampled_from(list(Severity)),
    st.floats(0, 1e6),
    st.lists(st.sampled_from([Kind.COST, Kind.LOOP, Kind.ERRORS]), min_size=1, max_size=3),
    st.sampled_from([None, "1", "2"]),
)


@given(st.lists(one, min_size=1, max_size=8))
def test_nothing_is_asked_twice(forms) -> None:
    """Whatever forms an incident takes, coming and going: once it was asked about, the same form is never new again."""
    asked: tuple[str, ...] = ()
    for form in forms:
        asked = joined(asked, form)
    assert [new_facts(form, asked) for form in forms] == [()] * len(forms)
