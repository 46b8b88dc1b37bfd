"""`analyzer golden run DIR --replay -- COMMAND`: the example agent with its planted bug, mended, and changed."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from support.agents import ANTHROPIC, ROOT, recorded
from support.cli import Ended, analyzer
from support.spans import trace_id

from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import Operation, Outcome, Status


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one case: the agent's failing run, which went round until it broke."""
    folder = tmp_path_factory.mktemp("golden")
    store = folder / "a.db"
    recorded(ANTHROPIC, store, folder)
    with SqliteTrajectories(store) as trajectories:
        bad = trajectories.resolve("latest")
        spans = trajectories.trajectory(bad).spans
        root = next(span for span in spans if span.operation is Operation.AGENT)
        steps = [span for span in spans if span.operation is Operation.CHAT][:1]
        steps += [span for span in spans if span.tool == "find_order" and span.status is Status.OK]
        healthy = [replace(root, status=Status.OK, status_message="", error=None, outcome=Outcome.SUCCESS), *steps]
        trajectories.add([replace(span, trace_id=trace_id(2)) for span in healthy])
    to = ["--to", str(folder / "cases"), "--control", trace_id(2), "--no-proposals", "--no-loop"]
    added = analyzer("golden", "add", bad, *to, "--store", str(store))
    assert added.code == 0, added.stderr
    return folder / "cases"


def run(cases: Path, *options: str, agent: tuple[str, ...] = (), notes: Path) -> Ended:
    """Run the cases against the agent."""
    command = [*ANTHROPIC.command, "--notes", str(notes), *agent]
    arguments = ["golden", "run", str(cases), "--replay", *options, "--", *command]
    return analyzer(*arguments, env={"PYTHONPATH": str(ROOT)})


def test_red_with_the_bug_and_green_when_it_is_mended(cases: Path, tmp_path: Path) -> None:
    """No store and no provider is needed, no tool runs, and the reports say the same as the exit code."""
    notes, junit, markdown = tmp_path / "canary.txt", tmp_path / "out.xml", tmp_path / "out.md"
    red = run(cases, "--junit", str(junit), "--markdown", str(markdown), agent=("--bug",), notes=notes)
    assert (red.code, red.stdout.split()[0]) == (1, "red"), red.stderr
    assert "reproduced: it went the recorded way to its end" in red.stdout
    assert "must not loop: " in red.stdout
    suite = ET.parse(junit).find("testsuite")  # noqa: S314 - our own file
    assert suite is not None
    assert (suite.get("failures"), suite.get("skipped")) == ("1", "0")
    assert markdown.read_text().startswith("# Golden cases: red")
    green = run(cases, "--json", notes=notes)
    document = json.loads(green.stdout)
    assert (green.code, document["verdict"]) == (0, "green"), green.stdout
    assert document["trials"][0]["replay"]["outcome"] == "fixed"
    assert document["trials"][0]["expectations"][0]["met"] is True
    assert not notes.exists()


def test_a_changed_schema_cannot_be_judged(cases: Path, tmp_path: Path) -> None:
    """With the bug or without, recorded results do not answer what another schema asks; the difference is shown."""
    for agent in (("--with-region",), ("--with-region", "--bug")):
        ended = run(cases, agent=agent, notes=tmp_path / "canary.txt")
        assert (ended.code, ended.stdout.split()[:2]) == (3, ["cannot", "judge"]), ended.stdout
        assert "the definition of find_order changed" in ended.stdout
        assert '    +tool find_order: {"properties": {"order"' in ended.stdout.replace("\x1b", "")


def test_an_agent_that_never_asks_and_a_case_without_requests_are_no_pass(cases: Path, tmp_path: Path) -> None:
    """Whoever does nothing breaks nothing, and shows nothing; a case without requests says what mends it."""
    idle = analyzer("golden", "run", str(cases), "--replay", "--", sys.executable, "-c", "pass")
    assert (idle.code, idle.stdout.split()[:2]) == (3, ["cannot", "judge"])
    assert "no request came" in idle.stdout
    (old,) = (json.loads(path.read_text()) for path in cases.iterdir())
    del old["replay"]
    (tmp_path / "old.json").write_text(json.dumps(old))
    ended = run(tmp_path, agent=("--bug",), notes=tmp_path / "canary.txt")
    assert (ended.code, ended.stdout.split()[:2]) == (3, ["cannot", "judge"])
    assert "`golden add --replace` makes it anew" in ended.stdout


def test_the_goal_is_told_by_placeholder_and_by_environment(cases: Path, tmp_path: Path) -> None:
    """`{goal}` in an argument and ANALYZER_GOLDEN_GOAL both are what the failed run was asked for."""
    out = tmp_path / "goal.txt"
    code = "import os, sys; open(sys.argv[1], 'w').write(sys.argv[2] + '|' + os.environ['ANALYZER_GOLDEN_GOAL'])"
    told = analyzer("golden", "run", str(cases), "--replay", "--", sys.executable, "-c", code, str(out), "goal: {goal}")
    goal = "Where are the orders A-17 and B-2? Leave a note on what is found."
    assert told.code == 3
    assert out.read_text() == f"goal: {goal}|{goal}"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--replay"], "give its command after --"),
        (["--on-divergence", "stop"], "--on-divergence is for --replay"),
        (["--replay", "--", "no-such-program"], "cannot start no-such-program"),
    ],
)
def test_what_makes_no_sense_is_refused(cases: Path, options: list[str], said: str) -> None:
    """A replay without a command, a policy without a replay, a command that does not start: exit 2."""
    ended = analyzer("golden", "run", str(cases), *options)
    assert ended.code == 2
    assert said in ended.stderr
