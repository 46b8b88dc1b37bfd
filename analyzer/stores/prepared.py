"""What can be made of a span without the store: its masked names, numbers and attributes.

A third of the work of storing a span is this, and it needs nothing but the masker: so it may be done in the process
that reads the file, beside the one that writes (`ingest.ahead`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from analyzer.masking import Masker
from analyzer.stores import rows
from analyzer.stores.steering import is_steered
from analyzer.types.choices import choices_of
from analyzer.types.quick import quick
from analyzer.types.trace import Operation, Span


@quick
@dataclass(frozen=True, slots=True)
class Prepared:
    """One span, and what its row will hold beside its texts."""

    span: Span
    """Its attributes and events are not looked at any more: `extra` holds them."""
    plain: tuple[Any, ...]
    """The values of `rows.PLAIN`, masked."""
    unchanged: bool
    """Whether the plain values are the span's own: then its summary can be made from the span itself."""
    choices: str | None
    extra: bytes
    """Attributes and events as JSON, masked."""
    digest: int
    steered: bool
    """Whether what came back from outside holds an order to a model."""


@dataclass(frozen=True, slots=True)
class Masking:
    """What a masker is made of: given to another process, it makes one that gives the same pseudonyms."""

    key: bytes = field(repr=False)
    patterns: tuple[tuple[str, str], ...] = ()
    allow: tuple[str, ...] = ()

    def masker(self) -> Masker:
        """Return the masker. Raises UsageError for a pattern that does not work."""
        return Masker(self.key, patterns=self.patterns, allow=self.allow)


class Preparer:
    """Prepares spans. Used by one thread at a time."""

    def __init__(self, masker: Masker) -> None:
        self._short = rows.Short(masker)
        self._extras = rows.Extras(masker)

    def prepared(self, batch: Sequence[Span], *, light: bool = False) -> list[Prepared]:
        """Return the spans prepared, in order; with `light` without their attributes and events."""
        short = self._short
        short.learn(batch)
        made = []
        for span in batch:
            plain, unchanged = rows.plain_values(span, short)
            extra, digest = b"" if light else self._extras.document(span), rows.digest_of(plain, span)
            made.append(Prepared(span, plain, unchanged, short[_choices(span)], extra, digest, is_steered(span)))
        return made

    def name(self, text: str | None) -> str | None:
        """Return a short text masked; None is None."""
        return self._short[text]


def _choices(span: Span) -> str | None:
    """Return what a tool call chose besides the tool, as JSON."""
    if span.operation is not Operation.TOOL or not span.tool or not span.input:
        return None
    chosen = choices_of(span.tool, span.input)[1:]
    return orjson.dumps(chosen).decode() if chosen else None
