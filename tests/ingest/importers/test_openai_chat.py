"""Chat messages in OpenAI's form: containers, spellings, matching of calls, talks of agents."""

from __future__ import annotations

import json

import pytest
from support.stored import OPENAI, OPENAI_MESSAGES, call, imported

from analyzer.types.trace import FinishReason, Operation, Outcome, Status, Tokens


def test_a_conversation_becomes_spans():
    """A reply is an inference with the history before it; calls find their results by id, in any order."""
    found = imported(OPENAI)
    assert (found.formats, found.remarks) == ({"openai-chat"}, [])
    asked, first, second, answer = found.steps
    assert (asked.tokens, asked.finish) == (Tokens(100, 20, cache_read=60), FinishReason.TOOL_CALL)
    assert [m["role"] for m in json.loads(asked.input)] == ["system", "user"]
    assert asked.system == "You are a shop."
    assert (first.tool_call_id, first.output, first.status) == ("call_1", "shipped", Status.OK)
    assert (second.tool_call_id, second.output, second.status) == ("call_2", "not found", Status.ERROR)
    assert len(json.loads(answer.input)) == 5
    assert json.loads(answer.output)[0]["content"] == "It is on its way."
    assert "usage" not in answer.output
    root = found.root
    assert (root.agent, root.input, root.output) == ("shop", "Where is order A-1?", "It is on its way.")
    assert (root.outcome, root.start_ns, root.end_ns) == (Outcome.SUCCESS, None, None)


@pytest.mark.parametrize(
    ("document", "lines"),
    [
        (OPENAI_MESSAGES, False),
        (OPENAI_MESSAGES, True),
        ([OPENAI_MESSAGES], False),
        ([OPENAI], False),
        ([OPENAI], True),
        ([OPENAI_MESSAGES], True),
        ({"traj": OPENAI_MESSAGES}, False),
        ({"history": OPENAI_MESSAGES}, True),
        (
            {
                "request": {"messages": OPENAI_MESSAGES[:-1]},
                "response": {"choices": [{"message": OPENAI_MESSAGES[-1]}]},
            },
            False,
        ),
    ],
)
def test_every_container_of_a_conversation_is_recognised(document, lines):
    """The same four steps arrive from each container."""
    if isinstance(document, dict):
        document, lines = ([document], True) if lines else (document, False)
    found = imported(document, lines=lines)
    assert (found.formats, found.remarks) == ({"openai-chat"}, [])
    assert [span.operation.value for span in found.steps] == ["chat", "execute_tool", "execute_tool", "chat"]


def test_a_list_of_conversations_is_as_many_runs():
    """Conversations in a list are runs of their own, also where two say exactly the same."""
    found = imported([OPENAI, {**OPENAI, "reward": 0}, OPENAI_MESSAGES])
    assert [one.summary.outcome.value for one in found.trajectories] == ["success", "failure", "unknown"]


def test_bare_messages_are_gathered_by_their_conversation():
    """Lines that name their conversation are put together by it, however they are mixed."""
    lines = [{**message, "conversation_id": name} for message in OPENAI_MESSAGES for name in ("one", "two")]
    found = imported(lines, lines=True)
    assert [one.summary.steps for one in found.trajectories] == [4, 4]
    assert {one.summary.conversation_id for one in found.trajectories} == {"one", "two"}


def test_the_same_file_gives_the_same_ids():
    """Ids come from the content: importing twice changes nothing, other content gives other ids."""
    once, again = imported(OPENAI), imported(OPENAI)
    assert once == again
    other = imported({"messages": [*OPENAI_MESSAGES, {"role": "assistant", "content": "Bye."}]})
    assert other.one.summary.trace_id != once.one.summary.trace_id


def test_a_run_id_of_its_own_survives_growth():
    """A run with a unique id keeps its ids while it grows."""
    key = "0b8f3c2e-5f7d-4d61-9c1a-2f6f7a1b3c4d"
    short = imported({"id": key, "messages": OPENAI_MESSAGES[:5]})
    whole = imported({"id": key, "messages": OPENAI_MESSAGES})
    assert {s.span_id for s in short.one.spans} < {s.span_id for s in whole.one.spans}
    assert short.one.summary.trace_id == whole.one.summary.trace_id


def test_calls_and_results_without_each_other_are_kept_and_noted():
    """A call that nobody answered and a result that nobody asked for are steps, each with a remark."""
    messages = [
        {"role": "user", "content": "Go."},
        {"role": "assistant", "content": None, "tool_calls": [call(1)]},
        {"role": "tool", "tool_call_id": "call_7", "name": "other", "content": "x"},
    ]
    found = imported(messages)
    _, open_call, stray = sorted(found.steps, key=lambda span: span.span_id)
    assert (open_call.output, open_call.attributes["analyzer.import.no_result"]) == (None, True)
    assert (stray.tool, stray.output, stray.attributes["analyzer.import.no_call"]) == ("other", "x", True)
    assert sorted(why.split(" (")[0] for _, _, why in found.remarks) == [
        "a tool result without a call", "the call of lookup",
    ]  # fmt: skip


def test_numbers_that_come_again_name_the_newest_call():
    """Gateways that number calls from 0 in every reply: a result belongs to the reply before it."""
    messages = []
    for text in ("first", "second"):
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [call(0, order=text)]},
            {"role": "tool", "tool_call_id": "call_0", "content": text},
        ]
    tools = [span for span in imported(messages).steps if span.tool]
    assert [(json.loads(span.input)["order"], span.output) for span in tools] == [
        ("first", "first"), ("second", "second"),
    ]  # fmt: skip


def test_older_and_newer_spellings_are_the_same():
    """`function_call`, Responses items and ShareGPT give the same steps."""
    old = [
        {"role": "user", "content": "Go."},
        {"role": "assistant", "content": None, "function_call": {"name": "lookup", "arguments": "{}"}},
        {"role": "function", "name": "lookup", "content": "x"},
        {"role": "assistant", "content": "Done."},
    ]
    items = [
        {"role": "user", "content": "Go."},
        {"type": "reasoning", "id": "r1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "function_call", "call_id": "c1", "name": "lookup", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "x"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Done."}]},
    ]
    for document in (old, items):
        found = imported(document)
        assert [(s.operation.value, s.tool, s.input if s.tool else None) for s in found.steps] == [
            ("chat", None, None), ("execute_tool", "lookup", "{}"), ("chat", None, None),
        ]  # fmt: skip
        assert found.root.output == "Done."
    shared = imported({"conversations": [{"from": "human", "value": "Go."}, {"from": "gpt", "value": "Done."}]})
    assert (shared.root.input, shared.root.output) == ("Go.", "Done.")


def test_agents_that_talk_to_each_other_each_take_steps():
    """Where every message is signed, each is a step of its agent; a role that is a name is an agent."""
    log = {
        "question": "Who?",
        "is_correct": False,
        "mistake_reason": "never tell",
        "system_prompt": {"Planner": "You plan."},
        "history": [
            {"role": "assistant", "name": "Planner", "content": "Plan."},
            {"role": "user", "name": "Coder", "content": "Code."},
        ],
    }
    found = imported(log)
    assert [(span.agent, span.system) for span in found.steps] == [("Planner", "You plan."), ("Coder", None)]
    assert (found.root.input, found.root.output, found.root.outcome) == ("Who?", "Code.", Outcome.FAILURE)
    assert not any("never tell" in str(span) for span in found.one.spans)
    said = (("human", "Who?"), ("Boss (thought)", "Hm."), ("Boss (-> Web)", "Go."), ("Web", "Gone."))
    names = imported({"history": [{"role": role, "content": content} for role, content in said]})
    assert [span.agent for span in names.steps] == ["Boss", "Boss", "Web"]
    assert names.steps[1].attributes["analyzer.import.remark"] == "-> Web"
    assert names.root.input == "Who?"


def test_among_agents_by_name_assistant_is_a_name_too():
    """Where roles are the names of agents, one that is called `Assistant` has its name; in a plain chat nobody has."""
    said = (("human", "Who?"), ("Boss (-> Assistant)", "Go."), ("Assistant", "Gone."))
    team = imported({"history": [{"role": role, "content": content} for role, content in said]})
    assert [span.agent for span in team.steps] == ["Boss", "Assistant"]
    plain = imported([{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "I."}])
    assert [span.agent for span in plain.steps] == [None]


def test_recorded_times_are_used_and_order_is_kept():
    """Messages with times start there; what has none stands with the last recorded one; nothing is invented."""
    messages = [
        {"role": "user", "content": "Go.", "timestamp": "2026-04-01T10:00:00Z"},
        {"role": "assistant", "content": None, "tool_calls": [call(1), call(2)], "timestamp": "2026-04-01T10:00:02Z"},
        {"role": "tool", "tool_call_id": "call_1", "content": "x"},
        {"role": "tool", "tool_call_id": "call_2", "content": "y"},
        {"role": "assistant", "content": "Hm."},
        {"role": "assistant", "content": "Done.", "timestamp": "2026-04-01T10:00:01Z"},
    ]
    found = imported(messages)
    assert [span.operation for span in found.steps] == [
        Operation.CHAT, Operation.TOOL, Operation.TOOL, Operation.CHAT, Operation.CHAT,
    ]  # fmt: skip
    assert json.loads(found.steps[-1].output)[0]["content"] == "Done."
    assert {span.end_ns for span in found.steps} == {None}
    assert (found.root.end_ns - found.root.start_ns) == 2 * 10**9
    assert found.remarks == [("Noted", "", "its times run backwards in places: those steps keep the order of the log")]
