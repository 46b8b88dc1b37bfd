from __future__ import annotations

from html.parser import HTMLParser

from support.hostile import ATTACKS, hostile_report

from analyzer.render.blocks import Bullets, Code, Divider, Heading, Paragraph, Quote, Table, code, line, plain, strong
from analyzer.render.charts.drawing import ATTRIBUTES, SAID
from analyzer.render.html import html
from analyzer.render.report import report_outline

ALLOWED = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "h4", "p", "ul", "ol", "li", "pre"}
ALLOWED |= {"div", "figure", "figcaption", "svg", "g", "path", "rect", "line", "text"}
ALLOWED |= {"table", "thead", "tbody", "tr", "th", "td", "blockquote", "code", "strong", "hr"}


class Seen(HTMLParser):
    """Notes every tag with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one."""
        self.tags.append((tag, tuple(attrs)))


def test_every_block_has_its_form() -> None:
    """One of each, whole."""
    blocks = (
        Heading(1, plain("A & B")),
        Paragraph(line("it ", strong("rose"), " in ", code("x<y>"))),
        Bullets((plain("one"), plain("two")), numbered=True),
        Table(("what", "USD"), ((plain("a"), plain("1")),), right=frozenset({1})),
        Quote("first\nsecond", plain("E1")),
        Divider(),
        Code("up == 0", "promql"),
    )
    body = html(blocks, "A & B").partition("<body>\n")[2]
    assert body == (
        "<h1>A &amp; B</h1>\n"
        "<p>it <strong>rose</strong> in <code>x&lt;y&gt;</code></p>\n"
        "<ol><li>one</li><li>two</li></ol>\n"
        '<div class="scroll"><table><thead>'
        '<tr><th scope="col">what</th><th scope="col" class="right">USD</th></tr></thead>'
        '<tbody><tr><td>a</td><td class="right">1</td></tr></tbody></table></div>\n'
        "<p>E1</p>\n<blockquote><pre>first\nsecond</pre></blockquote>\n"
        "<hr>\n"
        "<pre><code>up == 0</code></pre>\n"
        "</body></html>\n"
    )


def test_text_from_spans_is_never_markup() -> None:
    """A report with an attack in every field has the tags of an innocent one: no link, no script, no attribute."""
    for attack in ATTACKS:
        seen = Seen()
        seen.feed(html(report_outline(hostile_report(attack)), attack))
        assert {tag for tag, _ in seen.tags} <= ALLOWED, attack
        drawing = {"svg", "g", "path", "rect", "line", "text"}
        values = {pair for tag, attrs in seen.tags if tag not in {"meta", "html", *drawing} for pair in attrs}
        assert values <= {("class", "right"), ("class", "scroll"), ("scope", "col")}, attack
        drawn = {name for tag, attrs in seen.tags if tag in drawing for name, _ in attrs}
        assert not {name for name in drawn if name.startswith("on") or name in {"style", "href", "id"}}, attack
        assert drawn <= {name.lower() for name in ATTRIBUTES} | {"class", "role", "aria-label", SAID}
