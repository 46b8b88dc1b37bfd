"""Which incidents a model is asked about, in which order, how often, and what becomes of the answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from support.incidents import NOW, finding, incident

from analyzer.pipeline.investigated import investigated, out_of_budget, unpriced
from analyzer.pipeline.memory import Memory
from analyzer.pipeline.proof import with_proof
from analyzer.types.diagnosis import Counted, Diagnosis, Ending, Proof, ProofFactor, ProofOutcome, Verdict
from analyzer.types.explained import Explained
from analyzer.types.report import Change, Gap, Incident, Kind, Severity, State
from analyzer.types.spending import ModelUse, Unlimited

HOUR = timedelta(hours=1)


def diagnosis(by: str, ending: Ending, note: str = "") -> Diagnosis:
    """Return an explanation."""
    return Diagnosis(Verdict.LIKELY, by, ending, f"said by {by}", "cause", (), None, (), "", 0, note=note)


@dataclass
class Scripted:
    """An explainer that notes whom it was asked about and ends as it was told; `calls` is what each costs."""

    ending: Ending = Ending.ANSWERED
    calls: int = 1
    cost_usd: float | None = 0.1
    asked: list[str] = field(default_factory=list)

    def explain(self, one: Incident, **_options: Any) -> Explained:
        """Explain as a model that ends so."""
        self.asked.append(one.id)
        by = "m1" if self.ending is Ending.ANSWERED else "rules"
        note = "" if by == "m1" else f"it ended {self.ending}"
        use = ModelUse(calls=self.calls, cost_usd=self.cost_usd)
        return Explained(diagnosis(by, self.ending, note), (), use)

    def explain_by_rules(self, one: Incident) -> Explained:
        """Explain by rules."""
        return Explained(diagnosis("rules", Ending.OFF), (), ModelUse())


class Fleet:
    """Runs the phase again and again over one memory."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.at = NOW

    def run(self, explainer: Scripted, *incidents: Incident, most: int = 3) -> tuple[list[Incident], ModelUse]:
        """Do one run: what triage would give, then the phase, then the memory."""
        known = {one.id: one for one in self.memory.incidents()}
        seen = []
        for one in incidents:
            last = known.get(one.id)
            kept = last.diagnosis if last is not None and last.diagnosis and not last.diagnosis.by_rules else None
            state = State.OPEN if last is None else State.ONGOING
            seen.append(replace(one, state=state, diagnosis=kept, opened_at=last.opened_at if last else self.at))
        app = SimpleNamespace(
            incidents=self.memory,
            explainer=explainer,
            investigations_max=most,
            budget_usd=1.0,
            history=timedelta(days=28),
            purse=Unlimited(),
        )
        done, use = investigated(app, seen, self.at)
        self.memory.save_incidents(done, run_trace_id="r")
        self.at += HOUR
        return list(done), use


def one(number: int = 1, **changes: Any) -> Incident:
    """Return an incident."""
    return incident(id=f"inc-000000000{number}", **changes)


def test_the_first_in_the_order_are_asked_about_up_to_the_limit() -> None:
    """Incidents come worst first; beyond the limit rules explain, and the next run asks about those."""
    fleet, model = Fleet(), Scripted()
    three = [one(number) for number in (1, 2, 3)]
    done, use = fleet.run(model, *three, most=2)
    assert model.asked == ["inc-0000000001", "inc-0000000002"]
    assert [each.diagnosis.by for each in done] == ["m1", "m1", "rules"]
    assert (use.calls, use.cost_usd) == (2, 0.2)
    fleet.run(model, *three, most=2)
    assert model.asked[2:] == ["inc-0000000003"]
    fleet.run(model, *three, most=2)
    assert len(model.asked) == 3


def test_new_facts_are_asked_about_and_nothing_twice() -> None:
    """A worse severity, a new kind of finding and a figure half as much again are each asked about once."""
    fleet, model = Fleet(), Scripted()
    forms = [
        one(severity=Severity.MEDIUM, observed=0.3),
        one(severity=Severity.HIGH, observed=0.3),
        one(severity=Severity.MEDIUM, observed=0.3),
        one(severity=Severity.HIGH, observed=0.3),
        one(severity=Severity.HIGH, observed=0.3, findings=(finding(), finding(Kind.LOOP))),
        one(severity=Severity.HIGH, observed=0.44),
        one(severity=Severity.HIGH, observed=0.46),
        one(severity=Severity.HIGH, observed=0.46),
    ]
    asked = []
    for form in forms:
        before = len(model.asked)
        fleet.run(model, form)
        asked.append(len(model.asked) > before)
    assert asked == [True, True, False, False, True, False, True, False]


def test_a_refusal_is_not_asked_for_twice_and_new_facts_still_are() -> None:
    """The same would be spent for the same; another severity is another question."""
    fleet, model = Fleet(), Scripted(Ending.REFUSED)
    for form in (one(severity=Severity.MEDIUM),) * 3:
        [done], _ = fleet.run(model, form)
    assert len(model.asked) == 1
    assert (done.diagnosis.by, done.diagnosis.ending) == ("rules", Ending.REFUSED)
    fleet.run(model, one(severity=Severity.CRITICAL))
    assert len(model.asked) == 2


def test_without_a_budget_for_one_call_it_is_asked_later() -> None:
    """A limit that let no call through leaves the question open; one that stopped a conversation does not."""
    for calls, asked in ((0, 3), (4, 1)):
        fleet, model = Fleet(), Scripted(Ending.USD, calls=calls)
        for _ in range(3):
            fleet.run(model, one())
        assert len(model.asked) == asked


def test_a_models_explanation_outlives_a_later_failure() -> None:
    """Asked about new facts without an answer, the older explanation stays and says what it was asked again for."""
    fleet = Fleet()
    fleet.run(Scripted(), one(severity=Severity.MEDIUM))
    failing = Scripted(Ending.USD, calls=0)
    [done], _ = fleet.run(failing, one(severity=Severity.HIGH))
    assert (done.diagnosis.by, done.diagnosis.as_of) == ("m1", NOW)
    assert done.diagnosis.note == "asked again because of severity high: it ended usd"
    later = Scripted()
    [done], _ = fleet.run(later, one(severity=Severity.HIGH))
    assert (len(later.asked), done.diagnosis.note, done.diagnosis.as_of) == (1, "", NOW + 2 * HOUR)


def test_an_explanation_beyond_the_limit_is_kept() -> None:
    """What a model said is not thrown away because there were new facts and no investigation left for them."""
    fleet = Fleet()
    fleet.run(Scripted(), one(severity=Severity.MEDIUM))
    [done], _ = fleet.run(Scripted(), one(severity=Severity.HIGH), most=0)
    assert done.diagnosis.by == "m1"


def test_a_document_of_an_older_release_is_asked_about_only_when_it_gets_worse() -> None:
    """Where the facts asked about were not kept, those of the last run stand in for them."""
    fleet, model = Fleet(), Scripted()
    [done], _ = fleet.run(model, one(severity=Severity.MEDIUM))
    fleet.memory.save_incidents([replace(done, diagnosis=replace(done.diagnosis, basis=()))], run_trace_id="r")
    fleet.run(model, one(severity=Severity.MEDIUM))
    assert len(model.asked) == 1
    fleet.run(model, one(severity=Severity.HIGH))
    assert len(model.asked) == 2


def test_the_report_says_that_a_limit_was_reached() -> None:
    """One note, with how many it concerns and which limit; none where none was reached."""
    fleet = Fleet()
    done, _ = fleet.run(Scripted(Ending.TOKENS, calls=0), one(1), one(2))
    said = "2 incidents were explained by rules, because a limit was reached: it ended tokens"
    assert out_of_budget(done, NOW) == {"budget": said}
    done, _ = fleet.run(Scripted(), one(1), one(2))
    assert out_of_budget(done, NOW + HOUR) == {}


def test_a_model_without_a_price_is_a_gap() -> None:
    """Limits in USD cannot hold then: the report says so and what to set; without a call there is nothing to say."""
    [gap] = unpriced(ModelUse(calls=2, cost_usd=None))
    assert gap == Gap(
        "what explaining costs",
        "the analyst's own model has no known price: its limits in USD cannot hold, those in tokens do",
        "set the price of ANALYZER_MODEL under [prices] in analyzer.toml",
    )
    assert unpriced(ModelUse(calls=2, cost_usd=0.1)) == unpriced(ModelUse()) == ()


PROOF = Proof(
    ProofFactor.PROMPT, (("0" * 32, 1),), 5, "a call made before", Counted(5, 5), Counted(0, 5), 0.004,
    ProofOutcome.PROVEN, "it goes with the factor", NOW, Verdict.LIKELY, 0.01,
)  # fmt: skip


def test_a_proof_stays_while_the_explanation_is_the_same() -> None:
    """Rules explain anew in each run, and what was proven of the same cause stays; with another change it is gone."""
    fleet, rules = Fleet(), Scripted(Ending.OFF, 0)
    changed = one(changes=(Change("prompt", "v1", "v2", NOW),))
    [first], _ = fleet.run(rules, changed, most=0)
    assert first.diagnosis is not None
    fleet.memory.save_incidents([replace(first, diagnosis=with_proof(first.diagnosis, PROOF))], run_trace_id="r")
    [again], _ = fleet.run(rules, changed, most=0)
    assert again.diagnosis is not None
    assert (again.diagnosis.verdict, again.diagnosis.proof) == (Verdict.CONFIRMED, PROOF)
    [other], _ = fleet.run(rules, one(changes=(Change("prompt", "v1", "v3", NOW),)), most=0)
    assert other.diagnosis is not None
    assert (other.diagnosis.verdict, other.diagnosis.proof) == (Verdict.LIKELY, None)
