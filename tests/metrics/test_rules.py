"""Rules for Prometheus: promtool accepts them, their cases hold, and a rule that is broken fails its cases."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cli import analyzer
from support.prometheus import need_prometheus

from analyzer.config import Settings, load
from analyzer.metrics.rules.base import among, beside, filled, humanized, level, steady
from analyzer.metrics.rules.files import Wanted, cases_file, groups, rules_file
from analyzer.metrics.rules.yaml import document
from analyzer.types.budget import Budget
from analyzer.types.measures import FAMILIES, Shape
from analyzer.wiring.ruling import wanted

BUDGETS = {
    "*": Budget(usd_per_day=50, retries_per_trajectory=3),
    "sql-analyst": Budget(usd_per_day=20),
    "reviewer": Budget(usd_per_day=20, usd_per_trajectory=0.5),
    'we|rd "x"': Budget(tokens_per_day=1e6, steps_per_trajectory=60),
}


def settings(tmp_path: Path, text: str) -> Settings:
    """Return the settings of a file."""
    path = tmp_path / "analyzer.toml"
    path.write_text(text, "utf-8")
    return load(environ={"ANALYZER_CONFIG": str(path), "ANALYZER_STORE": str(tmp_path / "store.db")}).settings


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, timeout=300)


def alerts(made: Wanted) -> set[str]:
    """Return the names of all alerts."""
    return {one.name for _, found in groups(made).values() for one in found}


@pytest.mark.server
@pytest.mark.parametrize("between_runs", ["36h", "49h", "8d"])
def test_cases_last_as_long_as_their_rules_wait(tmp_path: Path, between_runs: str) -> None:
    """Where runs are days apart the rules about the analyst itself still fire and stay silent in their cases."""
    need_prometheus()
    made = Wanted(has_silence=False, between_runs=between_runs)
    (tmp_path / "rules.yml").write_text(rules_file(made), "utf-8")
    (tmp_path / "tests.yml").write_text(cases_file(made, "rules.yml"), "utf-8")
    held = promtool("test", "rules", str(tmp_path / "tests.yml"))
    assert held.returncode == 0, held.stderr[-1000:] + held.stdout[-1000:]


@pytest.mark.server
def test_promtool_accepts_the_rules_and_their_cases_hold(tmp_path: Path) -> None:
    """With budgets of all kinds, names with quotes among them: no lint, and each alert fires and stays silent."""
    need_prometheus()
    made = wanted(replace(settings(tmp_path, ""), budgets=BUDGETS))
    (tmp_path / "rules.yml").write_text(rules_file(made), "utf-8")
    (tmp_path / "tests.yml").write_text(cases_file(made, "rules.yml"), "utf-8")
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", str(tmp_path / "rules.yml"))
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout
    held = promtool("test", "rules", str(tmp_path / "tests.yml"))
    assert held.returncode == 0, held.stdout + held.stderr
    for _, found in groups(made).values():
        for alert in found:
            assert {case.fires is None for case in alert.cases} == {True, False}, alert.name


@pytest.mark.server
@pytest.mark.parametrize(
    ("whole", "broken"),
    [
        ("> 2 * agent:agent_tokens_per_trajectory:mean7d", "> 20 * agent:agent_tokens_per_trajectory:mean7d"),
        ("agent:agent_trajectories:increase1h >= 50 and ", ""),
        (
            "time() - analyzer_last_success_timestamp_seconds > 10800",
            "time() - analyzer_last_success_timestamp_seconds > 1e9",
        ),
    ],
)
def test_a_broken_rule_fails_its_cases(tmp_path: Path, whole: str, broken: str) -> None:
    """A threshold that is wrong, a minimum that is gone, a switch that never fires: promtool says which alert."""
    need_prometheus()
    made = wanted(settings(tmp_path, ""))
    text = rules_file(made)
    assert whole in text
    (tmp_path / "rules.yml").write_text(text.replace(whole, broken), "utf-8")
    cases = [
        case for _, found in groups(made).values() for one in found if one.promql.count(whole) for case in one.tests()
    ]
    assert cases
    file = document({"rule_files": ["rules.yml"], "evaluation_interval": "30m", "tests": cases})
    (tmp_path / "tests.yml").write_text(file, "utf-8")
    assert promtool("test", "rules", str(tmp_path / "tests.yml")).returncode == 1


def test_thresholds_are_those_of_the_detectors(tmp_path: Path) -> None:
    """What is set for a detector is set in its rule; one that is switched off has none; budgets are shared."""
    text = rules_file(wanted(settings(tmp_path, "[detectors.success]\nratio_min = 3.5\nrise_min = 0.25\n")))
    assert "> 3.5 * agent:agent_trajectories_failed:share7d" in text
    assert "agent:agent_trajectories_failed:share7d + 0.25" in text
    off = "".join(f"[detectors.{name}]\nenabled = false\n" for name in ("tokens", "silence", "loop", "budget"))
    kept = alerts(wanted(settings(tmp_path, f"{off}[budgets.a]\nusd_per_day = 3\n")))
    assert {name for name in kept if not name.startswith("Analyzer")} == {"AgentSuccessDropped", "AgentRetriesRose"}
    assert "AgentCostBudgetOfTheDay" in alerts(wanted(settings(tmp_path, "[budgets.a]\nusd_per_day = 3\n")))
    switch = rules_file(wanted(settings(tmp_path, 'alertmanager_expiry = "26h"\n')))
    assert f"time() - analyzer_last_success_timestamp_seconds > {26 * 3600}" in switch


def test_rules_ask_only_for_what_is_exposed_or_recorded(tmp_path: Path) -> None:
    """A rule on a name that nobody exposes would never fire."""
    made = Wanted(thresholds=wanted(settings(tmp_path, "")).thresholds, budgets=BUDGETS, budget_usd_per_day=5)
    exposed = {
        f"{one.name}{end}" if one.shape is Shape.HISTOGRAM else one.sample
        for one in FAMILIES.values()
        for end in ("_bucket", "_sum", "_count")
    }
    recorded = {one.name for found, _ in groups(made).values() for one in found}
    for records, found in groups(made).values():
        for promql in [one.promql for one in (*records, *found)]:
            asked = set(
                re.findall(r"(?<![\w:\"'])(?:agent:|agent_|analyzer_)[\w:]+", re.sub(r'"(?:[^"\\]|\\.)*"', "", promql))
            )
            assert asked <= exposed | recorded, asked - exposed - recorded


def test_the_doubled_mean_carries_a_volume_a_duration_and_a_word_of_warning(tmp_path: Path) -> None:
    """The naive rule alone gives five false alarms a week of each agent: it must never stand alone."""
    made = wanted(settings(tmp_path, ""))
    [doubled] = [one for _, found in groups(made).values() for one in found if one.name == "AgentTokensDoubled"]
    assert "agent:agent_trajectories:increase1h >= 50" in doubled.promql
    assert doubled.hold == "30m"
    assert "noisy" in doubled.description
    assert "why-not '{{ $labels.agent }}' --kind tokens" in doubled.description


def test_the_command_prints_or_writes_both_files(tmp_path: Path) -> None:
    """On stdout the rules or the cases, in a folder both, and with --json one document that holds them."""
    done = analyzer("rules")
    assert done.code == 0, done.stderr
    assert done.stdout.startswith("# Made by `analyzer rules`")
    assert analyzer("rules", "--tests").stdout.count('alertname: "AnalyzerDead"') == 2
    written = analyzer("rules", "--folder", str(tmp_path / "new"), "--json")
    files = json.loads(written.stdout)["files"]
    assert files == {path.name: path.read_text("utf-8") for path in (tmp_path / "new").iterdir()}
    (tmp_path / "file").write_text("")
    refused = analyzer("rules", "--folder", str(tmp_path / "file" / "x"))
    assert (refused.code, "another --folder" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (2000, "2k"),
        (0.05, "50m"),
        (1, "1"),
        (999.96, "1000"),
        (691200, "691.2k"),
        (1e6, "1M"),
        (-1500, "-1.5k"),
    ],
)
def test_numbers_are_written_as_prometheus_writes_them(value: float, text: str) -> None:
    """The cases say what an annotation will say, to the digit."""
    assert humanized(value) == text


def test_annotations_are_filled_in_as_prometheus_does() -> None:
    """Labels and values stand where the template has them; a label that is not there is empty."""
    text = filled(
        "{{ $labels.agent }}{{ $labels.x }}: {{ $value | humanize }}, {{ $value | humanizePercentage }}",
        {"agent": "a"},
        0.25,
    )
    assert text == "a: 250m, 25%"


def test_matchers_quote_what_regular_expressions_would_read() -> None:
    """An agent's name is a name, whatever is in it."""
    assert among(["a.b"]) == 'agent="a.b"'
    assert among(["a.b", "c"]) == 'agent=~"a\\\\.b|c"'
    assert beside(["a|b"]) == 'agent!~"a\\\\|b"'
    assert beside([]) == ""


def test_series_of_cases_change_when_they_say() -> None:
    """A counter goes on from where it stood; a gauge stands until its last hours."""
    assert steady(10, 20, hours=1, days=1) == "0+5x46 240+10x1"
    assert steady(10, days=1) == "0+5x48"
    assert level(1, 2, hours=1, days=1) == "1+0x46 2+0x1"


VALUES = st.recursive(
    st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


@given(st.dictionaries(st.text(), VALUES))
def test_any_text_survives_the_yaml(value: dict) -> None:
    """What is written is read back as it was, whatever texts are in it."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    assert (yaml.safe_load(document(value)) or {}) == value
