"""What a chart is before it is a picture: words for those who do not see it, and a specification for a look.

Nothing is told by colour alone: what was seen is a line with dots, what is usual a dashed one, what works against a
rise is hollow, what failed is crossed. Text from spans is cut to one visible line and is data in a specification, never
an expression.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from analyzer.render.text import cut, one_line

Spec = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]

WIDE, NARROW = 720, 340
"""Widths in CSS pixels: of a report's column, and of a phone's. Text is as large in both."""
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
FONT = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
SIZE, SMALL = 12, 11


@dataclass(frozen=True, slots=True)
class Look:
    """Width and colours of a picture."""

    width: int
    ink: str
    faint: str
    line: str
    accent: str
    tint: str
    """Of the band; light enough that everything reads above it."""
    ground: str | None
    """None: what lies below shows through."""

    def at(self, width: int) -> Look:
        """Return the same at another width."""
        return Look(width, self.ink, self.faint, self.line, self.accent, self.tint, self.ground)


PAPER = Look(WIDE, "#1d1c1a", "#5f5c56", "#dfdbd3", "#0b5f66", "#d5e7e6", "#ffffff")
"""A picture that lies anywhere: it brings its own light ground, so that a dark theme around it does no harm."""
PAGE = Look(WIDE, "var(--ink)", "var(--faint)", "var(--line)", "var(--accent)", "var(--band)", None)
"""Inside a page, which gives the colours by style sheet: dark where the page is dark."""


class Chart(Protocol):
    """One chart."""

    @property
    def name(self) -> str:
        """Short, of letters: part of file names."""

    @property
    def title(self) -> str:
        """What is shown, on one line."""

    @property
    def alt(self) -> str:
        """The same in words with the figures, for those who do not see it."""

    def spec(self, look: Look) -> Spec:
        """Return the Vega-Lite specification."""


def label(text: str, look: Look, *, share: float = 1.0) -> str:
    """Return a text as it fits a share of the width, cut with an ellipsis; a character takes some 6.5 pixels."""
    return cut(one_line(text), max(int(look.width * share / 6.5), 8))


def whole(layers: Sequence[Spec], look: Look, *, height: int, title: str) -> Spec:
    """Return layers as a specification; marks may stand above the plot, the title comes above them."""
    return {
        "$schema": SCHEMA,
        "width": look.width,
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "background": look.ground,
        "padding": 12 if look.ground else {"left": 0, "top": 2, "right": 2, "bottom": 2},
        "title": {"text": label(title, look, share=0.8), "offset": 10},
        "layer": list(layers),
        "config": config(look),
    }


def config(look: Look) -> Spec:
    """Return fonts and colours of everything that a layer does not say for itself."""
    return {
        "font": FONT,
        "view": {"stroke": None},
        "title": {"anchor": "start", "frame": "bounds", "color": look.ink, "fontSize": SIZE + 1, "fontWeight": 600},
        "axis": {
            "labelColor": look.faint,
            "labelFontSize": SMALL,
            "gridColor": look.line,
            "domainColor": look.faint,
            "tickColor": look.faint,
            "titleColor": look.faint,
            "titleFontSize": SMALL,
            "titleFontWeight": "normal",
        },
        "text": {"color": look.ink, "fontSize": SIZE},
    }


def layer(mark: str, rows: Rows, encoding: Spec, **options: Any) -> Spec:
    """Return one layer with rows of its own."""
    return {"data": {"values": list(rows)}, "mark": {"type": mark, **options}, "encoding": encoding}


def field(name: str, kind: str = "quantitative", **options: Any) -> Spec:
    """Return a channel that reads a column."""
    return {"field": name, "type": kind, **options}
