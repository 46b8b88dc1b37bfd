from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.hostile import ATTACKS, hostile_incident
from support.incidents import NOW, cost_incident

from analyzer.render.blocks import Bullets, Code, Heading, Paragraph, Quote, Table, code, line, plain, strong
from analyzer.render.digest import digest_headline, digest_outline
from analyzer.render.message import headline, message_outline
from analyzer.render.outline import ending_text, incident_outline
from analyzer.render.slack import fallback_text, mrkdwn, slack_blocks
from analyzer.types.diagnosis import Ending
from analyzer.types.report import Factor, Incident
from analyzer.types.sent import Reason

LIVE = re.compile(r"<|>|://|@(?!\u2060)|&(?!(?:amp|lt|gt);)")
"""What Slack would act on: its own tags, bare addresses, mentions, and an ampersand that is no entity."""


def texts(blocks: list[dict[str, Any]]) -> list[str]:
    """Return every text of a message."""
    found = [block["text"]["text"] for block in blocks if "text" in block]
    return found + [element["text"] for block in blocks for element in block.get("elements", ())]


def assert_safe(blocks: list[dict[str, Any]]) -> None:
    """Check Slack's limits, and that no text holds anything Slack would act on."""
    assert 1 <= len(blocks) <= 50
    assert sum(map(len, texts(blocks))) <= 12_000
    for block in blocks:
        if "text" in block:
            text = block["text"]
            assert 1 <= len(text["text"]) <= (150 if block["type"] == "header" else 3000)
            assert text["type"] == "plain_text" or text["verbatim"] is True
    assert not [text for text in texts(blocks) if LIVE.search(text)]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("reason", list(Reason))
def test_attack_makes_no_link_and_calls_nobody(attack: str, reason: Reason) -> None:
    """Mentions, links and marks in span text come out as text, inside Slack's limits, in every kind of message."""
    one = hostile_incident(attack)
    assert_safe(slack_blocks(message_outline(one, reason, NOW)))
    assert_safe(slack_blocks(incident_outline(one, NOW)))
    assert not LIVE.search(fallback_text(headline(one, reason)))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([*ATTACKS, *"<>&@`*_:/ \n"]) | st.text(max_size=9), max_size=60).map("".join))
def test_any_text_keeps_to_the_limits(text: str) -> None:
    """Whatever stands in whatever field and however long it is, the message is one that Slack takes."""
    assert_safe(slack_blocks(message_outline(hostile_incident(text * 3), Reason.FIRST_SEEN, NOW)))


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_in_a_digest_is_text(attack: str) -> None:
    """However many there are and whatever their titles hold, a digest is a message that Slack takes."""
    entries = [(hostile_incident(attack * 9), Reason.GOT_WORSE)] * 90
    for storm in (False, True):
        assert_safe(slack_blocks(digest_outline(entries, storm=storm)))
        assert not LIVE.search(fallback_text(digest_headline(entries, storm=storm)))


def test_a_digest_of_very_many_names_the_worst_and_counts_the_rest() -> None:
    """Sixty lines fit into a message; what has none is counted, and the command shows it."""
    blocks = slack_blocks(digest_outline([(cost_incident(), Reason.FIRST_SEEN)] * 75, storm=False))
    found = texts(blocks)
    assert sum(text.count("•") for text in found) == 60
    assert "And 15 more." in found


def test_long_message_is_cut_and_says_so() -> None:
    """Beyond fifty blocks or 12,000 characters the rest is left out, and a note says where it is."""
    many = slack_blocks([Paragraph(plain(f"paragraph {number}")) for number in range(80)])
    long = slack_blocks([Paragraph(plain("word " * 500)) for _ in range(9)])
    for blocks in (many, long):
        assert_safe(blocks)
        assert blocks[-1]["elements"][0]["text"].startswith("Shortened: the whole report")
    assert len(many) == 50


@pytest.mark.parametrize("char", ["&", "<", "a", "東"])
def test_long_texts_are_cut_at_a_safe_place(char: str) -> None:
    """A cut never splits an entity or leaves a fence open."""
    blocks = slack_blocks(
        [
            Heading(1, plain(char * 400)),
            Paragraph(plain(f"{char} " * 4000)),
            Bullets(tuple(plain(char * 900) for _ in range(9))),
            Quote(char * 5000, line(strong("E1"))),
        ]
    )
    assert_safe(blocks)
    assert all(text.count("```") in {0, 2} for text in texts(blocks))


def test_words_that_are_marks_are_set_as_code() -> None:
    """Slack has no escape for its marks: a word that could be one is code, everything else stays readable."""
    text = mrkdwn(line(strong("E1"), " *bold* lookup_order _x_ :wave: a&b `tick` ", code("x`y"), " end"))
    assert text == "*E1* `*bold*` lookup_order `_x_` `:wave:` a&amp;b `\u02cbtick\u02cb` `x\u02cby` end"


def test_table_and_query_are_code_blocks() -> None:
    """Tables keep their columns and queries can be copied."""
    blocks = slack_blocks([Table(("a", "b"), ((plain("1"), plain("22")),)), Code('up{job="x"} > 1', "promql")])
    assert [block["text"]["text"] for block in blocks] == [
        "```\na  b\n-  --\n1  22\n```",
        '```\nup{job="x"} &gt; 1\n```',
    ]


def test_message_without_explanation_still_says_what_is_known() -> None:
    """An incident nobody explained yet gives a message with its figures."""
    bare: Incident = replace(cost_incident(), diagnosis=None, account=(), changes=(), trace_ids=(), evidence=())
    text = json.dumps(slack_blocks(message_outline(bare, Reason.FIRST_SEEN, NOW)))
    assert "not explained yet" in text
    assert "nothing we can see changed near the onset" in text


def test_account_over_the_whole_is_explained() -> None:
    """A factor that outweighs the whole change is said to work against others, not left to puzzle."""
    account = (Factor("tokens per step", 1.0, 3.0, 1.1), Factor("price", 2.0, 1.8, -0.1))
    text = json.dumps(slack_blocks(message_outline(replace(cost_incident(), account=account), Reason.FIRST_SEEN, NOW)))
    assert "110 % of the change comes from tokens per step, against other factors" in text


@pytest.mark.parametrize(
    ("by", "ending", "note", "text"),
    [
        ("rules", Ending.OFF, "no model was asked", "Explained by rules, without a model; 2 claims"),
        ("rules", Ending.USD, "", "without a model; the budget was reached before there was an answer; 2 claims"),
        (
            "opus",
            Ending.ANSWERED,
            "It was slow.",
            "2 claims borne out by evidence, 1 struck out. It was slow.",
        ),
    ],
)
def test_ending_is_said_once(by: str, ending: Ending, note: str, text: str) -> None:
    """How the explanation came about is one sentence; a note that repeats it is left out."""
    diagnosis = cost_incident().diagnosis
    assert diagnosis is not None
    said = ending_text(replace(diagnosis, by=by, ending=ending, note=note))
    assert text in said
    assert "no model was asked" not in said
