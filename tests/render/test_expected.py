from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from render.rewrite import EXPECTED, TEXTS
from support.incidents import NOW, cost_incident, finding, incident

from analyzer.render.message import message_outline
from analyzer.render.outline import incident_outline
from analyzer.render.terminal import terminal
from analyzer.types.report import Affected, Factor, Kind, State
from analyzer.types.sent import Reason


@pytest.mark.parametrize("name", list(TEXTS))
def test_text_is_exactly_as_expected(name: str) -> None:
    """Reports and messages read, to the letter, as in expected/; `python tests/render/rewrite.py` writes them anew."""
    assert TEXTS[name]() == (EXPECTED / name).read_text("utf-8")


def test_nothing_expected_is_forgotten() -> None:
    """Every file in expected/ is compared with something."""
    assert {file.name for file in EXPECTED.iterdir()} == set(TEXTS)


@pytest.mark.parametrize(
    ("affected", "line"),
    [
        (Affected(42, 55), "- hit: 42 of 55 trajectories that called it\n"),
        (Affected(0, 0), "- hit: 300 of 600 calls\n"),
    ],
)
def test_what_a_failing_tool_hits_is_said_in_what_was_counted(affected: Affected, line: str) -> None:
    """Trajectories where they were counted, and else calls, by their own name."""
    failing = finding(Kind.TOOL_ERRORS, tool="run_sql", value=0.5, unit="calls", affected=300, of=600)
    one = incident(kind=Kind.TOOL_ERRORS, findings=(failing,), affected=affected)
    assert line in terminal(incident_outline(one, NOW))


@pytest.mark.parametrize(("acted", "line"), [(0.0, "- acted upon in 0 trajectories"), (2.0, "- acted upon in 2 traj")])
def test_of_an_order_in_data_it_is_said_how_often_it_was_acted_upon(acted: float, line: str) -> None:
    """Of those none is expected: "observed 0, expected 0" would read as if nothing had happened."""
    read = finding(Kind.INJECTION, tool="read_file", value=acted, baseline=0.0, affected=54, of=140)
    fields = {"observed": acted, "expected": 0.0, "ratio": None, "unit": "trajectories"}
    one = incident(kind=Kind.INJECTION, findings=(read,), affected=Affected(54, 140), **fields)
    said = terminal(incident_outline(one, NOW))
    assert line in said
    assert "observed" not in said.partition("|")[0]


def test_an_explanation_of_earlier_figures_says_of_when_it_is() -> None:
    """A kept explanation stands under its date and the figure it was about; one of the same figures needs no date."""
    diagnosis = replace(cost_incident().diagnosis, as_of=NOW - timedelta(hours=4), observed=0.25)
    old = replace(cost_incident(), diagnosis=diagnosis)
    said = "Explained as of 2026-11-23 14:00 UTC, when $0.25 was observed; its figures are of then."
    for text in (terminal(incident_outline(old, NOW)), terminal(message_outline(old, Reason.GOT_WORSE, NOW))):
        assert f"{said}\n\nCause: " in text
    fresh = replace(old, diagnosis=replace(diagnosis, as_of=NOW, observed=0.31))
    assert "Explained as of" not in terminal(incident_outline(fresh, NOW))


def test_what_rules_say_of_a_dismissed_incident_needs_no_date() -> None:
    """It is seen again by each run and its figures stay those that were dismissed: the explanation is of them."""
    diagnosis = replace(cost_incident().diagnosis, by="rules", as_of=NOW - timedelta(days=4), observed=0.31)
    seen = replace(cost_incident(), state=State.DISMISSED, last_seen_at=NOW, diagnosis=diagnosis)
    assert "Explained as of" not in terminal(incident_outline(seen, NOW))
    moved = replace(seen, diagnosis=replace(diagnosis, observed=0.25))
    assert "Explained as of 2026-11-19" in terminal(incident_outline(moved, NOW))


def test_prices_are_read_per_million_tokens() -> None:
    """A factor in USD per token has no zeros to count; every other factor stands as it is."""
    mix = Factor("model mix", 2.7e-7, 3.3e-6, 0.9), Factor("price", None, 1.5e-5, 0.1), Factor("runs", 4.0, 4.2, 0.0)
    text = terminal(incident_outline(incident(account=mix), NOW))
    assert "$0.27 per M tokens" in text
    assert "$3.30 per M tokens" in text
    assert "$15.00 per M tokens" in text
    assert "e-0" not in text
