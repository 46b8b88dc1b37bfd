"""Texts of two runs compared: their words, and apart from them the labels in which two runs of the same thing differ.

A label is a word with a digit: an order's number, an id, a count. Times are noise as in the loop detector
(`types/noise.py`). Two runs that work on two orders differ in the same label everywhere, and that is said once.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest

from analyzer.render.text import ELLIPSIS, cut, one_line
from analyzer.types.noise import IDS, TIMES, cleaned, parsed

_CHARS_MAX = 16_000
"""Longer texts are compared at both ends; of the middle only whether it is the same."""
_TIMES = re.compile(TIMES, re.VERBOSE | re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
"""A day is chosen; a time of day is when it happened."""
_LABEL = re.compile(rf"{IDS} | -?\b\d+\.\d+\b | \w*\d\w*", re.VERBOSE | re.IGNORECASE)
_ID = re.compile(IDS, re.VERBOSE | re.IGNORECASE)
_ID_NAME = re.compile(r"""(?:^|[\W_]|(?<=[a-z]))(?:[Ii]d|ID|[Uu]uid|[Gg]uid)["']?\s*[:=]\s*["']?$""")
"""What stands before a label that is called an id: `"order_id": `, `orderId=`."""
_BEFORE_CHARS = 24
"""Context before the first difference of two texts: as much of it as a glance takes in."""


@dataclass(frozen=True, slots=True)
class Wording:
    """A text as it is compared."""

    text: str
    """White space folded, times masked."""
    shape: str
    """The same with `#` for each label."""
    labels: tuple[str, ...]

    @property
    def ids(self) -> frozenset[str]:
        """The labels that name a thing, by their form or by what they are called."""
        return frozenset(
            found[0]
            for found in _LABEL.finditer(self.text)
            if is_id(found[0]) or _ID_NAME.search(self.text, max(0, found.start() - _BEFORE_CHARS), found.start())
        )


@lru_cache(maxsize=4096)
def of_arguments(text: str) -> Wording:
    """Return arguments as they are compared: the order of keys and what is volatile by name say nothing."""
    if len(text) > _CHARS_MAX:
        return of_text(text)
    value = cleaned(parsed(text), _folded, keep_numbers=True)
    return _worded(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str), "")


def of_text(text: str) -> Wording:
    """Return any other text as it is compared."""
    middle = ""
    if len(text) > _CHARS_MAX:
        half = _CHARS_MAX // 2
        middle = f" {zlib.crc32(text[half:-half].encode('utf-8', 'replace')):x}"
        text = f"{text[:half]} {ELLIPSIS} {text[-half:]}"
    return _worded(_folded(text), middle)


def _folded(text: str) -> str:
    return " ".join(text.split())


def _worded(text: str, middle: str) -> Wording:
    """Read a text word by word: what is looked for has a digit in it, and most words have none."""
    words: list[str] = []
    shapes: list[str] = []
    labels: list[str] = []
    for word in text.split(" "):
        if _DIGIT.search(word) is None:
            if not (word.rstrip(_CLOSING) in _UNITS and words and _NUMBER.fullmatch(words[-1])):
                words.append(word)
                shapes.append(word)
                continue
            # `took 12.5 ms`: the number was a duration.
            labels[-1:], words[-1], shapes[-1] = [], "<*>", "<*>"
            continue
        timeless, shape, found = _read(word) if len(word) > _WORD_CHARS_MAX else _remembered(word)
        words.append(timeless)
        shapes.append(shape)
        labels += found
    return Wording(" ".join(words), " ".join(shapes) + middle, tuple(labels))


def _read(word: str) -> tuple[str, str, list[str]]:
    """Return a word without times, its shape, and its labels."""
    timeless = _TIMES.sub(lambda found: found[0] if _DATE.fullmatch(found[0]) else "<*>", word)
    return timeless, _LABEL.sub("#", timeless), _LABEL.findall(timeless)


_remembered = lru_cache(maxsize=16_384)(_read)
_WORD_CHARS_MAX = 100
_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_UNITS = frozenset(("ns", "us", "\u00b5s", "ms", "s", "sec", "secs", "seconds", "min", "minutes"))
_CLOSING = ",.;:)]}\"'"


def is_id(label: str) -> bool:
    """Tell whether a label has the form of an id that a program made."""
    return _ID.fullmatch(label) is not None


def around(a: Wording, b: Wording, alike: Callable[[str, str], bool], columns: int) -> tuple[str, str]:
    """Return both texts on a line each, cut to `columns` around their first difference.

    `alike` tells of two labels whether they mean the same; where no other difference is found, the texts begin at 0.
    """
    places = _first_difference(a.text, b.text, alike)
    lines = []
    for text, place in zip((a.text, b.text), places, strict=True):
        start = max(0, place - _BEFORE_CHARS)
        head = ELLIPSIS if start else ""
        lines.append(cut(head + one_line(text[start : start + 8 * columns]), columns))
    return lines[0], lines[1]


def _first_difference(a: str, b: str, alike: Callable[[str, str], bool]) -> tuple[int, int]:
    at_a = at_b = 0
    for one, other in zip_longest(_LABEL.finditer(a), _LABEL.finditer(b)):
        before_a = a[at_a : one.start() if one else None]
        before_b = b[at_b : other.start() if other else None]
        if before_a != before_b:
            same = _common(before_a, before_b)
            return at_a + same, at_b + same
        at_a, at_b = at_a + len(before_a), at_b + len(before_b)
        if one is None or other is None or not alike(one[0], other[0]):
            # A number is shown whole, and not from its first other digit on.
            return at_a, at_b
        at_a, at_b = one.end(), other.end()
    if a[at_a:] == b[at_b:]:
        return 0, 0
    same = _common(a[at_a:], b[at_b:])
    return at_a + same, at_b + same


def _common(a: str, b: str) -> int:
    """Return the length of the common beginning, by halving."""
    least, most = 0, min(len(a), len(b))
    while least < most:
        middle = (least + most + 1) // 2
        if a[least:middle] == b[least:middle]:
            least = middle
        else:
            most = middle - 1
    return least
