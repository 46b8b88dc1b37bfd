"""`analyzer replay TRACE --serve` as a user runs it, with an agent of a few lines."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Ended, analyzer
from support.spans import chat, root, tool

from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import FinishReason, Status

ASKED = {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "lookup_order", "arguments": "{}"}}]}
USER = {"role": "user", "content": "where is A-1?"}
GAVE = {"role": "tool", "tool_call_id": "c1", "content": "error: gone"}
MODEL = "claude-sonnet-5-5"
AGENT = f"""
import json, os, sys, urllib.request
from analyzer.replay import RecordedFailureError, recorded_tools
def ask(*messages):
    body = json.dumps({{"model": "{MODEL}", "messages": messages}}).encode()
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    with urllib.request.urlopen(urllib.request.Request(url, body)) as answer:
        return json.load(answer)["choices"][0]["message"]
user = {json.dumps(USER)}
reply = ask(user)
print("the agent speaks")
if sys.argv[1] == "early":
    sys.exit(0)
try:
    recorded_tools()("lookup_order", {{}})
except RecordedFailureError as error:
    gave = str(error) if sys.argv[1] == "same" else "error: hidden"
print(ask(user, reply, {{"role": "tool", "tool_call_id": "c1", "content": gave}})["content"])
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store with one failed run: a call, a tool that fails, a last word."""
    path = tmp_path / "store.db"
    model = {"model": MODEL, "input": json.dumps([USER]), "output": json.dumps([ASKED])}
    spans = (
        root(1, status=Status.ERROR),
        chat(1, 2, **{**model, "finish": FinishReason.TOOL_CALL}),
        tool(1, 3, at_s=2, tool="lookup_order", input="{}", output="error: gone", status=Status.ERROR),
        chat(
            1,
            4,
            at_s=4,
            model=MODEL,
            input=json.dumps([USER, ASKED, GAVE]),
            output=json.dumps([{"role": "assistant", "content": "It is gone."}]),
            finish=FinishReason.STOP,
        ),
    )
    with SqliteTrajectories(path) as trajectories:
        trajectories.add(spans)
    return path


def replay(store: Path, *arguments: str, how: str | None = None) -> Ended:
    """Run `analyzer replay latest --serve`, with the agent where `how` it goes is said."""
    command = () if how is None else ("--", sys.executable, "-c", AGENT, how)
    return analyzer(
        "replay", "latest", "--serve", "--store", str(store), *arguments, *command, env={"PYTHONPATH": str(ROOT)}
    )


ROOT = Path(__file__).parents[2]


def test_a_failure_that_comes_again_is_reproduced(store: Path) -> None:
    """The outcome stands on standard output alone, and the exit code says that something is wrong."""
    ended = replay(store, how="same")
    assert ended.code == 1, ended.stderr
    assert ended.stdout == (
        "reproduced at step 3: it went the recorded way to its end\n2 requests; the recording has 2 calls of a model\n"
    )
    assert ended.stderr == "the agent speaks\nIt is gone.\n"


def test_an_agent_that_ends_well_where_it_failed_is_fixed(store: Path) -> None:
    """It asks no more after the step that failed, and its exit code is 0."""
    ended = replay(store, "--json", how="early")
    document = json.loads(ended.stdout)
    assert (ended.code, document["outcome"], document["step"]) == (0, "fixed", 3)
    assert document["requests"] == [{"step": 1, "how": "same", "answered": 1}]
    assert document["agent_exit_code"] == 0


def test_the_first_difference_is_shown(store: Path) -> None:
    """An agent that hides what its tool gave is stopped there; the diff says what it asked in its place."""
    ended = replay(store, how="other")
    assert ended.code == 1
    assert ended.stdout == (
        "diverged at step 3: it left the recording at step 3 (its request differs in the messages), and it was stopped "
        "there: --on-divergence nearest lets it go on\n"
        "2 requests; the recording has 2 calls of a model\n"
        "- recorded, + asked:\n"
        "  @@ -1,3 +1,3 @@\n"
        "   input: where is A-1?\n"
        "   assistant: [call lookup_order {}]\n"
        "  -input: error: gone\n"
        "  +input: error: hidden\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--budget-usd", "1"), "--budget-usd is for --on-divergence live"),
        (("--guilty-step", "9"), "--guilty-step 9: the recording has steps 1 to 3"),
        (("--check",), "say what to do with the recording: --check, --step N or --serve"),
        (("--", "no-such-program"), "cannot start no-such-program"),
    ],
)
def test_what_cannot_be_had_is_refused_in_one_line(store: Path, arguments: tuple[str, ...], said: str) -> None:
    """A budget for what is free, a step that is none, two modes at once, a command that does not start: exit 2."""
    ended = replay(store, *arguments)
    assert ended.code == 2
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_command_that_hangs_is_ended_with_all_that_it_started(store: Path, tmp_path: Path) -> None:
    """After --timeout neither the command nor what it started goes on, and the outcome is no pass."""
    alive = tmp_path / "alive"
    child = f"import time, pathlib; time.sleep(3); pathlib.Path({str(alive)!r}).write_text('still here')"
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    began = time.monotonic()
    ended = analyzer(
        "replay", "latest", "--serve", "--store", str(store), "--timeout", "0.5", "--", sys.executable, "-c", code
    )
    assert ended.code == 4
    assert "the agent was ended after 0.5 s; --timeout gives it longer" in ended.stderr
    assert time.monotonic() - began < 50
    time.sleep(3.5)
    assert not alive.exists()


def test_an_agent_that_asks_for_tools_alone_is_told_that_its_model_was_not_asked_here(store: Path) -> None:
    """Its tools came from the recording, so it knows the address: it is the model's base URL that is another one."""
    code = (
        "from analyzer.replay import RecordedFailureError, recorded_tools\n"
        "try:\n    recorded_tools()('lookup_order', {})\nexcept RecordedFailureError:\n    pass"
    )
    ended = analyzer(
        "replay", "latest", "--serve", "--store", str(store), "--", sys.executable, "-c", code,
        env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    said = "it asked for recorded tools (lookup_order), but no model: its model's base URL is not this replay's"
    assert (ended.code, ended.stdout.splitlines()[0]) == (4, f"cannot reproduce: {said}")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import a_module_that_is_not_there", "no request came before the agent ended with exit code 1"),
        ("pass", "no request came: the agent asks at another base URL than this replay's"),
    ],
)
def test_an_agent_that_asks_nothing_is_told_why(store: Path, code: str, said: str) -> None:
    """One that failed on its way did not ask elsewhere: its exit code is said, and what it printed stands above."""
    ended = analyzer("replay", "latest", "--serve", "--store", str(store), "--", sys.executable, "-c", code)
    assert (ended.code, ended.stdout.splitlines()[0]) == (4, f"cannot reproduce: {said}")


@pytest.mark.parametrize("handler", ["SIG_DFL", "SIG_IGN"])
def test_what_a_command_leaves_behind_is_ended_with_it(store: Path, tmp_path: Path, handler: str) -> None:
    """A command that ends by itself keeps its exit code; a child that it leaves is ended, even one that will not."""
    alive = tmp_path / "alive"
    child = (
        f"import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.{{handler}})\n"
        f"print('there', flush=True); time.sleep(4); pathlib.Path({str(alive)!r}).write_text('still here')"
    ).replace("{handler}", handler)
    code = (
        f"import subprocess, sys; left = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE)\n"
        f"left.stdout.readline(); sys.exit(7)"
    )
    ended = analyzer("replay", "latest", "--serve", "--json", "--store", str(store), "--", sys.executable, "-c", code)
    assert json.loads(ended.stdout)["agent_exit_code"] == 7
    time.sleep(4.5)
    assert not alive.exists()


@pytest.mark.parametrize("what", [("latest", "--check"), ("latest", "--step", "1"), ("inc-0123456789",)], ids=" ".join)
def test_a_budget_is_not_passed_over_in_silence(store: Path, what: tuple[str, ...]) -> None:
    """Whoever limits what a replay costs must not be charged beyond that: only the live one takes the flag."""
    ended = analyzer("replay", *what, "--budget-usd", "0.01", "--yes", "--store", str(store))
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("analyzer: --budget-usd is for --on-divergence live")


@pytest.fixture
def heeded() -> Iterator[None]:
    """Heed ctrl-c, as what is started does then: a shell that puts the tests in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "SIGTERM"])
def test_who_stops_the_replay_stops_the_agent(store: Path, tmp_path: Path, number: signal.Signals) -> None:
    """The agent runs in a session of its own, where no ctrl-c reaches it: it is ended all the same."""
    begun, alive = tmp_path / "begun", tmp_path / "alive"
    code = (
        "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(4); pathlib.Path(sys.argv[2]).touch()"
    )
    command = [sys.executable, "-m", "analyzer", "replay", "latest", "--serve", "--store", str(store)]
    with subprocess.Popen(
        [*command, "--", sys.executable, "-c", code, begun, alive], stderr=subprocess.PIPE, text=True
    ) as process:
        while not begun.exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        said = process.communicate(timeout=50)[1]
    assert said.lstrip().startswith("analyzer: stopped")
    time.sleep(4.5)
    assert not alive.exists()
