"""The program as a user runs it: help, exit codes, JSON on stdout and nothing else."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import click
import pytest
from support.cli import analyzer
from support.incidents import NOW, incident, report

from analyzer.cli.app import COMMANDS, is_unread, run
from analyzer.cli.run import exit_code
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.report import Gap, Severity, State

LEAVES = [
    ("demo",),
    ("ingest",),
    ("run",),
    ("ask",),
    ("incidents", "list"),
    ("incidents", "show"),
    ("traces", "list"),
    ("traces", "show"),
    ("doctor",),
]


def request(trace: int = 1, *, spans: int = 2, **attributes: Any) -> dict[str, Any]:
    """Return an OTLP/JSON request with one trajectory of an agent called shop."""
    made = []
    for number in range(1, spans + 1):
        is_root = number == 1
        values = {
            "gen_ai.operation.name": "invoke_agent" if is_root else "chat",
            "gen_ai.agent.name": "shop",
            **({} if is_root else {"gen_ai.request.model": "claude-sonnet-5-5", "gen_ai.provider.name": "anthropic"}),
            **attributes,
        }
        made.append(
            {
                "traceId": f"{trace:032x}",
                "spanId": f"{number:016x}",
                **({} if is_root else {"parentSpanId": f"{1:016x}"}),
                "name": "x",
                "startTimeUnixNano": str(1_790_000_000_000_000_000 + number * 1_000_000),
                "endTimeUnixNano": str(1_790_000_001_000_000_000 + number),
                "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in values.items()],
            }
        )
    return {"resourceSpans": [{"scopeSpans": [{"spans": made}]}]}


@pytest.mark.parametrize("command", [(), *[(name,) for name in COMMANDS], *[leaf for leaf in LEAVES if len(leaf) > 1]])
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    """`--help` of every command works and says more than its name."""
    ended = analyzer(*command, "--help")
    assert ended.code == 0
    assert ended.stdout.startswith("Usage: analyzer")
    assert len(ended.stdout.splitlines()) > 5


@pytest.mark.parametrize("command", LEAVES)
def test_every_command_has_json(command: tuple[str, ...]) -> None:
    """Every command takes `--json`."""
    assert "--json" in analyzer(*command, "--help").stdout


def test_help_imports_nothing_heavy() -> None:
    """`--help` must start in a quarter of a second: it loads click and no SDK, no numpy, no store."""
    code = "import sys; from analyzer.cli.app import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = {name.split(".")[0] for name in done.stderr.split()}
    assert not loaded & {"numpy", "scipy", "anthropic", "sqlite_utils", "requests", "orjson", "pydantic", "slack_sdk"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("frobnicate",), "No such command 'frobnicate'"),
        (("ingest",), "Missing argument 'PATH...'"),
        (("run", "--at", "soon"), "'soon' is no time"),
        (("run", "--at", "2999-01-01"), "'2999-01-01' is out of range: 1971 to 2261"),
        (("run", "--at", "0001-01-01T00:00:00+14:00"), "is out of range"),
        (("run", "--at", "99999999999"), "is out of range"),
        (("run", "--lookback", "a while"), "'a while' is no duration"),
        (("run", "--lookback", "99999999999w"), "'99999999999w' is longer than 365 days"),
        (("traces", "show", "zzz"), "'zzz' is no trace id"),
        (("traces", "show", "latest"), "holds no trajectories yet"),
        (("incidents", "show", "inc-1"), "no incident begins with inc-1"),
        (("ask", "abc", "why?"), "no trajectory begins with abc"),
        (("ask", "latest", " "), "QUESTION is empty: say what to ask"),
        (("traces", "show", "inc-12"), "'inc-12' is an incident: `analyzer incidents show inc-12` shows it"),
        (("traces", "diff", "inc-12", "latest"), "'inc-12' is an incident: `analyzer incidents show inc-12` shows it"),
        (("traces", "list", "--agent", "shop"), "no agent called 'shop': the store holds no trajectories yet"),
        (("run", "--model", ""), "--model is empty: give a value, or leave it out"),
        (("demo", "--folder", "/dev/null"), "--folder /dev/null cannot be used: it is no folder; name another one"),
        (("demo", "--folder", "/dev/null/x"), "--folder /dev/null/x cannot be used: Not a directory; name another one"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(tmp_path: Path, arguments: tuple[str, ...], line: str) -> None:
    """A wrong word on the command line is one line that names it, without a traceback."""
    SqliteTrajectories(tmp_path / "s.db").close()
    ended = analyzer(*arguments, env={"ANALYZER_STORE": str(tmp_path / "s.db")})
    assert ended.code == 2
    assert line in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stdout == ""


def test_a_wrong_setting_is_named_with_its_variable() -> None:
    """A setting that cannot be read ends with exit 2 and the name of the variable."""
    ended = analyzer("run", env={"ANALYZER_LOOKBACK": "tomorrow"})
    assert ended.code == 2
    assert "ANALYZER_LOOKBACK: 'tomorrow' is no duration" in ended.stderr


def test_a_broken_store_is_exit_4_with_the_next_step(tmp_path: Path) -> None:
    """A file that is no database is not overwritten, and the error says what to do."""
    path = tmp_path / "x.db"
    path.write_text("not a database, but " * 100)
    ended = analyzer("run", "--store", str(path))
    assert ended.code == 4
    assert "no sound SQLite file" in ended.stderr
    assert path.read_text().startswith("not a database")


@pytest.mark.parametrize("command", [("run",), ("traces", "list"), ("ingest", "-")])
@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("folder", "the store {path} is a folder; set ANALYZER_STORE to a file, {path}/analyzer.db say"),
        ("file/s.db", "cannot open the store {path}: its folder is a file; set ANALYZER_STORE to a writable file"),
    ],
)
def test_a_store_that_cannot_be_is_exit_4_with_the_next_step(
    tmp_path: Path, path: str, line: str, command: tuple[str, ...]
) -> None:
    """A store in a place where no file can be is named in one line, and nothing is left behind there."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    ended = analyzer(*command, "--store", str(tmp_path / path))
    assert (ended.code, ended.stdout) == (4, "")
    assert ended.stderr == f"analyzer: {line.format(path=tmp_path / path)}\n"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_may_not_be_written_is_exit_4_with_the_next_step(tmp_path: Path) -> None:
    """Reading needs to write as well, for SQLite's log: the line says so and what to do."""
    path = tmp_path / "s.db"
    assert analyzer("change", "add", "deploy 2.4.0", "--store", str(path)).code == 0
    path.chmod(0o444)
    ended = analyzer("traces", "list", "--store", str(path))
    assert ended.code == 4
    assert "make the file and its folder writable for this user" in ended.stderr


def test_an_agent_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    """A misspelt agent is a mistake and no empty list; an agent without what was asked for is an empty list."""
    path = tmp_path / "one.json"
    path.write_text(json.dumps(request(1)))
    store = ("--store", str(tmp_path / "s.db"))
    assert analyzer("ingest", str(path), *store).code == 0
    for command in (("traces", "list"), ("traces", "search", "x")):
        wrong = analyzer(*command, "--agent", "shpo", *store)
        assert (wrong.code, wrong.stdout) == (2, "")
        assert wrong.stderr == "analyzer: no agent called 'shpo'; there are shop\n"
    none = analyzer("traces", "list", "--agent", "shop", "--errors", *store)
    assert (none.code, none.stdout) == (0, "no trajectories of shop with errors\n")
    assert analyzer("traces", "list", "--errors", *store).stdout == "no trajectories with errors\n"
    own = analyzer("traces", "list", "--agent", "analyzer", "--json", *store)
    assert (own.code, json.loads(own.stdout)["traces"]) == (0, [])


def test_a_path_that_is_not_there_is_said_with_the_next_step(tmp_path: Path) -> None:
    """Nothing taken is said in one line each, and not that good spans beside it were kept."""
    missing = tmp_path / "missing.json"
    ended = analyzer("ingest", str(missing), "--store", str(tmp_path / "s.db"))
    assert (ended.code, ended.stdout) == (4, "took nothing; refused 1\n")
    assert ended.stderr == f"{missing}: cannot be read: No such file or directory; check the path\n"


def test_a_demo_does_not_mix_with_an_earlier_one(tmp_path: Path) -> None:
    """A folder that holds a demo is refused: its incidents were told already, and the new one would say nothing."""
    (tmp_path / "demo.db").write_bytes(b"")
    ended = analyzer("demo", "--folder", str(tmp_path))
    assert ended.code == 2
    store = tmp_path / "demo.db"
    line = (
        f"--folder {tmp_path} holds a demo already; name another one, or look at it: `analyzer incidents list --store"
    )
    assert ended.stderr == f"analyzer: {line} {store}`\n"


def test_a_settings_file_that_is_not_there_is_said_with_the_next_step() -> None:
    """The line names variable and file, and what to do."""
    ended = analyzer("doctor", env={"ANALYZER_CONFIG": "/nowhere.toml"})
    assert ended.code == 2
    why = "ANALYZER_CONFIG: cannot read /nowhere.toml: No such file or directory; correct it or unset it"
    assert ended.stderr == f"analyzer: {why}\n"


@pytest.mark.parametrize(
    ("level", "state", "gaps", "code"),
    [
        (Severity.HIGH, State.OPEN, 0, 1),
        (Severity.CRITICAL, State.ONGOING, 0, 1),
        (Severity.HIGH, State.REGRESSED, 1, 1),
        (Severity.MEDIUM, State.ONGOING, 0, 0),
        (Severity.MEDIUM, State.ONGOING, 1, 3),
        (Severity.CRITICAL, State.RESOLVED, 0, 0),
        (Severity.CRITICAL, State.DISMISSED, 0, 0),
    ],
)
def test_fail_on_is_about_what_goes_on(level: Severity, state: State, gaps: int, code: int) -> None:
    """Exit 1 while an incident this bad or worse goes on, told or not, also beside gaps; never for what is over."""
    made = report(incident(severity=level, state=state), gaps=(Gap("metrics", "gone", "start it"),) * gaps)
    assert exit_code(made, "high") == code
    assert exit_code(made, None) == (3 if gaps else 0)


@pytest.mark.parametrize(("hours", "code"), [(1, 0), (0, 1), (-1, 1)])
def test_fail_on_is_quiet_about_what_is_muted(hours: int, code: int) -> None:
    """Whoever muted an incident is not woken by an exit code either; at the end of the mute it counts again."""
    assert exit_code(report(incident(muted_until=NOW + timedelta(hours=hours))), "high") == code


def test_debug_shows_where(tmp_path: Path) -> None:
    """`--debug` prints the traceback before the line."""
    ended = analyzer("--debug", "traces", "show", "abc", "--store", str(tmp_path / "s.db"))
    assert "Traceback" in ended.stderr
    assert ended.code == 2


def test_an_empty_store_gives_empty_documents(tmp_path: Path) -> None:
    """With nothing stored, every command still gives its JSON and nothing else; a run says that it saw nothing."""
    store = ("--store", str(tmp_path / "s.db"))
    run = analyzer("run", "--json", *store, "--reports", str(tmp_path / "r"))
    assert run.code == 3, run.stderr
    document = json.loads(run.stdout)
    assert document["schema"] == "analyzer.report/1"
    assert (document["incidents"], document["run"]["trajectories_seen"]) == ([], 0)
    assert [gap["why"] for gap in document["gaps"]] == ["no trajectory has ever been stored"]
    assert json.loads(analyzer("incidents", "list", "--json", *store).stdout)["incidents"] == []
    assert json.loads(analyzer("traces", "list", "--json", *store).stdout)["traces"] == []
    assert json.loads(analyzer("doctor", "--json", *store).stdout)["schema"] == "analyzer.doctor/1"


LEARNING = "learning: less than three days of history, so rises are not judged yet: shop"


def test_a_person_is_told_which_agents_are_too_new_and_cron_is_not(tmp_path: Path) -> None:
    """On a terminal `run` names the agents that it cannot judge yet; into a mail it says nothing, run after run."""
    path = tmp_path / "one.json"
    path.write_text(json.dumps(request(1)))
    store = ("--store", str(tmp_path / "s.db"))
    assert analyzer("ingest", str(path), *store).code == 0
    command = ("run", "--at", "1790003600", "--reports", str(tmp_path / "r"), *store)
    mailed = analyzer(*command)
    assert (mailed.code, mailed.stdout, mailed.stderr) == (0, "", "")
    leader, follower = os.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "analyzer", *command],
            stdout=subprocess.PIPE,
            stderr=follower,
            timeout=60,
            check=True,
        )
        said = os.read(leader, 10_000).decode()
    finally:
        os.close(leader)
        os.close(follower)
    assert done.stdout == b""
    assert said.count(LEARNING) == 1
    assert said.rstrip().endswith(LEARNING)


def test_incidents_of_one_run_are_listed_worst_first(tmp_path: Path) -> None:
    """The newest run's incidents come first; of one run the worst, whatever their ids."""
    earlier = [incident(id=f"inc-{n}", severity=Severity.CRITICAL, opened_at=NOW - timedelta(hours=n)) for n in (1, 2)]
    graded = zip(
        "4567", (Severity.LOW, Severity.HIGH, Severity.HIGH, Severity.MEDIUM), (9.0, 1.0, 5.0, 9.0), strict=True
    )
    latest = [incident(id=f"inc-{name}", severity=level, excess_usd=usd) for name, level, usd in graded]
    with SqliteTrajectories(tmp_path / "s.db") as store:
        SqliteIncidents(store.connection).save_incidents([*earlier, *latest], run_trace_id="0" * 32)
    listed = json.loads(analyzer("incidents", "list", "--json", "--store", str(tmp_path / "s.db")).stdout)["incidents"]
    assert [one["id"] for one in listed] == ["inc-6", "inc-5", "inc-7", "inc-4", "inc-1", "inc-2"]


def test_ingest_keeps_the_good_and_names_the_broken(tmp_path: Path) -> None:
    """A broken line among good ones is refused with file and line, the good ones are kept, and the exit code is 3."""
    path = tmp_path / "mixed.jsonl"
    path.write_text(f"{json.dumps(request(1))}\n{{broken\n{json.dumps(request(2))}\n")
    store = ("--store", str(tmp_path / "s.db"))
    ended = analyzer("ingest", str(path), *store)
    assert ended.code == 3
    assert f"{path}: line 2" in ended.stderr
    assert "4 new" in ended.stdout
    again = json.loads(analyzer("ingest", str(path), "--json", *store).stdout)
    assert again["spans"] == {"taken": 4, "new": 0, "known": 4}
    assert again["refused"]["count"] == 1
    assert len(json.loads(analyzer("traces", "list", "--json", *store).stdout)["traces"]) == 2


def test_ingest_reads_standard_input_and_gzip(tmp_path: Path) -> None:
    """`-` is standard input, and gzip is recognised wherever it stands."""
    store = ("--store", str(tmp_path / "s.db"))
    body = gzip.compress(json.dumps(request(1)).encode())
    assert analyzer("ingest", "-", *store, stdin=body).code == 0
    assert json.loads(analyzer("traces", "show", "latest", "--json", *store).stdout)["agent"] == "shop"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("letter.txt", b"Dear Sir or Madam,\n"),
        ("empty.json", b""),
        ("other.json", b'{"hello": "world"}'),
        ("noise.pb", bytes(range(256)) * 4),
        ("half.json.gz", gzip.compress(json.dumps(request(1)).encode())[:-20]),
    ],
)
def test_a_file_that_is_no_trace_is_exit_4_and_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    """What holds no trace at all is said in one line with the file's name; nothing is taken."""
    path = tmp_path / name
    path.write_bytes(content)
    ended = analyzer("ingest", str(path), "--store", str(tmp_path / "s.db"))
    assert ended.code == 4, ended.stdout
    assert str(path) in ended.stderr


def test_ids_of_the_wrong_length_and_times_of_zero(tmp_path: Path) -> None:
    """A span with a wrong id is refused with its place, its neighbours are kept; times of zero become honest gaps."""
    made = request(1, spans=3)
    spans = made["resourceSpans"][0]["scopeSpans"][0]["spans"]
    spans[1]["spanId"] = "abc"
    spans[2]["startTimeUnixNano"] = "0"
    path = tmp_path / "ids.json"
    path.write_text(json.dumps(made))
    store = ("--store", str(tmp_path / "s.db"))
    ended = analyzer("ingest", str(path), "--json", *store)
    document = json.loads(ended.stdout)
    assert ended.code == 3
    assert document["spans"]["taken"] == 2
    assert "spans[1]" in document["refused"]["listed"][0]["position"]
    shown = json.loads(analyzer("traces", "show", "1".zfill(32), "--json", *store).stdout)["spans"]
    assert [span["start"] for span in shown if span["operation"] == "chat"] == [None]


def test_a_killed_ingest_is_finished_by_the_next(tmp_path: Path) -> None:
    """A kill -9 in the middle of an ingest loses and doubles nothing: the same command again completes it."""
    path = tmp_path / "many.jsonl"
    with path.open("w") as out:
        for number in range(1, 4001):
            out.write(json.dumps(request(number, spans=4)) + "\n")
    store = tmp_path / "s.db"
    command = [sys.executable, "-m", "analyzer", "ingest", str(path), "--store", str(store)]
    for _ in range(3):
        killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        wal = Path(f"{store}-wal")
        before = wal.stat().st_size if wal.exists() else 0
        while time.monotonic() < deadline and killed.poll() is None:
            if (wal.stat().st_size if wal.exists() else 0) > before + 200_000:
                break
            time.sleep(0.01)
        killed.kill()
        killed.wait(10)
    ended = analyzer("ingest", str(path), "--store", str(store), "--json")
    document = json.loads(ended.stdout)
    assert document["spans"]["taken"] == 16_000
    assert document["spans"]["known"] > 0
    check = json.loads(analyzer("doctor", "--json", "--store", str(store)).stdout)["checks"][0]["detail"]
    assert "4,000 trajectories, 16,000 spans" in check


def test_settings_are_shown_with_their_source_and_secrets_are_not(tmp_path: Path) -> None:
    """`doctor` says where every setting comes from and never prints a secret."""
    hook = "https://hooks.slack.example/services/T000/B000/secretpart"
    ended = analyzer("doctor", "--store", str(tmp_path / "s.db"), env={"ANALYZER_SLACK_WEBHOOK_URL": hook})
    assert "secretpart" not in ended.stdout + ended.stderr
    assert "ANALYZER_SLACK_WEBHOOK_URL" in ended.stdout
    assert "(set, not shown)" in ended.stdout


def test_doctor_shows_durations_as_they_are_written() -> None:
    """A length of time is shown in the form in which a setting takes it."""
    ended = analyzer("doctor", "--json", env={"ANALYZER_LOOKBACK": "36h"})
    shown = {one["name"]: one["value"] for one in json.loads(ended.stdout)["settings"]}
    assert (shown["lookback"], shown["history"]) == ("1d12h", "28d")


@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "--version",
        "doctor",
        "detectors",
        "detectors --help",
        "traces list",
        "audit show",
        "audit export --fleet",
    ],
)
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, command: str) -> None:
    """`analyzer ... | head -1` ends quietly with 0, wherever the command stands when its reader has had enough."""
    path, store = tmp_path / "one.json", ("--store", str(tmp_path / "s.db"))
    path.write_text(json.dumps(request(1)))
    assert analyzer("ingest", str(path), *store).code == 0
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "analyzer", *command.split()],
            stdout=writing,
            stderr=subprocess.PIPE,
            env={**os.environ, "ANALYZER_STORE": store[1]},
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_connection_that_breaks_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is no reader that went away; --debug is not advised, for where it was is gone by then."""

    @click.command()
    def breaks() -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setitem(cast(dict[str, str], COMMANDS), "breaks", "Break.")
    monkeypatch.setitem(sys.modules, "analyzer.cli.breaks", cast(ModuleType, SimpleNamespace(command=breaks)))
    assert run(["breaks"]) == 4
    assert capfd.readouterr().err == "analyzer: a connection was closed by its other side; try again\n"


def test_a_pipe_that_is_read_is_not_taken_for_one_that_broke() -> None:
    """A connection that breaks while somebody reads the output is an error, and no reader that went away."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        assert not is_unread(stream)
        os.close(reading)
        assert is_unread(stream)
    assert not is_unread(io.StringIO())
