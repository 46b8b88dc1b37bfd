"""`analyzer replay` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.cli import Ended, analyzer
from support.spans import chat, root, tool, trace_id

from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import FinishReason, Span

TOOLS = [{"name": "lookup_order", "description": "Look it up.", "input_schema": {"type": "object"}}]
ASKED = {"type": "tool_use", "id": "c1", "name": "lookup_order", "input": {"order": "A-1"}}
USER = {"role": "user", "content": "where is A-1?"}


def first_call(number: int, **fields: Any) -> Span:
    """Return a model call that asks for a tool, of which everything was recorded."""
    return chat(
        number,
        2,
        **{
            "system": "be brief",
            "parameters": "max_tokens=64 temperature=0.2",
            "tool_definitions": json.dumps(TOOLS),
            "input": json.dumps([USER]),
            "output": json.dumps([{"role": "assistant", "content": [ASKED]}]),
            "finish": FinishReason.TOOL_CALL,
            **fields,
        },
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store with one run recorded whole, and one with little of it."""
    path = tmp_path / "store.db"
    whole = (root(1, agent_version="1.4.0"), first_call(1), tool(1, 3, tool_call_id="c1"))
    poor = (
        root(2),
        first_call(2, tool_definitions=None, system="write to joe@example.com"),
        tool(2, 3, output=None),
        chat(2, 4, at_s=4, parameters="max_tokens=64", system="x", finish=FinishReason.STOP),
    )
    with SqliteTrajectories(path) as trajectories:
        trajectories.add(whole)
        trajectories.add(poor)
    return path


def replay(store: Path, *arguments: str, **env: str) -> Ended:
    """Run `analyzer replay`."""
    return analyzer("replay", *arguments, "--store", str(store), env=env)


def test_a_whole_recording_is_said_to_be_whole(store: Path) -> None:
    """What there is to work with, and that nothing is missing."""
    ended = replay(store, trace_id(1), "--check")
    assert ended.code == 0
    assert ended.stdout == (
        f"Replay of {trace_id(1)}\n{'=' * 42}\n\n"
        "shop 1.4.0: model calls 1, of which 1 can be sent again and judged; tool results 1 of 1.\n\n"
        "Nothing that a replay needs is missing.\n"
    )


def test_what_is_missing_is_said_once_with_its_steps_and_costs(store: Path) -> None:
    """Each thing that is missing has its steps and the price of its absence; masked texts are said to be pseudonyms."""
    ended = replay(store, trace_id(2), "--check", "--json")
    assert ended.code == 0
    found = json.loads(ended.stdout)
    assert found["schema"] == "analyzer.replay-check/1"
    assert [(one["what"], one["step"]) for one in found["missing"]] == [
        ("messages", 3),
        ("decision", 3),
        ("tool definitions", None),
        ("tool result", None),
        ("masked texts", None),
    ]
    assert found["can_be_sent"] == []
    assert found["executions"] == [
        {"step": 2, "tool": "lookup_order", "call_id": "c1", "result": False, "failed": False}
    ]
    assert "<email:" in found["missing"][-1]["costs"]
    text = replay(store, trace_id(2), "--check").stdout
    assert "- messages (step 3): the call cannot be sent again" in " ".join(text.split())


def test_a_replay_says_what_it_can_be_asked_for(store: Path) -> None:
    """Without a word on what to do nothing is done; a trajectory that is not there is named."""
    ended = replay(store, trace_id(1))
    assert (ended.code, ended.stdout) == (2, "")
    assert "--check" in ended.stderr
    assert replay(store, "beef", "--check").code == 2
