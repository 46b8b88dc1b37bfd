"""The tool calls of agents as a log, from their stored spans."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.spans import EPOCH, chat, root, tool, trace_id

from analyzer.errors import NotFoundError
from analyzer.selfwatch.agents import calls_of
from analyzer.stores import spans
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.audit import Head, chained, digest, faults
from analyzer.types.messages import readable
from analyzer.types.trace import Status
from analyzer.types.trajectory import TrajectorySummary

DAY = timedelta(days=1)


def test_each_call_says_who_when_what_with_which_result(tmp_path: Path) -> None:
    """Actor, time, trajectory, span, step, tool, arguments, hash of the result, failure and cost, in their order."""
    with SqliteTrajectories(tmp_path / "s.db") as store:
        store.add(
            [
                root(1),
                chat(1, 2),
                tool(1, 3, at_s=3, agent="helper", cost_usd=0.25),
                tool(1, 4, at_s=4, input="free words", status=Status.ERROR),
                root(2, agent="other"),
                tool(2, 3),
            ]
        )
        found = list(calls_of(store, "shop", EPOCH, EPOCH + DAY))
        assert list(calls_of(store, "shop", EPOCH - DAY, EPOCH)) == []
    assert found[0] == {
        "actor": "helper",
        "at": (EPOCH + timedelta(seconds=3)).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "run": trace_id(1),
        "about": f"{3:016x}",
        "step": 2,
        "action": "tool.call",
        "name": "lookup_order",
        "arguments": {"order": "A-1"},
        "given": None,
        "returned": digest("no such order"),
        "failed": False,
        "tokens": None,
        "cost_usd": 0.25,
    }
    assert [(call["actor"], call["arguments"], call["failed"]) for call in found[1:]] == [("shop", "free words", True)]


def test_the_hash_of_a_long_result_is_of_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long trajectory shows the last entries of an array; the log speaks of the whole result."""
    monkeypatch.setattr(spans, "TRAJECTORY_CHARACTERS_MAX", 0)
    rows = json.dumps([{"row": number, "text": "x" * 500} for number in range(40)])
    with SqliteTrajectories(tmp_path / "s.db") as store:
        store.add([root(1), tool(1, 2, output=rows)])
        [found] = calls_of(store, "shop", EPOCH, EPOCH + DAY)
        shown = store.trajectory(trace_id(1)).span(f"{2:016x}")
        whole = store.span(trace_id(1), f"{2:016x}")
    assert len(shown.output) < len(whole.output) / 2
    assert found["returned"] == digest(readable(whole.output))


def test_many_come_in_order_and_one_that_is_gone_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trajectories are read some at a time; a log without the calls of one would look whole."""
    listed = SqliteTrajectories.summaries
    with SqliteTrajectories(tmp_path / "s.db") as store:
        store.add([one for number in range(1, 13) for one in (root(number, at_s=number), tool(number, 3, at_s=number))])
        ids = [trace_id(number) for number in range(1, 13)]
        assert [call["run"] for call in calls_of(store, "shop", EPOCH, EPOCH + DAY)] == ids

        def with_one_more(store: SqliteTrajectories, **asked: Any) -> list[TrajectorySummary]:
            found = listed(store, **asked)
            return [*found, replace(found[0], trace_id="f" * 32)]

        monkeypatch.setattr(SqliteTrajectories, "summaries", with_one_more)
        with pytest.raises(NotFoundError):
            list(calls_of(store, "shop", EPOCH, EPOCH + DAY))


def test_exported_they_are_a_chain(tmp_path: Path) -> None:
    """Chained as the analyst's own log is, so that a copy can be verified: a change in it is found."""
    with SqliteTrajectories(tmp_path / "s.db") as store:
        store.add([root(1), *(tool(1, number) for number in range(2, 8))])
        head, rows = Head(0, ""), []
        for call in calls_of(store, "shop", EPOCH, EPOCH + DAY):
            text, head = chained(head, call)
            rows.append((head.entries, text, head.hash))
    assert list(faults(rows)) == []
    for at, (number, text, kept) in itertools.islice(enumerate(rows), 3):
        changed = [*rows[:at], (number, text.replace("A-1", "A-2"), kept), *rows[at + 1 :]]
        assert [fault.number for fault in faults(changed)] == [number]
