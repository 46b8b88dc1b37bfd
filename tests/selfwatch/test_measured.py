"""Metrics of cron runs: kept in the store, and written for node_exporter."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.cli import analyzer
from support.prometheus import need_prometheus
from support.spans import EPOCH, chat, root

from analyzer.config import Settings
from analyzer.errors import DeliveryError, StoreError
from analyzer.pipeline import run
from analyzer.selfwatch import exposition
from analyzer.stores.counting import CALM_S
from analyzer.stores.measures import SqliteMeasures
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.measures import OWN
from analyzer.wiring.building import build


def samples(path: Path) -> Mapping[str, float]:
    """Return the samples of a file in Prometheus' text format."""
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_a_run_leaves_a_file_that_node_exporter_reads(tmp_path: Path) -> None:
    """Own and fleet metrics stand in the file, whole and readable by others; the next run adds to its counters."""
    need_prometheus()
    store, textfile = tmp_path / "store.db", tmp_path / "textfile" / "analyzer.prom"
    ago_s = time.time() - EPOCH.timestamp() - CALM_S - 30
    with SqliteTrajectories(store, clock=lambda: EPOCH.timestamp() + ago_s) as trajectories:
        trajectories.add([root(1, at_s=ago_s), chat(1, 2, at_s=ago_s)])
    env = {"ANALYZER_METRICS_TEXTFILE": str(textfile), "ANALYZER_LLM": "off"}
    first = analyzer("run", "--store", str(store), env=env)
    assert first.code == 0, first.stderr
    assert samples(textfile)['analyzer_runs_total{outcome="done"}'] == 1
    assert analyzer("run", "--store", str(store), env=env).code == 0
    seen = samples(textfile)
    assert seen['analyzer_runs_total{outcome="done"}'] == 2
    assert seen['analyzer_runs_total{outcome="failed"}'] == 0
    assert seen['agent_trajectories_total{agent="shop",outcome="success"}'] == 1
    assert {key for key in seen if key.startswith("analyzer_phase_seconds_total")} == {
        f'analyzer_phase_seconds_total{{phase="{phase}"}}'
        for phase in ("collect", "detect", "account", "triage", "investigate", "report", "deliver")
    }
    assert [path.name for path in textfile.parent.iterdir()] == ["analyzer.prom"]
    assert textfile.stat().st_mode & 0o444 == 0o444
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=textfile.read_bytes(), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_run_of_the_past_is_in_no_metric(tmp_path: Path) -> None:
    """Repeating history must not look like a run of today: a dead man's switch would be reset by it."""
    store, textfile = tmp_path / "store.db", tmp_path / "analyzer.prom"
    env = {"ANALYZER_METRICS_TEXTFILE": str(textfile), "ANALYZER_LLM": "off"}
    assert analyzer("run", "--store", str(store), "--at", "2026-11-20T12:00:00Z", env=env).code == 3
    before = textfile.read_bytes()
    assert analyzer("run", "--store", str(store), "--at", "2026-11-19T12:00:00Z", env=env).code == 3
    assert textfile.read_bytes() == before


def test_a_run_that_breaks_off_is_counted_and_resets_no_switch(tmp_path: Path) -> None:
    """A failure adds to the failed runs; the time of the last success stays what it was."""

    def broken(*_given, **_named):
        raise StoreError("the disk is gone")

    with build(Settings(store=tmp_path / "store.db", llm="off"), out=None) as app:
        run(app, datetime.now(UTC), live=True)
        memory = SqliteMeasures(app.trajectories.connection)
        before = {(one.name, *one.labels): one.value for one, _ in memory.all()}
        with pytest.raises(StoreError):
            run(replace(app, deliver=broken), datetime.now(UTC), live=True)
        after = {(one.name, *one.labels): one.value for one, _ in memory.all()}
    assert after["analyzer_runs", "failed"] == 1
    switch = ("analyzer_last_success_timestamp_seconds",)
    assert after[switch] == before[switch]


def test_a_file_that_cannot_be_written_is_a_gap(tmp_path: Path) -> None:
    """The run ends 3 and names the setting; nothing half-written is left."""
    (tmp_path / "file").write_text("in the way")
    env = {"ANALYZER_METRICS_TEXTFILE": str(tmp_path / "file" / "analyzer.prom"), "ANALYZER_LLM": "off"}
    done = analyzer("run", "--store", str(tmp_path / "store.db"), env=env)
    assert done.code == 3
    assert re.search(r"ANALYZER_METRICS_TEXTFILE", done.stderr)
    with pytest.raises(DeliveryError):
        exposition.write_textfile(tmp_path / "file" / "analyzer.prom", (), OWN)
