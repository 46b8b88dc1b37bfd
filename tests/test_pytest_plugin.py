from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.golden import GOAL, seen, shop_spans
from support.stored import call

from analyzer.replay.golden.accepting import accepted
from analyzer.replay.golden.case import case_document
from analyzer.replay.golden.expectations import Check, Expectation
from analyzer.replay.recording import recording_of
from analyzer.types.trace import Outcome
from analyzer.types.trajectory import Trajectory, ordered, summarise

ROOT = Path(__file__).parents[1]
LOOKUP = ("lookup_order", {"order": "A-1"})
MARKED = """
import json, pytest
RUNS = {runs}
@pytest.mark.golden("cases")
def test_agent(golden):
    {body}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one golden case: the shop must not loop."""
    bad = seen(shop_spans(1, [LOOKUP] * 6, outcome=Outcome.FAILURE))
    # A run that comes as messages alone says nothing of its prompt and tools.
    bad = replace(bad, prompt=None, tools=None)
    case = accepted(
        bad,
        seen(shop_spans(2, [LOOKUP])),
        [Expectation(Check.NO_LOOP)],
        at=datetime(2026, 11, 23, tzinfo=UTC),
        mask=lambda text: text,
    )
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "loop.json").write_text(json.dumps(case_document(case)), "utf-8")
    return tmp_path


def conversation(calls: int) -> list[dict]:
    """Return what an agent over OpenAI's SDK keeps of a run: one order looked up so many times."""
    messages = [{"role": "user", "content": GOAL}]
    for number in range(calls):
        asked = {**call(number, "lookup_order", order="A-1"), "id": f"c{number}"}
        messages.append({"role": "assistant", "content": None, "tool_calls": [asked]})
        messages.append({"role": "tool", "tool_call_id": f"c{number}", "content": "shipped"})
    return [*messages, {"role": "assistant", "content": "It is on its way."}]


def ran(project: Path, body: str, runs: object = None) -> tuple[int, str]:
    """Run pytest in the project as its owner does, with no other plugin; return its exit code and its output."""
    (project / "test_agent.py").write_text(MARKED.format(runs=repr(runs), body=body), "utf-8")
    return pytest_in(project)


def pytest_in(project: Path) -> tuple[int, str]:
    """Run the project's tests with no other plugin than ours."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--rootdir", str(project), "-p", "analyzer.pytest_plugin", "."],
        cwd=project,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_fixed_agent_passes_and_a_broken_one_fails_with_the_step_as_a_diff(project: Path) -> None:
    """The test runs once a case, by its name; red names what did not hold, and where the healthy run differs."""
    code, said = ran(project, "golden.judge(RUNS)", conversation(1))
    assert (code, "1 passed" in said) == (0, True), said
    code, said = ran(project, "golden.judge(RUNS)", conversation(6))
    assert code == 1
    assert "test_agent[shop-000000000000]" in said
    assert "must not loop: steps 2 to 12: the same call to lookup_order with the same result 6 times" in said
    assert "--- healthy run 000000000000, ends here" in said
    assert '+  "order": "A-1"' in said


def test_a_test_that_judges_nothing_fails(project: Path) -> None:
    """It would be green whatever the agent does."""
    code, said = ran(project, "assert golden.goal")
    assert (code, "was not judged: call golden.judge(run)" in said) == (1, True), said


def test_a_run_that_does_not_tell_fails(project: Path) -> None:
    """Never a pass by default: without one run, or two at once, nothing was judged."""
    code, said = ran(project, "golden.judge('nothing.json')")
    assert (code, "nothing.json holds no run" in said) == (1, True), said


def test_a_folder_without_cases_is_a_usage_error(project: Path) -> None:
    """A suite that lost its cases must not be green."""
    (project / "cases" / "loop.json").unlink()
    code, said = ran(project, "golden.judge(RUNS)")
    assert code != 0
    assert "holds no golden case" in said


def test_a_run_is_masked_by_the_settings_of_the_project(project: Path) -> None:
    """A case knows what `[masking.patterns]` hides by its pseudonym alone: the value is red, and never shown."""
    bad = seen(shop_spans(1, [("refund", {"to": "<account:0123456789ab>"})], outcome=Outcome.FAILURE))
    case = accepted(
        replace(bad, prompt=None, tools=None, offered=()),
        seen(shop_spans(2, [LOOKUP])),
        [Expectation(Check.MUST_NOT_CALL, tool="refund", arguments={"to": "<account:0123456789ab>"})],
        at=datetime(2026, 11, 23, tzinfo=UTC),
        mask=lambda text: text,
    )
    (project / "cases" / "loop.json").write_text(json.dumps(case_document(case)), "utf-8")
    (project / "analyzer.toml").write_text('[masking.patterns]\naccount = "ACCT-[0-9]{6}"\n', "utf-8")
    asked = {**call(1, "refund", to="ACCT-123456"), "id": "c1"}
    run = [
        {"role": "user", "content": GOAL},
        {"role": "assistant", "content": None, "tool_calls": [asked]},
        {"role": "tool", "tool_call_id": "c1", "content": "done"},
        {"role": "assistant", "content": "Done."},
    ]
    code, said = ran(project, "golden.judge(RUNS)", run)
    shown = said.partition("golden case")[2]
    assert (code, "must not call refund" in shown, "ACCT-123456" in shown) == (1, True, False), said


def test_a_mark_of_the_same_name_without_a_folder_is_not_ours(project: Path) -> None:
    """Other projects have marks named golden: they are left alone."""
    (project / "test_other.py").write_text(
        "import pytest\n@pytest.mark.golden\ndef test_other():\n    assert True\n", "utf-8"
    )
    code, said = ran(project, "golden.judge(RUNS)", conversation(1))
    assert (code, "2 passed" in said) == (0, True), said


def test_nothing_heavy_is_imported_until_a_test_asks() -> None:
    """The plugin is loaded wherever the package is installed."""
    code = "import sys, analyzer.pytest_plugin; print(sorted(m for m in sys.modules if m.startswith('analyzer.')))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "['analyzer.pytest_plugin']\n"


AGENT = """
import json, os, pytest, urllib.request
from analyzer.replay import recorded_tools
def agent(goal, guarded):
    body = {{"model": "claude-sonnet-5-5", "messages": [
        {{"role": "system", "content": {system!r}}}, {{"role": "user", "content": goal}}]}}
    while True:
        url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode())) as answer:
            calls = json.load(answer)["choices"][0]["message"].get("tool_calls") or []
        for call in calls:
            if guarded and call["function"]["name"] == "refund":
                return "a person must say so"
            recorded_tools()(call["function"]["name"], json.loads(call["function"]["arguments"]))
        if not calls:
            return "done"
@pytest.mark.golden("cases")
def test_agent(golden, golden_provider):
    assert golden_provider.openai_base_url == os.environ["OPENAI_BASE_URL"]
    agent(golden.goal, guarded={guarded})
"""


@pytest.mark.parametrize(
    ("guarded", "system", "said"),
    [
        (True, "Be kind.", ["1 passed"]),
        (False, "Be kind.", ["is red", "reproduced: ", "must not call refund: called in step 4", "-lookup_order"]),
        (True, "Be rude.", ["the system prompt changed", "-system: Be kind.", "+system: Be rude.", "1 failed"]),
    ],
    ids=["mended", "with the bug", "another prompt"],
)
def test_an_agent_runs_against_the_stand_in_within_its_test(
    tmp_path: Path, guarded: bool, system: str, said: list[str]
) -> None:
    """Green once mended; red with the step at fault; what differs from the recording is a diff; nothing is called."""
    spans = ordered(shop_spans(1, [LOOKUP, ("refund", {"order": "A-1"})], outcome=Outcome.FAILURE))
    case = accepted(
        seen(list(spans)),
        seen(shop_spans(2, [LOOKUP, LOOKUP])),
        [Expectation(Check.MUST_NOT_CALL, tool="refund")],
        at=datetime(2026, 11, 23, tzinfo=UTC),
        mask=lambda text: text,
        replay=recording_of(Trajectory(summarise(spans[0].trace_id, spans), spans)),
    )
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "refund.json").write_text(json.dumps(case_document(case)), "utf-8")
    (tmp_path / "test_agent.py").write_text(AGENT.format(guarded=guarded, system=system), "utf-8")
    code, shown = pytest_in(tmp_path)
    assert code == (0 if said == ["1 passed"] else 1), shown
    assert [one for one in said if one not in shown] == [], shown


def test_a_case_without_requests_fails_the_test_that_wants_a_stand_in(project: Path) -> None:
    """It is no pass, and says how the case is made anew."""
    (project / "test_agent.py").write_text(AGENT.format(guarded=True, system=""), "utf-8")
    code, shown = pytest_in(project)
    assert code == 1
    assert "`golden add --replace` makes it anew" in shown
