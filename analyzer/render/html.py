"""Blocks as one HTML page that needs nothing else: no script, no picture, and a policy that loads none.

All text is escaped; what a block holds can be no tag and no attribute. The one thing that is set into an attribute is
the address of a piece, which is never text from a span.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from analyzer.render.blocks import Block, Bullets, Code, Heading, Line, Paragraph, Piece, Quote, Style, Table
from analyzer.render.text import visible

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;"
    "padding:0 1rem;overflow-wrap:anywhere}pre{white-space:pre-wrap;padding:.7rem;border-left:4px solid #888}"
    "table{border-collapse:collapse}th,td{padding:.2rem .7rem .2rem 0;text-align:left;vertical-align:top}"
    ".right{text-align:right}"
)
_TAGS = {Style.STRONG: "strong", Style.CODE: "code"}


def html(blocks: Sequence[Block], title: str) -> str:
    """Return the blocks as a whole page."""
    body = "\n".join(_block(block) for block in blocks)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _block(block: Block) -> str:
    out = "<hr>"
    match block:
        case Heading():
            out = f"<h{block.level}>{_line(block.line)}</h{block.level}>"
        case Paragraph():
            out = f"<p>{_line(block.line)}</p>"
        case Bullets():
            tag = "ol" if block.numbered else "ul"
            entries = "".join(f"<li>{_line(entry)}</li>" for entry in block.entries)
            out = f"<{tag}>{entries}</{tag}>"
        case Table():
            out = _table(block)
        case Quote():
            out = f"<p>{_line(block.source)}</p>\n<blockquote><pre>{_text(block.text)}</pre></blockquote>"
        case Code():
            out = f"<pre><code>{_text(block.text)}</code></pre>"
        case _:
            pass
    return out


def _table(block: Table) -> str:
    sides = [' class="right"' if index in block.right else "" for index in range(len(block.header))]
    head = "".join(f'<th scope="col"{side}>{_text(text)}</th>' for side, text in zip(sides, block.header, strict=True))
    rows = (
        "".join(f"<td{side}>{_line(cell)}</td>" for side, cell in zip(sides, row, strict=True)) for row in block.rows
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _line(line: Line) -> str:
    return "".join(map(_piece, line))


def _piece(piece: Piece) -> str:
    text = _text(piece.text)
    if piece.style in _TAGS:
        text = f"<{_TAGS[piece.style]}>{text}</{_TAGS[piece.style]}>"
    return f'<a href="{escape(piece.href)}" rel="noopener noreferrer">{text}</a>' if piece.href else text


def _text(text: str) -> str:
    return escape(visible(text))
