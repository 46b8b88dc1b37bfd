"""What the state promises holds in every database that keeps it: the same calls give the same answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import postgres
from support.cli import analyzer
from support.incidents import NOW, incident
from support.threads import at_once

from analyzer.errors import NotFoundError, StoreBusyError, StoreError, TurnTakenError, UsageError
from analyzer.masking import Masker
from analyzer.stores import postgres as module
from analyzer.stores.audit import SqliteAudit
from analyzer.stores.database import Connection
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.postgres import PostgresState
from analyzer.stores.registered import SqliteRegistered
from analyzer.stores.spending import SqliteSpending
from analyzer.stores.state import StateDatabase
from analyzer.stores.threads import SqliteThreads
from analyzer.stores.turn import Process, alone, holder
from analyzer.types.audit import Act, Action
from analyzer.types.report import Incident, Kind, Severity, State
from analyzer.types.sent import Reason, Sent, Thread
from analyzer.types.spending import Allowance, Amount, Exhausted, Left, Scope
from analyzer.types.word import Said, Word

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
WIDE = Allowance(10**12, 10**6)
ELSEWHERE = Process("analyzer run", "far", 1, "another boot", "7")


def log_of(state: StateDatabase) -> SqliteAudit:
    """Return the log of a state."""
    return SqliteAudit(state, Masker(key=b"k" * 32), run="run-1", now=lambda: NOON)


def call(number: int) -> Act:
    """Return a tool call."""
    return Act(Action.TOOL_CALL, "inc-0000000001", "outline", {"page": number}, returned=f"page {number}")


def named(name: str, **fields: Any) -> Incident:
    """Return an incident by its id."""
    return replace(incident(), **({"id": f"inc-{name}"} | fields))


def sent(**fields: Any) -> Sent:
    """Return what was said of an incident."""
    figures = (("billing", 0.31), ("support", None))
    return replace(Sent(Reason.FIRST_SEEN, NOW, State.OPEN, Severity.HIGH, 0.31, Kind.COST, figures), **fields)


def test_incidents_are_kept_found_and_written_over(state: StateDatabase) -> None:
    """An incident is found by the beginning of its id, in its latest form; whatever its texts hold comes back."""
    memory = SqliteIncidents(state)
    first = named("00aa", title="50 % of 'calls'? \\ \"quoted\" \u00e9 \u4e2d \0", opened_at=NOW)
    memory.save_incidents([first, named("00bb", opened_at=NOW - timedelta(hours=1))], run_trace_id="run-1")
    assert [one.id for one in memory.incidents()] == ["inc-00aa", "inc-00bb"]
    assert memory.incident("00a") == first
    memory.save_incidents([replace(first, state=State.RESOLVED, resolved_at=NOW)], run_trace_id="run-2")
    assert [one.id for one in memory.incidents(active_only=True)] == ["inc-00bb"]
    assert memory.incident("inc-00aa").state is State.RESOLVED
    with pytest.raises(NotFoundError, match="inc-00 is the beginning of several incidents"):
        memory.incident("00")
    assert memory.latest_run_at() == first.last_seen_at


def test_what_humans_say_is_heard_and_stays(state: StateDatabase) -> None:
    """A word counts at once, a run hears it once, and the database itself refuses to change or delete it."""
    memory = SqliteIncidents(state)
    memory.save_incidents([named("00aa")], run_trace_id="run-1")
    said = memory.say("00aa", Word(0, Said.DISMISSED, NOW, "kim", "known", None))
    assert (said.state, said.heard) == (State.DISMISSED, 1)
    assert memory.incidents(active_only=True) == []
    memory.save_incidents([said], run_trace_id="run-2")
    assert memory.incident("00aa").heard == 1
    assert [(one.said, one.by, one.number) for one in memory.words("inc-00aa")] == [(Said.DISMISSED, "kim", 1)]
    for statement in ("UPDATE words SET who = 'x'", "DELETE FROM words"):
        with pytest.raises(StoreError, match="words stay as they were said"), state.writing() as raw:
            raw.execute(statement)
    assert len(memory.words("inc-00aa")) == 1


def test_what_was_sent_is_remembered_by_route(state: StateDatabase) -> None:
    """The last message about an incident on a route comes back whole, and so do a report and a thread."""
    memory = SqliteIncidents(state)
    memory.save_incidents([named("00aa")], run_trace_id="run-1")
    memory.record_sent("slack", {"inc-00aa": sent()})
    memory.record_sent("slack", {"inc-00aa": sent(at=NOW + timedelta(hours=1), kind=None, figures=())})
    assert memory.last_sent("inc-00aa", "slack") == sent(at=NOW + timedelta(hours=1), kind=None, figures=())
    assert memory.last_sent("inc-00aa", "mail") is None
    assert memory.sent_since("slack", NOW - timedelta(seconds=1))[0] == sent()
    with pytest.raises(StoreError, match="refused what was written"):
        memory.record_sent("slack", {"inc-gone": sent()})
    for number in (1, 2):
        memory.save_report("run-1", f'{{"form": {number}}}', f"form {number}", NOW)
    assert memory.latest_report() == ('{"form": 2}', "form 2")
    threads = SqliteThreads(state, "slack")
    for number in (1, 2):
        threads.keep("inc-00aa", Thread("#ops", "C1", f"{number}.0", "first"))
    assert threads.thread("inc-00aa") == Thread("#ops", "C1", "2.0", "first")


def test_owners_are_kept(state: StateDatabase) -> None:
    """What is said of an agent is written over, and what is left out stays."""
    book = SqliteRegistered(state, Masker(key=b"k" * 32))
    book.register("billing", NOW, owner="team-a", description="bills")
    book.register("billing", NOW, owner="team-b")
    assert book.owners() == {"billing": "team-b"}
    assert book.all()["billing"].description == "bills"


def test_budgets_are_common(state: StateDatabase) -> None:
    """What one run reserved the other cannot spend; what it used in the end counts from then on."""
    allowances = {Scope.DAY: Allowance(1_000, 1.0), Scope.RUN: WIDE, Scope.INVESTIGATION: WIDE}
    one, other = (SqliteSpending(state, allowances, run=run, now=lambda: NOON) for run in ("run-1", "run-2"))
    taken = one.reserve("inc-1", Amount(600, 0.4))
    assert isinstance(taken, int)
    assert isinstance(other.reserve("inc-1", Amount(600, 0.1)), Exhausted)
    one.settle(taken, Amount(300, 0.2))
    assert other.left() == Left(700, 0.8)
    assert isinstance(other.reserve("inc-1", Amount(600, None)), int)


def test_the_log_only_grows_and_verifies(state: StateDatabase) -> None:
    """The database refuses to change the log; what goes round the refusal is named by its entry."""
    log = log_of(state)
    log.write_all([call(number) for number in (1, 2, 3)])
    for statement in (
        "UPDATE audit SET entry = '{}' WHERE number = 2",
        "DELETE FROM audit",
        "DELETE FROM audit_texts",
        "DELETE FROM audit_head",
        "INSERT INTO audit (number, entry, hash) VALUES (9, '{}', 'x')",
    ):
        with pytest.raises(StoreError, match="the audit log"), state.writing() as raw:
            raw.execute(statement)
    assert (log.verify().faults, log.head().entries) == ((), 3)
    assert [one.number for one in log.entries(about="inc-00")] == [1, 2, 3]
    assert list(log.entries(run="run-2")) == []
    assert [one.number for one in log.entries(newest=2)] == [2, 3]
    assert log.text(next(log.entries()).document["returned"]) == "page 1"


@pytest.mark.parametrize("odd", ["a\0b", "a\ud800b", "a\udc00\ud800b", "\U0001f600 \\u0000 50% ?"])
def test_no_text_is_kept_out_of_the_log(state: StateDatabase, odd: str) -> None:
    """What no database holds as it is, a NUL or half a character, is a mark in its place; the log verifies."""
    log = log_of(state)
    log.write(Act(Action.TOOL_CALL, odd, odd, {odd: [odd]}, given={"messages": odd}, returned=odd))
    (entry,) = log.entries()
    seen = odd if "\U0001f600" in odd else re.sub("[\0\ud800\udc00]", "\ufffd", odd)
    assert (entry.document["about"], entry.document["name"]) == (seen, seen)
    assert entry.document["arguments"] == {seen: [seen]}
    assert [one.number for one in log.entries(about=seen)] == [1]
    assert log.verify().faults == ()


def test_an_incident_that_somebody_edited_is_found_out(state: StateDatabase) -> None:
    """What a run filed is held against the log: an edited incident and an edited report are named."""
    from analyzer.types.audit import canonical, digest
    from analyzer.types.document import incident_document

    memory, log, one = SqliteIncidents(state), log_of(state), named("00aa")
    filed = {"document_sha256": digest(canonical(incident_document(one)))}
    log.write(Act(Action.INCIDENT_FILED, one.id, "open", filed, returned=incident_document(one)))
    memory.save_incidents([one], run_trace_id="run-1")
    head = log.head()
    report = f'{{"run": {{"audit": {{"entries": {head.entries}, "hash": "{head.hash}"}}}}}}'
    memory.save_report("run-1", report, "text", NOW)
    kept = {"document_sha256": digest(report), "markdown_sha256": digest("text")}
    log.write(Act(Action.REPORT_FILED, "report", "1 incidents", kept))
    assert log.verify().faults == ()
    memory.save_incidents([replace(one, title="nothing to see")], run_trace_id="run-1")
    memory.save_report("run-1", report, "other", NOW)
    assert [fault.what for fault in log.verify().faults] == [
        "the incident inc-00aa is not in the store as entry 1 filed it",
        "the report of run run-1 is not in the store as entry 2 filed it",
    ]


def test_a_part_that_fails_is_undone_alone(state: StateDatabase) -> None:
    """Within a transaction what fails undoes itself, and the rest is kept; a failed whole keeps nothing."""
    log = log_of(state)
    with state.writing():
        log.write(call(1))
        with suppress(ZeroDivisionError), state.writing():
            log.write(call(2))
            raise ZeroDivisionError
        log.write(call(3))
    with suppress(ZeroDivisionError), state.writing():
        log.write(call(4))
        raise ZeroDivisionError
    assert [one.document["arguments"]["page"] for one in log.entries()] == [1, 3]


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["reserve", "settle", "left"]), st.sampled_from(["a", "b"]), st.integers(1, 400)),
    min_size=1,
    max_size=25,
)


@pytest.mark.server
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(OPERATIONS)
def test_both_databases_give_the_same_answers(tmp_path_factory, postgres_server: str, steps) -> None:
    """Whatever is reserved and settled in whatever order, SQLite and PostgreSQL answer alike."""
    folder = tmp_path_factory.mktemp("alike")
    allowances = {Scope.DAY: Allowance(1_500, 2.0), Scope.RUN: Allowance(900, 1.0), Scope.INVESTIGATION: WIDE}

    def answers(state: StateDatabase) -> list[object]:
        with closing(state):
            told: list[object] = []
            purses = {run: SqliteSpending(state, allowances, run=run, now=lambda: NOON) for run in ("a", "b")}
            for what, run, amount in steps:
                if what == "reserve":
                    told.append(purses[run].reserve("inc-1", Amount(amount, amount / 1_000)))
                elif what == "settle":
                    purses[run].settle(amount % 5 + 1, Amount(amount // 2, amount / 3_000))
                else:
                    told.append(purses[run].left())
            return told

    assert answers(PostgresState(postgres.database(postgres_server))) == answers(Connection(folder / "state.db"))


@pytest.mark.server
def test_instances_that_write_at_once_take_turns(database: str) -> None:
    """Four connections append to one log: nothing is lost, the chain is whole, and they may all make the schema."""
    failures: list[BaseException] = []

    def append() -> None:
        try:
            with closing(PostgresState(database)) as own:
                for number in range(20):
                    log_of(own).write(call(number))
        except BaseException as error:  # noqa: BLE001 - whatever it was, it is shown
            failures.append(error)

    at_once(append, 4)
    assert failures == []
    with closing(PostgresState(database)) as opened:
        verified = log_of(opened).verify()
    assert (verified.head.entries, verified.faults) == (80, ())


@pytest.mark.server
def test_a_reader_sees_one_moment(database: str) -> None:
    """What others write while somebody reads is seen by the next read."""
    with closing(PostgresState(database)) as one, closing(PostgresState(database)) as other:
        with one.reading() as raw:
            before = raw.execute("SELECT entries FROM audit_head").fetchone()
            log_of(other).write(call(1))
            assert raw.execute("SELECT entries FROM audit_head").fetchone() == before == (0,)
        assert log_of(one).head().entries == 1


@pytest.mark.server
def test_a_connection_that_was_lost_is_made_anew(database: str) -> None:
    """Where the server cut the connection between two transactions nobody notices; within one nothing is kept."""
    with closing(PostgresState(database)) as opened:
        log = log_of(opened)
        log.write(call(1))
        _cut(database)
        log.write(call(2))
        with pytest.raises(StoreError, match="terminating connection"):
            _write_while_cut(opened, database)
        assert log.head().entries == 2


def _write_while_cut(opened: PostgresState, database: str) -> None:
    with opened.writing() as raw:
        log_of(opened).write(call(3))
        _cut(database)
        raw.execute("SELECT 1")


def _cut(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as raw:
        raw.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.mark.server
def test_a_writer_waits_for_another_one_for_a_while(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who cannot write because another instance does is told so, and may try again."""
    monkeypatch.setattr(module, "_BOUNDS", "SET LOCAL lock_timeout = '100ms'")
    with closing(PostgresState(database)) as one, closing(PostgresState(database)) as other:
        with one.writing(), pytest.raises(StoreBusyError, match="is held by another process; try again"):
            log_of(other).write(call(1))
        log_of(other).write(call(1))


@pytest.mark.server
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda url: f"{url}_gone", "does not exist"),
        (lambda url: "postgresql://analyst:s3cret@127.0.0.1:9/state", "refused"),
    ],
    ids=["no database", "no server"],
)
def test_what_cannot_be_reached_is_said_without_a_password(
    database: str, change: Callable[[str], str], said: str
) -> None:
    """One line names the place and the next step, and never the password."""
    with pytest.raises(StoreError, match=said) as caught:
        PostgresState(change(database))
    told = str(caught.value)
    assert told.startswith("the state postgresql://127.0.0.1:")
    assert told.endswith("`analyzer doctor` checks it (ANALYZER_STATE)")
    assert "s3cret" not in told
    assert "\n" not in told


@pytest.mark.parametrize("url", ["postgresql://u:ge@heim@127.0.0.1:1/x", "postgresql://u:1/geheim@127.0.0.1:1/x"])
def test_a_password_that_is_not_escaped_is_not_repeated(url: str) -> None:
    """An @ or a slash of a password that is written as it is would make the rest of it a host or a database."""
    with pytest.raises(UsageError, match="%40") as raised:
        PostgresState(url)
    assert "heim" not in str(raised.value)


def test_a_url_that_is_none_is_not_repeated() -> None:
    """What is wrong with an address that may hold a password is said without it."""
    with pytest.raises(UsageError, match="ANALYZER_STATE: write it as postgresql://HOST:5432/DATABASE") as caught:
        PostgresState("postgresql://analyst:s3cret@[broken/state")
    assert "s3cret" not in str(caught.value)


@pytest.mark.server
def test_a_database_that_cannot_hold_every_text_is_refused(postgres_server: str) -> None:
    """A database of another encoding would fail at the first name it cannot write: it is refused when it is opened."""
    url = postgres.database(postgres_server, "SQL_ASCII")
    with pytest.raises(StoreError, match="cannot hold every text: its encoding is SQL_ASCII"):
        PostgresState(url)


@pytest.mark.server
def test_the_turn_is_one_for_all_who_share_the_state(database: str, tmp_path: Path) -> None:
    """A second instance does nothing while the first one runs, whatever its own store is, and says who does."""
    with alone(tmp_path / "a.db", state=database) as turn:
        assert turn is not None
        with (
            pytest.raises(TurnTakenError, match=r"another run over postgresql://127\.0\.0\.1:"),
            alone(tmp_path / "b.db", state=database),
        ):
            pass
    with alone(tmp_path / "b.db", state=database):
        pass
    with closing(PostgresState(database)) as opened:
        assert holder(opened) is None


@pytest.mark.server
def test_who_lost_its_turn_writes_nothing_more(database: str, tmp_path: Path) -> None:
    """Between a check and a write an instance may stand still: the write itself finds that the turn was taken."""
    with (
        closing(PostgresState(database)) as opened,
        alone(tmp_path / "a.db", state=database, me=ELSEWHERE, beat_s=60) as turn,
    ):
        assert turn is not None
        opened.fence = turn.fence
        log_of(opened).write(call(1))
        with alone(tmp_path / "b.db", state=database, watch_s=0.2), closing(PostgresState(database)) as other:
            with pytest.raises(StoreBusyError, match="this process stood still, and another run took its turn"):
                SqliteIncidents(opened).save_incidents([named("00aa")], run_trace_id="run-1")
            assert SqliteIncidents(other).incidents() == []
        with pytest.raises(StoreBusyError, match="another run took its turn"):
            turn.check()


@pytest.mark.server
def test_a_run_keeps_what_it_finds_in_the_shared_state(database: str, tmp_path: Path) -> None:
    """A run over one store is told of by an instance with another; without the database it ends in one line, exit 4."""
    here = {"ANALYZER_STATE": database, "ANALYZER_LLM": "off"}
    assert analyzer("run", "--store", str(tmp_path / "a.db"), env=here).code == 3
    told = analyzer("doctor", "--store", str(tmp_path / "b.db"), env=here).stdout
    assert re.search(r"ok +state +postgresql://127\.0\.0\.1:\d+/state_\w+: PostgreSQL \d", told)
    with closing(PostgresState(database)) as opened:
        assert SqliteIncidents(opened).latest_report() is not None
    gone = {**here, "ANALYZER_STATE": "postgresql://analyst:s3cret@127.0.0.1:9/state"}
    ended = analyzer("run", "--store", str(tmp_path / "a.db"), env=gone)
    assert ended.code == 4
    assert ended.stderr.startswith("analyzer: the state postgresql://127.0.0.1:9/state failed: connection failed")
    assert ended.stderr.count("\n") == 1
    assert "s3cret" not in ended.stderr
