"""Drawings that an earlier run made: a chart that has not changed is not drawn again.

A drawing takes some 70 ms of processor time, and a page's chart is drawn wide and narrow. What a chart shows changes by
the hour and not by the run, and that of an incident which is over changes no more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from analyzer.render.charts import drawing
from analyzer.render.charts.base import NARROW, PAGE, PAPER, WIDE, Chart, Look
from analyzer.types.program import program_of

_NONE: Mapping[str, str] = {}
_FORMS: Mapping[str, tuple[Callable[[Chart], str], tuple[Look, ...]]] = {
    "inline": (drawing.inline, (PAGE.at(WIDE), PAGE.at(NARROW))),
    "svg": (drawing.svg, (PAGE.at(WIDE), PAPER)),
}


class Drawings:
    """Charts as text, each made once.

    A drawing is known by all it is made from: the specification in each width, the words, and the program that draws.
    Whatever of it changes, the chart is drawn anew. The fonts of the machine are not part of it.
    """

    def __init__(self, known: Mapping[str, str] = _NONE) -> None:
        self._known = known
        self.used: dict[str, str] = {}
        """What was asked for, by what it is made from: all that is worth keeping for the next time."""

    def inline(self, chart: Chart) -> str:
        """See `drawing.inline`. Raises DrawingError."""
        return self._of("inline", chart)

    def svg(self, chart: Chart) -> str:
        """See `drawing.svg`. Raises DrawingError."""
        return self._of("svg", chart)

    def _of(self, form: str, chart: Chart) -> str:
        make, looks = _FORMS[form]
        program = _program()
        if program is None:
            return make(chart)
        made_from = [program, form, chart.alt, *(chart.spec(look) for look in looks)]
        key = sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
        if key not in self.used:
            self.used[key] = self._known[key] if key in self._known else make(chart)
        return self.used[key]


@lru_cache(maxsize=1)
def _program() -> str | None:
    """Return what tells this program from one that draws the same specification otherwise; None where nothing does."""
    try:
        library = version("vl-convert-python")
    except PackageNotFoundError:
        library = ""
    code = program_of([Path(drawing.__file__)])
    return None if code is None else f"{code.hex()} {library}"
