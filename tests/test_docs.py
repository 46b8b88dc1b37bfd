"""The docs say what the program does: nothing is written twice by hand."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from support.docs import DOCS, PAGES, ROOT

from analyzer.cli.app import COMMANDS
from analyzer.detectors import DETECTORS
from analyzer.stores.trajectories import SqliteTrajectories

MARKDOWN = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_those_of_today(name: str) -> None:
    """Help texts and settings in the docs are those of the program; `make docs` brings them up to date."""
    assert (DOCS / name).read_text("utf-8") == PAGES[name]()


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda one: one.name)
def test_every_detector_has_its_file_test_and_page(detector) -> None:
    """One detector is one file, one test file and one page, under one name."""
    stem = detector.name.replace("-", "_")
    assert (ROOT / "analyzer" / "detectors" / f"{stem}.py").is_file()
    assert (ROOT / "tests" / "detectors" / f"test_{stem}.py").is_file()
    page = (DOCS / "detectors" / f"{stem}.md").read_text("utf-8")
    assert page.startswith("# ")


def test_the_readme_names_every_command() -> None:
    """A reader of the README meets every command."""
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in COMMANDS:
        assert f"analyzer {name}" in readme, name


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """A relative link in the docs names a file that is there."""
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)\s#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_the_page_of_the_store_names_every_table(tmp_path: Path) -> None:
    """Whoever looks into the file finds what each table in it is for."""
    page = (DOCS / "store.md").read_text("utf-8")
    with SqliteTrajectories(tmp_path / "s.db") as store, store.connection.reading() as raw:
        tables = {name for (name,) in raw.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert {name for name in tables if not name.startswith(("sqlite_", "_")) and f"`{name}`" not in page} == set()


def test_no_cell_of_a_table_is_cut_off_by_a_bar() -> None:
    """A bar within a cell begins the next one, in code too, and the rest of the row is shown nowhere."""
    for page in MARKDOWN:
        lines = page.read_text("utf-8").splitlines()
        for above, line in pairwise(lines):
            if above.startswith("|") and line.startswith("|"):
                assert len(_BAR.findall(above)) == len(_BAR.findall(line)), f"{page.name}: {line}"


_BAR = re.compile(r"(?<!\\)\|")


def test_variables_named_in_the_docs_exist() -> None:
    """No page speaks of a variable that the program would refuse."""
    known = set(re.findall(r"`(ANALYZER_[A-Z_]+)`", PAGES["settings.md"]())) | {
        "ANALYZER_CONFIG",
        "ANALYZER_GOLDEN_GOAL",
        "ANALYZER_REPLAY_URL",
    }
    for page in MARKDOWN:
        for name in re.findall(r"ANALYZER_[A-Z_]+", page.read_text("utf-8")):
            assert name in known, f"{page.name}: {name}"
