from __future__ import annotations

import gc
import time
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.hostile import ATTACKS

from analyzer.render.terminal import table_lines
from analyzer.render.text import width
from analyzer.render.trajectory import trajectory_table, trajectory_view
from analyzer.types.trace import ErrorClass, Operation, Span, Status, Tokens
from analyzer.types.trajectory import Trajectory, ordered, summarise

TRACE = f"{0xBEEF:032x}"
START_NS = 1_795_428_600_000_000_000


def span(number: int, operation: Operation = Operation.TOOL, parent: int | None = 1, **fields: Any) -> Span:
    """Return a span that starts `number` seconds after the start and takes half a second."""
    values: dict[str, Any] = {
        "trace_id": TRACE,
        "span_id": f"{number:016x}",
        "parent_id": None if parent is None else f"{parent:016x}",
        "name": operation.value,
        "operation": operation,
        "start_ns": START_NS + number * 10**9,
        "end_ns": START_NS + number * 10**9 + 5 * 10**8,
    }
    return Span(**(values | fields))


def root(**fields: Any) -> Span:
    """Return the agent's span."""
    return span(1, Operation.AGENT, None, **({"name": "invoke_agent shop", "agent": "shop"} | fields))


def chat(number: int, **fields: Any) -> Span:
    """Return an inference with tokens and a price."""
    values: dict[str, Any] = {"model": "sonnet", "tokens": Tokens(1000 + number, 50), "cost_usd": 0.004}
    return span(number, Operation.CHAT, **(values | fields))


def lookup(number: int, output: str = "not found", **fields: Any) -> Span:
    """Return a call of lookup_order."""
    values: dict[str, Any] = {"tool": "lookup_order", "input": '{"id": 4711}', "output": output}
    return span(number, **(values | fields))


def trajectory(*spans: Span) -> Trajectory:
    """Return a trajectory of spans."""
    in_order = ordered(spans)
    return Trajectory(summarise(TRACE, in_order), in_order)


def rows(*spans: Span, columns: int = 120) -> list[str]:
    """Return the lines below the header and the column titles."""
    text = trajectory_view(trajectory(*spans), columns)
    return text.rstrip("\n").split("\n\n", 1)[1].split("\n")[1:]


def test_view_is_exactly_this() -> None:
    """A trajectory reads as a header and a tree with numbers, times, tokens, cost, gist and errors."""
    view = trajectory_view(
        trajectory(
            root(agent_version="2.4.0"),
            chat(2, output='[{"role": "assistant", "content": "I look it up."}]'),
            lookup(3, status=Status.ERROR, error=ErrorClass.TIMEOUT, status_message="took\ntoo long"),
            chat(4, cost_usd=None),
        ),
        100,
    )
    assert view == (
        f"trajectory {TRACE}\n"
        "shop · version 2.4.0 · sonnet\n"
        "started 2026-11-23 10:10 UTC, took 3.5 s, outcome success\n"
        "4 spans, 3 steps: 2 inferences, 1 tool call; 1 error, 0 retries\n"
        "2006 tokens in, 100 out; cost $0.004 + 1 unpriced\n"
        "\n"
        "   step           at        took   tokens     cost  what\n"
        "               +0 ms      500 ms                    invoke_agent shop\n"
        "      1       +1.0 s      500 ms     1052   $0.004    chat  -> I look it up.\n"
        '      2       +2.0 s      500 ms                      lookup_order  {"id": 4711}  -> not found\n'
        "                                                        error: timeout: took too long\n"
        "      3       +3.0 s      500 ms     1054 unpriced    chat\n"
    )


def test_a_narrow_terminal_leaves_out_times_and_keeps_words() -> None:
    """Below 100 columns a row does without the start, below 80 without the duration; the header is broken, not cut."""
    spans = (root(), lookup(2, input="q" * 100, output="r" * 100))
    assert rows(*spans, columns=90)[1].startswith("      1      500 ms                      lookup_order  qqqq")
    assert rows(*spans, columns=60)[1] == "      1                      lookup_order  qqqqqqqqqqqqqqqq…"
    head = trajectory_view(trajectory(*spans), 60).split("\n\n")[0].splitlines()
    assert head[3:5] == ["2 spans, 1 step: 0 inferences, 1 tool call; 0 errors, 0", "retries"]


def test_a_result_is_in_sight_behind_long_arguments() -> None:
    """Arguments that fill the line leave a third of the room to the result."""
    [line] = rows(lookup(2, parent=None, input="q" * 300, output="not found"), columns=120)
    assert line.endswith("q…  -> not found")
    [line] = rows(lookup(2, parent=None, input="q" * 300, output="r" * 300), columns=120)
    assert len(line) == 120
    assert line.count("r") > 12


def test_what_tools_cost_is_told_by_tool() -> None:
    """Priced tool calls add up by tool in the header, dearest first; a call that is reported twice counts once."""
    priced = [lookup(number, cost_usd=0.01) for number in (2, 3)]
    again = lookup(4, parent=3, cost_usd=0.01)
    view = trajectory_view(trajectory(root(), *priced, again, span(5, tool="trino", cost_usd=1.5), span(6, tool="ls")))
    assert "\ntools cost $1.52 more: trino $1.50 (1 call), lookup_order $0.02 (2 calls)\n" in view
    assert "tools cost" not in trajectory_view(trajectory(root(), lookup(2)))


def test_without_room_for_two_the_arguments_have_it() -> None:
    """Behind a long name no line ends in nothing but dots."""
    [line] = rows(lookup(2, parent=None, tool="t" * 60, input="q" * 300, output="r" * 300), columns=130)
    assert line.endswith("ttt  qqqqqqqqqqqqqqq…")


def test_who_took_a_step_is_named_where_it_is_another_agent() -> None:
    """A subagent's or a partner's step says whose it is; the run's own agent and model stand in the header alone."""
    found = rows(root(), chat(2, agent="shop"), chat(3, agent="WebSurfer", model="other", tokens=None))
    assert [line[52:].strip() for line in found] == ["invoke_agent shop", "chat", "chat other by WebSurfer"]


def test_usage_that_nobody_reported_is_no_zero() -> None:
    """A run without token counts says so in its header."""
    view = trajectory_view(trajectory(root(), chat(2, tokens=None, cost_usd=None)))
    assert "tokens not reported; cost -\n" in view
    assert "1002 tokens in, 50 out; cost $0.004\n" in trajectory_view(trajectory(root(), chat(2)))


def test_repeated_call_is_one_line() -> None:
    """Twenty-five equal calls are one line that says so, with the steps it stands for."""
    found = rows(root(), *(lookup(number) for number in range(2, 27)), span(30, tool="answer"), columns=160)
    assert [row[52:] for row in found] == [
        "invoke_agent shop",
        '  steps 1-25: lookup_order x25, same arguments, same result  {"id": 4711}  -> not found',
        "  answer",
    ]


def test_loop_of_turn_and_call_is_one_line() -> None:
    """A model's turn and its call in turns are one pattern, though the prompt grows and the replies differ."""
    spans = [chat(n, output=f"try {n}") if n % 2 == 0 else lookup(n, f"busy {n}") for n in range(2, 42)]
    (line,) = rows(root(), *spans, columns=160)[1:]
    assert "steps 1-40: chat + lookup_order x20, same arguments, results differ" in line
    assert "21.4k" in line
    assert "$0.08" in line


def test_different_arguments_or_replies_are_not_folded() -> None:
    """Calls with other arguments, and inferences with other replies, are progress and shown one by one."""
    assert len(rows(root(), *(lookup(n, input=f'{{"id": {n}}}') for n in range(2, 8)))) == 7
    assert len(rows(root(), *(chat(n, output=f"{n}") for n in range(2, 8)))) == 7
    assert len(rows(root(), *(chat(n, output="same") for n in range(2, 8)))) == 2
    assert len(rows(root(), lookup(2), lookup(3))) == 3


def test_errors_in_a_fold_are_told() -> None:
    """A folded stretch of failing calls says how many failed and why."""
    failing = {"status": Status.ERROR, "error_type": "RateLimit", "status_message": "slow down"}
    found = rows(root(), *(lookup(n, **failing) for n in range(2, 8)))
    assert found[-1].strip() == "error: 6 of these failed: RateLimit: slow down"


def test_lost_and_circular_parents_are_shown_once() -> None:
    """Spans under a missing parent stand at the top; spans that are each other's parents appear once."""
    found = rows(root(), span(2, parent=99, tool="orphan"), span(3, parent=4, tool="a"), span(4, parent=3, tool="b"))
    assert [row[52:] for row in found] == ["invoke_agent shop", "orphan", "a", "  b"]
    assert [row[52:] for row in rows(span(5, parent=5, tool="own"))] == ["own"]


def test_no_spans_times_or_root() -> None:
    """A trajectory without times or root is shown with what there is."""
    bare = span(2, tool="t", start_ns=None, end_ns=None, parent=9)
    assert "no root span yet" in trajectory_view(trajectory(bare))
    assert trajectory_view(trajectory()).startswith(f"trajectory {TRACE}\n")
    far = span(3, tool="t", start_ns=2**63 - 1, end_ns=2**63 - 1)
    assert "t" in trajectory_view(trajectory(far, span(4, start_ns=-5, end_ns=-9)))


@pytest.mark.parametrize("attack", [*ATTACKS, "\x1b]52;c;AAAA\x07", "\r\x1b[1A\x1b[2K all fine"])
def test_hostile_text_stays_in_its_line(attack: str) -> None:
    """Span text cannot repaint the terminal, start a line of its own or grow beyond the width."""
    fields = {"input": attack, "output": attack, "status": Status.ERROR, "status_message": attack, "error_type": attack}
    spans = [root(name=attack, agent=attack, agent_version=attack), *(lookup(n, **fields) for n in (2, 3, 4, 5))]
    spans += [chat(6, model=attack, output=attack), span(7, tool=attack, parent=6)]
    text = trajectory_view(trajectory(*spans), 90)
    assert not [char for char in text if char != "\n" and unicodedata.category(char) in {"Cc", "Cs"}]
    assert max(width(row) for row in text.split("\n")) <= 90
    plain = trajectory_view(trajectory(root(), *(lookup(n, status=Status.ERROR) for n in (2, 3, 4, 5))), 90)
    assert text.count("\n") == plain.count("\n") + 2


@pytest.mark.parametrize("shape", ["flat", "deep", "loop", "chats", "period"])
def test_ten_thousand_spans_take_about_four_times_as_long_as_a_quarter_of_them(shape: str) -> None:
    """The view stays linear and without recursion for wide, deep and repetitive trajectories.

    By processor time, and twice that allowed: the machine may be slow or busy; what is quadratic takes sixteen times.
    """
    count = 10_000
    make = {
        "flat": lambda n: lookup(n, input=f'{{"id": {n}}}', output="x" * 500),
        "deep": lambda n: lookup(n, parent=n - 1, input=f"{n}"),
        "loop": lookup,
        "chats": lambda n: chat(n, output=f"reply {n}"),
        "period": lambda n: lookup(n, input=f"{n % 5}"),
    }[shape]

    def took_s(spans: int) -> float:
        one = trajectory(root(), *(make(number) for number in range(2, spans + 1)))
        # What other tests have left on the heap is not walked meanwhile.
        gc.disable()
        began = time.process_time()
        text = trajectory_view(one)
        taken = time.process_time() - began
        gc.enable()
        assert text.count("\n") == 9 if shape == "loop" else text.count("\n") > spans
        return taken

    quarter_s = max(took_s(count // 4), took_s(count // 4))
    assert min(took_s(count), took_s(count)) < 8 * quarter_s + 0.05


NUMBERS = st.integers(1, 12)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.builds(
            lambda number, parent, operation, text, failed: span(
                number,
                operation,
                parent,
                tool=text,
                input=text,
                output=text,
                status=Status.ERROR if failed else Status.OK,
            ),
            NUMBERS,
            NUMBERS | st.none(),
            st.sampled_from(Operation),
            st.sampled_from(["a", "b", "\x1b[0m", ""]),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_any_tree_is_shown(spans: list[Span]) -> None:
    """Any set of spans, circles and doubles included, gives a view in which every failed span is accounted for."""
    text = trajectory_view(trajectory(*spans))
    assert ("error:" in text) == any(one.status is Status.ERROR for one in spans) or len(
        {one.span_id for one in spans}
    ) < len(spans)


def test_list_of_trajectories() -> None:
    """The list has a row a trajectory with its numbers to the right."""
    one = trajectory(root(), chat(2), lookup(3))
    header, _rule, row = table_lines(trajectory_table([one.summary]), 140)
    assert header.split() == [
        "trace",
        "agent",
        "version",
        "started",
        "took",
        "steps",
        "tokens",
        "cost",
        "errors",
        "outcome",
    ]
    assert row == f"{TRACE[:12]}  shop   -        2026-11-23 10:10 UTC  2.5 s      2    1052  $0.004       0  success"


def test_a_call_that_several_layers_report_shows_its_figures_once() -> None:
    """Reports around the call that counts say which step they repeat, without tokens and cost; errors stay in sight."""
    used = {"model": "m", "tokens": Tokens(100, 20), "cost_usd": 0.0004}
    denied = {"status": Status.ERROR, "status_message": "denied"}
    shown = rows(
        root(name="run"),
        span(2, Operation.CHAT, **used),
        span(3, Operation.CHAT, parent=2, output="so", **used),
        span(4, tool="search", input="q"),
        span(5, tool="search", parent=4, **denied),
    )
    assert [line[33:] for line in shown] == [
        "                   run",
        "                     chat  = step 1, reported again",
        "     120  $0.0004      chat  -> so",
        "                     search  q",
        "                       search  = step 2, reported again",
        "                         error: denied",
    ]
