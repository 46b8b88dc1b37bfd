"""Text as a reader takes it in, before anything in it is checked: one form for every way to write the same.

Numbers in words become digits ("twenty-seven" is 27, "half of" about 50 %), signs that only look different become the
usual ones (full-width digits, a fraction in one sign), and white space is folded. What cannot be read the same way by a
person and a machine is objected to: letters of two scripts in one word, and characters that nobody sees.
"""

from __future__ import annotations

import re
import unicodedata

from analyzer.agent.text import has_hidden

_UNITS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17,
    "eighteen": 18, "nineteen": 19,
}  # fmt: skip
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_SMALL = "|".join([*_UNITS, *_TENS])
_NUMBER = re.compile(
    rf"\b(?:a\s+(?=hundred|thousand|million))?(?:{_SMALL}|hundred|thousand|million)"
    rf"(?:(?:\s+and\s+|[\s-]+)(?:{_SMALL}|hundred|thousand|million))*(?=\b|fold\b)",
    re.IGNORECASE,
)
_COUNTED = re.compile(
    r"[\s-]*(?:times|fold|x\b|per ?cent|percentage|%|usd|dollars?|cents?|ms\b|milliseconds?|seconds?|minutes?|hours?"
    r"|days?|weeks?|(?:input |output )?tokens?)",
    re.IGNORECASE,
)
"""What makes a small number in words a figure: without it ("two tools", "one of them") prose is full of them."""
_PARTS = {
    "half": 50.0, "third": 100 / 3, "quarter": 25.0, "fifth": 20.0, "tenth": 10.0,
    "two thirds": 200 / 3, "three quarters": 75.0, "four fifths": 80.0,
}  # fmt: skip
_PART = re.compile(
    r"\b(?:(?:a|one)[\s-]+)?(two[\s-]thirds|three[\s-]quarters|four[\s-]fifths|half|third|quarter|fifth|tenth)"
    r"(?=\s+(?:of\s+)?(?:the|all|its|their|our|these|those|every|runs|trajectories|calls)\b(?!\s+(?:time|way|same)))",
    re.IGNORECASE,
)
_A_DAY = re.compile(
    r"\ban?\s+(?=(?:day|week|hour|minute|month)\s+(?:before|after|earlier|later|ago|too)\b)", re.IGNORECASE
)
"""A day that something is shifted by is a figure."""
_ORDINARY = frozenset({"COMMON", "LATIN", "GREEK MU", "OHM"})
_JOINERS = re.compile("[\u200c\u200d\ufe00-\ufe0f]")
_EMOJI = 0x2190
"""From here on signs and emoji may be joined; letters of ours may not."""


def plainly(text: str) -> str:
    """Return a text with its numbers in digits, in compatible signs (NFKC), in one line."""
    for char in {char for char in text if unicodedata.category(char) == "No" and 0 < unicodedata.numeric(char) < 1}:
        text = text.replace(char, f" about {unicodedata.numeric(char) * 100:.4g} % ")
    text = " ".join(unicodedata.normalize("NFKC", text).split())
    text = _A_DAY.sub("1 ", text)
    text = _PART.sub(lambda match: f"about {_PARTS[match.group(1).lower().replace('-', ' ')]:.4g} %", text)
    return _NUMBER.sub(lambda match: _digits(match, text), text)


def objection(text: str) -> str | None:
    """Return why a text cannot be read for what it is, or None where a person and a machine read the same."""
    if has_hidden(text):
        return "it holds characters that a reader does not see"
    for match in _JOINERS.finditer(text):
        beside = text[max(match.start() - 1, 0) : match.start()] + text[match.end() : match.end() + 1]
        if any(char.isascii() and (char.isalnum() or char in ".,-") for char in beside):
            return "it holds characters that a reader does not see"
    for word in re.findall(r"[^\W\d_]+", unicodedata.normalize("NFKC", text)):
        scripts = {_script(char) for char in word if not char.isascii()} | ({"LATIN"} if _has_ascii(word) else set())
        if len(scripts - {"COMMON"}) > 1:
            return f"{word!r} mixes letters that look alike from two scripts"
    return None


def _has_ascii(word: str) -> bool:
    return any(char.isascii() for char in word)


def _script(char: str) -> str:
    """Return the script of a letter, by its name; the sign of a thousandth and its kin belong to none."""
    if char in "µμΩª°º":
        return "COMMON"
    return unicodedata.name(char, "COMMON").split(" ", 1)[0].split("-", 1)[0]


def _digits(match: re.Match[str], text: str) -> str:
    words = [word for word in re.split(r"[\s-]+", match.group().lower()) if word not in {"and", "a"}]
    total, group = 0, 0
    for word in words:
        if word in _SCALES:
            group = max(group, 1) * _SCALES[word]
            if word != "hundred":
                total, group = total + group, 0
        else:
            group += _UNITS.get(word, _TENS.get(word, 0))
    value = total + group
    if value < 10 and not _COUNTED.match(text[match.end() :]):  # noqa: PLR2004 - two digits: see numbers.py
        return match.group()
    return f"{value} " if text[match.end() : match.end() + 1].isalpha() else str(value)
