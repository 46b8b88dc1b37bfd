"""Addresses of the web that may become links: http or https, nothing in them that ends a link or carries a password."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

ADDRESS_CHARACTERS_MAX = 2_000
"""What browsers and chats take; the address of a Prometheus rule holds its whole query."""
_PLAIN = re.compile(r"[!#$%&()*+,\-./0-9:;=?@A-Z\[\]_a-z~]+")
"""ASCII without blanks, quotes, and what delimits links in HTML, Markdown and Slack: `<>|`, backslash, backtick."""


def web_address(text: str) -> str:
    """Return an address as it is, or "" where it is none that may become a link."""
    if len(text) > ADDRESS_CHARACTERS_MAX or not _PLAIN.fullmatch(text):
        return ""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        return ""
    return text
