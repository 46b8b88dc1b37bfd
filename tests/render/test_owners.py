"""Whose the agents are, as people read it: in reports, messages and digests."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from support.incidents import NOW, ONSET, incident

from analyzer.notify.base import Message
from analyzer.notify.mail import Mail, Mailbox
from analyzer.render.digest import digest_outline
from analyzer.render.html import html
from analyzer.render.markdown import markdown
from analyzer.render.message import message_outline
from analyzer.render.outline import incident_outline
from analyzer.render.slack import slack_blocks
from analyzer.render.terminal import terminal
from analyzer.types.report import Incident, Subject
from analyzer.types.sent import Reason
from analyzer.types.shared import Part

OWNED = incident(owner="@data-team")


def shared(*owners: str) -> Incident:
    """Return an incident of several agents, a, b, ..., each with its owner."""
    parts = tuple(
        Part(name, "cost", ONSET, 0.4, 0.1, "USD", 30, 60, 12.0, 1 / len(owners), owner)
        for name, owner in zip("abcdefgh", owners, strict=False)
    )
    return incident(subject=Subject(model="opus"), agents=parts)


def test_a_report_names_the_owner_below_the_agent() -> None:
    """In every form of it; without an owner there is no such line."""
    outline = incident_outline(OWNED, NOW)
    assert "- agent: support-triage\n- owner: @data-team\n- observed" in terminal(outline)
    assert "- agent: `support-triage`\n- owner: `@data-team`\n" in markdown(outline)
    assert "<li>owner: <code>@data-team</code></li>" in html(outline, "title")
    assert "owner" not in terminal(incident_outline(incident(), NOW))


@pytest.mark.parametrize("reason", [one for one in Reason if one is not Reason.DIGEST])
def test_every_message_names_the_owner(reason: Reason) -> None:
    """Whoever is woken, reminded or told of the end sees whose it is; Slack mentions nobody for it."""
    outline = message_outline(OWNED, reason, NOW)
    assert "\n- owner: @data-team\n" in terminal(outline)
    assert "• owner: `@\u2060data-team`" in json.dumps(slack_blocks(outline), ensure_ascii=False)
    assert "owner" not in terminal(message_outline(incident(), reason, NOW))


def test_a_mail_names_the_owner_in_both_forms() -> None:
    """Text and HTML say the same."""
    letters = []
    box = Mailbox("smtp://127.0.0.1:25", "from@example.org", ("to@example.org",))
    Mail(box, post=letters.append).send(Message(Reason.FIRST_SEEN, OWNED, NOW))
    bodies = [letters[0].get_body((form,)).get_content() for form in ("plain", "html")]
    assert "- owner: @data-team" in bodies[0]
    assert "<li>owner: <code>@data-team</code></li>" in bodies[1]


def test_each_line_of_a_digest_has_its_owner() -> None:
    """In the brackets after the severity; a line without an owner is as it was."""
    entries = [(OWNED, Reason.FIRST_SEEN), (incident(id="inc-2"), Reason.RESOLVED)]
    lines = markdown(digest_outline(entries, storm=False)).splitlines()
    first, second = [line for line in lines if line.startswith("- ")]
    assert first.endswith("(high; owner: `@data-team`) `inc-0123456789`")
    assert second.endswith("(high) `inc-2`")


def test_a_digest_with_the_longest_owners_loses_no_line() -> None:
    """Lists are shorter where each line holds owners: what is named at all is named in full."""
    long = replace(incident(owner="o" * 500), title="t" * 500)
    entries = [(replace(long, id=f"inc-{number:010}"), Reason.FIRST_SEEN) for number in range(75)]
    blocks = slack_blocks(digest_outline(entries, storm=False))
    text = "\n".join(block["text"]["text"] for block in blocks if "text" in block)
    named = sum(f"(high; owner: `{'o' * 39}…`) `inc-{number:010}`" in text for number in range(75))
    assert named > 40
    assert f"And {75 - named} more." in text


def test_of_several_agents_each_owner_is_named_once() -> None:
    """The worst hit agent's first, five at most; the table of a report has them all, with a dash for nobody."""
    text = terminal(message_outline(shared("team-b", "", "team-a", "team-b"), Reason.FIRST_SEEN, NOW))
    assert "- owners: team-b, team-a\n" in text
    many = terminal(message_outline(shared(*(f"team-{number}" for number in range(7))), Reason.FIRST_SEEN, NOW))
    assert "- owners: team-0, team-1, team-2, team-3, team-4 and 2 more\n" in many
    rows = [line for line in markdown(incident_outline(shared("team-b", ""), NOW)).splitlines() if line[:1] == "|"]
    cells = [[cell.strip() for cell in row.strip("|").split("|")][:3] for row in rows]
    assert (cells[0], *cells[2:4]) == (["agent", "owner", "part"], ["a", "team-b", "50 %"], ["b", "-", "50 %"])
    bare = markdown(incident_outline(shared("", ""), NOW))
    assert "owner" not in bare


def test_the_owner_of_what_is_over_is_still_named() -> None:
    """A resolved incident has an owner as before."""
    over = replace(OWNED, resolved_at=NOW, last_seen_at=NOW - timedelta(hours=1))
    assert "- owner: @data-team" in terminal(incident_outline(over, NOW))
