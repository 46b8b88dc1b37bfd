"""Secrets that show by their place: private keys between their marks, passwords and signatures in URLs, flags."""

from __future__ import annotations

import re

from analyzer.masking.forms import Found, Pseudonym, replaced

_PEM_BEGIN = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = re.compile(r"-----END (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----")
_PEM_BODY = re.compile(r"[A-Za-z0-9+/=\s\\:,-]{0,16384}+")
_PEM_NOISE = re.compile(r"\\+[nrt]|\s+")
_PEM_CHARS_MAX = 32_768

_URL = re.compile(r"://([^\s/?#@:\"'<>\\]{0,128}+):([^\s/?#\"'<>\\]{1,512})@")

_USER_FLAG = re.compile(
    r"( (?:-u|--user)[ =]{1,2}\\{0,4}[\"']?[^\s:\"'<>\\@/]{1,64}+:)"
    r"(?![0-9]{1,9}(?:[\s\"']|$))([^\s\"'<>\\/][^\s\"'<>\\]{2,255})"
)
"""`curl -u name:password`. A path (`docker -u 1000:/...`) or a group id of digits alone is none."""


_GLUED = re.compile(r"(?<![\w.-])((?:mysql|mariadb)[a-z]{0,10}\b[^\n|;&]{0,200}? -p)([^\s\"'<>\\-][^\s\"'<>\\]{2,255})")
"""`mysql -phunter2`: with a space behind it the flag asks for the password."""

_SIGNED = re.compile(
    r"([?&](?:X-Amz-Signature|X-Amz-Security-Token|X-Goog-Signature|Signature|sig)=)([A-Za-z0-9%+/=_~.-]{16,2048})",
    re.IGNORECASE,
)
"""What opens a URL for whoever has it: signed by Amazon, Google, CloudFront, Azure."""


def pem_keys(text: str, pseudonym: Pseudonym) -> str:
    """Replace private keys; one that is cut off goes as far as it looks like one."""
    if "PRIVATE KEY" not in text:
        return text
    found: list[Found] = []
    at = 0
    for begin in _PEM_BEGIN.finditer(text):
        if begin.start() < at:
            continue
        end = _PEM_END.search(text, begin.end(), begin.end() + _PEM_CHARS_MAX)
        body = None if end else _PEM_BODY.match(text, begin.end())
        at = end.end() if end else (body.end() if body else begin.end())
        # A key in a JSON string has \n for its line ends; it is the same key.
        secret = _PEM_NOISE.sub("", text[begin.end() : end.start() if end else at])
        found.append((begin.start(), at, pseudonym("secret", secret)))
    return replaced(text, found)


def url_passwords(text: str, pseudonym: Pseudonym) -> str:
    """Replace the password of `scheme://user:password@host`; the user's name and the host are evidence."""
    if "@" in text and "://" in text:
        text = _URL.sub(lambda match: f"://{match.group(1)}:{pseudonym('secret', match.group(2))}@", text)
    if " -u " in text or "--user" in text:
        text = _USER_FLAG.sub(lambda match: f"{match.group(1)}{pseudonym('secret', match.group(2))}", text)
    if " -p" in text and ("mysql" in text or "mariadb" in text):
        text = _GLUED.sub(lambda match: f"{match.group(1)}{pseudonym('secret', match.group(2))}", text)
    if "ignature=" in text or "sig=" in text or "ecurity-" in text:
        text = _SIGNED.sub(lambda match: f"{match.group(1)}{pseudonym('secret', match.group(2))}", text)
    return text
