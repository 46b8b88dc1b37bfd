"""Personal data: e-mail addresses, card numbers, IBANs, telephone numbers, US social security numbers.

Numbers are looked for in a copy of the text in which every digit is a 0 and every capital an A, so that one substring
search tells whether a form occurs at all; only then is it looked at closely, and most forms carry a check digit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from analyzer.masking.forms import Found, Pseudonym, replaced
from analyzer.masking.numbering import CALLING_CODES, IBAN_LENGTHS, ISSUERS

_CLASSES = bytes(
    48 if chr(byte) in "0123456789" else 65 if chr(byte).isupper() and byte < 128 else byte  # noqa: PLR2004 - ASCII
    for byte in range(256)
)

_EMAIL_LOCAL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%+-'")
_EMAIL_LOCAL_MAX = 64
"""RFC 5321, 4.5.3.1.1."""
_EMAIL_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9\u00a1-\uffff](?:[A-Za-z0-9\u00a1-\uffff-]{0,62})\.){1,8}[A-Za-z\u00a1-\uffff][A-Za-z0-9-]{1,62}"
)
_JSON_ESCAPE = re.compile(r"u[0-9a-fA-F]{4}|[nrtbf]")

_NUMBER_CHARS_MIN = 7
_CARD_FORMS = (b"0" * 13, b"0000 0000", b"0000-0000", b"0000 000000", b"0000-000000")
_CARD = re.compile(
    r"(?:[0-9]{13,19}|[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}|[0-9]{4}([ -])[0-9]{6}\2[0-9]{4,5})(?![0-9])"
)
_CARD_START = re.compile(r"[2-6][0-9]{3}[0-9 -][0-9]{3}")
_DIGITS = re.compile(r"[0-9]*")
_SEPARATORS = re.compile(r"[^0-9A-Z]")

_IBAN = re.compile(
    r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))[A-Z]{2}[0-9]{2}"
    r"(?:[A-Z0-9]{11,30}|(?:[ -][A-Z0-9]{4}){2,7}(?:[ -][A-Z0-9]{1,3})?)"
    r"(?![A-Za-z0-9])"
)

_PHONE = re.compile(
    r"(?:(?<![\w.+/=*-])|(?<=\\[nrt])|(?<==))\+[1-9][0-9]{0,2}+"
    r"(?:[ .\-/]?(?:\([0-9]{1,12}\)|[0-9]{1,12}+)){1,7}+(?![0-9A-Za-z_])"
)
_PHONE_DIGITS = range(8, 16)
"""Digits with the country's: ITU-T E.164 allows 15, the shortest numbers in use have 8."""
_PHONE_BARE_MIN = 10
"""Without any separator, so that an 8-digit date behind a plus sign is none."""
_NANP = re.compile(r"(?:(?<![\w)])|(?<=\\[nrt]))\([2-9][0-9]{2}\) ?[2-9][0-9]{2}[-. ][0-9]{4}(?![\w-])")
_LOCAL_FORMS = (b"000-000", b"000 000", b"000.000", b"0000000", b"00 00 00", b"0000 000")
_LOCAL_WORDS = ("phone", "mobile", "whatsapp", "tel", "fax")
_LOCAL_COMPOUNDS = ("tele", "cell")
_LOCAL = re.compile(
    r"(?:[_ -]?(?:number|num|no|nr)\b)?[.]?\\{0,8}[\"']?\s{0,3}[:=#]?\s{0,3}\\{0,8}[\"']?"
    r"(?![0-9]{4}-[0-9]{2}-[0-9]{2})(\(?[0-9][0-9 ().\-/]{5,18}[0-9])(?![0-9A-Za-z])",
    re.IGNORECASE,
)
"""What stands between the word and the number, and the number; a date is none."""
_LOCAL_DIGITS = range(7, 14)

_SSN = re.compile(r"(?:(?<![\w.-])|(?<=\\[nrt]))(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?![\w-])")
"""Areas 000, 666 and 900 to 999, group 00 and serial 0000 are never issued (US Social Security Administration)."""


def emails(text: str, pseudonym: Pseudonym) -> str:
    """Replace e-mail addresses."""
    if "@" not in text:
        return text
    found: list[Found] = []
    at = 0
    for sign in _positions(text, "@"):
        start = _local_start(text, sign, at)
        domain = _EMAIL_DOMAIN.match(text, sign + 1) if start < sign else None
        if domain is None or (text[start:sign] == "git" and text[domain.end() : domain.end() + 1] == ":"):
            # git@github.com:org/repo is the address of a repository.
            continue
        at = domain.end()
        found.append((start, at, pseudonym("email", text[start:at].lower())))
    return replaced(text, found)


def _local_start(text: str, sign: int, least: int) -> int:
    start = sign
    least = max(least, sign - _EMAIL_LOCAL_MAX)
    while start > least and (
        text[start - 1] in _EMAIL_LOCAL or (text[start - 1] > "\x7f" and text[start - 1].isalpha())
    ):
        start -= 1
    # In JSON text the letter behind a backslash belongs to the escape: \nbob@... is bob's address on a new line.
    if start and text[start - 1] == "\\":
        escape = _JSON_ESCAPE.match(text, start, sign)
        start = escape.end() if escape else start
    while start < sign and not text[start].isalnum() and text[start] != "_":
        start += 1
    return start


def _positions(text: str, piece: str) -> Iterator[int]:
    at = text.find(piece)
    while at >= 0:
        yield at
        at = text.find(piece, at + 1)


def numbers(text: str, pseudonym: Pseudonym) -> str:
    """Replace card numbers, IBANs, telephone and social security numbers."""
    if len(text) < _NUMBER_CHARS_MIN:
        return text
    forms = text.encode("ascii", "replace").translate(_CLASSES)
    found: list[Found] = []
    for form, pattern, is_one, kind in _KINDS:
        at = forms.find(form)
        while at >= 0:
            match = pattern.match(text, at)
            if match is not None and is_one(match.group()):
                found.append((*match.span(), pseudonym(kind, _SEPARATORS.sub("", match.group()))))
            at = forms.find(form, match.end() if match else at + 1)
    if b"0000" in forms and any(form in forms for form in _CARD_FORMS):
        found += _cards(text, pseudonym)
    if b"00" in forms and any(form in forms for form in _LOCAL_FORMS):
        found += _local_phones(text, pseudonym)
    return replaced(text, found) if found else text


def _cards(text: str, pseudonym: Pseudonym) -> Iterator[Found]:
    """Yield card numbers: a known issuer's prefix and length, and a right check digit (Luhn)."""
    begin = _CARD_START.search(text)
    while begin is not None:
        start = begin.start()
        card = None if text[start - 1 : start].isdigit() else _CARD.match(text, start)
        if card is not None and _stands_alone(text, start, card.end()):
            number = _SEPARATORS.sub("", card.group())
            if is_card(number):
                yield start, card.end(), pseudonym("card", number)
                begin = _CARD_START.search(text, card.end())
                continue
        run = _DIGITS.match(text, start)
        begin = _CARD_START.search(text, run.end() if run else start + 1)


def is_card(digits: str) -> bool:
    """Whether digits have a known issuer's prefix and length and a right check digit."""
    lengths = next((lengths for prefix, lengths in ISSUERS if prefix.match(digits)), frozenset())
    if len(digits) not in lengths or len(set(digits)) == 1:
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit) * (1 + place % 2)
        total += number - 9 if number > 9 else number  # noqa: PLR2004 - the sum of the two digits of 10 to 18
    return total % 10 == 0


def is_iban(text: str) -> bool:
    """Whether a text is an IBAN: a country's length and the check digits of ISO 13616 (the number mod 97 is 1)."""
    compact = _SEPARATORS.sub("", text)
    if IBAN_LENGTHS.get(compact[:2]) != len(compact):
        return False
    return int("".join(str(int(letter, 36)) for letter in compact[4:] + compact[:4])) % 97 == 1


def is_phone(text: str) -> bool:
    """Whether a text with a plus sign is a telephone number: a country's code, and as many digits as there may be."""
    digits = _SEPARATORS.sub("", text)
    if len(digits) not in _PHONE_DIGITS or len(set(digits)) == 1:
        return False
    if digits[0] == "1":
        # North America: three digits of area and three of exchange, neither beginning with 0 or 1, and four more.
        return len(digits) == 11 and digits[1] not in "01" and digits[4] not in "01"  # noqa: PLR2004 - counted above
    if text[1:].isdigit() and len(digits) < _PHONE_BARE_MIN:
        return False
    return any(digits[:length] in CALLING_CODES for length in (1, 2, 3))


def _local_phones(text: str, pseudonym: Pseudonym) -> Iterator[Found]:
    """Yield national numbers, which only the word in front tells from other numbers."""
    lowered = text.lower()
    for word in _LOCAL_WORDS:
        for at in _positions(lowered, word):
            if not _begins(text, lowered, at):
                continue
            match = _LOCAL.match(text, at + len(word))
            if match is not None and len(_SEPARATORS.sub("", match.group(1))) in _LOCAL_DIGITS:
                yield *match.span(1), pseudonym("phone", _SEPARATORS.sub("", match.group(1)))


def _begins(text: str, lowered: str, at: int) -> bool:
    """Whether a word begins here, also inside a camelCase name: not in "hotel", "Smartphone" or "iPhone"."""
    before = lowered[max(at - 4, 0) : at]
    if not before[-1:].isalpha() or before in _LOCAL_COMPOUNDS:
        return True
    return text[at].isupper() and before[-1] != "i"


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether digits are a number of their own, and not part of a hash, an id, a fraction or a longer number."""
    before, after = text[start - 1 : start], text[end : end + 1]
    if before and (before.isalnum() or before in "_.-"):
        is_escape = start > 1 and text[start - 2] == "\\" and before in "nrt"
        if not is_escape:
            return False
    if after and (after.isalnum() or after == "_"):
        return False
    return not (after in (".", "-") and after and text[end + 1 : end + 2].isalnum())


def _always(_text: str) -> bool:
    """Say yes: the pattern alone decides."""
    return True


_KINDS: tuple[tuple[bytes, re.Pattern[str], Callable[[str], bool], str], ...] = (
    (b"AA00", _IBAN, is_iban, "iban"),
    (b"+0", _PHONE, is_phone, "phone"),
    (b"(000)", _NANP, _always, "phone"),
    (b"000-00-0000", _SSN, _always, "ssn"),
)
"""What to find first, with 0 for a digit and A for a capital; what must match there, be true of it; the pseudonym's
kind."""
