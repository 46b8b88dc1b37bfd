"""`analyzer why-not`, as a user asks it of the demo's fleet."""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import struct
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.cli import Ended, analyzer

AT = "2026-11-20T12:00:00Z"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the store that the demo leaves, with its incidents."""
    folder = tmp_path_factory.mktemp("why") / "demo"
    ended = analyzer("demo", "--json", "--folder", str(folder))
    assert ended.code == 0, ended.stderr
    return folder / "demo.db"


def why(store: Path, agent: str, *extra: str, at: str = AT, **env: str) -> Ended:
    """Ask about an agent."""
    return analyzer("why-not", agent, "--store", str(store), "--at", at, *extra, env=env)


def readings(ended: Ended) -> dict[tuple[str, str | None], dict[str, Any]]:
    """Return the readings of an answer by detector and tool."""
    document = json.loads(ended.stdout)
    assert document["schema"] == "analyzer.why-not/1"
    return {(one["detector"], one["subject"]["tool"]): one for one in document["readings"]}


def filed(store: Path) -> list[tuple[Any, ...]]:
    """Return what the store keeps of the analyst's own."""
    with closing(sqlite3.connect(store)) as raw:
        return [(name, *row) for name in ("incidents", "deliveries", "reports") for row in raw.execute(
            f"SELECT * FROM {name}"  # noqa: S608 - own names
        )] + raw.execute("SELECT count(*) FROM spans").fetchall()  # fmt: skip


def test_what_was_found_names_its_incident_and_what_belongs_to_it(store: Path) -> None:
    """The foremost finding is the incident; the tokens that made it dear belong to it; nothing is written."""
    before = filed(store)
    ended = why(store, "support-triage", "--json")
    assert ended.code == 0, ended.stderr
    found = readings(ended)
    cost, tokens, steps = (found[name, None] for name in ("cost", "tokens", "steps"))
    listed = json.loads(analyzer("incidents", "list", "--json", "--store", str(store)).stdout)["incidents"]
    [incident] = [one["id"] for one in listed if one["subject"]["agent"] == "support-triage"]
    assert (cost["gate"], cost["found"]["fate"], cost["found"]["incident"]) == ("found", "incident", incident)
    assert (tokens["found"]["fate"], tokens["found"]["incident"]) == ("part", incident)
    assert tokens["found"]["said"] == f"belongs to incident {incident} (cost of support-triage)"
    assert cost["value"] > 2 * cost["baseline"]
    assert cost["score"] > cost["threshold"]
    assert (steps["gate"], steps["found"]) == ("score", None)
    assert steps["detectable"].startswith("At ")
    assert filed(store) == before


def test_what_was_found_has_the_figures_of_its_incident(store: Path) -> None:
    """Whoever compares the two reads one figure: what is found is shown as its finding measured it, to the digit."""
    found = readings(why(store, "support-triage", "--json"))
    listed = json.loads(analyzer("incidents", "list", "--json", "--store", str(store)).stdout)["incidents"]
    [incident] = [one for one in listed if one["subject"]["agent"] == "support-triage"]
    told = {one["kind"]: (one["value"], one["baseline"], one["unit"]) for one in incident["findings"]}
    shown = {one["kind"]: (one["value"], one["baseline"], one["unit"]) for one in found.values() if one["found"]}
    assert told["cost"][:2] == (incident["observed"], incident["expected"])
    assert shown == told


def test_an_incident_of_another_moment_says_of_which_its_figure_is(store: Path) -> None:
    """Asked of a moment without a run, the answer has that moment's figures, and says what the last run had filed."""
    found = readings(why(store, "support-triage", "--json", at="2026-11-20T06:00:00Z"))["cost", None]
    assert found["value"] == found["found"]["finding"]["value"]
    said = found["found"]["said"]
    assert said.startswith("incident inc-")
    assert said.endswith(", at $0.254 when a run last saw it at 2026-11-20 12:00 UTC")


def test_every_detector_answers(store: Path) -> None:
    """Each detector has at least one reading, and each reading says why in words."""
    from analyzer.detectors import DETECTORS

    found = readings(why(store, "billing-agent", "--json"))
    assert {name for name, _ in found} == {detector.name for detector in DETECTORS}
    assert all(one["why"] for one in found.values())


@pytest.mark.parametrize("agent", ["billing-agent", "support-triage"])
def test_each_detector_has_one_reading_a_subject(store: Path, agent: str, tmp_path: Path) -> None:
    """What measures a trajectory in four ways, or holds it to two budgets, shows the one that is nearest."""
    settings = tmp_path / "analyzer.toml"
    settings.write_text("[budgets.'*']\nusd_per_day = 10_000\nsteps_per_trajectory = 2\n")
    told = why(store, agent, "--json", ANALYZER_CONFIG=str(settings))
    names = [(one["detector"], one["subject"]["tool"]) for one in json.loads(told.stdout)["readings"]]
    assert sorted(set(names), key=str) == sorted(names, key=str)
    assert ("runaway", None) in names
    budget = readings(told)["budget", None]
    assert (budget["gate"], budget["unit"]) == ("found", "steps a trajectory")


def test_a_kind_narrows_the_answer(store: Path) -> None:
    """`--kind cost` shows only what finds that; a kind that is none, or that nobody looks for, is exit 2."""
    assert set(readings(why(store, "support-triage", "--kind", "cost", "--json"))) == {("cost", None), ("price", None)}
    wrong = why(store, "support-triage", "--kind", "csot")
    assert (wrong.code, wrong.stdout) == (2, "")
    assert wrong.stderr == "analyzer: --kind: 'csot' is no kind; did you mean cost?\n"
    nobody = why(store, "support-triage", "--kind", "volume")
    assert nobody.code == 2
    assert nobody.stderr.startswith("analyzer: no detector looks for volume; there are ")


def test_an_agent_that_never_was(store: Path) -> None:
    """A misspelt name is exit 2 with the names like it, else with those that are there."""
    near = why(store, "Suport-Triage", "--json")
    assert (near.code, near.stdout) == (2, "")
    assert near.stderr == "analyzer: no agent called 'Suport-Triage'; did you mean support-triage?\n"
    far = why(store, "zzz")
    assert far.code == 2
    assert "there are billing-agent, " in far.stderr


def test_an_agent_of_the_past(store: Path) -> None:
    """An agent whose history is out of reach is known by name; it is said when it was last seen."""
    ended = why(store, "support-triage", "--json", at="2027-06-01T00:00:00Z")
    document = json.loads(ended.stdout)
    assert ended.code == 3, ended.stderr
    assert document["last_seen"].startswith("2026-11-20T11:")
    assert {one["gate"] for one in document["readings"]} == {"no-series"}


def test_an_agent_that_is_dismissed_or_switched_off(store: Path, tmp_path: Path) -> None:
    """What a human dismissed is told as found and dismissed; what the settings switch off is told as that."""
    copy = tmp_path / "copy.db"
    copy.write_bytes(store.read_bytes())
    with closing(sqlite3.connect(copy)) as raw:
        document = "json_set(document, '$.state', 'dismissed')"
        raw.execute(f"UPDATE incidents SET state = 'dismissed', document = {document}")  # noqa: S608 - own text
        raw.commit()
    settings = tmp_path / "analyzer.toml"
    settings.write_text('[detectors.tokens.agents."support-*"]\nenabled = false\n')
    found = readings(why(copy, "support-triage", "--json", ANALYZER_CONFIG=str(settings)))
    cost, tokens = found["cost", None], found["tokens", None]
    assert (cost["gate"], cost["found"]["fate"]) == ("found", "dismissed")
    assert cost["found"]["said"] == f"dismissed by a human as {cost['found']['incident']}"
    off = "switched off for this agent under [detectors] in analyzer.toml"
    assert (tokens["gate"], tokens["why"], tokens["found"]) == ("off", off, None)


def test_a_rise_that_loses_too_little_says_so(store: Path, tmp_path: Path) -> None:
    """It is no dropped finding: it is an incident of low severity, with what it loses and the least that counts."""
    copy = tmp_path / "copy.db"
    copy.write_bytes(store.read_bytes())
    with closing(sqlite3.connect(copy)) as raw:
        raw.execute("DELETE FROM incidents")
        raw.execute("DELETE FROM reports")
        raw.commit()
    settings = tmp_path / "analyzer.toml"
    settings.write_text('[floors."support-triage"]\nusd_per_day = 50\n')
    cost = readings(why(copy, "support-triage", "--json", ANALYZER_CONFIG=str(settings)))["cost", None]
    lost = "; low by itself, for it loses $19.87 a day and the least that counts is $50.00"
    assert cost["found"]["said"].endswith(f", not filed yet{lost}")
    ended = analyzer("run", "--store", str(copy), "--at", AT, "--json", env={"ANALYZER_CONFIG": str(settings)})
    [one] = [one for one in json.loads(ended.stdout)["incidents"] if one["subject"]["agent"] == "support-triage"]
    assert (one["kind"], one["severity"]) == ("cost", "low")


@pytest.mark.parametrize("columns", [50, 80])
def test_it_fits_the_terminal(store: Path, columns: int) -> None:
    """On a terminal no line is longer than it is wide, and every detector is named with its reason."""
    text = on_a_terminal(columns, "why-not", "support-triage", "--store", str(store), "--at", AT)
    lines = text.split("\r\n")
    assert max(map(len, lines)) <= columns
    assert lines[0] == "support-triage at 2026-11-20 12:00 UTC"
    rows = [line for line in lines if line.startswith("cost ")]
    assert len(rows) == 1
    assert " found " in rows[0]
    assert any(line.startswith("- cost: an episode is open since ") for line in lines)


def on_a_terminal(columns: int, *arguments: str) -> str:
    """Run the program with a terminal of so many columns and return what it shows."""
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    env = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    process = subprocess.Popen([sys.executable, "-m", "analyzer", *arguments], stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65_536):
            shown += piece
    except OSError:
        pass  # Linux says so when the other side is closed.
    finally:
        os.close(ours)
    assert process.wait(60) == 0
    return shown.decode()
