"""The pages in a real Chromium: from the start page to a dismissed incident, and whether everybody can use them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.site import Shown, showing

pytestmark = pytest.mark.server

PAGES = ("/", "/incidents", "/incidents?state=all", "/trajectories", "/trajectories/worst", "/trajectories?q=order",
         "/compare?a=worst&b=latest", "/analyst", "/settings", "/docs/running", "/docs/loop")  # fmt: skip
SIZES = [(390, "dark"), (390, "light"), (1440, "dark"), (1440, "light")]


@dataclass
class Window:
    """A browser's page, with what it complained of and where it went."""

    page: Any
    url: str
    errors: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Open a page."""
        self.page.goto(self.url + path)

    def is_at_peace(self) -> bool:
        """Tell whether nothing was complained of, and nothing but this server asked."""
        return not self.errors and all(place.startswith(self.url) for place in self.asked)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium without a window."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium here: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Its sandbox needs privileges that containers do not have; it opens nothing but our own pages.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of `analyzer demo`."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    command = [sys.executable, "-m", "analyzer", "demo", "--folder", str(folder), "--json"]
    subprocess.run(command, check=False, capture_output=True, timeout=110)
    return folder / "demo.db"


@pytest.fixture
def served(demo: Path, tmp_path: Path) -> Iterator[Shown]:
    """Pages over a copy of the demo."""
    with showing(Path(shutil.copy(demo, tmp_path / "demo.db"))) as shown:
        yield shown


def window(chromium: Any, url: str, width: int = 1440, scheme: str = "light", **options: Any) -> Window:
    """Open a window; what it logs as an error and what it asks for is noted."""
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
    opened = Window(context.new_page(), url)
    opened.page.on(
        "console", lambda line: opened.errors.append(line.text) if line.type in {"error", "warning"} else None
    )
    opened.page.on("pageerror", lambda error: opened.errors.append(str(error)))
    opened.page.on("request", lambda request: opened.asked.append(request.url))
    return opened


@pytest.mark.parametrize("has_javascript", [True, False], ids=["js", "no-js"])
def test_the_loop_is_found_proven_and_dismissed(chromium: Any, served: Shown, *, has_javascript: bool) -> None:
    """From the start page to the incident, to the quote in its span, marked and in sight; dismissed, it is gone."""
    shown = window(chromium, served.url, java_script_enabled=has_javascript)
    page = shown.page
    shown.go("/")
    page.get_by_role("link", name="billing-agent: get_order repeated").click()
    incident = page.url
    page.get_by_role("link", name="See E2 in its span").click()
    mark = page.locator("mark#quote")
    assert mark.inner_text() == '{"error":"order not found","order_id":"ord_1bceb7dc17"}'
    assert (
        mark.evaluate("one => one.getBoundingClientRect().bottom <= innerHeight")
        if has_javascript
        else mark.is_visible()
    )
    page.goto(incident)
    page.get_by_label("Reason").fill("A known bug, the fix is on its way.")
    page.get_by_label("Your name").fill("ann")
    page.get_by_role("button", name="Dismiss").click()
    assert page.url == incident
    assert "Dismissed by ann" in page.get_by_role("complementary").inner_text()
    shown.go("/")
    assert page.get_by_role("link", name="billing-agent: get_order repeated").count() == 0
    assert page.get_by_role("heading", name="2 open incidents").is_visible()
    assert shown.is_at_peace(), (shown.errors, shown.asked)


def test_a_folded_stretch_opens_in_its_place(chromium: Any, served: Shown) -> None:
    """With JavaScript the steps of a repeat come in below it, and the keyboard goes on there."""
    shown = window(chromium, served.url)
    shown.go("/")
    shown.page.get_by_role("link", name="billing-agent: get_order repeated").click()
    shown.page.locator("a[href^='/trajectories/']").filter(has_text="de7b").first.click()
    before = shown.page.locator("#rows tr").count()
    shown.page.locator("a.unfold").click()
    # Not by a condition in the page: asked a second time it is evaluated there, which the page's policy forbids.
    shown.page.locator("a.unfold").wait_for(state="detached")
    assert shown.page.locator("#rows tr").count() == before + 56
    assert shown.page.evaluate("document.activeElement.className") == "span"
    assert shown.is_at_peace(), (shown.errors, shown.asked)


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_every_page_fits_and_has_no_serious_fault_for_assistive_software(
    chromium: Any, served: Shown, width: int, scheme: str
) -> None:
    """At both widths, dark and light: nothing hangs over the side, axe finds nothing serious, nothing is logged."""
    from axe_playwright_python.sync_playwright import Axe

    [loop] = [one for one in served.memory.incidents() if one.kind == "loop"]
    quote = loop.evidence[0]
    span = f"/trajectories/{quote.trace_id}/spans/{quote.span_id}?incident={loop.id}&evidence={quote.id}"
    pages = [*PAGES, f"/incidents/{loop.id}", f"/trajectories/{loop.trace_ids[0]}", span]
    # A page's own policy forbids scripts from elsewhere; the checker is one.
    checked = window(chromium, served.url, width, scheme, bypass_csp=True)
    for path in pages:
        checked.go(path)
        assert checked.page.evaluate("document.documentElement.scrollWidth") <= width, path
        found = Axe().run(checked.page).response["violations"]
        serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in {"serious", "critical"}]
        assert serious == [], path
    plain = window(chromium, served.url, width, scheme)
    for path in pages:
        plain.go(path)
    assert plain.is_at_peace(), (plain.errors, plain.asked)


@pytest.mark.parametrize("width", [390, 1440])
def test_a_chart_tells_the_figures_under_the_pointer_and_by_the_arrow_keys(
    chromium: Any, served: Shown, width: int
) -> None:
    """The nearest point's words; the keys go from point to point, and the words go when the pointer does."""
    [cost] = [one for one in served.memory.incidents() if one.kind == "cost"]
    shown = window(chromium, served.url, width)
    shown.go(f"/incidents/{cost.id}")
    chart = shown.page.locator("figure.chart svg:visible").first
    told = shown.page.locator("figure.chart output").first
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    shown.page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2)
    assert re.fullmatch(r"\d\d Nov \d\d:15 UTC: \$[\d.]+ \(usual \$[\d.]+ to \$[\d.]+\)", told.inner_text())
    place = told.bounding_box()
    assert place["x"] >= 0
    assert place["x"] + place["width"] <= width
    shown.page.mouse.move(0, 0)
    assert not told.is_visible()
    chart.focus()
    said = []
    for key in ("End", "ArrowLeft", "Home", "ArrowRight"):
        shown.page.keyboard.press(key)
        said.append(told.inner_text()[:12])
    assert said == ["20 Nov 11:15", "20 Nov 10:15", "17 Nov 16:15", "17 Nov 17:15"]
    shown.page.keyboard.press("Escape")
    assert not told.is_visible()
    assert shown.is_at_peace(), (shown.errors, shown.asked)


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_charts_are_there_without_javascript_in_the_colours_of_the_page(
    chromium: Any, served: Shown, width: int, scheme: str
) -> None:
    """One form of each chart is seen, as wide as its column, and its lines have the colour of the page's text."""
    [loop] = [one for one in served.memory.incidents() if one.kind == "loop"]
    shown = window(chromium, served.url, width, scheme, java_script_enabled=False)
    shown.go(f"/incidents/{loop.id}")
    charts = shown.page.locator("figure.chart svg:visible")
    assert charts.count() == 3
    for index in range(3):
        chart, column = charts.nth(index), shown.page.locator("figure.chart").nth(index)
        assert abs(chart.bounding_box()["width"] - column.bounding_box()["width"]) < 1
        titles = chart.locator("text").evaluate_all("all => all.map(one => getComputedStyle(one).fill)")
        assert shown.page.locator("h1").evaluate("one => getComputedStyle(one).color") in titles
    assert shown.is_at_peace(), (shown.errors, shown.asked)


def test_the_keyboard_alone_reaches_the_content_and_shows_where_it_is(chromium: Any, served: Shown) -> None:
    """The first tab offers to skip to the content; what has the focus is outlined."""
    shown = window(chromium, served.url)
    shown.go("/")
    shown.page.keyboard.press("Tab")
    assert shown.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert shown.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    shown.page.keyboard.press("Enter")
    shown.page.keyboard.press("Tab")
    assert shown.page.evaluate("document.activeElement.closest('main') !== null")


def test_login_in_a_browser(chromium: Any, demo: Path, tmp_path: Path) -> None:
    """Behind a token the page asked for comes after the login, and scripts cannot see the session."""
    with showing(Path(shutil.copy(demo, tmp_path / "demo.db")), token="a-token") as served:
        shown = window(chromium, served.url)
        shown.go("/incidents?state=all")
        shown.page.get_by_label("Token").fill("a-token")
        shown.page.get_by_role("button", name="Log in").click()
        assert shown.page.url == f"{served.url}/incidents?state=all"
        assert shown.page.evaluate("document.cookie") == ""
        shown.page.get_by_role("button", name="Log out").click()
        shown.go("/")
        assert shown.page.get_by_label("Token").is_visible()
        assert shown.is_at_peace(), (shown.errors, shown.asked)
