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


def test_a_strip_of_many_tools_has_a_last_row_for_the_rest() -> None:
    """Six rows; no step is left out."""
    many = tuple(replace(one, name=f"tool-{one.number}", is_tool=True) for one in strip().steps)
    (chart,) = charts_of(replace(loop_incident(), strip=replace(strip(), steps=many)))
    drawn = rows(chart.spec(PAPER))
    assert [row["name"] for row in drawn if "name" in row][-1] == "7 more"
    assert len([row for row in drawn if "said" in row and not row["failed"]]) == 11
