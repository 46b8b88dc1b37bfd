"""Blocks as Markdown (CommonMark with tables) in which no text can become markup.

Text from spans must not make a link, an image, a tag, a heading or a mention, neither by CommonMark nor by what forges
add to it (bare addresses, @names, #numbers). A word that could is set as code, where nothing is interpreted; what is
left is escaped. Quotes stand in fences longer than any run of backticks inside.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from analyzer.render.blocks import (
    Block,
    Bullets,
    Code,
    Divider,
    Figure,
    Heading,
    Line,
    Paragraph,
    Piece,
    Quote,
    Style,
    Table,
    plain,
)
from analyzer.render.text import one_line, visible

_ACTIVE = re.compile(r"[`\\<>\[\]|@#$]|:/|www\.|mailto:|xmpp:", re.IGNORECASE)
"""In a word: could begin markup, an address, a mention, a reference or a formula."""
_MONEY = re.compile(r"-?\$[\d,.]*\d[.,;:)]?")
"""An amount: the one use of the dollar sign that people want to read as text."""
_EMPHASIS = re.compile(r"[*~]|(?<![^\W_])_|_(?![^\W_])")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_BLOCK_START = re.compile(r"^([-+=:])(?=\s|$|[-+=:])")
_ORDERED_START = re.compile(r"^(\d{1,9})([.)])(?=\s|$)")
_TICKS = re.compile(r"`+")
_RESERVED = "¦"
"""Stands for the pipe inside code in a table cell, where dialects disagree about how to escape it."""


def markdown(blocks: Sequence[Block]) -> str:
    """Return the blocks as one Markdown text that ends with a line end."""
    return "\n\n".join(text for block in blocks if (text := _block(block))) + "\n"


def _block(block: Block) -> str:
    text = "---"
    match block:
        case Heading():
            text = "#" * min(max(block.level, 1), 6) + " " + _start(_line(block.line))
        case Paragraph():
            text = _start(_line(block.line))
        case Bullets():
            marks = (f"{index}." if block.numbered else "-" for index in range(1, len(block.entries) + 1))
            text = "\n".join(f"{mark} {_start(_line(entry))}" for mark, entry in zip(marks, block.entries, strict=True))
        case Table():
            text = _table(block)
        case Quote():
            text = f"{_start(_line(block.source))}\n\n{_fenced(block.text, 'text')}"
        case Code():
            text = _fenced(block.text, block.language)
        case Figure():
            text = f"![{_line(plain(block.chart.alt))}]({block.file})"
        case Divider():
            pass
    return text


def _line(line: Line, *, cell: bool = False) -> str:
    """Return a line of pieces; in a table cell no pipe is left."""
    text = ""
    for piece in line:
        part = _piece(piece, cell=cell)
        # Runs of backticks that touch would become one run and end the wrong code span.
        text += f" {part}" if text.endswith("`") and part.startswith("`") else part
    return text.strip()


def _piece(piece: Piece, *, cell: bool) -> str:
    if piece.href:
        # In angle brackets parentheses of the address end nothing; an address holds no angle brackets.
        return f"[{_piece(replace(piece, href=''), cell=cell)}](<{piece.href}>)"
    text = piece.text.replace("|", _RESERVED) if cell else piece.text
    if piece.style is Style.CODE:
        return _code_span(one_line(text))
    before = " " if text[:1].isspace() else ""
    after = " " if text[-1:].isspace() and text.strip() else ""
    words = " ".join(_word(word) for word in one_line(text).split())
    if piece.style is Style.STRONG and words:
        return f"{before}**{words}**{after}"
    return f"{before}{words}{after}"


def _word(word: str) -> str:
    if _ACTIVE.search(word) and not _MONEY.fullmatch(word):
        # The comma after a name is the sentence's, not the name's: whoever copies the code must not get it.
        bare = word.rstrip(".,;:!?")
        return f"{_code_span(bare)}{word[len(bare) :]}" if bare else _code_span(word)
    return _ENTITY.sub(r"\\&", _EMPHASIS.sub(lambda found: "\\" + found[0], word))


def _start(text: str) -> str:
    """Escape what would open a block at the beginning of a line. Our own bold and code may stand there."""
    if text.startswith(("**", "`")):
        return text
    return _ORDERED_START.sub(r"\1\\\2", _BLOCK_START.sub(r"\\\1", text))


def _code_span(text: str) -> str:
    if not text:
        return ""
    fence = "`" * (_longest_run(text) + 1)
    inner = f" {text} " if "`" in (text[0], text[-1]) else text
    return f"{fence}{inner}{fence}"


def _fenced(text: str, language: str) -> str:
    shown = visible(text)
    fence = "`" * max(3, _longest_run(shown) + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in _TICKS.findall(text)), default=0)


def _table(table: Table) -> str:
    rule = ("---:" if column in table.right else "---" for column in range(len(table.header)))
    header = (_line((Piece(name),), cell=True) for name in table.header)
    rows = [[_line(cell, cell=True) or " " for cell in row] for row in table.rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))
