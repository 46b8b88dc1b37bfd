"""The one masker that stands at every exit: secrets and personal data become stable pseudonyms.

A pseudonym looks like `<secret:3f9a2c1b07d4>`, `<email:...>`, `<card:...>`. It is keyed (BLAKE2b), so it says nothing
about what it stands for, and the same secret has the same pseudonym wherever, by whichever rule and in whichever
encoding it was found. Of a million secrets in one store the chance that any two share one is 0.2 % (48 bits).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from analyzer.masking.custom import allowed, compiled
from analyzer.masking.encoded import DEPTH_MAX, encoded, encoded_runs, plain_form
from analyzer.masking.forms import PSEUDONYM
from analyzer.masking.keys import masked_entry, named_values, names_nothing
from analyzer.masking.personal import emails, numbers
from analyzer.masking.places import pem_keys, url_passwords
from analyzer.masking.runs import is_word, runs
from analyzer.masking.sieve import has_sign
from analyzer.masking.tokens import tokens
from analyzer.types.trace import Event, Span

UNMASKABLE = "<unmaskable>"
"""Stands in place of what could not be masked: nothing passes unseen."""

_PASSES_MAX = 4
"""A text that changed is read again until nothing changes, so that masking twice is masking once. Two suffice."""
_DEPTH_MAX = 200
_TEXT_CHARS_MAX = 16_384
_MEMORY_CHARS_MAX = 8 << 20
_MEMORY_TEXTS_MAX = 50_000
"""System prompts, tool definitions, names and keys come back in every span: they are remembered, within 32 MiB."""

_RULES = (pem_keys, named_values, url_passwords, tokens, emails, numbers)
"""In this order: what names its secret first, so that a key that is also found by its shape is one secret."""


class Masker:
    """Masks texts, JSON-like values and spans. Safe to use from several threads."""

    def __init__(self, key: bytes, *, patterns: Sequence[tuple[str, str]] = (), allow: Sequence[str] = ()) -> None:
        """Take the key of the pseudonyms, more patterns as (kind, regular expression), and what is never masked.

        A pattern with a group masks the group, else the whole match. `allow` holds values, with `*` as a wildcard
        (`*@example.com`). Raises UsageError for a kind that is no lower-case word or a pattern that does not compile.
        """
        self._key = hashlib.blake2b(key, digest_size=32).digest()
        self._patterns = compiled(patterns)
        self._allowed = allowed(allow)
        self._memory: dict[str, str] = {}
        self._memory_chars = 0

    def text(self, text: str) -> str:
        """Return a text with every secret replaced. Never raises: what cannot be masked is `UNMASKABLE` as a whole."""
        known = self._memory.get(text)
        if known is not None:
            return known
        try:
            masked = self._masked(text)
        except Exception:  # noqa: BLE001 - fail closed: a text that the rules choke on must not pass
            return UNMASKABLE
        self._remember(text, masked)
        return masked

    def _remember(self, text: str, masked: str) -> None:
        if len(text) > _TEXT_CHARS_MAX:
            return
        if self._memory_chars > _MEMORY_CHARS_MAX or len(self._memory) > _MEMORY_TEXTS_MAX:
            self._memory.clear()
            self._memory_chars = 0
        self._memory_chars += len(text)
        self._memory[text] = masked

    def texts(self, texts: Sequence[str]) -> list[str]:
        """Return short texts masked, each as `text` would; hundreds of names together cost as little as one of them.

        Most names and ids hold nothing. Where the rules find nothing in all of them, written one below the other, they
        find nothing in any; else each half is looked at. What could reach over into the text below it is read by
        itself: a quotation mark, a tag or a list that is not closed. So is everything where there are patterns of an
        operator's own, which may ask for the beginning or the end of a text.
        """
        if len(texts) < _TOGETHER_MIN or self._patterns:
            return [self.text(text) for text in texts]
        plain = [text for text in texts if _ONE_LINE.fullmatch(text)]
        self._remember_clean(plain)
        return [self.text(text) for text in texts]

    def _remember_clean(self, texts: Sequence[str]) -> None:
        """Remember the texts in which the rules find nothing; each must be one that ends where its line does."""
        if len(texts) < _TOGETHER_MIN:
            return
        together = _BETWEEN.join(texts)
        try:
            is_clean = self._masked(together) == together
        except Exception:  # noqa: BLE001 - fail closed: then each is read by itself
            return
        if is_clean:
            for text in texts:
                self._remember(text, text)
            return
        middle = len(texts) // 2
        self._remember_clean(texts[:middle])
        self._remember_clean(texts[middle:])

    def value(self, value: Any) -> Any:
        """Return a JSON-like value with every string masked, and whole what stands under a secret's name."""
        try:
            return self._value(value, 0)
        except Exception:  # noqa: BLE001 - fail closed, as above
            return UNMASKABLE

    def says_nothing(self, name: Any) -> bool:
        """Whether the name of a field neither names a secret nor holds one: then its value alone decides."""
        return isinstance(name, str) and names_nothing(name) and self.text(name) == name

    def span(self, span: Span) -> Span:
        """Return a span with every field that bears text masked; the ids of trace and span stay as they are."""
        changes: dict[str, Any] = {}
        for name in _TEXTS:
            before = getattr(span, name)
            if before:
                after = self.text(before)
                if after is not before:
                    changes[name] = after
        for name in ("attributes", "resource"):
            before = getattr(span, name)
            if before:
                masked = self.value(before)
                changes[name] = masked if isinstance(masked, dict) else {UNMASKABLE: UNMASKABLE}
        if span.events:
            changes["events"] = tuple(self._event(event) for event in span.events)
        return replace(span, **changes) if changes else span

    def pseudonym(self, kind: str, secret: str) -> str:
        """Return what stands for a secret; what is allowed, and what is a pseudonym already, stays as it is."""
        if PSEUDONYM.fullmatch(secret) or (self._allowed is not None and self._allowed.fullmatch(secret)):
            return secret
        plain = plain_form(secret) if kind == "secret" else secret
        digest = hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), key=self._key, digest_size=_DIGEST_BYTES)
        return f"<{kind}:{digest.hexdigest()}>"

    def _masked(self, text: str) -> str:
        if not self._patterns and self._is_clean(text):
            return text
        for _ in range(_PASSES_MAX):
            before = text
            text = self._pass(text, 0)
            if text == before:
                break
        return text

    def _is_clean(self, text: str) -> bool:
        """Whether the rules find nothing, told at a tenth of what asking each of them costs."""
        if has_sign(text):
            return False
        if all(is_word(text[start:end]) for start, end in runs(text)):
            return True
        # Ids and paths: only the rules for shapes can find something in them.
        return encoded_runs(text, self.pseudonym, partial(self._pass, depth=1)) == tokens(text, self.pseudonym) == text

    def _pass(self, text: str, depth: int) -> str:
        """Apply every rule once; encoded pieces first, before another rule takes a part of one."""
        if depth < DEPTH_MAX:
            text = encoded(text, self.pseudonym, partial(self._pass, depth=depth + 1))
        for rule in _RULES:
            text = rule(text, self.pseudonym)
        for kind, pattern in self._patterns:
            group = 1 if pattern.groups else 0
            text = pattern.sub(_replacing(kind, group, self), text)
        return text

    def _value(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | int | float):
            return self._number(value)
        if depth > _DEPTH_MAX:
            return UNMASKABLE
        if isinstance(value, Mapping):
            named = _named_pair(value)
            return {
                self._name(name): self._entry(named if name == "value" and named else name, entry, depth)
                for name, entry in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._value(entry, depth + 1) for entry in value]
        return self.text(str(value))

    def _number(self, value: Any) -> Any:
        """Mask a number that is a card number."""
        if isinstance(value, int) and value > _SMALLEST_CARD:
            shown = str(value)
            masked = self.text(shown)
            return value if masked == shown else masked
        return value

    def _name(self, name: Any) -> Any:
        return self.text(name) if isinstance(name, str) else name

    def _entry(self, name: Any, entry: Any, depth: int) -> Any:
        """Mask the value of a field; where the field names a secret, the value is one even if it does not look so."""
        if isinstance(name, str):
            if isinstance(entry, str):
                masked = masked_entry(name, entry, self.pseudonym)
                return self.text(entry) if masked is None else masked
            if isinstance(entry, list | tuple) and depth < _DEPTH_MAX:
                return [self._entry(name, part, depth + 1) for part in entry]
        return self._value(entry, depth + 1)

    def _event(self, event: Event) -> Event:
        masked = self.value(event.attributes)
        attributes = masked if isinstance(masked, dict) else {UNMASKABLE: UNMASKABLE}
        return replace(event, name=self.text(event.name), attributes=attributes)


_DIGEST_BYTES = 6
_BETWEEN = "\n\x1f\n"
"""No rule reads across a line that holds no text."""
_ONE_LINE = re.compile(r"[\w .,:;/@+=?#%~()-]{0,200}+")
"""Names and ids: nothing in them opens what a later text could close."""
_TOGETHER_MIN = 4
_SMALLEST_CARD = 10**12
_TEXTS = (
    "name",
    "input",
    "output",
    "system",
    "tool_definitions",
    "status_message",
    "error_type",
    "agent",
    "agent_version",
    "service",
    "provider",
    "model",
    "tool",
    "tool_call_id",
    "response_id",
    "conversation_id",
    "user_id",
    "prompt_name",
    "prompt_version",
    "scope",
)


def _named_pair(value: Mapping[Any, Any]) -> str | None:
    """Return the name in `{"name": "DB_PASSWORD", "value": "..."}`, as headers and environments are often listed."""
    if "value" not in value:
        return None
    return next((name for key in ("name", "key") if isinstance(name := value.get(key), str)), None)


def _replacing(kind: str, group: int, masker: Masker) -> Any:
    def replacement(match: Any) -> str:
        whole, secret = match.group(), match.group(group)
        if not secret:
            return str(whole)
        start, end = match.start(group) - match.start(), match.end(group) - match.start()
        return f"{whole[:start]}{masker.pseudonym(kind, secret)}{whole[end:]}"

    return replacement
