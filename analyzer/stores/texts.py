"""What stands in a text: its messages, and what is told of them by a hash, by a kind of task, or masked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any

import orjson

from analyzer.types.choices import task_of
from analyzer.types.messages import message_text


def version_of(text: str, mask: Callable[[str], str]) -> str:
    """Return a short hash of a text, masked; an array of messages is that whatever spaces are between them."""
    parts = parts_of(text)
    bodies = [encoded(text)] if parts is None else [body for body, _ in parts]
    hashes = [blake2b(encoded(mask(body.decode())), digest_size=16).digest() for body in bodies]
    return blake2b(b"".join(reversed(hashes)), digest_size=6).hexdigest()


def asked_for(text: str) -> str:
    """Return the kind of task of the first message of a user, where a text is an array of messages."""
    return task_in(parts_of(text) or ())


def hash_of(text: str, key: bytes) -> int:
    """Return a keyed hash of a text, which is the same for the same messages."""
    parts = parts_of(text)
    hashed = blake2b(digest_size=8, key=key)
    for body in [encoded(text)] if parts is None else [body for body, _ in parts]:
        hashed.update(body)
    return int.from_bytes(hashed.digest(), "big", signed=True)


def encoded(text: str) -> bytes:
    """Return a text as UTF-8. Halves of surrogate pairs are joined; a half alone becomes U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def task_in(parts: Iterable[tuple[bytes, dict[str, Any]]]) -> str:
    """Return the kind of task that the first message of a user sets."""
    for _, message in parts:
        if message.get("role") == "user" and (text := message_text(message)):
            return task_of(text)
    return ""


def parts_of(text: str) -> list[tuple[bytes, dict[str, Any]]] | None:
    """Return the messages of a JSON array of objects, each with its compact JSON, or None for any other text."""
    if text[0] != "[":
        return None
    try:
        value = orjson.loads(text)
        if not value or {part.__class__ for part in value} != {dict}:
            return None
        return [(orjson.dumps(part), part) for part in value]
    except (TypeError, ValueError):
        # Lone surrogates, and messages nested deeper than orjson writes.
        return None


def masked_text(text: str, mask: Callable[[str], str]) -> str:
    """Return a text as the store would give it back: an array of messages masked one by one, any other as a whole."""
    parts = parts_of(text)
    if parts is None:
        return mask(encoded(text).decode())
    return f"[{','.join(mask(body.decode()) for body, _ in parts)}]"


def masked_last(text: str, mask: Callable[[str], str]) -> str:
    """Return the same of the last message alone."""
    parts = parts_of(text)
    return mask(encoded(text).decode()) if parts is None else f"[{mask(parts[-1][0].decode())}]"
