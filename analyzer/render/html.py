"""Blocks as one HTML page that needs nothing else: no script, nothing to fetch, and a policy that allows neither.

All text is escaped; what a block holds can be no tag. Two things are set into attributes: the address of a piece, which
is never text from a span, and the words of a chart, which `charts.drawing` escapes. Charts are part of the page, in its
own colours, wide and narrow; a style sheet chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

from analyzer.errors import DrawingError
from analyzer.render.blocks import Block, Bullets, Code, Figure, Heading, Line, Paragraph, Piece, Quote, Style, Table
from analyzer.render.charts.base import WIDE, Chart
from analyzer.render.charts.drawing import inline
from analyzer.render.text import visible

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = """
:root{color-scheme:light dark;--ground:#fcfbf9;--raised:#f4f2ee;--line:#dfdbd3;--ink:#1d1c1a;--faint:#63605a;
--accent:#0b5f66;--band:#d5e7e6}
@media(prefers-color-scheme:dark){:root{--ground:#161716;--raised:#1f2120;--line:#363937;--ink:#e9e7e2;--faint:#a5a29b;
--accent:#7cc8cc;--band:#22403f}}
*{box-sizing:border-box}
body{background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI","Helvetica Neue",
"DejaVu Sans",sans-serif;font-variant-numeric:tabular-nums;max-width:48rem;margin:2rem auto 5rem;padding:0 1rem;
overflow-wrap:anywhere}
h1{font-size:1.5rem;line-height:1.25;letter-spacing:-.012em;text-wrap:balance}
h2{font-size:1.25rem;line-height:1.3;margin:2.25rem 0 .5rem;text-wrap:balance}
h3,h4{font-size:1rem;margin:2rem 0 .4rem}
p,ul,ol{margin:.6rem 0}ul,ol{padding-left:1.3rem}li{margin:.2rem 0}
hr{border:0;border-top:1px solid var(--line);margin:3rem 0}
code,pre{font-family:ui-monospace,"SF Mono","Cascadia Mono","DejaVu Sans Mono",Menlo,Consolas,monospace;
font-size:.875em}
pre{white-space:pre-wrap;margin:.6rem 0;padding:.7rem .9rem;background:var(--raised);border-radius:4px}
blockquote{margin:.4rem 0 1rem}blockquote pre{border-left:3px solid var(--accent);border-radius:0}
a{color:var(--accent)}
.scroll{overflow-x:auto;margin:.6rem 0}table{border-collapse:collapse;font-size:.875rem;min-width:60%}
th,td{padding:.4rem 1rem .4rem 0;text-align:left;vertical-align:baseline;border-bottom:1px solid var(--line);
overflow-wrap:break-word}
thead th{color:var(--faint);font-weight:400;white-space:nowrap;border-bottom-color:var(--faint)}
.right{text-align:right;white-space:nowrap}
figure{margin:1.25rem 0}figure svg,figure img{display:block;max-width:100%;height:auto}
.wide{width:100%}.narrow{display:none!important}
figcaption{color:var(--faint);font-size:.8125rem;line-height:1.45;margin-top:.4rem}
@media(max-width:36rem){.wide{display:none!important}.narrow{display:block!important;width:100%}th,td{padding-right:.7rem}}
@media print{body{margin:0;max-width:none}}
""".replace("\n", "")
_TAGS = {Style.STRONG: "strong", Style.CODE: "code"}


_NO_PICTURES: Mapping[str, str] = {}
Draw = Callable[[Chart], str]
"""From a chart to a part of a page, as `charts.drawing.inline` does it. Raises DrawingError."""


def html(
    blocks: Sequence[Block], title: str, pictures: Mapping[str, str] = _NO_PICTURES, *, draw: Draw = inline
) -> str:
    """Return the blocks as a whole page.

    `pictures` are addresses of charts by the names of their files, for a page that cannot hold drawings: a mail.
    """
    body = "\n".join(_block(block, pictures, draw) for block in blocks)
    policy = f"{_POLICY}; img-src cid:" if pictures else _POLICY
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _block(block: Block, pictures: Mapping[str, str], draw: Draw) -> str:
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
        case Figure():
            out = _figure(block, pictures, draw)
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
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _figure(block: Figure, pictures: Mapping[str, str], draw: Draw) -> str:
    """Return a chart with its words below it; the words alone where it cannot be drawn."""
    if block.file in pictures:
        alt = escape(visible(block.chart.alt))
        drawn = f'<img src="{escape(pictures[block.file])}" alt="{alt}" width="{WIDE}">'
    else:
        try:
            drawn = draw(block.chart)
        except DrawingError:
            return f"<p>{_text(block.chart.alt)}</p>"
    caption = "" if block.is_told else f"<figcaption>{_text(block.chart.alt)}</figcaption>"
    return f"<figure>{drawn}{caption}</figure>"


def _line(line: Line) -> str:
    return "".join(map(_piece, line))


def _piece(piece: Piece) -> str:
    text = _text(piece.text)
    if piece.style in _TAGS:
        text = f"<{_TAGS[piece.style]}>{text}</{_TAGS[piece.style]}>"
    return f'<a href="{escape(piece.href)}" rel="noopener noreferrer">{text}</a>' if piece.href else text


def _text(text: str) -> str:
    return escape(visible(text))
