from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.incidents import NOW, cost_incident, finding, full_report, incident, loop_incident, metric, quote

from analyzer.errors import InputError
from analyzer.types.alerts import PrometheusAlert
from analyzer.types.choices import Shifted
from analyzer.types.diagnosis import (
    Claim,
    Counted,
    Diagnosis,
    Ending,
    Proof,
    ProofFactor,
    ProofOutcome,
    Responsible,
    Verdict,
)
from analyzer.types.document import incident_document, incident_from_document, report_document, time_text
from analyzer.types.doubt import Doubt
from analyzer.types.place import Place
from analyzer.types.report import (
    Affected,
    Change,
    Factor,
    Finding,
    Incident,
    Kind,
    MetricEvidence,
    Severity,
    SpanEvidence,
    State,
    Subject,
)
from analyzer.types.shared import Part

DOCS = Path(__file__).parents[2] / "docs" / "schema.md"

TEXTS = st.text(max_size=12)
TIMES = st.datetimes(datetime(2001, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
OPTIONAL_TEXTS = st.none() | TEXTS
SUBJECTS = st.builds(Subject, OPTIONAL_TEXTS, OPTIONAL_TEXTS, OPTIONAL_TEXTS, OPTIONAL_TEXTS)
IDS = st.lists(TEXTS, max_size=3).map(tuple)
POINTERS = st.lists(
    st.builds(SpanEvidence, st.just(""), TEXTS, TEXTS, TEXTS, TEXTS)
    | st.builds(MetricEvidence, st.just(""), TEXTS, TIMES, TIMES, NUMBERS, NUMBERS, TEXTS, st.none() | st.just("a")),
    max_size=4,
).map(lambda entries: tuple(replace(entry, id=f"E{index}") for index, entry in enumerate(entries, start=1)))
PARTS = st.builds(
    Part, TEXTS, TEXTS, TIMES, NUMBERS, NUMBERS, TEXTS, st.integers(0, 9), st.integers(0, 9), NUMBERS, NUMBERS, TEXTS
)
CLAIMS = st.lists(st.builds(Claim, TEXTS, IDS), max_size=2).map(tuple)
COUNTED = st.builds(Counted, st.integers(0, 9), st.integers(0, 9))
PROOFS = st.builds(
    Proof,
    factor=st.sampled_from(ProofFactor),
    steps=st.lists(st.tuples(TEXTS, st.integers(1, 99)), max_size=3).map(tuple),
    times=st.integers(1, 100),
    measure=TEXTS,
    unchanged=COUNTED,
    restored=COUNTED,
    chance=st.none() | NUMBERS,
    outcome=st.sampled_from(ProofOutcome),
    why=TEXTS,
    at=TIMES,
    explained=st.sampled_from(Verdict),
    cost_usd=st.none() | NUMBERS,
)
DIAGNOSES = st.builds(
    Diagnosis,
    proof=st.none() | PROOFS,
    verdict=st.sampled_from(Verdict),
    by=TEXTS,
    ending=st.sampled_from(Ending),
    summary=TEXTS,
    cause=TEXTS,
    claims=CLAIMS,
    responsible=st.none()
    | st.builds(Responsible, OPTIONAL_TEXTS, OPTIONAL_TEXTS, OPTIONAL_TEXTS, st.none() | st.integers(1, 99)),
    actions=IDS,
    check=TEXTS,
    struck_out=st.integers(0, 9),
    note=TEXTS,
    category=TEXTS,
    refutation=TEXTS,
    missing=TEXTS,
)

ALERTS = st.builds(
    PrometheusAlert, TEXTS, TEXTS, OPTIONAL_TEXTS, TIMES, ends_at=st.none() | TIMES, summary=TEXTS, url=TEXTS
)


@st.composite
def incidents(draw: st.DrawFn) -> Incident:
    """Draw any incident whose findings rest on its own evidence."""
    evidence = draw(POINTERS)
    findings = st.builds(
        Finding,
        detector=TEXTS,
        kind=st.sampled_from(Kind),
        subject=SUBJECTS,
        onset=TIMES,
        onset_low=TIMES,
        onset_high=TIMES,
        value=NUMBERS,
        baseline=NUMBERS,
        threshold=NUMBERS,
        score=NUMBERS,
        unit=TEXTS,
        recovered=st.none() | TIMES,
        affected=st.integers(0, 10**9),
        of=st.integers(0, 10**9),
        excess_usd=st.none() | NUMBERS,
        evidence=st.sets(st.sampled_from(evidence)).map(tuple) if evidence else st.just(()),
        trace_ids=IDS,
        note=TEXTS,
        shifted=st.none() | st.builds(Shifted, TEXTS, OPTIONAL_TEXTS, OPTIONAL_TEXTS, OPTIONAL_TEXTS, st.booleans()),
        doubt=st.none() | st.builds(Doubt, TEXTS, st.booleans()),
    )
    return draw(
        st.builds(
            Incident,
            id=TEXTS,
            fingerprint=TEXTS,
            state=st.sampled_from(State),
            severity=st.sampled_from(Severity),
            kind=st.sampled_from(Kind),
            title=TEXTS,
            subject=SUBJECTS,
            onset=TIMES,
            opened_at=TIMES,
            last_seen_at=TIMES,
            observed=NUMBERS,
            expected=NUMBERS,
            ratio=st.none() | NUMBERS,
            unit=TEXTS,
            affected=st.builds(Affected, st.integers(0, 99), st.integers(0, 99)),
            excess_usd=st.none() | NUMBERS,
            findings=st.lists(findings, max_size=2).map(tuple),
            account=st.lists(st.builds(Factor, TEXTS, st.none() | NUMBERS, st.none() | NUMBERS, NUMBERS)).map(tuple),
            changes=st.lists(st.builds(Change, TEXTS, OPTIONAL_TEXTS, OPTIONAL_TEXTS, TIMES), max_size=2).map(tuple),
            trace_ids=IDS,
            healthy_trace_ids=IDS,
            diagnosis=st.none() | DIAGNOSES,
            evidence=st.just(evidence),
            resolved_at=st.none() | TIMES,
            alerts=st.lists(ALERTS, max_size=2).map(tuple),
            owner=TEXTS,
            agents=st.lists(PARTS, max_size=2).map(tuple),
        )
    )


@settings(max_examples=80, deadline=None)
@given(incidents())
def test_incident_survives_the_way_through_json(one: Incident) -> None:
    """An incident written as JSON text and read again is the same incident."""
    text = json.dumps(incident_document(one), allow_nan=False)
    assert incident_from_document(json.loads(text)) == one


def keys(value: object, path: str = "") -> set[str]:
    """Return the paths of all keys of a document: `incidents[].subject.agent`."""
    if isinstance(value, list):
        return set().union(*(keys(entry, f"{path}[]") for entry in value))
    if not isinstance(value, dict):
        return set()
    found = set()
    for name, entry in value.items():
        inner = f"{path}.{name}" if path else name
        found |= {inner, *(keys(entry, inner) if name != "notes" else ())}
    return found


def test_docs_name_every_key_and_no_other() -> None:
    """docs/schema.md describes exactly the keys that a report with everything in it has."""
    written = set(re.findall(r"^\| `([^`]+)` \|", DOCS.read_text("utf-8"), re.MULTILINE))
    whole = full_report()
    first, *others = whole.incidents
    assert first.diagnosis is not None
    proof = Proof(
        ProofFactor.PROMPT, (("0" * 32, 1),), 5, "a loop", Counted(5, 5), Counted(0, 5), 0.004,
        ProofOutcome.PROVEN, "it goes", NOW, Verdict.LIKELY, 0.01,
    )  # fmt: skip
    proven = replace(first, diagnosis=replace(first.diagnosis, proof=proof))
    assert written == keys(report_document(replace(whole, incidents=(proven, *others))))


def test_report_has_the_keys_of_the_contract_in_its_order() -> None:
    """The keys of the contract come first and in its order; ours come after them."""
    document = report_document(full_report())
    assert list(document)[:4] == ["schema", "run", "incidents", "gaps"]
    assert document["schema"] == "analyzer.report/1"
    contract = "trace_id at window duration_s trajectories_seen spans_seen llm"
    assert list(document["run"])[:7] == contract.split()
    contract = (
        "id state severity kind title subject onset opened_at last_seen_at observed expected ratio unit affected "
        "excess_usd account changes findings trace_ids diagnosis evidence"
    )
    assert list(document["incidents"][0])[:21] == contract.split()
    assert document["incidents"][0]["account"][0] == {
        "factor": "tokens per step",
        "from": 1840.0,
        "to": 4120.0,
        "share": 0.94,
    }
    assert document["incidents"][0]["changes"] == [
        {"what": "version", "from": "2.3.1", "to": "2.4.0", "at": "2026-11-23T08:06:00Z"}
    ]
    assert document["incidents"][0]["findings"][0]["evidence"] == ["E1", "E2"]


def test_what_does_not_apply_is_null_not_absent() -> None:
    """An incident without explanation, price or tool has the same keys as one with all of them."""
    bare = incident_document(incident(excess_usd=None, ratio=None))
    full = incident_document(cost_incident())
    assert set(bare) == set(full)
    assert (bare["diagnosis"], bare["excess_usd"], bare["ratio"], bare["resolved_at"]) == (None, None, None, None)
    assert bare["subject"] == {"agent": "support-triage", "version": None, "model": None, "tool": None}


def test_an_owner_is_null_where_nobody_said() -> None:
    """`owner` stands beside `subject`, of the incident and of each agent that shares it; "" would read as a name."""
    part = Part("b", "cost", NOW, 0.3, 0.1, "USD", 1, 2, None, 1.0)
    one = incident_document(incident(owner="@data-team", agents=(part, replace(part, owner="team-b"))))
    assert (one["owner"], [each["owner"] for each in one["agents"]]) == ("@data-team", [None, "team-b"])
    assert incident_document(incident())["owner"] is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_become_null(value: float) -> None:
    """JSON has no NaN: such a number is null, and comes back as NaN where a number is required."""
    one = incident(observed=value, ratio=value, findings=(finding(score=value),))
    text = json.dumps(incident_document(one), allow_nan=False)
    back = incident_from_document(json.loads(text))
    assert math.isnan(back.observed)
    assert math.isnan(back.findings[0].score)
    assert back.ratio is None


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (datetime(2026, 11, 23, 14, 10, tzinfo=UTC), "2026-11-23T14:10:00Z"),
        (datetime(2026, 11, 23, 14, 10, 0, 250_000, tzinfo=UTC), "2026-11-23T14:10:00.250Z"),
        (datetime(2026, 11, 23, 14, 10, 0, 250_001, tzinfo=UTC), "2026-11-23T14:10:00.250001Z"),
        (datetime(2026, 11, 23, 16, 10, tzinfo=timezone(timedelta(hours=2))), "2026-11-23T14:10:00Z"),
        (datetime(2026, 11, 23, 14, 10), "2026-11-23T14:10:00Z"),  # noqa: DTZ001 - the case
    ],
)
def test_times_are_utc_with_z(time: datetime, text: str) -> None:
    """Every time is in UTC with Z, in as few decimals as lose nothing."""
    assert time_text(time) == text


def test_evidence_that_only_a_finding_has_is_listed() -> None:
    """No id in a document dangles: evidence of a finding is listed even where the incident forgot it."""
    document = incident_document(incident(findings=(finding(evidence=(metric("E1"),)),), evidence=(quote("E2"),)))
    assert [entry["id"] for entry in document["evidence"]] == ["E2", "E1"]
    assert incident_from_document(document).findings[0].evidence == (metric("E1"),)


def test_document_of_an_older_release_can_be_read() -> None:
    """A document with the contract's keys alone gives an incident; what it lacks has its plainest value."""
    document = incident_document(loop_incident())
    for name in ("fingerprint", "healthy_trace_ids", "resolved_at", "owner"):
        del document[name]
    extra = ("subject", "onset", "onset_low", "onset_high", "unit", "recovered", "affected", "of", "trace_ids", "note")
    for name in extra:
        del document["findings"][0][name]
    del document["diagnosis"]["note"]
    back = incident_from_document(document)
    assert (back.fingerprint, back.owner) == (back.id, "")
    assert back.findings[0].subject == back.subject
    assert back.findings[0].onset_low == back.onset


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"state": "asleep"}, "'asleep' is not a valid State"),
        ({"onset": "yesterday"}, "Invalid isoformat"),
        ({"onset": 5}, "a text was expected, not 5"),
        ({"observed": "much"}, "a number was expected, not 'much'"),
        ({"owner": 5}, "a text was expected, not 5"),
        ({"observed": True}, "a number was expected, not True"),
        ({"findings": [3]}, "is not subscriptable|no attribute"),
        ({"trace_ids": "abc"}, "a list of texts was expected"),
        ({"evidence": []}, "key 'E1' is missing"),
    ],
)
def test_broken_document_is_refused_by_name(change: dict[str, object], complaint: str) -> None:
    """A document that is none of ours is an InputError that names the incident and what is wrong."""
    document = incident_document(loop_incident()) | change
    with pytest.raises(InputError, match=complaint) as caught:
        incident_from_document(document)
    assert "inc-00000000ab" in str(caught.value)


@pytest.mark.parametrize("document", [[], None, "inc", {}, {"id": 3}])
def test_what_is_no_document_is_refused(document: object) -> None:
    """Anything that is no incident at all is an InputError, never another exception."""
    with pytest.raises(InputError):
        incident_from_document(document)  # type: ignore[arg-type]


def test_run_says_what_the_analyst_itself_cost() -> None:
    """The run of a report holds its window and the use of the model, an unknown price as null."""
    report = full_report()
    unpriced = replace(report, run=replace(report.run, llm=replace(report.run.llm, cost_usd=None)))
    run = report_document(unpriced)["run"]
    assert run["window"] == {"start": "2026-11-22T18:00:00Z", "end": "2026-11-23T18:00:00Z"}
    assert run["at"] == time_text(NOW)
    assert run["llm"]["cost_usd"] is None
    assert run["llm"]["calls"] == 3


def test_places_and_what_is_borne_out_are_kept() -> None:
    """A place and a comparison survive the way through a document; a change that is not borne out has four keys."""
    place = Place((("task", "t1"), ("user", "u3")), "rate", 0.9, 40, 1.0, 2.5, new=False)
    changes = (Change("version", "1", "2", MOMENT, borne_out=True), Change("prompt", "a", "b", MOMENT))
    one = incident(places=(place,), changes=changes)
    document = incident_document(one)
    assert incident_from_document(json.loads(json.dumps(document))) == one
    assert [set(entry) - {"what", "from", "to", "at"} for entry in document["changes"]] == [{"borne_out"}, set()]
    assert document["places"][0]["where"] == {"task": "t1", "user": "u3"}


MOMENT = datetime(2026, 11, 23, 8, 6, tzinfo=UTC)
