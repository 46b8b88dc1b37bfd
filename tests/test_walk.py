"""The walk from end to end, as a user runs it, over real HTTP."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli import Ended, analyzer
from support.drawn import REVIEWER, looping
from support.messages_api import Wire, calls, fails, message, messages_api, refuses, says
from support.slack_webhook import BROKEN, slack

from analyzer.simulation.export import write_json_lines

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five days of two agents as OTLP/JSON lines; one loops on the last day."""
    fleet = looping(NOW, days=5, beside=(REVIEWER,))
    path = tmp_path_factory.mktemp("walk") / "history.jsonl.gz"
    write_json_lines(fleet.requests(), path)
    return path


@pytest.fixture(scope="module")
def filled(history: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store that holds the history; tests copy it."""
    store = tmp_path_factory.mktemp("store") / "store.db"
    ended = analyzer("ingest", str(history), "--store", str(store))
    assert ended.code == 0, ended.stderr
    return store


@pytest.fixture
def store(filled: Path, tmp_path: Path) -> Path:
    """Return a copy of the filled store."""
    copy = tmp_path / "store.db"
    copy.write_bytes(filled.read_bytes())
    return copy


def run(store: Path, *extra: str, at: datetime = NOW, **env: str) -> Ended:
    """Run one pass as JSON."""
    reports = store.parent / "reports"
    return analyzer(
        "run", "--at", at.isoformat(), "--store", str(store), "--reports", str(reports), "--json", *extra, env=env
    )


def the_loop(ended: Ended) -> dict[str, Any]:
    """Return the incident about the loop."""
    [found] = [one for one in json.loads(ended.stdout)["incidents"] if one["kind"] == "loop"]
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, Path]:
    """Return how `analyzer demo` ended, and its folder, for those that only read."""
    folder = tmp_path_factory.mktemp("walk") / "demo"
    return analyzer("demo", "--json", "--folder", str(folder)), folder


def test_the_demo_finds_three_different_incidents_with_everything_they_need(demo: tuple[Ended, Path]) -> None:
    """The demo ends with a cost rise, a loop and an error burst, each dated, sized, accounted for and quoted."""
    ended, folder = demo
    assert ended.code == 0, ended.stderr
    report = json.loads(ended.stdout)
    kinds = {incident["kind"] for incident in report["incidents"]}
    assert "cost" in kinds
    assert "loop" in kinds
    assert kinds & {"errors", "tool-errors"}
    assert len(report["incidents"]) == 3
    assert report["gaps"] == []
    for incident in report["incidents"]:
        assert incident["onset"] <= incident["opened_at"]
        assert incident["observed"] > incident["expected"]
        assert incident["trace_ids"]
        assert any("quote" in entry for entry in incident["evidence"]), incident["kind"]
        assert incident["diagnosis"]["cause"]
    [cost] = [one for one in report["incidents"] if one["kind"] == "cost"]
    assert (cost["subject"]["agent"], cost["subject"]["version"]) == ("support-triage", "2.4.0")
    assert sum(one["share"] for one in cost["account"]) == pytest.approx(1, abs=1e-6)
    assert max(cost["account"], key=lambda one: one["share"])["factor"].endswith("tokens per step")
    files = sorted(path.name for path in (folder / "reports").iterdir())
    assert {"report.md", "report.html"} <= set(files)
    assert sum(name.endswith((".md", ".html")) for name in files) == 8
    assert sum(name.endswith(".svg") for name in files) == 6


def test_the_demo_stays_out_of_a_shared_state_and_of_clickhouse(tmp_path: Path) -> None:
    """Where both are set and neither answers the demo is whole, and the commands that it names show it alone."""
    outside = {
        "ANALYZER_STATE": "postgresql://analyzer@127.0.0.1:9/analyzer",
        "ANALYZER_CLICKHOUSE_URL": "http://127.0.0.1:9/otel",
    }
    ended = analyzer("demo", "--folder", str(tmp_path / "demo"), env=outside)
    assert ended.code == 0, ended.stderr
    assert ended.stdout.count("New: ") == 3
    look = f"analyzer incidents list --store {tmp_path / 'demo' / 'demo.db'}"
    assert f"  ANALYZER_STATE= ANALYZER_CLICKHOUSE_URL= {look}\n" in ended.stdout
    listed = analyzer(*look.split()[1:], "--json", env=dict.fromkeys(outside, ""))
    assert len(json.loads(listed.stdout)["incidents"]) == 3


def test_the_commands_that_the_demo_names_show_it_where_a_file_sets_a_state(tmp_path: Path) -> None:
    """What `analyzer.toml` sets an empty variable does not unset: the commands leave the file out."""
    (tmp_path / "own.toml").write_text('state = "postgresql://analyzer@127.0.0.1:9/analyzer"\n', "utf-8")
    ended = analyzer("demo", "--folder", str(tmp_path / "demo"), env={"ANALYZER_CONFIG": str(tmp_path / "own.toml")})
    assert ended.code == 0, ended.stderr
    line = next(line.strip() for line in ended.stdout.splitlines() if "incidents list" in line)
    assert line.startswith(f"ANALYZER_STATE= ANALYZER_CONFIG={os.devnull} analyzer incidents list --store ")
    words = line.split()
    env = {"ANALYZER_CONFIG": str(tmp_path / "own.toml"), **dict(word.split("=", 1) for word in words[:2])}
    listed = analyzer(*words[3:], "--json", env=env)
    assert len(json.loads(listed.stdout)["incidents"]) == 3


def test_every_quote_of_the_demo_stands_in_its_span(demo: tuple[Ended, Path]) -> None:
    """A reader who opens the span finds the quote there, word for word."""
    ended, folder = demo
    report = json.loads(ended.stdout)
    quotes = [one for incident in report["incidents"] for one in incident["evidence"] if "quote" in one]
    assert quotes
    for one in quotes:
        shown = analyzer("traces", "show", one["trace_id"], "--json", "--store", str(folder / "demo.db"))
        [span] = [span for span in json.loads(shown.stdout)["spans"] if span["span_id"] == one["span_id"]]
        assert " ".join(one["quote"].split()) in " ".join((span[one["field"]] or "").split())


def test_a_second_run_sends_nothing(store: Path) -> None:
    """An unchanged incident is told once on each route; the report still lists it, as ongoing."""
    with slack() as fake:
        first = run(store, ANALYZER_SLACK_WEBHOOK_URL=fake.url)
        told = len(fake.payloads)
        second = run(store, at=NOW + timedelta(minutes=15), ANALYZER_SLACK_WEBHOOK_URL=fake.url)
        assert told >= 1
        assert len(fake.payloads) == told
    assert the_loop(first)["state"] == "open"
    assert the_loop(second)["state"] == "ongoing"
    assert the_loop(first)["id"] == the_loop(second)["id"]


def test_a_route_that_failed_is_a_gap_and_told_by_the_next_run(store: Path) -> None:
    """A message that did not go out is not recorded: exit 3 says so, and the next run sends it."""
    with slack(*[BROKEN] * 9) as fake:
        first = run(store, ANALYZER_SLACK_WEBHOOK_URL=fake.url)
        failed = len(fake.payloads)
    assert first.code == 3
    assert any("slack" in gap["what"] for gap in json.loads(first.stdout)["gaps"])
    with slack() as fake:
        second = run(store, at=NOW + timedelta(minutes=15), ANALYZER_SLACK_WEBHOOK_URL=fake.url)
        assert fake.payloads
    assert second.code == 0
    assert failed


def test_cron_is_quiet_when_nothing_is_new(store: Path) -> None:
    """Without --json the first run prints the incident, the second prints nothing at all."""
    arguments = ("run", "--store", str(store), "--reports", str(store.parent / "r"), "--at")
    first = analyzer(*arguments, NOW.isoformat())
    second = analyzer(*arguments, (NOW + timedelta(minutes=15)).isoformat())
    assert "billing" in first.stdout
    assert (second.code, second.stdout, second.stderr) == (0, "", "")


def test_two_runs_at_once_tell_nothing_twice(store: Path) -> None:
    """While one run is under way a second one says so and does nothing; the first one's messages go out once."""
    command = [sys.executable, "-m", "analyzer", "run", "--at", NOW.isoformat(), "--store", str(store), "--json"]
    with slack() as fake:
        env = {**os.environ, "ANALYZER_SLACK_WEBHOOK_URL": fake.url}
        both = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
        errors = [one.communicate(timeout=60)[1].decode() for one in both]
        texts = [payload["text"] for payload in fake.payloads]
    assert len(texts) == len(set(texts)) > 0
    refused = [error for one, error in zip(both, errors, strict=True) if one.returncode == 4]
    assert all("another run over" in error for error in refused)


def kept(store: Path) -> list[tuple[Any, ...]]:
    """Return what the store keeps of incidents, messages and reports, and the report files, as they are."""
    with closing(sqlite3.connect(store)) as raw:
        rows = [(table, *row) for table in ("incidents", "deliveries", "reports") for row in raw.execute(
            f"SELECT * FROM {table} ORDER BY id"  # noqa: S608 - own names
        )]  # fmt: skip
    return rows + [(path.name, path.read_bytes()) for path in sorted((store.parent / "reports").iterdir())]


def test_a_run_in_the_past_reports_and_leaves_everything_as_it_was(store: Path) -> None:
    """`--at` before the last run shows what was seen then; incidents, files and routes keep what is known since."""
    loop = the_loop(run(store))
    before = kept(store)
    with slack() as fake:
        past = run(store, at=NOW - timedelta(hours=4), ANALYZER_SLACK_WEBHOOK_URL=fake.url)
        assert fake.payloads == []
    assert past.code == 0, past.stderr
    assert kept(store) == before
    then = the_loop(past)
    assert (then["id"], then["state"], then["onset"]) == (loop["id"], "open", loop["onset"])
    assert then["affected"]["trajectories"] < loop["affected"]["trajectories"]
    said = "a run at 2026-11-20 12:00 UTC is recorded already: nothing of this one was saved or sent"
    assert json.loads(past.stdout)["notes"]["history repeated"] == said
    assert past.stderr == f"history repeated: {said}\n"


def test_a_run_in_the_past_prints_its_whole_report(store: Path) -> None:
    """Nobody is told anything, so that a person who repeats a run is shown the report itself."""
    run(store)
    past = analyzer("run", "--store", str(store), "--at", (NOW - timedelta(hours=4)).isoformat())
    assert past.stdout.startswith("Agent fleet report, 2026-11-20 08:00 UTC\n")
    assert "What was measured" in past.stdout
    assert "This run" in past.stdout


def test_a_run_by_the_clock_is_never_the_past(store: Path) -> None:
    """A run at a time that is yet to come does not silence the ones on schedule."""
    assert run(store, at=datetime(2100, 1, 1, tzinfo=UTC)).code == 3
    ended = analyzer("run", "--store", str(store), "--json")
    assert "history repeated" not in json.loads(ended.stdout)["notes"]


def test_fail_on_is_exit_1(store: Path) -> None:
    """`--fail-on low` ends 1 while an incident is open."""
    assert run(store, "--fail-on", "low").code == 1


def test_the_run_is_a_trajectory_of_its_own(store: Path) -> None:
    """A span per phase lies in the same store, and `traces show` draws it."""
    document = json.loads(run(store).stdout)
    shown = analyzer("traces", "show", document["run"]["trace_id"], "--json", "--store", str(store))
    spans = json.loads(shown.stdout)["spans"]
    names = [span["name"] for span in spans]
    phases = ["collect", "detect", "account", "triage", "investigate", "report", "deliver"]
    assert [name for name in names if name in phases] == phases
    assert names[0] == "invoke_agent analyzer"


def test_a_killed_run_is_completed_by_the_next(store: Path) -> None:
    """After kill -9 in the middle of a run the next one files and tells each incident once."""
    command = [sys.executable, "-m", "analyzer", "run", "--at", NOW.isoformat(), "--store", str(store), "--json"]
    for delay_s in (0.3, 0.6, 0.9, 1.2, 1.5):
        killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay_s)
        killed.send_signal(signal.SIGKILL)
        killed.wait(10)
    with slack() as fake:
        ended = run(store, ANALYZER_SLACK_WEBHOOK_URL=fake.url)
        texts = [payload["text"] for payload in fake.payloads]
    assert ended.code == 0, ended.stderr
    incidents = json.loads(ended.stdout)["incidents"]
    assert len({one["id"] for one in incidents}) == len(incidents)
    assert len(texts) == len(set(texts)) == len(incidents)


# What the model may do, and what becomes of it.


def asked_about_the_loop(store: Path, replies: list[Any], **env: str) -> tuple[Ended, list[dict[str, Any]]]:
    """Run with a model that gives these replies; return how it ended and the requests it got."""
    with messages_api(replies) as api:
        ended = run(store, ANTHROPIC_BASE_URL=api.url, ANTHROPIC_API_KEY="test-key", **env)
        return ended, api.requests


def opens(quote: dict[str, Any]) -> Wire:
    """Open the span that is quoted afterwards: what was never shown proves nothing."""
    where = {"trace_id": quote["trace_id"], "span": quote["span_id"], "field": quote["field"], "page": 1}
    return calls(("span", where))


def test_a_tool_using_investigation_strikes_out_what_the_spans_do_not_say(store: Path) -> None:
    """The model looks at a trajectory, then quotes: what is not in the span is struck out and counted."""
    first = json.loads(analyzer("run", "--at", NOW.isoformat(), "--store", str(store), "--json", "--llm", "off").stdout)
    [loop] = [one for one in first["incidents"] if one["kind"] == "loop"]
    quote = next(one for one in loop["evidence"] if "quote" in one)
    again = store.parent / "again.db"
    again.write_bytes((store.parent / "store.db").read_bytes())
    fresh = store.parent / "fresh.db"
    _without_incidents(again, fresh)

    def verdict(lie: bool) -> Wire:
        true = {"kind": "quote", "trace_id": quote["trace_id"], "span_id": quote["span_id"], "field": quote["field"]}
        claims = [
            {"text": "The same call is repeated.", "decisive": True, "evidence": [{**true, "quote": quote["quote"]}]},
        ]
        if lie:
            claims.append(
                {
                    "text": "The customer asked for it.",
                    "decisive": False,
                    "evidence": [{**true, "quote": "please call it again and again and again"}],
                }
            )
        return calls(("submit_diagnosis", _diagnosis(claims)))

    ended, requests = asked_about_the_loop(fresh, [lambda _r: opens(quote), verdict(lie=True), verdict(lie=True)])
    incident = the_loop(ended)
    diagnosis = incident["diagnosis"]
    assert diagnosis["by"] == "claude-sonnet-5-5"
    assert diagnosis["struck_out"] >= 1
    assert "The customer asked for it." not in ended.stdout
    assert "The same call is repeated." in [claim["text"] for claim in diagnosis["claims"]]
    assert json.loads(ended.stdout)["run"]["llm"]["calls"] == len(requests) == 3
    assert any(block.get("type") == "tool_result" for turn in requests[1]["messages"] for block in turn["content"])


def _diagnosis(claims: list[dict[str, Any]]) -> dict[str, Any]:
    from analyzer.agent.tools import SUBMIT_DIAGNOSIS_SPEC

    given: dict[str, Any] = {
        "summary": "The agent repeats one call.",
        "cause": "The agent repeats one call that cannot succeed.",
        "claims": claims,
        "actions": ["Stop after two identical results."],
        "check": "analyzer traces show worst",
        "category": "loop",
        "refutation": "The call succeeds when repeated.",
        "responsible": None,
    }
    wanted = SUBMIT_DIAGNOSIS_SPEC.schema["properties"]
    return {name: given.get(name, "") for name in wanted}


def _without_incidents(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())
    with sqlite3.connect(target) as raw:
        for table in ("deliveries", "incidents", "reports"):
            raw.execute(f"DELETE FROM {table}")  # noqa: S608 - own names
    raw.close()


@pytest.mark.parametrize(
    ("reply", "ending"),
    [
        (lambda _r: fails(429, "rate_limit_error", retry_after="0"), "unavailable"),
        (lambda _r: fails(529, "overloaded_error"), "unavailable"),
        (lambda _r: fails(500), "unavailable"),
        (lambda _r: fails(401, "authentication_error"), "unavailable"),
        (lambda _r: refuses(), "refused"),
        (lambda _r: says("I would rather talk about the weather."), "invalid"),
        (lambda _r: message([{"type": "text", "text": '{"summary": "cut'}], stop_reason="max_tokens"), "tokens"),
        (lambda _r: message([{"type": "text", "text": "half"}], stop_reason=None), "invalid"),
        (lambda _r: Wire(b'{"id": "msg_1", "type": "mess', cut=True), "unavailable"),
        (lambda _r: Wire(b"<html>gateway</html>", content_type="text/html"), "invalid"),
        (lambda _r: Wire(b"{}", hang_s=30), "seconds"),
    ],
    ids=["429", "529", "500", "401", "refusal", "no json", "max_tokens", "cut stream", "cut body", "html", "hanging"],
)
def test_whatever_the_model_does_the_report_is_filed_and_says_so(
    store: Path, reply: Callable[[dict[str, Any]], Wire], ending: str
) -> None:
    """Every failure of the model has a named ending, and the incident goes out with the explanation by rules."""
    ended, requests = asked_about_the_loop(store, [reply], ANALYZER_INVESTIGATION_S="4")
    diagnosis = the_loop(ended)["diagnosis"]
    assert requests
    assert (diagnosis["ending"], diagnosis["by"]) == (ending, "rules")
    assert diagnosis["cause"]
    assert (store.parent / "reports" / "report.md").read_text().count("billing") >= 1


HOUR_BEFORE = NOW - timedelta(hours=1)
"""Between these the loop hits more trajectories, and its severity stays the same."""


def test_an_explanation_by_rules_is_made_anew_with_the_figures_of_each_run(store: Path) -> None:
    """What rules say of an ongoing incident has this run's figures, and this run's time."""
    for at in (HOUR_BEFORE, NOW):
        loop = the_loop(run(store, at=at))
        hit = loop["affected"]
        assert f"{hit['trajectories']} of {hit['of']} are affected" in loop["diagnosis"]["summary"]
        assert (loop["diagnosis"]["as_of"], loop["diagnosis"]["observed"]) == (loop["last_seen_at"], loop["observed"])
        named = {name for claim in loop["diagnosis"]["claims"] for name in claim["evidence"]}
        assert named <= {entry["id"] for entry in loop["evidence"]}
    assert (loop["state"], loop["diagnosis"]["ending"]) == ("ongoing", "off")


def test_what_a_model_said_is_kept_with_its_date(store: Path) -> None:
    """An answer is paid for once: it stays while the incident goes on, and says of which time its figures are."""
    rehearsal = store.with_name("rehearsal.db")
    rehearsal.write_bytes(store.read_bytes())
    quote = next(one for one in the_loop(run(rehearsal, at=HOUR_BEFORE))["evidence"] if "quote" in one)
    cited = {"kind": "quote", **{name: quote[name] for name in ("trace_id", "span_id", "field", "quote")}}
    claims = [{"text": "The same call is repeated.", "decisive": True, "evidence": [cited]}]
    answer = calls(("submit_diagnosis", _diagnosis(claims)))
    with messages_api([lambda _r: opens(quote), lambda _r: answer]) as api:
        env = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "test-key"}
        first = the_loop(run(store, at=HOUR_BEFORE, **env))
        asked = len(api.requests)
        second = the_loop(run(store, at=NOW, **env))
        assert len(api.requests) == asked
    assert first["diagnosis"]["by"] == "claude-sonnet-5-5"
    assert second["diagnosis"] == first["diagnosis"]
    assert (second["diagnosis"]["as_of"], second["state"]) == ("2026-11-20T11:00:00Z", "ongoing")
    said = (store.parent / "reports" / "report.md").read_text()
    assert "Explained as of 2026-11-20 11:00 UTC" in said


def test_how_the_model_failed_is_still_said_of_an_ongoing_incident(store: Path) -> None:
    """A refusal is not asked for twice: the rules explain anew, and the report goes on saying why no model did."""
    with messages_api([lambda _r: refuses()]) as api:
        env = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "test-key"}
        run(store, at=HOUR_BEFORE, **env)
        asked = len(api.requests)
        second = the_loop(run(store, at=NOW, **env))
        assert len(api.requests) == asked
    assert (second["diagnosis"]["by"], second["diagnosis"]["ending"]) == ("rules", "refused")
    assert second["diagnosis"]["as_of"] == second["last_seen_at"]


@pytest.mark.parametrize("ending", ["off", "unavailable"])
def test_a_model_that_was_not_there_is_asked_by_the_next_run(store: Path, ending: str) -> None:
    """Where no model answered because there was none, or none could be reached, a later run asks while it goes on."""
    with messages_api([lambda _r: fails(401, "authentication_error")]) as dead:
        env = {"ANTHROPIC_BASE_URL": dead.url, "ANTHROPIC_API_KEY": "test-key"}
        first = run(store, at=HOUR_BEFORE, **(env if ending == "unavailable" else {}))
    assert the_loop(first)["diagnosis"]["ending"] == ending
    second, requests = asked_about_the_loop(store, [lambda _r: refuses()])
    assert requests
    assert the_loop(second)["diagnosis"]["ending"] == "refused"


def test_without_a_key_nobody_is_asked(store: Path) -> None:
    """No credentials: explained by rules, and labelled so."""
    diagnosis = the_loop(run(store))["diagnosis"]
    assert (diagnosis["by"], diagnosis["ending"]) == ("rules", "off")


def test_without_a_budget_nobody_is_asked(store: Path) -> None:
    """A budget of nothing spends nothing, and the report says why the model was not asked."""
    ended, requests = asked_about_the_loop(store, [refuses()], ANALYZER_BUDGET_USD="0")
    assert requests == []
    assert the_loop(ended)["diagnosis"]["ending"] == "usd"


def test_ask_answers_about_a_trajectory_and_an_incident(store: Path) -> None:
    """`ask` works with a prefix, `latest`, `worst` and an incident's id, without a model too."""
    incident = the_loop(run(store))
    for name in ("latest", "worst", incident["trace_ids"][0][:12], incident["id"]):
        ended = analyzer("ask", name, "what happened?", "--json", "--store", str(store))
        assert ended.code == 0, ended.stderr
        document = json.loads(ended.stdout)
        assert (document["schema"], document["by"]) == ("analyzer.answer/1", "rules")
        assert document["answer"]
    about_itself = json.loads(run(store).stdout)["run"]["trace_id"]
    assert analyzer("ask", about_itself, "why did you say that?", "--store", str(store)).code == 0
