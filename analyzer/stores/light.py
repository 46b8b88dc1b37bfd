"""What a row needs of texts that are not kept: hashes of what tells versions and calls apart, and the kind of task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from analyzer.stores.texts import asked_for, hash_of, version_of
from analyzer.types.trace import Operation, Span

_VERSIONS_MAX = 2_000
"""Texts whose versions are remembered: few texts, each of them in very many spans."""


@dataclass(frozen=True, slots=True)
class Version:
    """A text that is told apart from others and not kept."""

    version: str


@dataclass(frozen=True, slots=True)
class Light:
    """What is read from the texts of one span."""

    task: str
    system: Version | None
    tools: Version | None
    input_hash: int | None
    """Of what a tool was given: calls that are alike have the same."""


class Lightener:
    """Reads texts without keeping them; what it gives is what a store with the texts would have in the same columns."""

    def __init__(self, mask: Callable[[str], str], key: bytes) -> None:
        self._mask, self._key = mask, key
        self._versions: dict[str, Version] = {}

    def read(self, span: Span) -> Light:
        """Return what the row of a span needs of its texts."""
        is_tool = span.operation is Operation.TOOL and bool(span.input)
        return Light(
            task=asked_for(span.input) if span.input and span.input[0] == "[" and not is_tool else "",
            system=self._version(span.system),
            tools=self._version(span.tool_definitions),
            input_hash=hash_of(span.input or "", self._key) if is_tool else None,
        )

    def _version(self, text: str | None) -> Version | None:
        if not text:
            return None
        found = self._versions.get(text)
        if found is None:
            if len(self._versions) >= _VERSIONS_MAX:
                self._versions.clear()
            found = self._versions[text] = Version(version_of(text, self._mask))
        return found
