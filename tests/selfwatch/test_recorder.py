"""The analyst's own trajectory."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from analyzer.selfwatch.recorder import Recorder
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import Operation, Outcome, Span, Status, Tokens


class _Kept:
    """Remembers spans in the order in which they were kept."""

    def __init__(self, failing: bool = False) -> None:
        self.spans: list[Span] = []
        self.failing = failing
        self.failures: list[Exception] = []

    def keep(self, spans: Iterable[Span]) -> None:
        """Keep or fail."""
        if self.failing:
            raise OSError("disk full")
        self.spans += spans

    def recorder(self) -> Recorder:
        """Return a recorder that keeps here."""
        return Recorder(self.keep, version="1.2", on_failure=self.failures.append)


def test_what_is_told_when_it_has_ended_keeps_its_beginning() -> None:
    """A call whose end another thread hears is recorded then, with the time at which it began."""
    kept = _Kept()
    recorder = kept.recorder()
    with recorder.span("root", Operation.AGENT), recorder.span("chat", Operation.CHAT, start_ns=5) as mark:
        mark.set(output="done")
    chat, root = kept.spans
    assert (chat.start_ns, chat.output, chat.attributes) == (5, "done", {})
    assert root.start_ns is not None
    assert root.start_ns > 5


def test_nested_work_becomes_nested_spans_of_one_trajectory(tmp_path: Path) -> None:
    """A run is a trajectory like any other: root, phases, model calls with tokens, tool calls."""
    store = SqliteTrajectories(tmp_path / "own.db")
    recorder = Recorder(store.add, version="1.2", on_failure=pytest.fail)
    with (
        recorder.span("invoke_agent analyzer", Operation.AGENT),
        recorder.span("investigate"),
        recorder.span("chat m", Operation.CHAT, model="m") as mark,
    ):
        mark.set(tokens=Tokens(10, 5), cost_usd=0.5, incident="inc-1")
    trajectory = store.trajectory(recorder.trace_id)
    root, phase, inference = trajectory.spans
    store.close()
    assert (root.parent_id, phase.parent_id, inference.parent_id) == (None, root.span_id, phase.span_id)
    assert inference.attributes == {"incident": "inc-1"}
    assert (trajectory.summary.agent, trajectory.summary.version, trajectory.summary.cost_usd) == (
        "analyzer",
        "1.2",
        0.5,
    )
    assert trajectory.summary.outcome is Outcome.SUCCESS


def test_an_exception_marks_every_open_span_and_is_not_swallowed() -> None:
    """What failed says so in the trace, and the caller sees the exception."""
    kept = _Kept()
    recorder = kept.recorder()
    with pytest.raises(ValueError, match="bad"), recorder.span("run"), recorder.span("phase"):
        raise ValueError("bad")
    assert [(span.name, span.status, span.error_type) for span in kept.spans] == [
        ("phase", Status.ERROR, "ValueError"),
        ("run", Status.ERROR, "ValueError"),
    ]


def test_a_finished_phase_is_kept_before_the_run_ends() -> None:
    """A run that is killed leaves the phases it finished."""
    kept = _Kept()
    recorder = kept.recorder()
    with recorder.span("run"):
        with recorder.span("collect"), recorder.span("query"):
            pass
        assert [span.name for span in kept.spans] == ["query", "collect"]


def test_work_in_another_thread_belongs_to_the_run() -> None:
    """A worker thread, which starts without a context, still reports below the root."""
    kept = _Kept()
    recorder = kept.recorder()

    def work() -> None:
        with recorder.span("tool", Operation.TOOL, tool="search"):
            pass

    with recorder.span("run"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    tool, root = kept.spans
    assert (tool.parent_id, tool.trace_id) == (root.span_id, root.trace_id)


def test_a_store_that_fails_does_not_stop_the_run() -> None:
    """What could not be recorded is told, and the work goes on."""
    kept = _Kept(failing=True)
    with kept.recorder().span("run"):
        pass
    assert [str(error) for error in kept.failures] == ["disk full"]
