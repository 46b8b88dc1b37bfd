"""What a human says of an incident stays, whatever runs do before, after or meanwhile."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cli import analyzer
from support.incidents import NOW, incident

from analyzer.pipeline.memory import Memory
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.triage import as_of
from analyzer.types.report import ACTIVE, Incident, State
from analyzer.types.word import Said, Word

HOUR = timedelta(hours=1)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store with one incident."""
    path = tmp_path / "store.db"
    with SqliteTrajectories(path) as opened:
        SqliteIncidents(opened.connection).save_incidents([incident()], run_trace_id="run")
    return path


@pytest.fixture
def memory(store: Path) -> Iterator[SqliteIncidents]:
    """Return the memory in it."""
    with SqliteTrajectories(store) as opened:
        yield SqliteIncidents(opened.connection)


def word(said: Said, hours: float = 0.0) -> Word:
    """Return a word of somebody."""
    until = NOW + timedelta(hours=hours) if said is Said.MUTED else None
    return Word(0, said, NOW, "jo", "known", until)


def test_each_command_says_what_it_did_and_the_incident_shows_it(store: Path) -> None:
    """Dismissed with a reason: the command says so, the list leaves it out, `show` has who, when and why."""
    name = incident().id
    secret = "sk-ant-api03-" + "A1b2C3d4" * 6
    said = analyzer(
        "incidents", "dismiss", name[:8], "--reason", f"load test, key {secret}", "--by", "jo", "--store", str(store)
    )
    assert said.code == 0, said.stderr
    assert said.stdout.startswith(f"{name}: Dismissed by jo, ")
    assert secret not in said.stdout
    assert "(dismissed)" in said.stdout
    assert "no open incidents" in analyzer("incidents", "list", "--store", str(store)).stdout
    shown = analyzer("incidents", "show", name, "--store", str(store)).stdout
    assert "Dismissed by jo" in shown
    assert "load test" in shown
    assert secret not in shown
    back = analyzer("incidents", "reopen", name, "--store", str(store), "--json")
    document = json.loads(back.stdout)
    assert (document["schema"], document["state"], document["word"]["said"]) == (
        "analyzer.incident/1",
        "ongoing",
        "reopened",
    )


def test_a_word_cannot_be_deleted_unseen(store: Path) -> None:
    """SQLite refuses to delete a word; with the trigger taken away the log names the entry whose word is gone."""
    name = incident().id
    for command in ("dismiss", "reopen", "confirm"):
        assert analyzer("incidents", command, name[:8], "--by", "jo", "--store", str(store)).code == 0
    assert analyzer("audit", "verify", "--store", str(store)).code == 0
    with closing(sqlite3.connect(store)) as raw:
        with pytest.raises(sqlite3.IntegrityError, match="words stay as they were said"):
            raw.execute("DELETE FROM words")
        raw.execute("DROP TRIGGER words_keep")
        raw.execute("DELETE FROM words WHERE said = 'reopened'")
        raw.commit()
    verified = analyzer("audit", "verify", "--store", str(store))
    assert (verified.code, verified.stdout) == (
        4,
        f"entry 2: the word that entry 2 tells of is gone: reopened by jo about {name}\n",
    )


def test_where_the_log_cannot_be_written_nothing_is_said(store: Path) -> None:
    """Without the log's own count a word is refused in one line, and is not kept."""
    with closing(sqlite3.connect(store)) as raw:
        raw.execute("DROP TRIGGER audit_head_keeps")
        raw.execute("DELETE FROM audit_head")
        raw.commit()
    said = analyzer("incidents", "confirm", incident().id, "--by", "jo", "--store", str(store))
    assert (said.code, said.stdout) == (4, "")
    assert said.stderr.splitlines() == [
        "analyzer: the log's own count is gone from the store; run `analyzer audit verify`"
    ]
    with closing(sqlite3.connect(store)) as raw:
        assert raw.execute("SELECT count(*) FROM words").fetchone() == (0,)


def test_what_was_said_is_in_the_log(store: Path) -> None:
    """Who, what and why, masked, in the order in which it was said; what was refused left no entry."""
    name = incident().id
    secret = "sk-ant-api03-" + "A1b2C3d4" * 6
    for command, *more in (("dismiss", "--reason", f"key {secret}"), ("mute", "--for", "2h")):
        assert analyzer("incidents", command, name[:8], *more, "--by", "jo", "--store", str(store)).code == 0
    assert analyzer("incidents", "confirm", "inc-none", "--by", "jo", "--store", str(store)).code == 2
    shown = analyzer("audit", "show", "--incident", name, "--store", str(store), "--json").stdout
    entries = json.loads(shown)["entries"]
    assert [(one["actor"], one["run"], one["action"], one["name"]) for one in entries] == [
        ("jo", "", "word.said", "dismissed"),
        ("jo", "", "word.said", "muted"),
    ]
    assert entries[0]["arguments"]["reason"].startswith("key ")
    assert secret not in shown
    muted = json.loads(analyzer("incidents", "show", name, "--store", str(store), "--json").stdout)["muted_until"]
    assert entries[1]["arguments"] == {"reason": "", "until": muted}
    assert analyzer("audit", "verify", "--store", str(store)).code == 0


def test_a_mute_needs_a_length_and_names_its_end(store: Path) -> None:
    """Without a length it is a usage error; with one the end stands in the answer and in the incident."""
    name = incident().id
    assert analyzer("incidents", "mute", name, "--store", str(store)).code == 2
    muted = analyzer("incidents", "mute", name, "--for", "3d", "--store", str(store), "--json")
    document = json.loads(muted.stdout)
    assert document["muted_until"] is not None
    assert document["state"] == incident().state.value
    assert analyzer("incidents", "show", name, "--store", str(store)).stdout.count("No messages before") == 1


def test_an_incident_that_is_not_there_is_a_usage_error(store: Path) -> None:
    """The error names the command that lists those that are."""
    gone = analyzer("incidents", "confirm", "inc-ffff", "--store", str(store))
    assert gone.code == 2
    assert "analyzer incidents list" in gone.stderr


def test_what_was_not_taken_away_cannot_be_taken_back(store: Path) -> None:
    """Reopening what goes on, or unmuting what is not muted, is a usage error and leaves a confirmation alone."""
    name = incident().id
    assert analyzer("incidents", "confirm", name, "--store", str(store)).code == 0
    for command, said in (("reopen", "there is nothing to reopen"), ("unmute", "is not muted")):
        refused = analyzer("incidents", command, name, "--store", str(store))
        assert (refused.code, said in refused.stderr) == (2, True)
    kept = json.loads(analyzer("incidents", "show", name, "--store", str(store), "--json").stdout)
    assert kept["word"]["said"] == "confirmed"


def test_a_run_that_began_before_does_not_overwrite_a_word(memory: SqliteIncidents) -> None:
    """A run reads the incident, a human dismisses it, the run keeps what it made of it: it is dismissed."""
    [read] = memory.incidents()
    memory.say(read.id, word(Said.DISMISSED))
    memory.save_incidents([replace(read, state=State.ONGOING, observed=0.4)], run_trace_id="late")
    [kept] = memory.incidents()
    assert (kept.state, kept.observed) == (State.DISMISSED, 0.4)
    assert memory.incidents(active_only=True) == []
    [counted] = memory.words(read.id)
    assert (counted.said, counted.by, counted.reason) == (Said.DISMISSED, "jo", "known")


def test_a_run_as_of_an_earlier_time_does_not_lose_a_word(memory: SqliteIncidents) -> None:
    """A run whose now lies before the word works without it; who reads the incident afterwards hears it again."""
    name = memory.say(incident().id, replace(word(Said.DISMISSED), at=NOW + HOUR)).id
    [then] = as_of(memory.incidents(), NOW + HOUR / 2)
    assert then.state in ACTIVE
    memory.save_incidents([then], run_trace_id="earlier")
    assert memory.incident(name).state is State.DISMISSED


def test_what_a_human_reopened_is_not_over_again_for_having_been_quiet(memory: SqliteIncidents) -> None:
    """It gets as long as any incident before a run calls it resolved."""
    old = replace(incident(), state=State.RESOLVED, resolved_at=NOW, last_seen_at=NOW - timedelta(days=3))
    memory.save_incidents([old], run_trace_id="run")
    opened = memory.say(old.id, replace(word(Said.REOPENED), at=NOW + HOUR))
    assert (opened.state, opened.last_seen_at, opened.resolved_at) == (State.ONGOING, NOW + HOUR, None)


def test_a_word_that_a_run_has_heard_is_not_said_again(memory: SqliteIncidents) -> None:
    """What got clearly worse since its dismissal is open again, and stays so for whoever reads it."""
    name = incident().id
    heard = memory.say(name, word(Said.DISMISSED))
    memory.save_incidents([replace(heard, state=State.OPEN, word=None)], run_trace_id="next")
    assert [one.state for one in memory.incidents(active_only=True)] == [State.OPEN]


def test_words_cannot_be_changed(store: Path, memory: SqliteIncidents) -> None:
    """Rows are only added."""
    memory.say(incident().id, word(Said.CONFIRMED))
    with sqlite3.connect(store) as raw, pytest.raises(sqlite3.IntegrityError, match="stay"):
        raw.execute("UPDATE words SET said = 'dismissed'")


ACTS = st.lists(st.sampled_from([*Said, "read", "keep"]), max_size=12)


@settings(max_examples=60, deadline=None)
@given(acts=ACTS)
def test_no_order_of_words_and_runs_loses_the_last_word(acts: list[Said | str]) -> None:
    """Whatever a human said last of what it is holds after any runs that saw it unchanged, early or late."""
    told = [one for one in acts if isinstance(one, Said)]
    with SqliteTrajectories(Path(":memory:")) as opened:
        memory = SqliteIncidents(opened.connection)
        memory.save_incidents([incident()], run_trace_id="first")
        plain = Memory()
        plain.save_incidents([incident()], run_trace_id="first")
        read: Incident = incident()
        for act in acts:
            if act == "read":
                read = memory.incidents()[0]
            elif act == "keep":
                memory.save_incidents([read], run_trace_id="run")
            else:
                memory.say(read.id, word(Said(act), hours=5))
                plain.say(read.id, word(Said(act), hours=5))
        [found], [expected] = memory.incidents(), plain.incidents()
        assert found.state in ACTIVE if expected.state in ACTIVE else found.state is expected.state
        assert found.muted_until == expected.muted_until
        assert (found.word and found.word.said) == (expected.word and expected.word.said)
        assert [one.said for one in memory.words(read.id)] == told
