from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.incidents import NOW, finding, incident

from analyzer.notify.reasons import reason
from analyzer.types.report import Incident, Kind, Severity, State, Subject
from analyzer.types.sent import Reason, Sent, figures_of
from analyzer.types.shared import Part
from analyzer.types.word import Said, Word
from analyzer.types.worse import clearly_worse

HOUR = timedelta(hours=1)


def sent(state: State = State.OPEN, severity: Severity = Severity.HIGH, observed: float = 0.31) -> Sent:
    """Return what was said an hour ago."""
    return Sent(Reason.FIRST_SEEN, NOW - HOUR, state, severity, observed)


@pytest.mark.parametrize(
    ("state", "last", "expected"),
    [
        (State.OPEN, None, Reason.FIRST_SEEN),
        (State.ONGOING, None, Reason.FIRST_SEEN),
        (State.RESOLVED, None, Reason.FIRST_SEEN),
        (State.DISMISSED, None, None),
        (State.ONGOING, sent(), None),
        (State.ONGOING, sent(severity=Severity.CRITICAL), None),
        (State.ONGOING, sent(severity=Severity.MEDIUM), Reason.GOT_WORSE),
        (State.ONGOING, sent(observed=0.20), Reason.GOT_WORSE),
        (State.ONGOING, sent(observed=0.21), None),
        (State.ONGOING, sent(observed=0.90), None),
        (State.RESOLVED, sent(), Reason.RESOLVED),
        (State.RESOLVED, sent(State.RESOLVED), None),
        (State.REGRESSED, sent(State.RESOLVED), Reason.REGRESSED),
        (State.ONGOING, sent(State.RESOLVED), Reason.REGRESSED),
        (State.REGRESSED, sent(State.REGRESSED), None),
        (State.DISMISSED, sent(severity=Severity.LOW, observed=0.01), None),
    ],
)
def test_reason_follows_from_the_incident_and_what_was_said(
    state: State, last: Sent | None, expected: Reason | None
) -> None:
    """Each change is worth one message; nothing unchanged, milder or dismissed is worth any."""
    assert reason(incident(state=state), last, at=NOW) is expected


def test_no_agent_gets_worse_while_the_fleet_is_silent() -> None:
    """Nothing is seen of an agent then, alone or among several; the silence itself may get worse, and news is told."""
    worse = incident(state=State.ONGOING)
    assert reason(worse, sent(severity=Severity.MEDIUM, observed=0.1), at=NOW, silent=True) is None
    assert reason(worse, None, at=NOW, silent=True) is Reason.FIRST_SEEN
    parts = tuple(Part(name, "cost", NOW, 0.31, 0.135, "USD", 1, 2, None, 0.5) for name in "ab")
    shared = replace(worse, subject=Subject(model="opus"), agents=parts)
    assert reason(shared, sent(severity=Severity.MEDIUM, observed=0.1), at=NOW, silent=True) is None
    assert reason(shared, sent(severity=Severity.MEDIUM), at=NOW) is Reason.GOT_WORSE
    fleet = incident(state=State.ONGOING, kind=Kind.SILENCE, subject=Subject())
    assert reason(fleet, sent(severity=Severity.MEDIUM), at=NOW, silent=True) is Reason.GOT_WORSE


def shared(*figures: float, kind: str = "cost", **fields: Any) -> Incident:
    """Return an incident that as many agents share, named by letters, each with its figure."""
    parts = tuple(
        Part(name, kind, NOW, figure, 0.1, "USD", 1, 2, None, 1 / len(figures))
        for name, figure in zip("abcdefghijkl", figures, strict=False)
    )
    mean = sum(figures) / len(figures)
    return incident(state=State.ONGOING, subject=Subject(model="opus"), observed=mean, agents=parts, **fields)


def told(one: Incident) -> Sent:
    """Return what is remembered of a message about an incident."""
    when = NOW - HOUR
    return Sent(Reason.FIRST_SEEN, when, one.state, one.severity, one.observed, one.kind, figures_of(one, one.kind))


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (1, 2, Reason.GOT_WORSE),
        (1, 10, Reason.GOT_WORSE),
        (2, 3, Reason.GOT_WORSE),
        (3, 4, None),
        (3, 5, Reason.GOT_WORSE),
        (4, 2, None),
        (4, 4, None),
    ],
)
def test_more_agents_are_worse(before: int, now: int, expected: Reason | None) -> None:
    """Half as many agents again are worth a message, whatever figure and severity are; fewer, or one more, are not."""
    first = replace(incident(subject=Subject("a")), observed=0.2) if before == 1 else shared(*[0.2] * before)
    assert reason(shared(*[0.2] * now), told(first), at=NOW) is expected


def test_a_figure_is_compared_in_the_agents_that_were_spoken_of() -> None:
    """That dearer agents join raises the mean and nobody's cost; what rose in those known is worse, whoever joins."""
    assert reason(shared(0.2, 0.2, 0.2, 2.0), told(shared(0.2, 0.2, 0.2)), at=NOW) is None
    assert reason(shared(0.4, 0.4, 0.4, 0.01), told(shared(0.2, 0.2, 0.2)), at=NOW) is Reason.GOT_WORSE
    assert reason(shared(0.4, 0.01, 0.01), told(shared(0.2, 0.3, 0.3)), at=NOW) is None


def test_figures_of_different_kinds_are_not_compared() -> None:
    """Where another finding leads by now, its figure is no rise of the old one; the old one's own figure may be."""
    cost = incident(subject=Subject("a"), findings=(finding(agent="a", value=0.31),))
    loop = finding(Kind.LOOP, agent="a", value=25.0, unit="repeats")
    led = replace(cost, state=State.ONGOING, kind=Kind.LOOP, observed=25.0, findings=(loop, *cost.findings))
    assert reason(led, told(cost), at=NOW) is None
    dearer = replace(led, findings=(loop, finding(agent="a", value=0.62)))
    assert reason(dearer, told(cost), at=NOW) is Reason.GOT_WORSE
    alone = replace(led, findings=(loop,))
    assert reason(alone, told(cost), at=NOW) is None


def test_what_came_back_and_went_unsaid_is_told() -> None:
    """A resolved incident that returned and was over again between two messages is said to have been back."""
    between = incident(state=State.RESOLVED, onset=NOW - HOUR / 2)
    assert reason(between, sent(State.RESOLVED), at=NOW) is Reason.REGRESSED


@pytest.mark.parametrize(
    ("kind", "before", "now", "worse"),
    [
        (Kind.COST, 0.2, 0.3, True),
        (Kind.COST, 0.2, 0.29, False),
        (Kind.COST, 0.0, 0.1, True),
        (Kind.COST, 0.0, 0.0, False),
        (Kind.COST, float("nan"), 1.0, False),
        (Kind.SUCCESS, 0.2, 0.3, True),
        (Kind.SUCCESS, 0.2, 0.28, False),
        (Kind.SUCCESS, 0.3, 0.1, False),
        (Kind.VOLUME, 0.0, 0.0, False),
        (Kind.METERING, 160.0, 100.0, True),
        (Kind.METERING, 100.0, 160.0, False),
    ],
)
def test_worse_goes_the_way_of_the_kind(kind: Kind, before: float, now: float, worse: bool) -> None:
    """Half as much again is worse; of volume, and of the short side of metering, it is less that is worse."""
    assert clearly_worse(kind, before, now) is worse


def test_nothing_is_sent_before_the_end_of_a_mute_and_what_is_due_then_is() -> None:
    """A muted incident that got worse is told of at the end of the mute, not before."""
    muted = incident(state=State.ONGOING, muted_until=NOW + HOUR)
    last = sent(severity=Severity.LOW, observed=0.1)
    assert reason(muted, last, at=NOW) is None
    assert reason(muted, last, at=NOW + HOUR) is Reason.GOT_WORSE


def test_a_dismissal_that_is_overruled_is_told_whatever_was_said_before_it() -> None:
    """Told at 0.60, dismissed at 0.31, now 0.50: clearly worse than what was dismissed, and said once."""
    overruled = incident(state=State.ONGOING, observed=0.5, word=Word(1, Said.DISMISSED, NOW - HOUR / 2, "jo"))
    before = sent(observed=0.6)
    assert reason(overruled, before, at=NOW) is Reason.GOT_WORSE
    assert reason(overruled, replace(before, at=NOW), at=NOW + HOUR) is None
