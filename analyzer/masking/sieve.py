"""One look that tells the texts in which no rule can find anything, which most are, from the others.

The rules read a text some forty times, each for signs of its own. Here all these signs are one expression that RE2
walks through once, at 2 ns a byte whatever the text: it does not backtrack. A sign is what a rule cannot find anything
without, and no more: where there is one, or where the text cannot be looked at so, the rules themselves decide.
`tests/test_masking.py` holds both ways against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import re2

from analyzer.masking.keys import NAMES

_WIDE = "A-Za-z0-9\\x{a1}-\\x{ffff}"
_SIGNS = (
    # Names of secrets and what must follow one: named_values
    rf"(?i:(?:{NAMES})(?:[:=\"'`\\&>]|[ \t]{{1,4}}(?:[:=]|is[ \t]|was[ \t])))",
    rf"(?i:--[a-z0-9_.\-]*(?:{NAMES})[ \t])",
    r"(?i:bearer|basic)(?:[ \t]{1,4}|%20|\+)[A-Za-z0-9._~+/=\-]{8}",
    # Letters that are others when lowered: positions and names
    r"[\x{130}\x{17f}\x{212a}]",
    # pem_keys, url_passwords
    r"PRIVATE KEY| -u |--user|mysql|mariadb|(?i:ignature=|sig=|ecurity-)",
    r"://[^\s/?#@:\"'<>\\]*:[^\s/?#\"'<>\\]+@",
    # What the rules for encodings start from
    r"%[0-9A-Fa-f]{2}|\\u00|&#|&commat;",
    # emails
    rf"@[{_WIDE}][{_WIDE}\-]*\.",
    # numbers: IBAN, telephone, social security, card, and what only a word in front tells
    r"[A-Z]{2}[0-9]{2}(?:[A-Z0-9]{11}|(?:[ -][A-Z0-9]{4}){2})",
    r"\+[1-9][0-9]{0,2}[ .\-/]?[0-9(]|\([2-9][0-9]{2}\) ?[2-9][0-9]{2}[-. ][0-9]{4}",
    r"[0-9]{3}-[0-9]{2}-[0-9]{4}",
    r"[0-9]{13}|[0-9]{4}[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]{4}|[0-9]{4}[ -][0-9]{6}[ -][0-9]{4}",
    r"(?i:phone|mobile|whatsapp|tel|fax)(?i:[_ -]?(?:number|num|no|nr))?[^A-Za-z0-9]{0,40}[0-9]",
)
_SIGN = re2.compile("|".join(_SIGNS))


def any_of_words(words: Iterable[str]) -> Callable[[str], bool]:
    """Return a test whether one of some ASCII words stands in a text.

    8 us for 200 characters and fifty words; Python's own engine, which tries the words at every character, takes 13.
    """
    pattern = re2.compile("|".join(map(re2.escape, words)))
    return lambda text: pattern.search(text.encode("utf-8", "replace")) is not None


def has_sign(text: str) -> bool:
    """Whether a rule other than those for runs (`runs.runs`) may find something in a text."""
    try:
        return _SIGN.search(text.encode()) is not None
    except UnicodeEncodeError:
        return True


def looking_for(signs: Sequence[str]) -> Callable[[str], bool]:
    """Return a look for any of these signs, letter case aside, as fast as the one for secrets; for other sieves."""
    sign = re2.compile("(?i)" + "|".join(f"(?:{one})" for one in signs))

    def found(text: str) -> bool:
        try:
            return sign.search(text.encode()) is not None
        except UnicodeEncodeError:
            return True

    return found
