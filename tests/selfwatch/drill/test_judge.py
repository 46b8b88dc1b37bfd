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
from analyzer.types.report import Incident, Kind, Subject

AGENT = "support-triage"


def planted(kind: Kind) -> Planted:
    """Return a fault of the agent."""
    return Planted(kind, AGENT, None, ONSET, 0)


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
