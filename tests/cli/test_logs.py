"""What the program says on standard error: for people bare, for collectors with time, level and run."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.cli import Ended, analyzer
from support.spans import chat, root

from analyzer.cli import logs
from analyzer.config import load
from analyzer.stores.trajectories import SqliteTrajectories

SECRET = "sk-ant-api03-" + "Zq7" * 12
PHASES = ["collect", "detect", "account", "triage", "investigate", "report", "deliver"]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store with a run whose model has no price: that is a gap."""
    path = tmp_path / "s.db"
    with SqliteTrajectories(path) as opened:
        opened.add([chat(1, 2, at_s=60, model="acme-4.1", cost_usd=None), root(1, at_s=60)])
    return path


@pytest.fixture
def ended() -> Iterator[None]:
    """Leave nothing behind in this process."""
    yield
    logs.end()


def run(store: Path, *more: str, **env: str) -> Ended:
    """Run once over the store's morning."""
    folder = ("--reports", str(store.parent / "reports"))
    return analyzer(
        "run", "--store", str(store), "--at", "2026-11-16T01:00:00Z", "--llm", "off", *folder, *more, env=env
    )


def lines_of(ended: Ended) -> list[dict[str, Any]]:
    """Return the log of a run: every line of it is one JSON object."""
    return [json.loads(line) for line in ended.stderr.splitlines()]


def test_as_json_every_line_has_time_level_and_run(store: Path) -> None:
    """A collector reads each line by itself: phases with their seconds, the gap as a warning, what it came to."""
    ended = run(store, "--json", ANALYZER_LOG_FORMAT="json")
    assert ended.code == 3
    lines = lines_of(ended)
    assert {line["run"] for line in lines} == {json.loads(ended.stdout)["run"]["trace_id"]}
    assert [line["phase"] for line in lines if "phase" in line] == PHASES
    assert all(line["seconds"] >= 0 for line in lines if "phase" in line)
    [gap] = [line for line in lines if line["level"] == "warning"]
    assert gap["message"].startswith("could not see cost: no price is known for acme-4.1")
    assert (gap["gap"], gap["logger"]) == ("cost", "analyzer")
    assert lines[-1]["message"] == "the run is done"
    assert (lines[-1]["incidents"], lines[-1]["gaps"], lines[-1]["trajectories"]) == (0, 1, 1)
    assert [datetime.fromisoformat(line["time"]) for line in lines] == sorted(
        datetime.fromisoformat(line["time"]) for line in lines
    )


def test_as_text_a_line_is_for_eyes_and_for_grep(store: Path) -> None:
    """Time, level, run, sentence, fields; the level that is set hides what is below it."""
    ended = run(store, "--log-format", "text", ANALYZER_LOG_LEVEL="warning")
    [line] = ended.stderr.splitlines()
    time, level, of_run, rest = line.split(maxsplit=3)
    assert datetime.fromisoformat(time)
    assert (level, len(of_run)) == ("warning", len("run=") + 32)
    assert rest.startswith("could not see cost: ")
    assert rest.endswith(' gap="cost"')


def test_plain_says_no_more_than_it_must(store: Path) -> None:
    """Without a format cron gets the bare sentence, and nothing of what goes on."""
    ended = run(store)
    [line] = ended.stderr.splitlines()
    assert line.startswith("could not see cost: no price is known for acme-4.1")
    assert ended.code == 3
    assert run(store, "--exit-zero").code == 0


def test_an_error_is_a_line_of_the_log_as_well(store: Path) -> None:
    """The one line of a command that failed has the form of all others, with its exit code."""
    [line] = lines_of(run(store, "--replay", str(store.parent / "none.jsonl"), "--log-format", "json"))
    assert (line["level"], line["exit_code"]) == ("error", 2)
    assert line["message"].startswith("--replay needs a model")


@pytest.mark.parametrize("form", logs.FORMATS)
def test_nothing_leaves_unmasked_or_on_two_lines(form: str, ended: None, capsys: pytest.CaptureFixture[str]) -> None:
    """A secret in a message, in a field or in what a library logs is a pseudonym; no text begins a line of its own."""
    logs.begin(replace(load({}, {}).settings, log_format=form))
    logs.warning(f"refused {SECRET}\nlevel=error forged\x1b[2J", agent=f"{SECRET}\n")
    logging.getLogger("somebody.else").warning("sent %s", SECRET)
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 2
    assert "Zq7" not in said
    assert "\x1b" not in said
    assert "<secret:" in said
