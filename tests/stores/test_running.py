"""What runs at a moment, now or in the past."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from support.spans import EPOCH, chat, ns, root, tool, trace_id

from analyzer.stores import running
from analyzer.stores.recalled import RecallingTrajectories
from analyzer.stores.trajectories import SqliteTrajectories


def test_what_runs_is_told_as_it_stood(tmp_path: Path) -> None:
    """Before its root has arrived a trajectory runs; asked about the past, only what had ended by then counts."""
    store = SqliteTrajectories(tmp_path / "store.db")
    store.add([chat(1, 2, at_s=10), tool(1, 3, at_s=20), chat(1, 4, at_s=400), root(1, at_s=0, lasts_s=500)])
    store.add([chat(2, 2, at_s=100, agent="shop"), chat(2, 3, at_s=10_000, agent="shop")])

    def seen(at_s: float) -> list[tuple[str, int, int]]:
        found = store.running(EPOCH + timedelta(seconds=at_s))
        return [(one.summary.trace_id, one.summary.steps, one.seen_ns) for one in found]

    assert seen(5) == []
    assert seen(30) == [(trace_id(1), 2, ns(20.5))]
    assert seen(300) == [(trace_id(1), 2, ns(20.5)), (trace_id(2), 1, ns(101))]
    assert seen(501) == [(trace_id(2), 1, ns(101))]
    assert seen(20_000) == [(trace_id(2), 2, ns(10_001))]
    assert seen(8 * 86_400) == []


def test_what_fell_silent_takes_no_place_of_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many began before and were lost, as many as may be are looked at of those that still say something."""
    monkeypatch.setattr(running, "RUNNING_MAX", 1)
    at = EPOCH + timedelta(days=3)
    with SqliteTrajectories(tmp_path / "store.db") as store:
        store.add([chat(number, 2, at_s=10 * number) for number in range(1, 4)])
        assert store.running(at) == []
        store.add([chat(9, 2, at_s=2.9 * 86_400)])
        assert [one.summary.trace_id for one in store.running(at)] == [trace_id(9)]
    with RecallingTrajectories(tmp_path / "store.db", read_only=True) as recalling:
        monkeypatch.setattr("analyzer.stores.columns.RUNNING_MAX", 1)
        assert [one.summary.trace_id for one in recalling.running(at)] == [trace_id(9)]
