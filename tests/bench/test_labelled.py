"""Labelled logs: which message is which step, and that no label is imported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from _labelled import Labelled, load, message_of, place_of, text_of
from support.stored import call

from analyzer.stores.trajectories import SqliteTrajectories

LOG = {
    "question": "How many?",
    "is_correct": False,
    "mistake_agent": "Worker",
    "mistake_step": "2",
    "mistake_reason": "counted twice",
    "history": [
        {"role": "human", "content": "How many?"},
        {"role": "Boss (-> Worker)", "content": "Count them."},
        {"role": "Worker", "content": "There are nine."},
        {"role": "Boss (thought)", "content": "Nine it is."},
    ],
}
CHAT = [
    {"role": "system", "content": "You are a shop."},
    {"role": "user", "content": "Where is it?"},
    {"role": "assistant", "content": None, "tool_calls": [call(1), call(2)]},
    {"role": "tool", "tool_call_id": "call_1", "content": "shipped"},
    {"role": "tool", "tool_call_id": "call_2", "content": "lost"},
    {"role": "assistant", "content": "It was shipped."},
    {"role": "user", "content": "Thanks for nothing."},
]
CHAT_PLACES = {
    1: (1, "input", "Where is it?"),
    2: (1, "output", '[call lookup {"order": "A-1"}]\n[call lookup {"order": "A-2"}]'),
    3: (2, "output", "shipped"),
    4: (3, "output", "lost"),
    5: (4, "output", "It was shipped."),
}


def labelled(folder: Path) -> Path:
    """Write one log of agents, and two chats with a ground truth beside them; return the folder."""
    (folder / "talks").mkdir(parents=True)
    (folder / "talks" / "7.json").write_text(json.dumps(LOG))
    (folder / "shop").mkdir()
    chats = [{"task_id": 3, "reward": 0.0, "traj": CHAT}, {"task_id": 4, "reward": 1.0, "traj": CHAT[:3]}]
    (folder / "shop" / "chats.json").write_text(json.dumps(chats))
    failures = [{"failure_id": 1, "step_number": 3}, {"failure_id": 2, "step_number": 6}]
    truth = {"trajectory_id": 3, "failures": failures, "root_cause": {"failure_id": 2}}
    (folder / "shop" / "ground_truth_dev.json").write_text(json.dumps([truth]))
    return folder


def loaded(folder: Path, tmp_path: Path) -> tuple[list[Labelled], SqliteTrajectories]:
    """Import the labelled runs of a folder."""
    store = SqliteTrajectories(tmp_path / "labelled.db")
    return load(folder, store), store


def test_labels_point_to_their_messages(tmp_path: Path):
    """Who&When counts from 0 and AgentRx from 1; a run that did well is imported and has no label."""
    cases, store = loaded(labelled(tmp_path / "data"), tmp_path)
    with store:
        assert [(case.name, case.split, case.agent, case.message) for case in cases] == [
            ("shop/3", "shop", None, 5),
            ("talks/7", "talks", "Worker", 2),
        ]
        assert len(store.summaries()) == 3
        place = place_of(store.trajectory(cases[1].trace_id), LOG["history"], 2)
        assert (place.step, place.field, place.text) == (2, "output", "There are nine.")
        for case in cases:
            spans = str(store.trajectory(case.trace_id).spans)
            assert "counted twice" not in spans
            assert "mistake" not in spans


@pytest.mark.parametrize("message", CHAT_PLACES)
def test_every_message_has_its_step(message: int, tmp_path: Path):
    """A reply is its inference, a result its call's output, a person's words the input of who reads them next."""
    cases, store = loaded(labelled(tmp_path / "data"), tmp_path)
    with store:
        place = place_of(store.trajectory(cases[0].trace_id), CHAT, message)
    assert (place.step, place.field, place.text.removeprefix("system: You are a shop.\nuser: ")) == CHAT_PLACES[message]


def test_a_step_counts_as_the_message_that_chose_it(tmp_path: Path):
    """Back from steps to messages: an inference is its reply, a tool call the reply that asked for it."""
    cases, store = loaded(labelled(tmp_path / "data"), tmp_path)
    with store:
        trajectory = store.trajectory(cases[0].trace_id)
        assert [message_of(trajectory, step) for step in range(6)] == [None, 2, 2, 2, 5, None]
        with pytest.raises(LookupError, match="after the last reply"):
            place_of(trajectory, CHAT, 6)


def test_a_label_outside_of_its_log_is_refused(tmp_path: Path):
    """A label that points nowhere is an error and not a run less."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "1.json").write_text(json.dumps(LOG | {"mistake_step": "4"}))
    with pytest.raises(ValueError, match=r"message 4 is not among its 4"):
        loaded(tmp_path / "data", tmp_path)


@pytest.mark.parametrize(("folder", "runs"), [("who_and_when", 74), ("agentrx", 13)])
def test_the_recorded_labels_point_to_steps_with_their_words(shared_data: Path, folder: str, runs: int, tmp_path: Path):
    """Each label's step holds its message, as it was masked; in logs of agents the label's step is that agent's too."""
    cases, store = loaded(shared_data / folder, tmp_path)
    with store:
        assert len(cases) == runs
        for case in cases:
            trajectory = store.trajectory(case.trace_id)
            place = place_of(trajectory, case.messages, case.message)
            words = store.masker.text(text_of(case.messages[case.message]))
            assert " ".join(words.split()) in " ".join(place.text.split()), case.name
            if place.field == "output":
                assert message_of(trajectory, place.step) == case.message
