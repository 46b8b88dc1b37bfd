"""Text from outside made harmless to look at: no control characters, no invisible ones, no surprises in width.

Span text can hold escape sequences that repaint a terminal, marks that turn the reading direction around, and
characters nobody sees. They are shown, not obeyed: every renderer passes every text through here.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

ELLIPSIS = "…"
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")

_LINE_ENDS = str.maketrans(dict.fromkeys(("\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"), "\n"))
_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "\u2421"}
"""Unicode has a picture for each control character of ASCII: that of ESC is U+241B."""
_JOINERS = frozenset("\u200c\u200d")
"""Zero-width (non-)joiners belong to the spelling of several scripts and of emoji: they are kept."""
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs", "Cn"})
_BLANKS = frozenset("\u115f\u1160\u3164\uffa0\u2800")
"""Letters and signs that look like nothing at all."""
_SELECTORS = (range(0xFE00, 0xFE0E), range(0xE0100, 0xE01F0))
"""Variation selectors without a use in running text: they can carry hidden text, a byte each."""


def visible(text: str) -> str:
    """Return the text with all line ends as line feeds and every control or invisible character shown.

    Control characters of ASCII become their pictures, other ones, invisible ones and lone surrogates their number
    (`[U+202E]`). Tabs become four spaces.
    """
    if text.isascii() and text.isprintable():
        return text
    folded = text.replace("\r\n", "\n").translate(_LINE_ENDS).replace("\t", "    ")
    if folded.isascii() and folded.replace("\n", " ").isprintable():
        return folded
    return "".join(char if char == "\n" else _shown(char) for char in folded)


def one_line(text: str, width_max: int | None = None) -> str:
    """Return the visible text on one line, white space folded, cut to `width_max` columns with an ellipsis."""
    flat = " ".join(visible(text if width_max is None else text[: 8 * width_max]).split())
    return flat if width_max is None else cut(flat, width_max)


def cut(text: str, width_max: int) -> str:
    """Return the beginning of a visible text that fits `width_max` columns; an ellipsis stands for the rest."""
    if width(text) <= width_max:
        return text
    room = max(width_max - 1, 0)
    if text[: room + 1].isascii():
        return text[:room].rstrip() + ELLIPSIS
    used = 0
    for position, char in enumerate(text):
        used += _columns(char)
        if used > room:
            return text[:position].rstrip() + ELLIPSIS
    return text


def width(text: str) -> int:
    """Return how many columns a terminal takes for a text without line ends."""
    if text.isascii():
        return len(text)
    # Nearly every character of most lines is ASCII; what ends them, an ellipsis, is not.
    return len(text) + sum(_columns(char) - 1 for run in _NOT_ASCII.findall(text) for char in run)


def padded(text: str, columns: int, *, right: bool = False) -> str:
    """Return the text filled with spaces to a number of columns, on the left where `right` is true."""
    if text.isascii():
        return text.rjust(columns) if right else text.ljust(columns)
    filler = " " * max(columns - width(text), 0)
    return filler + text if right else text + filler


def wrapped(text: str, columns: int) -> list[str]:
    """Break one visible line at spaces into lines of at most `columns`; a longer word is broken where it must be."""
    columns = max(columns, 1)
    lines: list[str] = []
    line = ""
    for word in text.split():
        rest = word
        if line and width(line) + 1 + width(rest) <= columns:
            line = f"{line} {rest}"
            continue
        if line:
            lines.append(line)
        while width(rest) > columns:
            head = _prefix(rest, columns)
            lines.append(head)
            rest = rest[len(head) :]
        line = rest
    if line or not lines:
        lines.append(line)
    return lines


def _prefix(text: str, columns: int) -> str:
    """Return the longest beginning within `columns`, and one character at least: a loop over it must end."""
    used = 0
    for position, char in enumerate(text):
        used += _columns(char)
        if used > columns and position > 0:
            return text[:position]
    return text


@lru_cache(maxsize=4096)
def _shown(char: str) -> str:
    code = ord(char)
    category = unicodedata.category(char)
    if category == "Zs":
        return " "
    if code in _PICTURES:
        return _PICTURES[code]
    hidden = category in _HIDDEN_CATEGORIES and char not in _JOINERS
    if hidden or char in _BLANKS or any(code in span for span in _SELECTORS):
        return f"[U+{code:04X}]"
    return char


@lru_cache(maxsize=4096)
def _columns(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1
