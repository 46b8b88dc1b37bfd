from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.alerts import RULE, alert
from support.hostile import ATTACKS, hostile_incident, hostile_report
from support.incidents import NOW, cost_incident, full_report, incident, loop_incident, report

from analyzer.render.blocks import Piece, Style
from analyzer.render.digest import digest_outline
from analyzer.render.html import html
from analyzer.render.links import NO_LINKS, Links, links_of
from analyzer.render.markdown import markdown
from analyzer.render.message import message_outline
from analyzer.render.outline import incident_outline
from analyzer.render.report import report_outline
from analyzer.render.slack import mrkdwn, slack_blocks
from analyzer.render.terminal import terminal
from analyzer.types.address import web_address
from analyzer.types.report import Incident, SpanEvidence
from analyzer.types.sent import Reason

BASE = "https://analyzer.example.com/fleet"
LINKS = Links(BASE)
SLACK_LINK = re.compile(r"<([^|>]+)(?:\|[^>]*)?>")
LIVE = re.compile(r"<|>|://|@(?!\u2060)|&(?!(?:amp|lt|gt);)")


class Hrefs(HTMLParser):
    """Where a page leads."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note every attribute that could lead anywhere."""
        self.found += [value or "" for name, value in attrs if name in {"href", "src", "action"}]


def told(one: Incident, reason: Reason = Reason.FIRST_SEEN, links: Links = LINKS):
    """Return the outline of a message."""
    return message_outline(one, reason, NOW, links=links)


def quoted(trace_id: str, span_id: str) -> SpanEvidence:
    """Return a quote from a span."""
    return SpanEvidence("E1", trace_id, span_id, "output", "x")


def slack_texts(blocks) -> list[str]:
    """Return the texts of a message in Slack."""
    return [block["text"]["text"] for block in slack_blocks(blocks) if "text" in block]


@pytest.mark.parametrize("reason", list(Reason))
def test_every_message_is_one_click_from_the_incident_and_from_what_it_means(reason: Reason) -> None:
    """Whatever the reason, Slack, mail and terminal say where all of it is; the command is only for those without."""
    one = cost_incident()
    place, meaning = f"{BASE}/incidents/{one.id}", f"{BASE}/docs/cost"
    assert f"<{place}>" in slack_texts(told(one, reason))[-1]
    assert {place, meaning} <= set(Hrefs(html(told(one, reason), "t")).found)
    assert f"All of it: {place} · what it means: {meaning}" in " ".join(terminal(told(one, reason), 300).split())
    assert "analyzer incidents show" not in terminal(told(one, reason))
    bare = terminal(told(one, reason, NO_LINKS))
    assert f"All of it: analyzer incidents show {one.id}" in bare
    assert "://" not in bare


def test_each_quote_leads_to_its_span_where_it_is_marked() -> None:
    """From a message to the proof is one click: by the evidence's number, and by the ids of trajectory and span."""
    one = cost_incident()
    [entry] = [found for found in one.evidence if isinstance(found, SpanEvidence)][:1]
    span = f"{BASE}/trajectories/{entry.trace_id}/spans/{entry.span_id}"
    proof = f"{span}?incident={one.id}&evidence={entry.id}#quote"
    hrefs = Hrefs(html(told(one), "t")).found
    assert {proof, span, f"{BASE}/trajectories/{entry.trace_id}"} <= set(hrefs)
    assert f"*<{proof.replace('&', '&amp;')}|{entry.id}>*" in "".join(slack_texts(told(one)))
    assert f"[**{entry.id}**](<{proof}>)" in markdown(told(one))


def test_the_same_number_of_evidence_leads_to_the_quote_of_its_own_incident() -> None:
    """In a report of several incidents each has an E1 of its own."""
    two = [
        replace(incident(), id=f"inc-{number:010x}", evidence=(quoted(f"{number:032x}", f"{number:016x}"),))
        for number in (1, 2)
    ]
    shown = html(report_outline(replace(report(), incidents=tuple(two)), LINKS), "t")
    for number in (1, 2):
        assert f"{number:032x}/spans/{number:016x}?incident=inc-{number:010x}&amp;evidence=E1#quote" in shown
    assert shown.count("evidence=E1#quote") == 2


def test_a_digest_links_each_incident_and_names_as_many_as_fit() -> None:
    """Links take room: what has no line of its own is counted, as without them."""
    title = "support-triage: " + "cost per trajectory " * 9
    entries = [
        (replace(cost_incident(), id=f"inc-{number:010x}", title=title), Reason.FIRST_SEEN) for number in range(75)
    ]
    for base in (BASE, "https://" + "long." * 37 + "example"):
        texts = slack_texts(digest_outline(entries, storm=False, links=Links(base)))
        shown = sum(text.count("•") for text in texts)
        assert shown >= 10
        assert f"And {75 - shown} more." in texts
        assert sum(text.count(f"<{base}/incidents/inc-") for text in texts) == shown
        assert f"<{base}/incidents?state=all>" in texts[-1]
        assert sum(map(len, texts)) <= 12_000
        assert not [text for text in texts if "…\n" in text or text.endswith("\n…")]


@pytest.mark.parametrize("attack", ATTACKS)
def test_text_from_spans_leads_nowhere_but_to_our_own_pages(attack: str) -> None:
    """With links on, every attack is text as before: what leads anywhere leads below the address that was set."""
    one = hostile_incident(attack)
    for outline in (told(one), LINKS.within(incident_outline(one, NOW), one)):
        for text in slack_texts(outline):
            assert all(place.startswith(f"{BASE}/") for place in SLACK_LINK.findall(text)), text
            assert not LIVE.search(SLACK_LINK.sub("", text)), text
    for page in (html(report_outline(hostile_report(attack), LINKS), attack), html(told(one), attack)):
        assert all(place.startswith(f"{BASE}/") for place in Hrefs(page).found)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40), st.text(max_size=20), st.text(max_size=12))
def test_whatever_ids_are_made_of_their_links_stay_below_the_address(trace_id: str, span_id: str, agent: str) -> None:
    """Ids come from spans: escaped as parts of a path they can neither leave it nor end the link."""
    evidence = (quoted(trace_id, span_id),)
    one = replace(incident(), trace_ids=(trace_id,), evidence=evidence)
    one = replace(one, subject=replace(one.subject, agent=agent))
    for place in links_of(one, BASE).values():
        assert place.startswith((f"{BASE}/trajectories", f"{BASE}/incidents/"))
        assert web_address(place) == place


def test_an_alert_leads_to_its_rule_and_never_elsewhere() -> None:
    """Its name is text; an address that would act, kept by an older release or another hand, is left out."""
    attack = "<https://evil.example|click> @here"
    one = replace(
        cost_incident(),
        alerts=(alert(name=attack, url="javascript:alert(1)"), alert(name="High", fingerprint="2")),
    )
    texts = "".join(slack_texts(told(one)))
    assert f"<{RULE.replace('&', '&amp;')}|rule>" in texts
    shown = html(told(one), "t")
    assert "javascript:" not in shown
    assert set(Hrefs(shown).found) - {RULE, "http://alertmanager.example:9093"} == {
        place for place in Hrefs(shown).found if place.startswith(f"{BASE}/")
    }
    assert "alert `High` fires since 2026-11-20 11:00 UTC" in markdown(told(one))


def test_a_name_that_could_be_a_mark_is_code_without_a_link() -> None:
    """Slack has no code inside a link, and text that it would read as marks must not stand there bare."""
    assert mrkdwn((Piece("a_b", Style.CODE, f"{BASE}/x"),)) == f"<{BASE}/x|a_b>"
    assert mrkdwn((Piece("*a*|b", Style.CODE, f"{BASE}/x"),)) == "`*a*|b`"


def test_without_an_address_a_report_is_what_it_was() -> None:
    """Byte for byte, in every form: the audit log holds the text without links."""
    given_report = full_report()
    assert markdown(report_outline(given_report)) == markdown(report_outline(given_report, NO_LINKS))
    assert NO_LINKS.within(incident_outline(loop_incident(), NOW), loop_incident()) == incident_outline(
        loop_incident(), NOW
    )
