"""The gate on real incidents of nine kinds: nothing false gets through, and an honest model loses nothing.

`bench/gate.py` says the same of every lie there is, and prints the counts.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain

import pytest
from support.adversary import sly_lies
from support.honest import honest
from support.lies import answer, claim, fact, got_through, lies, truths
from support.paraphrases import paraphrases
from support.simulated import Simulated, simulated

from analyzer.types.diagnosis import Verdict
from analyzer.types.report import Kind

EACH_MAX = 2
"""Lies of one sort tried on one incident: some sorts have hundreds that differ in an id."""


@pytest.fixture(scope="module")
def incidents(tmp_path_factory: pytest.TempPathFactory) -> list[Simulated]:
    """Return the incidents of a small fleet."""
    return simulated(tmp_path_factory.mktemp("lies"))


def test_the_incidents_are_of_many_kinds(incidents: list[Simulated]) -> None:
    """What follows is tried on nine different kinds of incident, each with affected runs and healthy peers."""
    kinds = {one.incident.kind for one in incidents}
    assert kinds >= {Kind.COST, Kind.LOOP, Kind.ERRORS, Kind.TOOL_ERRORS, Kind.SUCCESS, Kind.LATENCY, Kind.RETRIES}
    assert all(one.case.trajectories and one.case.healthy for one in incidents)


def test_no_generated_lie_gets_through(incidents: list[Simulated]) -> None:
    """Of at least 200 ways to lie, each generated from the case, none leaves a trace in the report but its count."""
    through: list[str] = []
    tried = 0
    for one in incidents:
        seen: Counter[str] = Counter()
        for lie in lies(one):
            seen[lie.sort] += 1
            if seen[lie.sort] > EACH_MAX:
                continue
            tried += 1
            if got_through(one, lie):
                through.append(f"{one.incident.kind.value}: {lie.sort}: {lie.text} {lie.claims[:1]} {lie.changes}")
    assert through == []
    assert tried >= 200


def test_an_honest_model_loses_nothing(incidents: list[Simulated]) -> None:
    """True claims in many phrasings, with numbers rounded and units converted as people do, all stand."""
    lost = []
    for one in incidents:
        for true in truths(one):
            gated = one.judge(answer([true]))
            if gated.struck or len(gated.diagnosis.claims) != 1:
                lost.append(f"{one.incident.kind.value}: {true['text']}: {[each.why for each in gated.struck]}")
    assert lost == []


def test_an_inconclusive_answer_says_what_is_missing(incidents: list[Simulated]) -> None:
    """Where the verdict is inconclusive the report names the evidence that would decide it; else it names none."""
    for one in incidents:
        claims = list(truths(one))[:2]
        unsure = one.judge(answer(claims, category="unknown", missing="The logs of the tool would decide it."))
        assert unsure.diagnosis.verdict is Verdict.INCONCLUSIVE
        assert unsure.diagnosis.missing == "The logs of the tool would decide it."
        nothing = one.judge(answer([], missing="An oracle.")).diagnosis
        assert nothing.missing == "A quote from an affected trajectory that shows the cause."
        sure = one.judge(answer(claims, category="tool_failure", missing="Nothing."))
        assert sure.diagnosis.missing == "" or sure.diagnosis.verdict is Verdict.INCONCLUSIVE


def test_there_are_lies_of_every_sort(incidents: list[Simulated]) -> None:
    """The generator has not silently run dry: quotes, places, numbers, names, relations, steps, subjects and signs."""
    sorts = {lie.sort for lie in chain.from_iterable(lies(one) for one in incidents)}
    for word in (
        "altered quote",
        "right quote",
        "number",
        "invented",
        "account",
        "step",
        "unrelated",
        "signs",
        "metric",
    ):
        assert any(word in sort for sort in sorts), word


def test_people_may_say_what_was_found_in_their_own_words(incidents: list[Simulated]) -> None:
    """Of paraphrases that share no word with a fact, at most one in twenty is lost."""
    every = [(one, said) for one in incidents for said in paraphrases(one)]
    lost = [f"{one.incident.kind.value}: {said['text']}" for one, said in every if one.judge(answer([said])).struck]
    assert len(every) >= 100
    assert len(lost) <= len(every) / 20, lost


FOREIGN = {
    Kind.LATENCY: "It goes round in circles.",
    Kind.LOOP: "Replies are chopped at the ceiling.",
    Kind.SUCCESS: "It crawls sluggishly.",
    Kind.TOOL_LATENCY: "It is flaky and crashes.",
    Kind.ERRORS: "It dawdles.",
    Kind.COST: "It is trapped in an endless cycle.",
}
"""True of another kind."""


def test_words_of_another_kind_are_foreign(incidents: list[Simulated]) -> None:
    """What is said of a loop is nothing that the evidence of a latency says, and so on."""
    stands = [
        one.incident.kind
        for one in incidents
        if one.incident.kind in FOREIGN and not one.judge(answer([claim(FOREIGN[one.incident.kind], fact(one))])).struck
    ]
    assert stands == []


def test_nothing_sly_gets_through(incidents: list[Simulated]) -> None:
    """Of 400 lies with nothing invented in them (a wrong unit, end, count, time, cause) none gets through."""
    through: list[str] = []
    sorts: set[str] = set()
    phrasings = 0
    for one in incidents:
        for lie in sly_lies(one):
            if not lie.claims:
                continue
            sorts.add(lie.sort)
            phrasings += 1
            if got_through(one, lie):
                through.append(f"{one.incident.kind.value}: {lie.sort}: {lie.text}")
    assert through == []
    assert len(sorts) >= 17
    assert phrasings >= 400


def test_what_people_say_of_the_figures_stands(incidents: list[Simulated]) -> None:
    """Of figures rounded, hedged, compared, denied and quantified as people do at most one in fifty is lost."""
    every = [(one, said) for one in incidents for said in honest(one)]
    lost = [f"{one.incident.kind.value}: {said['text']}" for one, said in every if one.judge(answer([said])).struck]
    assert len(every) >= 400
    assert len(lost) <= len(every) / 50, lost
