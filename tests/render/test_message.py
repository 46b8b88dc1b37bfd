from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from support.incidents import NOW, ONSET, cost_incident, resolved

from analyzer.render.message import message_outline
from analyzer.render.terminal import terminal
from analyzer.types.report import Severity, State
from analyzer.types.sent import Reason, Sent

LAST = Sent(Reason.FIRST_SEEN, NOW - timedelta(days=1), State.OPEN, Severity.HIGH, 0.31)


def test_what_is_over_says_when_and_how_long_it_was() -> None:
    """The news of a resolution is its time; the title alone reads as if it went on."""
    over = replace(resolved(cost_incident(), NOW), last_seen_at=ONSET + timedelta(hours=3))
    assert "- resolved at 18:00 UTC; last seen 3 h after it began" in terminal(
        message_outline(over, Reason.RESOLVED, NOW, LAST)
    )
    going_on = terminal(message_outline(cost_incident(), Reason.REMINDER, NOW, LAST))
    assert "resolved" not in going_on


def test_a_reminder_is_short() -> None:
    """It says that it goes on, how it stands and why; the proof and the advice were told, and are a click away."""
    whole = terminal(message_outline(cost_incident(), Reason.FIRST_SEEN, NOW))
    text = terminal(message_outline(cost_incident(), Reason.REMINDER, NOW, LAST))
    assert text.startswith("Still going on: support-triage: cost per trajectory 2.3x")
    assert "Cause: Version 2.4.0 loads 48 similar tickets into every prompt." in text
    assert "All of it: analyzer incidents show inc-0123456789" in text
    assert len(text.splitlines()) <= len(whole.splitlines()) // 2
    for told in ("Loaded 48 similar tickets", "Roll back", "Explained by", "Worst trajectories"):
        assert told in whole
        assert told not in text
