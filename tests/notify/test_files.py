from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.hostile import ATTACKS, hostile_report
from support.incidents import NOW, cost_incident, full_report, resolved

from analyzer.errors import DeliveryError
from analyzer.notify.base import Message
from analyzer.notify.files import ReportFolder
from analyzer.render.html import html
from analyzer.render.markdown import markdown
from analyzer.render.outline import incident_outline
from analyzer.render.report import report_outline
from analyzer.types.sent import Reason


def test_report_and_each_incident_have_their_file(tmp_path: Path) -> None:
    """The folder is made, and holds the report and each incident, in both forms, with exactly the rendered texts."""
    folder = tmp_path / "a" / "reports"
    report = full_report()
    files = ReportFolder(folder).write(report)
    assert [file.name for file in files] == [
        "report.md",
        "report.html",
        "2026-11-23-inc-0123456789.md",
        "2026-11-23-inc-0123456789.html",
        "2026-11-23-inc-0123456789-metric.svg",
        "2026-11-23-inc-0123456789-account.svg",
        "2026-11-23-inc-00000000ab.md",
        "2026-11-23-inc-00000000ab.html",
        "2026-11-23-inc-00000000ab-steps.svg",
    ]
    assert files[0].read_text("utf-8") == markdown(report_outline(report))
    assert files[2].read_text("utf-8") == markdown(incident_outline(report.incidents[0], NOW))
    assert files[3].read_text("utf-8") == html(incident_outline(report.incidents[0], NOW), report.incidents[0].title)
    assert sorted(folder.iterdir()) == sorted([*files, folder / ".drawings.json"])


def test_incident_keeps_its_file_through_its_life(tmp_path: Path) -> None:
    """A later form of an incident replaces the text in the same file, whatever the day."""
    folder = ReportFolder(tmp_path)
    one = cost_incident()
    folder.send(Message(Reason.FIRST_SEEN, one, NOW))
    later = resolved(one, NOW + timedelta(days=2))
    folder.send(Message(Reason.RESOLVED, later, NOW + timedelta(days=2)))
    files = [file for file in tmp_path.iterdir() if file.suffix != ".svg"]
    assert len(files) == 2
    for file in files:
        assert "resolved: 2026-11-25 18:00 UTC" in file.read_text("utf-8")


def test_unchanged_file_is_left_alone(tmp_path: Path) -> None:
    """The same text again does not touch the file: its time tells when it last changed."""
    folder = ReportFolder(tmp_path)
    file, *_ = folder.write(full_report())
    os.utime(file, (1, 1))
    folder.write(full_report())
    assert file.stat().st_mtime == 1


@pytest.mark.parametrize("name", ["../../etc/passwd", "inc/../x", "", "a" * 500, "inc-\x00\n"])
def test_file_stays_in_the_folder(tmp_path: Path, name: str) -> None:
    """Whatever an id holds, the file is in the folder."""
    folder = tmp_path / "reports"
    ReportFolder(folder).send(Message(Reason.FIRST_SEEN, replace(cost_incident(), id=name), NOW))
    assert sorted(file.suffix for file in folder.iterdir()) == [".html", ".md", ".svg", ".svg"]


@pytest.mark.parametrize("attack", [*ATTACKS, "\ud800"])
def test_hostile_text_can_be_written(tmp_path: Path, attack: str) -> None:
    """No text keeps a report from being written, lone surrogates included."""
    files = ReportFolder(tmp_path).write(hostile_report(attack))
    assert all(file.stat().st_size for file in files)


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file where the folder should be is an error that names it and leaves nothing behind."""
    (tmp_path / "reports").write_text("in the way")
    with pytest.raises(DeliveryError, match=r"cannot write .*report\.md: .*; check the reports folder") as caught:
        ReportFolder(tmp_path / "reports").write(full_report())
    assert not caught.value.retryable


def test_failed_write_leaves_the_old_file_whole(tmp_path: Path) -> None:
    """Where the new text cannot take the file's place the old one stays, and no scratch file is left."""
    folder = ReportFolder(tmp_path)
    blocked = folder.path(cost_incident())
    (blocked / "sub").mkdir(parents=True)
    with pytest.raises(DeliveryError):
        folder.send(Message(Reason.FIRST_SEEN, cost_incident(), NOW))
    assert list(tmp_path.iterdir()) == [blocked]


def test_every_chart_that_a_report_shows_lies_beside_it(tmp_path: Path) -> None:
    """The Markdown of report and incidents leads to files that are there, and to no others."""
    files = ReportFolder(tmp_path).write(full_report())
    texts = "".join(file.read_text("utf-8") for file in files if file.suffix == ".md")
    shown = re.findall(r"!\[.+\]\((.+)\)", texts)
    assert set(shown) == {file.name for file in files if file.suffix == ".svg"}
    assert len(shown) == 2 * len(set(shown))


WITHOUT_LIBRARY = (
    "import sys; sys.modules['vl_convert'] = None\n"
    "from pathlib import Path\n"
    "from support.incidents import full_report\n"
    "from analyzer.notify.files import ReportFolder\n"
    "folder = ReportFolder(Path(sys.argv[1]))\n"
    "folder.write(full_report())\n"
    "print(folder.undrawn)"
)


def written_without_library(folder: Path) -> str:
    """Write a report in a process that cannot draw; return what it says of charts that are missing."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LIBRARY, str(folder)],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    return done.stdout


def test_a_chart_that_has_not_changed_is_not_drawn_again(tmp_path: Path) -> None:
    """A process that cannot draw writes the same files to the byte, as long as a run before has drawn the same."""
    files = ReportFolder(tmp_path).write(full_report())
    before = {file: file.read_bytes() for file in files}
    for file in files:
        file.unlink()
    assert written_without_library(tmp_path) == "()\n"
    assert {file: file.read_bytes() for file in files} == before


def test_a_chart_that_has_changed_is_drawn_anew(tmp_path: Path) -> None:
    """What was drawn before is taken for the same chart only, and what is shown no more is kept no longer."""
    report, fresh = full_report(), tmp_path / "fresh"
    ReportFolder(tmp_path / "kept").write(report)
    changed = replace(report, incidents=tuple(resolved(one, NOW) for one in report.incidents[:1]))
    names = [file.name for file in ReportFolder(fresh).write(changed)]
    ReportFolder(tmp_path / "kept").write(changed)
    for name in [*names, ".drawings.json"]:
        assert (tmp_path / "kept" / name).read_bytes() == (fresh / name).read_bytes(), name


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"a": 1}', "\x00", "[" * 100_000])
def test_kept_drawings_that_cannot_be_read_are_made_again(tmp_path: Path, broken: str) -> None:
    """Whatever lies there, the report is whole, and the next finds what it needs."""
    whole = {file.name: file.read_bytes() for file in ReportFolder(tmp_path / "whole").write(full_report())}
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / ".drawings.json").write_text(broken)
    assert {file.name: file.read_bytes() for file in ReportFolder(folder).write(full_report())} == whole
    assert (folder / ".drawings.json").read_bytes() == (tmp_path / "whole" / ".drawings.json").read_bytes()


def test_kept_drawings_that_cannot_be_written_fail_nothing(tmp_path: Path) -> None:
    """They only save time."""
    (tmp_path / ".drawings.json").mkdir()
    assert len(ReportFolder(tmp_path).write(full_report())) == 9


def test_a_chart_that_cannot_be_drawn_loses_no_text(tmp_path: Path) -> None:
    """Without the library the reports are whole, the words stand for the charts, and the reason is kept for a gap."""
    assert written_without_library(tmp_path) == "('vl-convert-python cannot be loaded here',)\n"
    assert {file.suffix for file in tmp_path.iterdir()} == {".md", ".html"}
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "<p>Cost per trajectory, hour by hour: support-triage, 2026-11-21 08:10 UTC" in page
