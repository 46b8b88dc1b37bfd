"""Text from spans on its way to the model and back: made visible, cut, marked, found again, defused.

Whatever a span holds is data that anybody may have written. Four things make it safe to show and exact to quote:
hidden characters are spelled out, so that what the model reads is what a person would see; every stretch stands
between markers that carry a mark found nowhere in the case, so that no text can close its own marker; a quote is
looked up with white space folded and nothing else; and what the model writes loses every live link before it is used.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Callable, Iterable

from analyzer.types.messages import readable
from analyzer.types.trace import Span

Mask = Callable[[str], str]
"""Replaces secrets by pseudonyms; doing it twice changes nothing."""

CHARS_PER_TOKEN = 3.5
"""ASCII characters per token, cautiously: English prose has about 4, JSON and code about 3.5 with the tokenizers
of 2026, which give some 30 % more tokens for the same text than those before."""
TOKENS_PER_WIDE_CHAR = 1.5
"""Tokens per character beyond ASCII: CJK text and emoji take one to two."""

_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Control, bidirectional, zero-width and tag characters. Joiners (U+200C, U+200D) and variation selectors stay:
Persian, Indic scripts and emoji need them, and they hide nothing."""


def plain(text: str) -> str:
    """Return the text as it is: the mask for text that needs none."""
    return text


def text_of(span: Span, name: str, mask: Mask) -> str:
    """Return a field of a span in the one form in which it is shown, searched and quoted; "" where it is empty."""
    value = getattr(span, name)
    return mask(readable(value)) if value else ""


def visible(text: str) -> str:
    """Spell out hidden characters as `⟨U+202E⟩`. A quote cannot reach across one: it would hide it in the report."""
    return _HIDDEN.sub(lambda match: f"⟨U+{ord(match.group()):04X}⟩", text)


def has_hidden(text: str) -> bool:
    """Tell whether the text has a character that a reader would not see."""
    return _HIDDEN.search(text) is not None


def estimate_tokens(text: str) -> int:
    """Return a cautious estimate of the tokens of a text; real counts come out lower on prose, JSON and code."""
    wide = sum(1 for char in text if ord(char) > 127) if not text.isascii() else 0  # noqa: PLR2004 - the end of ASCII
    return math.ceil((len(text) - wide) / CHARS_PER_TOKEN + wide * TOKENS_PER_WIDE_CHAR)


def clip(text: str, tokens_max: int) -> str:
    """Return the longest beginning of the text that fits, found by bisection; "" for no room at all."""
    if estimate_tokens(text) <= tokens_max:
        return text
    low, high = 0, min(len(text), int(tokens_max * CHARS_PER_TOKEN) + 1)
    while low < high:
        middle = (low + high + 1) // 2
        if estimate_tokens(text[:middle]) <= tokens_max:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def one_line(text: str, chars_max: int) -> str:
    """Return a short form in one line, for outlines; `…` where something was left out."""
    head = " ".join(visible(text[: chars_max * 4]).split())
    return head if len(head) <= chars_max and len(text) <= chars_max * 4 else head[: chars_max - 1] + "…"


def find_verbatim(quote: str, text: str) -> str | None:
    """Return the stretch of the text that the quote repeats, exactly as it stands there, or None.

    Runs of white space count as equal; letter case, punctuation and everything else must agree.
    """
    words = quote.split()
    if not words:
        return None
    if quote in text:
        return quote.strip()
    match = re.search(r"\s+".join(re.escape(word) for word in words), text)
    return match.group() if match else None


class Markers:
    """The markers of one case. Their mark is a hash of the case that occurs in none of its texts.

    It is derived, not drawn, so that the same case gives the same bytes; and as it is checked against every text, a
    span that guesses at it only makes the next hash be taken.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        held = tuple(texts)
        digest = hashlib.sha256()
        for text in held:
            digest.update(text.encode("utf-8", "replace"))
            digest.update(b"\0")
        mark = digest.hexdigest()[:8]
        while any(mark in text for text in held):
            mark = hashlib.sha256(mark.encode()).hexdigest()[:8]
        self.mark = mark

    def wrap(self, trace_id: str, span_id: str, field: str, text: str, note: str = "") -> str:
        """Return a verbatim stretch between markers."""
        body = visible(text).replace(self.mark, "⟨mark⟩")
        extra = f' note="{note}"' if note else ""
        return (
            f'<span:{self.mark} trace="{trace_id}" id="{span_id}" field="{field}"{extra}>\n{body}\n</span:{self.mark}>'
        )

    def stretch(self, span_id: str, field: str, text: str, note: str) -> str:
        """Return a verbatim stretch between markers that stand inside the section of its trajectory."""
        body = visible(text).replace(self.mark, "⟨mark⟩")
        return f'<span:{self.mark} id="{span_id}" field="{field}" note="{note}">\n{body}\n</span:{self.mark}>'

    def section(self, name: str, body: str, attributes: str = "") -> str:
        """Return a part of the case file between markers of its own."""
        return f"<{name}:{self.mark}{attributes}>\n{body}\n</{name}:{self.mark}>"

    def clean(self, text: str) -> str:
        """Return text for use outside of span markers (names, gists): the mark cannot be imitated in it."""
        return visible(text).replace(self.mark, "⟨mark⟩")


_MARKDOWN_LINK = re.compile(r"!?\[([^\]\n]{0,300})\]\s?\((?:[^()\n]|\([^()\n]*\)){0,2000}\)")
_REFERENCE_LINK = re.compile(r"^\s*\[[^\]\n]{1,100}\]:\s*\S+.*$", re.MULTILINE)
_SLACK_LINK = re.compile(
    r"<((?:https?|ftp|mailto|tel|javascript|data|file)[:|][^>|\n]*)(?:\|([^>\n]*))?>", re.IGNORECASE
)
_HTML_TAG = re.compile(r"</?[a-zA-Z!][^>\n]{0,500}>")
_PSEUDONYM = re.compile(r"<[a-z][a-z0-9_-]*:[0-9a-f]{6,16}>")
_SCHEME = re.compile(
    r"\b(https?|ftps?|wss?|file|data|javascript|vbscript|mailto|tel|slack|ssh|git)\s?:(?=\S)", re.IGNORECASE
)
_BARE_HOST = re.compile(r"\bwww\.", re.IGNORECASE)
_MENTION = re.compile(r"<[@!#][^>\n]{1,80}>|@(?=(?:here|channel|everyone)\b)")


def defuse(text: str, chars_max: int) -> str:
    """Return what a model wrote without live links, tags, mentions or hidden characters, within a length.

    A link keeps its words and loses its target; a bare address loses its scheme, so that no viewer makes it a link.
    Pseudonyms such as `<email:1a2b3c4d>` stay.
    """
    text = unicodedata.normalize("NFC", text[: chars_max * 4])
    text = _HIDDEN.sub("", text)
    text = _MARKDOWN_LINK.sub(lambda match: match.group(1), text)
    text = _REFERENCE_LINK.sub("", text)
    text = _SLACK_LINK.sub(lambda match: match.group(2) or match.group(1), text)
    text = _MENTION.sub("", text)
    text = _HTML_TAG.sub(lambda match: match.group() if _PSEUDONYM.fullmatch(match.group()) else "", text)
    text = _SCHEME.sub(lambda match: f"{match.group(1)}[:]", text)
    text = _BARE_HOST.sub("www[.]", text)
    text = text.strip()
    return text if len(text) <= chars_max else text[: chars_max - 1].rstrip() + "…"
