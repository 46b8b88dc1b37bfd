"""Retention: old trajectories go with everything only they referred to, and nothing else goes."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.incidents import incident
from support.spans import EPOCH, chat, history, root, trace_id
from support.stores import dangling, run

from analyzer.stores import retention
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.report import State


def test_what_ended_before_goes_and_the_rest_stays(store: SqliteTrajectories) -> None:
    """Trajectories that ended before the moment are gone with their texts; the others read as before."""
    for number in range(1, 7):
        store.add(run(number, number * 100))
    before = [store.trajectory(trace_id(number)) for number in (4, 5, 6)]
    done = store.prune(EPOCH + timedelta(seconds=400))
    assert (done.trajectories, done.spans, done.kept) == (3, 18, 0)
    assert done.text_bytes > 0
    assert [one.trace_id for one in store.summaries()] == [trace_id(6), trace_id(5), trace_id(4)]
    assert [store.trajectory(trace_id(number)) for number in (4, 5, 6)] == before
    assert dangling(store) == [set(), set(), set(), []]
    assert store.search("run 1 says") == []
    assert store.prune(EPOCH + timedelta(seconds=400)).trajectories == 0


def test_what_an_open_incident_names_is_kept(store: SqliteTrajectories) -> None:
    """Trajectories that an open incident names stay until it is over; incidents themselves stay for ever."""
    memory = SqliteIncidents(store.connection)
    for number in (1, 2, 3):
        store.add(run(number, number * 100))
    open_one = incident(id="inc-1", state=State.OPEN, trace_ids=(trace_id(1),))
    over = incident(id="inc-2", state=State.RESOLVED, trace_ids=(trace_id(2),))
    memory.save_incidents([open_one, over], run_trace_id="a" * 32)
    done = store.prune(EPOCH + timedelta(days=1))
    assert (done.trajectories, done.kept) == (2, 1)
    assert [one.trace_id for one in store.summaries()] == [trace_id(1)]
    assert {one.id for one in memory.incidents()} == {"inc-1", "inc-2"}


def test_the_file_becomes_smaller(store: SqliteTrajectories) -> None:
    """Deleted pages go back to the file system, without rewriting the whole file."""
    chance = Random(1)  # noqa: S311 - text that does not pack
    for number in range(1, 40):
        noise = " ".join(str(chance.getrandbits(64)) for _ in range(2000))
        store.add([root(number, at_s=number, output=noise)])
    done = store.prune(EPOCH + timedelta(days=1))
    assert done.file_bytes_after < done.file_bytes_before / 4
    assert store.stats().spans == 0


def test_another_writer_does_not_refer_to_what_was_deleted(tmp_path: Path) -> None:
    """A process that had texts in its caches stores them again after another process deleted them."""
    first, second = SqliteTrajectories(tmp_path / "store.db"), SqliteTrajectories(tmp_path / "store.db")
    first.add(run(1, 0))
    second.prune(EPOCH + timedelta(seconds=50))
    first.add(run(2, 100))
    second.add(run(3, 100))
    first.add([chat(2, 30, at_s=105, input=history("the same policy for everybody", "something new"))])
    expected = SqliteTrajectories(tmp_path / "expected.db")
    expected.add(run(2, 100))
    for store in (first, second):
        assert store.trajectory(trace_id(3)).summary.spans == 6
        assert store.span(trace_id(2), f"{4:016x}") == expected.span(trace_id(2), f"{4:016x}")
    assert dangling(first) == [set(), set(), set(), []]
    for store in (first, second, expected):
        store.close()


def test_a_pass_that_was_stopped_is_finished_by_the_next(tmp_path: Path, monkeypatch) -> None:
    """Stopped between any two steps, the store is whole, and the next pass leaves no text that nothing refers to."""
    for step in ("_delete_trajectories", "_mark_spans", "_sweep_nodes", "_sweep_blocks", "_shrink"):
        with SqliteTrajectories(tmp_path / f"{step}.db") as store:
            for number in range(1, 5):
                store.add(run(number, number * 100))
            with monkeypatch.context() as patch:
                patch.setattr(retention, step, _stopped)
                with pytest.raises(KeyboardInterrupt):
                    store.prune(EPOCH + timedelta(seconds=300))
            assert store.trajectory(trace_id(4)).summary.spans == 6
            store.add(run(5, 500))
            store.prune(EPOCH + timedelta(seconds=300))
            assert dangling(store) == [set(), set(), set(), []]


def _stopped(*_arguments: object) -> None:
    raise KeyboardInterrupt


def test_a_writer_works_on_while_old_trajectories_are_deleted(tmp_path: Path, monkeypatch) -> None:
    """While one connection deletes in small steps another writes, and both leave a whole store."""
    for name in ("_SPANS_AT_ONCE", "_TRAJECTORIES_AT_ONCE", "_NODES_AT_ONCE", "_BLOCKS_AT_ONCE"):
        monkeypatch.setattr(retention, name, 5)
    pruner, writer = SqliteTrajectories(tmp_path / "store.db"), SqliteTrajectories(tmp_path / "store.db")
    for number in range(1, 60):
        writer.add(run(number, number * 10))
    thread = threading.Thread(target=pruner.prune, args=(EPOCH + timedelta(seconds=300),))
    thread.start()
    for number in range(60, 100):
        writer.add(run(number, number * 10))
    thread.join(60)
    assert {one.trace_id for one in writer.summaries(limit=1000)} == {trace_id(number) for number in range(29, 100)}
    assert all(store.trajectory(trace_id(99)).summary.spans == 6 for store in (pruner, writer))
    needed_and_missing, _, _, _ = dangling(writer)
    assert needed_and_missing == set()
    pruner.close()
    writer.close()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_retention_is_as_if_the_rest_had_been_written_alone(tmp_path: Path, seed: int) -> None:
    """Whatever was written in whatever batches, what is left after a pass reads as if it alone had ever been there."""
    chance = Random(seed)  # noqa: S311 - a seeded shuffle
    spans = [span for number in range(1, 7) for span in run(number, number * 100, shared=f"policy {number % 2}")]
    chance.shuffle(spans)
    size = chance.randint(1, 12)
    cut = chance.randint(0, 7)
    pruned, alone = (SqliteTrajectories(tmp_path / f"{name}-{seed}.db") for name in ("pruned", "alone"))
    for start in range(0, len(spans), size):
        pruned.add(spans[start : start + size])
    pruned.prune(EPOCH + timedelta(seconds=cut * 100 + 50))
    left = [number for number in range(1, 7) if number > cut]
    for number in left:
        alone.add(run(number, number * 100, shared=f"policy {number % 2}"))
    ids = [trace_id(number) for number in left]
    assert [pruned.trajectory(one) for one in ids] == [alone.trajectory(one) for one in ids]
    assert dangling(pruned) == [set(), set(), set(), []]
    pruned.close()
    alone.close()
