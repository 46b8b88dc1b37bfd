"""What a page is before it is drawn: a template's name and what it shows, made from what was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from analyzer.server.pages.reading import Reader


@dataclass(frozen=True, slots=True)
class Asked:
    """What a visitor asked for."""

    path: Mapping[str, str] = field(default_factory=dict)
    """The parts of the path that are names."""
    query: Mapping[str, str] = field(default_factory=dict)

    def text(self, name: str, length_max: int = 500) -> str:
        """Return a part of the query without blanks around it; "" where it is not given. Longer ones are cut."""
        return self.query.get(name, "").strip()[:length_max]

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """Return one of several words; the first where something else is asked for: an old link is no error."""
        given = self.text(name)
        return given if given in choices else choices[0]

    def number(self, name: str, default: int, most: int) -> int:
        """Return a number from 1 to `most`."""
        given = self.text(name, 10)
        return min(max(int(given), 1), most) if given.isascii() and given.isdecimal() else default


@dataclass(frozen=True, slots=True)
class Page:
    """A template and its values."""

    template: str
    values: Mapping[str, Any]
    status: int = 200


View = Callable[[Reader, Asked], Page]
