"""What the model was shown: the only text it may quote."""

from __future__ import annotations

import re
from threading import Lock

from analyzer.agent.text import find_verbatim

Place = tuple[str, str, str]
"""Trace id, span id, field."""


class Shown:
    """Stretches of masked span text by the place they come from. Safe to use from several threads."""

    def __init__(self) -> None:
        self._stretches: dict[Place, list[str]] = {}
        self._spoken: list[str] = []
        self._lock = Lock()

    def add(self, trace_id: str, span_id: str, field: str, text: str) -> None:
        """Record that a stretch of a field was shown."""
        with self._lock:
            held = self._stretches.setdefault((trace_id, span_id, field), [])
            if text and text not in held:
                held.append(text)

    def say(self, text: str) -> None:
        """Record text that was shown and is no quote: facts, outlines, answers of tools."""
        with self._lock:
            self._spoken.append(text)

    def holds(self, trace_id: str, span_id: str, field: str, quote: str) -> bool:
        """Tell whether the quote stands in one of the stretches shown of that field."""
        with self._lock:
            stretches = tuple(self._stretches.get((trace_id, span_id, field), ()))
        return any(find_verbatim(quote, stretch) is not None for stretch in stretches)

    def contains(self, words: str) -> bool:
        """Tell whether words stand anywhere in what was shown."""
        with self._lock:
            texts = [*self._spoken, *(text for held in self._stretches.values() for text in held)]
        return any(find_verbatim(words, text) is not None for text in texts)

    def names(self, word: str) -> bool:
        """Tell whether a name (a version, a model, an id) stands whole in what was shown, whatever its case."""
        whole = re.compile(rf"(?<![\w.]){re.escape(word)}(?!\w|\.\d)", re.IGNORECASE)
        with self._lock:
            texts = [*self._spoken, *(text for held in self._stretches.values() for text in held)]
            places = [part for place in self._stretches for part in place]
        return word in places or any(whole.search(text) is not None for text in texts)

    def places(self) -> frozenset[Place]:
        """Return the places of which something was shown."""
        with self._lock:
            return frozenset(self._stretches)

    def stretches(self, trace_id: str | None = None) -> tuple[str, ...]:
        """Return the stretches that were shown, of one trajectory or of all, in no particular order."""
        with self._lock:
            wanted = [held for place, held in self._stretches.items() if trace_id in {None, place[0]}]
            return tuple(text for held in wanted for text in held)

    def copy(self) -> Shown:
        """Return an independent copy: each investigation of a case adds to its own."""
        other = Shown()
        with self._lock:
            other._stretches = {place: list(held) for place, held in self._stretches.items()}
            other._spoken = list(self._spoken)
        return other
