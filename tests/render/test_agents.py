"""An incident that several agents share, as people read it: who has which part, worst first."""

from __future__ import annotations

from support.incidents import NOW, ONSET, incident

from analyzer.render.markdown import markdown
from analyzer.render.message import message_outline
from analyzer.render.outline import incident_outline
from analyzer.types.report import Affected, Factor, Incident, Kind, Subject
from analyzer.types.sent import Reason
from analyzer.types.shared import Part


def shared(agents: int = 2) -> Incident:
    """Return a cost incident of several agents on one model."""
    names = [f"agent-{number}" for number in range(agents)]
    parts = [
        Part(name, Kind.COST.value, ONSET, 0.4, 0.1, "USD", 30, 60, 12.0, 1 / agents if number else 0.75)
        for number, name in enumerate(names)
    ]
    return incident(subject=Subject(model="opus"), affected=Affected(60, 120), agents=tuple(parts))


def test_a_report_has_a_table_of_the_agents() -> None:
    """Their part of the whole, their own figures, and what they lose; the subject names what they share."""
    text = markdown(incident_outline(shared(), NOW))
    assert "- model: `opus`" in text
    assert "- agent: " not in text
    table = text[text.index("| agent |") :].split("\n\n")[0].splitlines()
    assert [cell.strip() for cell in table[2].strip("|").split("|")] == [
        "agent-0",
        "75 %",
        "$0.40",
        "$0.10",
        "30 of 60",
        "$12.00",
    ]
    assert len(table) == 4


def test_a_message_names_the_worst_of_them() -> None:
    """Five by name with their part; the report has the rest."""
    text = markdown(message_outline(shared(7), Reason.FIRST_SEEN, NOW))
    line = "agents: agent-0 75 %, agent-1 14 %, agent-2 14 %, agent-3 14 %, agent-4 14 % and 2 more"
    assert line in text.replace("\\", "")
    assert "agents:" not in markdown(message_outline(incident(), Reason.FIRST_SEEN, NOW))


def test_a_factor_that_did_nothing_has_no_digits():
    """A share of the change that is rounding, and no part of it, reads as none."""
    moved = (Factor("input tokens per step", 1500.0, 3000.0, 1.0), Factor("price", 1e-6, 1e-6, -9e-11))
    text = markdown(incident_outline(incident(account=moved), NOW))
    row = next(line for line in text.splitlines() if line.startswith("| price"))
    assert row.endswith("| 0 % |")


def test_a_share_over_the_whole_says_against_what_it_stands():
    """107 % reads as a slip until it is said that another factor took 7 % back; of plain shares nothing is said."""
    account = (Factor("input tokens per step", 1500.0, 3000.0, 1.07), Factor("price", 2e-6, 1.9e-6, -0.07))
    said = "A share over 100 % stands against what others took back: together they are the change."
    assert said in markdown(incident_outline(incident(account=account), NOW))
    assert "over 100 %" not in markdown(incident_outline(incident(), NOW))
