"""What a run could not see is said once to cron, and each time by exit code, report and JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import Ended, analyzer
from support.spans import chat, root

from analyzer.cli.common import untold
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.report import Gap


def store_with(path: Path, *numbers: int, model: str = "acme-4.1") -> None:
    """Put runs with a model that has no price into a store, a minute apart from midnight."""
    with SqliteTrajectories(path) as opened:
        for number in numbers:
            opened.add([chat(number, 2, at_s=number * 60, model=model, cost_usd=None), root(number, at_s=number * 60)])


def run(store: Path, at: str, *more: str) -> Ended:
    """Run once at a time of the morning of the store's day."""
    folder = ("--reports", str(store.parent / "reports"))
    return analyzer("run", "--store", str(store), "--at", f"2026-11-16T{at}:00Z", "--llm", "off", *folder, *more)


def test_a_gap_is_told_to_cron_once(tmp_path: Path) -> None:
    """The second run has more calls without a price and prints nothing; exit code and JSON still have the gap."""
    store = tmp_path / "s.db"
    store_with(store, 1, 2, 3)
    first = run(store, "01:00")
    assert first.code == 3
    assert first.stderr.startswith("could not see cost: no price is known for acme-4.1 (3 calls")
    store_with(store, 4, 5)
    second = run(store, "01:15")
    assert (second.code, second.stdout, second.stderr) == (3, "", "")
    third = run(store, "01:30", "--json")
    assert (third.code, third.stderr) == (3, "")
    assert "acme-4.1 (5 calls" in json.loads(third.stdout)["gaps"][0]["why"]


def test_a_gap_that_says_something_else_is_told_again(tmp_path: Path) -> None:
    """Another model without a price is news, though its name differs by a figure only."""
    store = tmp_path / "s.db"
    store_with(store, 1, 2, 3)
    run(store, "01:00")
    store_with(store, 4, model="acme-4.2")
    told = run(store, "01:15").stderr
    assert "acme-4.1" in told
    assert "acme-4.2" in told


def test_repeated_history_says_all_that_it_could_not_see(tmp_path: Path) -> None:
    """A run in the past is for a person who asks for it: what a later run told is said there too."""
    store = tmp_path / "s.db"
    store_with(store, 1, 2, 3)
    run(store, "01:00")
    assert "could not see cost" in run(store, "00:30").stderr


@pytest.mark.parametrize(
    ("why", "news"),
    [
        ("12 of 1,340 calls failed since 2026-11-16 08:15", False),
        ("7 of 90 calls failed since 2026-11-17 09:00", False),
        ("7 of 90 calls of gpt-5 failed since 2026-11-17 09:00", True),
    ],
)
def test_figures_alone_are_no_news(why: str, news: bool) -> None:
    """Counts, dates and times may move; what stands around them may not."""
    last = json.dumps({"gaps": [{"what": "cost", "why": "12 of 1,339 calls failed since 2026-11-16 08:00"}]})
    gap = Gap("cost", why, "look")
    assert untold([gap], last) == ([gap] if news else [])


def test_a_setting_for_an_agent_that_was_never_seen_is_a_gap_once(tmp_path: Path) -> None:
    """A misspelt agent is told by the first run, then stands in the notes; `doctor` says it as long as it is there."""
    store = tmp_path / "s.db"
    with SqliteTrajectories(store) as opened:
        opened.add([chat(1, 2, at_s=60, cost_usd=0.01), root(1, at_s=60)])
    file = tmp_path / "analyzer.toml"
    file.write_text(
        "[budgets.shpo]\nusd_per_day = 5\n[floors.shop]\nusd_per_day = 2\n"
        '[detectors.cost.agents."shop-*"]\nenabled = false\n'
    )
    why = (
        "[budgets.shpo]: no agent of this name was ever seen; did you mean shop?; "
        '[detectors.cost.agents."shop-*"]: no agent whose name matches was ever seen'
    )
    env = {"ANALYZER_CONFIG": str(file)}
    command = ("run", "--json", "--store", str(store), "--llm", "off", "--reports", str(tmp_path / "r"), "--at")
    ends = [analyzer(*command, f"2026-11-16T0{hour}:00:00Z", env=env) for hour in (1, 2, 3)]
    assert [end.code for end in ends] == [3, 0, 0]
    gaps = [[one["why"] for one in json.loads(end.stdout)["gaps"]] for end in ends]
    notes = [json.loads(end.stdout)["notes"].get("agents that settings name") for end in ends]
    assert (gaps, notes) == ([[why], [], []], [None, why, why])
    check = next(
        one
        for one in json.loads(analyzer("doctor", "--json", "--store", str(store), env=env).stdout)["checks"]
        if one["name"] == "agents"
    )
    assert (check["state"], check["detail"]) == ("failed", why)
    with SqliteTrajectories(store) as opened:
        opened.add([chat(2, 2, at_s=90, cost_usd=0.01, agent="shop-a"), root(2, at_s=90, agent="shop-a")])
        opened.add([chat(3, 2, at_s=90, cost_usd=0.01, agent="shpo"), root(3, at_s=90, agent="shpo")])
    last = json.loads(analyzer(*command, "2026-11-16T04:00:00Z", env=env).stdout)
    assert (last["gaps"], "agents that settings name" in last["notes"]) == ([], False)


def test_charts_that_cannot_be_drawn_are_a_gap_of_the_run(tmp_path: Path) -> None:
    """Without the library the demo's report is whole and says what is missing; exit code 3."""
    code = (
        "import sys; sys.modules['vl_convert'] = None\n"
        "sys.argv = ['analyzer', 'demo', '--json', '--folder', sys.argv[1]]\n"
        "from analyzer.__main__ import main\n"
        "main()"
    )
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        check=False,
        env=path,
        timeout=110,
    )
    assert done.returncode == 3
    (gap,) = json.loads(done.stdout)["gaps"]
    assert (gap["what"], gap["why"]) == ("charts of the report files", "vl-convert-python cannot be loaded here")
    text = (tmp_path / "demo" / "reports" / "report.md").read_text("utf-8")
    assert "![Cost per trajectory, hour by hour: support-triage" in text
    assert "**charts of the report files**" in text
