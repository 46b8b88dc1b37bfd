"""Blocks as Slack's Block Kit, inside Slack's limits, with no text that Slack would act on.

Slack's mrkdwn has no way to escape its marks, so that a word that could be one is set as code; `&`, `<` and `>` become
entities, which takes links and mentions (`<!channel>`, `<@U1>`) their power; `verbatim` keeps Slack from making links
of bare addresses and names; and a word joiner keeps clients from doing it.

Limits: https://docs.slack.dev/reference/block-kit/blocks (50 blocks a message, 3,000 characters a section, 150 a
header); 12,000 characters over all is Slack's limit for Markdown in one message, kept here for all text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

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
)
from analyzer.render.terminal import flat, table_lines
from analyzer.render.text import ELLIPSIS, one_line, visible

BLOCKS_MAX = 50
SECTION_CHARACTERS_MAX = 3000
HEADER_CHARACTERS_MAX = 150
MESSAGE_CHARACTERS_MAX = 12_000
TABLE_COLUMNS = 80
"""What a code block shows on a desktop without wrapping."""

_SHORTENED = "Shortened: the whole report is in the reports folder and in `analyzer incidents show`."
_ROOM = 200
"""Characters kept free for the note above."""
_MARKS = re.compile(r"[`*~@<>]|(?<![^\W_])_|_(?![^\W_])|:[\w+'-]+:|:/|www\.|mailto:", re.IGNORECASE)
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_LOOKALIKE_TICK = "\u02cb"
"""Stands for a backtick inside code: Slack has no longer fence."""
_JOINER = "\u2060"


def slack_blocks(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """Return the blocks as Block Kit JSON: at most 50 blocks and 12,000 characters, with a note if cut."""
    out: list[dict[str, Any]] = []
    used = 0
    for block in blocks:
        part = _block(block)
        size = _size(part)
        if len(out) >= BLOCKS_MAX - 1 or used + size > MESSAGE_CHARACTERS_MAX - _ROOM:
            out.append({"type": "context", "elements": [_mrkdwn(_SHORTENED)]})
            break
        used += size
        out.append(part)
    return out


def fallback_text(text: str) -> str:
    """Return the one line for notifications and clients that show no blocks, at most 3,000 characters."""
    return _cut_escaped(one_line(text), SECTION_CHARACTERS_MAX)


def mrkdwn(line: Line, characters_max: int = SECTION_CHARACTERS_MAX) -> str:
    """Return a line of pieces as mrkdwn of at most so many characters, cut between words."""
    words: list[str] = []
    used = 0
    for word in _line_words(line):
        if used + len(word) + len(ELLIPSIS) > characters_max:
            words.append(ELLIPSIS)
            break
        words.append(word)
        used += len(word)
    return "".join(words).strip()


def _block(block: Block) -> dict[str, Any]:
    part: dict[str, Any] = {"type": "divider"}
    match block:
        case Heading(level=1):
            text = _cut_escaped(flat(block.line), HEADER_CHARACTERS_MAX)
            part = {"type": "header", "text": {"type": "plain_text", "text": text or "-", "emoji": False}}
        case Heading():
            part = _section(f"*{mrkdwn(block.line, SECTION_CHARACTERS_MAX - 2)}*")
        case Paragraph():
            part = _section(mrkdwn(block.line))
        case Bullets():
            part = _section(_bullets(block))
        case Table():
            part = _section(_fence("\n".join(table_lines(block, TABLE_COLUMNS)), SECTION_CHARACTERS_MAX))
        case Quote():
            source = mrkdwn(block.source, SECTION_CHARACTERS_MAX // 3)
            part = _section(f"{source}\n{_fence(visible(block.text), SECTION_CHARACTERS_MAX - len(source) - 1)}")
        case Code():
            part = _section(_fence(visible(block.text), SECTION_CHARACTERS_MAX))
        case Figure():
            part = _section(mrkdwn((Piece(block.chart.alt),)))
        case Divider():
            pass
    return part


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn(text or "-")}


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _size(part: dict[str, Any]) -> int:
    text = part.get("text")
    return len(text["text"]) if isinstance(text, dict) else 0


def _bullets(block: Bullets) -> str:
    lines: list[str] = []
    used = 0
    for index, entry in enumerate(block.entries, start=1):
        mark = f"{index}. " if block.numbered else "• "
        text = mark + mrkdwn(entry, SECTION_CHARACTERS_MAX // 3)
        if used + len(text) + 1 > SECTION_CHARACTERS_MAX - len(ELLIPSIS) - 1:
            lines.append(ELLIPSIS)
            break
        lines.append(text)
        used += len(text) + 1
    return "\n".join(lines)


def _line_words(line: Line) -> Iterable[str]:
    """Yield the words of a line, each with the white space before it, so that a cut never splits code or an entity."""
    for piece in line:
        if not piece.text:
            continue
        text = one_line(piece.text)
        before = " " if piece.text[0].isspace() else ""
        after = " " if piece.text[-1].isspace() and text else ""
        if piece.href and (leads := _link(text, piece.href)):
            yield f"{before}{f'*{leads}*' if piece.style is Style.STRONG else leads}{after}"
            continue
        if piece.style is Style.CODE:
            yield f"{before}{_code(text)}{after}"
        elif piece.style is Style.STRONG and text:
            # Bold with code inside is not bold in Slack: such a piece is left plain.
            words = [_word(word) for word in text.split()]
            marked = " ".join(words)
            yield f"{before}{marked if '`' in marked else f'*{marked}*'}{after}"
        else:
            for index, word in enumerate(text.split()):
                yield (" " if index else before) + _word(word)
            yield after


def _link(text: str, href: str) -> str:
    """Return a link that reads as the text; "" where the text could be a mark: Slack has no code inside a link.

    An address as its own text is shown as it is: there is nothing to read but itself.
    """
    address = href.replace("&", "&amp;")
    if text == href:
        return f"<{address}>"
    return "" if _MARKS.search(text) or "|" in text else f"<{address}|{_escaped(text)}>"


def _word(word: str) -> str:
    return _code(word) if _MARKS.search(word) else _escaped(word)


def _code(text: str) -> str:
    return f"`{_escaped(text.replace('`', _LOOKALIKE_TICK))}`" if text else ""


def _fence(text: str, characters_max: int) -> str:
    inner = _cut_escaped(text.replace("```", 3 * _LOOKALIKE_TICK), characters_max - 8)
    return f"```\n{inner}\n```"


def _escaped(text: str) -> str:
    return "".join(_escape(char) for char in text).replace("://", f":{_JOINER}//")


def _escape(char: str) -> str:
    return char + _JOINER if char == "@" else _ENTITIES.get(char, char)


def _cut_escaped(text: str, characters_max: int) -> str:
    """Return the text escaped and cut so that the escaped form fits."""
    escaped = _escaped(text)
    while len(escaped) > characters_max:
        # Each round drops at least a character; escaping multiplies by five at most, so that few rounds are needed.
        excess = len(escaped) - characters_max
        text = text[: max(len(text) - max(excess // 5, 1) - 1, 0)].rstrip()
        escaped = _escaped(text) + ELLIPSIS
        if not text:
            break
    return escaped
