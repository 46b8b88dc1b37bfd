"""Detectors of other packages, as the docs tell people to write them, installed beside the program."""

from __future__ import annotations

import json
import os
import re
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from support.cli import Ended, analyzer
from support.docs import DOCS
from support.spans import EPOCH, root

from analyzer.config import load
from analyzer.errors import UsageError
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.wiring.detecting import detectors_of

AT = EPOCH.replace(hour=12)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store in which ten trajectories began within the last hour."""
    path = tmp_path / "store.db"
    with SqliteTrajectories(path) as trajectories:
        for number in range(10):
            at_s = (AT - EPOCH).total_seconds() - 3000 + number * 60
            trajectories.add([root(number + 1, at_s=at_s, lasts_s=20)])
    return path


def example() -> tuple[str, str]:
    """Return the entry point and the module of the page."""
    page = (DOCS / "detectors" / "own.md").read_text("utf-8")
    [module] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    [point] = re.findall(r'^busy = "(.*)"$', page, re.MULTILINE)
    return point, module


def installed(folder: Path, module: str, *points: str) -> dict[str, str]:
    """Install a package of one module into a folder, as pip leaves it; return the environment that sees it."""
    dist = folder / "fleet_rules-1.0.dist-info"
    dist.mkdir(parents=True)
    (folder / "fleet_rules.py").write_text(module)
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: fleet-rules\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text("[analyzer.detectors]\n" + "\n".join(points) + "\n")
    seen = [str(folder), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {"PYTHONPATH": os.pathsep.join(path for path in seen if path)}


def settings_file(folder: Path, text: str) -> dict[str, str]:
    """Write settings and return the environment that names them."""
    path = folder / "analyzer.toml"
    path.write_text(text)
    return {"ANALYZER_CONFIG": str(path)}


def run(store: Path, env: dict[str, str]) -> Ended:
    """Run one pass over the store."""
    return analyzer("run", "--at", AT.isoformat(), "--store", str(store), "--llm", "off", "--json", env=env)


def kinds(ended: Ended) -> list[str]:
    """Return the kinds of the incidents of a run."""
    return [one["kind"] for one in json.loads(ended.stdout)["incidents"]]


def test_the_example_of_the_docs_works(store: Path, tmp_path: Path) -> None:
    """Installed, it is asked in a run, obeys its settings, shows in the catalogue and says why it is silent."""
    point, module = example()
    env = installed(tmp_path / "site", module, f"busy = {point}")
    few = settings_file(tmp_path, "[detectors.busy]\nper_hour_max = 5\n")
    assert kinds(run(store, env)) == []
    shown = analyzer("detectors", "busy", "--json", "--store", str(store), env={**env, **few})
    [entry] = json.loads(shown.stdout)["detectors"]
    assert (entry["kind"], entry["origin"]) == ("volume", "fleet_rules")
    assert entry["settings"] == [
        {
            "name": "per_hour_max",
            "value": 5.0,
            "default": 500.0,
            "source": few["ANALYZER_CONFIG"],
            "why": "What the queue takes in an hour, by its load test of May.",
        }
    ]
    agent = "--kind", "volume", "--at", AT.isoformat(), "--store", str(store), "--json"
    silent = json.loads(analyzer("why-not", "shop", *agent, env=env).stdout)["readings"]
    assert [one["why"] for one in silent] == ["10 began in the last hour, 500 are too many"]
    assert kinds(run(store, {**env, **few})) == ["volume"]


def test_a_broken_package_is_one_line(store: Path, tmp_path: Path) -> None:
    """It is a gap with its reason and exit 3, also where there are settings for it; our detectors are asked."""
    env = installed(tmp_path / "site", "import nothing_like_it\n", "busy = fleet_rules:BusyDetector")
    few = settings_file(tmp_path, "[detectors.busy]\nper_hour_max = 5\n")
    ended = run(store, {**env, **few})
    assert ended.code == 3
    why = "ModuleNotFoundError: No module named 'nothing_like_it'"
    [gap] = [one for one in json.loads(ended.stdout)["gaps"] if "busy" in one["what"]]
    assert gap == {
        "what": "what the detector busy of fleet-rules looks for",
        "why": why,
        "hint": "mend or uninstall the package; docs/detectors/own.md says what a detector needs",
    }
    listed = analyzer("detectors", "--store", str(store), env=env)
    assert listed.code == 3
    assert listed.stderr.startswith(f"could not see what the detector busy of fleet-rules looks for: {why} (")
    assert "cost" in listed.stdout


class Mute:
    """No detector: it explains nothing."""

    name = "mute"

    def detect(self, _window: Any) -> tuple[()]:
        """Find nothing."""
        return ()


class Nameless(Mute):
    """A detector under another name than its entry point's, and of no kind."""

    name = "other"
    kind = "strange"

    def explain(self, _window: Any, _agent: str) -> tuple[()]:
        """Say nothing."""
        return ()


class Strange(Nameless):
    """A detector of a kind that is none."""

    name = "strange"


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("cost", "CostDetector", "there is a detector of this name already"),
        ("Busy One", "Mute", "'Busy One' is no name for a detector: small letters and digits, joined by -"),
        ("mute", "Mute", "test_own_detectors:Mute has no method explain"),
        ("nameless", "Nameless", "its name is 'other' and that of its entry point 'nameless'"),
        ("strange", "Strange", "its kind is none of cost, tokens, "),
        ("gone", "Gone", "AttributeError: module 'test_own_detectors' has no attribute 'Gone'"),
    ],
)
def test_what_is_no_detector_is_refused(name: str, value: str, why: str) -> None:
    """Each fault is told by its reason; what is there already stays as it was."""
    module = "analyzer.detectors.cost" if name == "cost" else "test_own_detectors"
    point = EntryPoint(name, f"{module}:{value}", "analyzer.detectors")
    there = detectors_of(load({}, {}).settings, [point])
    [gap] = there.gaps
    assert gap.why.startswith(why)
    assert there.plain == detectors_of(load({}, {}).settings, []).plain


def test_settings_of_nobody_are_still_refused() -> None:
    """A table for a detector that no package brings is a misspelt name."""
    from dataclasses import replace

    settings = replace(load({}, {}).settings, detectors={"bsy": {}})
    with pytest.raises(UsageError, match=r"\[detectors.bsy\]: there is no such detector"):
        detectors_of(settings, [])
