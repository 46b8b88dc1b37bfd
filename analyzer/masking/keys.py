"""Secrets that show by their name: `password=...`, `"api_key": "..."`, `Authorization: Bearer ...`.

Most words in a fleet's traces that look like such names are not: `max_tokens`, `"token": "Hel"` in log
probabilities, `token: str` in code. A value is taken where its name and its own look agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum
from functools import lru_cache

from analyzer.masking.encoded import decoded_base64
from analyzer.masking.forms import PSEUDONYM, Pseudonym, replaced

_NEEDLES = ("pass", "pwd", "secret", "token", "key", "auth", "credential", "cookie")
"""What is looked for first; every name below contains one."""

_NAME_STRONG = (
    r"passwords?|passwd|passphrase|passwort|pwd|client[_-]?secret|secret(?:[_-]?key)?|secret[_-]?access[_-]?key"
    r"|(?:api|private|account|signing|encryption|subscription|license|master|shared[_-]?access)[_-]?key"
    r"|apikey|x-api-key|(?:db|database|user|root|admin|redis|mysql|pg|postgres|smtp)[_-]?pass|credentials?"
)
"""Names whose value is a secret whatever it looks like."""
_NAME_WEAK = (
    r"(?:access|auth|refresh|id|session|security|bearer|bot|api|oauth|csrf|xsrf|private|personal|deploy|user|app|gh"
    r"|github|gitlab|hf|npm|slack|vault|jwt|webhook|registration|device|push|service|admin|secret|_auth)[_-]?token"
    r"|token|access[_-]?key(?:[_-]?id)?|_auth|auth|set-cookie|cookie"
)
"""Names whose value may be a word of the trade as well: it must look random."""
_STRONG_END = re.compile(rf"(?:{_NAME_STRONG})$")
_WEAK_END = re.compile(rf"(?:{_NAME_WEAK})$")
NAMES = f"{_NAME_STRONG}|{_NAME_WEAK}|authorization"
"""How every name ends that may name a secret."""
_NAME_CHARS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.-")
_NAME_TAIL = re.compile(r"[a-z0-9_.\-]*")
_NAME_CHARS_MAX = 48
_NAMES_MAX = 4096
_HARMLESS = re.compile(
    r".*?(?:next|prev|previous|page|continuation|eos|bos|pad|unk|cls|sep|mask|stop|max|min|per|special|start|end|first"
    r"|last|image|sync|sort|partition|cache|public|foreign|primary|idempotency)[_-]?(?:page[_-]?)?(?:token|key)"
)

_QUOTE = r"(?:\\{0,8}[\"'`]|&quot;|&#3[49];|&#x2[27];|&apos;)"
"""A quotation mark, behind as many backslashes as there are JSON texts around it, or as HTML writes it."""
_AFTER_NAME = frozenset(" \t:=\"'`\\&>")
_SEPARATOR = re.compile(
    rf"(?P<close>{_QUOTE})?[ \t]{{0,4}}(?::=|=>|[:=])[ \t]{{0,4}}(?:(?P<list>\[)\s{{0,8}})?"
    rf"(?P<open>(?:[bru]{{0,2}}(?=[\"'`]))?{_QUOTE})?"
)
_PAIR = re.compile(
    rf"{_QUOTE}\s{{0,8}},\s{{0,8}}{_QUOTE}(?i:value|string_?value){_QUOTE}\s{{0,8}}:\s{{0,8}}"
    rf"(?:\{{\s{{0,8}}{_QUOTE}stringValue{_QUOTE}\s{{0,8}}:\s{{0,8}})?(?P<open>{_QUOTE})"
)
"""`{"name": "DB_PASSWORD", "value": "..."}`: headers in HAR files, Kubernetes' environments, OTLP's own attributes."""
_ARGUMENT = re.compile(rf"{_QUOTE}\s{{0,8}},\s{{0,8}}(?P<open>{_QUOTE})")
"""`["--password", "hunter2"]`: a command line as a list."""
_SPOKEN = re.compile(rf"[ \t]{{1,4}}(?:is|was)[ \t]{{1,4}}(?P<open>{_QUOTE})?")
"""`the password is hunter22`: said and not written, so the value must look like one."""
_PATH = re.compile(r"[/~]|[A-Za-z]:\\")
"""`PWD=/workspace` is where a shell stands."""
_FLAG = re.compile(r"[ \t]{1,4}(?P<open>\\{0,8}[\"'])?(?=[^\s-])")
"""`--password hunter2`"""
_NEXT_ENTRY = re.compile(rf"\s{{0,8}},\s{{0,8}}(?P<open>{_QUOTE})")
_ENTRIES_MAX = 256
_SCHEME = re.compile(r"(?i)(?:bearer|basic|token|digest|apikey|api-key)[ \t]{1,4}")
_BARE = re.compile(r"[^\s\"'`,;&<>\\()\[\]{}|]{1,1024}")
_PROBE = 64
_QUOTED_MAX = 4096
_ESCAPES = frozenset({"\\n", "\\r", "\\t"})
_SCHEMES = ("bearer", "basic")
_SCHEME_TOKEN = re.compile(r"(?:[ \t]{1,4}|%20|\+)([A-Za-z0-9._~+/=\-]{8,8192})")

_PLACEHOLDER = re.compile(
    r"(?i)\$\{?\w*\}?|\{\{?.*\}?\}|%\(?\w*\)?s?|<[^<>]*>|\*+|x{3,}|\.{3}|\u2026|null|none|nil|true|false|undefined"
    r"|str|string|int|bool|bytes|any|object|optional|required|redacted|\[?redacted\]?|your[_-].*|changeme_?"
    r"|os\.(?:environ|getenv).*|process\.env.*|env\..*|self\..*|config\..*|settings\..*"
)
_RANDOM_LENGTH_MIN = 8
_WORD_LENGTH_MIN = 4
_CODE_CALL = re.compile(r"^[A-Za-z_]+(?:\.[A-Za-z_]+)+$|\(")


class Certainty(IntEnum):
    """How surely a name says that a secret stands behind it."""

    NONE = 0
    WEAK = 1
    """The value must look like a secret too."""
    STRONG = 2
    AUTHORIZATION = 3
    """A scheme may stand before the secret."""


@lru_cache(maxsize=_NAMES_MAX)
def certainty(name: str) -> Certainty:
    """Return how surely a field's name, in lower case, names a secret. Its last words decide."""
    if not any(needle in name for needle in _NEEDLES):
        return Certainty.NONE
    if name.endswith("authorization"):
        return Certainty.AUTHORIZATION
    if _HARMLESS.fullmatch(name):
        return Certainty.NONE
    for pattern, found in ((_STRONG_END, Certainty.STRONG), (_WEAK_END, Certainty.WEAK)):
        if pattern.search(name):
            return found
    return Certainty.NONE


def names_nothing(name: str) -> bool:
    """Whether `masked_entry` leaves every value of a field of this name as it is."""
    return certainty(name[-_NAME_CHARS_MAX:].lower()) is Certainty.NONE


def masked_entry(name: str, entry: str, pseudonym: Pseudonym) -> str | None:
    """Return the masked value of a field whose name may name a secret, or None where it does not."""
    lowered = name[-_NAME_CHARS_MAX:].lower()
    sure = certainty(lowered)
    if sure is Certainty.NONE or (lowered.endswith("pwd") and _PATH.match(entry)):
        return None
    scheme = _SCHEME.match(entry)
    start = scheme.end() if scheme else 0
    if not _is_secret(entry[start:], strong=sure >= Certainty.STRONG, quoted=True):
        return None
    return entry[:start] + pseudonym("secret", entry[start:])


def named_values(text: str, pseudonym: Pseudonym) -> str:
    """Replace values that stand behind a secret's name, and what stands behind `Bearer` and `Basic`."""
    # One letter of Unicode becomes two when lowered; every position must stay where it was.
    lowered = text.lower() if text.isascii() else text.replace("\u0130", "I").lower()
    spans: list[tuple[int, int]] = []
    for needle in _NEEDLES:
        if needle in lowered:
            spans += _values(text, lowered, needle)
    for scheme in _SCHEMES:
        if scheme in lowered:
            spans += _behind_scheme(text, lowered, scheme)
    if not spans:
        return text
    return replaced(text, ((start, end, pseudonym("secret", text[start:end])) for start, end in spans))


def _behind_scheme(text: str, lowered: str, scheme: str) -> Iterator[tuple[int, int]]:
    """Yield the tokens behind `Bearer` and `Basic`, and not the next word: "bearer authentication"."""
    at = lowered.find(scheme)
    while at >= 0:
        end = at + len(scheme)
        begins = not lowered[at - 1 : at].isalpha() or lowered[at - 2 : at] in _ESCAPES
        match = _SCHEME_TOKEN.match(text, end) if begins else None
        if match is not None:
            token = match.group(1)
            # Basic is base64 of `name:password`.
            if _looks_random(token) if scheme == "bearer" else ":" in (decoded_base64(token) or ""):
                yield match.span(1)
                end = match.end()
        at = lowered.find(scheme, end)


def _values(text: str, lowered: str, needle: str) -> Iterator[tuple[int, int]]:
    """Yield where the values behind names with this needle stand."""
    at = lowered.find(needle)
    while at >= 0:
        tail = _NAME_TAIL.match(lowered, at + len(needle), at + _NAME_CHARS_MAX)
        end = tail.end() if tail else at + len(needle)
        if text[end : end + 1] in _AFTER_NAME:
            for found in _behind(text, lowered, at, end):
                yield found
                end = max(end, found[1])
        at = lowered.find(needle, end)


def _behind(text: str, lowered: str, at: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the values of the name that ends at `end` and has a needle at `at`, if it names a secret."""
    separator = _SEPARATOR.match(text, end) or _PAIR.match(text, end)
    follows = text[end : end + 1]
    if separator is None and follows not in _BEHIND_NAME:
        return
    start = at
    while start > 0 and at - start < _NAME_CHARS_MAX and lowered[start - 1] in _NAME_CHARS:
        start -= 1
    name = lowered[start:end]
    sure = certainty(name)
    if sure is Certainty.NONE or PSEUDONYM.match(text, start - 1 if start else 0):
        return
    if separator is None and follows == ">":
        yield from _tagged(text, sure, start, end)
        return
    if separator is None:
        separator, sure = _loose(text, name, sure, end)
    if separator is None or (name.endswith("pwd") and _PATH.match(text, separator.end())):
        return
    if separator.groupdict().get("list") and separator.group("open"):
        yield from _entries(text, sure, separator)
    elif (found := _value_of(text, sure, separator)) is not None:
        yield found


_BEHIND_NAME = frozenset(" \t>\"'`\\&")


def _loose(text: str, name: str, sure: Certainty, end: int) -> tuple[re.Match[str] | None, Certainty]:
    """Return what stands between a name and its value where neither `=` nor `:` does, and how sure it makes."""
    if name.startswith("--"):
        return _FLAG.match(text, end) or _ARGUMENT.match(text, end), sure
    return (_SPOKEN.match(text, end) if sure is Certainty.STRONG else None), Certainty.WEAK


def _entries(text: str, sure: Certainty, entry: re.Match[str] | None) -> Iterator[tuple[int, int]]:
    """Yield the values of a list: headers and cookies come as lists."""
    for _ in range(_ENTRIES_MAX):
        if entry is None:
            return
        found = _value_of(text, sure, entry)
        if found is not None:
            yield found
        quote = entry.group("open").lstrip("bru")
        entry = _NEXT_ENTRY.match(text, _quoted_end(text, entry.end(), quote) + len(quote))


def _tagged(text: str, sure: Certainty, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the content of an XML element: `<password>...</password>`."""
    if text[start - 1 : start] != "<":
        return
    close = text.find("<", end + 1, end + 1 + _QUOTED_MAX)
    if close > end + 1 and _is_secret(text[end + 1 : close], strong=sure >= Certainty.STRONG, quoted=True):
        yield end + 1, close


def _value_of(text: str, sure: Certainty, separator: re.Match[str]) -> tuple[int, int] | None:
    start = separator.end()
    scheme = _SCHEME.match(text, start)
    if scheme is not None:
        start = scheme.end()
    groups = separator.groupdict()
    opened = groups["open"]
    if opened is not None:
        end = _quoted_end(text, start, opened.lstrip("bru"))
        return (start, end) if _is_secret(text[start:end], strong=sure >= Certainty.STRONG, quoted=True) else None
    bare = _BARE.match(text, start, start + _PROBE)
    if bare is not None and bare.end() == start + _PROBE:
        # Only what looks random so far is worth following further: hostile text is nothing but names and colons.
        bare = _BARE.match(text, start) if sure >= Certainty.STRONG or _looks_random(bare.group()) else None
    if bare is None or (groups.get("close") is not None and bare.group().isdecimal()):
        # A number in JSON: a count, not a secret.
        return None
    value = bare.group().rstrip(".:!?")
    end = start + len(value)
    if text[end : end + 1] in ("(", "["):
        return None
    tight = sure is Certainty.AUTHORIZATION or not separator.group().endswith((" ", "\t"))
    if sure >= Certainty.STRONG and not tight:
        # "password: required" is a sentence, "password: hunter2" is not.
        is_word = value.isalpha() or len(value) < _WORD_LENGTH_MIN or _CODE_CALL.search(value) is not None
        return None if is_word or PSEUDONYM.match(text, start) or _PLACEHOLDER.fullmatch(value) else (start, end)
    return (start, end) if _is_secret(value, strong=sure >= Certainty.STRONG, quoted=False) else None


def _quoted_end(text: str, start: int, quote: str) -> int:
    """Return where a quoted value ends: at the same quotation mark with the same number of backslashes before it."""
    if quote.startswith("&"):
        end = text.find(quote, start, start + _QUOTED_MAX)
        return end if end >= 0 else min(len(text), start + _QUOTED_MAX)
    mark, slashes = quote[-1], len(quote) - 1
    limit = min(len(text), start + _QUOTED_MAX)
    at = text.find(mark, start, limit)
    while at >= 0:
        before = at
        while before > start and text[before - 1] == "\\":
            before -= 1
        found = at - before
        # At depth 0 an even number of backslashes belongs to the value; deeper, fewer or as many end it.
        if (slashes == 0 and found % 2 == 0) or (slashes > 0 and found <= slashes):
            return at if slashes == 0 else before
        at = text.find(mark, at + 1, limit)
    line_end = text.find("\n", start, limit)
    return line_end if line_end >= 0 else limit


def _is_secret(value: str, *, strong: bool, quoted: bool) -> bool:
    if not value.strip() or PSEUDONYM.fullmatch(value) or _PLACEHOLDER.fullmatch(value):
        return False
    if strong:
        # Behind "password:" in a sentence stands a word; behind "password=" or in quotation marks a password.
        return len(value) > 1
    if any(character.isspace() for character in value):
        return False
    return _looks_random(value) if quoted else _looks_random(value) and not _CODE_CALL.search(value)


def _looks_random(value: str) -> bool:
    if len(value) < _RANDOM_LENGTH_MIN:
        return False
    return any(character.isdigit() for character in value) and any(character.isalpha() for character in value)
