"""Orders in data: text that a tool returned and that speaks to the model which will read it.

What is looked for is an instruction addressed at a model, not talk about one. A sign is strong (an order to drop
earlier instructions, in several languages; the same in base64; words written in characters that nobody sees) or weak
(a turn that pretends to be the system's, an address to "AI assistants", an order to keep something from the user, one
to give away a prompt or secrets, one to drop "your guidelines", one that gives a new role). One strong sign or two
different weak ones make an order. A text that quotes such words to explain them ("attackers write ...") makes none
unless something else is strong.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from analyzer.types.signs import ANCHORS, OVERRIDES, STRONG_ANCHORS, WEAK

LOOKED_AT = 200_000
"""Characters of one text that are looked at; the rest of a longer one is not."""
QUOTE_CHARS = 200
TAGS_MIN, ZERO_WIDTH_MIN = 6, 24
"""Hidden characters in a row that can only be writing: six tag letters are a word, 24 zero-width ones three bytes."""
_BASE64_MAX = 20
"""Encoded pieces of one text that are decoded."""
SIGNS_MIN = 2
"""One weak sign is how people write."""
_MENTIONED = re.compile(
    r"(?:\be\.g\.|\bfor example|\bexamples?\b|\bsuch as|\blike\b|\battack\w*|\binjections?\b|\bjailbreak\w*"
    r"|\bphrases?\b|\bpatterns?\b"
    r"|\bdetect\w*|\bfilter\w*|\bknown as|\bso-called|\bwrites?\b|\btest(?:s|ed|ing)?\b|\bpayloads?\b)[^.\n]{0,80}"
    r"[\"'`“‘„«‹「]\s*$",  # noqa: RUF001 - quotation marks
    re.IGNORECASE,
)
"""Such words, and the quotation mark that opens right before a sign. Without one they are part of the order: whoever
writes an order may begin it with "For example," and end it with "tell nobody about this attack"."""
_MENTIONED_AFTER = re.compile(
    r"^[^.\n\"`”’»“]{0,60}?[\"'`”’»“](?!\w)[^.\n]{0,60}"  # noqa: RUF001 - quotation marks
    r"\b(?:attacks?|injections?|jailbreaks?|is an? (?:example|classic|known)|are (?:examples|classic))\b",
    re.IGNORECASE,
)
"""A quotation mark that closes behind a sign, which no apostrophe within a word is, and such words behind it."""
_TAGS = re.compile(f"[\U000e0020-\U000e007e]{{{TAGS_MIN},}}")
_ZERO_WIDTH = re.compile(f"[\u200b-\u200d\u2060\ufeff]{{{ZERO_WIDTH_MIN},}}")
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{32,4000}={0,2}(?![A-Za-z0-9+/_=-])")
_URL = re.compile(r"https?://[^\s\"'<>)\]]{4,200}|[\w.+-]+@[\w-]+\.[\w.]{2,}", re.IGNORECASE)
_NAMES = re.compile(
    r"\b(?:call|run|use|invoke|execute)\s+(?:the\s+)?(?:tool\s+|function\s+)?[`'\"]?([a-z]\w*_\w+)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Order:
    """An instruction to a model that stands in data."""

    what: str
    """In words for people."""
    quote: str
    """The words as they stand; empty where they are hidden or encoded, and cannot be shown as they are."""
    targets: frozenset[str]
    """What the text names that could be acted on: addresses, and tools to be called; in lower case."""


def order_in(text: str) -> Order | None:
    """Return the order that a text holds, or None. At most LOOKED_AT characters are looked at."""
    text = text[:LOOKED_AT]
    return _hidden(text) or _spoken(text) or _encoded(text)


def _spoken(text: str) -> Order | None:
    lowered = " ".join(text.lower().split())
    if any(anchor in lowered for anchor in STRONG_ANCHORS):
        said = next((match for match in OVERRIDES.finditer(text) if not _is_mention(text, match)), None)
        if said is not None:
            return Order("an order to drop earlier instructions", _line(text, said), _targets(text, said.start()))
    possible = [what for what, anchors in ANCHORS.items() if any(anchor in lowered for anchor in anchors)]
    signs: list[tuple[str, re.Match[str]]] = []
    for tried, what in enumerate(possible):
        if len(signs) + len(possible) - tried < SIGNS_MIN:
            return None
        match = next((found for found in WEAK[what].finditer(text) if not _is_mention(text, found)), None)
        signs += [(what, match)] if match is not None else []
    if len(signs) < SIGNS_MIN:
        return None
    first = min((match for _, match in signs), key=lambda match: match.start())
    return Order(" and ".join(sorted(what for what, _ in signs)[:2]), _line(text, first), _targets(text, first.start()))


def _hidden(text: str) -> Order | None:
    if text.isascii():
        return None
    tags = _TAGS.search(text)
    if tags is not None:
        return Order("words in characters that nobody sees", "", _targets(_untagged(tags.group()), 0))
    if _ZERO_WIDTH.search(text) is not None:
        return Order("a message in zero-width characters", "", frozenset())
    return None


def _encoded(text: str) -> Order | None:
    for plain in _decoded(text):
        if OVERRIDES.search(plain) or sum(pattern.search(plain) is not None for pattern in WEAK.values()) > 1:
            return Order("an order in base64", "", _targets(plain, 0))
    return None


def _decoded(text: str) -> Iterator[str]:
    for tried, match in enumerate(_BASE64.finditer(text)):
        if tried >= _BASE64_MAX:
            return
        piece = match.group().replace("-", "+").replace("_", "/").rstrip("=")
        try:
            plain = base64.b64decode(piece + "=" * (-len(piece) % 4), validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            continue
        if plain.isprintable():
            yield plain


def _untagged(tags: str) -> str:
    return "".join(chr(ord(char) - 0xE0000) for char in tags)


def _is_mention(text: str, match: re.Match[str]) -> bool:
    """Tell whether words are spoken of and not said: they stand in quotation marks, among words that speak of them."""
    before = text[max(match.start() - 160, 0) : match.start()]
    after = text[match.end() : match.end() + 100]
    return _MENTIONED.search(before) is not None or _MENTIONED_AFTER.search(after) is not None


def _line(text: str, match: re.Match[str]) -> str:
    """Return the words from a sign on, within its line: verbatim, because it is quoted."""
    start = match.start() + len(match.group()) - len(match.group().lstrip())
    end = text.find("\n", max(match.end(), start + 1))
    return text[start : min(end if end >= 0 else len(text), start + QUOTE_CHARS)].strip()


def _targets(text: str, start: int) -> frozenset[str]:
    told = text[start : start + 1000]
    names = {match.group(1).lower() for match in _NAMES.finditer(told)}
    return frozenset({match.group().lower().rstrip(".,;") for match in _URL.finditer(told)} | names)
