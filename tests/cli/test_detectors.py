"""`analyzer detectors`: the catalogue, as a user asks for it."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

from support.cli import analyzer
from support.incidents import incident

from analyzer.detectors import DETECTORS
from analyzer.detectors.catalogue import catalogue
from analyzer.types.report import State


def test_every_detector_and_every_setting_is_there(tmp_path: Path) -> None:
    """Each has its name, kind, what it looks at, and its settings with value, source and reason."""
    ended = analyzer("detectors", "--json", "--store", str(tmp_path / "s.db"))
    assert ended.code == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert document["schema"] == "analyzer.detectors/1"
    assert [one["name"] for one in document["detectors"]] == [detector.name for detector in DETECTORS]
    for entry, detector in zip(document["detectors"], DETECTORS, strict=True):
        own = getattr(detector, "settings", None)
        assert [one["name"] for one in entry["settings"]] == ([spec.name for spec in fields(own)] if own else [])
        assert entry["looks_at"].endswith(".")
        assert entry["enabled"]
        assert entry["verdicts"] == {"incidents": 0, "dismissed": 0, "confirmed": 0, "precision": None}
    cost = document["detectors"][0]
    ratio = next(one for one in cost["settings"] if one["name"] == "ratio_min")
    assert (ratio["value"], ratio["source"]) == (1.6, "default")
    assert ratio["why"].startswith("A rise below this is not reported, however certain")


def test_settings_show_where_they_come_from(tmp_path: Path) -> None:
    """What a file sets is told with the file; agents with their pattern; a detector that is off as off."""
    settings = tmp_path / "analyzer.toml"
    text = "[detectors.cost]\nratio_min = 2\n[detectors.cost.agents.'batch-*']\nenabled = false\n"
    settings.write_text(f"{text}[detectors.loop]\nenabled = false\n")
    env = {"ANALYZER_CONFIG": str(settings)}
    document = json.loads(analyzer("detectors", "--json", "--store", str(tmp_path / "s.db"), env=env).stdout)
    by_name = {one["name"]: one for one in document["detectors"]}
    ratio = next(one for one in by_name["cost"]["settings"] if one["name"] == "ratio_min")
    assert (ratio["value"], ratio["default"], ratio["source"]) == (2.0, 1.6, str(settings))
    assert by_name["cost"]["agents"] == [{"pattern": "batch-*", "settings": {"enabled": False}}]
    assert (by_name["loop"]["enabled"], by_name["cost"]["enabled"]) == (False, True)
    shown = analyzer("detectors", "cost", "--store", str(tmp_path / "s.db"), env=env).stdout
    assert shown.startswith("cost (on)\n")
    assert f"ratio_min         2        1.6      {settings}"[:40] in shown
    assert "- batch-*: enabled = false" in shown


def test_precision_is_what_humans_left_standing() -> None:
    """Of the incidents that a detector filed, those that nobody dismissed; before any verdict it says so."""
    one = incident()
    own = next(detector for detector in DETECTORS if detector.name == one.findings[0].detector)
    open_, dismissed = replace(one, id="inc-1"), replace(one, id="inc-2", state=State.DISMISSED)
    [entry] = catalogue([own], [own], [open_, open_, open_, dismissed], "default")
    assert (entry.verdicts.incidents, entry.verdicts.dismissed, entry.verdicts.precision) == (4, 1, 0.75)
    [entry] = catalogue([own], [own], [open_], "default")
    assert entry.verdicts.precision is None


def test_a_detector_that_is_not_there(tmp_path: Path) -> None:
    """A misspelt name is exit 2 with the name like it."""
    ended = analyzer("detectors", "csot", "--store", str(tmp_path / "s.db"))
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr == "analyzer: no detector called 'csot'; did you mean cost?\n"
