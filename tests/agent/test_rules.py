"""The explanation without a model."""

from __future__ import annotations

from dataclasses import replace

import pytest
from agent.cases import (
    HEALTHY,
    ONSET,
    SECOND,
    WORST,
    chat,
    choosing,
    incident,
    looping,
    querying,
    tool,
    trajectory,
    well,
)
from hypothesis import given
from hypothesis import strategies as st

from analyzer.agent.quoting import quotable
from analyzer.agent.rules import ENDINGS, explain
from analyzer.types.choices import Shifted
from analyzer.types.diagnosis import Ending, Verdict
from analyzer.types.messages import readable
from analyzer.types.report import Factor, Kind, SpanEvidence
from analyzer.types.trajectory import Trajectory


def test_a_person_woken_at_night_reads_what_happened():
    """The whole explanation of a cost doubling with a loop in it, word for word."""
    found = explain(incident(), [looping(), looping(SECOND, 12)], [well()])
    diagnosis = found.diagnosis
    assert diagnosis.summary == (
        "support-triage: cost at 0.26 USD per trajectory, expected 0.12 USD per trajectory (2.17x), since about "
        "2026-11-20 14:15 UTC. 312 of 420 are affected. About 43.7 USD were spent beyond what was expected."
    )
    assert diagnosis.cause == (
        "83 % of the change comes from steps per run: from 3.1 to 27.4. It coincides with a change of version from "
        "1.4.1 to 1.4.2, first seen 2026-11-20 14:03 UTC. Trajectory aaaaaaaaaaaa repeats itself from step 2 to "
        "step 26: the same call to lookup_order with the same result 25 times."
    )
    assert diagnosis.claims[1].text == (
        "Trajectory aaaaaaaaaaaa calls lookup_order 26 times, the healthy peers looked at 1 time at most; step 3 is "
        "the first beyond that."
    )
    assert (diagnosis.verdict, diagnosis.category, diagnosis.by) == (Verdict.LIKELY, "loop", "rules")
    assert diagnosis.responsible is not None
    assert diagnosis.responsible.step == 2


def test_every_quote_stands_in_its_span_and_every_id_exists():
    """Evidence of the rules is held to the same gate as a model's."""
    runs = {WORST: looping(), SECOND: looping(SECOND, 12)}
    found = explain(incident(), list(runs.values()), [well()])
    for entry in found.evidence:
        assert isinstance(entry, SpanEvidence)
        assert entry.quote in readable(getattr(runs[entry.trace_id].span(entry.span_id), entry.field))
    ids = {"E1", *(entry.id for entry in found.evidence)}
    assert all(set(one.evidence) <= ids and one.evidence for one in found.diagnosis.claims)


def test_nothing_singled_out_is_inconclusive():
    """Without a change, a main factor, a loop or an error the cause is not named."""
    calm = trajectory([chat(1, "fine"), tool(2, "{}", "ok then"), chat(3, "done")])
    found = explain(incident(account=(), changes=()), [calm], [well()])
    assert found.diagnosis.verdict is Verdict.INCONCLUSIVE
    assert found.diagnosis.cause.startswith("Nothing computed singles out a cause.")
    assert found.diagnosis.category == "unknown"


@pytest.mark.parametrize(
    ("shifted", "said"),
    [
        (
            Shifted("tables", "orders", "orders_archive"),
            "In run_sql the agent picks the table orders_archive instead of orders, in 12 of 40 trajectories.",
        ),
        (
            Shifted("tool", "search", "browse", "find #", worse=True),
            (
                'The agent picks the tool browse instead of search on tasks like "find #", in 12 of 40 trajectories. '
                "Such runs fail more often than runs did before."
            ),
        ),
        (
            Shifted("region", "eu-west", None),
            "In run_sql the agent no longer picks region eu-west, in 12 of 40 trajectories.",
        ),
    ],
    ids=["a table", "a tool, on a kind of task, and worse", "a value that is picked no more"],
)
def test_of_a_shifted_choice_the_cause_says_what_took_the_place_of_what(shifted: Shifted, said: str):
    """The choice was computed: it is the first thing said, on the call that made it and the value it was counted by."""
    diagnosis = explain(choosing(shifted), [querying()], []).diagnosis
    assert diagnosis.cause == said
    assert (diagnosis.claims[0].text, diagnosis.claims[0].evidence) == (said, ("E2", "E1"))
    assert diagnosis.verdict is Verdict.INCONCLUSIVE


def test_of_a_shifted_choice_the_change_before_it_is_said_too():
    """What instead of what, and since which change."""
    shifted = Shifted("tables", "orders", "orders_archive")
    cause = explain(choosing(shifted, changes=incident().changes), [querying()], []).diagnosis.cause
    assert "orders_archive instead of orders, in 12 of 40 trajectories. It coincides with a change of version" in cause


def test_missed_goals_are_not_called_success():
    """Of success the missed goals are measured, and the summary says so."""
    missed = incident(kind=Kind.SUCCESS, observed=0.55, expected=0.3, unit="trajectories", ratio=1.83)
    summary = explain(missed, [], []).diagnosis.summary
    assert summary.startswith(
        "support-triage: missed goals at 55 % of trajectories, expected 30 % of trajectories (1.83x)"
    )


def test_rules_never_confirm():
    """However much coincides, the rules say likely at most."""
    full = incident(account=(Factor("steps per run", 1.0, 30.0, 1.0),), kind=Kind.LOOP)
    assert explain(full, [looping()], [well()]).diagnosis.verdict is Verdict.LIKELY


def test_a_change_outside_the_interval_of_the_onset_is_not_named():
    """What changed a day earlier does not coincide."""
    old = replace(incident().changes[0], at=ONSET.replace(day=19))
    assert "coincides" not in explain(incident(changes=(old,)), [looping()], []).diagnosis.cause


def test_the_commonest_error_is_quoted_numbers_aside():
    """Errors that differ only in numbers count as one."""
    spans = [tool(n, f'{{"n": {n}}}', "", error=f"connection {n} reset by peer") for n in range(1, 6)]
    spans.append(tool(6, "{}", "", error="something else broke"))
    found = explain(incident(kind=Kind.ERRORS), [trajectory(spans)], [])
    assert '"connection 1 reset by peer": 5 of 6 failed steps' in found.diagnosis.claims[0].text


def erring(name: str, said: str) -> Trajectory:
    """Return a run with one call that fails, so that the run misses its goal, or with none."""
    call = tool(2, "{}", "" if said else "ok then", trace_id=name, error=said)
    return trajectory([chat(1, "fine", trace_id=name), call, chat(3, "done", trace_id=name)], name)


@pytest.mark.parametrize(
    ("errors", "usual", "quoted"),
    [
        (["timed out"] * 3, "timed out", False),
        (["timed out", "", ""], "", False),
        (["timed out", "timed out", ""], "", True),
        (["timed out", "timed out", "no such model"], "timed out", False),
    ],
    ids=["healthy runs have it too", "one of three has it", "most have it", "the new one is one run's"],
)
def test_an_error_in_the_background_is_no_cause_of_missed_goals(errors: list[str], usual: str, quoted: bool) -> None:
    """What healthy runs meet as well, or only a few of those that missed their goal, is not quoted beside it."""
    worst = [erring(letter * 32, said) for letter, said in zip("abe", errors, strict=True)]
    missed = incident(kind=Kind.SUCCESS, observed=0.55, expected=0.3, unit="trajectories", account=(), changes=())
    diagnosis = explain(missed, worst, [erring(HEALTHY, usual)]).diagnosis
    assert ("fails with" in diagnosis.cause) is quoted
    assert any("fails with" in claim.text for claim in diagnosis.claims) is quoted


def test_filed_quotes_are_not_filed_twice():
    """A quote that is filed already is cited by its id."""
    first = explain(incident(), [looping()], [])
    again = explain(incident(evidence=(*incident().evidence, *first.evidence)), [looping()], [])
    assert again.evidence == ()
    assert again.diagnosis.claims == first.diagnosis.claims


@pytest.mark.parametrize("ending", list(Ending))
def test_every_ending_has_words(ending: Ending):
    """The note says how the explanation ended."""
    diagnosis = explain(incident(), [looping()], [], ending=ending).diagnosis
    assert (diagnosis.ending, diagnosis.note) == (ending, ENDINGS[ending])


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_is_explained(kind: Kind):
    """No kind of incident leaves the explanation without summary, actions and a check, even with nothing stored."""
    bare = incident(kind=kind, trace_ids=(), findings=(), account=(), changes=(), evidence=(), ratio=None)
    diagnosis = explain(bare, [], []).diagnosis
    assert diagnosis.summary
    assert diagnosis.cause
    assert diagnosis.actions
    assert diagnosis.check == "analyzer incidents show inc-1"


@given(st.text(max_size=400))
def test_a_quotable_line_is_verbatim(text: str):
    """Whatever the text, a line that is quoted stands in it."""
    line = quotable(text)
    assert line is None or line in text


def test_healthy_runs_are_compared_where_nothing_else_speaks():
    """With nothing singled out, the worst run and a healthy peer stand side by side."""
    calm = trajectory([chat(1, "fine"), tool(2, "{}", "ok then"), chat(3, "done")])
    cause = explain(incident(account=(), changes=()), [calm], [well(HEALTHY)]).diagnosis.cause
    assert "3 steps and 2,500 tokens, a healthy peer 3 steps" in cause
