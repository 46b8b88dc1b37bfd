from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from support.hostile import ATTACKS, hostile_report

from analyzer.render.blocks import Bullets, Code, Divider, Heading, Paragraph, Quote, Table, code, line, plain, strong
from analyzer.render.markdown import markdown
from analyzer.render.report import report_outline
from analyzer.types.report import Report

PARSERS = (MarkdownIt("commonmark").enable("table"), MarkdownIt("gfm-like"))
FORBIDDEN = {"link_open", "html_inline", "html_block", "blockquote_open", "em_open", "s_open", "code_block"}
BARE = re.compile(r"[@#]\w|://|www\.|mailto:|</|<!", re.IGNORECASE)
"""In running text outside of code: what forges, mailers and chats turn into links and mentions."""


def tokens(text: str, parser: MarkdownIt) -> list[Token]:
    """Return all tokens of a Markdown text, those inside of lines included."""
    found = []
    for token in parser.parse(text):
        found.append(token)
        found += token.children or []
    return found


def structure(report: Report, parser: MarkdownIt) -> Counter[str]:
    """Count what a report consists of, running text and line breaks aside."""
    types = Counter(token.type for token in tokens(markdown(report_outline(report)), parser))
    return Counter({name: n for name, n in types.items() if name not in {"text", "code_inline", "text_special"}})


def assert_inert(text: str) -> None:
    """Check that a text in every field makes a report of exactly the same structure as a harmless one."""
    for parser in PARSERS:
        found = tokens(markdown(report_outline(hostile_report(text))), parser)
        assert not {token.type for token in found} & FORBIDDEN
        places = {token.attrs["src"] for token in found if token.type == "image"}
        assert places <= {f"2026-11-23-inc-0123456789-{name}.svg" for name in ("metric", "account", "steps")}
        running = [token.content for token in found if token.type in {"text", "text_special"}]
        assert not [content for content in running if BARE.search(content)]
        assert structure(hostile_report(text), parser) == structure(hostile_report("harmless"), parser)


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_stays_text(attack: str) -> None:
    """Known ways to make a link, an image, a tag, a heading or a mention come out as the text they are."""
    assert_inert(attack)


SIGNS = [*"`*_[]()<>!#|&\\~@:/.-+=>$ \n\t0a", "://", "www.", "```", "1. ", "x"]
TEXTS = st.lists(st.sampled_from([*ATTACKS, *SIGNS]) | st.text(max_size=6), min_size=1, max_size=12).map("".join)


@settings(max_examples=60, deadline=None)
@example("x` `y")
@example("\\`")
@example("_a_ * b")
@given(TEXTS.map("x{}".format) | TEXTS.map("{}x".format))
def test_no_text_can_become_markup(text: str) -> None:
    """Whatever text stands in whatever field, the report has the same structure, and no link, image, tag or mention."""
    assert_inert(text)


def test_quote_is_verbatim_in_the_fence() -> None:
    """A quote comes out of a real parser exactly as it went in."""
    text = "line one\n```` four\n  indented `code` <b>&amp;</b>"
    (fence,) = (token for token in PARSERS[0].parse(markdown([Quote(text, plain("source"))])) if token.type == "fence")
    assert fence.content == text + "\n"


def test_blocks_as_markdown() -> None:
    """Each block has its form; numbers stand to the right; pipes cannot break a table."""
    blocks = (
        Heading(2, plain("A # heading")),
        Paragraph(line(strong("Bold:"), " text_with_underscores, 2 * 3 and _edge_ ", code("a`b"))),
        Bullets((plain("- one"), plain("2. two"))),
        Bullets((plain("first"), plain("second")), numbered=True),
        Table(("name", "n"), ((plain("a|b"), plain("$1.50")), ((code("c|d"),), ())), right=frozenset({1})),
        Code("up == 1", "promql"),
        Divider(),
        Paragraph(plain("&lt; AT&T costs $5.00, $4 before.")),
    )
    assert markdown(blocks) == (
        "## A `#` heading\n\n"
        "**Bold:** text_with_underscores, 2 \\* 3 and \\_edge\\_ ``a`b``\n\n"
        "- \\- one\n- 2\\. two\n\n"
        "1. first\n2. second\n\n"
        "| name | n |\n| --- | ---: |\n| a¦b | $1.50 |\n| `c¦d` |   |\n\n"
        "```promql\nup == 1\n```\n\n"
        "---\n\n"
        "\\&lt; AT&T costs $5.00, $4 before.\n"
    )
