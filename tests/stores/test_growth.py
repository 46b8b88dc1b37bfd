"""Trajectories that grow are not read back at every batch, however long one is, within bounds."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.spans import chat, root, trace_id

from analyzer.stores import growth
from analyzer.stores.trajectories import SqliteTrajectories


@pytest.mark.parametrize(("one_max", "read_back"), [(100, 0), (20, 3)])
def test_the_run_that_grew_last_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_max: int, read_back: int
) -> None:
    """A run that is longer than what is kept of several stays in memory alone, up to a bound of its own."""
    monkeypatch.setattr(growth, "_SPANS_MAX", 10)
    monkeypatch.setattr(growth, "_ONE_MAX", one_max)
    asked: list[str] = []
    with SqliteTrajectories(tmp_path / "s.db") as store:
        store.add([root(1), *(chat(1, number, at_s=number) for number in range(2, 41))])
        store.add([chat(1, 50, at_s=50)])
        store.connection.raw.set_trace_callback(asked.append)
        for number in (51, 52, 53):
            store.add([chat(1, number, at_s=number)])
        store.connection.raw.set_trace_callback(None)
        assert (
            sum("FROM spans WHERE trajectory" in one and "SELECT span_id, parent_id" in one for one in asked)
            == read_back
        )
        assert store.trajectory(trace_id(1)).summary.inferences == 43
