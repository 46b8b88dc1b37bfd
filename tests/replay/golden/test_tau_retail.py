"""Golden cases of real failed runs, with what their labels say as the human's word.

The data has one run a task. The passing run of the same task is therefore the label itself, played out: its calls and
its answers. What must not be called again is held against every run that really passed as well.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.golden import Labelled, labelled, seen
from support.stored import imported

from analyzer.masking import Masker
from analyzer.replay.golden.accepting import accepted, check_case
from analyzer.replay.golden.case import case_document, case_from
from analyzer.replay.golden.observed import Observed
from analyzer.replay.golden.running import Verdict, tried
from analyzer.types.trace import Outcome

AT = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture(scope="module")
def recordings(shared_data: Path) -> Path:
    """The file of recorded runs."""
    return shared_data / "agentrx" / "tau_retail" / "tau_dataset_dev.json"


def runs_of(recordings: Path) -> list[Observed]:
    """Return the recorded runs as they are judged, in the order of the file."""
    return [seen(list(one.spans)) for one in imported(json.loads(recordings.read_bytes())).trajectories]


def reference_of(one: Labelled) -> Observed:
    """Return the label of a run, played out."""
    return seen(list(imported(one.reference, source="label").one.spans))


def test_cases_of_failed_runs_are_red_on_them_and_green_on_right_ones(recordings: Path) -> None:
    """All 13 failed runs become cases that their files alone prove; a second reading judges as the first."""
    runs, mask = runs_of(recordings), Masker(b"k" * 32).text
    made = 0
    for one in labelled(recordings):
        bad, right = runs[one.number], reference_of(one)
        case = accepted(bad, right, one.expectations, at=AT, mask=mask)
        again = case_from(json.loads(json.dumps(case_document(case))), case.name)
        check_case(again)
        assert (tried(again, bad).verdict, tried(again, right).verdict) == (Verdict.RED, Verdict.GREEN), case.name
        assert again.concerns(right)
        assert 1 <= len(case.shrunk) <= len(one.expectations) + 1, "a call each, or the last answer"
        made += 1
    assert made == sum(run.outcome is Outcome.FAILURE for run in runs) == 13


def test_what_must_not_be_done_again_was_done_by_no_run_that_passed(recordings: Path) -> None:
    """Six failed runs changed what they must not: each is a case that all 23 runs that passed are green on."""
    runs, mask = runs_of(recordings), Masker(b"k" * 32).text
    passed = [run for run in runs if run.outcome is Outcome.SUCCESS]
    assert len(passed) == 23
    made = 0
    for one in labelled(recordings):
        if one.barred:
            case = accepted(runs[one.number], passed[0], one.barred, at=AT, mask=mask)
            assert {tried(case, run).verdict for run in passed} == {Verdict.GREEN}
            made += 1
    assert made == 6
