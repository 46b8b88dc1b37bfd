"""Budgets, the log and recordings from end to end, as a user meets them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.cli import Ended, analyzer
from support.drawn import looping
from support.messages_api import Wire, calls, messages_api

from analyzer.simulation.export import write_json_lines
from analyzer.stores.audit import SqliteAudit
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.audit import Act, Action, canonical, digest

"""The first test waits for a store to be filled and a run over it."""
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
QUESTION = "why the same call again and again?"


def looks(request: dict[str, Any]) -> Wire:
    """Look at the outline of a trajectory of the case."""
    found = re.search(r"trajectory[= \\\"]+([0-9a-f]{32})", json.dumps(request["messages"]), re.IGNORECASE)
    assert found is not None
    return calls(("outline", {"trace_id": found[1], "page": 1}))


def concludes(_request: dict[str, Any]) -> Wire:
    """Hand in a diagnosis that rests on a computed fact."""
    from analyzer.agent.tools import SUBMIT_DIAGNOSIS_SPEC

    claim = {"text": "The same call is repeated.", "decisive": True, "evidence": [{"kind": "fact", "id": "E1"}]}
    given: dict[str, Any] = {
        "summary": "The agent repeats one call.",
        "cause": "The agent repeats one call again and again.",
        "claims": [claim],
        "actions": ["Stop after two identical results."],
        "category": "loop",
        "responsible": None,
    }
    return calls(
        ("submit_diagnosis", {name: given.get(name, "") for name in SUBMIT_DIAGNOSIS_SPEC.schema["properties"]})
    )


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a store in which a run was recorded, with its report files and its JSON."""
    folder = tmp_path_factory.mktemp("ledger")
    fleet = looping(NOW, days=4, runs_per_hour=4)
    write_json_lines(fleet.requests(), folder / "history.jsonl.gz")
    store = ("--store", str(folder / "store.db"))
    assert analyzer("ingest", str(folder / "history.jsonl.gz"), *store).code == 0
    with messages_api([looks, concludes]) as api:
        ended = pass_over(folder, "--record", str(folder / "run.jsonl"), **key(api.url))
    assert ended.code == 0, ended.stderr
    (folder / "run.json").write_text(ended.stdout, "utf-8")
    return folder


def key(url: str, **more: str) -> dict[str, str]:
    """Return the environment in which the model is a loopback server."""
    return {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "test-key", **more}


def pass_over(folder: Path, *extra: str, **env: str) -> Ended:
    """Run one pass as JSON."""
    named = ("--store", str(folder / "store.db"), "--reports", str(folder / "reports"))
    return analyzer("run", "--at", NOW.isoformat(), *named, "--json", *extra, env=env)


def ask(folder: Path, *extra: str, **env: str) -> Ended:
    """Ask about the loop."""
    return analyzer(
        "ask", the_loop(folder)["id"], QUESTION, "--store", str(folder / "store.db"), "--json", *extra, env=env
    )


def the_loop(folder: Path) -> dict[str, Any]:
    """Return the incident that the run filed."""
    [found] = [
        one for one in json.loads((folder / "run.json").read_text("utf-8"))["incidents"] if one["kind"] == "loop"
    ]
    return found


def rows(folder: Path, *tables: str) -> list[tuple[Any, ...]]:
    """Return everything that stands in tables of the store."""
    with closing(sqlite3.connect(folder / "store.db")) as raw:
        return [(table, *row) for table in tables for row in raw.execute(f"SELECT * FROM {table}")]  # noqa: S608 - own names


def test_a_run_played_back_files_the_same_incidents_byte_for_byte(walked: Path) -> None:
    """Without a server, a key or a bill the report has the same incidents, and nothing of it is kept anywhere."""
    tables = ("incidents", "reports", "deliveries", "audit", "spending", "trajectories")
    before = rows(walked, *tables)
    replayed = pass_over(walked, "--replay", str(walked / "run.jsonl"))
    assert replayed.code == 0, replayed.stderr
    first, again = (json.loads(text) for text in ((walked / "run.json").read_text("utf-8"), replayed.stdout))
    assert json.dumps(again["incidents"]) == json.dumps(first["incidents"])
    assert the_loop(walked)["diagnosis"]["by"] == "claude-sonnet-5-5"
    assert again["run"]["llm"] == {**first["run"]["llm"], "left": None}
    assert "nothing of this run was saved or sent" in again["notes"]["history repeated"]
    assert "replay:" not in replayed.stderr
    assert rows(walked, *tables) == before


def test_the_log_of_an_investigation_is_whole_and_shows_each_call(walked: Path) -> None:
    """Each call of the model and of a tool stands in the log in its order, with its cost, and the chain is whole."""
    loop = the_loop(walked)
    verified = analyzer("audit", "verify", "--store", str(walked / "store.db"))
    assert (verified.code, "nothing changed, removed or moved" in verified.stdout) == (0, True), verified.stdout
    shown = analyzer(
        "audit", "show", "--incident", loop["id"][:9], "--texts", "--json", "--store", str(walked / "store.db")
    )
    entries = json.loads(shown.stdout)["entries"]
    assert [(entry["action"], entry["name"]) for entry in entries] == [
        ("model.request", "claude-sonnet-5-5"),
        ("model.reply", "claude-sonnet-5-5"),
        ("tool.call", "outline"),
        ("model.request", "claude-sonnet-5-5"),
        ("model.reply", "claude-sonnet-5-5"),
        ("incident.filed", "open"),
    ]
    run = json.loads((walked / "run.json").read_text("utf-8"))["run"]
    assert {entry["run"] for entry in entries} == {run["trace_id"]}
    assert sum(entry["cost_usd"] or 0 for entry in entries) == pytest.approx(run["llm"]["cost_usd"])
    assert "Outline of" in entries[2]["texts"]["returned"]
    assert json.loads(entries[4]["texts"]["returned"])["tool_calls"][0]["name"] == "submit_diagnosis"
    assert run["audit"]["entries"] >= entries[-1]["number"]


def test_verification_names_what_was_tampered_with_and_holds_against_a_report(walked: Path, tmp_path: Path) -> None:
    """An edit is exit 4 and names its entry; a cut-off tail is seen by the report file that was written before."""
    copy = tmp_path / "store.db"
    copy.write_bytes((walked / "store.db").read_bytes())
    report = walked / "reports" / "report.md"
    with closing(sqlite3.connect(copy)) as raw:
        for name in ("audit_stays", "audit_keeps"):
            raw.execute(f"DROP TRIGGER {name}")
        raw.execute("UPDATE audit SET entry = replace(entry, 'outline', 'search') WHERE entry LIKE '%tool.call%'")
        raw.commit()
    verified = analyzer("audit", "verify", "--store", str(copy))
    assert (verified.code, verified.stdout) == (
        4,
        "entry 3: entry 3 was changed: its hash is not that of its text\n",
    )
    with closing(sqlite3.connect(copy)) as raw:
        raw.execute("DELETE FROM audit WHERE number >= 3")
        raw.execute("UPDATE audit_head SET entries = 2, hash = (SELECT hash FROM audit WHERE number = 2)")
        raw.execute("DELETE FROM reports")
        raw.commit()
    assert analyzer("audit", "verify", "--store", str(copy)).code == 0
    held = analyzer("audit", "verify", "--anchor", str(report), "--store", str(copy))
    entries = json.loads((walked / "run.json").read_text("utf-8"))["run"]["audit"]["entries"]
    assert (held.code, held.stdout) == (
        4,
        f"entry 3: entries 3 to {entries} are missing at the end: {report} has seen them\n",
    )


def test_an_export_is_verified_by_itself(walked: Path, tmp_path: Path) -> None:
    """The exported log is whole, the exported calls of an agent are too, and a changed line is named."""
    for which in ((), ("--agent", "billing", "--lookback", "30d", "--at", NOW.isoformat())):
        exported = analyzer("audit", "export", *which, "--store", str(walked / "store.db"))
        lines = exported.stdout.splitlines()
        path = tmp_path / "log.jsonl"
        path.write_text(exported.stdout, "utf-8")
        verified = analyzer("audit", "verify", str(path), "--anchor", str(path))
        assert verified.stdout.startswith(f"{len(lines) - 1:,} entries, nothing changed"), verified.stdout
        path.write_text(exported.stdout.replace('"failed": false', '"failed": true', 1), "utf-8")
        assert analyzer("audit", "verify", str(path)).code == 4
    entry = json.loads(lines[0])["entry"]
    assert (entry["actor"], entry["action"]) == ("billing", "tool.call")
    assert isinstance(entry["arguments"], dict)
    assert re.fullmatch("[0-9a-f]{64}", entry["returned"])


def test_an_export_is_held_against_its_own_head(walked: Path, tmp_path: Path) -> None:
    """Entries cut off before the head, a head alone, no head, and entries after it are each named."""
    lines = analyzer("audit", "export", "--store", str(walked / "store.db")).stdout.splitlines(keepends=True)
    path, count = tmp_path / "log.jsonl", len(lines) - 1
    unseen = "whether later entries were cut off cannot be told"
    head = "the export's own head has seen them"
    for kept, said in (
        ([*lines[:-3], lines[-1]], [f"{count - 1}: entries {count - 1} to {count} are missing at the end: {head}"]),
        (lines[-1:], [f"1: entries 1 to {count} are missing at the end: {head}"]),
        (lines[:-1], [f"{count}: the export has no head: {unseen}"]),
        ([lines[-1], *lines[:-1]], ["1: the export goes on after its head: lines were added or moved"]),
    ):
        path.write_text("".join(kept), "utf-8")
        verified = analyzer("audit", "verify", str(path))
        assert (verified.code, verified.stdout.splitlines()) == (4, [f"entry {one}" for one in said])
    path.write_text("".join(lines), "utf-8")
    assert analyzer("audit", "verify", str(path)).code == 0
    path.write_text("".join(lines).replace('"number": 1,', '"number": 1.9,', 1), "utf-8")
    refused = analyzer("audit", "verify", str(path))
    assert (refused.code, refused.stdout) == (2, "")
    assert "line 1: no line of `analyzer audit export`" in refused.stderr


def test_what_an_entry_was_changed_to_does_not_reach_the_terminal(walked: Path, tmp_path: Path) -> None:
    """An entry whose number is an escape sequence is named with the sequence made visible."""
    lines = analyzer("audit", "export", "--store", str(walked / "store.db")).stdout.splitlines()
    number = len(lines) - 1
    copy = tmp_path / "store.db"
    copy.write_bytes((walked / "store.db").read_bytes())
    entry = {**json.loads(lines[-2])["entry"], "number": "\x1b[2K\rHELLO\x1b]0;new title\x07"}
    text = canonical(entry)
    with closing(sqlite3.connect(copy)) as raw:
        raw.execute("DROP TRIGGER audit_stays")
        raw.execute("UPDATE audit SET entry = ?, hash = ? WHERE number = ?", (text, digest(text), number))
        raw.commit()
    verified = analyzer("audit", "verify", "--store", str(copy))
    assert verified.code == 4
    assert verified.stdout.startswith(
        f"entry {number}: entry \u241b[2K HELLO\u241b]0;new title\u2407 stands in the place of entry {number}"
    )
    assert verified.stdout.replace("\n", "").isprintable()


def test_a_replay_uses_no_network(walked: Path) -> None:
    """Where a Prometheus is set it is not asked, and that is told: the same incidents come from the store."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        replayed = pass_over(walked, "--replay", str(walked / "run.jsonl"), ANALYZER_PROMETHEUS_URL=url)
        listening.settimeout(0)
        with pytest.raises(BlockingIOError):
            listening.accept()
    assert replayed.code == 0, replayed.stderr
    first = json.loads((walked / "run.json").read_text("utf-8"))
    assert json.loads(replayed.stdout)["incidents"] == first["incidents"]
    assert [line for line in replayed.stderr.splitlines() if line.startswith("replay: ")] == [
        "replay: Prometheus is not asked, because no network is used: what only it holds is missing"
    ]


def test_an_incident_renders_again_from_its_log_after_everything_else_is_gone(walked: Path, tmp_path: Path) -> None:
    """With all trajectories, incidents and reports deleted the bytes are those of the report file."""
    copy = tmp_path / "store.db"
    copy.write_bytes((walked / "store.db").read_bytes())
    with closing(sqlite3.connect(copy)) as raw:
        for table in ("deliveries", "incidents", "reports"):
            raw.execute(f"DELETE FROM {table}")  # noqa: S608 - own names
        raw.commit()
    pruned = analyzer("store", "prune", "--older-than", "1d", "--at", "2100-01-01", "--store", str(copy), "--json")
    assert json.loads(pruned.stdout)["trajectories"] > 0
    loop = the_loop(walked)
    [file] = (walked / "reports").glob(f"*{loop['id']}.md")
    shown = analyzer("incidents", "show", loop["id"], "--from-log", "--store", str(copy))
    assert (shown.code, shown.stderr) == (0, "")
    assert shown.stdout.encode("utf-8") == file.read_bytes()
    assert "The agent repeats one call again and again." in shown.stdout


def test_the_budget_of_a_day_is_shared_by_runs_and_questions(walked: Path) -> None:
    """What the run used counts for a question asked later: it is answered by rules, and says which limit held."""
    use = json.loads((walked / "run.json").read_text("utf-8"))["run"]["llm"]
    used = use["input_tokens"] + use["output_tokens"]
    assert use["left"] == {"usd": pytest.approx(5 - use["cost_usd"], abs=1e-8), "tokens": 3_000_000 - used}
    limit = used + 5_000
    with messages_api([looks]) as api:
        asked = ask(walked, **key(api.url, ANALYZER_BUDGET_TOKENS_PER_DAY=str(limit)))
        assert api.requests == []
    answer = json.loads(asked.stdout)
    assert (answer["ending"], answer["by"]) == ("tokens", "rules")
    assert f"the day's {limit:,} tokens are taken up to {used:,}, and this call may need" in answer["note"]
    assert answer["run"]["llm"]["left"]["tokens"] == 5_000
    doctor = analyzer(
        "doctor", "--store", str(walked / "store.db"), "--json", env={"ANALYZER_BUDGET_TOKENS_PER_DAY": str(limit)}
    )
    [budget] = [check for check in json.loads(doctor.stdout)["checks"] if check["name"] == "budget"]
    assert "and 5,000 tokens, of $5 and" in budget["detail"]


def test_a_question_is_played_back_and_a_changed_prompt_is_told(walked: Path, tmp_path: Path) -> None:
    """The same question gives the same answer without a server; another one gets the same replies, and is told."""
    tape = str(tmp_path / "ask.jsonl")

    def answers(_request: dict[str, Any]) -> Wire:
        return calls(("submit_answer", {"summary": "The agent repeats its call.", "claims": []}))

    with messages_api([looks, answers]) as api:
        first = ask(walked, "--record", tape, **key(api.url))
    assert first.code == 0, first.stderr
    again = ask(walked, "--replay", tape)
    kept = {"answer", "claims", "evidence", "verdict", "by", "ending", "struck_out", "note"}
    one, two = (json.loads(ended.stdout) for ended in (first, again))
    assert {name: one[name] for name in kept} == {name: two[name] for name in kept}
    assert one["by"] == "claude-sonnet-5-5"
    assert (again.stderr, two["run"]["llm"]["left"]) == ("", None)
    recorded = Path(tape).read_text("utf-8").splitlines()
    for number in (1, 2):
        line = json.loads(recorded[number])
        line["request"]["system"] = "Earlier words."
        recorded[number] = json.dumps({**line, "request_sha256": "0" * 64})
    Path(tape).write_text("\n".join([*recorded, ""]), "utf-8")
    changed = ask(walked, "--replay", tape)
    assert json.loads(changed.stdout)["answer"] == two["answer"]
    told = changed.stderr.splitlines()
    assert [line.partition(": 'Earlier words.' became ")[0] for line in told] == [
        f"replay: request {number} about {one['incident_id']} differs from the recording at system" for number in (1, 2)
    ]


def test_questions_about_the_fleet_are_paid_logged_and_played_back(walked: Path, tmp_path: Path) -> None:
    """A session from a pipe: each call has its reservation and its entries, and a recording gives it again."""
    copy = tmp_path / "store.db"
    copy.write_bytes((walked / "store.db").read_bytes())
    command = ("ask", "fleet", "--at", NOW.isoformat(), "--last", "1d", "--store", str(copy), "--json")
    tape = str(tmp_path / "fleet.jsonl")

    def answers(_request: dict[str, Any]) -> Wire:
        return calls(("submit_answer", {"summary": "One agent.", "claims": []}))

    asked = b"how many agents?\nwhich costs most?\n"
    before = len(rows(tmp_path, "spending"))
    with messages_api([answers, answers]) as api:
        first = analyzer(*command, "--record", tape, env=key(api.url), stdin=asked)
    assert first.code == 0, first.stderr
    spent = rows(tmp_path, "spending")[before:]
    assert [(row[4], row[8] is not None) for row in spent] == [("question-fleet", True)] * 2
    run = json.loads(first.stdout)["answers"][0]["run"]["trace_id"]
    entries = [json.loads(row[2]) for row in rows(tmp_path, "audit")]
    assert [(one["action"], one["about"]) for one in entries if one["run"] == run] == [
        (action, "question-fleet") for action in ("model.request", "model.reply", "question.answered")
    ] * 2
    kept = rows(tmp_path, "spending", "audit", "trajectories")
    again = analyzer(*command, "--replay", tape, stdin=asked)
    assert (again.code, again.stderr) == (0, "")
    one, two = (json.loads(ended.stdout)["answers"] for ended in (first, again))
    assert [(given["by"], given["ending"]) for given in two] == [("claude-sonnet-5-5", "answered")] * 2
    for recorded, played in zip(one, two, strict=True):
        assert {name: recorded[name] for name in played if name != "run"} == {
            name: value for name, value in played.items() if name != "run"
        }
    assert rows(tmp_path, "spending", "audit", "trajectories") == kept


def test_record_and_replay_say_what_they_cannot_do(walked: Path, tmp_path: Path) -> None:
    """Nothing to record, both at once, a recording that is there, one that is none: exit 2 and the next step."""
    there = str(walked / "run.jsonl")
    for extra, said in (
        (("--record", str(tmp_path / "new.jsonl")), "--record has no model to record; `analyzer doctor` says"),
        (("--record", there, "--replay", there), "--record and --replay exclude each other"),
        (("--replay", there, "--llm", "off"), "--replay needs a model's part"),
        (("--replay", str(tmp_path / "none.jsonl")), "cannot be read: No such file or directory"),
    ):
        ended = ask(walked, *extra)
        assert (ended.code, ended.stdout) == (2, "")
        assert said in ended.stderr


def test_a_question_killed_in_the_middle_of_a_call_is_paid_and_in_the_log(walked: Path, tmp_path: Path) -> None:
    """After kill -9 while the model thinks, its worst case is spent for the day, and the log shows the request."""
    copy = tmp_path / "store.db"
    copy.write_bytes((walked / "store.db").read_bytes())
    command = [sys.executable, "-m", "analyzer", "ask", the_loop(walked)["id"], QUESTION, "--store", str(copy)]
    with messages_api([Wire(b"{}", hang_s=60)]) as api:
        asking = subprocess.Popen(
            command, env={**os.environ, **key(api.url)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 60
        while not api.requests and time.monotonic() < until:
            time.sleep(0.05)
        asking.send_signal(signal.SIGKILL)
        asking.wait(10)
        assert api.requests
    [unsettled] = [row for row in rows(tmp_path, "spending") if row[8] is None]
    # A row: table, id, day, run, about, at, most tokens, most USD, tokens, USD. The reply alone may have 6,000.
    assert unsettled[4] == the_loop(walked)["id"]
    assert unsettled[6] > 6_000
    assert unsettled[7] > 0
    last = json.loads(rows(tmp_path, "audit")[-1][2])
    assert (last["action"], last["about"], last["run"]) == ("model.request", unsettled[4], unsettled[3])
    assert analyzer("audit", "verify", "--store", str(copy)).code == 0


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        ("UPDATE incidents SET document = replace(document, '\"high\"', '\"low\"')", "the incident inc-"),
        ("UPDATE incidents SET document = document || ' and more'", "the incident inc-"),
        ("UPDATE incidents SET document = CAST(x'ff00' AS BLOB)", "the incident inc-"),
        ("UPDATE incidents SET state = 'resolved'", "the incident inc-"),
        ("UPDATE reports SET markdown = x'ff00'", "the report of run "),
        ("DELETE FROM incidents", "the incident inc-"),
        ("UPDATE reports SET markdown = replace(markdown, 'repeated', 'did not repeat')", "the report of run "),
        ("UPDATE reports SET document = replace(document, ': 1', ': 2')", "the report of run "),
        ("DELETE FROM reports", "the report of run "),
    ],
)
def test_what_was_filed_cannot_be_edited_in_the_store(walked: Path, tmp_path: Path, edit: str, fault: str) -> None:
    """An incident or a report that somebody changed or deleted is named, with the entry of the log that filed it."""
    copy = tmp_path / "store.db"
    copy.write_bytes((walked / "store.db").read_bytes())
    with closing(sqlite3.connect(copy)) as raw:
        assert raw.execute(edit).rowcount > 0
        raw.commit()
    verified = analyzer("audit", "verify", "--store", str(copy))
    assert verified.code == 4, edit
    lines = verified.stdout.splitlines()
    assert all(re.match(rf"entry \d+: {fault}", line) for line in lines), lines
    assert lines


def test_a_log_of_an_older_release_accuses_nobody(walked: Path, tmp_path: Path) -> None:
    """Without hashes in its entries nothing can be said of what they filed; the next run's are held against it."""
    copy = tmp_path / "store.db"
    copy.write_bytes((walked / "store.db").read_bytes())
    with SqliteTrajectories(copy) as store:
        name = SqliteIncidents(store.connection).incidents()[0].id
        log = SqliteAudit(store.connection, store.masker, run="old")
        log.write(Act(Action.INCIDENT_FILED, name, "open", {"at": "then"}, returned={"id": name}))
        with store.connection.writing() as raw:
            raw.execute(
                "UPDATE incidents SET document = replace(document, '\"high\"', '\"low\"') WHERE id = ?", (name,)
            )
        assert log.verify().faults == ()
        log.write(Act(Action.INCIDENT_FILED, name, "open", {"document_sha256": "0" * 64}, returned={"id": name}))
        assert log.verify().faults == ()
        log.write(Act(Action.INCIDENT_FILED, "inc-new", "open", {"document_sha256": "0" * 64}, returned={}))
        assert log.verify().faults == ()
