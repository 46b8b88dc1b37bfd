"""Evaluation: a report is matched with the truth, each incident with at most one fault."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.errors import InputError
from analyzer.simulation.evaluate import ECHOES, EXPECTED, evaluate
from analyzer.simulation.faults import FaultKind, Truth
from analyzer.simulation.scenario import DEFAULT_NOW


def _truth(now, kind=FaultKind.COST_STEP, agent="a", hours=10.0, end=None, traces=("t",)):
    return Truth(kind, agent, None, None, now - timedelta(hours=hours), end, traces)


def _incident(now, name, kind="cost", agent="a", hours=10.0, **more):
    onset = (now - timedelta(hours=hours)).isoformat()
    return {"id": name, "kind": kind, "subject": {"agent": agent}, "onset": onset, "state": "open", **more}


def _report(*incidents):
    return {"schema": "analyzer.report/1", "incidents": list(incidents), "gaps": []}


def test_every_fault_has_kinds_that_name_it():
    """Every kind of fault has at least one kind of incident that names it, and its echoes are listed."""
    assert set(EXPECTED) == set(ECHOES) == set(FaultKind)
    assert all(EXPECTED.values())


def test_a_fault_is_found_with_its_onset_and_delay(now):
    """An incident of the agent, a fitting kind and a near onset finds the fault; error and delay are measured."""
    opened = (now - timedelta(hours=4)).isoformat()
    score = evaluate(_report(_incident(now, "I1", hours=9.5, opened_at=opened)), [_truth(now)])
    (match,) = score.matched
    assert (match.incident_id, match.onset_error_s, match.delay_s) == ("I1", 1800.0, 6 * 3600.0)
    assert (score.missed, score.false, score.recall, score.precision) == ((), (), 1.0, 1.0)


def test_a_fault_of_several_agents_is_one_incident_or_one_and_its_doubles(now):
    """One incident that lists the agents finds it; an incident an agent finds it once, and the others are doubles."""
    truth = replace(_truth(now), also=("b", "c"))
    parts = [{"agent": name} for name in "abc"]
    shared = evaluate(_report(_incident(now, "I1", agent=None, agents=parts)), [truth])
    assert ([match.incident_id for match in shared.matched], shared.echoes, shared.false) == (["I1"], (), ())
    apart = evaluate(_report(*(_incident(now, f"I{name}", agent=name) for name in "abcd")), [truth])
    assert ([match.incident_id for match in apart.matched], apart.echoes, apart.false) == (
        ["Ia"],
        ("Ib", "Ic"),
        ("Id",),
    )


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({}, False),
        ({"subject": {"agent": "a", "version": "2.0.0"}}, True),
        ({"changes": [{"what": "version", "from": "1.9", "to": "2.0.0"}]}, True),
        ({"diagnosis": {"cause": "It began with version 2.0.0."}}, True),
        ({"diagnosis": None, "changes": [{"what": "version", "from": "2.0.0", "to": None}]}, False),
    ],
)
def test_a_cause_is_named_in_subject_change_or_explanation(now, said, named):
    """An incident names a version as its subject, as what it changed to, or in the sentence on the cause."""
    truth = replace(_truth(now), version="2.0.0")
    (match,) = evaluate(_report(_incident(now, "I1", **said)), [truth]).matched
    assert match.named is named


def test_the_model_or_tool_is_the_cause_before_the_version_it_came_with(now):
    """A dearer model shipped with a version must itself be named; a fault with none of them has nothing to be named."""
    switch = replace(_truth(now, FaultKind.MODEL_SWITCH), version="2.0.0", model="dear")
    incident = _incident(now, "I1", subject={"agent": "a", "version": "2.0.0"})
    assert evaluate(_report(incident), [switch]).matched[0].named is False
    assert evaluate(_report(incident), [_truth(now)]).matched[0].named is None


@pytest.mark.parametrize(
    "changes", [{"agent": "b"}, {"agent": None}, {"kind": "silence"}, {"hours": 15.0}, {"state": "dismissed"}]
)
def test_what_does_not_fit_misses_the_fault(now, changes):
    """Another agent, another kind, a far onset or a dismissal leave the fault missed."""
    score = evaluate(_report(_incident(now, "I1", **changes)), [_truth(now)])
    assert score.matched == ()
    assert len(score.missed) == 1
    assert score.false == (() if "state" in changes else ("I1",))
    assert score.recall == 0.0


def test_doubles_and_consequences_are_neither_found_nor_false(now):
    """A second incident of the same fault and one of its consequences are echoes; what began before it is false."""
    incidents = [
        _incident(now, "cost"),
        _incident(now, "tokens", "tokens", hours=9),
        _incident(now, "late", "latency", hours=3),
        _incident(now, "before", "latency", hours=40),
    ]
    score = evaluate(_report(*incidents), [_truth(now)])
    assert score.matched[0].incident_id == "cost"
    assert score.echoes == ("tokens", "late")
    assert score.false == ("before",)
    assert score.precision == 0.5


def test_nothing_echoes_a_fault_that_is_over(now):
    """An incident that begins long after a fault ended is false."""
    truth = _truth(now, hours=30, end=now - timedelta(hours=20))
    score = evaluate(_report(_incident(now, "I1", "latency", hours=2)), [truth])
    assert score.false == ("I1",)


def test_the_nearest_onset_wins(now):
    """Of two faults of one agent each gets the incident whose onset is nearest."""
    truths = [_truth(now, hours=12), _truth(now, hours=10.5)]
    incidents = [_incident(now, "I1", hours=10.4), _incident(now, "I2", hours=11.5)]
    score = evaluate(_report(*incidents), truths)
    assert [(m.incident_id, m.truth) for m in score.matched] == [("I2", truths[0]), ("I1", truths[1])]


def test_an_onset_is_right_within_what_its_finding_calls_possible(now):
    """An onset eight hours late finds the fault where its own interval holds the true one; the error stays as it is."""
    low, high = ((now - timedelta(hours=hours)).isoformat() for hours in (11, 1))
    vague = [{"kind": "cost", "onset_low": low, "onset_high": high}]
    score = evaluate(_report(_incident(now, "I1", hours=2, findings=vague)), [_truth(now)])
    assert [match.onset_error_s for match in score.matched] == [8 * 3600.0]
    other = [{**vague[0], "kind": "tokens"}]
    assert evaluate(_report(_incident(now, "I1", hours=2, findings=other)), [_truth(now)]).matched == ()


def test_faults_that_struck_nothing_cannot_be_missed(now):
    """A fault without any trajectory does not count, a silence does."""
    unseen, silent = _truth(now, traces=()), _truth(now, FaultKind.SILENCE, traces=())
    assert evaluate(_report(), [unseen, silent]).missed == (silent,)


def test_an_empty_report_on_a_healthy_fleet_is_perfect():
    """Where nothing was done and nothing reported, recall and precision are 1."""
    score = evaluate(_report(), [])
    assert (score.recall, score.precision) == (1.0, 1.0)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"schema": "analyzer.report/2", "incidents": []},
        {"schema": "analyzer.report/1"},
        {"schema": "analyzer.report/1", "incidents": 3},
        {"schema": "analyzer.report/1", "incidents": [{}]},
        {"schema": "analyzer.report/1", "incidents": ["x"]},
        {"schema": "analyzer.report/1", "incidents": [{"id": 1, "kind": "loop", "subject": None, "onset": "x"}]},
        {
            "schema": "analyzer.report/1",
            "incidents": [{"id": 1, "kind": "loop", "subject": {"agent": 1}, "onset": "x"}],
        },
    ],
)
def test_documents_that_are_no_report_are_refused(document):
    """A document of another schema, or one whose incidents cannot be read, is an input error."""
    with pytest.raises(InputError, match="evaluate"):
        evaluate(document, [])


@given(
    incidents=st.lists(
        st.tuples(st.sampled_from(("cost", "loop", "errors", "steps")), st.sampled_from("ab"), st.floats(0, 50)),
        max_size=8,
    ),
    faults=st.lists(
        st.tuples(st.sampled_from((FaultKind.COST_STEP, FaultKind.LOOP)), st.sampled_from("ab"), st.floats(0, 50)),
        max_size=6,
    ),
)
def test_nothing_is_counted_twice(incidents, faults):
    """Every fault is matched or missed, every incident is a match, an echo or false, and none is two of these."""
    reported = [_incident(DEFAULT_NOW, str(n), kind, agent, hours) for n, (kind, agent, hours) in enumerate(incidents)]
    truths = [_truth(DEFAULT_NOW, kind, agent, hours) for kind, agent, hours in faults]
    score = evaluate(_report(*reported), truths)
    assert len(score.matched) + len(score.missed) == len(truths)
    names = [match.incident_id for match in score.matched] + [*score.echoes, *score.false]
    assert sorted(names) == sorted(incident["id"] for incident in reported)
