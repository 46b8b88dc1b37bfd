"""Spans out of the store: with the texts that belong to them, and no more than is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.spans import chat, history, root, tool, trace_id

from analyzer.render.trajectory import trajectory_view
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import Status, Tokens


@pytest.fixture
def store(tmp_path: Path):
    """Return a store with a run that two libraries report: the SDK's spans hold tokens, those around them words."""
    words = {"input": history("hello"), "output": history("", "let me look"), "system": "be kind"}
    operations = json.dumps([{"op": "add", "path": "/a"}, {"op": "remove", "path": "/b"}])
    with SqliteTrajectories(tmp_path / "s.db") as opened:
        opened.add(
            [
                root(1, input="find it", output="found", attributes={"team": "shop"}),
                chat(1, 2, at_s=1, tokens=None, cost_usd=None, **words),
                chat(1, 3, at_s=1.1, lasts_s=0.5, parent_id=f"{2:016x}", tokens=Tokens(100, 20)),
                tool(1, 4, at_s=3, tool="patch", input=operations),
                tool(1, 5, at_s=4, status=Status.ERROR, status_message="no such order"),
            ]
        )
        yield opened


def test_a_span_alone_is_the_span_of_its_trajectory(store: SqliteTrajectories) -> None:
    """A call whose words only another library reports has them, however it is asked for."""
    whole = store.trajectory(trace_id(1))
    assert whole.span(f"{3:016x}").system == "be kind"
    assert [store.span(span.trace_id, span.span_id) for span in whole.spans] == list(whole.spans)


def test_steps_hold_all_arguments(store: SqliteTrajectories) -> None:
    """Arguments that are a list of objects are read whole; only of a conversation the last message is enough."""
    assert store.steps([trace_id(1)])[trace_id(1)] == store.trajectory(trace_id(1)).steps


def test_an_outline_draws_the_same(store: SqliteTrajectories) -> None:
    """What is read for a drawing leaves out what a drawing does not show, and nothing else."""
    whole, outline = store.trajectory(trace_id(1)), store.outline(trace_id(1))
    assert trajectory_view(outline) == trajectory_view(whole)
    assert outline.summary == whole.summary == store.summary(trace_id(1))
    assert {(span.system, span.tool_definitions) for span in outline.spans} == {(None, None)}
    assert not any(span.attributes or span.resource or span.events for span in outline.spans)
