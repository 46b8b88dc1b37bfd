"""What goes into the store whatever its form: hostile numbers and texts, growing prompts, several writers."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.spans import EPOCH, chat, history, ns, root, tool, trace_id

from analyzer.stores import intake, rows
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import Event, Span, Tokens
from analyzer.types.trajectory import ToolUse


def test_absurd_numbers_are_put_right_and_cost_nobody_else(store: SqliteTrajectories) -> None:
    """Counts are kept within bounds, times and costs that cannot be are None, and the rest of the batch goes in."""
    absurd = chat(
        1,
        2,
        start_ns=2**70,
        end_ns=-5,
        tokens=Tokens(input=2**80, output=-3),
        cost_usd=math.inf,
        attempt=2**65,
        attributes={"count": 2**70, "nan": math.nan, "deep": _nested(400), "half": "\ud83d", 5: "key"},
        events=(Event("late", 2**64, {"n": 1}),),
    )
    added = store.add([absurd, root(1), chat(2, 3, cost_usd=math.nan)])
    back = store.span(trace_id(1), absurd.span_id)
    assert added.spans_new == 3
    assert (back.start_ns, back.end_ns, back.cost_usd, back.attempt) == (None, None, None, rows.ATTEMPT_MAX)
    assert back.tokens == Tokens(input=rows.COUNT_MAX, output=0)
    assert back.attributes["count"] == "0x400000000000000000"
    assert back.attributes["half"] == "\ufffd"
    assert back.events[0].time_ns is None
    assert store.usage("shop", EPOCH, EPOCH.replace(year=2027))[0].input_tokens == rows.COUNT_MAX


def _nested(depth: int) -> object:
    value: object = "end"
    for _ in range(depth):
        value = [value]
    return value


def test_half_a_surrogate_pair_costs_no_batch(store: SqliteTrajectories) -> None:
    """Text that is no Unicode, in any field, is kept with U+FFFD in place of what is broken; pairs are joined."""
    broken = "a\ud83d b\ud83d\ude00"
    fields = dict.fromkeys(("name", "agent", "tool", "status_message", "user_id", "model", "input", "output"), broken)
    store.add([tool(1, 2, **fields, system=broken, attributes={broken: broken}, resource={"r": broken}), root(1)])
    back = store.span(trace_id(1), f"{2:016x}")
    assert {getattr(back, name) for name in (*fields, "system")} == {"a\ufffd b\U0001f600"}
    assert back.attributes == {"a\ufffd b\U0001f600": "a\ufffd b\U0001f600"}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6),
    separators=st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", ":")]),
    shuffled=st.booleans(),
)
def test_growing_prompts_read_back_as_they_were_sent(tmp_path: Path, seed: int, separators, shuffled: bool) -> None:
    """Prompts that grow, branch, shrink and change in the middle, however spaced, say what they said."""
    chance = Random(seed)  # noqa: S311 - seeded histories
    prompts, current = [], [{"role": "user", "content": "begin"}]
    for step in range(12):
        turn = chance.random()
        if turn < 0.15 and len(current) > 2:
            current = current[: chance.randint(1, len(current) - 1)]
        elif turn < 0.3:
            current = [*current[:-1], {"role": "user", "content": f"other {step}"}]
        current = [*current, {"role": "assistant", "content": f'"{step}" ] , [ {{'}, *chance.choices(current, k=1)]
        prompts.append(json.dumps(current, separators=separators))
    spans = [chat(1, i + 2, at_s=i, input=prompt) for i, prompt in enumerate(prompts)]
    if shuffled:
        chance.shuffle(spans)
    with SqliteTrajectories(tmp_path / f"{seed}-{separators[0].strip()}-{shuffled}.db") as store:
        size = chance.randint(1, 13)
        for start in range(0, len(spans), size):
            store.add(spans[start : start + size])
        for span in spans:
            back = store.span(span.trace_id, span.span_id)
            assert json.loads(back.input or "") == json.loads(span.input or "")


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "[]",
        "[1, 2]",
        "[{}]",
        "[{}",
        "[{}] ",
        "[{},]",
        "{}",
        '"text"',
        "null",
        "\x00",
        "[" * 2000,
        '[{"a":"\\ud800"}]',
    ],
)
def test_a_text_that_is_no_conversation_is_kept_as_it_is(store: SqliteTrajectories, text: str) -> None:
    """What only looks like a list of messages, or is broken, comes back as it was sent."""
    store.add([chat(1, 2, input=text), chat(1, 3, at_s=2, input=text + ",")])
    # A list of one message is a conversation: its blanks are not kept.
    expected = "[{}]" if text == "[{}] " else text
    assert store.span(trace_id(1), f"{2:016x}").input == expected
    assert store.span(trace_id(1), f"{3:016x}").input == text + ","


def test_a_summary_made_from_the_batch_is_that_of_the_rows(tmp_path: Path) -> None:
    """Whether a trajectory came in one batch or in many, masked names and declared prompts included."""
    spans = [
        chat(1, 2, at_s=1, agent="for jane.doe@example.org", system="be kind", tool_definitions='[{"name": "t"}]'),
        chat(1, 3, at_s=2, system="be kind", prompt_name="be", prompt_version="kind"),
        chat(2, 2, at_s=1, system="v1@2", prompt_name="v1", prompt_version="2"),
        chat(3, 2, at_s=1, system="be kind", model=None),
        chat(3, 3, at_s=1, system="be strict", parent_id=f"{2:016x}"),
        root(3, user_id="jane.doe@example.org"),
    ]
    at_once, one_by_one = SqliteTrajectories(tmp_path / "a.db"), SqliteTrajectories(tmp_path / "b.db")
    with at_once.connection.writing() as raw:
        # The same key in both, so that pseudonyms are the same.
        raw.execute("UPDATE meta SET value = zeroblob(32)")
    with one_by_one.connection.writing() as raw:
        raw.execute("UPDATE meta SET value = zeroblob(32)")
    path_a, path_b = at_once.connection.path, one_by_one.connection.path
    at_once.close()
    one_by_one.close()
    with SqliteTrajectories(path_a) as at_once, SqliteTrajectories(path_b) as one_by_one:
        at_once.add(spans)
        for span in reversed(spans):
            one_by_one.add([span])
        assert at_once.summaries() == one_by_one.summaries()
        assert at_once.summaries()[0].agent is not None


def test_two_writers_share_one_store(tmp_path: Path) -> None:
    """Two processes that write in turns, the same texts and each its own, never overwrite each other."""
    first, second = SqliteTrajectories(tmp_path / "store.db"), SqliteTrajectories(tmp_path / "store.db")
    for step in range(20):
        for number, store in ((1, first), (2, second)):
            texts = [f"shared {i}" if i % 2 else f"own of {number}, {i}" for i in range(step + 1)]
            store.add([chat(number, step + 2, at_s=step, input=history(*texts), system="shared system")])
    for number in (1, 2):
        for step in range(20):
            texts = [f"shared {i}" if i % 2 else f"own of {number}, {i}" for i in range(step + 1)]
            for store in (first, second):
                said = store.span(trace_id(number), f"{step + 2:016x}").input
                assert json.loads(said or "") == json.loads(history(*texts))
    first.close()
    second.close()


def test_two_writers_grow_one_trajectory(tmp_path: Path) -> None:
    """What one remembers of a trajectory gives way to what the other wrote to it, and to what retention deleted."""
    first, second = SqliteTrajectories(tmp_path / "store.db"), SqliteTrajectories(tmp_path / "store.db")
    for step in range(12):
        store = first if step % 3 else second
        store.add([chat(1, step + 2, at_s=step, response_id=f"msg_{step // 2}")])
        summary = first.trajectory(trace_id(1)).summary
        assert (summary.spans, summary.inferences, summary.input_tokens) == (
            step + 1,
            step // 2 + 1,
            100 * (step // 2 + 1),
        )
    first.prune(EPOCH.replace(year=2027))
    for count, span in enumerate((40, 41), start=1):
        first.add([chat(1, span)])
        assert first.trajectory(trace_id(1)).summary.spans == second.trajectory(trace_id(1)).summary.spans == count
    first.close()
    second.close()


def test_old_texts_are_stored_again_and_nothing_is_lost(tmp_path: Path, monkeypatch) -> None:
    """When the index of young texts turns over, what is older is stored once more and everything reads as before."""
    monkeypatch.setattr(intake, "YOUNG_BLOCKS", 2)
    monkeypatch.setattr(intake, "_CACHE_MAX", 3)
    with SqliteTrajectories(tmp_path / "store.db") as store:
        for number in range(1, 30):
            store.add([chat(number, 2, at_s=number, input=history("always the same " * 20, f"run {number}"))])
        said = [store.span(trace_id(number), f"{2:016x}").input or "" for number in range(1, 30)]
        with store.connection.reading() as raw:
            young = raw.execute("SELECT (SELECT COUNT(*) FROM recent_0), (SELECT COUNT(*) FROM recent_1)").fetchone()
    assert [json.loads(text)[1]["parts"][0]["content"] for text in said] == [f"run {number}" for number in range(1, 30)]
    assert max(young) < 10


def test_one_batch_of_more_histories_than_are_remembered_is_stored_whole(tmp_path: Path, monkeypatch) -> None:
    """A batch that fills the memory of histories while it is written does not store one of its own a second time."""
    monkeypatch.setattr(intake, "_CACHE_MAX", 3)
    sent = [history("the same rules", f"question {number % 6}", "an answer", "go on") for number in range(24)]
    with SqliteTrajectories(tmp_path / "store.db") as store:
        for first in (0, 12):
            batch = range(first, first + 12)
            store.add([chat(number + 1, 2, at_s=number, input=sent[number]) for number in batch])
        back = [store.span(trace_id(number + 1), f"{2:016x}").input or "" for number in range(24)]
    assert [json.loads(text) for text in back] == [json.loads(text) for text in sent]


def test_a_message_that_repeats_a_clean_result_is_still_masked(store: SqliteTrajectories) -> None:
    """A tool's result known to be clean does not let a secret beside it in the message pass."""
    result = "nothing to see in this long and harmless result of a tool " * 4
    said = json.dumps([{"role": "tool", "to": "jane.doe@example.org", "content": result}])
    quoted = json.dumps([{"role": "tool", "content": result + " jane.doe@example.org"}])
    store.add([tool(1, 2, output=result), chat(1, 3, at_s=3, input=said), chat(1, 4, at_s=4, input=quoted)])
    for span_id in (3, 4):
        back = store.span(trace_id(1), f"{span_id:016x}").input or ""
        assert "jane.doe" not in back
        assert "<email:" in back
        assert result.strip() in back


def test_attributes_are_masked_beside_known_ones(store: SqliteTrajectories) -> None:
    """A pair seen before is not looked at again; a new value under the same name, or a name itself, is."""
    seen = {"http.route": "/orders", "retries": 3}
    store.add([tool(1, 2, attributes=seen), tool(1, 3, attributes=seen)])
    store.add([tool(1, 4, attributes={**seen, "http.route": "/of/jane.doe@example.org", "jane.doe@example.org": 1})])
    store.add([tool(1, 5, attributes={**seen, "name": "password", "value": "hunter2 is it"})])
    assert store.span(trace_id(1), f"{3:016x}").attributes == seen
    assert "jane.doe" not in repr(store.span(trace_id(1), f"{4:016x}"))
    assert "hunter2" not in repr(store.span(trace_id(1), f"{5:016x}"))


def test_stats_say_what_is_there_and_what_was_saved(store: SqliteTrajectories) -> None:
    """Rows, bytes and times; a conversation counts as often as it was sent, and once where it was kept once."""
    assert store.stats().bytes_per_span is None
    texts = [f"message {i} " + "x" * 300 for i in range(40)]
    spans: list[Span] = [chat(1, i + 2, at_s=i, input=history(*texts[: i + 1])) for i in range(len(texts))]
    store.add(spans)
    found = store.stats()
    sent = sum(len(json.dumps(json.loads(span.input or ""), separators=(",", ":"))) for span in spans)
    assert found.schema == "m022_looked"
    assert (found.spans, found.trajectories, found.rows["threads"]) == (40, 1, 40)
    assert sent <= found.sent_bytes < sent + 40 * 200
    assert found.packed_bytes < found.distinct_bytes < found.sent_bytes / 10
    assert found.newest is not None
    assert int(found.newest.timestamp() * 1e9) == ns(40)


def test_a_reader_sees_one_state_while_another_writes(tmp_path: Path) -> None:
    """A read that takes several queries is not disturbed by what is written meanwhile, and holds up no writer."""
    reader, writer = SqliteTrajectories(tmp_path / "store.db"), SqliteTrajectories(tmp_path / "store.db")
    writer.add([root(1)])
    with reader.connection.reading():
        before = reader.trajectory(trace_id(1))
        writer.add([replace(chat(1, 2), cost_usd=9.0)])
        assert reader.trajectory(trace_id(1)) == before
    assert reader.trajectory(trace_id(1)).summary.cost_usd == 9.0
    reader.close()
    writer.close()


def test_a_store_opens_for_reading_while_another_process_writes(tmp_path: Path) -> None:
    """Opening and reading wait for no writer, however long its transaction takes."""
    with SqliteTrajectories(tmp_path / "store.db") as writer:
        writer.add([root(1)])
        with writer.connection.writing(), SqliteTrajectories(tmp_path / "store.db") as reader:
            assert reader.trajectory(trace_id(1)).summary.spans == 1


def test_what_tools_cost_stands_beside_what_models_cost(store: SqliteTrajectories) -> None:
    """Per trajectory, and added up per agent and tool; a call that is reported twice counts once."""
    for number in (1, 2):
        store.add(
            [
                root(number, at_s=number, agent=f"agent-{number}"),
                chat(number, 2),
                tool(number, 3, at_s=2, lasts_s=2, tool="trino", cost_usd=0.25),
                tool(number, 4, at_s=2, lasts_s=1, tool="trino", cost_usd=0.25, parent_id=f"{3:016x}"),
                tool(number, 5, at_s=5, lasts_s=1, tool="trino", cost_usd=0.5),
                tool(number, 6, at_s=7, lasts_s=4, tool="grep"),
            ]
        )
    one = store.trajectory(trace_id(1))
    assert (one.summary.cost_usd, one.summary.tool_cost_usd) == (pytest.approx(0.0004), 0.75)
    assert one.tool_uses == (ToolUse("agent-1", "trino", 2, 3.0, 0.75), ToolUse("agent-1", "grep", 1, 4.0, None))
    end = EPOCH.replace(year=2027)
    assert tuple(store.tool_uses(EPOCH, end, agent="agent-1")) == one.tool_uses
    assert [(use.agent, use.tool) for use in store.tool_uses(EPOCH, end)] == [
        ("agent-1", "trino"),
        ("agent-2", "trino"),
        ("agent-1", "grep"),
        ("agent-2", "grep"),
    ]
