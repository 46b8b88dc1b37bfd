"""The log in the store: appended to by everybody, changed by nobody, and whole after kill -9 and after pruning."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from support.spans import root

from analyzer.errors import NotFoundError, StoreError
from analyzer.stores.audit import SqliteAudit
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.audit import Act, Action, Anchor, Head, digest

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
OF_2 = "(SELECT json_extract(entry, '$.returned') FROM audit WHERE number = 2)"
TRIGGERS = (
    *("audit_stays", "audit_keeps", "audit_texts_stay", "audit_texts_keep", "audit_follows", "audit_grows"),
    *("audit_head_keeps", "words_keep"),
)


def log_of(store: SqliteTrajectories, **options: object) -> SqliteAudit:
    """Return the log of a store."""
    return SqliteAudit(store.connection, store.masker, **({"run": "run-1", "now": lambda: NOON} | options))


def call(number: int, **changes: object) -> Act:
    """Return a tool call."""
    given = {"arguments": {"page": number}, "returned": f"page {number}", "tokens": None, "cost_usd": None}
    return Act(Action.TOOL_CALL, "inc-0000000001", "outline", **(given | changes))


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """Return a store with a log of six entries."""
    path = tmp_path / "store.db"
    with SqliteTrajectories(path) as store:
        for number in range(1, 7):
            log_of(store).write(call(number))
    return path


def faults_of(path: Path, *anchors: Anchor) -> list[str]:
    """Return what is wrong with the log of a store."""
    with SqliteTrajectories(path) as store:
        return [f"{fault.number}: {fault.what}" for fault in log_of(store).verify(anchors).faults]


def test_an_entry_says_who_did_what_when_and_what_came_of_it(store: SqliteTrajectories) -> None:
    """Time, actor, run, incident, tool, arguments, hashes of what went in and came out, and cost stand in it."""
    log = log_of(store, actor="analyzer 1.2.3")
    log.write(call(1, given="opening", failed=True, tokens=12, cost_usd=0.5))
    [entry] = log.entries()
    assert entry.document == {
        "number": 1,
        "previous": "",
        "at": "2026-11-20T12:00:00.000000Z",
        "actor": "analyzer 1.2.3",
        "run": "run-1",
        "about": "inc-0000000001",
        "action": "tool.call",
        "name": "outline",
        "arguments": {"page": 1},
        "given": digest("opening"),
        "returned": digest("page 1"),
        "failed": True,
        "tokens": 12,
        "cost_usd": 0.5,
    }
    assert entry.hash == digest(entry.text)
    assert log.text(digest("page 1")) == "page 1"
    assert log.head() == Head(1, entry.hash)


def test_nothing_of_the_log_can_be_changed_or_deleted(filled: Path) -> None:
    """SQLite itself refuses to change, delete, replace or slip in an entry or a text of it."""
    statements = (
        "UPDATE audit SET entry = '{}' WHERE number = 3",
        "DELETE FROM audit WHERE number = 6",
        "INSERT OR REPLACE INTO audit (number, entry, hash) VALUES (3, '{}', 'x')",
        "INSERT INTO audit (number, entry, hash) VALUES (9, '{}', 'x')",
        "UPDATE audit_texts SET body = x'00'",
        "DELETE FROM audit_texts",
        "DELETE FROM audit_head",
    )
    with closing(sqlite3.connect(filled)) as raw:
        for statement in statements:
            with pytest.raises(sqlite3.IntegrityError, match="the audit log"):
                raw.execute(statement)
    assert faults_of(filled) == []


def untriggered(path: Path, *statements: str) -> None:
    """Do what somebody does who knows SQLite: take the triggers away first."""
    with closing(sqlite3.connect(path)) as raw:
        for name in TRIGGERS:
            raw.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            raw.execute(statement)
        raw.commit()


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (
            ["UPDATE audit SET entry = replace(entry, 'outline', 'search') WHERE number = 3"],
            ["3: entry 3 was changed: its hash is not that of its text"],
        ),
        (["DELETE FROM audit WHERE number = 4"], ["4: entry 4 is missing"]),
        (
            ["DELETE FROM audit WHERE number >= 5"],
            ["5: entries 5 to 6 are missing at the end: the store's own count has seen them"],
        ),
        (
            ["UPDATE audit SET number = -2 WHERE number = 2", "UPDATE audit SET number = 2 WHERE number = 3",
             "UPDATE audit SET number = 3 WHERE number = -2"],
            ["2: entry 3 stands in the place of entry 2: entries were moved",
             "3: entry 2 stands in the place of entry 3: entries were moved",
             "4: entry 4 does not follow entry 3: one of them was replaced"],
        ),
        (
            [f"DELETE FROM audit_texts WHERE hash = {OF_2}"],  # noqa: S608 - own names
            ["2: what entry 2 refers to as returned is gone"],
        ),
        (
            [f"UPDATE audit_texts SET body = CAST('ppage 9' AS BLOB) WHERE hash = {OF_2}"],  # noqa: S608 - own names
            ["2: what entry 2 refers to as returned was changed"],
        ),
        (
            ["DELETE FROM audit_head"],
            ["6: the store's own count of entries is gone: whether later ones were cut off cannot be told"],
        ),
        (
            ["UPDATE audit_head SET entries = 'many'"],
            ["6: the store's own count of entries is gone: whether later ones were cut off cannot be told"],
        ),
    ],
    ids=["edit", "remove", "tail", "move", "text gone", "text changed", "count gone", "count no number"],
)  # fmt: skip
def test_what_was_tampered_with_is_named(filled: Path, statements: list[str], said: list[str]) -> None:
    """With the triggers taken away the log can be written over, and verification names the entry."""
    untriggered(filled, *statements)
    assert faults_of(filled) == said


def test_a_tail_cut_off_with_the_count_is_seen_by_the_reports(filled: Path) -> None:
    """Whoever also sets back the store's count is betrayed by the heads in stored reports, and by any anchor."""
    with SqliteTrajectories(filled) as store:
        head = log_of(store).head()
    document = f'{{"run": {{"audit": {{"entries": 6, "hash": "{head.hash}"}}}}}}'
    with closing(sqlite3.connect(filled)) as raw:
        raw.execute("INSERT INTO reports (run, at, document, markdown) VALUES ('run-1', '2026', ?, '')", (document,))
        raw.commit()
    untriggered(
        filled,
        "DELETE FROM audit WHERE number > 4",
        "UPDATE audit_head SET entries = 4, hash = (SELECT hash FROM audit WHERE number = 4)",
    )
    assert faults_of(filled) == ["5: entries 5 to 6 are missing at the end: the report of run run-1 has seen them"]
    with closing(sqlite3.connect(filled)) as raw:
        raw.execute("DELETE FROM reports")
        raw.commit()
    assert faults_of(filled) == []
    assert faults_of(filled, Anchor("a.json", head)) == [
        "5: entries 5 to 6 are missing at the end: a.json has seen them"
    ]


def test_secrets_do_not_reach_the_log(store: SqliteTrajectories) -> None:
    """Arguments, texts and documents are masked on the way in: no byte of the file holds a secret."""
    secret = "sk-ant-api03-" + "Qk7zR2mV9xWb4LpT8sYd" * 2
    log = log_of(store)
    log.write(
        Act(
            Action.TOOL_CALL,
            "inc-1",
            "search",
            {"text": secret, "deep": [{"api_key": "hunter2hunter2"}]},
            given=f"look for {secret}",
            returned={"hit": secret},
        )
    )
    [entry] = log.entries()
    texts = [entry.text, *(log.text(entry.document[role]) for role in ("given", "returned"))]
    assert not any(secret in text or "hunter2" in text for text in texts)
    assert all("<secret:" in text for text in texts)


def test_long_arguments_are_kept_as_a_text(store: SqliteTrajectories) -> None:
    """What a model writes into a call without end does not stand in the list of entries, but can be read."""
    log = log_of(store)
    log.write(call(1, arguments={"text": "word " * 5_000}))
    [entry] = log.entries()
    assert entry.document["arguments"] == {}
    assert "word word" in log.text(entry.document["given"])
    assert len(entry.text) < 1_000


def _append(path: Path, number: int, entries: int) -> None:
    with SqliteTrajectories(path) as store:
        for index in range(entries):
            log_of(store, run=f"run-{number}").write(call(index))


def test_processes_that_write_at_once_make_one_chain(tmp_path: Path) -> None:
    """Four processes append to the same log: nothing is lost, and the chain is whole."""
    path = tmp_path / "store.db"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_append, args=(path, number, 25)) for number in (1, 2, 3, 4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(100)
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    assert faults_of(path) == []
    with SqliteTrajectories(path) as store:
        runs = [entry.document["run"] for entry in log_of(store).entries()]
    assert sorted(runs) == sorted(f"run-{number}" for number in (1, 2, 3, 4) for _ in range(25))


def _append_until(path: Path, stopped: Event) -> None:
    with SqliteTrajectories(path) as store:
        number = 0
        while not stopped.is_set():
            number += 1
            log_of(store).write(call(number, returned=f"a later page {number}"))


def test_a_log_that_others_append_to_is_whole_while_it_is_verified(filled: Path) -> None:
    """Everything is read at one moment: a text that came with a later entry is not missed."""
    context = multiprocessing.get_context("spawn")
    stopped = context.Event()
    writer = context.Process(target=_append_until, args=(filled, stopped))
    writer.start()
    try:
        with SqliteTrajectories(filled) as store:
            log = log_of(store)
            # So many that others append several while they are read.
            log.write_all([call(number) for number in range(1_500)])
            long = log.head().entries
            until = time.monotonic() + 60
            while log.head().entries < long + 5 and time.monotonic() < until:
                time.sleep(0.01)
            seen = [log.verify() for _ in range(4)]
    finally:
        stopped.set()
        writer.join(60)
    assert [one.faults for one in seen] == [()] * 4
    assert seen[-1].head.entries > seen[0].head.entries >= long + 5


def test_without_its_own_count_the_log_takes_no_entry(filled: Path) -> None:
    """Where somebody deleted the count, whoever would append or read the head is told what to do."""
    untriggered(filled, "DELETE FROM audit_head")
    with SqliteTrajectories(filled) as store:
        log = log_of(store)
        for work in (log.head, lambda: log.write(call(7))):
            with pytest.raises(StoreError, match="the log's own count is gone from the store; run `analyzer audit ver"):
                work()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork to kill a process that writes")
def test_killed_while_it_writes_the_log_is_whole_and_goes_on(tmp_path: Path) -> None:
    """After kill -9 at any moment every entry is there whole or not at all, and the next process appends to it."""
    path = tmp_path / "store.db"
    SqliteTrajectories(path).close()
    before = 0
    for round_ in range(8):
        child = os.fork()
        if child == 0:
            _append(path, round_, 100_000)
            os._exit(0)
        time.sleep(0.25 + 0.013 * round_)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert faults_of(path) == []
        with SqliteTrajectories(path) as store:
            log_of(store).write(call(round_))
            head = log_of(store).head()
        assert head.entries > before
        before = head.entries
    assert faults_of(path) == []


def test_pruning_leaves_the_log_alone(filled: Path) -> None:
    """Retention deletes trajectories, never the log: it is whole afterwards, with all its texts."""
    with SqliteTrajectories(filled) as store:
        store.add([root(1, at_s=0)])
        done = store.prune(datetime(2030, 1, 1, tzinfo=UTC))
        assert done.trajectories == 1
        assert log_of(store).text(digest("page 6")) == "page 6"
        assert log_of(store).head().entries == 6
    assert faults_of(filled) == []


def test_entries_are_chosen_by_incident_and_run(store: SqliteTrajectories) -> None:
    """A beginning of an incident's or a run's id is enough; the newest so many come in their order."""
    log = log_of(store)
    for number, about in enumerate(("inc-aa1", "inc-aa2", "inc-bb1"), 1):
        log.write(Act(Action.TOOL_CALL, about, f"t{number}"))
    log_of(store, run="run-2").write(Act(Action.TOOL_CALL, "inc-aa1", "t4"))

    def names(**which: object) -> list[str]:
        return [entry.document["name"] for entry in log.entries(**which)]

    assert names(about="inc-aa") == ["t1", "t2", "t4"]
    assert names(about="inc-aa", run="run-1") == ["t1", "t2"]
    assert names(newest=2) == ["t3", "t4"]
    assert names(about="inc-aa1", newest=1) == ["t4"]
    assert names(about="nobody") == []


def test_an_incident_is_given_back_as_it_was_filed(store: SqliteTrajectories) -> None:
    """The latest form of an incident, or that of a run; one that is not there, or was changed, is an error."""
    log = log_of(store)
    for run, state in (("run-1", "open"), ("run-2", "ongoing")):
        filed = Act(Action.INCIDENT_FILED, "inc-aa1", state, returned={"id": "inc-aa1", "state": state})
        log_of(store, run=run).write(filed)
    assert log.filed("aa")[1]["state"] == "ongoing"
    assert log.filed("inc-aa1", run="run-1")[1]["state"] == "open"
    with pytest.raises(NotFoundError, match="the log has no incident inc-bb"):
        log.filed("bb")
    untriggered(store.connection.path, "UPDATE audit_texts SET body = CAST('p{}' AS BLOB)")
    with pytest.raises(StoreError, match="was changed; run `analyzer audit verify`"):
        log.filed("aa")


def writes(work: Callable[[], None]) -> bool:
    """Tell whether some work was possible."""
    try:
        work()
    except StoreError:
        return False
    return True


def test_what_cannot_be_written_is_an_error(store: SqliteTrajectories) -> None:
    """A log that cannot take an entry says so: whoever acts must not go on unrecorded."""
    log = log_of(store)
    with closing(sqlite3.connect(store.connection.path)) as raw:
        raw.execute("DROP TABLE audit")
        raw.commit()
    assert not writes(lambda: log.write(call(1)))
