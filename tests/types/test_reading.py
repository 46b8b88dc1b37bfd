"""Which of several readings of one thing is shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from analyzer.types.reading import Gate, Reading, deciding
from analyzer.types.report import Finding, Kind, Subject

AT = datetime(2026, 11, 20, tzinfo=UTC)
STEPS = Reading("runaway", Kind.RUNAWAY, Subject("a"), Gate.SCORE, "far", unit="steps", score=2.0, threshold=3.0)
TOKENS = replace(STEPS, unit="tokens", score=2.9)


def finding(unit: str) -> Finding:
    """Return what the detector says of the agent."""
    return Finding("runaway", Kind.RUNAWAY, Subject("a"), AT, AT, AT, 1.0, 1.0, 1.0, 1.0, unit)


def test_the_one_nearest_to_its_threshold_decides() -> None:
    """One detector measures in several ways: what it came nearest to is why it is silent."""
    other = replace(STEPS, subject=Subject("a", "search"))
    assert deciding([STEPS, other, TOKENS]) == (TOKENS, other)
    blank = replace(STEPS, unit="USD", score=None)
    assert deciding([blank, STEPS]) == (STEPS,)


def test_the_one_that_was_found_decides() -> None:
    """Whatever is nearer in figures; of several that were found it is the one that the finding is about."""
    found = replace(STEPS, gate=Gate.FOUND)
    assert deciding([found, TOKENS]) == (found,)
    both = replace(TOKENS, gate=Gate.FOUND)
    assert deciding([found, both]) == (both,)
    assert deciding([found, both], [finding("steps")]) == (found,)
    assert deciding([found, both], [replace(finding("steps"), recovered=AT)]) == (both,)


@given(st.lists(st.builds(replace, st.just(STEPS), subject=st.sampled_from([Subject("a"), Subject("b"), Subject(None)]),
                          gate=st.sampled_from(Gate), score=st.none() | st.floats(0, 9))))  # fmt: skip
def test_every_subject_keeps_exactly_one_of_its_readings(readings: list[Reading]) -> None:
    """Nothing is made up and no subject is lost, whatever the detectors say."""
    chosen = deciding(readings)
    assert [one.subject for one in chosen] == list(dict.fromkeys(one.subject for one in readings))
    assert all(one in readings for one in chosen)
