"""Secrets inside encodings: base64, percent-encoding, the escapes of JSON and HTML.

Only what looks encoded is decoded, at most `DEPTH_MAX` times over. The decoded text is masked by the same rules; where
they find something the whole encoded piece gives way to the pseudonyms of what was found, so that a secret has one
pseudonym in every encoding.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from html import unescape
from urllib.parse import unquote

from analyzer.masking.forms import PSEUDONYM, Found, Pseudonym, replaced
from analyzer.masking.runs import RUN_MIN, is_word, runs

DEPTH_MAX = 2
"""Base64 of a JSON text with a percent-encoded URL in it is the deepest that occurs in practice."""

Inner = Callable[[str], str]
"""Masks a decoded text."""

_CHARS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%._~+!*$@:,-")
"""What a value in a URL is made of. The marks that part a URL (`/ ? & = #`) end it, so that the rest stays readable."""
_TAIL = r"[A-Za-z0-9%._~+!*$@:,\-]"
_BEFORE_MAX = 512
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_PERCENT_TAIL = re.compile(rf"{_TAIL}*+")
_UNICODE = re.compile(r"\\{1,8}u00([2-7][0-9A-Fa-f])")
_UNICODE_SIGN = re.compile(r"\\{1,8}u00(?:40|3[0-9aAdD]|2[bBdDeEfF]|5[0-9aAfF]|4[1-9a-fA-F]|6[1-9a-fA-F]|7[0-9aA])")
"""Escaped letters, digits and `@ : = + - . / _`; an escaped quotation mark or bracket is where a value ends."""
_UNICODE_TAIL = re.compile(rf"(?:{_TAIL}|{_UNICODE_SIGN.pattern})*+")
_ENTITY_SIGN = re.compile(
    r"&(?:#(?!34;|39;|60;|62;)[0-9]{2,3}|#x(?!22;|27;|3[cCeE];)[0-9A-Fa-f]{2}|commat|period|colon|equals|lowbar);"
)
_ENTITY_TAIL = re.compile(rf"(?:{_TAIL}|{_ENTITY_SIGN.pattern})*+")
_NEXT_LINE = re.compile(
    r"(?:\\{0,4}\\r|\r)?(?:\\{0,4}\\n|\n)[ \t]{0,8}([A-Za-z0-9+/]{1,76}+)(={0,2})(?![A-Za-z0-9+/=_-])"
)
_LINE_CHARS = frozenset({60, 64, 72, 76})
"""MIME, PEM and `base64 -w` break lines there."""
_URL_SAFE = str.maketrans("-_", "+/")
_PARTS = re.compile(r"[/_-]")
_PARTED_MAX = 1024
"""A longer run is an image or an archive, not a path with an id in it."""
_PROBE_CHARS = 16
_HEAD_CHARS = 64
_PRINTABLE_MIN = 0.9
_CREDENTIALS = re.compile(r"[^\s:/]{1,64}:([^\s:][^\s]{2,255})")


def encoded(text: str, pseudonym: Pseudonym, inner: Inner) -> str:
    """Replace encoded pieces in which the rules find something."""
    if "%" in text:
        text = replaced(text, _pieces(text, _PERCENT, _PERCENT_TAIL, unquote, inner))
    if "\\u00" in text:
        text = replaced(text, _pieces(text, _UNICODE_SIGN, _UNICODE_TAIL, _unicode, inner))
    if "&#" in text or "&commat;" in text:
        text = replaced(text, _pieces(text, _ENTITY_SIGN, _ENTITY_TAIL, unescape, inner))
    return encoded_runs(text, pseudonym, inner)


def encoded_runs(text: str, pseudonym: Pseudonym, inner: Inner) -> str:
    """Replace pieces of base64 in which the rules find something."""
    return replaced(text, _base64s(text, pseudonym, inner))


def plain_form(secret: str) -> str:
    """Return a secret as it was before it was put into a URL, a JSON string or a Basic header.

    Found with its encoding on, it is the same secret: `a%2Fb` and `a/b` have one pseudonym, and `Basic ...` has that of
    the password inside.
    """
    if "%" in secret and _PERCENT.search(secret):
        secret = unquote(secret)
    if "\\" in secret:
        secret = re.sub(r"\\+([\"'`/])", r"\1", _unicode(secret))
    if len(secret) >= RUN_MIN // 2 and (decoded := decoded_base64(secret)) is not None:
        credentials = _CREDENTIALS.fullmatch(decoded)
        if credentials is not None:
            return credentials.group(1)
    return secret


def decoded_base64(piece: str) -> str | None:
    """Return the text inside base64 of either alphabet, with or without padding, or None where there is none."""
    body = piece.rstrip("=").translate(_URL_SAFE)
    try:
        # Most candidates are no text from the first bytes on; this is what they cost.
        if not body.isascii() or not _is_text(
            binascii.a2b_base64(body[:_PROBE_CHARS] + "=" * (-len(body[:_PROBE_CHARS]) % 4))
        ):
            return None
        head = base64.b64decode(body[:_HEAD_CHARS] + "=" * (-len(body[:_HEAD_CHARS]) % 4), validate=True)
        if not _is_text(head):
            return None
        data = head if len(body) <= _HEAD_CHARS else base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return data.decode("utf-8", "replace")


def _is_text(head: bytes) -> bool:
    """Whether bytes begin a text. Images, archives and random keys fail within a few bytes."""
    if head.isascii() and (shown := head.decode("ascii")).isprintable():
        return bool(shown)
    try:
        shown = head.decode()
    except UnicodeDecodeError as error:
        # The cut may run through a character.
        if error.start < len(head) - 3:
            return False
        shown = head[: error.start].decode()
    blanks = sum(shown.count(blank) for blank in "\n\r\t")
    if not shown or "\0" in shown:
        return False
    return blanks + sum(map(str.isprintable, shown)) >= _PRINTABLE_MIN * len(shown)


def _unicode(text: str) -> str:
    return _UNICODE.sub(lambda match: chr(int(match.group(1), 16)), text)


def _stands(piece: str, decoded: str, inner: Inner) -> str:
    """Return the pseudonyms that stand for what was found in a decoded piece, or "" where nothing was."""
    if decoded == piece:
        return ""
    masked = inner(decoded)
    if masked == decoded:
        return ""
    known = set(PSEUDONYM.findall(decoded))
    new = dict.fromkeys(name for name in PSEUDONYM.findall(masked) if name not in known)
    return "".join(new) or masked


def _pieces(
    text: str, sign: re.Pattern[str], tail: re.Pattern[str], decode: Callable[[str], str], inner: Inner
) -> Iterator[Found]:
    """Yield the values around escapes in which something is found; each character is looked at once."""
    at = 0
    escape = sign.search(text)
    while escape is not None:
        start = escape.start()
        least = max(at, start - _BEFORE_MAX)
        while start > least and text[start - 1] in _CHARS:
            start -= 1
        rest = tail.match(text, escape.end())
        at = rest.end() if rest else escape.end()
        piece = text[start:at]
        stands = _stands(piece, decode(piece), inner)
        if stands:
            yield start, at, stands
        escape = sign.search(text, at)


def _base64s(text: str, pseudonym: Pseudonym, inner: Inner) -> Iterator[Found]:
    at = joined = 0
    for run_start, run_end in runs(text):
        start = run_start
        run = text[start:run_end]
        if run_end <= at or is_word(run) or run.islower() or run.isupper():
            # Base64 of a text has letters of both cases; hashes, ids and paths mostly have not.
            continue
        if text[start - 1 : start] == "\\" and run[0] in "nrtbf":
            start += 1
        pieces = ((start, run_end), *_parts(text, start, run_end))
        for begin, end in pieces:
            stop, piece = _whole(text, begin, end, join=begin >= joined)
            # Lines that made no text together are looked at by themselves, and not joined again from each of them.
            joined = max(joined, stop)
            decoded = decoded_base64(piece)
            if decoded is None:
                continue
            stands = _stands(piece, decoded, inner) or _credentials(decoded, pseudonym)
            if stands:
                yield begin, stop, stands
                at = stop
            break


def _parts(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of a run between the marks that base64 and paths share, where they are long enough."""
    if end - start > _PARTED_MAX:
        return
    begin = start
    for mark in _PARTS.finditer(text, start, end):
        if mark.start() - begin >= RUN_MIN:
            yield begin, mark.start()
        begin = mark.end()
    if begin > start and end - begin >= RUN_MIN:
        yield begin, end


def _whole(text: str, start: int, end: int, *, join: bool) -> tuple[int, str]:
    """Return where a piece of base64 ends, with its padding and further lines, and the piece without line ends."""
    stop = end
    while stop < len(text) and stop < end + 2 and text[stop] == "=":
        stop += 1
    piece = text[start:stop]
    if not join or len(piece) not in _LINE_CHARS or stop > end:
        return stop, piece
    lines = [piece]
    line = _NEXT_LINE.match(text, stop)
    while line is not None:
        lines.append(line.group(1))
        stop = line.end()
        line = None if line.group(2) or len(lines[-1]) != len(piece) else _NEXT_LINE.match(text, stop)
    return stop, "".join(lines)


def _credentials(decoded: str, pseudonym: Pseudonym) -> str:
    """Return the pseudonym of the password where the whole decoded text is `name:password`, or "".

    Node ids of GraphQL (`User:101`) and digests (`sha256:...`) have the same form; a password is of several kinds of
    characters and no id.
    """
    match = _CREDENTIALS.fullmatch(decoded.strip())
    if match is None:
        return ""
    password = match.group(1)
    kinds = (any(map(kind, password)) for kind in (str.islower, str.isupper, str.isdigit, _is_mark))
    if sum(kinds) < 2 or _ID.fullmatch(password):  # noqa: PLR2004 - "of several kinds"
        return ""
    stands = pseudonym("secret", password)
    return "" if stands == password else stands


_ID = re.compile(r"[0-9a-fA-F-]{8,}|[A-Za-z]{0,8}[_-]?[0-9]+|[a-z]+(?:[_.-][a-z]+)*|[A-Z][a-z]+(?:[A-Z][a-z]+)*")


def _is_mark(character: str) -> bool:
    return not character.isalnum()
