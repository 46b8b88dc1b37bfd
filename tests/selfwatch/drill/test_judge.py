"""What counts as found: the right agent, the fault's own kind among the findings, the right time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.incidents import ONSET, finding, incident

from analyzer.selfwatch.drill.cast import Planted
from analyzer.selfwatch.drill.faults import FAULTS
from analyzer.selfwatch.drill.judge import judge
from analyzer.types.report import Finding, Incident, Kind, Subject

AGENT = "support-triage"


def planted(kind: Kind) -> Planted:
    """Return a fault of the agent."""
    return Planted(kind, AGENT, None, ONSET, 0, FAULTS[kind].witnesses)


def found_by(*detectors: str, agent: str | None = AGENT, late: timedelta = timedelta(0)) -> list[Finding]:
    """Return a finding of each of these detectors."""
    return [
        replace(finding(Kind.COST if name == "price" else Kind(name), agent, onset=ONSET + late), detector=name)
        for name in detectors
    ]


WITNESSED = [(kind, name) for kind, fault in FAULTS.items() for name in fault.witnesses]
"""Every detector that a fault must be seen by, with the fault's kind."""


def filed(
    *kinds: Kind, lead: Kind | None = None, agent: str | None = AGENT, late: timedelta = timedelta(0)
) -> Incident:
    """Return an incident with findings of these kinds, led by the first or another."""
    found = tuple(finding(kind, agent, onset=ONSET + late) for kind in kinds)
    return replace(
        incident(),
        kind=lead or kinds[0],
        subject=Subject(agent=agent),
        onset=ONSET + late,
        opened_at=ONSET + late + timedelta(hours=4),
        findings=found,
        agents=(),
    )


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.value)
def test_a_fault_is_found_by_a_finding_of_its_own_kind_whatever_leads(kind) -> None:
    """An incident that something else leads has found it too, and says how long that took."""
    verdict = judge([filed(Kind.COST, kind, lead=Kind.COST)], [planted(kind)], ()).verdicts[0]
    assert verdict.incident is not None
    assert verdict.delay == timedelta(hours=4)


@given(kind=st.sampled_from(sorted(FAULTS)), others=st.lists(st.sampled_from(sorted(Kind)), min_size=1, max_size=6))
def test_no_detector_hides_behind_another(kind, others) -> None:
    """Without a finding of its own kind a fault is missed, however many others stand in its place."""
    rest = [other for other in others if other is not kind]
    incidents = [filed(*rest)] if rest else []
    assert judge(incidents, [planted(kind)], ()).verdicts[0].incident is None


@pytest.mark.parametrize(("kind", "blind"), WITNESSED, ids=[f"{kind.value}-{name}" for kind, name in WITNESSED])
def test_each_detector_that_must_see_a_fault_is_missed_by_name(kind, blind) -> None:
    """All others may have seen it and an incident may tell of it: a fault that one detector missed is not found."""
    seeing = [name for name in FAULTS[kind].witnesses if name != blind]
    told = replace(filed(kind), findings=tuple(replace(one, detector="other") for one in filed(kind).findings))
    verdict = judge([told], [planted(kind)], (), found_by(*seeing)).verdicts[0]
    assert (verdict.incident is not None, verdict.unseen, verdict.is_found) == (True, (blind,), False)
    whole = judge([told], [planted(kind)], (), found_by(*seeing, blind)).verdicts[0]
    assert (whole.unseen, whole.is_found) == ((), True)


@pytest.mark.parametrize(
    "wrong", [{"agent": "billing-agent"}, {"late": timedelta(hours=3)}, {"agent": None}], ids=["agent", "time", "fleet"]
)
def test_what_a_detector_says_of_another_agent_or_time_is_no_sight_of_the_fault(wrong) -> None:
    """A finding of the right detector about something else leaves it blind for this fault."""
    findings = [*found_by("price"), *found_by("cost", **wrong)]
    told = replace(filed(Kind.COST), findings=tuple(found_by("price")))
    assert judge([told], [planted(Kind.COST)], (), findings).verdicts[0].unseen == ("cost",)


def test_what_an_incident_holds_from_before_the_fault_is_no_sight_of_it() -> None:
    """An incident that was open already takes the fault in: what began it is dated otherwise, and has not seen this."""
    before = timedelta(hours=-9)
    old = replace(filed(Kind.COST, late=before), findings=(*found_by("cost", late=before), *found_by("price")))
    verdict = judge([old], [planted(Kind.COST)], ()).verdicts[0]
    assert (verdict.incident, verdict.unseen) == (old, ("cost",))
    same = replace(old, onset=ONSET)
    assert judge([same], [planted(Kind.COST)], ()).verdicts[0].unseen == ()


@pytest.mark.parametrize(
    "wrong",
    [
        filed(Kind.COST, agent="billing-agent"),
        filed(Kind.COST, late=timedelta(hours=3)),
        filed(Kind.COST, late=timedelta(hours=-3)),
        filed(Kind.COST, agent=None),
    ],
    ids=["another agent", "too late", "too early", "the fleet"],
)
def test_the_wrong_agent_or_time_finds_nothing(wrong) -> None:
    """An incident of another agent, or dated more than two hours off its interval, is no find."""
    assert judge([wrong], [planted(Kind.COST)], ()).verdicts[0].incident is None


def test_what_is_neither_planted_nor_a_consequence_is_false() -> None:
    """Consequences and what was there before count neither way; another agent's incident is false."""
    echo = replace(filed(Kind.SUCCESS), id="inc-echo")
    other = replace(filed(Kind.SUCCESS, agent="billing-agent"), id="inc-other")
    known = replace(filed(Kind.LATENCY, agent="sql-analyst"), id="inc-known", fingerprint="known")
    judged = judge([filed(Kind.ERRORS), echo, other, known], [planted(Kind.ERRORS)], {"known"})
    assert [one.id for one in judged.false] == ["inc-other"]


def test_the_silence_of_the_only_agent_is_that_of_the_fleet() -> None:
    """Where the shadow has one agent an incident without an agent is about it."""
    fleet = filed(Kind.SILENCE, agent=None)
    assert judge([fleet], [planted(Kind.SILENCE)], (), is_alone=True).verdicts[0].incident is not None
    assert judge([fleet], [planted(Kind.SILENCE)], ()).verdicts[0].incident is None
