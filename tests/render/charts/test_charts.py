"""What the charts say and show: their words exactly, their specifications and drawings by what must hold of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from support.hostile import ATTACKS, hostile_incident
from support.incidents import ONSET, cost_incident, curve, incident, loop_incident, resolved, strip

from analyzer.errors import DrawingError
from analyzer.render.charts.base import NARROW, PAGE, PAPER
from analyzer.render.charts.chosen import charts_of
from analyzer.render.charts.course import MARK_ROW
from analyzer.render.charts.drawing import ATTRIBUTES, SAID, inline, png, svg
from analyzer.types.report import Change, Factor, Incident, Kind


def words(one: Incident) -> list[str]:
    """Return what the charts of an incident say."""
    return [chart.alt for chart in charts_of(one)]


def rows(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every row that is drawn."""
    return [row for layer in spec["layer"] for row in layer["data"]["values"]]


def test_a_cost_incident_has_its_course_and_its_account() -> None:
    """The words hold the figures: band, what it was since, when it began, what changed, and each factor's part."""
    course = (
        "Cost per trajectory, hour by hour: support-triage, 2026-11-21 08:10 UTC to 2026-11-23 18:10 UTC. Eight of ten"
        " such times before lay between $0.104 and $0.188. Since 2026-11-23 08:10 UTC it was between $0.30 and $0.39."
        " Version 2.4.0: 2026-11-23 08:06 UTC."
    )
    parts = "Parts of the whole change: tokens per step +94 %, steps per run +5 %, price +1 %."
    assert words(cost_incident()) == [course, parts]


@pytest.mark.parametrize(("highest", "top"), [(1.0, 1.0), (0.95, 1.0), (0.4, 0.46)])
def test_a_chart_of_shares_ends_at_all_of_them(highest: float, top: float) -> None:
    """No axis goes to 120 %: above all there is nothing; below there is room for the figure of the highest point."""
    values = (0.1,) * 57 + (highest,)
    failing = curve(kind="errors", unit="trajectories", values=values, usual=(), low=(), high=())
    (chart,) = charts_of(incident(kind=Kind.ERRORS, curve=failing))
    ends = {
        round(layer["encoding"]["y"]["scale"]["domain"][1], 6)
        for layer in chart.spec(PAGE)["layer"]
        if layer["encoding"].get("y", {}).get("scale")
    }
    assert ends == {top}


def test_the_figure_of_all_of_them_stands_clear_of_the_name_of_the_onset() -> None:
    """On a narrow page both may stand at one place: a row of the chart is between them, as for any metric."""
    values = (0.1,) * 57 + (1.0,)
    rows = []
    for kind, shown in (("errors", "100 %"), ("cost", "$1.00")):
        drawn = curve(kind=kind, unit="trajectories", values=values, usual=(), low=(), high=())
        (chart,) = charts_of(incident(kind=Kind(kind), curve=drawn))
        bold = r'<text[^>]*translate\([^,]+,([-.\d]+)\)[^>]*font-weight="600"[^>]*>([^<]+)<'
        found = {text: float(y) for y, text in re.findall(bold, svg(chart))}
        rows.append(found[shown] - found["began 08:10 UTC"])
    assert min(rows) >= MARK_ROW


def test_a_loop_has_its_steps() -> None:
    """Which call came again, how often, and how many steps failed."""
    (said,) = words(loop_incident())
    assert said == (
        "Steps 7 to 18 of 24: trajectory 000000000000. lookup_order is called 5 more times with the same arguments;"
        " 1 step failed."
    )


def test_what_an_older_release_filed_has_no_charts_and_one_factor_is_no_waterfall() -> None:
    """Nothing is drawn where nothing is known, or where there is nothing to compare."""
    assert charts_of(incident()) == ()
    assert charts_of(incident(account=(Factor("runs", 1.0, 2.0, 1.0), Factor("price", 1.0, 1.0, 0.0)))) == ()
    assert charts_of(incident(curve=curve(values=(None,) * 58))) == ()
    assert charts_of(incident(curve=curve(kind="what a later release measures"))) == ()


def test_the_metric_shows_onset_changes_and_end_as_marks() -> None:
    """Changes of one hour are one mark; what lies outside of the chart is none."""
    changes = tuple(
        Change(what, None, what[0], ONSET + timedelta(minutes=minutes))
        for what, minutes in (("version", -4), ("prompt", -3), ("model", 90), ("sdk", -60 * 24 * 9))
    )
    over = resolved(replace(cost_incident(), changes=changes), ONSET + timedelta(hours=8))
    course = next(chart for chart in charts_of(over) if chart.name == "metric")
    texts = [layer["encoding"]["text"]["value"] for layer in course.spec(PAPER)["layer"]
             if "value" in layer["encoding"].get("text", {})]  # fmt: skip
    assert texts == ["usual", "began 08:10 UTC", "version v, prompt p", "model m", "over 16:10 UTC"]


def test_no_colour_is_needed() -> None:
    """Shapes differ where colours do: solid and dashed lines, dots since the onset, full and hollow bars."""
    course, account = charts_of(cost_incident())
    layers = course.spec(PAPER)["layer"]
    lines = [one["mark"].get("strokeDash") for one in layers if one["mark"]["type"] == "line"]
    assert lines == [[4, 3], None]
    dots = next(one for one in layers if one["mark"]["type"] == "point")
    assert {row["since"] for row in dots["data"]["values"]} == {True, False}
    assert dots["encoding"]["opacity"]["value"] == 0
    against = replace(cost_incident(), account=(Factor("a", 1.0, 2.0, 1.2), Factor("b", 2.0, 1.0, -0.2)))
    bars = [one["mark"].get("filled", True) for one in charts_of(against)[1].spec(PAPER)["layer"]
            if one["mark"]["type"] == "bar"]  # fmt: skip
    assert bars == [True, False]
    assert account.name == "account"


def drawn_as(spec: dict[str, Any], mark: str) -> list[dict[str, Any]]:
    """Return the layers of one mark that have rows, in the order in which they are drawn."""
    return [one for one in spec["layer"] if one["mark"]["type"] == mark and one["data"]["values"] not in ([], [{}])]


def test_the_metric_is_drawn_as_it_was_measured() -> None:
    """Each value is a dot in the middle of its hour, held against that hour's band, and full since the onset alone."""
    filed = replace(cost_incident(), changes=())
    course = charts_of(filed)[0].spec(PAPER)
    metric = curve()
    (dots,) = drawn_as(course, "point")
    seen = [(slot, value) for slot, value in enumerate(metric.values) if value is not None]
    half_an_hour_ms = 1_800_000
    assert [(row["t"], row["v"], row["since"]) for row in dots["data"]["values"]] == [
        (round(metric.time(slot).timestamp() * 1000) + half_an_hour_ms, value, metric.time(slot) >= ONSET)
        for slot, value in seen
    ]
    assert dots["data"]["values"][-1]["said"] == "23 Nov 17:10 UTC: $0.39 (usual $0.104 to $0.163)"
    (band,) = drawn_as(course, "area")
    usual, line = drawn_as(course, "line")
    read = {name: [row[name] for row in band["data"]["values"]] for name in ("low", "high", "usual", "v")}
    assert read == {"low": [*metric.low], "high": [*metric.high], "usual": [*metric.usual], "v": [*metric.values]}
    shown = [
        one["encoding"][channel]["field"] for one, channel in ((band, "y"), (band, "y2"), (usual, "y"), (line, "y"))
    ]
    assert shown == ["high", "low", "usual", "v"]
    assert all(one["encoding"]["y"]["scale"]["domain"][0] == 0 for one in (band, line, dots)), "a rise is not blown up"


def test_the_figure_beside_the_metric_is_the_highest_since_the_onset() -> None:
    """A higher one before the onset is none of the incident's."""
    before = curve()
    higher = curve(values=(before.values[0], 9.0, *before.values[2:]))
    course = charts_of(replace(cost_incident(), curve=higher, changes=()))[0].spec(PAPER)
    figures = [row["text"] for one in drawn_as(course, "text") for row in one["data"]["values"] if "text" in row]
    assert figures == ["$0.39"]


def test_an_onset_before_the_drawing_is_dated_at_its_edge() -> None:
    """What began earlier than what is drawn is all since the onset; what changed outside of the drawing is no mark."""
    early = ONSET - timedelta(days=9)
    changes = (Change("version", None, "v", early), Change("model", None, "m", ONSET))
    long_ago = replace(cost_incident(), onset=early, changes=changes)
    course = charts_of(long_ago)[0].spec(PAPER)
    names = [one["encoding"]["text"]["value"] for one in drawn_as(course, "text")
             if "value" in one["encoding"]["text"]]  # fmt: skip
    assert names == ["usual", "since 14 Nov", "model m"]
    (dots,) = drawn_as(course, "point")
    assert all(row["since"] for row in dots["data"]["values"])
    marks = [one["data"]["values"][0]["t"] for one in drawn_as(course, "rule")]
    assert marks == [round(curve().start.timestamp() * 1000), round(ONSET.timestamp() * 1000)]


@pytest.mark.parametrize(("hour", "side"), [(2, "left"), (50, "right")])
def test_the_name_of_a_mark_stands_where_there_is_room(hour: int, side: str) -> None:
    """In the first half of the drawing to the right of its line, in the second to the left of it: it never runs out."""
    at = curve().time(hour)
    course = charts_of(replace(cost_incident(), changes=(Change("model", None, "m", at),)))[0].spec(PAPER)
    (named,) = [one for one in drawn_as(course, "text") if one["encoding"]["text"].get("value") == "model m"]
    assert (named["mark"]["align"], named["mark"]["dx"] > 0) == (side, side == "left")


def test_the_strip_shows_which_calls_came_again_and_which_failed() -> None:
    """Calls that came again are full bars, new ones hollow, the model's steps low, and what failed is crossed."""
    (chart,) = charts_of(loop_incident())
    spec = chart.spec(PAPER)
    full, hollow, low = ([row["said"] for row in one["data"]["values"]] for one in drawn_as(spec, "bar"))
    (crossed,) = ([row["said"] for row in one["data"]["values"]] for one in drawn_as(spec, "rule"))
    again = "lookup_order, the same call again"
    assert full == [*(f"step {number}: {again}" for number in (9, 11, 13, 15)), f"step 17: {again}, failed"]
    assert hollow == ["step 7: lookup_order"]
    assert low == [f"step {number}: claude-sonnet-5-5" for number in range(8, 19, 2)]
    assert crossed == [f"step 17: {again}, failed"]
    assert [one["mark"].get("filled", True) for one in drawn_as(spec, "bar")] == [True, False, True]
    texts = {one["encoding"]["text"].get("value") for one in spec["layer"] if one["mark"]["type"] == "text"}
    assert {"same call again", "new call", "failed"} <= texts


def test_the_waterfall_names_the_largest_and_folds_the_smallest() -> None:
    """What works against the change is hollow; a line joins the end of each bar to the beginning of the next."""
    shares = (0.6, 0.3, 0.02, 0.02, 0.01, 0.01, 0.01, 0.13, -0.1)
    factors = tuple(Factor(f"f{index}", 1.0, 2.0, share) for index, share in enumerate(shares))
    (chart,) = charts_of(incident(account=factors))
    named = "f0 +60 %, f1 +30 %, f7 +13 %, f2 +2 %, f3 +2 %, f8 −10 %, 3 more +3 %"  # noqa: RUF001 - a minus as wide as the plus
    assert chart.alt == f"Parts of the whole change: {named}."
    spec = chart.spec(PAPER)
    full, hollow = ([row["share"] for row in one["data"]["values"]] for one in drawn_as(spec, "bar"))
    assert (full, hollow) == ([0.6, 0.3, 0.13, 0.02, 0.02, pytest.approx(0.03)], [-0.1])
    (lines,) = drawn_as(spec, "rule")
    bars = {row["row"]: row for row in rows(spec)}
    channels = {channel: lines["encoding"][channel]["field"] for channel in ("x", "y", "y2")}
    assert [{channel: row[name] for channel, name in channels.items()} for row in lines["data"]["values"]] == [
        {"x": bars[index]["end"], "y": bars[index]["bottom"], "y2": bars[index + 1]["top"]}
        for index in range(len(bars) - 1)
    ]


def test_the_waterfall_ends_at_the_whole() -> None:
    """Each bar begins where the one before ended; many factors are folded without losing a part."""
    factors = (*(Factor(f"f{index}", 1.0, 2.0, 0.1) for index in range(12)), Factor("g", 2.0, 1.0, -0.2))
    (chart,) = charts_of(incident(account=factors))
    bars = {row["row"]: row for row in rows(chart.spec(PAPER))}
    assert len(bars) == 7
    ordered = [bars[index] for index in sorted(bars)]
    assert all(a["end"] == pytest.approx(b["begin"]) for a, b in pairwise(ordered))
    assert (ordered[0]["begin"], ordered[-1]["end"]) == (0.0, pytest.approx(1.0))


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("size", [0.0, 1e-6, 0.4, 7e7])
def test_any_metric_of_any_size_can_be_drawn(kind: Kind, size: float) -> None:
    """Zero, tiny and huge values of every kind come out as a drawing with a figure at the highest point."""
    values = tuple(size * (hour % 5 + 1) for hour in range(58))
    drawn = incident(kind=kind, curve=curve(kind=kind.value, values=values, usual=(), low=(), high=()))
    (chart,) = charts_of(drawn)
    assert chart.alt.startswith(chart.title)
    assert "NaN" not in inline(chart)
    assert "undefined" not in inline(chart)


def test_the_same_incident_is_drawn_the_same_way_and_its_picture_has_a_ground() -> None:
    """A file on a light ground, a drawing in the page's own colours, a PNG; each the same every time."""
    for chart in (*charts_of(cost_incident()), *charts_of(loop_incident())):
        assert svg(chart) == svg(chart)
        assert inline(chart) == inline(chart)
        assert png(chart)[:8] == b"\x89PNG\r\n\x1a\n"
        assert 'fill="#ffffff"' in svg(chart)
        assert "var(--ink)" in inline(chart)
        assert not re.search(r"#[0-9a-f]{6}", inline(chart)), "a colour of its own would be lost in the dark"
        narrow = re.search(r'class="narrow"[^>]* viewBox="0 0 (\d+) ', inline(chart))
        assert narrow is not None
        assert int(narrow[1]) == NARROW


def test_a_file_of_its_own_is_the_picture_of_the_page_on_paper() -> None:
    """The same marks at the same places, in colours that need no style sheet, a margin away from the edge."""
    for chart in (*charts_of(cost_incident()), *charts_of(loop_incident())):
        alone = ET.fromstring(svg(chart))  # noqa: S314 - our own drawing
        wide = ET.fromstring(f"<a>{inline(chart)}</a>")[0]  # noqa: S314 - our own drawing
        assert "var(" not in svg(chart)
        ground, *drawn = list(alone.iter())[1:]
        assert [(one.tag.rpartition("}")[2], one.get("d"), one.get("x"), one.text) for one in drawn] == [
            (one.tag, one.get("d"), one.get("x"), one.text) for one in list(wide.iter())[1:]
        ]
        width, height = map(float, wide.get("viewBox", "").split()[2:])
        assert alone.get("viewBox") == f"-12 -12 {width + 24:g} {height + 24:g}"
        assert (ground.get("width"), ground.get("height")) == (alone.get("width"), alone.get("height"))
        assert (ground.get("x"), ground.get("y"), ground.get("fill")) == ("-12", "-12", "#ffffff")


@pytest.mark.parametrize("attack", [*ATTACKS, '"><script>alert(1)</script>', "{datum.t}", "\ud800", "a" * 5000])
def test_text_from_spans_is_inert_in_every_drawing(attack: str) -> None:
    """Whatever an agent, a tool, a version or a factor is called, a drawing has the elements of an innocent one."""
    for chart, innocent in zip(charts_of(hostile_incident(attack)), charts_of(hostile_incident("x")), strict=True):
        drawings = [
            ET.fromstring(f"<a>{text}</a>")  # noqa: S314 - our own drawings
            for text in (inline(chart), inline(innocent))
        ]
        tags, expected = ([one.tag for one in drawing.iter()] for drawing in drawings)
        assert set(tags) <= set(expected)
        names = {name for one in drawings[0].iter() for name in one.attrib}
        assert names <= ATTRIBUTES | {"class", "role", "aria-label", SAID}
        assert len(inline(chart)) < 2 * len(inline(innocent)) + 4000


def test_text_from_spans_is_no_expression() -> None:
    """Names are data of a specification; what is evaluated in it is the same for every incident."""

    def expressions(spec: dict[str, Any]) -> set[str]:
        return set(re.findall(r'"(?:labelExpr|test|expr)": "((?:[^"\\]|\\.)*)"', json.dumps(spec)))

    for hostile, innocent in zip(
        charts_of(hostile_incident("datum.v + 1")), charts_of(hostile_incident("x")), strict=True
    ):
        assert expressions(hostile.spec(PAGE)) == expressions(innocent.spec(PAGE))


def test_a_specification_that_cannot_be_drawn_is_an_error_with_a_name() -> None:
    """What goes wrong in the library comes out as DrawingError."""

    class Broken:
        name, title, alt = "broken", "Broken", "Broken"

        def spec(self, _look: object) -> dict[str, Any]:
            return {"mark": 17}

    with pytest.raises(DrawingError, match="Vega-Lite failed"):
        png(Broken())


def test_nothing_is_fetched() -> None:
    """A specification that asks for data from elsewhere is refused, were one ever made."""

    class Asking:
        name, title, alt = "asking", "Asking", "Asking"

        def spec(self, _look: object) -> dict[str, Any]:
            return {"data": {"url": "http://127.0.0.1:9/x.json"}, "mark": "point",
                    "encoding": {"x": {"field": "a", "type": "quantitative"}}}  # fmt: skip

    try:
        drawn = inline(Asking())
    except DrawingError:
        return
    assert "path" not in drawn


def test_what_does_not_draw_is_left_out_of_a_picture() -> None:
    """Links, pictures, references and whatever else Vega could make of a specification: only what draws is kept."""

    class Loaded:
        name, title, alt = "loaded", "Loaded", 'Of "a" <b>'

        def spec(self, _look: object) -> dict[str, Any]:
            gradient = {"gradient": "linear", "stops": [{"offset": 0, "color": "red"}, {"offset": 1, "color": "blue"}]}
            links = {"href": {"value": "https://example.org/"}, "url": {"value": "https://example.org/x.png"}}
            size = {"width": {"value": 9}, "height": {"value": 9}}
            mark: dict[str, Any] = {"type": "image", "cursor": "pointer"}
            bar = {"mark": {"type": "bar", "color": gradient}, "encoding": {"x": {"field": "a", "type": "ordinal"}}}
            return {"data": {"values": [{"a": 1}]}, "layer": [{"mark": mark, "encoding": links | size}, bar]}

    for drawn in (svg(Loaded()), inline(Loaded())):
        elements = list(ET.fromstring(f"<a>{drawn}</a>").iter())[1:]  # noqa: S314 - our own drawing
        tags = {one.tag.rpartition("}")[2] for one in elements}
        assert tags <= {"svg", "g", "path", "rect", "line", "text"}
        assert {name for one in elements for name in one.attrib} <= ATTRIBUTES | {"class", "role", "aria-label", SAID}
        assert not re.search(r"url\(|href|example\.org|style=", drawn)
        named = [one.attrib["aria-label"] for one in elements if "aria-label" in one.attrib]
        assert set(named) == {'Of "a" <b>'}, "what a picture shows stands in it as text, never as markup"


def test_a_strip_of_many_tools_has_a_last_row_for_the_rest() -> None:
    """Six rows; no step is left out."""
    many = tuple(replace(one, name=f"tool-{one.number}", is_tool=True) for one in strip().steps)
    (chart,) = charts_of(replace(loop_incident(), strip=replace(strip(), steps=many)))
    drawn = rows(chart.spec(PAPER))
    assert [row["name"] for row in drawn if "name" in row] == [*(f"tool-{number}" for number in range(7, 12)), "7 more"]
    below = {row["from"]: row["bottom"] for row in drawn if "said" in row}
    bottoms = [below[place] for place in sorted(below)]
    assert len(set(bottoms[:6])) == 6
    assert bottoms[5:] == [max(bottoms)] * 7, "those beyond share the last row"
