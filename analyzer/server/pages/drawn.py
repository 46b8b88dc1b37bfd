"""Templates: how values become HTML. Nothing from outside is ever markup, and no invisible character hides."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analyzer.errors import DrawingError
from analyzer.render import numbers
from analyzer.render.blocks import Block
from analyzer.render.charts.base import Chart
from analyzer.render.charts.drawing import inline
from analyzer.render.links import link
from analyzer.render.text import visible
from analyzer.server.pages.drawing import LINE_HEIGHT, LINE_WIDTH, WATERFALL_WIDTH
from analyzer.types.percents import percent

ASSETS = {
    "pages.css": "text/css; charset=utf-8",
    "pages.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""The files that pages use, and what they are."""


@cache
def asset(name: str) -> tuple[bytes, str]:
    """Return the content of one of `ASSETS` and its mark, which changes whenever the content does."""
    content = files("analyzer.server.pages").joinpath("static", name).read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:16]


@cache
def environment() -> Environment:
    """Return the templates' environment. Every value is escaped, and shown as the terminal shows it."""
    made = Environment(
        loader=PackageLoader("analyzer.server.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=_shown,
    )
    made.globals.update(
        link=link,
        asset=lambda name: f"/assets/{name}?v={asset(name)[1]}",
        picture=picture,
        line_width=LINE_WIDTH,
        line_height=LINE_HEIGHT,
        waterfall_width=WATERFALL_WIDTH,
    )
    made.filters.update(
        money=numbers.money,
        tokens=numbers.tokens,
        seconds=numbers.duration,
        percent=percent,
        number=numbers.number,
        moment=numbers.moment,
        count=numbers.count,
        at_ns=at_ns,
        kind=kind,
    )
    return made


def drawn(template: str, **values: Any) -> str:
    """Return a page as HTML."""
    return environment().get_template(template).render(**values)


def kind(block: Block) -> str:
    """Return what a block is, as templates ask for it: `heading`, `table`, ..."""
    return type(block).__name__.lower()


def picture(chart: Chart) -> Markup:
    """Return a chart as part of a page; nothing where it cannot be drawn: its words stand below it."""
    try:
        # What draws is all that `drawing` lets through, and its texts are escaped there.
        return Markup(inline(chart))  # noqa: S704 - see above
    except DrawingError:
        return Markup()


def at_ns(time_ns: int | None) -> str:
    """Return a time of a span; `-` where it has none, or one that no calendar knows."""
    if time_ns is None:
        return "-"
    try:
        return numbers.moment(datetime.fromtimestamp(time_ns / 1e9, UTC))
    except (OverflowError, OSError, ValueError):
        return "-"


def _shown(value: Any) -> Any:
    """Make control and invisible characters of a text visible. What is escaped already (a macro's) was shown before."""
    return visible(value) if type(value) is str else value
