"""The documentation as pages: `/docs/KIND` says what a kind of incident means, and links between pages lead on.

The texts are our own files. They go through a CommonMark parser all the same, with raw HTML off, so that a page is
never more than text.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from analyzer.errors import NotFoundError
from analyzer.render.links import link
from analyzer.server.pages.page import Asked, Page
from analyzer.server.pages.reading import Reader
from analyzer.types.report import Kind

_PACKAGE = Path(__file__).resolve().parents[2]
FOLDERS = (_PACKAGE / "_data" / "docs", _PACKAGE.parent / "docs")
"""Where the texts are looked for: the wheel carries them inside the package, a checkout at its top."""
_NOT_A_WORD = re.compile(r"[^\w\- ]")


def page_of(kind: Kind) -> str:
    """Return the name of the page about a kind of incident: that of its detector."""
    return f"detectors/{kind.value.replace('-', '_')}"


def view(_reader: Reader, asked: Asked) -> Page:
    """Return one page of the documentation: by its name, or by the kind of incident that it is about.

    Raises NotFoundError.
    """
    name = asked.path["name"]
    name = page_of(Kind(name)) if name in list(Kind) else name
    pages = texts()
    if name not in pages:
        raise NotFoundError(f"There is no page '{name}' in the documentation.")
    body = Markup(_html(pages[name], name))  # noqa: S704 - made by the parser from our own file, with raw HTML off
    return Page("handbook.html", {"body": body, "heading": _title(pages[name])})


@cache
def texts(folders: Sequence[Path] = FOLDERS) -> Mapping[str, str]:
    """Return the Markdown of every page by its name, `detectors/cost`; of the first folder that is there."""
    folder = next((one for one in folders if one.is_dir()), None)
    if folder is None:
        return {}
    files = sorted(folder.rglob("*.md"))
    return {file.relative_to(folder).with_suffix("").as_posix(): file.read_text("utf-8") for file in files}


@cache
def _html(text: str, name: str) -> str:
    """Return a page as HTML: headings can be linked, tables can be scrolled, links lead to pages that are here."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", anchor(tokens[index + 1].content))
        elif token.type == "fence":
            token.attrSet("tabindex", "0")
        elif token.type == "inline":
            token.children = list(_linked(token.children or [], name))
    made: str = parser.renderer.render(tokens, parser.options, {})
    opened = '<div class="scroll" tabindex="0" role="region" aria-label="Table">\n<table>'
    return (
        made.replace("<table>", opened).replace("</table>", "</table>\n</div>").replace("<pre>", '<pre tabindex="0">')
    )


def anchor(heading: str) -> str:
    """Return the anchor of a heading as forges make it: small letters, blanks as hyphens, signs left out."""
    plain = heading.replace("`", "")
    return _NOT_A_WORD.sub("", plain.lower()).replace(" ", "-")


def _linked(tokens: Sequence[Token], name: str) -> Any:
    """Yield inline tokens with links between files as links between pages; what is no page of ours is plain text."""
    dropped = 0
    for token in tokens:
        if token.type == "link_open":
            place = target(str(token.attrGet("href") or ""), name)
            if not place:
                dropped += 1
                continue
            token.attrSet("href", place)
        elif token.type == "link_close" and dropped:
            dropped -= 1
            continue
        yield token


def target(href: str, name: str) -> str:
    """Return where a link of a page leads: to a page of ours, a place in it, or another site; "" for none of them."""
    if href.startswith(("https://", "#")):
        return href
    path, _, place = href.partition("#")
    found = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)).removesuffix(".md")
    if found not in texts():
        return ""
    return link("docs", *found.split("/")) + (f"#{place}" if place else "")


def _title(text: str) -> str:
    return text.partition("\n")[0].lstrip("# ").strip()
