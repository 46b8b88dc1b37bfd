from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.docs import DOCS
from support.site import Shown, Structure, showing

from analyzer.server.pages.handbook import anchor, page_of, target, texts
from analyzer.types.report import Kind

HEADINGS = ["What it means", "How it is computed", "What to do", "How to silence it"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """Serve the pages over an empty store."""
    with showing(tmp_path_factory.mktemp("handbook") / "store.db") as shown:
        yield shown


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, code in fences left out."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return {anchor(heading) for heading in re.findall(r"^#+ (.+)$", plain, flags=re.MULTILINE)}


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.value)
def test_every_kind_of_incident_has_a_page_with_the_four_headings(kind: Kind, site: Shown) -> None:
    """Whoever gets an incident finds what it means, how it is computed, what to do and how to silence it."""
    text = texts()[page_of(kind)]
    assert re.findall(r"^## (.+)$", text, flags=re.MULTILINE) == HEADINGS
    assert text.startswith(f"# {kind.value}\n")
    parts = re.split(r"^## .+$", text, flags=re.MULTILINE)[1:]
    assert all(len(part.strip()) >= len("Not yet.") for part in parts)
    told = site.get(f"/docs/{kind.value}")
    assert told.status == 200
    assert [part for part in HEADINGS if f">{part}</h2>" in told.body.decode()] == HEADINGS


@pytest.mark.parametrize("name", texts())
def test_every_link_of_every_page_leads_to_a_page_or_place_that_is_there(name: str, site: Shown) -> None:
    """Links between pages and to their headings are followed; a link to a heading that is not there is none."""
    page = Structure(site.get(f"/docs/{name}").body)
    for place in page.places:
        if not place.startswith(("/docs/", "#")):
            assert place.startswith(("/", "https://")), place
            continue
        path, _, heading = place.partition("#")
        other = path.removeprefix("/docs/") if path else name
        assert other in texts(), place
        assert not heading or heading == "main" or heading in anchors(texts()[other]), place


def test_the_links_of_the_files_to_headings_lead_there() -> None:
    """On a forge the same links work: anchors are made as forges make them."""
    for name, text in texts().items():
        for path, heading in re.findall(r"\]\((?!https?:)([^)\s#]*)#([^)\s]+)\)", text):
            other = ((DOCS / name).parent / path).resolve() if path else DOCS / f"{name}.md"
            if other.is_relative_to(DOCS):
                found = texts()[other.relative_to(DOCS).with_suffix("").as_posix()]
                assert heading in anchors(found), f"{name}: {path}#{heading}"


def test_a_link_that_leads_out_of_the_documentation_is_text() -> None:
    """A file that is not served is no link; neither is a path that climbs out, nor a scheme that acts."""
    for href in (
        "../../pyproject.toml",
        "../../../etc/passwd",
        "javascript:alert(1)",
        "http://plain.example",
        "none.md",
    ):
        assert target(href, "detectors/cost") == ""
    assert target("../store.md#what-a-run-costs", "detectors/cost") == "/docs/store#what-a-run-costs"


@pytest.mark.parametrize("path", ["/docs/nothing", "/docs/../settings.toml", "/docs/%2e%2e/%2e%2e/pyproject", "/docs/"])
def test_a_page_that_is_not_there_is_said_so(path: str, site: Shown) -> None:
    """Nothing but our own pages is read, whatever the path."""
    assert site.get(path).status == 404


def test_the_wheel_carries_the_pages() -> None:
    """What messages link to is there wherever the program is installed."""
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    assert '"docs" = "analyzer/_data/docs"' in project
