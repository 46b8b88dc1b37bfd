"""From a specification to a picture: the one door to vl_convert, which runs Vega-Lite without a browser or a network.

What comes back is not trusted to be a drawing and nothing else: only elements and attributes that draw are let through,
so that a picture inside a page can run nothing, fetch nothing and style nothing but itself.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from html import escape
from xml.etree import ElementTree as ET

from analyzer.errors import DrawingError
from analyzer.render.charts.base import NARROW, PAGE, PAPER, WIDE, Chart, Spec

SCALE = 2.0
"""Pixels of a PNG per CSS pixel: screens have two."""
KEPT_MAX = 128
"""Pictures remembered by a process that shows pages: some 20 kB each."""
MARGIN = 12
"""CSS pixels between a picture and the edge of a file of its own."""
_ON_PAPER = {getattr(PAGE, name): getattr(PAPER, name) for name in ("ink", "faint", "line", "accent", "tint")}
"""Colours of paper by those of the page."""
_SVG = "http://www.w3.org/2000/svg"
SAID = "data-said"
"""The attribute that holds the words of a mark."""
_MARKS = frozenset({"path", "rect"})
_ELEMENTS = frozenset({"svg", "g", "path", "rect", "line", "text", "tspan"})
ATTRIBUTES = frozenset({
    "d", "dx", "dy", "fill", "fill-opacity", "font-family", "font-size", "font-weight", "height",
    "opacity", "stroke", "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit", "stroke-opacity",
    "stroke-width", "text-anchor", "transform", "viewBox", "width", "x", "x1", "x2", "y", "y1", "y2",
})  # fmt: skip

_PLACES = frozenset({"d", "transform", "x", "x1", "x2", "y", "y1", "y2"})
_LONG = re.compile(r"-?\d+\.\d{2,}")
"""Vega gives places to the fifteenth decimal: a tenth of a pixel is a third of the size."""


def inline(chart: Chart) -> str:
    """Return a chart for the inside of an HTML page, wide and narrow: the style sheet shows the one that fits.

    Without a script, an address or a style of its own; the colours are the page's. Raises DrawingError.
    """
    return "".join(
        _inline(json.dumps(chart.spec(PAGE.at(width)), sort_keys=True), name, chart.alt)
        for name, width in (("wide", WIDE), ("narrow", NARROW))
    )


def svg(chart: Chart) -> str:
    """Return a chart as a file of its own, on a light ground. Raises DrawingError.

    It is the wide picture of the page in the colours of paper, with a margin: a run makes both, and draws it once.
    """
    root = _parsed(json.dumps(chart.spec(PAGE.at(WIDE)), sort_keys=True))
    for element in root.iter():
        for name in ("fill", "stroke"):
            if element.get(name) in _ON_PAPER:
                element.set(name, _ON_PAPER[element.get(name, "")])
    _lay_on_ground(root)
    root.set("role", "img")
    root.set("aria-label", chart.alt)
    root.set("xmlns", _SVG)
    return ET.tostring(root, encoding="unicode") + "\n"


def _lay_on_ground(root: ET.Element) -> None:
    """Put a picture on the ground of paper, with a margin around it."""
    x, y, width, height = map(float, root.get("viewBox", "0 0 0 0").split())
    place = (x - MARGIN, y - MARGIN, width + 2 * MARGIN, height + 2 * MARGIN)
    values = dict(zip(("x", "y", "width", "height"), (f"{value:g}" for value in place), strict=True))
    root.set("viewBox", " ".join(values.values()))
    root.set("width", values["width"])
    root.set("height", values["height"])
    root.insert(0, ET.Element("rect", {**values, "fill": PAPER.ground or "none"}))


def png(chart: Chart) -> bytes:
    """Return a chart as a PNG on a light ground, which reads in a dark theme as well. Raises DrawingError."""
    return _converted("png", chart.spec(PAPER))


@lru_cache(maxsize=KEPT_MAX)
def _inline(spec: str, name: str, alt: str) -> str:
    root = _parsed(spec)
    for element in root.iter():
        # The page has a font.
        element.attrib.pop("font-family", None)
    inner = "".join(ET.tostring(child, encoding="unicode") for child in root)
    size = f'viewBox="{escape(root.get("viewBox", ""))}" width="{escape(root.get("width", ""))}"'
    return f'<svg class="{name}" role="img" aria-label="{escape(alt)}" {size}>{inner}</svg>'


def _parsed(spec: str) -> ET.Element:
    """Return the drawing with nothing in it but what draws."""
    try:
        # What is parsed was made in this process, by Vega from a specification of ours: no entities, no document type.
        root = ET.fromstring(_drawn(spec))  # noqa: S314
    except ET.ParseError as error:
        raise DrawingError(f"the drawing cannot be read: {error}") from error
    return _plain(root)


@lru_cache(maxsize=KEPT_MAX)
def _drawn(spec: str) -> str:
    return _converted("svg", json.loads(spec)).decode()


def _plain(element: ET.Element) -> ET.Element:
    """Return an element without its name space, and without what does not draw."""
    kept = ET.Element(_bare(element.tag))
    for name, value in element.attrib.items():
        if name in ATTRIBUTES and "url(" not in value:
            kept.set(name, _LONG.sub(lambda found: f"{float(found[0]):.1f}", value) if name in _PLACES else value)
    if kept.tag in _MARKS and "aria-label" in element.attrib:
        # Ours, for the pointer. A mark has no role in which software may read it: the drawing's own words are for that.
        kept.set(SAID, element.attrib["aria-label"])
    kept.text = element.text
    for child in element:
        if isinstance(child.tag, str) and _bare(child.tag) in _ELEMENTS:
            plain = _plain(child)
            # Vega wraps everything in groups with grounds; those that show nothing are a good part of a drawing's size.
            if len(plain) if plain.tag == "g" else plain.get("d") != "":
                kept.append(plain)
    return kept


def _bare(tag: str) -> str:
    return tag.rpartition("}")[2]


def _converted(form: str, spec: Spec) -> bytes:
    try:
        import vl_convert

        # Nothing may be fetched: the rows stand in the specification.
        if form == "png":
            return bytes(vl_convert.vegalite_to_png(spec, scale=SCALE, allowed_base_urls=[]))
        return str(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])).encode()
    except ImportError as error:
        raise DrawingError("vl-convert-python cannot be loaded here") from error
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        # A panic of the native library is no Exception, and what is lost is only a picture.
        raise DrawingError(f"Vega-Lite failed: {type(error).__name__}") from error
